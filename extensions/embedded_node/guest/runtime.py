# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a container runs: the contract, and ``scripted``, which needs nothing but the container's files.

``Runtime.exec`` gets an argv and stdin's bytes and answers a Completed. The scripted runtime looks the command up in a
table ``{name: command}``; a command is a function ``(guest, argv, stdin) -> Completed`` with argv[0] its own name. What
no table knows is not there: exit 127 with lxc-attach's words. The table is that of the guest's :class:`System`: with
``/etc/openwrt_release`` it is OpenWrt.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
import re
import typing as t
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..api import validation
from ..errors import ApiError
from ..state import kernel
from ..state.config_file import NET_KEY
from ..state.propstring import parse
from ..state.root import PRIVATE, State
from ..state.rootfs import GuestFiles


@dataclass(frozen=True)
class Completed:
    """What a command in a guest did."""

    rc: int = 0
    stdout: bytes = b""
    stderr: bytes = b""


def done(text: str = "", rc: int = 0, err: str = "") -> Completed:
    """A command's answer."""
    return Completed(rc, text.encode(), err.encode())


@dataclass(frozen=True)
class Interface:
    """A guest's network interface as the node made it. Addresses with prefix length."""

    name: str
    mac: str
    bridge: str | None
    addresses: tuple[str, ...] = ()
    gateway: str | None = None
    gateway6: str | None = None
    mtu: int = 1500
    up: bool = True
    dhcp: bool = False


@dataclass
class Guest:
    """A running container: its config as started, its files, its interfaces, and a scratch pad that lasts its run."""

    state: State
    vmid: int
    options: dict[str, str]
    files: GuestFiles
    env: dict[str, str] = field(default_factory=dict)

    @property
    def hostname(self) -> str:
        """The name that the kernel tells: the one it was started with."""
        return kernel.host_name(self.state, self.vmid) or self.options.get("hostname", f"CT{self.vmid}")

    @property
    def is_running(self) -> bool:
        """Whether it still runs: a container by its command socket, a VM by its pid file."""
        machine = self.state.path(f"run/qemu-server/{self.vmid}.pid").exists()
        return machine or self.vmid in self.state.running()

    @property
    def managed(self) -> bool:
        """Whether PVE configures its network; nobody configures an unmanaged one but itself."""
        return self.options.get("ostype") != "unmanaged"

    @property
    def is_openwrt(self) -> bool:
        """Whether its files are OpenWrt's."""
        return self.files.exists("/etc/openwrt_release")

    @property
    def system(self) -> System:
        """The system that answers for it."""
        return SYSTEMS["openwrt" if self.is_openwrt else "linux"]

    @property
    def interfaces(self) -> list[Interface]:
        """The interfaces of its netN options, with the addresses that the config gives (a managed guest only)."""
        keys = sorted((key for key in self.options if NET_KEY.fullmatch(key)), key=lambda key: int(key[3:]))
        return [self._interface(parse(self.options[key], validation.option_format("lxc", key))) for key in keys]

    def _interface(self, net: Mapping[str, str]) -> Interface:
        ip = net.get("ip", "manual")
        addresses: list[str] = []
        gateway = net.get("gw")
        if self.managed and ip == "dhcp":
            lease = dhcp_lease(self.state, net.get("bridge", ""), net.get("hwaddr", ""))
            if lease:
                addresses.append(lease[0])
                gateway = lease[1]
        elif self.managed and "/" in ip:
            addresses.append(ip)
        ip6 = net.get("ip6", "manual")
        if self.managed and "/" in ip6:
            addresses.append(ip6)
        return Interface(
            net["name"], net.get("hwaddr", "").lower(), net.get("bridge"), tuple(addresses), gateway, net.get("gw6"),
            int(net.get("mtu", 1500)), net.get("link_down") != "1", ip == "dhcp",
        )  # fmt: skip

    def recall(self, name: str, default: t.Any = None) -> t.Any:
        """Something that a command of this guest remembered since it was started."""
        return self.state.read_json(f"{PRIVATE}/guests/{self.vmid}.json", {}).get(name, default)

    def remember(self, name: str, value: t.Any) -> None:
        """Remember something (JSON) until the guest stops."""
        known = self.state.read_json(f"{PRIVATE}/guests/{self.vmid}.json", {})
        self.state.write(f"{PRIVATE}/guests/{self.vmid}.json", json.dumps({**known, name: value}))

    def run(self, argv: Sequence[str], stdin: bytes = b"") -> Completed:
        """Run a command of this guest, as another command of it would (``sh -c``)."""
        return Scripted().exec(self, argv, stdin)


Command = Callable[[Guest, Sequence[str], bytes], Completed]


@dataclass(frozen=True)
class System:
    """An operating system that runs in guests.

    ``find`` answers the function behind a command name or path, None when there is none; ``knows`` whether it brings
    that command; ``booted`` is what happens after a start; ``addresses`` are those that the guest has now, with prefix
    length, by its own interface names.
    """

    find: Callable[[str], Command | None]
    knows: Callable[[str], bool]
    booted: Callable[[Guest], None]
    addresses: Callable[[Guest], Mapping[str, Sequence[str]]]


#: The systems by name; each enters itself when it is imported.
SYSTEMS: dict[str, System] = {}


class Runtime(t.Protocol):
    """Something that runs containers."""

    def start(self, guest: Guest) -> None:
        """Boot it; its volumes are mounted. Raises ApiError when it cannot."""

    def stop(self, guest: Guest) -> None:
        """It is gone; its volumes are unmounted after this."""

    def exec(self, guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
        """Run a command in it."""


class Scripted:
    """The default: a small table of commands that work on the container's files."""

    def start(self, guest: Guest) -> None:
        """Forget what an earlier run remembered; let its system boot."""
        guest.state.path(f"{PRIVATE}/guests/{guest.vmid}.json").unlink(missing_ok=True)
        guest.system.booted(guest)

    def stop(self, guest: Guest) -> None:
        """Forget what its commands remembered."""
        guest.state.path(f"{PRIVATE}/guests/{guest.vmid}.json").unlink(missing_ok=True)

    def exec(self, guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
        """Look the command up and call it."""
        command = self.find(guest, argv[0])
        if command is None:
            return Completed(127, stderr=not_found(guest.vmid, argv[0]))
        return command(guest, [os.path.basename(argv[0]), *argv[1:]], stdin)

    @staticmethod
    def find(guest: Guest, name: str) -> Command | None:
        """The function behind a command name or path, None when the guest has none."""
        return guest.system.find(name)


RUNTIMES: dict[str, Callable[[], Runtime]] = {"scripted": Scripted}


def runtime(state: State) -> Runtime:
    """The node's runtime (setting ``runtime``)."""
    name = state.settings()["runtime"]
    if name not in RUNTIMES:
        raise ApiError(f"no such runtime: {name}")
    return RUNTIMES[name]()


def links(guest: Guest) -> list[tuple[str, str, tuple[str, ...]]]:
    """The interfaces inside a guest, without the loopback: name, MAC address, addresses."""
    cards = {item.name: item for item in guest.interfaces}
    inside = guest.system.addresses(guest)
    first = next((item.mac for item in cards.values()), "")
    names = [name for name in {**cards, **inside} if name != "lo"]
    return [(name, cards[name].mac if name in cards else first, tuple(inside.get(name, ()))) for name in names]


def not_found(vmid: int, name: str) -> bytes:
    """What lxc-attach says of a command that is not there."""
    where = "../src/lxc/attach.c: lxc_attach_run_command: 1841"
    return f'lxc-attach: {vmid}: {where} No such file or directory - Failed to exec "{name}"\n'.encode()


def bridge_addresses(state: State, bridge: str) -> list[ipaddress.IPv4Interface]:
    """The node's own addresses on a bridge, from ``/etc/network/interfaces``."""
    found: list[ipaddress.IPv4Interface] = []
    current = ""
    for line in state.read("etc/network/interfaces").splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "iface":
            current = words[1]
        elif len(words) >= 2 and words[0] == "address" and current == bridge and ":" not in words[1]:
            found.append(ipaddress.IPv4Interface(words[1]))
    return found


def dhcp_lease(state: State, bridge: str, mac: str) -> tuple[str, str] | None:
    """The address that the bridge's network leases to a MAC, and the gateway: the same one every time."""
    for own in bridge_addresses(state, bridge):
        network = own.network
        number = random.Random(mac.lower()).randrange(max(network.num_addresses - 130, 1)) + 100
        return f"{network.network_address + number % (network.num_addresses - 2)}/{network.prefixlen}", str(own.ip)
    return None


MAC = re.compile(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}")
