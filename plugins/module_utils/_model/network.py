# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the network devices of a container (``netN``), and what can be wrong with them alone."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re
import types
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import (
    BOOLEAN,
    Codec,
    choice,
    integer,
    number,
    text,
    vlans,
)
from ansible_collections.pve.provision.plugins.module_utils._model.option import Resolved, SubValues, merge
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Field, Fields

# A run reads the same address in a declaration, in a config and for its result.
read_interface = functools.lru_cache(maxsize=4096)(ipaddress.ip_interface)

# How an IPv4 address with prefix is written as a rule, which is then as ``ipaddress`` would write it.
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
PLAIN_IPV4 = re.compile(rf"({_OCTET}(?:\.{_OCTET}){{3}})/(3[0-2]|[12]?[0-9])")

IP_WORDS: dict[int, tuple[str, ...]] = {4: ("dhcp", "manual"), 6: ("auto", "dhcp", "manual")}


def interface_codec(
    version: int, words: tuple[str, ...], aliases: t.Mapping[str, str] = types.MappingProxyType({})
) -> Codec:
    """An address with prefix, or one of PVE's words for how the guest gets one; ``aliases`` mean such words."""
    listed = ", ".join([*words, *aliases])
    example = "192.168.1.10/24" if version == 4 else "fd00::10/64"

    def accept(value: t.Any) -> str:
        given = aliases.get(str(value), str(value))
        if given in words or (version == 4 and PLAIN_IPV4.fullmatch(given)):
            return given
        try:
            address = read_interface(given)
        except ValueError:
            address = None
        if address is None or address.version != version or "%" in given:
            raise ValueError(f"is neither {listed} nor an IPv{version} address with prefix like {example}")
        if "/" not in given:
            raise ValueError(f"has no prefix; write it like {example}")
        return str(address)

    def parse(value: str) -> str:
        return value if PLAIN_IPV4.fullmatch(value) else _normal(value, read_interface)

    return Codec(parse=parse, accept=accept, render=str)


def _address(version: int) -> Codec:
    def accept(value: t.Any) -> str:
        try:
            address = ipaddress.ip_address(str(value))
        except ValueError:
            address = None
        if address is None or address.version != version or "%" in str(value):
            raise ValueError(f"is not an IPv{version} address without prefix and without an interface")
        return str(address)

    return Codec(parse=lambda value: _normal(value, ipaddress.ip_address), accept=accept, render=str)


def _normal(value: str, reader: t.Callable[[str], object]) -> str:
    """One spelling for equal addresses; words such as dhcp stay."""
    try:
        return str(reader(value))
    except ValueError:
        return value


def _hwaddr(value: t.Any) -> str:
    """A unicast MAC address (PVE refuses multicast), in upper case."""
    given = str(value).upper()
    if given.isdigit():  # YAML reads 52:54:00:12:34:56 as a number to the base of 60
        raise ValueError('is a number, and not the address that was written: quote it, as in "BC:24:11:00:00:01"')
    if not re.fullmatch(r"([0-9A-F]{2}:){5}[0-9A-F]{2}", given):
        raise ValueError("is not a MAC address like BC:24:11:00:00:01")
    if given == "00:00:00:00:00:00":
        raise ValueError("is not an address of a device; leave it out, and Proxmox VE makes one")
    if int(given[:2], 16) & 1:
        raise ValueError("is a multicast address; the second digit of a unicast MAC address is even")
    return given


HWADDR = Codec(parse=str.upper, accept=_hwaddr, render=str)
TAG = integer(1, 4094, "a VLAN tag")
BRIDGE = text(r"[A-Za-z][\w.-]{0,19}", "is not the name of a bridge or vnet")

# How an interface gets its addresses, and where its ways out are.
ADDRESSES = {
    "gw": Field(_address(4), param="gateway"),
    "gw6": Field(_address(6), param="gateway6"),
    "ip": Field(interface_codec(4, IP_WORDS[4])),
    "ip6": Field(interface_codec(6, IP_WORDS[6])),
}
NET = Fields(
    {
        "name": Field(
            text(r"(?!(lo|\.\.?)$)[\w.-]{1,15}", "is not an interface name (at most 15 characters)"), preserve=True
        ),
        "bridge": Field(BRIDGE),
        "firewall": Field(BOOLEAN, default=False),
        "gw": ADDRESSES["gw"],
        "gw6": ADDRESSES["gw6"],
        "host-managed": Field(BOOLEAN, param="host_managed", default=False, since="9.1"),
        "hwaddr": Field(HWADDR, preserve=True),
        "ip": ADDRESSES["ip"],
        "ip6": ADDRESSES["ip6"],
        "link_down": Field(BOOLEAN, default=False),
        "mtu": Field(integer(64, 65535, "an MTU")),
        "rate": Field(number(0, 10000)),
        "tag": Field(TAG),
        "trunks": Field(vlans(ranges=False), default=()),
        "type": Field(choice("veth"), default="veth", preserve=True),
    }
)


Claim: t.TypeAlias = "tuple[object, ...]"


def claims(net: SubValues) -> t.Iterator[tuple[str, Claim]]:
    """What a device wants for itself alone, by its key: a MAC address, and static addresses on a segment."""
    if net.get("hwaddr"):
        yield "hwaddr", (net["hwaddr"],)
    for key in ("ip", "ip6"):
        with contextlib.suppress(ValueError):  # dhcp and the like, and what cannot be read
            if "/" in str(net.get(key)):
                yield key, (net.get("bridge"), net.get("tag"), _host(net[key]))


def _host(address: str) -> str:
    plain = PLAIN_IPV4.fullmatch(address)
    return plain[1] if plain else str(read_interface(address).ip)


def resolve_net(key: str, path: str, current: SubValues | None, wanted: SubValues, purge: bool) -> Resolved:
    """As any property string, but a new device gets a name: PVE requires one (``net1``: ``eth1``)."""
    named = wanted if current else {"name": f"eth{key.removeprefix('net')}", **wanted}
    return merge(key, path, current, named, purge)


def check_networks(networks: t.Mapping[str, SubValues], paths: t.Mapping[str, str]) -> list[Finding]:
    """What is wrong with the networks of one guest, all of it: gateways, names, addresses and MACs used twice."""
    findings = [*used_twice(networks, paths, "name"), *used_twice(networks, paths, "hwaddr")]
    findings += same_addresses(networks, paths)
    for key, net in networks.items():
        for address, gateway in (("ip", "gw"), ("ip6", "gw6")):
            path, param = paths.get(key, key), NET.keys[gateway].param
            findings += check_gateway(path, net.get(address), net.get(gateway), param)
    return findings


def used_twice(
    entries: t.Mapping[str, SubValues], paths: t.Mapping[str, str], what: str, remedy: str = "Give each its own."
) -> t.Iterator[Finding]:
    """Values that each entry needs for itself, and that two have. The one that is declared is told of."""
    seen: dict[str, str] = {}
    for key in sorted(entries, key=lambda each: each in paths):
        value, path = entries[key].get(what), paths.get(key, key)
        if value and value in seen:
            yield Finding(f"{path}.{what}", value, f"is also used by {seen[value]}", remedy)
        elif value:
            seen[value] = path


def same_addresses(networks: t.Mapping[str, SubValues], paths: t.Mapping[str, str]) -> t.Iterator[Finding]:
    """Static addresses that two devices of one guest have."""
    for family in ("ip", "ip6"):
        hosts = {
            key: {family: str(net[family]).partition("/")[0]}
            for key, net in networks.items()
            if "/" in str(net.get(family))
        }
        yield from used_twice(hosts, paths, family, "Give each device an address of its own.")


def is_net(key: str) -> bool:
    """Whether an option is a network device, by PVE's key."""
    return key.startswith("net") and key[3:].isdigit()


def without_hwaddr(written: Fields, text: str) -> str:
    """A network device of a guest's config for another guest, which gets an address of its own."""
    return written.render({**written.parse(text), "hwaddr": None})


def networks_in(options: t.Mapping[str, str], written: Fields) -> dict[str, SubValues]:
    """The network devices of a guest's config, by PVE's key; what cannot be read of them is left out."""
    return {key: written.read(text) for key, text in options.items() if key[:3] == "net" and is_net(key)}


def networks_of(values: t.Mapping[str, t.Any]) -> dict[str, SubValues]:
    """The network devices among a guest's options, by PVE's key."""
    return {key: value for key, value in values.items() if value is not None and is_net(key)}


def check_gateway(path: str, address: str | None, gateway: str | None, param: str) -> list[Finding]:
    """What is wrong with a gateway, by its option."""
    if not gateway or not address:
        return []
    if "/" not in address:
        return [Finding(f"{path}.{param}", gateway, f"makes no sense with {address}", "Leave the gateway out.")]
    try:
        interface, target = read_interface(address), ipaddress.ip_address(gateway)
    except ValueError:  # somebody else's, and PVE took it
        return []
    if target == interface.ip:
        return [Finding(f"{path}.{param}", gateway, "is the guest's own address")]
    outside = target not in interface.network and not (target.version == 6 and target.is_link_local)
    if outside and interface.network.num_addresses > 1:
        remedy = f"Use an address of {interface.network}."
        return [Finding(f"{path}.{param}", gateway, f"is not in the network of {address}", remedy)]
    return []
