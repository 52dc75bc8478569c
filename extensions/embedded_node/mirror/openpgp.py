# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OpenPGP key (RFC 9580, version 4, Ed25519) and what it signs, as gpg makes them.

gpg itself would leave an agent running behind each mirror that is killed.
"""

from __future__ import annotations

import base64
import hashlib
import re
import textwrap
import time
import typing as t
from dataclasses import dataclass

_KEY, _SIGNATURE, _USER_ID = 6, 2, 13  # packets
_BINARY, _TEXT, _CERTIFICATION = 0, 1, 0x13  # what is signed
_CREATED, _ISSUER, _FLAGS, _ISSUER_FINGERPRINT = 2, 16, 27, 33  # subpackets
_EDDSA, _SHA512 = 22, 10
_ED25519 = bytes.fromhex("092b06010401da470f01")
_BORN = 1_700_000_000


def _number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def _packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 0xFF]) + _number(len(body), 4) + body


def _subpacket(kind: int, body: bytes) -> bytes:
    return bytes([len(body) + 1, kind]) + body


def _integer(value: bytes) -> bytes:
    """A multi-precision integer: its length in bits, then its bytes."""
    number = int.from_bytes(value, "big")
    return _number(number.bit_length(), 2) + _number(number, (number.bit_length() + 7) // 8)


def armor(kind: str, packets: bytes) -> bytes:
    """The packets as text."""
    lines = textwrap.fill(base64.b64encode(packets).decode(), 64)
    return f"-----BEGIN PGP {kind}-----\n\n{lines}\n-----END PGP {kind}-----\n".encode()


@dataclass(frozen=True)
class OpenPgpKey:
    """``public``: the 32 bytes of the Ed25519 key; ``sign`` signs with its other half."""

    public: bytes
    user: str
    sign: t.Callable[[bytes], bytes]

    @property
    def _body(self) -> bytes:
        return bytes([4]) + _number(_BORN, 4) + bytes([_EDDSA]) + _ED25519 + _integer(b"\x40" + self.public)

    @property
    def _hashed_body(self) -> bytes:
        return b"\x99" + _number(len(self._body), 2) + self._body

    @property
    def fingerprint(self) -> str:
        return hashlib.sha1(self._hashed_body).hexdigest().upper()

    def block(self) -> bytes:
        """The public key with its name, to give to others."""
        user = self.user.encode()
        named = self._hashed_body + b"\xb4" + _number(len(user), 4) + user
        certified = self._signature(_CERTIFICATION, named, _BORN, _subpacket(_FLAGS, b"\x03"))
        return armor("PUBLIC KEY BLOCK", _packet(_KEY, self._body) + _packet(_USER_ID, user) + certified)

    def detached(self, data: bytes) -> bytes:
        """A signature apart from what it signs, not armored."""
        return self._signature(_BINARY, data, int(time.time()))

    def clearsigned(self, text: bytes) -> bytes:
        """The text with its signature below it. What is signed has CR LF between lines and no blanks at their ends."""
        lines = [line.rstrip(b" \t\r") for line in text.removesuffix(b"\n").split(b"\n")]
        signature = self._signature(_TEXT, b"\r\n".join(lines), int(time.time()))
        shown = b"\n".join(re.sub(rb"^-", b"- -", line) for line in lines)
        head = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n"
        return head + shown + b"\n" + armor("SIGNATURE", signature)

    def _signature(self, kind: int, data: bytes, when: int, more: bytes = b"") -> bytes:
        fingerprint = bytes.fromhex(self.fingerprint)
        hashed = _subpacket(_ISSUER_FINGERPRINT, b"\x04" + fingerprint) + _subpacket(_CREATED, _number(when, 4)) + more
        head = bytes([4, kind, _EDDSA, _SHA512]) + _number(len(hashed), 2) + hashed
        digest = hashlib.sha512(data + head + b"\x04\xff" + _number(len(head), 4)).digest()
        unhashed = _subpacket(_ISSUER, fingerprint[-8:])
        signed = self.sign(digest)
        body = head + _number(len(unhashed), 2) + unhashed + digest[:2] + _integer(signed[:32]) + _integer(signed[32:])
        return _packet(_SIGNATURE, body)
