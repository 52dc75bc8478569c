# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a tar archive and its gzip frame, the same bytes on every machine.

Headers are written here, not by ``tarfile``, whose bytes have changed between Python versions. The gzip frame holds
*stored* blocks: compressed bytes depend on the zlib build (zlib-ng and zlib 1.3 differ from 1.2 at the same level).
"""

from __future__ import annotations

import collections.abc as c
import hashlib
import tarfile
import typing as t
import zlib
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError

HOSTILE = "The archive was not used. Fetch it again from a source you trust."


@dataclass
class Entry:
    """One member of the tree to write. ``content`` gives the bytes of a regular file."""

    type: bytes
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: dict[str, str] = field(default_factory=dict)
    content: c.Callable[[], t.IO[bytes] | None] = lambda: None

    def read(self) -> bytes:
        stream = self.content()
        return stream.read() if stream else b""


def write_tar(tree: dict[str, Entry], sink: GzipSink) -> None:
    """Write the members sorted by name; one that stands under several names is written once, and linked."""
    written: dict[int, str] = {}
    for name in sorted(tree):
        entry = tree[name]
        path = "./" if name == "." else f"./{name}{'/' if entry.type == tarfile.DIRTYPE else ''}"
        if id(entry) in written:
            link = Entry(tarfile.LNKTYPE, entry.mode, entry.uid, entry.gid, mtime=entry.mtime, link=written[id(entry)])
            sink.write(_header(path, link))
            continue
        written[id(entry)] = path
        sink.write(_header(path, entry))
        stream = entry.content()
        if stream is not None:
            left = entry.size
            while left:
                piece = stream.read(min(left, 1 << 18))
                if not piece:
                    raise ImageError(f"The source archive ends within {name}.", remedy="Fetch it again.")
                sink.write(piece)
                left -= len(piece)
            sink.write(bytes(-entry.size % 512))
    sink.write(bytes(1024))
    sink.close()


def _header(path: str, entry: Entry) -> bytes:
    """A POSIX (ustar) header, after a pax header for what does not fit into it."""
    records = dict(sorted(entry.xattrs.items()))
    short, prefix = _split(path)
    if short is None:
        records["path"], short = path, path.encode("utf-8", "surrogateescape")[:100]
    link = entry.link.encode("utf-8", "surrogateescape")
    if len(link) > 100:
        records["linkpath"], link = entry.link, link[:100]
    extra = b""
    if records:
        body = b"".join(_record(key, value) for key, value in records.items())
        pax = Entry(b"x", 0o644, size=len(body), mtime=entry.mtime)
        extra = _ustar(b"./PaxHeaders/x", b"", b"", pax) + body + bytes(-len(body) % 512)
    return extra + _ustar(short, prefix, link, entry)


def _split(path: str) -> tuple[bytes | None, bytes]:
    raw = path.encode("utf-8", "surrogateescape")
    if len(raw) <= 100:
        return raw, b""
    cut = raw.rfind(b"/", 0, min(156, len(raw) - 1))
    return (raw[cut + 1 :], raw[:cut]) if cut > 0 and len(raw) - cut - 1 <= 100 else (None, b"")


def _record(key: str, value: str) -> bytes:
    """A pax record begins with its own length, digits included."""
    body = f" {key}={value}\n".encode("utf-8", "surrogateescape")
    length = len(body)
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def _ustar(name: bytes, prefix: bytes, link: bytes, entry: Entry) -> bytes:
    def octal(value: int, width: int) -> bytes:
        digits = f"{value:0{width - 1}o}".encode()
        if len(digits) >= width or value < 0:
            raise ImageError(f"{name.decode(errors='replace')}: {value} fits into no tar header.", remedy=HOSTILE)
        return digits + b"\0"

    major, minor = entry.device
    block = bytearray(
        name.ljust(100, b"\0")
        + b"".join(octal(value, 8) for value in (entry.mode, entry.uid, entry.gid))
        + octal(entry.size, 12)
        + octal(entry.mtime, 12)
        + b" " * 8
        + entry.type
        + link.ljust(100, b"\0")
        + b"ustar\x0000"
        + bytes(64)
        + octal(major, 8)
        + octal(minor, 8)
        + prefix.ljust(155, b"\0")
    ).ljust(512, b"\0")
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


class GzipSink:
    """A gzip file of stored blocks, written to a stream or to nowhere, with its digest."""

    BLOCK = 0xFFFF

    def __init__(self, stream: t.IO[bytes] | None) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._crc = 0
        self._plain = 0
        self.digest = hashlib.sha256()
        self.size = 0
        self._emit(b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff")  # no name, no time, unknown system

    def write(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._plain += len(data)
        self._buffer += data
        while len(self._buffer) >= self.BLOCK:
            self._block(bytes(self._buffer[: self.BLOCK]), last=False)
            del self._buffer[: self.BLOCK]

    def close(self) -> None:
        self._block(bytes(self._buffer), last=True)
        self._emit(self._crc.to_bytes(4, "little") + (self._plain & 0xFFFFFFFF).to_bytes(4, "little"))

    def _block(self, data: bytes, *, last: bool) -> None:
        length = len(data)
        self._emit(bytes([last]) + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little") + data)

    def _emit(self, data: bytes) -> None:
        self.digest.update(data)
        self.size += len(data)
        if self._stream is not None:
            self._stream.write(data)
