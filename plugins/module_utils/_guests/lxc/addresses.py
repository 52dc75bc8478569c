# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which addresses a container has: by its config, by its own word, by the node's."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import (
    DECLARED,
    NEIGHBOUR,
    Address,
    make_address,
    neighbour_addresses,
    seen_addresses,
    told_interfaces,
)
from ansible_collections.pve.provision.plugins.module_utils._errors import Timeout
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._model.network import NET, networks_in

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

# The source of an address that the container itself has told, through PVE.
GUEST: t.Final = "guest"


def _networks(options: t.Mapping[str, str]) -> dict[str, SubValues]:
    return networks_in(options, NET)


def declared_addresses(options: t.Mapping[str, str]) -> list[Address]:
    """The static addresses of a container's config."""
    return _static(_networks(options))


def _static(networks: t.Mapping[str, SubValues]) -> list[Address]:
    found = []
    for key, net in sorted(networks.items()):
        found += [
            make_address(net.get("name", key), str(net[name]), DECLARED, net.get("hwaddr"))
            for name in ("ip", "ip6")
            if "/" in str(net.get(name, ""))
        ]
    return found


def _dynamic(networks: t.Mapping[str, SubValues]) -> set[str]:
    """The interfaces that get an IPv4 address from outside, by their names in the guest."""
    return {str(net.get("name")) for net in networks.values() if net.get("ip") == "dhcp"}


def await_addresses(
    node: Node, vmid: int, options: t.Mapping[str, str], timeout: int, *, wait: bool
) -> tuple[list[Address], list[str]]:
    """Ask a running container until it has each address that it is to have, for ``timeout`` seconds at most; without
    ``wait`` it is asked once, and with a timeout of 0 not at all.

    Returns the addresses, each with who says so, and the interfaces that lack one. Without ``wait`` declared addresses
    alone are no reason for a request over the API: that would be one for each unchanged guest.
    """
    networks = _networks(options)
    dynamic, static = _dynamic(networks), _static(networks)
    if timeout <= 0 or not (dynamic or static):
        return static, []
    if not (dynamic or wait):
        local = node.local_addresses(vmid)
        if local is None:
            return static, []
        if all(entry["address"] in local for entry in static):
            return [{**entry, "source": GUEST} for entry in static], []

    def lacking(told: list[dict[str, t.Any]]) -> list[str]:
        seen = seen_addresses(told, GUEST)
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
        return seen_addresses(told, GUEST), lacking(told)
    met = neighbour_addresses(node, "lxc", vmid)
    return [_met(entry, met) for entry in static], sorted(dynamic)


def _met(entry: Address, met: t.Mapping[str, list[str]]) -> Address:
    """A declared address, with the node's own word for it where the node has met the guest there."""
    found = any(entry["address"] in addresses for addresses in met.values())
    return {**entry, "source": NEIGHBOUR} if found else entry


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
    return seen_addresses(told_interfaces(node, "lxc", vmid), GUEST)
