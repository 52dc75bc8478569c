# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: public keys of OpenPGP, as far as it takes to tell which ones a file holds. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import typing as t

_ARMOR: t.Final = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n"
    rb"(?:[^\r\n]+: [^\r\n]*\r?\n)*\r?\n(.*?)-----END PGP PUBLIC KEY BLOCK-----",
    re.DOTALL,
)
_PUBLIC_KEY: t.Final = 6
_LINE: t.Final = 64


def dearmored(content: bytes) -> bytes:
    """The packets of a key file, whether it is armored text or binary. ValueError where it is neither."""
    blocks = _ARMOR.findall(content)
    if not blocks:
        if content[:1] < b"\x80":
            raise ValueError("is not an OpenPGP key")
        return content
    found = b""
    for block in blocks:
        lines = [line for line in block.split() if not line.startswith(b"=")]
        try:
            found += base64.b64decode(b"".join(lines), validate=True)
        except binascii.Error as error:
            raise ValueError("is not a complete OpenPGP key") from error
    return found


def armored(packets: bytes) -> str:
    """Packets as text."""
    text = base64.b64encode(packets).decode()
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    kind = "PGP PUBLIC KEY BLOCK"
    return "\n".join([f"-----BEGIN {kind}-----", "", *lines, f"-----END {kind}-----", ""])


def fingerprints(packets: bytes) -> list[str]:
    """Those of the primary keys. ValueError where the packets are none that are whole."""
    return [_fingerprint(body) for tag, body in _packets(packets) if tag == _PUBLIC_KEY]


def _fingerprint(body: bytes) -> str:
    """That of a key's packet (RFC 9580, section 5.5.4)."""
    version = body[:1]
    if version == b"\x04":
        hashed = hashlib.sha1(b"\x99" + len(body).to_bytes(2) + body, usedforsecurity=False)
    elif version == b"\x06":
        hashed = hashlib.sha256(b"\x9b" + len(body).to_bytes(4) + body)
    else:
        raise ValueError("holds a key of a version that is not known here")
    return hashed.hexdigest().upper()


def _packets(data: bytes) -> t.Iterator[tuple[int, bytes]]:
    """Each packet: its tag and its body (RFC 9580, section 4.2)."""
    at = 0
    while at < len(data):
        head = data[at]
        if not head & 0x80:
            raise ValueError("is not an OpenPGP key")
        tag, start, size = _new_head(data, at) if head & 0x40 else _old_head(data, at)
        body = data[start : start + size]
        if len(body) != size:
            raise ValueError("is not a complete OpenPGP key")
        yield tag, body
        at = start + size


def _old_head(data: bytes, at: int) -> tuple[int, int, int]:
    """The tag, where the body begins and how long it is."""
    octets = {0: 1, 1: 2, 2: 4}.get(data[at] & 3)
    if octets is None:
        raise ValueError("is not a complete OpenPGP key")
    return (data[at] >> 2) & 15, at + 1 + octets, int.from_bytes(data[at + 1 : at + 1 + octets])


def _new_head(data: bytes, at: int) -> tuple[int, int, int]:
    tag, first = data[at] & 63, data[at + 1] if at + 1 < len(data) else 255
    if first < 192:
        return tag, at + 2, first
    if first < 224:
        return tag, at + 3, ((first - 192) << 8) + int.from_bytes(data[at + 2 : at + 3]) + 192
    if first < 255:
        raise ValueError("is not a complete OpenPGP key")
    return tag, at + 6, int.from_bytes(data[at + 2 : at + 6])
