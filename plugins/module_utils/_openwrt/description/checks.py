# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what cannot be in a router's description as a whole."""

from __future__ import annotations

import ipaddress
import itertools
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import DhcpServer, Interface
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.values import Findings

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


def check_device_names(found: Findings, interfaces: t.Sequence[Interface], uci: object) -> None:
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


def check_interface(found: Findings, where: str, interface: Interface) -> None:
    static = interface.proto == "static"
    if static and not interface.addresses and not found.told(f"{where}.address"):
        found.note(f"{where}.address", None, "is missing for proto static", "Give one, like 192.168.20.1/24.")
    if not static and interface.addresses:
        found.note(f"{where}.proto", interface.proto, "takes no address", "Leave address out, or set proto static.")
    if interface.gateways and not static:
        found.note(f"{where}.gateway", list(interface.gateways), f"says {interface.proto} itself", "Leave it out.")
    for gateway in interface.gateways if static else ():
        host = ipaddress.ip_address(gateway)
        near = any(host in address.network for address in interface.addresses if address.version == host.version)
        if not near and not host.is_link_local:
            found.note(f"{where}.gateway", gateway, "is in none of this interface's networks", "Correct one of them.")
    if interface.ip6 == "static" and all(address.version == 4 for address in interface.addresses):
        found.note(
            f"{where}.ip6", interface.ip6, "needs an IPv6 address", "Add one to address, or set ip6 to pd or ula."
        )
    if (interface.username or interface.password) and interface.proto != "pppoe":
        found.note(f"{where}.username", interface.proto, "does not log in", "It is for proto pppoe.")
    if interface.proto == "pppoe" and not (interface.username and interface.password):
        found.note(f"{where}.username", interface.username, "cannot log in to the provider", "Give the password too.")
    if interface.dhcp:
        check_pool(found, f"{where}.dhcp_server", interface, interface.dhcp)


def check_pool(found: Findings, option: str, interface: Interface, dhcp: DhcpServer) -> None:
    four = next((address for address in interface.addresses if address.version == 4), None)
    if interface.role == "wan":
        found.note(option, interface.name, "would serve DHCP upstream", "Leave it out, or give it another role.")
    elif four is None:
        found.note(option, interface.name, "has no static IPv4 address to serve from", "Give it one by address.")
    elif dhcp.start + dhcp.limit > four.network.num_addresses - 1:
        pool = f"start {dhcp.start}, limit {dhcp.limit}"
        most = max(four.network.num_addresses - 1 - dhcp.start, 0)
        found.note(option, pool, f"goes beyond {four.network}", f"From {dhcp.start} there are {most} addresses.")


def check_zones(found: Findings, interfaces: t.Sequence[Interface]) -> None:
    for interface in interfaces:
        if interface.name in (interface.forward_to or ()):
            found.note(f"interfaces.{interface.name}.forward_to", interface.name, "is the interface itself")
        six = f"{interface.name}6"
        if interface.ip6 and interface.proto in ("dhcp", "pppoe") and any(each.name == six for each in interfaces):
            found.note(f"interfaces.{six}", six, f"is what IPv6 on {interface.name} is called", "Take another name.")


def check_subnets(found: Findings, interfaces: t.Sequence[Interface]) -> None:
    every = [(interface.name, address) for interface in interfaces for address in interface.addresses]
    for (name, address), (other, second) in itertools.combinations(every, 2):
        if name != other and address.version == second.version and address.network.overlaps(second.network):
            found.note(f"interfaces.{other}.address", str(second), f"overlaps with {address} of {name}", "Part them.")


def check_segments(
    found: Findings, interfaces: t.Sequence[Interface], node_addresses: t.Mapping[str, t.Iterable[str]]
) -> None:
    insist = "Give it a bridge or a tag of its own, or set allow_shared_segment: true."
    for first, second in itertools.combinations(interfaces, 2):
        if first.bridge and first.segment == second.segment:
            where = f"interfaces.{second.name}.bridge"
            found.note(where, second.segment, f"is already used by {first.name}", insist)
    for interface in interfaces:
        own = list(node_addresses.get(interface.segment, ()))
        if interface.dhcp and own:
            problem = f"would serve DHCP on {interface.segment}, which carries the node's own address {own[0]}"
            found.note(f"interfaces.{interface.name}.dhcp_server", interface.name, problem, insist)
        for address in interface.addresses:
            if any(ipaddress.ip_interface(each).ip == address.ip for each in own):
                where = f"interfaces.{interface.name}.address"
                found.note(where, str(address), "is the node's own address", "Take another.")
