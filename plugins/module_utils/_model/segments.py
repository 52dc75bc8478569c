# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which network devices of a node are in one broadcast domain, and its addresses there."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

Segment: t.TypeAlias = "tuple[str, int | None]"
_VLAN_NAME = re.compile(r"(?P<link>.+)\.(?P<tag>\d{1,4})|vlan(?P<only>\d{1,4})")


@dataclass(frozen=True)
class Link:
    """A network device of a node. ``ports`` are those of a bridge or bond; ``link`` and ``tag`` what a VLAN is of."""

    name: str
    addresses: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    link: str = ""
    tag: int | None = None


def make_link(name: str, addresses: t.Iterable[str], options: t.Mapping[str, t.Any]) -> Link:
    """A device as ifupdown2 configures it, whose options PVE's API writes with underscores."""
    said = {key.replace("-", "_"): str(value) for key, value in options.items() if value not in (None, "")}
    ports = " ".join(said.get(key, "") for key in ("bridge_ports", "bond_slaves", "slaves", "ovs_ports", "ovs_bonds"))
    named = _VLAN_NAME.fullmatch(name)
    link, tag = said.get("vlan_raw_device", ""), said.get("vlan_id", "")
    if said.get("ovs_bridge"):
        found = re.search(r"\btag=(\d+)", said.get("ovs_options", ""))
        link, tag = said["ovs_bridge"], said.get("ovs_tag", found[1] if found else "")
    elif named:
        link, tag = link or named["link"] or "", tag or named["tag"] or named["only"]
    own = tuple(port for port in ports.split() if port != "none")
    return Link(name, tuple(addresses), own, link, int(tag) if tag.isdigit() else None)


def segment_of(links: t.Iterable[Link], name: str, tag: int | None) -> Segment:
    """The broadcast domain behind a device, with a VLAN tag or without: the bridge that leads there, or else the
    device, and the tag."""
    known = {link.name: link for link in links}
    masters = {port: link.name for link in known.values() for port in link.ports}
    for _step in range(len(known) + 1):
        link = known.get(name, Link(name))
        vlan = next((known[port] for port in link.ports if port in known and known[port].link), None)
        if tag is None and link.link:
            name, tag = link.link, link.tag
        elif tag is None and vlan is not None and vlan.tag is not None:
            name, tag = vlan.link, vlan.tag
        elif name in masters and not link.link:
            name = masters[name]
        else:
            break
    return name, tag


def addresses_on(links: t.Sequence[Link], name: str, tag: int | None) -> list[str]:
    """The addresses that the node has where a guest is plugged in."""
    here = segment_of(links, name, tag)
    return [text for link in links if segment_of(links, link.name, None) == here for text in link.addresses]
