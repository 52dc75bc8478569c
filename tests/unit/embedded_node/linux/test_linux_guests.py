# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scripted container of each distribution answers: a table of scripts, each run in a container of its own."""

from __future__ import annotations

import itertools
import json
import re
import typing as t
from pathlib import Path

import pytest

from embedded_node import bootstrap, commands
from embedded_node.linux import apt, distributions, package_database
from embedded_node.state import faults
from embedded_node.state.root import State

#: Distribution -> what its template has of its own.
TREES: dict[str, dict[str, t.Any]] = {
    "debian": bootstrap.DEBIAN,
    "ubuntu": bootstrap.UBUNTU,
    "alpine": bootstrap.ALPINE,
    **{name: {**bootstrap.COMMON, "etc/os-release": f'NAME="{name}"\nID="{name}"\n'}
       for name in ("fedora", "rocky", "opensuse-leap", "arch")},
}  # fmt: skip
NUMBERS = itertools.count(100)


class Container:
    """A container that runs, and its shell."""

    def __init__(self, root: Path, vmid: int) -> None:
        self.root, self.vmid, self.state = root, vmid, State(root)

    def run(self, *argv: str, stdin: str = "") -> tuple[int, str, str]:
        return commands.run(["pct", "exec", str(self.vmid), "--", *argv], self.root, stdin.encode())

    def sh(self, script: str) -> tuple[int, str]:
        """A script, fed on stdin; what it complains about is told along."""
        rc, out, err = self.run("sh", "-s", stdin=script)
        return rc, out + err

    def restart(self) -> None:
        for word in ("stop", "start"):
            assert commands.run(["pct", word, str(self.vmid)], self.root)[0] == 0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node that has a template of each distribution."""
    folder = tmp_path_factory.mktemp("node")
    bootstrap.prepare(folder, "pve1", {}, "geheim", ("t", "s"))
    for name, files in TREES.items():
        bootstrap.make_template(folder / f"var/lib/vz/template/cache/{name}-1_1_amd64.tar.zst", files)
    return folder


@pytest.fixture
def make(root: Path) -> t.Callable[..., Container]:
    def container(system: str, online: bool = True) -> Container:
        vmid = next(NUMBERS)
        address = f"ip=10.10.10.{vmid % 200 + 20}/24" if online else "ip=manual"
        words = f"pct create {vmid} local:vztmpl/{system}-1_1_amd64.tar.zst --rootfs local-lvm:1"
        argv = [*words.split(), "--net0", f"name=eth0,bridge=vmbr0,{address}", "--start", "1"]
        assert commands.run(argv, root)[0] == 0
        return Container(root, vmid)

    return container


INSTALL = {
    "debian": "apt-get -q update && apt-get -qy -o DPkg::Lock::Timeout=300 install {0}",
    "ubuntu": "apt-get -q update && apt-get -qy install {0}",
    "alpine": "apk --wait 120 update && apk --wait 120 add {0}",
    "fedora": "dnf -q -y install {0}",
    "rocky": "dnf -q -y makecache && dnf -q -y install {0}",
    "opensuse-leap": "zypper -n -q refresh && zypper -n -q install {0}",
    "arch": "pacman -Sy --noconfirm && pacman -S --noconfirm {0}",
}
QUERY = {
    "apt-get": "dpkg-query -W -f '${db:Status-Status} ${Package}\\n' nginx no-such 2>&1",
    "apk": "apk info -e nginx no-such",
    "dnf": "rpm -q --qf 'installed %{NAME}\\n' nginx no-such",
    "zypper": "rpm -q --qf 'installed %{NAME}\\n' nginx no-such",
    "pacman": "pacman -Qq nginx no-such",
}
REMOVE = {
    "apt-get": "apt-get -q -y remove nginx", "apk": "apk --wait 120 del nginx", "dnf": "dnf -q -y remove nginx",
    "zypper": "zypper -n -q remove nginx", "pacman": "pacman -R --noconfirm nginx",
}  # fmt: skip


@pytest.mark.parametrize("system", TREES)
def test_a_package_comes_and_goes_with_its_service(make: t.Callable[..., Container], system: str) -> None:
    inside, manager = make(system), distributions.DISTRIBUTIONS[system].manager
    is_systemd = distributions.DISTRIBUTIONS[system].init == "systemd"
    active = "systemctl is-active nginx" if is_systemd else "rc-service nginx status"
    enable = (
        "systemctl enable --now nginx" if is_systemd else "rc-update -q add nginx default && rc-service -q nginx start"
    )
    rc, said = inside.sh(QUERY[manager])
    assert rc and "installed nginx" not in said
    assert inside.sh(active)[0]
    rc, said = inside.sh(INSTALL[system].format("nginx"))
    assert rc == 0, said
    rc, said = inside.sh(QUERY[manager])
    assert rc and re.search(r"^(installed )?nginx$", said, re.MULTILINE), said
    starts = manager == "apt-get"
    assert (inside.sh(active)[0] == 0) is starts, "only Debian and its kin start what a package brings"
    assert inside.sh(enable)[0] == 0 and inside.sh(active)[0] == 0
    inside.restart()
    assert inside.sh(active)[0] == 0
    assert inside.sh(REMOVE[manager])[0] == 0
    assert inside.sh(active)[0] and "installed nginx" not in inside.sh(QUERY[manager])[1]


@pytest.mark.parametrize("system", TREES)
def test_nothing_is_installed_without_a_network_or_of_nobody(make: t.Callable[..., Container], system: str) -> None:
    offline, online = make(system, online=False), make(system)
    assert offline.sh(INSTALL[system].format("nginx"))[0]
    rc, said = online.sh(INSTALL[system].format("no-such-package"))
    assert rc and "no-such-package" in said


@pytest.mark.parametrize("system", ["debian", "alpine"])
def test_lists_that_were_never_fetched_offer_nothing(make: t.Callable[..., Container], system: str) -> None:
    inside = make(system)
    rc, said = inside.sh(INSTALL[system].format("nginx").partition("&& ")[2])
    assert rc and "nginx" in said


#: Script and what it prints; in a Debian.
SCRIPTS: list[tuple[str, int, str]] = [
    ("useradd -m -s /bin/bash -G sudo -c 'Bob B' bob; stat -c '%a %U:%G' /home/bob; id -nG bob", 0,
     "700 bob:bob\nbob sudo\n"),
    ("useradd -r svc; id -u svc; getent passwd svc", 0, "999\nsvc:x:999:999::/home/svc:/bin/sh\n"),
    ("useradd x; useradd x", 9, "useradd: user 'x' already exists\n"),
    ("useradd -G nogroup1 x", 6, "useradd: group 'nogroup1' does not exist\n"),
    ("useradd -u 4242 -g users x; id x", 0, "uid=4242(x) gid=100(users) groups=100(users)\n"),
    ("useradd x; printf 'x:$6$a$b\\n' | chpasswd -e; getent shadow x; usermod -L x; passwd -S x", 0,
     "x:$6$a$b:20000:0:99999:7:::\nx L 2025-01-01 0 99999 7 -1\n"),
    ("printf 'ghost:!\\n' | chpasswd -e", 1, "chpasswd: (line 1, user ghost) password not changed\n"),
    ("useradd x; usermod -aG sudo x; usermod -aG adm x; gpasswd -d x sudo; id -nG x", 0, "x adm\n"),
    ("useradd x; usermod -G sudo,adm x; usermod -G adm x; id -nG x", 0, "x adm\n"),
    ("useradd -m x; touch /home/x/f; userdel x; id x; ls /home/x", 0, "f\nid: 'x': no such user\n"),
    ("useradd -m x; userdel -r x; ls -d /home/x; getent group x", 2, "ls: /home/x: No such file or directory\n"),
    ("groupadd -g 7000 team; getent group team 7000; groupdel team; getent group team", 2, "team:x:7000:\n" * 2),
    ("umask 077; echo a > f; stat -c %a f; umask; chmod u=rw,g+r,o= f; stat -c '%a %A' f", 0,
     "600\n0077\n640 -rw-r-----\n"),
    ("touch f; chmod 0444 f; stat -c %a f; chmod a+X,u+s f; stat -c %a f; chmod 7777x f", 1,
     "444\n4444\nchmod: invalid mode '7777x'\n"),
    ("useradd x; touch f; chown x:adm f; stat -c '%U:%G %u' f; mv f g; stat -c %U g; chown x: g; stat -c %G g", 0,
     "x:adm 1000\nx\nx\n"),
    ("touch f; chown nobody f; cp f g; cp -p f h; rm f; touch f; stat -c '%n %U' f g h", 0,
     "f root\ng root\nh nobody\n"),
    ("mkdir -p d/e; touch d/e/f; chown -R nobody:nogroup d; stat -c %U d/e/f; rm -r d; mkdir d; stat -c %U d", 0,
     "nobody\nroot\n"),
    ("touch f; chown ghost f", 1, "chown: invalid user: 'ghost'\n"),
    ("echo hi | install -o nobody -g adm -m 0640 /dev/stdin /etc/f; cat /etc/f; stat -c '%a %U %G %s' /etc/f", 0,
     "hi\n640 nobody adm 3\n"),
    ("install -d -m 0711 -o nobody /srv/x; stat -c '%a %U %F' /srv/x; stat -c %a /srv/y", 1,
     "711 nobody directory\nstat: cannot statx '/srv/y': No such file or directory\n"),
    ("stat /etc/passwd", 127, "stat: what it says without -c is not known here\n"),
    ("printf x > f; sha256sum < f; printf x | sha256sum", 0,
     "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881  -\n" * 2),
    ("echo ok | base64 | base64 -d; timeout 5 sh -c 'exit 3'; echo $?", 0, "ok\n3\n"),
    ("timedatectl set-timezone Europe/Berlin; timedatectl show -p Timezone --value; readlink /etc/localtime", 0,
     "Europe/Berlin\n../usr/share/zoneinfo/Europe/Berlin\n"),
    ("timedatectl set-timezone Mars/Base", 1,
     "Failed to set time zone: Invalid or not installed time zone 'Mars/Base'\n"),
    ("sed -i 's/^# de_DE/de_DE/' /etc/locale.gen; locale-gen > /dev/null; locale -a", 0,
     "C\nC.utf8\nPOSIX\nde_DE.utf8\n"),
    ("update-locale LANG=de_DE.UTF-8; cat /etc/default/locale; locale", 0, "LANG=de_DE.UTF-8\n" * 2),
    ("systemctl is-active nope; systemctl is-enabled nope; systemctl start nope", 5,
     "inactive\nnot-found\nFailed to start nope.service: Unit nope.service not found.\n"),
    ("systemctl show -p LoadState,UnitFileState ssh; systemctl disable --now ssh; systemctl is-active ssh", 3,
     "LoadState=loaded\nUnitFileState=enabled\ninactive\n"),
    ("systemctl mask ssh; systemctl is-enabled ssh; systemctl start ssh; systemctl unmask ssh; systemctl start ssh", 0,
     "masked\nFailed to start ssh.service: Unit ssh.service is masked.\n"),
    ("printf '[Service]\\nExecStart=/opt/x/run\\n' > /etc/systemd/system/x.service; systemctl enable x; "
     "systemctl is-enabled x; systemctl start x 2> /dev/null; echo $?; systemctl is-active x; mkdir -p /opt/x; "
     "touch /opt/x/run; systemctl start x; systemctl is-active x", 0, "enabled\n1\nfailed\nactive\n"),
    ("systemctl frobnicate", 1, "Unknown command verb 'frobnicate'.\n"),
    ("systemctl --colour is-active ssh", 127, "systemctl: unrecognized option '--colour', which is not known here\n"),
    ("apt-get frobnicate", 127, "apt-get: operation 'frobnicate' is not known here\n"),
    ("frobnicate", 127, "sh: frobnicate: not found\n"),
    ("dnf; apk; rc-service", 127, "sh: dnf: not found\nsh: apk: not found\nsh: rc-service: not found\n"),
    ("visudo -cf /etc/sudoers; echo 'bob ALL=(ALL) NOPASSWD: ALL' | visudo -cf -; echo nonsense | visudo -cf -", 1,
     "/etc/sudoers: parsed OK\n-: parsed OK\n-:1:1: syntax error\n"),
    ("getent hosts deb.debian.org; getent hosts localhost; getent hosts nothing", 2,
     "192.0.2.80      deb.debian.org\n127.0.0.1       localhost\n"),
    ("apt-get -q update > /dev/null; apt-get -qy install apache2-utils > /dev/null; "
     "cat /proc/sys/kernel/random/uuid > p; wc -c < p; htpasswd -n -i -B -C 10 ann < p | cut -c 1-11", 0,
     "37\nann:$2y$10$\n"),
    ("htpasswd -n -i -B ann < /etc/hostname", 127, "sh: htpasswd: not found\n"),
    ("systemd-detect-virt; dpkg --print-architecture; dpkg --compare-versions 1.10 gt 1.9; echo $?", 0,
     "lxc\namd64\n0\n"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "rc", "said"), SCRIPTS)
def test_what_a_debian_answers(make: t.Callable[..., Container], script: str, rc: int, said: str) -> None:
    code, told = make("debian").sh(f"cd /root; {script}")
    assert (code, sorted(told.splitlines())) == (rc, sorted(said.splitlines()))


def test_what_an_alpine_answers(make: t.Callable[..., Container]) -> None:
    inside = make("alpine")
    assert inside.sh("useradd x")[0] == inside.sh("systemctl")[0] == inside.sh("apt-get")[0] == 127
    assert inside.sh("adduser -D -s /bin/sh ann; addgroup team; addgroup ann team; id -nG ann") == (0, "ann team\n")
    assert inside.sh("adduser -D -S svc; id -gn svc; deluser ann team; id -nG ann") == (0, "nogroup\nann\n")
    assert inside.sh("apk update; apk add shadow > /dev/null; useradd x; id -u x") == (0, "1001\n")
    assert inside.sh("rc-status -r; [ -x /etc/init.d/sshd ] && [ -e /etc/runlevels/default/sshd ]") == (0, "default\n")
    assert inside.sh("rc-update -q del sshd default; [ -e /etc/runlevels/default/sshd ]")[0] == 1
    inside.restart()
    assert inside.sh("rc-service -q sshd status")[0] == 3
    assert inside.sh("rc-service nope start")[0] == 1


def test_a_service_that_nobody_has_set_up_has_its_web_page_alone(make: t.Callable[..., Container]) -> None:
    inside = make("alpine")
    inside.sh("apk update; apk add adguardhome; rc-service -q adguardhome start")
    ports = "nc -z 127.0.0.1 3000 && echo page; nc -z 127.0.0.1 53 && echo DNS; true"
    assert inside.sh(ports) == (0, "page\n")
    inside.sh("mkdir -p /var/lib/adguardhome; echo schema_version: 29 > /var/lib/adguardhome/AdGuardHome.yaml")
    assert inside.sh(ports) == (0, "page\nDNS\n")


def test_a_started_service_answers_at_its_ports_inside_and_from_its_neighbours(
    make: t.Callable[..., Container],
) -> None:
    one, other = make("debian"), make("debian")
    address = re.search(r"inet (10\.[\d.]+)", one.sh("ip -4 -o addr show eth0")[1])
    assert address
    one.sh("apt-get update; apt-get -y install nginx curl postgresql; echo hello > /var/www/html/hi 2>&1 || "
           "{ mkdir -p /var/www/html; echo hello > /var/www/html/hi; }")  # fmt: skip
    other.sh("apt-get update; apt-get -y install curl")
    page = "<html><title>Welcome to nginx!</title></html>\n"
    assert one.sh("curl -fsS http://localhost/; curl -fsS http://127.0.0.1:80/hi") == (0, f"{page}hello\n")
    assert other.sh(f"curl -fsS http://{address[1]}/; nc -z {address[1]} 5432") == (0, page)
    assert one.sh("ss -ltnH | tr -s ' ' | cut -d' ' -f4 | sort") == (
        0,
        "0.0.0.0:22\n0.0.0.0:22\n0.0.0.0:5432\n0.0.0.0:80\n",
    )
    assert one.sh("curl -s -o /dev/null -w '%{http_code}\\n' http://localhost/nope") == (0, "404\n")
    one.sh("systemctl stop nginx")
    assert other.sh(f"curl -fsS http://{address[1]}/")[0] == 7
    assert other.sh("curl -fsS http://127.0.0.1/")[0] == 7


def test_debian_keeps_what_a_removed_package_leaves_and_holds_what_is_held(make: t.Callable[..., Container]) -> None:
    inside = make("debian")
    inside.sh("apt-get update; apt-get -y install nginx htop")
    status = "dpkg-query -W -f='${db:Status-Abbrev}\\n' nginx"
    assert inside.sh(status) == (0, "ii \n")
    inside.sh("apt-mark hold nginx")
    assert inside.sh(f"apt-mark showhold; {status}") == (0, "nginx\nhi \n")
    offers = State(inside.root)
    offers.write(package_database.OFFERED, json.dumps({"nginx": "1.1-1", "htop": "3.5-1"}))
    try:
        inside.sh("apt-get update; apt-get -y upgrade")
        assert inside.sh("dpkg-query -W nginx htop") == (0, "nginx\t1.0-1\nhtop\t3.5-1\n")
        assert "Candidate: 1.1-1" in inside.sh("apt-cache policy nginx")[1]
        assert inside.sh("apt-get -y install nginx=9")[0] == 100
    finally:
        offers.path(package_database.OFFERED).unlink()
    inside.sh("apt-get -y remove nginx")
    assert inside.sh("dpkg-query -W -f='${db:Status-Status}\\n' nginx") == (0, "config-files\n")
    inside.sh("apt-get -y purge nginx")
    assert inside.sh("dpkg-query -W nginx")[0] == 1


def test_a_repository_is_asked_once_its_key_is_there(make: t.Callable[..., Container]) -> None:
    inside = make("debian")
    facts = ("Types: deb", "URIs: https://download.docker.com/linux/debian", "Signed-By: /etc/apt/keyrings/docker.asc")
    inside.run("tee", "/etc/apt/sources.list.d/docker.sources", stdin="\n".join([*facts, ""]))
    rc, said = inside.sh("apt-get update")
    assert rc == 100 and "is not signed" in said
    inside.sh("touch /etc/apt/keyrings/docker.asc")
    assert inside.sh("apt-get -y install docker-ce")[0] == 100
    assert inside.sh("apt-get update && apt-get -y install docker-ce && systemctl is-active docker")[0] == 0


def test_another_package_manager_is_waited_for_as_long_as_is_said(make: t.Callable[..., Container]) -> None:
    inside = make("debian")
    faults.add(inside.state, "packages_locked", vmid=inside.vmid, seconds=0.3)
    rc, said = inside.sh("apt-get update")
    assert rc == 100 and "dpkg/lock-frontend" in said
    assert inside.sh("apt-get -o DPkg::Lock::Timeout=60 update")[0] == 0


def test_services_of_new_packages_wait_where_a_policy_says_so(make: t.Callable[..., Container]) -> None:
    inside = make("debian")
    inside.sh("printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; apt-get update; apt-get -y install nginx")
    assert inside.sh("systemctl is-enabled nginx; systemctl is-active nginx")[1] == "enabled\ninactive\n"


@pytest.mark.parametrize(("left", "right", "order"), [("1.10", "1.9", "gt"), ("2", "2", "eq"), ("1.0", "1.0-1", "lt")])
def test_versions_are_compared_where_this_machine_has_no_dpkg(
    monkeypatch: pytest.MonkeyPatch, left: str, right: str, order: str
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert [word for word in ("lt", "eq", "gt") if apt.compared(left, word, right).rc == 0] == [order]
