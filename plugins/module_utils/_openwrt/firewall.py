# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the firewall of a router: its zones, what may pass between them, and the rules."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import (
    Description,
    Interface,
    forwardings,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.series import Options
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Section

_ICMP6_ERRORS = [
    "echo-request",
    "echo-reply",
    "destination-unreachable",
    "packet-too-big",
    "time-exceeded",
    "bad-header",
    "unknown-header-type",
]
_ICMP6_NEIGHBOURS = [
    "router-solicitation",
    "neighbour-solicitation",
    "router-advertisement",
    "neighbour-advertisement",
]
_MLD = ["130/0", "131/0", "132/0", "143/0"]

# The rules that OpenWrt ships for its wan, without those that let IPsec through to the lan.
WAN_RULES: t.Mapping[str, Options] = {
    "Allow-DHCP-Renew": {"proto": "udp", "dest_port": "68", "family": "ipv4"},
    "Allow-Ping": {"proto": "icmp", "icmp_type": "echo-request", "family": "ipv4"},
    "Allow-IGMP": {"proto": "igmp", "family": "ipv4"},
    "Allow-DHCPv6": {"proto": "udp", "dest_port": "546", "family": "ipv6"},
    "Allow-MLD": {"proto": "icmp", "src_ip": "fe80::/10", "icmp_type": _MLD, "family": "ipv6"},
    "Allow-ICMPv6-Input": {
        "proto": "icmp",
        "icmp_type": [*_ICMP6_ERRORS, *_ICMP6_NEIGHBOURS],
        "limit": "1000/sec",
        "family": "ipv6",
    },
    "Allow-ICMPv6-Forward": {
        "dest": "*",
        "proto": "icmp",
        "icmp_type": _ICMP6_ERRORS,
        "limit": "1000/sec",
        "family": "ipv6",
    },
}
# What an isolated zone may ask of a router that serves it there; and without neighbour discovery there is no IPv6.
SERVED_RULES: t.Mapping[str, Options] = {
    "Allow-DHCP": {"proto": "udp", "dest_port": "67", "family": "ipv4"},
    "Allow-DNS": {"proto": ["tcp", "udp"], "dest_port": "53"},
}
SERVED6_RULES: t.Mapping[str, Options] = {
    "Allow-DHCPv6-Server": {"proto": "udp", "dest_port": "547", "family": "ipv6"},
}
NEIGHBOUR6_RULES: t.Mapping[str, Options] = {
    "Allow-ICMPv6": {
        "proto": "icmp",
        "icmp_type": ["echo-request", *_ICMP6_NEIGHBOURS, *_MLD],
        "limit": "1000/sec",
        "family": "ipv6",
    },
}
ZONES: t.Mapping[str, Options] = {
    "wan": {"input": "REJECT", "output": "ACCEPT", "forward": "REJECT", "masq": "1", "mtu_fix": "1"},
    "lan": {"input": "ACCEPT", "output": "ACCEPT", "forward": "ACCEPT"},
    "isolated": {"input": "REJECT", "output": "ACCEPT", "forward": "REJECT"},
}
MANAGED: t.Mapping[str, Options] = {
    "SSH": {"proto": "tcp", "dest_port": "22"},
    "LuCI": {"proto": "tcp", "dest_port": ["80", "443"]},
}
_DEFAULTS: Options = {"syn_flood": "1", "input": "REJECT", "output": "ACCEPT", "forward": "REJECT"}


def firewall_sections(description: Description) -> list[Section]:
    sections = [Section("defaults", None, _DEFAULTS)]
    for each in description.interfaces:
        sections.append(Section("zone", None, {"name": each.name, "network": _networks(each), **ZONES[each.role]}))
    sections += [Section("forwarding", None, {"src": src, "dest": dest}) for src, dest in forwardings(description)]
    # The first rule that fits decides, so who may manage comes before anything that opens a port.
    for interface in description.interfaces:
        sections += _management_rules(description, interface)
    for interface in description.interfaces:
        sections += _service_rules(interface)
    return sections


def _networks(interface: Interface) -> list[str]:
    own6 = interface.ip6 and interface.proto in ("dhcp", "pppoe")
    return [interface.name, f"{interface.name}6"] if own6 else [interface.name]


def _rule(name: str, zone: str, options: Options, target: str = "ACCEPT") -> Section:
    return Section("rule", None, {"name": name, "src": zone, **options, "target": target})


def _management_rules(description: Description, interface: Interface) -> list[Section]:
    """Opens what the zone keeps shut where management may come from it, shuts what it leaves open where not."""
    management = description.management
    rules = []
    wanted, is_open = interface.name in management.sources, ZONES[interface.role]["input"] == "ACCEPT"
    for service in ("SSH", "LuCI") if management.luci else ("SSH",):
        if wanted and not is_open:
            rules.append(_rule(f"Allow-{service}-{interface.name}", interface.name, MANAGED[service]))
        elif is_open and not wanted:
            rules.append(_rule(f"Reject-{service}-{interface.name}", interface.name, MANAGED[service], "REJECT"))
    return rules


def _service_rules(interface: Interface) -> list[Section]:
    if interface.role == "wan":
        shipped = interface.name == "wan"
        names = {name: name if shipped else f"{name}-{interface.name}" for name in WAN_RULES}
        return [_rule(names[name], interface.name, options) for name, options in WAN_RULES.items()]
    if interface.role == "lan":
        return []
    asked = [(interface.dhcp, SERVED_RULES), (interface.serves_ip6, SERVED6_RULES), (interface.ip6, NEIGHBOUR6_RULES)]
    rules = [rule for wanted, table in asked if wanted for rule in table.items()]
    return [_rule(f"{name}-{interface.name}", interface.name, options) for name, options in rules]
