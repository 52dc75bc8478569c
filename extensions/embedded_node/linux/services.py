# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a guest: those of its image, of its packages, and units that somebody wrote."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..guest.runtime import Completed, done
from . import catalog, distributions
from . import package_database as database

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..guest.runtime import Guest

UNITS = "/etc/systemd/system"
#: Where it is noted that a service of the image does not start with the guest any more.
DISABLED = "/var/lib/systemd/disabled"
KINDS = (".service", ".timer", ".socket", ".target", ".path", ".mount")
#: Services that run in every guest, and those that an image brings with a file.
BASE = {
    "systemd": frozenset(("ssh", "sshd", "cron", "crond", "chronyd", "dbus", "systemd-networkd", "systemd-resolved",
                          "systemd-logind", "systemd-timesyncd", "systemd-journald", "cloud-init", "cloud-final",
                          "networking")),
    "openrc": frozenset(),  # each has a script of its own
    "rc": frozenset(("cloudinit", "cron", "sshd", "syslogd")),
}  # fmt: skip
BROUGHT = {"qemu-guest-agent": catalog.AGENT, "docker": "/usr/bin/dockerd", "containerd": "/usr/bin/dockerd"}
#: What a service does when it starts; each enters itself when it is imported.
HOOKS: dict[str, list[t.Callable[[Guest], None]]] = {}
STATES = {"start": True, "restart": True, "reload": True, "reload-or-restart": True, "try-restart": True, "stop": False,
          "try-reload-or-restart": True}  # fmt: skip
#: Programs below these folders are somebody's own: a unit that names one which is not there does not start.
OWN = ("/usr/local/", "/opt/", "/srv/", "/home/", "/root/")


@dataclass(frozen=True)
class Init:
    """Where an init system has what somebody wrote, and what starts with the guest."""

    units: str
    links: str
    suffix: str


INITS = {
    "systemd": Init(UNITS, f"{UNITS}/multi-user.target.wants", ".service"),
    "openrc": Init("/etc/init.d", "/etc/runlevels/default", ""),
    "rc": Init("/usr/local/etc/rc.d", "/etc/rc.conf.d", ""),
}


def _init(guest: Guest) -> Init:
    return INITS[distributions.of(guest.files).init]


def plain(name: str) -> str:
    """A service's name without ``.service``; units of other kinds keep theirs."""
    return name.removesuffix(".service")


def _file(name: str, suffix: str) -> str:
    return name if name.endswith(KINDS) else f"{name}{suffix}"


def _own(guest: Guest, name: str) -> str | None:
    """The path of a unit that somebody wrote, of an instance that of its template."""
    init = _init(guest)
    names = [name, f"{name.partition('@')[0]}@"] if "@" in name else [name]
    paths = (f"{init.units}/{_file(each, init.suffix)}" for each in names)
    return next((path for path in paths if guest.files.exists(path)), None)


def packaged(guest: Guest) -> set[str]:
    """The services that installed packages have brought."""
    return {unit for name in database.installed(guest.files) for unit in catalog.package(name).units}


def _by_package(guest: Guest, name: str) -> bool:
    found = packaged(guest)
    return name in found or ("@" in name and f"{name.partition('@')[0]}@" in found)


def _by_image(guest: Guest, name: str) -> bool:
    brought = name in BROUGHT and guest.files.exists(BROUGHT[name]) and not _by_package(guest, name)
    return brought or name in BASE[distributions.of(guest.files).init]


def is_known(guest: Guest, name: str) -> bool:
    """Whether there is such a service."""
    return _by_image(guest, name) or _own(guest, name) is not None or _by_package(guest, name)


def is_enabled(guest: Guest, name: str) -> bool:
    """Whether it starts with the guest."""
    init = _init(guest)
    if guest.files.exists(f"{init.links}/{_file(name, init.suffix)}"):
        return True
    by_image = _by_image(guest, name) and not _own(guest, name)
    return by_image and not guest.files.exists(f"{DISABLED}/{name}")


def is_masked(guest: Guest, name: str) -> bool:
    """Whether it is kept from being started at all."""
    return guest.files.exists(f"{DISABLED}/{name}.masked")


def is_active(guest: Guest, name: str) -> bool:
    """Whether it runs: as it was told since the start, else because it starts with the guest."""
    told = guest.recall("services", {}).get(name)
    return is_known(guest, name) and (is_enabled(guest, name) if told is None else told is True)


def has_failed(guest: Guest, name: str) -> bool:
    """Whether its last start came to nothing."""
    return guest.recall("services", {}).get(name) == "failed"


def set_active(guest: Guest, name: str, active: bool) -> bool:
    """Start or stop it; returns whether that worked."""
    works = not active or _can_start(guest, name)
    guest.remember("services", {**guest.recall("services", {}), name: active if works else "failed"})
    for hook in HOOKS.get(name, ()) if active and works else ():
        hook(guest)
    return works


def _can_start(guest: Guest, name: str) -> bool:
    """Whether the program of a unit that somebody wrote is there."""
    program = unit_of(guest, name).get("ExecStart", "").lstrip("-@:+!").split(" ")[0]
    return not program.startswith(OWN) or guest.files.exists(program)


def enable(guest: Guest, name: str, enabled: bool) -> None:
    """Have it start with the guest, or not."""
    init = _init(guest)
    link = guest.files.resolve(f"{init.links}/{_file(name, init.suffix)}")
    noted = guest.files.resolve(f"{DISABLED}/{name}")
    if enabled:
        guest.files.write(f"{init.links}/{_file(name, init.suffix)}", guest.files.read(_own(guest, name) or ""))
        noted.unlink(missing_ok=True)
    else:
        link.unlink(missing_ok=True)
        if _by_image(guest, name):
            guest.files.write(f"{DISABLED}/{name}", "")


def brought(guest: Guest, name: str, starts: bool) -> None:
    """A package has brought a service: Debian and its kin enable and start it, others leave that to people."""
    init = _init(guest)
    if init is INITS["openrc"] and not name.endswith(KINDS):
        guest.files.write(f"{init.units}/{name}", distributions.INIT_SCRIPT, 0o755)
    if distributions.of(guest.files).starts_services and "@" not in name:
        enable(guest, name, True)
        set_active(guest, name, starts)


def gone(guest: Guest, name: str) -> None:
    """The package of a service is removed."""
    set_active(guest, name, False)
    init = _init(guest)
    written = [f"{init.units}/{name}"] if init is INITS["openrc"] else []
    for path in (f"{init.links}/{_file(name, init.suffix)}", *written):
        guest.files.resolve(path).unlink(missing_ok=True)


def names(guest: Guest) -> list[str]:
    """All services that are known."""
    init = _init(guest)
    folder = guest.files.resolve(init.units)
    written = {plain(path.name) for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()
    return sorted(
        {
            name
            for name in {*BASE[distributions.of(guest.files).init], *BROUGHT, *written, *packaged(guest)}
            if is_known(guest, name)
        }
    )


def listening(guest: Guest) -> list[tuple[int, str, str]]:
    """Where its services listen: port, protocol, service."""
    active = [name for name in names(guest) if is_active(guest, name)]
    active += [name for name, told in guest.recall("services", {}).items() if "@" in name and told is True]
    places = [(port, kind, name) for name in dict.fromkeys(active) for port, kind in catalog.ports(name)]
    return [each for each in places if guest.files.exists(catalog.SET_UP.get((each[2], each[0]), "/"))]


def unit_of(guest: Guest, name: str) -> dict[str, str]:
    """The settings of a unit that somebody wrote, the last of each name."""
    return dict(re.findall(r"^(\w+)=(.*)$", guest.files.read(f"{UNITS}/{name}.service"), re.MULTILINE))


# -- what runs them ----------------------------------------------------------------------------------------------------


def service(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    """``service NAME ACTION``, and ``rc-service``, which also knows ``-e NAME``: whether there is such a service."""
    words = [word for word in argv[1:] if word not in ("-q", "--quiet", "--nocolor", "-C")]
    if words[:1] in (["-e"], ["--exists"]):
        return done(rc=int(not is_known(guest, words[1])))
    name, action = ([*(word for word in words if not word.startswith("-")), "", ""])[:2]
    if not is_known(guest, name):
        return done(rc=1, err=f" * rc-service: service `{name}' does not exist\n")
    if action in STATES and not set_active(guest, name, STATES[action]):
        return done(rc=1, err=f" * ERROR: {name} failed to start\n")
    if action not in STATES and action != "status":
        return done(rc=127, err=f" * {name}: action {action!r} is not known here\n")
    state = "started" if is_active(guest, name) else "crashed" if has_failed(guest, name) else "stopped"
    code = {"started": 0, "crashed": 32, "stopped": 3}[state] if action == "status" else 0
    return done(f" * status: {state}\n", code)


def rc_status(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    """``rc-status -r``: the runlevel."""
    return done("default\n") if list(argv[1:]) == ["-r"] else done(rc=127, err="rc-status: only -r is known here\n")


def rc_update(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    """``rc-update add|del NAME [RUNLEVEL]``, ``rc-update [show]``."""
    words = [word for word in argv[1:] if not word.startswith("-")]
    action, name = ([*words, "", ""])[:2]
    if action in ("", "show"):
        return done("".join(f"{each:>20} | default\n" for each in names(guest) if is_enabled(guest, each)))
    if action not in ("add", "del", "delete"):
        return done(rc=127, err=f" * rc-update: action {action!r} is not known here\n")
    if not is_known(guest, name):
        return done(rc=1, err=f" * rc-update: service `{name}' does not exist\n")
    if action == "add" and is_enabled(guest, name):
        return done(f" * rc-update: {name} already installed in runlevel `default'; skipping\n")
    enable(guest, name, action == "add")
    return done()
