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
import re
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.merge import deleted_by_position

Role = t.Literal["wan", "lan", "isolated"]
Address: t.TypeAlias = "ipaddress.IPv4Interface | ipaddress.IPv6Interface"

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

_NAME = re.compile(r"[A-Za-z0-9_]{1,15}")
_DEVICE_LENGTH = 15  # characters that Linux has for the name of a network device
# What netifd puts before an interface's name to call the device that its protocol makes.
_PREFIXES = {
    **{
        proto: f"{proto}-" for proto in ("pppoe", "pppoa", "pptp", "l2tp", "6in4", "6to4", "6rd", "map", "ipip", "wwan")
    },
    "ds-lite": "ds-",
    "gre": "gre4-",
    "gretap": "gre4t-",
    "grev6": "gre6-",
    "grev6tap": "gre6t-",
    "vti": "vti4-",
    "vtiv6": "vti6-",
    "3g": "3g-",
    "ppp": "ppp-",
    "wireguard": "",
    "vxlan": "",
    "xfrm": "",
}
_RESERVED = ("loopback", "globals")
_MAC = re.compile(r"[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}")
_LEASETIME = re.compile(r"\d+[smhdw]?|infinite")
_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# Without these nobody could do anything about the router any more.
_VITAL = ("boot", "network", "done")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_KEY = re.compile(r"(?:[^\s\"]+=?\S* )?(?:sk-)?(?:ssh|ecdsa)-\S+ [A-Za-z0-9+/]+=*(?: [^\n]*)?")
_HASH = re.compile(r"\$(?:1|2[aby]?|5|6)\$[./A-Za-z0-9$=,]+")


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
    addresses: tuple[Address, ...] = ()
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
        """The declared addresses by device, without prefix length."""
        return {each.device: [str(address.ip) for address in each.addresses] for each in self.interfaces}


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


class _Findings(list[Finding]):
    """What is wrong so far. The readers below note it and go on with a harmless value."""

    def note(self, option: str, value: object, problem: str, remedy: str = "") -> None:
        self.append(Finding(option, value, problem, remedy))

    def told(self, option: str) -> bool:
        return any(finding.option == option for finding in self)

    def mapping(self, option: str, value: object, keys: t.Sequence[str]) -> dict[str, t.Any]:
        """A mapping of known keys; what is None was not said."""
        if not isinstance(value, t.Mapping):
            if value is not None:
                self.note(option, value, "is no mapping")
            return {}
        for key in value:
            if key not in keys:
                self.note(f"{option}.{key}".lstrip("."), key, "is not known here", f"There are {', '.join(keys)}.")
        return {str(key): each for key, each in value.items() if each is not None and key in keys}

    def number(self, option: str, value: object, low: int, high: int) -> int | None:
        if value is None:
            return None
        text = str(value)
        if isinstance(value, bool) or not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            self.note(option, value, f"is no number from {low} to {high}")
            return None
        return int(text)

    def choice(self, option: str, value: object, choices: t.Sequence[str], default: str) -> str:
        if value is None:
            return default
        if value not in choices:
            self.note(option, value, "is not possible here", f"Say {' or '.join(choices) or 'nothing'}.")
            return default
        return str(value)

    def words(self, option: str, value: object) -> tuple[str, ...]:
        """A list of strings; one string is a list of one."""
        if value is None:
            return ()
        if isinstance(value, (list, tuple)):
            return tuple(str(each) for each in value)
        return (str(value),)

    def pattern(self, option: str, value: object, pattern: re.Pattern[str], remedy: str) -> str:
        text = "" if value is None else str(value)
        if text and not pattern.fullmatch(text):
            self.note(option, value, "is not possible", remedy)
            return ""
        return text

    def flag(self, option: str, value: object) -> bool:
        if not isinstance(value, (bool, type(None))):
            self.note(option, value, "is neither true nor false")
        return value is True

    def addresses(self, option: str, value: object) -> tuple[Address, ...]:
        found: list[Address] = []
        for text in self.words(option, value):
            try:
                address = ipaddress.ip_interface(text)
            except ValueError:
                address = None
            if address is None or "/" not in text:
                self.note(option, text, "is no address with prefix length", "Write it like 192.168.20.1/24.")
            elif address.version == 4 and address.network.prefixlen < 31 and address.ip in _edges(address):
                self.note(option, text, "is the network's own or its broadcast address", "Take a host's address.")
            else:
                found.append(address)
        return tuple(found)

    def hosts(self, option: str, value: object) -> tuple[str, ...]:
        found = []
        for text in self.words(option, value):
            try:
                found.append(str(ipaddress.ip_address(text)))
            except ValueError:
                self.note(option, text, "is no IP address", "Write it without a prefix length.")
        return tuple(found)


def _edges(address: Address) -> tuple[object, object]:
    return address.network.network_address, address.network.broadcast_address


def parse(
    declared: t.Mapping[str, t.Any], node_addresses: t.Mapping[str, t.Iterable[str]] | None = None
) -> Description:
    """A declaration, checked. Raises :class:`InvalidInput` with everything that is wrong.

    ``node_addresses`` are the addresses (with prefix length) that the node itself has on each of its bridges, by
    bridge or ``bridge.tag``; without them that check is not made.
    """
    found = _Findings()
    given = found.mapping("", declared, DESCRIPTION_KEYS)
    interfaces = _interfaces(found, given.get("interfaces"))
    management, warnings = _management(found, given.get("management"), interfaces)
    _check_zones(found, interfaces)
    _check_subnets(found, interfaces)
    if not found.flag("allow_shared_segment", given.get("allow_shared_segment")):
        _check_segments(found, interfaces, node_addresses or {})
    packages = found.words("packages", given.get("packages"))
    for package in packages:
        found.pattern("packages", package, _PACKAGE, "Give names of OpenWrt packages.")
    uci = given.get("uci", {})
    if not isinstance(uci, t.Mapping):
        found.note("uci", uci, "is no mapping", "Write {package: {section: {option: value}}}.")
    _check_device_names(found, interfaces, uci)
    _check_deletions(found, uci)
    described = Description(
        interfaces=tuple(interfaces),
        management=management,
        uci=uci,
        packages=tuple(dict.fromkeys(packages)),
        services=_services(found, given.get("services")),
        hostname=found.pattern("hostname", given.get("hostname"), _HOSTNAME, "Use letters, digits and hyphens."),
        timezone=found.pattern("timezone", given.get("timezone"), re.compile(r"\S+"), "Write it like CET-1CEST."),
        zonename=found.pattern("zonename", given.get("zonename"), re.compile(r"\S+"), "Write it like Europe/Berlin."),
        secret_names=found.words("secret_names", given.get("secret_names")),
        warnings=(*warnings, *_time_warnings(given)),
    )
    if found:
        raise InvalidInput(found)
    return described


def _check_deletions(found: _Findings, uci: object) -> None:
    for package, sections in uci.items() if isinstance(uci, t.Mapping) else ():
        for ref, options in sections.items() if isinstance(sections, t.Mapping) else ():
            problem = deleted_by_position(str(ref), options, f"uci.{package}.{ref}")
            if problem:
                found.append(problem)


def _check_device_names(found: _Findings, interfaces: t.Sequence[Interface], uci: object) -> None:
    """Linux cuts no name: an interface whose device would be called too long never comes up."""

    def check(option: str, name: object, device: str) -> None:
        if len(device) > _DEVICE_LENGTH:
            room = _DEVICE_LENGTH - len(device) + len(str(name))
            problem = f"makes a device called {device}, longer than the {_DEVICE_LENGTH} characters that Linux takes"
            found.note(option, name, problem, f"Take up to {room} characters.")

    for interface in interfaces:
        prefix = _PREFIXES.get(interface.proto)
        if prefix is not None:
            check(f"interfaces.{interface.name}", interface.name, prefix + interface.name)
    network = uci.get("network") if isinstance(uci, t.Mapping) else None
    for ref, sections in network.items() if isinstance(network, t.Mapping) else ():
        for section in sections if isinstance(sections, list) else [sections]:
            said = section if isinstance(section, t.Mapping) else {}
            where, name = f"uci.network.{ref}", str(ref)
            if said.get(".type") == "device" or name.startswith("@device"):
                check(f"{where}.name", said.get("name"), str(said.get("name", "")))
            elif said.get("type") == "bridge":
                check(where, name, f"br-{name}")
            elif str(said.get("proto")) in _PREFIXES:
                check(where, name, _PREFIXES[str(said["proto"])] + name)


def _services(found: _Findings, declared: object) -> dict[str, bool]:
    if not isinstance(declared, (t.Mapping, type(None))):
        found.note("services", declared, "is no mapping", "Write {sqm: true, odhcpd: false}.")
        return {}
    services = {}
    for name, wanted in (declared or {}).items():
        option = f"services.{name}"
        found.pattern(option, name, _SERVICE, "Give names of init scripts, like sqm.")
        services[str(name)] = found.flag(option, wanted)
        if name in _VITAL and wanted is False:
            found.note(option, wanted, "would leave a router that nobody can enter", "Leave it out.")
    return services


def _time_warnings(given: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    if given.get("zonename") and not given.get("timezone"):
        yield "zonename alone sets no clock where zoneinfo is not installed: declare timezone too, like CET-1CEST."


def _interfaces(found: _Findings, declared: object) -> list[Interface]:
    if not isinstance(declared, t.Mapping) or not declared:
        found.note("interfaces", declared, "declares no interface", "Declare at least one, like lan: {bridge: vmbr0}.")
        return []
    declared = {str(name): value for name, value in declared.items()}
    names = [*declared]
    for name in names:
        if not _NAME.fullmatch(name) or name in _RESERVED:
            found.note(f"interfaces.{name}", name, "is no name for an interface", "Take up to 15 of A-Z a-z 0-9 _.")
    return [_interface(found, name, n, declared[name], names) for n, name in enumerate(names)]


def _interface(found: _Findings, name: str, number: int, declared: object, names: t.Sequence[str]) -> Interface:
    where = f"interfaces.{name}"
    given = found.mapping(where, declared, INTERFACE_KEYS)
    if not given.get("bridge"):
        found.note(f"{where}.bridge", given.get("bridge"), "says no bridge to plug into", "Give one, like vmbr0.")
    addresses = found.addresses(f"{where}.address", given.get("address"))
    proto = found.choice(f"{where}.proto", given.get("proto"), PROTOS, "static" if given.get("address") else "dhcp")
    by_name: Role = next((role for role in ("wan", "lan") if name == role), "isolated")
    role = t.cast("Role", found.choice(f"{where}.role", given.get("role"), ROLES, by_name))
    six = any(address.version == 6 for address in addresses)
    interface = Interface(
        name=name,
        number=number,
        device=f"eth{number}",
        bridge=str(given.get("bridge", "")),
        proto=proto,
        role=role,
        tag=found.number(f"{where}.tag", given.get("tag"), 1, 4094),
        mtu=found.number(f"{where}.mtu", given.get("mtu"), 576, 65535),
        queues=found.number(f"{where}.queues", given.get("queues"), 1, 64),
        hwaddr=found.pattern(
            f"{where}.hwaddr", given.get("hwaddr"), _MAC, "Write a unicast MAC address like BC:24:11:00:00:01."
        ).upper(),
        addresses=addresses,
        gateways=found.hosts(f"{where}.gateway", given.get("gateway")),
        dns=found.hosts(f"{where}.dns", given.get("dns")),
        dhcp=_dhcp_server(found, f"{where}.dhcp_server", given.get("dhcp_server")),
        ip6=_ip6(found, f"{where}.ip6", given.get("ip6"), proto, six),
        forward_to=_forward_to(found, f"{where}.forward_to", given.get("forward_to"), names),
        metric=found.number(f"{where}.metric", given.get("metric"), 0, 2**31),
        username=str(given.get("username", "")),
        password=str(given.get("password", "")),
    )
    _check_interface(found, where, interface)
    return interface


def _dhcp_server(found: _Findings, option: str, declared: object) -> DhcpServer | None:
    if declared is None or declared is False:
        return None
    given = found.mapping(option, {} if declared is True else declared, DHCP_KEYS)
    default = DhcpServer()
    return DhcpServer(
        start=found.number(f"{option}.start", given.get("start", default.start), 1, 2**24) or default.start,
        limit=found.number(f"{option}.limit", given.get("limit", default.limit), 1, 2**24) or default.limit,
        leasetime=found.pattern(
            f"{option}.leasetime", given.get("leasetime", default.leasetime), _LEASETIME, "Write it like 12h."
        ),
    )


def _ip6(found: _Findings, option: str, declared: object, proto: str, has_address: bool) -> str:
    default = "static" if has_address else "pd" if proto == "dhcpv6" else ""
    if declared is False:
        return ""
    return found.choice(option, declared, IP6[proto], default)


def _forward_to(found: _Findings, option: str, declared: object, names: t.Sequence[str]) -> tuple[str, ...] | None:
    if declared is None:
        return None
    targets = found.words(option, declared)
    for target in targets:
        if target not in names:
            found.note(option, target, "is no declared interface", f"There are {', '.join(names)}.")
    return targets


def forwardings(description: Description) -> list[tuple[str, str]]:
    """Which zone may reach which: what ``forward_to`` says, and without it every wan from every lan."""
    wans = [each.name for each in description.interfaces if each.role == "wan"]
    pairs = []
    for interface in description.interfaces:
        default = wans if interface.role == "lan" else ()
        targets = default if interface.forward_to is None else interface.forward_to
        pairs += [(interface.name, target) for target in targets]
    return pairs


def _check_interface(found: _Findings, where: str, interface: Interface) -> None:
    static = interface.proto == "static"
    if static and not interface.addresses and not found.told(f"{where}.address"):
        found.note(f"{where}.address", None, "is missing for proto static", "Give one, like 192.168.20.1/24.")
    if not static and interface.addresses:
        found.note(f"{where}.proto", interface.proto, "takes no address", "Leave address out, or say proto static.")
    if interface.gateways and not static:
        found.note(f"{where}.gateway", list(interface.gateways), f"says {interface.proto} itself", "Leave it out.")
    for gateway in interface.gateways if static else ():
        host = ipaddress.ip_address(gateway)
        near = any(host in address.network for address in interface.addresses if address.version == host.version)
        if not near and not host.is_link_local:
            found.note(f"{where}.gateway", gateway, "is in none of this interface's networks", "Correct one of them.")
    if interface.ip6 == "static" and all(address.version == 4 for address in interface.addresses):
        found.note(f"{where}.ip6", interface.ip6, "needs an IPv6 address", "Add one to address, or say pd or ula.")
    if (interface.username or interface.password) and interface.proto != "pppoe":
        found.note(f"{where}.username", interface.proto, "does not log in", "It is for proto pppoe.")
    if interface.proto == "pppoe" and not (interface.username and interface.password):
        found.note(f"{where}.username", interface.username, "cannot log in to the provider", "Give the password too.")
    if interface.dhcp:
        _check_pool(found, f"{where}.dhcp_server", interface, interface.dhcp)


def _check_pool(found: _Findings, option: str, interface: Interface, dhcp: DhcpServer) -> None:
    four = next((address for address in interface.addresses if address.version == 4), None)
    if interface.role == "wan":
        found.note(option, interface.name, "would serve DHCP upstream", "Leave it out, or give it another role.")
    elif four is None:
        found.note(option, interface.name, "has no static IPv4 address to serve from", "Give it one by address.")
    elif dhcp.start + dhcp.limit > four.network.num_addresses - 1:
        pool = f"start {dhcp.start}, limit {dhcp.limit}"
        most = max(four.network.num_addresses - 1 - dhcp.start, 0)
        found.note(option, pool, f"goes beyond {four.network}", f"From {dhcp.start} there are {most} addresses.")


def _check_zones(found: _Findings, interfaces: t.Sequence[Interface]) -> None:
    for interface in interfaces:
        if interface.name in (interface.forward_to or ()):
            found.note(f"interfaces.{interface.name}.forward_to", interface.name, "is the interface itself")
        six = f"{interface.name}6"
        if interface.ip6 and interface.proto in ("dhcp", "pppoe") and any(each.name == six for each in interfaces):
            found.note(f"interfaces.{six}", six, f"is what IPv6 on {interface.name} is called", "Take another name.")


def _check_subnets(found: _Findings, interfaces: t.Sequence[Interface]) -> None:
    every = [(interface.name, address) for interface in interfaces for address in interface.addresses]
    for (name, address), (other, second) in itertools.combinations(every, 2):
        if name != other and address.version == second.version and address.network.overlaps(second.network):
            found.note(f"interfaces.{other}.address", str(second), f"overlaps with {address} of {name}", "Part them.")


def _check_segments(
    found: _Findings, interfaces: t.Sequence[Interface], node_addresses: t.Mapping[str, t.Iterable[str]]
) -> None:
    insist = "Give it a bridge or a tag of its own, or say allow_shared_segment: true."
    for first, second in itertools.combinations(interfaces, 2):
        if first.bridge and first.segment == second.segment:
            where = f"interfaces.{second.name}.bridge"
            found.note(where, second.segment, f"is where {first.name} is plugged in already", insist)
    for interface in interfaces:
        own = list(node_addresses.get(interface.segment, ()))
        if interface.dhcp and own:
            problem = f"would serve DHCP on {interface.segment}, which carries the node's own address {own[0]}"
            found.note(f"interfaces.{interface.name}.dhcp_server", interface.name, problem, insist)
        for address in interface.addresses:
            if any(ipaddress.ip_interface(each).ip == address.ip for each in own):
                where = f"interfaces.{interface.name}.address"
                found.note(where, str(address), "is the node's own address", "Take another.")


def _management(
    found: _Findings, declared: object, interfaces: t.Sequence[Interface]
) -> tuple[Management, t.Iterator[str]]:
    given = found.mapping("management", declared, MANAGEMENT_KEYS)
    names = [each.name for each in interfaces]
    lans = [each.name for each in interfaces if each.role == "lan"]
    sources = found.words("management.from", given["from"]) if "from" in given else tuple(lans)
    for source in sources:
        if source not in names:
            found.note("management.from", source, "is no declared interface", f"There are {', '.join(names)}.")
    keys = tuple(key.strip() for key in found.words("management.ssh_keys", given.get("ssh_keys")))
    for key in keys:
        found.pattern("management.ssh_keys", key, _KEY, "Give public keys as in authorized_keys, one line each.")
    secret = str(given.get("password_hash", ""))
    if secret and not _HASH.fullmatch(secret):
        remedy = "Give a hash that musl's crypt knows, as `openssl passwd -6` makes it."
        found.note("management.password_hash", "(hidden)", "is no password hash", remedy)
    management = Management(
        sources=sources,
        ssh_keys=keys,
        password_hash=secret,
        luci=found.flag("management.luci", given.get("luci")),
        allow_empty_password=found.flag("management.allow_empty_password", given.get("allow_empty_password")),
    )
    return management, _warnings(management)


def _warnings(management: Management) -> t.Iterator[str]:
    if not management.sources:
        yield "management.from names no zone: the router can be administered from its console and the node only."
    if management.allow_empty_password and not management.password_hash:
        yield "Root's password is empty, as management.allow_empty_password wants it."
    elif not management.ssh_keys and not management.password_hash:
        yield "management declares neither ssh_keys nor password_hash: nobody can log in over the network."
