# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the networks of a declaration as a picture: a column for each segment, a row for each
guest, a dot where a guest has a network card, with its address. Routers stand on top, since they join segments."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.plugin_utils.report.svg import Markup, box, drawing, element, line, text

Guest = t.Mapping[str, t.Any]

_NAME: t.Final = 170  # px that the names of guests take
_COLUMN: t.Final = 190
_ROW: t.Final = 44
_HEAD: t.Final = 54


@dataclass(frozen=True)
class Port:
    """A network card. ``zone`` is what a router calls it, ``told`` says who saw the address."""

    segment: tuple[str, int]
    zone: str
    address: str
    told: str = ""

    @property
    def label(self) -> str:
        return " ".join(word for word in (self.zone, self.address) if word)


def ports(guest: Guest, result: Guest) -> list[Port]:
    """The network cards of a guest: as declared, with the addresses that were seen where there are any."""
    seen = {str(each.get("interface")): each for each in result.get("addresses") or ()}
    found = []
    interfaces = guest.get("interfaces")
    if isinstance(interfaces, t.Mapping) and interfaces:
        for zone, net in interfaces.items():
            address = seen.get(str(zone), {}).get("address") or net.get("address") or net.get("proto") or ""
            found.append(Port(_segment(net), str(zone), str(address), _source(seen.get(str(zone)))))
        return found
    for number, net in enumerate(guest.get("networks") or ()):
        if net.get("state") == "absent":
            continue
        name = str(net.get("name") or f"eth{net.get('id', number)}")
        met = seen.get(name) or seen.get(f"net{net.get('id', number)}")
        address = (met or {}).get("address") or net.get("ip") or ""
        found.append(Port(_segment(net), "", str(address), _source(met)))
    return found


def _segment(net: Guest) -> tuple[str, int]:
    return str(net.get("bridge") or "?"), int(net.get("tag") or 0)


def _source(met: Guest | None) -> str:
    return str((met or {}).get("source") or "")


def picture(guests: t.Sequence[Guest], results: t.Mapping[str, Guest]) -> Markup:
    """All guests that have network cards, but for those that are to be absent."""
    there = [guest for guest in guests if guest.get("state") != "absent"]
    rows = [(guest, ports(guest, results.get(str(guest["name"]), {}))) for guest in there]
    rows = sorted((row for row in rows if row[1]), key=lambda row: len({port.segment for port in row[1]}) < 2)
    segments = sorted({port.segment for _guest, cards in rows for port in cards})
    if not rows:
        return Markup("")
    width, height = _NAME + _COLUMN * len(segments), _HEAD + _ROW * len(rows) + 8
    columns = {segment: _NAME + _COLUMN * number + 20 for number, segment in enumerate(segments)}
    parts = [_column(segment, x, height) for segment, x in columns.items()]
    parts += [_row(guest, cards, columns, _HEAD + _ROW * number) for number, (guest, cards) in enumerate(rows)]
    label = f"{len(rows)} guests in {len(segments)} network segments"
    return drawing(width, height, label, *parts, class_="network")


def _column(segment: tuple[str, int], x: float, height: float) -> Markup:
    bridge, tag = segment
    name = [text(x, 20, bridge, "strong"), text(x, 38, f"VLAN {tag}" if tag else "untagged", "quiet")]
    return element("g", *name, line(x, _HEAD - 8, x, height - 8, "segment"), class_="bridge")


def _row(guest: Guest, cards: t.Sequence[Port], columns: t.Mapping[tuple[str, int], float], y: float) -> Markup:
    middle = y + _ROW / 2
    places = [columns[port.segment] for port in cards]
    joins = len({port.segment for port in cards}) > 1
    parts = [line(_NAME - 20, middle, max(places), middle, "cable router" if joins else "cable")]
    parts.append(box(2, y + 6, _NAME - 22, _ROW - 12, "router" if joins else "guest"))
    parts.append(text(12, middle + 5, _short(str(guest["name"]), 17), "strong"))
    for port, x in zip(cards, places, strict=True):
        parts.append(element("circle", cx=f"{x:g}", cy=f"{middle:g}", r="5", class_="port"))
        parts.append(text(x + 9, middle - 6, _short(port.label, 26), "address"))
    told = f"{guest['name']}: " + ", ".join(f"{port.segment[0]} {port.label} {port.told}".strip() for port in cards)
    return element("g", element("title", told), *parts, class_="row")


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"
