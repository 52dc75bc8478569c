# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which addresses a guest has, and who says so."""

from __future__ import annotations

import ipaddress
import time
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields
from ansible_collections.pve.provision.plugins.module_utils._workflow.preflight import is_net

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

Address = dict[str, t.Any]


def declared_addresses(options: t.Mapping[str, str], network: Fields) -> list[Address]:
    """The static addresses of a guest's config, whose networks are written as ``network`` says; a VM's has none."""
    found = []
    for key, text in sorted(options.items()):
        if is_net(key):
            net = network.parse(text)
            found += [
                make_address(net.get("name", key), str(net[name]), "config", net.get("hwaddr"))
                for name in ("ip", "ip6")
                if "/" in str(net.get(name, ""))
            ]
    return found


def make_address(interface: str, text: str, source: str, hwaddr: str | None) -> Address:
    """One address as a result shows it."""
    address = ipaddress.ip_interface(text)
    return {
        "interface": interface,
        "address": str(address.ip),
        "prefix": address.network.prefixlen,
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
) -> tuple[list[Address], bool]:
    """Ask a running guest until each DHCP interface has an address, for ``timeout`` seconds at most; without
    ``wait`` it is asked once, and with a timeout of 0 not at all.

    Returns the addresses (of the guest where it answers, else of the config), and whether all have come.
    """
    missing = dynamic_interfaces(options, network)
    static = declared_addresses(options, network)
    if not missing or timeout <= 0:
        return static, not missing
    deadline, pause = time.monotonic() + timeout, 0.25
    while True:
        seen = guest_addresses(node, vmid)
        got = {entry["interface"] for entry in seen if entry["family"] == "ipv4"}
        if missing <= got or not wait:
            return _united(seen, static), True
        if time.monotonic() + pause > deadline:
            return _united(seen, static), False
        time.sleep(pause)
        pause = min(pause * 1.5, 2.0)


def await_static(node: Node, vmid: int, static: t.Mapping[str, t.Iterable[str]], timeout: int) -> None:
    """Wait until a container has the addresses that it gives itself, by device, as PVE sees it from outside.

    Raises Timeout when it has not after ``timeout`` seconds."""
    wanted = {(device, address) for device, addresses in static.items() for address in addresses}
    deadline, pause = time.monotonic() + timeout, 0.25
    while True:
        seen = {(entry["interface"], entry["address"]) for entry in guest_addresses(node, vmid)}
        missing = wanted - seen
        if not missing:
            return
        if time.monotonic() + pause > deadline:
            words = ", ".join(f"{address} on {device}" for device, address in sorted(missing))
            raise Timeout(f"{words} did not come up within {timeout} s.", remedy="Look at its console.")
        time.sleep(pause)
        pause = min(pause * 1.5, 2.0)


def guest_addresses(node: Node, vmid: int) -> list[Address]:
    """What the running guest says, loopback and link-local addresses left out; nothing when it does not answer yet."""
    try:
        interfaces = node.interfaces("lxc", vmid)
    except ProvisionError:
        return []
    found = []
    for interface in interfaces:
        for text in (*interface.get("inet", []), *interface.get("inet6", [])):
            ip = ipaddress.ip_interface(text).ip
            if not (ip.is_loopback or ip.is_link_local):
                found.append(make_address(interface["name"], text, "guest", interface.get("hwaddr")))
    return found


def _united(seen: list[Address], static: list[Address]) -> list[Address]:
    have = {entry["address"] for entry in seen}
    return seen + [entry for entry in static if entry["address"] not in have]
