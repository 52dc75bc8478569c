# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which addresses a guest has, and who says so."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Degradation, ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.network import (
    PLAIN_IPV4,
    networks_in,
    read_interface,
)

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind

# The source of an address that nobody has seen: it rests on the declaration alone.
DECLARED: t.Final = "declared"
# The source of an address at which the node has met the guest on its own networks.
NEIGHBOUR: t.Final = "neighbour"

Address = dict[str, t.Any]


def make_address(interface: str, text: str, source: str, hwaddr: str | None) -> Address:
    """One address as a result shows it. Where ``text`` says no prefix length, nobody knows it: it is None."""
    prefix: int | None
    if plain := PLAIN_IPV4.fullmatch(text):
        host, prefix, version = plain[1], int(plain[2]), 4
    else:
        address = read_interface(text)
        host, version = str(address.ip), address.version
        prefix = address.network.prefixlen if "/" in text else None
    return {
        "interface": interface,
        "address": host,
        "prefix": prefix,
        "family": f"ipv{version}",
        "hwaddr": hwaddr,
        "source": source,
    }


def seen_addresses(told: t.Iterable[dict[str, t.Any]], source: str) -> list[Address]:
    """The addresses of the interfaces that a guest tells, loopback and link-local ones left out."""
    return [
        make_address(interface["name"], text, source, str(interface.get("hwaddr") or "").upper() or None)
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


def by_neighbour(addresses: t.Iterable[Address], witness: str) -> list[Degradation]:
    """That the node had to tell addresses, where a witness in the guest was to be asked first."""
    met = any(address["source"] == NEIGHBOUR for address in addresses)
    instead = "the node's neighbour table"
    return [Degradation("addresses", f"{witness} does not tell them", instead)] if met and witness else []


def neighbour_addresses(node: Node, kind: Kind, vmid: int) -> dict[str, list[str]]:
    """The addresses, without prefix, at which the node itself has met a guest, by ``netN``.

    Ask about one that runs, and trust it least: it may be a lease that has ended.
    """
    try:
        met = node.neighbours()
        config = node.config(kind, vmid) if met else None
    except ProvisionError:
        return {}
    nets = networks_in(config.live if config else {}, KINDS[kind].network)
    found = {key: met.get(str(net.get("hwaddr")).upper(), []) for key, net in nets.items()}
    return {key: addresses for key, addresses in found.items() if addresses}
