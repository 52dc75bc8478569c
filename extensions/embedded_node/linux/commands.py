# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of a Linux guest, container or VM: those of every guest, and what its system and packages bring."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..guest import commands
from ..guest.arguments import Words, command
from ..guest.runtime import SYSTEMS, Command, Completed, Guest, System, done
from . import account_commands, agent, apt, containers, distributions, files, managers, services, system, web
from .catalog import PSQL
from .systemctl import systemctl

if t.TYPE_CHECKING:
    from collections.abc import Sequence

FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
SHELLS = ("sh", "ash", "bash", "dash")
#: What changes nothing that anybody could see here.
SILENT = (
    "blkid", "chattr", "debconf-set-selections", "dpkg-reconfigure", "fallocate", "fuser", "growpart", "logger",
    "loginctl", "modprobe", "mount", "netplan", "networkctl", "partprobe", "reboot", "resize2fs", "restorecon",
    "setenforce", "ssh-keygen", "swapoff", "sysctl", "systemd-tmpfiles", "udevadm", "ufw", "umount",
    "update-ca-certificates", "update-grub", "update-initramfs",
)  # fmt: skip


class _ShellHost(commands.ShellHost):
    """A guest as its shell sees it; variables reach what the shell starts."""

    def run(
        self, argv: Sequence[str], stdin: bytes, place: str, environment: t.Mapping[str, str] | None = None
    ) -> Completed:
        env = {**(self.guest.env or commands.CLEAN_ENV), **(environment or {}), "PWD": place}
        return replace(self.guest, env=env).run(argv, stdin)

    def variables(self) -> t.Mapping[str, str]:
        return self.guest.env


def _shell(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    return commands.run_shell(_ShellHost(guest), argv, stdin)


def _silent(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    return done()


def _as_user(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``runuser -u USER -- COMMAND`` and ``sudo -u USER COMMAND``: whoever asks may do everything here."""
    return guest.run(list(words.plain), stdin)


COMMANDS: dict[str, Command] = {
    **dict.fromkeys(SILENT, _silent),
    **dict.fromkeys(SHELLS, _shell),
    **dict.fromkeys(
        ("runuser", "sudo"), command("u=user: g=group: H=set-home n=non-interactive", _as_user, first=True)
    ),
    **account_commands.COMMANDS,
    **files.COMMANDS,
    "nc": web.nc,
    "wget": web.wget,
}
#: Those that need a file, without which there are none.
PROGRAMS: dict[str, tuple[str, Command]] = {"psql": (PSQL, _silent)}
TABLES = (PROGRAMS, containers.COMMANDS, system.COMMANDS, agent.COMMANDS)
#: What runs services, by the distribution's init; no guest has another's.
SERVICES: dict[str, dict[str, Command]] = {
    "systemd": {"systemctl": systemctl, "service": services.service},
    "openrc": {
        "rc-service": services.service,
        "rc-update": services.rc_update,
        "rc-status": services.rc_status,
        "service": services.service,
    },
    "rc": {"service": services.service, "sysrc": _silent},
}
#: A folder by which programs see that systemd is what runs services.
SYSTEMD_RUNS = "/run/systemd/system"
OTHERS = {name for table in SERVICES.values() for name in table}


def find(guest: Guest, name: str) -> Command | None:
    """What runs by a name or path: a script of the guest's own, what a package brought, or what every guest has."""
    base = name.rpartition("/")[2]
    script = None if base in SHELLS else _script(guest, name)
    if script is not None:
        return lambda guest, argv, stdin: _shell(guest, ["sh", script, *argv[1:]], stdin)
    for needed, run in (table[base] for table in TABLES if base in table):
        return run if needed is None or guest.files.exists(needed) else None
    runs = distributions.of(guest.files)
    if base in managers.COMMANDS:
        kinds, run = managers.COMMANDS[base]
        return run if runs.manager in kinds.split() else None
    if base in apt.COMMANDS:
        return apt.COMMANDS[base] if runs.manager == "apt-get" else None
    if base in OTHERS:
        return SERVICES[runs.init].get(base)
    if base in account_commands.SHADOW_COMMANDS:
        there = runs.manager != "apk" or guest.files.exists("/usr/sbin/useradd")
        return account_commands.SHADOW_COMMANDS[base] if there else None
    if base == "adduser":
        return account_commands.ADDUSER.get(runs.manager)
    return COMMANDS.get(base) or commands.find(name)


def _script(guest: Guest, name: str) -> str | None:
    """The path of a script that somebody wrote into the guest."""
    paths = [name] if "/" in name else [f"{folder}/{name}" for folder in FOLDERS]
    for path in paths:
        if guest.files.exists(path) and guest.files.read(path).startswith("#!"):
            return path
    return None


def _booted(guest: Guest) -> None:
    """A template leaves out much that a container has."""
    if guest.files.exists(distributions.OS_RELEASE):
        distributions.complete(guest.files)


def linux(marker: str, booted: t.Callable[[Guest], None], more: t.Mapping[str, Command]) -> System:
    """A system whose guests have these commands, and more."""

    def found(guest: Guest, name: str) -> Command | None:
        return more.get(name.rpartition("/")[2]) or find(guest, name)

    def started(guest: Guest) -> None:
        booted(guest)
        if distributions.of(guest.files).init == "systemd" and guest.files.exists(distributions.OS_RELEASE):
            guest.files.resolve(SYSTEMD_RUNS).mkdir(parents=True, exist_ok=True)

    return System(
        marker=marker,
        find=found,
        knows=lambda guest, name: found(guest, name) is not None,
        booted=started,
        addresses=containers.addresses,
        macs=containers.MACS,
    )


SYSTEMS["linux"] = linux("", _booted, {})
