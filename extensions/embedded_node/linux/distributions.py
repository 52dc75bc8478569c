# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The systems that guests run, as data, and the files that each starts with."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from .catalog import AGENT, AGENT_CONFIG, AGENT_FILTER, CURL, SEMODULE, ZONES

if t.TYPE_CHECKING:
    from ..state.rootfs import GuestFiles

CLOUD_CFG = "/etc/cloud/cloud.cfg"
OS_RELEASE = "/etc/os-release"
ID_LINE = re.compile(rb'(?:\A|[\n\0])ID="?([a-z][\w.-]*)"?\n')
RELEASE_LIMIT = 2048
FOLDERS = (
    "/root", "/home", "/mnt", "/opt", "/srv", "/tmp", "/var/cache", "/var/lib", "/var/log", "/var/tmp",
    "/usr/bin", "/usr/lib", "/usr/local/bin", "/usr/local/sbin", "/usr/sbin",
    *(f"/etc/{name}" for name in ("cron.d", "default", "modules-load.d", "profile.d", "sysctl.d")),
)  # fmt: skip
#: Folders that come with what installs packages, and with what runs services.
KIN = {
    "apt-get": ("/etc/apt/sources.list.d", "/etc/apt/keyrings", "/etc/apt/apt.conf.d", "/etc/apt/preferences.d",
                "/usr/share/keyrings"),
    "dnf": ("/etc/yum.repos.d", "/etc/pki/rpm-gpg"), "apk": ("/etc/apk", "/etc/apk/keys"),
    "zypper": ("/etc/zypp/repos.d",), "pacman": ("/etc/pacman.d",),
    "systemd": ("/etc/systemd/system",), "openrc": ("/etc/init.d", "/etc/local.d", "/etc/runlevels/default"),
    "rc": ("/etc/rc.d",),
}  # fmt: skip
FILES = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "/etc/shadow": "root:*:19000:0:99999:7:::\n",
    "/etc/group": "root:x:0:\n",
    "/etc/sudoers": "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
    "/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n",
}


#: What OpenRC starts, each by its script.
OPENRC = ("bootmisc", "crond", "hostname", "networking", "sshd", "syslog")
INIT_SCRIPT = "#!/sbin/openrc-run\n"
MODES = {"/etc/shadow": 0o640, "/etc/sudoers": 0o440, "/usr/sbin/locale-gen": 0o755}


@dataclass(frozen=True)
class Distribution:
    """A distribution's image: its first user, what installs its packages and runs its services, what it brings.

    ``marker`` is a file of what configures it at its first start. ``brings`` are the files of a cloud image,
    ``packages`` what its database has from the beginning. ``starts_services``: those that a package brings run at once.
    ``makes_homes``: a new user has a home without being asked. ``groups``: those that are there, and their numbers.
    ``filters_agent``: its guest agent runs no commands.
    """

    user: str
    manager: str
    brings: tuple[str, ...] = ()
    init: str = "systemd"
    marker: str = CLOUD_CFG
    hostname: str = "localhost"
    packages: tuple[str, ...] = ()
    starts_services: bool = False
    makes_homes: bool = False
    filters_agent: bool = False
    groups: t.Mapping[str, int] = field(default_factory=dict)


DEB = ("apt", "base-files", "bash", "ca-certificates", "coreutils", "cron", "debconf", "dpkg", "gpgv", "locales",
       "openssh-server", "systemd", "tzdata")  # fmt: skip
APK = ("alpine-baselayout", "apk-tools", "busybox", "ca-certificates-bundle", "musl", "openrc")
RPM = ("bash", "ca-certificates", "coreutils", "glibc", "rpm", "shadow-utils", "systemd", "tzdata")
ARCH = ("bash", "ca-certificates", "coreutils", "filesystem", "glibc", "pacman", "shadow", "systemd", "tzdata")
DEB_GROUPS = {"adm": 4, "sudo": 27, "www-data": 33, "video": 44, "users": 100, "render": 992}
APK_GROUPS = {"wheel": 10, "nogroup": 65533, "video": 27, "www-data": 82, "users": 100}
RPM_GROUPS = {"wheel": 10, "video": 39, "render": 105, "users": 100}
ARCH_GROUPS = {"wheel": 998, "video": 985, "render": 989, "users": 984}
LOCALES = "# This file lists locales that you wish to have built.\n" + "".join(
    f"# {name}.UTF-8 UTF-8\n"
    for name in ("de_AT", "de_CH", "de_DE", "en_GB", "en_US", "es_ES", "fr_FR", "it_IT", "pl_PL")
)
#: ``ID`` of os-release -> the system. One that does not tell what it is brings everything.
DISTRIBUTIONS = {
    "": Distribution(
        "debian", "apt-get", (AGENT, CURL), hostname="", packages=DEB, starts_services=True, groups=DEB_GROUPS
    ),
    "debian": Distribution("debian", "apt-get", packages=DEB, starts_services=True, groups=DEB_GROUPS),
    "ubuntu": Distribution(
        "ubuntu", "apt-get", (CURL,), hostname="ubuntu", packages=DEB, starts_services=True, groups=DEB_GROUPS
    ),
    "devuan": Distribution("devuan", "apt-get", packages=DEB, starts_services=True, groups=DEB_GROUPS, init="openrc"),
    "alpine": Distribution("alpine", "apk", init="openrc", packages=APK, groups=APK_GROUPS),
    "fedora": Distribution("fedora", "dnf", (AGENT, CURL, SEMODULE), packages=RPM, groups=RPM_GROUPS, makes_homes=True),
    "rocky": Distribution(
        "rocky", "dnf", (AGENT, CURL, SEMODULE), packages=RPM, groups=RPM_GROUPS, makes_homes=True, filters_agent=True
    ),
    "almalinux": Distribution(
        "almalinux",
        "dnf",
        (AGENT, CURL, SEMODULE),
        packages=RPM,
        groups=RPM_GROUPS,
        makes_homes=True,
        filters_agent=True,
    ),
    "centos": Distribution(
        "centos", "dnf", (AGENT, CURL, SEMODULE), packages=RPM, groups=RPM_GROUPS, makes_homes=True, filters_agent=True
    ),
    "opensuse-leap": Distribution("opensuse", "zypper", (AGENT, CURL), packages=RPM, groups=RPM_GROUPS),
    "opensuse-tumbleweed": Distribution("opensuse", "zypper", (AGENT, CURL), packages=RPM, groups=RPM_GROUPS),
    "arch": Distribution("arch", "pacman", (CURL,), packages=ARCH, groups=ARCH_GROUPS),
    "freebsd": Distribution("freebsd", "pkg", init="rc"),
    "hassos": Distribution("root", "", (AGENT, CURL), marker="/usr/libexec/hassos-config", hostname="homeassistant"),
    "talos": Distribution("", "", marker="/usr/bin/machined", hostname="talos"),
}


def release(files: GuestFiles) -> dict[str, str]:
    """What a guest's os-release says."""
    found = re.findall(r"^([A-Z_]+)=(\"?)(.*?)\2\s*$", files.read(OS_RELEASE), re.MULTILINE)
    return {key: value for key, _quote, value in found}


def of(files: GuestFiles) -> Distribution:
    """The distribution that a guest runs."""
    return DISTRIBUTIONS.get(release(files).get("ID", ""), DISTRIBUTIONS[""])


def release_on(partition: bytes) -> str:
    """The text of an os-release that lies on a partition, found by its content; empty when none is known."""
    for found in ID_LINE.finditer(partition):
        start = max(partition.rfind(b"\0", 0, found.start(1)) + 1, found.start(1) - RELEASE_LIMIT)
        text = partition[start : found.end() + RELEASE_LIMIT].partition(b"\0")[0].decode("utf-8", "replace")
        if found[1].decode() in DISTRIBUTIONS and "NAME=" in text:
            return text
    return ""


def lay_out(files: GuestFiles, os_release: str) -> None:
    """Write what an image brings, into the empty tree of a guest that boots for the first time."""
    files.write(OS_RELEASE, os_release)
    complete(files)
    system = of(files)
    if system.hostname:
        files.write("/etc/hostname", f"{system.hostname}\n")
    files.write(system.marker, f"system_info:\n  default_user:\n    name: {system.user}\n")
    for name in system.brings:
        files.write(name, "", 0o755)
    if system.filters_agent:
        files.write(AGENT_CONFIG, AGENT_FILTER)


def complete(files: GuestFiles) -> None:
    """Add the folders and files that a system has, as far as its template or image left them out."""
    system = of(files)
    for name in (*FOLDERS, *KIN.get(system.manager, ()), *KIN[system.init]):
        files.resolve(name).mkdir(parents=True, exist_ok=True)
    zones = ZONES if {"tzdata", "timezone"} & set(system.packages) else ()
    languages = {"/usr/sbin/locale-gen": "", "/etc/locale.gen": LOCALES} if "locales" in system.packages else {}
    for name, text in {**FILES, **languages, **dict.fromkeys(zones, "")}.items():
        if not files.exists(name):
            files.write(name, text, MODES.get(name, 0o644))
    for name in OPENRC if system.init == "openrc" else ():
        if not files.exists(f"/etc/init.d/{name}"):
            files.write(f"/etc/init.d/{name}", INIT_SCRIPT, 0o755)
            files.write(f"/etc/runlevels/default/{name}", "")
    groups = files.read("/etc/group")
    missing = [f"{name}:x:{number}:\n" for name, number in system.groups.items() if f"\n{name}:" not in f"\n{groups}"]
    if missing:
        files.write("/etc/group", groups + "".join(missing))
