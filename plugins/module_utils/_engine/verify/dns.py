# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: one question to a DNS server, and its answer (RFC 1035, 4). Pure."""

from __future__ import annotations

import ipaddress
import struct
import typing as t

TYPES: t.Final[dict[str, int]] = {"ipv4": 1, "ipv6": 28}
_INTERNET: t.Final = 1
_RECURSE: t.Final = 0x0100
_HEADER: t.Final = struct.Struct("!6H")
_RECORD: t.Final = struct.Struct("!HHIH")
_REASONS: t.Final = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


def question(name: str, family: str, number: int) -> bytes:
    """The packet that asks for the addresses of a name. ValueError where it is no name."""
    labels = [label.encode("idna") for label in name.rstrip(".").split(".") if label]
    if not labels or any(len(label) > 63 for label in labels):
        raise ValueError(f"{name!r} is not a name")
    asked = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return _HEADER.pack(number, _RECURSE, 1, 0, 0, 0) + asked + struct.pack("!2H", TYPES[family], _INTERNET)


def answer_of(packet: bytes, number: int) -> tuple[list[str], str]:
    """The addresses in an answer, and why there are none. ValueError where it is no answer to this question."""
    try:
        found, flags, questions, answers, _authorities, _more = _HEADER.unpack_from(packet)
        if found != number or not flags & 0x8000:
            raise ValueError("no answer to this question")
        if code := flags & 0xF:
            return [], _REASONS.get(code, f"error {code}")
        place = _HEADER.size
        for _each in range(questions):
            place = _after_name(packet, place) + 4
        return list(_addresses(packet, place, answers)), ""
    except (IndexError, struct.error) as error:
        raise ValueError("an answer that cannot be read") from error


def _addresses(packet: bytes, place: int, answers: int) -> t.Iterator[str]:
    for _each in range(answers):
        place = _after_name(packet, place)
        kind, _class, _ttl, length = _RECORD.unpack_from(packet, place)
        place += _RECORD.size
        if kind in TYPES.values():
            yield str(ipaddress.ip_address(packet[place : place + length]))
        place += length


def _after_name(packet: bytes, place: int) -> int:
    while length := packet[place]:
        if length & 0xC0 == 0xC0:  # the rest of it stands elsewhere
            return place + 2
        place += 1 + length
    return place + 1
