# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: until when a certificate is valid. Python itself reads only those that it believes.

What is read of it (RFC 5280, 4.1) comes before all that is of variable form: version, serial number, algorithm, issuer,
validity.
"""

from __future__ import annotations

import datetime
import typing as t

_VERSION: t.Final = 0xA0
_UTC_TIME: t.Final = 0x17


class _Item(t.NamedTuple):
    tag: int
    content: bytes
    end: int


def _item(data: bytes, place: int) -> _Item:
    """The value at a place of DER."""
    tag, length, begin = data[place], data[place + 1], place + 2
    if length & 0x80:
        size = length & 0x7F
        length, begin = int.from_bytes(data[begin : begin + size], "big"), begin + size
    return _Item(tag, data[begin : begin + length], begin + length)


def _items(data: bytes) -> t.Iterator[_Item]:
    place = 0
    while place < len(data):
        item = _item(data, place)
        yield item
        place = item.end


def valid_until(certificate: bytes) -> float | None:
    """When a certificate in DER ends, in seconds since the epoch; None where it cannot be read."""
    try:
        inside = [each for each in _items(_item(_item(certificate, 0).content, 0).content) if each.tag != _VERSION]
        _begin, end = _items(inside[3].content)
        text = end.content.decode("ascii")
        form = "%y%m%d%H%M%SZ" if end.tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
        return datetime.datetime.strptime(text, form).replace(tzinfo=datetime.UTC).timestamp()
    except (IndexError, ValueError):
        return None
