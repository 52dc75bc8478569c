# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: unpack what OpenWrt publishes as ``.gz``, within bounds.

OpenWrt appends metadata to the gzip stream of its images, so the ``gzip`` program ends with code 2 and "trailing
garbage ignored" on a file that is good. Here bytes after a complete stream are accepted, and nothing else is: a cut or
damaged stream raises :class:`ImageError`.
"""

from __future__ import annotations

import typing as t
import zlib

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError

if t.TYPE_CHECKING:
    import collections.abc as c
    from pathlib import Path

MAGIC = b"\x1f\x8b"
CHUNK = 1 << 18
GZIP_WINDOW = 31  # zlib: a 32 KiB window and a gzip frame, whose checksum and length zlib checks


def gunzip(source: Path, *, limit: int) -> c.Iterator[bytes]:
    """The unpacked bytes of a gzip file, piece by piece; more than ``limit`` bytes is refused (gzip bombs)."""
    with source.open("rb") as stream:
        total = 0
        for piece in _members(stream, source):
            total += len(piece)
            if total > limit:
                raise ImageError(
                    f"{source} unpacks to more than {limit} bytes.",
                    remedy="This is not an OpenWrt image; remove the file and fetch it again from its source.",
                )
            yield piece


def _members(stream: t.BinaryIO, source: Path) -> c.Iterator[bytes]:
    data = stream.read(CHUNK)
    if not data.startswith(MAGIC):
        raise ImageError(f"{source} is not a gzip file.", remedy="Fetch it again from its source.")
    while data.startswith(MAGIC):
        inflate = zlib.decompressobj(GZIP_WINDOW)
        while not inflate.eof:
            if not data:
                raise ImageError(f"{source} ends in the middle of its gzip stream.", remedy="Fetch it again.")
            try:
                yield inflate.decompress(data, CHUNK * 4)
            except zlib.error as error:
                raise ImageError(f"{source} is damaged: {error}.", remedy="Fetch it again.") from error
            data = inflate.unconsumed_tail or (b"" if inflate.eof else stream.read(CHUNK))
        data = inflate.unused_data
        data += stream.read(CHUNK) if len(data) < len(MAGIC) else b""
