# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a scripted OpenWrt guest: init scripts, ``service``, ``reload_config``, ``ifup`` and ``ifdown``."""

from __future__ import annotations

import hashlib
import json
import os
import re
import typing as t

from ..guest.runtime import Command, Completed, Guest, done, not_found
from . import ubus
from .boot import WITHOUT_DAEMON, enabled, services
from .network import Network

#: Which services act on a config file, when ``reload_config`` finds it changed. Others have the file's own name.
TRIGGERS = {"dhcp": ("dnsmasq", "odhcpd"), "system": ("system", "log"), "network": ("network", "firewall")}
SERVICE_USAGE = """\
Syntax: /etc/init.d/{name} [command]

Available commands:
\tstart           Start the service
\tstop            Stop the service
\trestart         Restart the service
\treload          Reload configuration files (or restart if service does not implement reload)
\tenable          Enable service autostart
\tdisable         Disable service autostart
\tenabled         Check if service is started on boot
\trunning         Check if service is running
\tstatus          Service status
\ttrace           Start with syscall trace
\tinfo            Dump procd service info

"""


def _reload_config(guest: Guest, _argv: t.Sequence[str], _stdin: bytes) -> Completed:
    """Reload the services whose committed configuration has changed since they read it."""
    before = guest.recall("read", {})
    now = digests(guest)
    guest.remember("read", now)
    changed = [name for name in now if before.get(name) != now[name]]
    for _service in dict.fromkeys(one for name in changed for one in TRIGGERS.get(name, (name,))):
        if _service in services(guest) and (guest.recall("services", {}).get(_service) or _service in WITHOUT_DAEMON):
            _act(guest, _service, "reload")
    return done()


def digests(guest: Guest) -> dict[str, str]:
    """A digest of each config file, to see later which have changed."""
    folder = guest.files.resolve("/etc/config")
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}


def init_script(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
    """``/etc/init.d/NAME ACTION``."""
    name, action = os.path.basename(argv[0]), argv[1] if len(argv) > 1 else ""
    if name not in services(guest):
        return Completed(127, stderr=not_found(guest.vmid, f"/etc/init.d/{name}"))
    running = bool(guest.recall("services", {}).get(name))
    if action == "running":
        return done(rc=int(not running))
    if action == "enabled":
        return done(rc=int(not enabled(guest, name)))
    if action == "status":
        idle = name in WITHOUT_DAEMON
        said = "running" if running else "active with no instances" if idle else "inactive"
        return done(f"{said}\n", 0 if running or idle else 3)
    if action in ("enable", "disable"):
        return _enable(guest, name, action == "enable")
    if action in ("start", "stop", "restart", "reload", "boot", "shutdown"):
        _act(guest, name, action)
        return done()
    if action == "info":
        return ubus.run(guest, ["ubus", "call", "service", "list", json.dumps({"name": name})], b"")
    return done(SERVICE_USAGE.format(name=name))


def _enable(guest: Guest, name: str, wanted: bool) -> Completed:
    start, stop = services(guest)[name]
    folder = guest.files.resolve("/etc/rc.d")
    folder.mkdir(parents=True, exist_ok=True)
    for path in list(folder.iterdir()):
        if re.fullmatch(rf"[SK]\d+{re.escape(name)}", path.name):
            path.unlink()
    for letter, number in (("S", start), ("K", stop)):
        if wanted and number is not None:
            (folder / f"{letter}{number:02d}{name}").symlink_to(f"../init.d/{name}")
    return done()


def _act(guest: Guest, name: str, action: str) -> None:
    """Start, stop or reload a service, with what others on the network see of it."""
    running = guest.recall("services", {})
    if name not in WITHOUT_DAEMON:
        up = bool(running.get(name)) if action == "reload" else action not in ("stop", "shutdown")
        guest.remember("services", {**running, name: up or action == "reload"})
    if name == "firewall":
        guest.remember("firewall", action not in ("stop", "shutdown"))
    network = Network(guest)
    if name == "network" and action not in ("stop", "shutdown"):
        network.reload()
    else:
        network.note()


def _service(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    if len(argv) > 1:
        return init_script(guest, [f"/etc/init.d/{argv[1]}", *argv[2:]], stdin)
    running = guest.recall("services", {})
    rows = [
        f"/etc/init.d/{name:<18}\t{'enabled' if enabled(guest, name) else 'disabled':>10}"
        f"\t{'running' if running.get(name) else 'stopped':>10}\n"
        for name in services(guest)
    ]
    return done("Usage: service <service> [command]\n" + "".join(rows))


def _if_switch(up: bool) -> Command:
    def switch(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
        network = Network(guest)
        names = list(network.interfaces) if "-a" in argv else list(argv[1:])
        missing = [name for name in names if not network.set_up(name, up)]
        return done(rc=int(bool(missing)), err="".join(f"Interface {name} not found\n" for name in missing))

    return switch


COMMANDS: dict[str, Command] = {
    "reload_config": _reload_config,
    "service": _service,
    "ifup": _if_switch(True),
    "ifdown": _if_switch(False),
}
