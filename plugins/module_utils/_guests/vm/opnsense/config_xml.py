# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the first configuration of an OPNsense, out of the description of its interfaces.

It is the release's own (``/usr/local/etc/config.xml`` of its image, which the first boot copies to ``/conf``), with
what is declared in it. What the release begins with also tells which forms it knows: of firewall rules, of its DHCP
server (ISC's up to 25.1, dnsmasq after it), and of who announces IPv6 (radvd up to 25.7, dnsmasq after it). It is
written without white space, which makes room, and then filled up to the length that the file has in the image.
"""

from __future__ import annotations

import base64
import ipaddress
import typing as t
from xml.etree import ElementTree as ET

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.rules import (
    firewall_rules,
    legacy_rule,
    model_rule,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import (
    Description,
    DhcpServer,
    Interface,
    Management,
)

LOCKED: t.Final = "*"
SECONDS: t.Final[t.Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# What is not for a firewall that is configured already, what only counts beside something that is not there (powerd),
# what is the default or says nothing, and what no release reads any more. It makes room.
WITHOUT_EFFECT: t.Final[t.Mapping[str, t.Sequence[str]]] = {
    ".": ("trigger_initial_wizard", "theme", "snmpd"),
    "system": ("powerd_ac_mode", "powerd_battery_mode", "powerd_normal_mode", "dnsallowoverride_exclude"),
    "system/group": ("description",),
    "OPNsense/Firewall/Filter": ("snatrules", "npt", "onetoone"),
}
SHORTER: t.Final = "Declare fewer interfaces or shorter management.ssh_keys (ssh-ed25519), and the rest in OPNsense."
HEADER: t.Final = b'<?xml version="1.0"?>\n'
# Of a provider's prefix: a /64 is enough for one network, a /56 for 256 (the length is told as what 64 lacks).
ONE_NETWORK, MORE_NETWORKS, NO_NETWORK = "0", "8", "none"


def config_xml(default: bytes, description: Description, *, web: bool = True) -> bytes:
    """The configuration, as short as it can be. Raises ImageError where ``default`` is not one of OPNsense."""
    try:
        root = ET.fromstring(default)
    except ET.ParseError as error:
        raise ImageError(
            f"The image's own configuration is not XML: {error}.", remedy="Use an image of OPNsense's own."
        ) from error
    if root.tag != "opnsense":
        raise ImageError(
            f"The image's own configuration is one of {root.tag}, not of OPNsense.",
            remedy="Use an image of OPNsense's own.",
        )
    for parent, tags in WITHOUT_EFFECT.items():
        for found in root.findall(parent):
            _drop(found, *tags)
    keys = interface_keys(description)
    _system(_child(root, "system"), description, web=web)
    _interfaces(root, description, keys)
    _gateways(root, description, keys)
    _dhcp_servers(root, description, keys)
    _rules(root, description, keys, web=web)
    for element in root.iter():
        element.text = element.text if element.text and element.text.strip() else None
        element.tail = None
    # An element without content ends as " />", a ">" within any text or attribute is written as an entity.
    return HEADER + ET.tostring(root).replace(b" />", b"/>") + b"\n"


def fill_up(config: bytes, size: int) -> bytes:
    """The configuration with blank lines up to the length of the file whose place it takes."""
    if len(config) > size:
        words = too_long(f"{len(config)} bytes", str(size))
        raise ImageError(f"The configuration {words}.", remedy=SHORTER)
    return config + b"\n" * (size - len(config))


def too_long(length: str, room: str) -> str:
    """How it is told that a configuration does not fit."""
    return f"has {length}, and the image has room for {room}"


def interface_keys(description: Description) -> dict[str, str]:
    """What OPNsense calls each interface: wan and lan for the one of that name, or else the first of that role, and
    opt1 and so on for the others."""
    keys: dict[str, str] = {}
    for role in ("wan", "lan"):
        named = [each.name for each in description.interfaces if each.name == role]
        first = [each.name for each in description.interfaces if each.role == role]
        keys |= dict.fromkeys((named or first)[:1], role)
    others = (each.name for each in description.interfaces if each.name not in keys)
    return keys | {name: f"opt{number}" for number, name in enumerate(others, 1)}


def device(interface: Interface) -> str:
    """The virtio NIC of an interface, as FreeBSD calls it."""
    return f"vtnet{interface.number}"


def can_log_in(management: Management) -> bool:
    """Whether anybody may log in by SSH; without, it does not run."""
    return bool(management.sources and (management.ssh_keys or management.password_hash))


def upstream6(description: Description) -> Interface | None:
    """The interface that a prefix comes from."""
    return next((each for each in description.interfaces if each.ip6 == "pd" and each.proto != "static"), None)


# -- system ------------------------------------------------------------------------------------------------------------
def _system(system: ET.Element, description: Description, *, web: bool) -> None:
    management = description.management
    host, _dot, domain = description.hostname.partition(".")
    _say(system, {"hostname": host, "domain": domain, "timezone": description.zonename})
    servers = list(dict.fromkeys(server for each in description.interfaces for server in each.dns))
    if servers:
        _drop(system, "dnsallowoverride", "dnsserver")
    for server in servers:
        ET.SubElement(system, "dnsserver").text = server
    root = next((user for user in system.findall("user") if user.findtext("name") == "root"), None)
    if root is None:
        raise ImageError("The image's own configuration has no user root.", remedy="Use an image of OPNsense's own.")
    keys = base64.b64encode("\n".join(management.ssh_keys).encode()).decode()
    _say(root, {"password": management.password_hash or LOCKED, "authorizedkeys": keys})
    _say(_child(system, "webgui"), {"noantilockout": "1", "disablehttpredirect": "1"})
    runs = can_log_in(management)
    said = {
        "enabled": "enabled" if runs else "",
        "permitrootlogin": "1" if runs else "",
        "passwordauth": "1" if runs and management.password_hash else "",
        "noauto": "" if runs else "1",
    }
    _say(_child(system, "ssh"), said)


# -- interfaces --------------------------------------------------------------------------------------------------------
def _interfaces(root: ET.Element, description: Description, keys: t.Mapping[str, str]) -> None:
    own = root.find("interfaces/lan/ipaddrv6")
    tracking = "idassoc6" if own is not None and own.text == "idassoc6" else "track6"
    interfaces = _child(root, "interfaces")
    interfaces.clear()
    upstream = upstream6(description)
    below = [each for each in description.interfaces if each.ip6 == "pd" and each.proto == "static"]
    for each in description.interfaces:
        said = {"enable": "1", "if": device(each)}
        said |= {} if keys[each.name] == each.name else {"descr": each.name}
        said |= {"mtu": str(each.mtu)} if each.mtu else {}
        said |= _ipv4(each)
        if each in below and upstream is not None:
            said |= {"ipaddrv6": tracking, "track6-interface": keys[upstream.name]}
            said |= {"track6-prefix-id": str(below.index(each))}
            # What tracks a prefix would be announced by itself.
            said |= {"dhcpd6track6allowoverride": "1"} if tracking == "track6" and not each.dhcp else {}
        else:
            said |= _ipv6(each, len(below))
        _say(ET.SubElement(interfaces, keys[each.name]), said)


def _ipv4(interface: Interface) -> dict[str, str]:
    if interface.proto == "dhcp":
        return {"ipaddr": "dhcp"}
    four = _address(interface, 4)
    gateway = _gateway(interface, 4)
    said = {"ipaddr": str(four.ip), "subnet": str(four.network.prefixlen)} if four else {}
    return said | ({"gateway": gateway_name(interface, 4)} if gateway else {})


def _ipv6(interface: Interface, below: int) -> dict[str, str]:
    six = _address(interface, 6)
    if interface.proto == "static" and six:
        said = {"ipaddrv6": str(six.ip), "subnetv6": str(six.network.prefixlen)}
        return said | ({"gatewayv6": gateway_name(interface, 6)} if _gateway(interface, 6) else {})
    if interface.proto in ("dhcp", "dhcpv6") and interface.ip6:
        length = ONE_NETWORK if below < 2 else MORE_NETWORKS
        return {"ipaddrv6": "dhcp6", "dhcp6-ia-pd-len": length if interface.ip6 == "pd" else NO_NETWORK}
    return {}


def _address(interface: Interface, version: int) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface | None:
    return next((address for address in interface.addresses if address.version == version), None)


def _gateway(interface: Interface, version: int) -> str:
    return next((each for each in interface.gateways if (":" in each) == (version == 6)), "")


def gateway_name(interface: Interface, version: int) -> str:
    """What a gateway is called that an interface has."""
    return f"{interface.name.upper()}_GW{'6' if version == 6 else ''}"


def _gateways(root: ET.Element, description: Description, keys: t.Mapping[str, str]) -> None:
    declared = [(each, version) for each in description.interfaces for version in (4, 6) if _gateway(each, version)]
    if not declared:
        return
    gateways = _child(_child(root, "OPNsense"), "Gateways")
    for each, version in declared:
        said = {"name": gateway_name(each, version), "interface": keys[each.name]}
        said |= {"ipprotocol": "inet6"} if version == 6 else {}
        said |= {"gateway": _gateway(each, version), "defaultgw": "1"}
        said |= {} if each.metric is None else {"priority": str(each.metric)}
        _say(ET.SubElement(gateways, "gateway_item"), said)


# -- what is served ----------------------------------------------------------------------------------------------------
def _dhcp_servers(root: ET.Element, description: Description, keys: t.Mapping[str, str]) -> None:
    dnsmasq, announces = root.find("dnsmasq"), root.find("dnsmasq/dhcp/enable_ra") is not None
    port = root.findtext("dnsmasq/port") or "0"
    _drop(root, "dnsmasq", "dhcpd", "dhcpdv6")
    serving = [(keys[each.name], each, each.dhcp) for each in description.interfaces if each.dhcp]
    if serving and dnsmasq is not None:
        served = ET.SubElement(root, "dnsmasq")
        _say(served, {"enable": "1", "port": port, "interface": ",".join(key for key, _each, _dhcp in serving)})
        if announces and any(each.serves_ip6 for _key, each, _dhcp in serving):
            _say(ET.SubElement(served, "dhcp"), {"enable_ra": "1"})
        for key, each, dhcp in serving:
            first, last = _pool(each, dhcp)
            said = {"interface": key, "start_addr": first, "end_addr": last, "lease_time": str(lease_seconds(dhcp))}
            _say(ET.SubElement(served, "dhcp_ranges"), said)
            if announces and each.serves_ip6:
                six = {"interface": key, "start_addr": "::1000", "end_addr": "::2000", "constructor": key}
                _say(ET.SubElement(served, "dhcp_ranges"), six | {"ra_mode": "slaac"})
    for key, each, dhcp in serving if dnsmasq is None else ():
        pool = ET.SubElement(_child(root, "dhcpd"), key)
        first, last = _pool(each, dhcp)
        _say(pool, {"enable": "1", "defaultleasetime": str(lease_seconds(dhcp))})
        _say(ET.SubElement(pool, "range"), {"from": first, "to": last})
    for key, each, _dhcp in serving if not announces else ():
        if each.serves_ip6 and each.ip6 != "pd":
            _say(ET.SubElement(_child(root, "dhcpdv6"), key), {"ramode": "unmanaged"})


def _pool(interface: Interface, dhcp: DhcpServer | None) -> tuple[str, str]:
    four = _address(interface, 4)
    if four is None or dhcp is None:
        raise ValueError(f"{interface.name} has no IPv4 network to serve")
    first = four.network.network_address + dhcp.start
    return str(first), str(first + dhcp.limit - 1)


def lease_seconds(dhcp: DhcpServer | None) -> int:
    """How long an address is leased, in seconds; 0 where it is for ever, which OPNsense cannot say."""
    text = dhcp.leasetime if dhcp else ""
    number = text.rstrip("smhdw")
    return int(number) * SECONDS.get(text[len(number) :], 1) if number.isdigit() else 0


# -- firewall ----------------------------------------------------------------------------------------------------------
def _rules(root: ET.Element, description: Description, keys: t.Mapping[str, str], *, web: bool) -> None:
    rules = firewall_rules(description, keys, web=web)
    model = root.find("OPNsense/Firewall/Filter/rules")
    if model is None:
        section = _child(root, "filter")
        _drop(section, "rule")
        section.extend(legacy_rule(rule) for rule in rules)
    else:
        _drop(model, "rule")
        model.extend(model_rule(rule, number) for number, rule in enumerate(rules, 1))


# -- elements ----------------------------------------------------------------------------------------------------------
def _child(parent: ET.Element, tag: str) -> ET.Element:
    found = parent.find(tag)
    return ET.SubElement(parent, tag) if found is None else found


def _drop(parent: ET.Element, *tags: str) -> None:
    for child in list(parent):
        if child.tag in tags:
            parent.remove(child)


def _say(parent: ET.Element, said: t.Mapping[str, str]) -> None:
    """Write what has a text; what has none is as the release begins."""
    for tag, text in said.items():
        if text:
            _child(parent, tag).text = text
