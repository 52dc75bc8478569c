# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the addresses of a router, told by sources that are trusted more and less."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import DECLARED, Address, make_address
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Interface

Source = tuple[list[Address], bool]
"""What one source says, and whether it has answered, be it that there is none."""


def merged(
    interfaces: t.Sequence[Interface], sources: t.Iterable[Source], *, last: bool
) -> tuple[list[Address], list[str]]:
    """The router's addresses by the sources in order of trust, and the interfaces that wait for one.

    While there is time, what has answered is waited for, and none that is trusted less is asked in its stead; ``last``:
    there is none left.
    """
    found: list[Address] = []
    waiting: list[str] = []
    for addresses, answered in sources:
        _add(interfaces, found, addresses)
        waiting = [each.name for each in _lacking(interfaces, found) if each.proto == "dhcp"]
        if answered and waiting and not last:
            break
        if not any(each.proto == "dhcp" or each.addresses for each in _lacking(interfaces, found)):
            break
    _add(interfaces, found, [told_by(DECLARED, e, str(text)) for e in interfaces for text in e.addresses])
    order = [each.name for each in interfaces]
    return sorted(found, key=lambda entry: order.index(entry["interface"])), waiting


def told_by(source: str, interface: Interface, text: str) -> Address:
    return make_address(interface.name, text, source, None)


def met_addresses(interface: Interface, met: list[str]) -> list[str]:
    """At which addresses the node has met an interface. Of a declared one it can say that it is there, and no other."""
    return [str(address) for address in interface.addresses if str(address.ip) in met] if interface.addresses else met


def _lacking(interfaces: t.Iterable[Interface], found: t.Iterable[Address]) -> list[Interface]:
    """The interfaces that have no address; by DHCP comes one of IPv4."""
    families = {(entry["interface"], family) for entry in found for family in (entry["family"], "any")}
    return [e for e in interfaces if (e.name, "ipv4" if e.proto == "dhcp" else "any") not in families]


def _add(interfaces: t.Iterable[Interface], found: list[Address], addresses: t.Iterable[Address]) -> None:
    """Add what one source says of the interfaces that no better one has told of."""
    lacking = {each.name for each in _lacking(interfaces, found)}
    have = {(entry["interface"], entry["address"]) for entry in found}
    found += [e for e in addresses if e["interface"] in lacking and (e["interface"], e["address"]) not in have]
