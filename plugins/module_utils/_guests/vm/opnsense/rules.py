# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the firewall rules of an OPNsense, out of the description of its interfaces.

OPNsense looks at a connection where it comes in, at the first rule that fits, and drops what fits none; it lets in by
itself what its DHCP server and IPv6 need. A release has rules of one of two forms, told by its own first
configuration: ``filter/rule``, or from 26.7 on ``OPNsense/Firewall/Filter/rules/rule``.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import (
    Description,
    Interface,
    forwardings,
)

SELF: t.Final = "(self)"
ANY: t.Final = "any"
SSH, HTTPS, DNS = "22", "443", "53"


@dataclass(frozen=True)
class Rule:
    """What comes in by an interface and fits passes, or is dropped. Networks are those of interfaces, by their keys."""

    interface: str
    action: t.Literal["pass", "block"]
    source: str
    destinations: tuple[str, ...] = (ANY,)
    protocol: str = ""
    port: str = ""


def firewall_rules(description: Description, keys: t.Mapping[str, str], *, web: bool) -> list[Rule]:
    """The rules in their order. ``keys``: what OPNsense calls each interface; ``web``: whether its web interface is
    open to those who may manage."""
    rules: list[Rule] = []
    for interface in description.interfaces:
        rules += _management(description, interface, keys[interface.name], web=web)
        rules += _forwarding(description, interface, keys)
    return rules


def _management(description: Description, interface: Interface, key: str, *, web: bool) -> t.Iterator[Rule]:
    """Opens what is shut otherwise where management may come from, and shuts what is open where it may not."""
    is_open, manages = interface.role == "lan", interface.name in description.management.sources
    for port, wanted in ((SSH, manages), (HTTPS, manages and web)):
        if wanted != is_open:
            yield Rule(key, "pass" if wanted else "block", ANY, (SELF,), "tcp", port)


def _forwarding(description: Description, interface: Interface, keys: t.Mapping[str, str]) -> t.Iterator[Rule]:
    """What may be reached by this interface: some networks, or everything but some networks. A lan reaches the
    firewall itself too, and so do the questions for names of those that get their addresses here."""
    key, is_open = keys[interface.name], interface.role == "lan"
    source = ANY if interface.role == "wan" else key
    roles = {each.name: each.role for each in description.interfaces}
    allowed = {target for name, target in forwardings(description) if name == interface.name}
    inner = [name for name, role in roles.items() if role != "wan" and name != interface.name]
    if interface.role == "isolated" and interface.dhcp:
        yield Rule(key, "pass", source, (SELF,), "tcp/udp", DNS)
    everywhere = any(roles[name] == "wan" for name in allowed)
    itself = (SELF,) if is_open != everywhere else ()
    named = (*itself, *(keys[name] for name in inner if (name in allowed) != everywhere))
    if named:
        yield Rule(key, "block" if everywhere else "pass", source, named)
    if everywhere:
        yield Rule(key, "pass", source)


def legacy_rule(rule: Rule) -> ET.Element:
    """The rule as releases up to 26.1 keep it, which from 25.1 on take several networks in one."""
    found = ET.Element("rule")
    for tag, text in (("type", rule.action), ("interface", rule.interface), ("ipprotocol", "inet46")):
        ET.SubElement(found, tag).text = text
    if rule.protocol:
        ET.SubElement(found, "protocol").text = rule.protocol
    for tag, networks in (("source", (rule.source,)), ("destination", rule.destinations)):
        end = ET.SubElement(found, tag)
        if networks == (ANY,):
            ET.SubElement(end, "any").text = "1"
        else:
            ET.SubElement(end, "network").text = ",".join(networks)
    if rule.port:
        ET.SubElement(found[-1], "port").text = rule.port
    return found


def model_rule(rule: Rule, number: int) -> ET.Element:
    """The rule as releases from 26.7 on keep it; what is not said has its default."""
    said = {
        "sequence": str(number),
        "action": "" if rule.action == "pass" else rule.action,
        "interface": rule.interface,
        "ipprotocol": "inet46",
        "protocol": rule.protocol.upper(),
        "source_net": "" if rule.source == ANY else rule.source,
        "destination_net": "" if rule.destinations == (ANY,) else ",".join(rule.destinations),
        "destination_port": rule.port,
    }
    found = ET.Element("rule")
    for tag, text in said.items():
        if text:
            ET.SubElement(found, tag).text = text
    return found
