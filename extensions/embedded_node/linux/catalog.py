# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What packages bring, as data: programs, services, and the ports at which those listen.

Every package is offered; one that is not named here brings nothing but its entry in the database. Names are those of
all distributions together.
"""

from __future__ import annotations

from dataclasses import dataclass

AGENT = "/usr/sbin/qemu-ga"
AGENT_CONFIG = "/etc/sysconfig/qemu-ga"
#: The filter of RHEL 9.4 and later.
AGENT_FILTER = (
    'FILTER_RPC_ARGS="--allow-rpcs=guest-sync-delimited,guest-sync,guest-ping,guest-get-time,guest-set-time,guest-info,'
    "guest-shutdown,guest-fsfreeze-status,guest-fsfreeze-freeze,guest-fsfreeze-freeze-list,guest-fsfreeze-thaw,"
    "guest-fstrim,guest-suspend-disk,guest-suspend-ram,guest-suspend-hybrid,guest-network-get-interfaces,"
    "guest-get-vcpus,guest-set-vcpus,guest-get-disks,guest-get-fsinfo,guest-set-user-password,"
    "guest-get-memory-blocks,guest-set-memory-blocks,guest-get-memory-block-info,guest-get-host-name,guest-get-users,"
    'guest-get-timezone,guest-get-osinfo,guest-get-devices,guest-ssh-get-authorized-keys"\n'
)
SEMODULE = "/usr/sbin/semodule"
CURL = "/usr/bin/curl"
DOCKER = ("/usr/bin/docker", "/usr/bin/dockerd")
COMPOSE = ("/usr/libexec/docker/cli-plugins/docker-compose",)
ZONES = tuple(f"/usr/share/zoneinfo/{name}" for name in (
    "UTC", "Etc/UTC", "Africa/Johannesburg", "America/Los_Angeles", "America/New_York", "America/Sao_Paulo",
    "Asia/Kolkata", "Asia/Tokyo", "Australia/Sydney", "Europe/Amsterdam", "Europe/Berlin", "Europe/London",
    "Europe/Paris", "Europe/Vienna", "Europe/Zurich",
))  # fmt: skip
ENTERPRISE = "/etc/apt/sources.list.d/pbs-enterprise.sources"
ARCHIVE_KEYS = "/usr/share/keyrings/proxmox-archive-keyring.gpg"
#: Files of packages that are no programs.
CONTENTS = {
    ENTERPRISE: "Types: deb\nURIs: https://enterprise.proxmox.com/debian/pbs\nSuites: trixie\n"
                f"Components: pbs-enterprise\nSigned-By: {ARCHIVE_KEYS}\n",
}  # fmt: skip
#: Repositories that answer nobody without a subscription.
PAID = "https://enterprise.proxmox.com/"


@dataclass(frozen=True)
class Package:
    """Files and units that a package brings; ``source``: a word in the list of sources without which nobody offers it.
    ``user``: the account that its service runs as.
    """

    files: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    source: str = ""
    user: str = ""


PSQL = "/usr/bin/psql"

PACKAGES = {
    "qemu-guest-agent": Package((AGENT,), ("qemu-guest-agent",)),
    "curl": Package((CURL,)),
    "apache2-utils": Package(("/usr/bin/htpasswd",)),
    "python3": Package(("/usr/bin/python3",)),
    "python": Package(("/usr/bin/python3", "/usr/bin/python")),
    "sudo": Package(("/usr/bin/sudo",)),
    "shadow": Package(("/usr/sbin/useradd",)),
    "gnupg": Package(("/usr/bin/gpg",)),
    "locales": Package(("/usr/sbin/locale-gen", "/usr/share/i18n/SUPPORTED")),
    "glibc-locale-source": Package(("/usr/bin/localedef",)),
    "tzdata": Package(ZONES),
    "timezone": Package(ZONES),  # openSUSE's
    "docker.io": Package(DOCKER, ("docker", "containerd")),
    "docker": Package(DOCKER, ("docker", "containerd")),
    "moby-engine": Package(DOCKER, ("docker", "containerd")),
    "docker-ce": Package(DOCKER, ("docker",), "download.docker.com"),
    "docker-ce-cli": Package(("/usr/bin/docker",), (), "download.docker.com"),
    "docker-compose": Package(COMPOSE),
    "docker-compose-v2": Package(COMPOSE),
    "docker-compose-plugin": Package(COMPOSE, (), "download.docker.com"),
    "docker-buildx-plugin": Package((), (), "download.docker.com"),
    "containerd.io": Package((), ("containerd",), "download.docker.com"),
    "unattended-upgrades": Package(("/usr/bin/unattended-upgrade",), ("unattended-upgrades", "apt-daily.timer",
                                                                      "apt-daily-upgrade.timer")),
    "dnf-automatic": Package((), ("dnf-automatic.timer", "dnf-automatic-install.timer")),
    "dnf5-plugin-automatic": Package((), ("dnf5-automatic.timer", "dnf-automatic.timer")),
    "php-fpm": Package((), ("php8.4-fpm", "php-fpm")),
    "wireguard": Package(("/usr/bin/wg",), ("wg-quick@",)),
    "wireguard-tools": Package(("/usr/bin/wg",), ("wg-quick@",)),
    "proxmox-backup-server": Package((ENTERPRISE, ARCHIVE_KEYS), ("proxmox-backup", "proxmox-backup-proxy"), "proxmox"),
    "grafana": Package((), ("grafana-server",), "grafana", "grafana"),
    "tailscale": Package(("/usr/bin/tailscale",), ("tailscaled",)),
    "cronie": Package((), ("crond", "cronie")),
    "openssh-server": Package(("/usr/sbin/sshd",), ("ssh", "sshd")),
    "openssh": Package(("/usr/sbin/sshd",), ("sshd",)),
    **dict.fromkeys(
        ("postgresql", "postgresql-server", "postgresql16", "postgresql17", "postgresql-17"),
        Package((PSQL,), ("postgresql",), "", "postgres"),
    ),
}  # fmt: skip
#: Packages whose services have other names, or several. What is named like its service stands in PORTS alone.
SERVICES = {
    "apache2": "apache2",
    "httpd": "httpd",
    "bind9": "named",
    "bind": "named",
    "nginx-light": "nginx",
    "nginx-full": "nginx",
    "mariadb": "mariadb",
    "mariadb-server": "mariadb",
    "mysql-server": "mysql",
    "samba": "smbd nmbd smb nmb samba",
    "chrony": "chrony chronyd",
    "nfs-kernel-server": "nfs-server nfs-kernel-server",
    "nfs-utils": "nfs-server nfs",
    "nut": "nut-server nut-monitor",
    "nut-server": "nut-server",
    "nut-client": "nut-monitor",
    "influxdb2": "influxdb",
    "squid-openssl": "squid",
    "transmission-cli": "transmission",
    "syncthing": "syncthing@ syncthing",
    "podman": "podman podman.socket",
    "cron": "cron",
    "valkey": "valkey",
    "rsyslog": "rsyslog",
    "jellyfin-server": "jellyfin",
    "prometheus2": "prometheus",
    "openvpn": "openvpn@ openvpn",
    "cifs-utils": "",
    "redis-sentinel": "redis-sentinel",
}
#: Unit -> where it listens: port, protocol (``tcp`` where none is said); ``http`` answers with a page.
PORTS = {
    "adguardhome": "3000/http 53 53/udp",
    "k3s": "6443",
    "monit": "2812/http",
    "mumble-server": "64738 64738/udp",
    "qbittorrent": "8080/http",
    "radicale": "5232/http",
    "restic-server": "8000/http",
    "alertmanager": "9093/http",
    "apache2": "80/http",
    "apt-cacher-ng": "3142/http",
    "avahi-daemon": "5353/udp",
    "caddy": "80/http",
    "cockpit.socket": "9090/http",
    "couchdb": "5984/http",
    "cups": "631/http",
    "dnsmasq": "53 53/udp",
    "docker": "",
    "dovecot": "143 993",
    "etcd": "2379/http",
    "fail2ban": "",
    "forgejo": "3000/http",
    "garage": "3900/http 3903/http",
    "gitea": "3000/http",
    "grafana-server": "3000/http",
    "haproxy": "80/http 8404/http",
    "httpd": "80/http",
    "icecast2": "8000/http",
    "influxdb": "8086/http",
    "jellyfin": "8096/http",
    "keepalived": "",
    "lighttpd": "80/http",
    "loki": "3100/http",
    "mariadb": "3306",
    "memcached": "11211",
    "minidlna": "8200/http",
    "minio": "9000/http 9001/http",
    "mosquitto": "1883",
    "mysql": "3306",
    "named": "53 53/udp",
    "navidrome": "4533/http",
    "netdata": "19999/http",
    "nfs-server": "2049",
    "nfs-kernel-server": "2049",
    "nginx": "80/http",
    "node_exporter": "9100/http",
    "nut-server": "3493",
    "postfix": "25",
    "postgresql": "5432",
    "prometheus": "9090/http",
    "prometheus-alertmanager": "9093/http",
    "prometheus-blackbox-exporter": "9115/http",
    "prometheus-node-exporter": "9100/http",
    "proxmox-backup-proxy": "8007/http",
    "rabbitmq-server": "5672 15672/http 25672",
    "redis": "6379",
    "redis-server": "6379",
    "rest-server": "8000/http",
    "restic-rest-server": "8000/http",
    "rsyslog": "",
    "smb": "445 139",
    "smbd": "445 139",
    "snmpd": "161/udp",
    "squid": "3128/http",
    "ssh": "22",
    "sshd": "22",
    "syncthing": "8384/http 22000",
    "syncthing@": "8384/http 22000",
    "tor": "9050",
    "traefik": "80/http 8080/http",
    "transmission": "9091/http",
    "transmission-daemon": "9091/http",
    "unbound": "53 53/udp",
    "valkey": "6379",
    "valkey-server": "6379",
    "vaultwarden": "8000/http",
    "victoria-metrics": "8428/http",
    "vsftpd": "21",
    "wg-quick@": "51820/udp",
    "zabbix-agent": "10050",
    "zabbix-agent2": "10050",
}
#: The file without which a service does not listen at a port: until somebody has set it up there is its web page alone.
SET_UP = {("adguardhome", 53): "/var/lib/adguardhome/AdGuardHome.yaml"}
#: What services answer to a path, where it is more than a page that says their name: status and text.
ANSWERS: dict[tuple[str, str], tuple[int, str]] = {
    ("adguardhome", "/login.html"): (200, "<title>Login</title>"),
    ("alertmanager", "/-/ready"): (200, "OK"),
    ("prometheus-alertmanager", "/-/ready"): (200, "OK"),
    ("apt-cacher-ng", "/acng-report.html"): (200, "<title>Apt-Cacher NG Command And Control page</title>"),
    ("cups", "/"): (200, "<title>Home - CUPS 2.4.10</title>"),
    ("forgejo", "/api/healthz"): (200, '{"status": "pass"}'),
    ("garage", "/"): (403, "<Error><Code>AccessDenied</Code></Error>"),
    ("gitea", "/api/healthz"): (200, '{"status": "pass"}'),
    ("grafana-server", "/api/health"): (200, '{"database": "ok"}'),
    ("haproxy", "/health"): (200, "ok"),
    ("icecast2", "/"): (200, "<title>Icecast Streaming Media Server</title>"),
    ("influxdb", "/health"): (200, '{"status": "pass"}'),
    ("influxdb", "/api/v2/setup"): (200, '{"allowed": false}'),
    ("jellyfin", "/System/Info/Public"): (200, '{"StartupWizardCompleted":true}'),
    ("jellyfin", "/health"): (200, "Healthy"),
    ("loki", "/ready"): (200, "ready"),
    ("minidlna", "/"): (200, "<title>MiniDLNA 1.3.3</title>"),
    ("monit", "/"): (401, "Unauthorized"),
    ("navidrome", "/app/"): (200, '<title>Navidrome</title>{"firstTime":false,"baseURL":""}'),
    ("prometheus", "/-/ready"): (200, "Prometheus Server is Ready."),
    ("prometheus-blackbox-exporter", "/metrics"): (200, "blackbox_exporter_build_info 1"),
    ("prometheus-node-exporter", "/metrics"): (200, "node_load1 0.1"),
    ("radicale", "/.web/"): (200, "<title>Radicale</title>"),
    ("rabbitmq-server", "/"): (200, "<title>RabbitMQ Management</title>"),
    ("restic-server", "/"): (401, "Unauthorized"),
    ("syncthing", "/rest/noauth/health"): (200, '{"status": "OK"}'),
    ("traefik", "/ping"): (200, "OK"),
    ("transmission-daemon", "/transmission/web/"): (401, "Unauthorized"),
    ("victoria-metrics", "/health"): (200, "OK"),
}
#: What a package's service runs as, where that is not root and not the package's name.
USERS = {
    "nginx": "www-data",
    "apache2": "www-data",
    "mariadb-server": "mysql",
    "mariadb": "mysql",
    "redis-server": "redis",
    "redis": "redis",
    "adguardhome": "adguardhome",
    "prometheus": "prometheus",
    "prometheus-node-exporter": "prometheus",
    "mosquitto": "mosquitto",
    "memcached": "memcache",
    "caddy": "caddy",
    "haproxy": "haproxy",
    "unbound": "unbound",
    "bind9": "bind",
    "squid": "proxy",
    "jellyfin": "jellyfin",
    "transmission-daemon": "debian-transmission",
    "rabbitmq-server": "rabbitmq",
    "cups": "lp",
    "apt-cacher-ng": "apt-cacher-ng",
    "minidlna": "minidlna",
    "influxdb": "influxdb",
    "php-fpm": "www-data",
    "nut-server": "nut",
    "valkey": "valkey",
    "loki": "loki",
}


def package(name: str) -> Package:
    """What a package brings."""
    found = PACKAGES.get(name)
    if found is not None:
        return found
    units = SERVICES.get(name, name if name in PORTS else "").split()
    return Package((), tuple(units), "", USERS.get(name, ""))


def ports(unit: str) -> list[tuple[int, str]]:
    """Where a service listens: numbers and protocols. An instance listens where its template says."""
    name = unit if unit in PORTS else f"{unit.partition('@')[0]}@"
    pairs = (word.partition("/") for word in PORTS.get(name, "").split())
    return [(int(number), kind or "tcp") for number, _slash, kind in pairs]
