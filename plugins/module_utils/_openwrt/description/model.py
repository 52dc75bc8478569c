# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the network description people think in, checked, with everything wrong told at once.

An interface is a port on a bridge (``bridge``, ``tag``, ``mtu``, ``hwaddr``), what it speaks there (``proto``,
``address``, ``gateway``, ``dns``, ``ip6``), what it serves (``dhcp_server``) and what it may reach (``role``,
``forward_to``). Each is a firewall zone of its own name. ``management`` says from which zones, and with what, the
router is administered. What a description becomes in UCI is in ``router.py``.

Nothing is served and nothing is opened that is not declared: no DHCP without ``dhcp_server``, no router
advertisement without ``dhcp_server`` and ``ip6`` (or an IPv6 address), no IPv6 client without ``ip6``.
"""

from __future__ import annotations

import ipaddress
import itertools
import typing as t
from dataclasses import dataclass, field, replace

Role = t.Literal["wan", "lan", "isolated"]

PROTOS = ("dhcp", "static", "dhcpv6", "none", "pppoe")
ROLES: tuple[Role, ...] = ("wan", "lan", "isolated")
# What ``ip6`` may say, by what the interface speaks: ask upstream for a prefix (pd) or an address alone (auto);
# below, take part in the delegated prefix (pd), in the local one (ula), or have the declared addresses alone.
IP6 = {
    "dhcp": ("pd", "auto"),
    "pppoe": ("pd", "auto"),
    "dhcpv6": ("pd", "auto"),
    "static": ("pd", "ula", "static"),
    "none": (),
}
PORT_KEYS = ("bridge", "tag", "mtu", "hwaddr", "queues")
SPEAKING_KEYS = ("proto", "address", "gateway", "dns", "ip6", "metric", "username", "password")
INTERFACE_KEYS = (*PORT_KEYS, *SPEAKING_KEYS, "dhcp_server", "forward_to", "role")
DHCP_KEYS = ("start", "limit", "leasetime")
MANAGEMENT_KEYS = ("from", "ssh_keys", "password_hash", "luci", "allow_empty_password")
DESCRIPTION_KEYS = (
    *("interfaces", "management", "uci", "packages", "services"),
    *("hostname", "timezone", "zonename", "allow_shared_segment", "secret_names"),
)


@dataclass(frozen=True)
class DhcpServer:
    """``limit`` addresses from ``start`` (both counted from the network's address), leased for ``leasetime``."""

    start: int = 100
    limit: int = 150
    leasetime: str = "12h"


@dataclass(frozen=True)
class Interface:
    """One interface, on its own port: ``netN`` of the guest, which is called ``device`` inside."""

    name: str
    number: int
    device: str
    bridge: str
    proto: str
    role: Role
    tag: int | None = None
    mtu: int | None = None
    hwaddr: str = ""
    queues: int | None = None
    addresses: tuple[ipaddress.IPv4Interface | ipaddress.IPv6Interface, ...] = ()
    gateways: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dhcp: DhcpServer | None = None
    ip6: str = ""
    forward_to: tuple[str, ...] | None = None
    metric: int | None = None
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def segment(self) -> str:
        """The broadcast domain it is plugged into: ``vmbr0``, or ``vmbr0.20`` with a VLAN tag."""
        return self.bridge if self.tag is None else f"{self.bridge}.{self.tag}"

    @property
    def serves_ip6(self) -> bool:
        """Whether it sends router advertisements and serves DHCPv6."""
        return self.dhcp is not None and bool(self.ip6)


@dataclass(frozen=True)
class Management:
    """From where and with what the router is administered. Without a password hash root's password is locked."""

    sources: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    password_hash: str = field(default="", repr=False)
    luci: bool = False
    allow_empty_password: bool = False


# The options of an interface in UCI that decide on its addresses.
_ADDRESSING: t.Final = frozenset({"proto", "device", "ipaddr", "netmask", "ip6addr", "disabled", "auto"})


@dataclass(frozen=True)
class Description:
    """A router as declared, sound in itself. ``services`` tells init scripts that run from those that do not;
    ``warnings`` are for the user to read."""

    interfaces: tuple[Interface, ...]
    management: Management
    uci: t.Mapping[str, t.Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    services: t.Mapping[str, bool] = field(default_factory=dict)
    hostname: str = ""
    timezone: str = ""
    zonename: str = ""
    secret_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def interface(self, name: str) -> Interface | None:
        """The interface of this name, or None."""
        return next((each for each in self.interfaces if each.name == name), None)

    @property
    def static(self) -> dict[str, list[str]]:
        """The declared addresses by device, without prefix length, but for interfaces whose addresses ``uci``
        decides on."""
        network = self.uci.get("network") or {}
        changed = {name for name, options in network.items() if options is None or _ADDRESSING & set(options)}
        kept = (each for each in self.interfaces if each.name not in changed)
        return {each.device: [str(address.ip) for address in each.addresses] for each in kept}


@dataclass(frozen=True)
class Port:
    """A network device of a guest: ``netN``, what it is called inside, its MAC address and where it is plugged."""

    number: int
    device: str
    hwaddr: str
    segment: str


def place(
    description: Description, ports: t.Sequence[Port], told: t.Mapping[str, str], *, append: bool = False
) -> Description:
    """The description with each interface on the port that it has in an existing router, whatever the order now.

    Which one that is, is told by the router itself (``told``: devices by interface), else by the declared MAC address,
    else by where a port is plugged. What is still open takes the ports that are left, where the router has told nothing
    at all; else it is new and gets the next free number, with ``append`` one after all others.
    """
    free = list(ports)
    placed: dict[str, Port] = {}

    def match(fits: t.Callable[[Interface, Port], bool]) -> None:
        for interface in description.interfaces:
            port = next((each for each in free if interface.name not in placed and fits(interface, each)), None)
            if port is not None:
                placed[interface.name] = port
                free.remove(port)

    match(lambda interface, port: told.get(interface.name) == port.device)
    match(lambda interface, port: bool(port.hwaddr) and interface.hwaddr == port.hwaddr.upper())
    match(lambda interface, port: interface.segment == port.segment)
    if not told:
        match(lambda _interface, _port: True)
    numbers, names = {port.number for port in ports}, {port.device for port in ports}
    for interface in description.interfaces:
        if interface.name not in placed:
            first = max(numbers, default=-1) + 1 if append else 0
            number = next(n for n in itertools.count(first) if n not in numbers)
            tried = itertools.chain([len(names) if append else number], itertools.count())
            device = next(name for n in tried if (name := f"eth{n}") not in names)
            placed[interface.name] = Port(number, device, "", interface.segment)
            numbers.add(number)
            names.add(device)
    found = [
        replace(each, number=placed[each.name].number, device=placed[each.name].device)
        for each in description.interfaces
    ]
    return replace(description, interfaces=tuple(found))


def devices(description: Description, kind: t.Literal["lxc", "qemu"]) -> list[dict[str, t.Any]]:
    """The ``netN`` devices of a new guest: ``eth0`` and so on of a container, virtio NICs of a VM."""
    return [_device(interface, kind) for interface in description.interfaces]


def _device(interface: Interface, kind: str) -> dict[str, t.Any]:
    first = {"name": interface.device} if kind == "lxc" else {"model": "virtio", "queues": interface.queues}
    rest = {"bridge": interface.bridge, "tag": interface.tag, "mtu": interface.mtu, "hwaddr": interface.hwaddr}
    return {key: value for key, value in (first | rest).items() if value}


def forwardings(description: Description) -> list[tuple[str, str]]:
    """Which zone may reach which: what ``forward_to`` says, and without it every wan from every lan."""
    wans = [each.name for each in description.interfaces if each.role == "wan"]
    pairs = []
    for interface in description.interfaces:
        default = wans if interface.role == "lan" else ()
        targets = default if interface.forward_to is None else interface.forward_to
        pairs += [(interface.name, target) for target in targets]
    return pairs
