# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which addresses a guest has, and who says so."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.facts import is_net
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._model.network import read_interface
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind

# The source of an address that nobody has seen: it rests on the declaration alone.
DECLARED: t.Final = "declared"

Address = dict[str, t.Any]


def declared_addresses(options: t.Mapping[str, str], network: Fields) -> list[Address]:
    """The static addresses of a guest's config, whose networks are written as ``network`` says; a VM's has none."""
    found = []
    for key, text in sorted(options.items()):
        if is_net(key):
            net = network.parse(text)
            found += [
                make_address(net.get("name", key), str(net[name]), DECLARED, net.get("hwaddr"))
                for name in ("ip", "ip6")
                if "/" in str(net.get(name, ""))
            ]
    return found


def make_address(interface: str, text: str, source: str, hwaddr: str | None) -> Address:
    """One address as a result shows it. Where ``text`` says no prefix length, nobody knows it: it is None."""
    address = read_interface(text)
    prefix: int | None = address.network.prefixlen if "/" in text else None
    return {
        "interface": interface,
        "address": str(address.ip),
        "prefix": prefix,
        "family": f"ipv{address.version}",
        "hwaddr": hwaddr,
        "source": source,
    }


def dynamic_interfaces(options: t.Mapping[str, str], network: Fields) -> set[str]:
    """The interfaces that get an IPv4 address from outside, by their names in the guest."""
    nets = [network.parse(text) for key, text in options.items() if is_net(key)]
    return {str(net.get("name")) for net in nets if net.get("ip") == "dhcp"}


def await_addresses(
    node: Node, vmid: int, options: t.Mapping[str, str], network: Fields, timeout: int, *, wait: bool
) -> tuple[list[Address], list[str]]:
    """Ask a running container until it has each address that it is to have, for ``timeout`` seconds at most; without
    ``wait`` it is asked once, and with a timeout of 0 not at all.

    Returns the addresses, each with who says so, and the interfaces that lack one. Without ``wait`` declared addresses
    alone are no reason for a request over the API: that would be one for each unchanged guest.
    """
    dynamic = dynamic_interfaces(options, network)
    static = declared_addresses(options, network)
    if timeout <= 0 or not (dynamic or static):
        return static, []
    if not (dynamic or wait):
        local = node.local_addresses(vmid)
        if local is None:
            return static, []
        if all(entry["address"] in local for entry in static):
            return [{**entry, "source": "guest"} for entry in static], []

    def lacking(told: list[dict[str, t.Any]]) -> list[str]:
        seen = _seen(told)
        with_ipv4 = {entry["interface"] for entry in seen if entry["family"] == "ipv4"}
        have = {entry["address"] for entry in seen}
        return sorted({*(dynamic - with_ipv4), *(e["interface"] for e in static if e["address"] not in have)})

    told = poll(
        lambda: told_interfaces(node, "lxc", vmid),
        lambda told: not lacking(told) or interrupt.reason(),
        timeout=timeout if wait else 0,
        clock=node.clock,
    )
    if told:
        return _seen(told), lacking(told)
    met = neighbour_addresses(node, "lxc", vmid, network)
    return [_met(entry, met) for entry in static], sorted(dynamic)


def _met(entry: Address, met: t.Mapping[str, list[str]]) -> Address:
    """A declared address, with the node's own word for it where the node has met the guest there."""
    found = any(entry["address"] in addresses for addresses in met.values())
    return {**entry, "source": "neighbour"} if found else entry


def await_static(node: Node, vmid: int, static: t.Mapping[str, t.Iterable[str]], timeout: int) -> None:
    """Wait until a container has the addresses that it gives itself, by device, as PVE sees it from outside.

    Raises Timeout when it has not after ``timeout`` seconds."""
    wanted = {(device, address) for device, addresses in static.items() for address in addresses}

    def missing() -> set[tuple[str, str]]:
        return wanted - {(entry["interface"], entry["address"]) for entry in guest_addresses(node, vmid)}

    left = poll(missing, lambda missing: not missing, timeout=timeout, clock=node.clock)
    if left:
        words = ", ".join(f"{address} on {device}" for device, address in sorted(left))
        raise Timeout(f"{words} did not come up within {timeout} s.", remedy="Look at its console.")


def guest_addresses(node: Node, vmid: int) -> list[Address]:
    """What the running container says; nothing when it does not answer yet."""
    return _seen(told_interfaces(node, "lxc", vmid))


def _seen(told: t.Iterable[dict[str, t.Any]]) -> list[Address]:
    """The addresses of the interfaces that a guest tells, loopback and link-local ones left out."""
    return [
        make_address(interface["name"], text, "guest", str(interface.get("hwaddr") or "").upper() or None)
        for interface in told
        for text in global_addresses(interface)
    ]


def told_interfaces(node: Node, kind: Kind, vmid: int) -> list[dict[str, t.Any]]:
    """The interfaces of a running guest as PVE tells them, of a VM as its agent does; none while nobody answers."""
    try:
        return node.interfaces(kind, vmid)
    except ProvisionError:
        return []


def global_addresses(interface: t.Mapping[str, t.Any]) -> list[str]:
    """The addresses with prefix of one of them that others can reach: none of the loopback, none that is link-local."""
    texts = [*interface.get("inet", []), *interface.get("inet6", [])]
    ips = [read_interface(text).ip for text in texts]
    return [text for text, ip in zip(texts, ips, strict=True) if not (ip.is_loopback or ip.is_link_local)]


def neighbour_addresses(node: Node, kind: Kind, vmid: int, network: Fields) -> dict[str, list[str]]:
    """The addresses, without prefix, at which the node itself has met a guest, by ``netN``.

    Ask about one that runs, and trust it least: it may be a lease that has ended.
    """
    try:
        met = node.neighbours()
        config = node.config(kind, vmid) if met else None
    except ProvisionError:
        return {}
    nets = {key: network.parse(text) for key, text in (config.live if config else {}).items() if is_net(key)}
    found = {key: met.get(str(net.get("hwaddr")).upper(), []) for key, net in nets.items()}
    return {key: addresses for key, addresses in found.items() if addresses}
