# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``ubus`` and ``jsonfilter`` of a scripted OpenWrt guest: its objects answer from its configuration and state."""

from __future__ import annotations

import fnmatch
import json
import time
import typing as t

from ..guest.runtime import Completed, Guest
from . import boot
from .interface_status import status
from .interfaces import Interface
from .network import Network
from .uci import Package, Section, UciError
from .uci_command import Uci

NOT_FOUND, TIMED_OUT, INVALID_COMMAND, INVALID_ARGUMENT, NO_METHOD = 4, 7, 1, 2, 253
MESSAGES = {NOT_FOUND: "Not found", TIMED_OUT: "Request timed out", INVALID_ARGUMENT: "Invalid argument"}
OBJECTS = {
    **dict.fromkeys(["container", "file", "log", "network", "network.device", "network.interface", "network.wireless"]),
    **dict.fromkeys([f"hotplug.{kind}" for kind in ("dhcp", "iface", "leds", "neigh", "net", "ntp", "tftp")]),
    **dict.fromkeys(["rc", "rpc-sys", "service", "session", "system", "uci"]),
    "dhcp": "odhcpd",
    "dnsmasq": "dnsmasq",
    "dnsmasq.dns": "dnsmasq",
}
"""The objects on the bus, with the service that must run for them to be there."""
RESPAWN = {"threshold": 3600, "timeout": 5, "retry": 5}
#: What procd runs for a service: (instance, command).
DAEMONS: dict[str, tuple[str, str]] = {
    "dnsmasq": (
        "cfg01411c",
        "/usr/sbin/dnsmasq -C /var/etc/dnsmasq.conf.cfg01411c -k -x /var/run/dnsmasq/dnsmasq.cfg01411c.pid",
    ),
    "dropbear": ("main", "/usr/sbin/dropbear -F -P /var/run/dropbear.main.pid -p 22 -K 300 -T 3"),
    "log": ("instance1", "/sbin/logd -S 128"),
    "network": ("instance1", "/sbin/netifd"),
    "rpcd": ("instance1", "/sbin/rpcd -s /var/run/ubus/ubus.sock -t 30"),
    "uhttpd": ("main", "/usr/sbin/uhttpd -f -h /www -r OpenWrt -p 0.0.0.0:80"),
    "urngd": ("instance1", "/sbin/urngd"),
}


class UbusError(Exception):
    """A call that failed, with ubus's status."""

    def __init__(self, code: int) -> None:
        super().__init__(MESSAGES.get(code, ""))
        self.code = code


def pretty(value: t.Any, depth: int = 0) -> str:
    """JSON as libubox prints it: tabs, and an empty line inside what is empty."""
    if not isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    inner, outer = "\t" * (depth + 1), "\t" * depth
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    if isinstance(value, dict):
        lines = [f"{json.dumps(key)}: {pretty(held, depth + 1)}" for key, held in value.items()]
    else:
        lines = [pretty(held, depth + 1) for held in value]
    return f"{opening}\n{inner}" + f",\n{inner}".join(lines) + f"\n{outer}{closing}"


def run(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    """The ``ubus`` command."""
    del stdin
    words, compact, wait = list(argv[1:]), False, 30.0
    while words and words[0].startswith("-"):
        option = words.pop(0)
        compact = compact or option == "-S"
        if option.startswith("-t"):
            wait = float(option[2:] or words.pop(0))
    command = words.pop(0) if words else ""
    try:
        if command == "list":
            return _list(guest, words[0] if words else "*")
        if command == "wait_for" and words:
            return _wait_for(guest, words, wait)
        if command == "call" and len(words) >= 2:
            return _call(guest, words, compact)
    except UbusError as error:
        detail = " ".join(["ubus", command, *words])
        said = f"{detail} (Method not found)" if error.code == NO_METHOD else str(error)
        return Completed(error.code, stderr=f"Command failed: {said}\n".encode())
    if command in ("subscribe", "listen", "monitor", "send"):
        return Completed(0)
    return Completed(INVALID_COMMAND, stderr=b"Usage: ubus [<options>] <command> [arguments...]\n")


def objects(guest: Guest) -> list[str]:
    """The names on the bus."""
    running = guest.recall("services", {})
    present = [name for name, service in OBJECTS.items() if service is None or running.get(service)]
    return sorted([*present, *(f"network.interface.{name}" for name in Network(guest).interfaces)])


def _list(guest: Guest, pattern: str) -> Completed:
    found = [name for name in objects(guest) if fnmatch.fnmatchcase(name, pattern)]
    if not found:
        raise UbusError(NOT_FOUND)
    return Completed(0, "".join(f"{name}\n" for name in found).encode())


def _wait_for(guest: Guest, names: list[str], wait: float) -> Completed:
    until = time.monotonic() + wait
    while not set(names) <= set(objects(guest)):
        if time.monotonic() >= until:
            raise UbusError(TIMED_OUT)
        time.sleep(0.05)
    return Completed(0)


def _call(guest: Guest, words: list[str], compact: bool) -> Completed:
    name, method = words[:2]
    try:
        message = json.loads(words[2]) if len(words) > 2 else {}
    except ValueError:
        return Completed(INVALID_ARGUMENT, stderr=b"Failed to parse message data\n")
    if name not in objects(guest):
        raise UbusError(NOT_FOUND)
    interface = name.removeprefix("network.interface.") if name.startswith("network.interface.") else None
    answer = _METHODS.get((name if interface is None else "network.interface.*", method))
    if answer is None:
        raise UbusError(NO_METHOD)
    reply = answer(guest, message if interface is None else {**message, "interface": interface})
    if reply is None:
        return Completed(0)
    text = json.dumps(reply, separators=(",", ":")) if compact else pretty(reply)
    return Completed(0, f"{text}\n".encode())


# -- system ------------------------------------------------------------------------------------------------------------


def _board(guest: Guest, _message: dict[str, t.Any]) -> dict[str, t.Any]:
    release = boot.release(guest)
    shown = {
        "distribution": release.get("ID", "OpenWrt"),
        "version": release.get("RELEASE", ""),
        "revision": release.get("REVISION", ""),
        "target": release.get("TARGET", ""),
        "description": release.get("DESCRIPTION", ""),
        "builddate": str(int(guest.files.resolve("/etc/openwrt_release").stat().st_mtime)),
    }
    return {
        "kernel": "6.14.11-2-pve",
        "hostname": guest.hostname,
        "system": "Virtual CPU",
        "rootfs_type": "ext4",
        "release": shown,
    }


def _system_info(guest: Guest, _message: dict[str, t.Any]) -> dict[str, t.Any]:
    total = int(guest.options.get("memory", 512)) << 20
    started = guest.state.running().get(guest.vmid, {}).get("started", time.time())
    disk = {"total": 996780, "free": 985184, "used": 11596, "avail": 916372}
    return {
        "localtime": int(time.time()),
        "uptime": int(time.time() - started),
        "load": [0, 0, 0],
        "memory": {
            "total": total,
            "free": total // 2,
            "shared": 0,
            "buffered": 0,
            "available": total // 2,
            "cached": 0,
        },
        "root": disk,
        "tmp": {"total": total >> 11, "free": total >> 11, "used": 0, "avail": total >> 11},
        "swap": {"total": 0, "free": 0},
    }


# -- network -----------------------------------------------------------------------------------------------------------


def _interface(guest: Guest, message: dict[str, t.Any]) -> Interface:
    interface = Network(guest).interfaces.get(str(message.get("interface", "")))
    if interface is None:
        raise UbusError(INVALID_ARGUMENT if "interface" not in message else NOT_FOUND)
    return interface


def _dump(guest: Guest, _message: dict[str, t.Any]) -> dict[str, t.Any]:
    interfaces = Network(guest).interfaces.values()
    return {"interface": [{"interface": interface.name, **status(interface)} for interface in interfaces]}


def _switch(up: bool) -> t.Callable[[Guest, dict[str, t.Any]], None]:
    def switch(guest: Guest, message: dict[str, t.Any]) -> None:
        Network(guest).set_up(_interface(guest, message).name, up)

    return switch


def _device_status(guest: Guest, message: dict[str, t.Any]) -> dict[str, t.Any]:
    network = Network(guest)
    devices = {"lo": "loopback", **dict.fromkeys(network.ports, "ethernet"), **dict.fromkeys(network.bridges, "bridge")}
    name = message.get("name")
    if name is not None and name not in devices:
        raise UbusError(NOT_FOUND)
    shown = {one: _device(network, one, kind) for one, kind in devices.items() if name in (None, one)}
    return shown[name] if name is not None else shown


def _device(network: Network, name: str, kind: str) -> dict[str, t.Any]:
    members = network.bridges.get(name, [])
    port = network.ports.get(members[0] if members else name)
    shown: dict[str, t.Any] = {
        "external": False,
        "present": True,
        "type": "Network device",
        "up": True,
        "carrier": True,
    }
    if kind == "bridge":
        shown["type"] = "bridge"
        shown["bridge-members"] = members
    shown |= {"devtype": kind, "mtu": port.mtu if port else 65536}
    return {**shown, "macaddr": port.mac if port else "00:00:00:00:00:00", "txqueuelen": 1000}


def _reload_network(guest: Guest, _message: dict[str, t.Any]) -> None:
    Network(guest).reload()


# -- services ----------------------------------------------------------------------------------------------------------


def _service_list(guest: Guest, message: dict[str, t.Any]) -> dict[str, t.Any]:
    shown: dict[str, t.Any] = {}
    for number, (name, runs) in enumerate(guest.recall("services", {}).items()):
        if message.get("name") in (None, name) and runs:
            instance, command = DAEMONS.get(name, ("instance1", f"/usr/sbin/{name}"))
            entry = {
                "running": True,
                "pid": 400 + number,
                "command": command.split(),
                "term_timeout": 5,
                "respawn": RESPAWN,
            }
            shown[name] = {"instances": {instance: entry}}
        elif message.get("name") == name:
            shown[name] = {}
    return shown


def _rc_list(guest: Guest, message: dict[str, t.Any]) -> dict[str, t.Any]:
    running = guest.recall("services", {})
    shown: dict[str, t.Any] = {}
    for name, (start, stop) in boot.services(guest).items():
        if message.get("name") in (None, name):
            numbers = {key: number for key, number in (("start", start), ("stop", stop)) if number is not None}
            shown[name] = {**numbers, "enabled": start is not None and boot.enabled(guest, name)}
            if "USE_PROCD=1" in guest.files.read(f"/etc/init.d/{name}"):
                shown[name]["running"] = bool(running.get(name))
    return shown


# -- uci ---------------------------------------------------------------------------------------------------------------


def _package(guest: Guest, message: dict[str, t.Any]) -> Package:
    if "config" not in message:
        raise UbusError(INVALID_ARGUMENT)
    try:
        return Uci(guest.files).load(str(message["config"]))
    except UciError as error:
        raise UbusError(NOT_FOUND) from error


def _uci_values(section: Section) -> dict[str, t.Any]:
    return {".anonymous": section.anonymous, ".type": section.type, ".name": section.name, **section.options}


def _uci_get(guest: Guest, message: dict[str, t.Any]) -> dict[str, t.Any]:
    package = _package(guest, message)
    if "section" not in message:
        kind = message.get("type")
        chosen = [section for section in package.sections if kind in (None, section.type)]
        return {"values": {one.name: {**_uci_values(one), ".index": package.sections.index(one)} for one in chosen}}
    section = package.find(str(message["section"]))
    if section is None or (message.get("option") is not None and message["option"] not in section.options):
        raise UbusError(NOT_FOUND)
    if message.get("option") is not None:
        return {"value": section.options[message["option"]]}
    return {"values": _uci_values(section)}


def _uci_configs(guest: Guest, _message: dict[str, t.Any]) -> dict[str, t.Any]:
    folder = guest.files.resolve("/etc/config")
    return {"configs": sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []}


_METHODS: dict[tuple[str, str], t.Callable[[Guest, dict[str, t.Any]], dict[str, t.Any] | None]] = {
    ("system", "board"): _board,
    ("system", "info"): _system_info,
    ("network.interface.*", "status"): lambda guest, message: status(_interface(guest, message)),
    ("network.interface.*", "up"): _switch(True),
    ("network.interface.*", "down"): _switch(False),
    ("network.interface", "status"): lambda guest, message: status(_interface(guest, message)),
    ("network.interface", "up"): _switch(True),
    ("network.interface", "down"): _switch(False),
    ("network.interface", "dump"): _dump,
    ("network.device", "status"): _device_status,
    ("network", "reload"): _reload_network,
    ("network", "restart"): _reload_network,
    ("service", "list"): _service_list,
    ("rc", "list"): _rc_list,
    ("uci", "get"): _uci_get,
    ("uci", "configs"): _uci_configs,
}
