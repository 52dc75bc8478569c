# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a container runs: the contract, and ``scripted``, which needs nothing but the container's files.

``Runtime.exec`` gets an argv and stdin's bytes and answers a Completed. The scripted runtime looks the command up in a
table ``{name: command}``; a command is a function ``(guest, argv, stdin) -> Completed`` with argv[0] its own name. What
no table knows is not there: exit 127 with lxc-attach's words. The table is that of the guest's :class:`System`, which a
file of the guest tells.
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
from pathlib import Path

from ..api import validation
from ..state import archive, kernel
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


@dataclass(frozen=True)
class Configured:
    """What a guest's own files give one of its cards; ``dhcp``: it asks for an IPv4 address as well."""

    name: str
    addresses: tuple[str, ...] = ()
    gateway: str | None = None
    gateway6: str | None = None
    dhcp: bool = False


@dataclass
class Guest:
    """A running container: its config as started, its files, its interfaces, and a scratch pad that lasts its run."""

    state: State
    vmid: int
    options: dict[str, str]
    files: GuestFiles
    env: dict[str, str] = field(default_factory=dict)
    network: Mapping[str, Configured] | None = None
    """By MAC address, what a guest that configures itself has; None for one that PVE configures, or nobody."""

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
        found = (system for system in SYSTEMS.values() if system.marker and self.files.exists(system.marker))
        return next(found, None) or SYSTEMS["linux"]

    @property
    def interfaces(self) -> list[Interface]:
        """The interfaces of its netN options, with the addresses that the config gives (a managed guest only)."""
        keys = sorted((key for key in self.options if NET_KEY.fullmatch(key)), key=lambda key: int(key[3:]))
        return [self._interface(parse(self.options[key], validation.option_format("lxc", key))) for key in keys]

    def _interface(self, net: Mapping[str, str]) -> Interface:
        mac = net.get("hwaddr", "").lower()
        given = self._given(net) if self.network is None else self.network.get(mac, Configured(net["name"]))
        addresses, gateway = given.addresses, given.gateway
        lease = dhcp_lease(self.state, net.get("bridge", ""), mac) if given.dhcp else None
        if lease:
            addresses, gateway = (lease[0], *addresses), lease[1]
        return Interface(
            given.name, mac, net.get("bridge"), addresses, gateway, given.gateway6,
            int(net.get("mtu", 1500)), net.get("link_down") != "1", given.dhcp,
        )  # fmt: skip

    def _given(self, net: Mapping[str, str]) -> Configured:
        """What PVE writes into the files of a container that it manages; nothing but gateways into others'."""
        held = tuple(net[key] for key in ("ip", "ip6") if self.managed and "/" in net.get(key, ""))
        return Configured(net["name"], held, net.get("gw"), net.get("gw6"), self.managed and net.get("ip") == "dhcp")

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

    ``marker`` is the file that tells it, none for what any other guest runs. ``find`` answers the function behind a
    command name or path, None when there is none; ``knows`` whether it brings that command; ``booted`` is what happens
    after a start; ``addresses`` are those that the guest has now, with prefix length, by its own interface names.
    """

    marker: str
    find: Callable[[Guest, str], Command | None]
    knows: Callable[[Guest, str], bool]
    booted: Callable[[Guest], None]
    addresses: Callable[[Guest], Mapping[str, Sequence[str]]]
    #: The MAC addresses of interfaces that it makes itself; others have that of the first card.
    macs: Mapping[str, str] = field(default_factory=dict)


#: The systems by name; each enters itself when it is imported.
SYSTEMS: dict[str, System] = {}


Link = tuple[str, str, tuple[str, ...]]
"""An interface inside a guest: name, MAC address, addresses with prefix length."""


class Runtime(t.Protocol):
    """Something that runs containers, and unpacks what they are made of."""

    def unpack(self, source: Path, files: GuestFiles, room: int | None, progress: Callable[[], None]) -> int:
        """Extract an archive, see :func:`archive.extract`."""

    def start(self, guest: Guest, raw: Sequence[tuple[str, str]] = ()) -> int:
        """Boot it; returns its first process. Its volumes are mounted; ``raw`` are its lines for LXC. Raises ApiError
        when it cannot.
        """

    def shutdown(self, guest: Guest, timeout: int) -> bool:
        """Ask it to go down by itself; whether it did so in time."""

    def stop(self, guest: Guest) -> None:
        """It is gone; its volumes are unmounted after this."""

    def put_away(self, vmid: int) -> None:
        """It has gone by itself."""

    def plug(self, guest: Guest, key: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        """Its card netN changes while it runs; nothing old for one that comes, nothing new for one that goes."""

    def mount(self, guest: Guest, target: str) -> None:
        """It gets to see a mount point that the node shows already. Raises ApiError when that cannot be."""

    def configure(self, guest: Guest, argv: Sequence[str]) -> None:
        """Change its network from outside, by a program. Raises ApiError when that cannot be."""

    def attach(self, guest: Guest, argv: Sequence[str], stdin: Callable[[], bytes]) -> Completed:
        """Run a command in it; ``stdin`` reads what the caller has for it."""

    def links(self, guest: Guest) -> list[Link]:
        """Its interfaces now, without the loopback."""

    def network(self, argv: Sequence[str]) -> Completed | None:
        """What a program of the node says of its network; None where the node itself has to tell."""


class Scripted:
    """The default: a small table of commands that work on the container's files."""

    def unpack(self, source: Path, files: GuestFiles, room: int | None, progress: Callable[[], None]) -> int:
        """As far as an ordinary user may."""
        return archive.extract(source, files.root, room, progress)

    def start(self, guest: Guest, raw: Sequence[tuple[str, str]] = ()) -> int:
        """Forget what an earlier run remembered; let its system boot."""
        guest.state.path(f"{PRIVATE}/guests/{guest.vmid}.json").unlink(missing_ok=True)
        guest.system.booted(guest)
        return random.randrange(2000, 4_000_000)

    def shutdown(self, guest: Guest, timeout: int) -> bool:
        """Nothing keeps it up."""
        return True

    def stop(self, guest: Guest) -> None:
        """Forget what its commands remembered."""
        guest.state.path(f"{PRIVATE}/guests/{guest.vmid}.json").unlink(missing_ok=True)

    def put_away(self, vmid: int) -> None:
        """It never does."""

    def plug(self, guest: Guest, key: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        """Its cards are those of its config."""

    def mount(self, guest: Guest, target: str) -> None:
        """It sees what the node shows."""

    def configure(self, guest: Guest, argv: Sequence[str]) -> None:
        """Its addresses are those of its config."""

    def attach(self, guest: Guest, argv: Sequence[str], stdin: Callable[[], bytes]) -> Completed:
        """Nobody waits for it: it has ended when this is answered."""
        return self.exec(guest, argv, stdin())

    def links(self, guest: Guest) -> list[Link]:
        """What its system says of its cards."""
        return links(guest)

    def network(self, argv: Sequence[str]) -> Completed | None:
        """The kernel knows nothing of it."""
        return None

    def exec(self, guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
        """Look the command up and call it."""
        command = self.find(guest, argv[0])
        if command is None:
            return Completed(127, stderr=not_found(guest.vmid, argv[0]))
        return command(guest, [os.path.basename(argv[0]), *argv[1:]], stdin)

    @staticmethod
    def find(guest: Guest, name: str) -> Command | None:
        """The function behind a command name or path, None when the guest has none."""
        return guest.system.find(guest, name)


#: The runtimes by name; each enters itself when it is imported.
RUNTIMES: dict[str, Callable[[], Runtime]] = {"scripted": Scripted}


def runtime(state: State) -> Runtime:
    """The node's runtime (setting ``runtime``)."""
    return RUNTIMES[state.settings()["runtime"]]()


def links(guest: Guest) -> list[Link]:
    """The interfaces inside a guest, without the loopback: name, MAC address, addresses."""
    cards = {item.name: item for item in guest.interfaces}
    inside = guest.system.addresses(guest)
    first = next((item.mac for item in cards.values()), "")
    names = [name for name in {**cards, **inside} if name != "lo"]
    macs = {**guest.system.macs, **{name: card.mac for name, card in cards.items()}}
    return [(name, macs.get(name, first), tuple(inside.get(name, ()))) for name in names]


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
