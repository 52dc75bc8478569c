# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: compressed streams, read to their very end or refused.

gzip, xz and bzip2 are read with the standard library, zstd with the node's ``zstd``. Concatenated streams count as one.
A stream that is cut or corrupt, or that grows beyond its :class:`Limits`, raises VerificationError with its place. What
may follow a gzip stream is told, not refused: OpenWrt's ``.img.gz`` carry metadata there, and gzip itself says
"trailing garbage ignored".
"""

from __future__ import annotations

import bz2
import contextlib
import hashlib
import io
import lzma
import os
import subprocess
import tempfile
import typing as t
import zlib
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, Unsupported, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._io.files import atomic_file, free_bytes, write_sparse

_BLOCK: t.Final = 256 << 10
_MOST: t.Final = 16 << 20
_XZ_MEMORY: t.Final = 256 << 20
#: First bytes -> compression.
_MAGIC: t.Final = {b"\x1f\x8b\x08": "gzip", b"\xfd7zXZ\0": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True)
class Limits:
    """What a stream may unpack to: ``size`` bytes, and beyond ``grace`` bytes ``ratio`` times its compressed file."""

    size: int = 64 << 30
    ratio: int = 250
    grace: int = 64 << 20


#: For disk images, which may be empty for the most part: as far as gzip can go, which is 1032.
DISK_LIMITS: t.Final = Limits(ratio=1100)
LIMITS: t.Final = Limits()


@dataclass(frozen=True)
class Unpacked:
    """A file that was unpacked. ``trailing``: bytes after the compressed stream that are no part of it."""

    path: Path
    size: int
    compression: str
    trailing: int
    sha256: str


class _Decompressor(t.Protocol):
    """What zlib, lzma and bz2 have in common once zlib is dressed up."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib with the interface of lzma and bz2."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self._full = False  # there may be more inside, without more input

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail and not self._full

    def decompress(self, data: bytes, max_length: int) -> bytes:
        block = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self._full = len(block) == max_length
        return block


_MAKERS: t.Final[t.Mapping[str, t.Callable[[], _Decompressor]]] = {
    "gzip": _Gzip,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
    "bzip2": bz2.BZ2Decompressor,
}


def compression_of(path: Path) -> str:
    """``gzip``, ``xz``, ``bzip2``, ``zstd``, or empty: by its first bytes, whatever it is called."""
    with path.open("rb") as file:
        start = file.read(8)
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


def gunzipped(body: bytes, most: int) -> bytes:
    """Bytes as they are, or unpacked where they are gzip; ValueError when they are damaged, or more than ``most``."""
    if not body.startswith(b"\x1f\x8b"):
        return body
    reader = zlib.decompressobj(wbits=31)
    try:
        plain = reader.decompress(body, most)
    except zlib.error as error:
        raise ValueError(f"its gzip stream is damaged: {error}") from error
    if not reader.eof:
        raise ValueError(f"its gzip stream breaks off, or holds more than {most} bytes")
    return plain


class Stream:
    """The plain bytes of a file, forwards only. ``position`` counts plain bytes, ``trailing`` what followed the stream.

    Has what ``tarfile`` needs of a file: read, tell, and seek to a place further on. ``last`` is the block read last;
    nobody needs one above 16 MiB, but a hostile tar header may ask for it.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.compression = compression_of(path)
        self.position = 0
        self.trailing = 0
        self.last = b""
        self._limits = limits
        self._blocks = self._plain()
        self._block = memoryview(b"")
        self._consumed = 0

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MOST:
            raise self.refusal(f"it asks for a block of {size} bytes at byte {self.position}")
        parts: list[memoryview] = []
        wanted = size
        while wanted:
            if not self._block:
                self._block = memoryview(next(self._blocks, b""))
                if not self._block:
                    break
            part = self._block[:wanted]
            self._block = self._block[len(part) :]
            wanted -= len(part)
            parts.append(part)
        self.last = b"".join(parts)
        self.position += len(self.last)
        return self.last

    def tell(self) -> int:
        return self.position

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or position < self.position:
            raise io.UnsupportedOperation("this stream goes forwards only")
        while self.position < position and self.read(min(_BLOCK, position - self.position)):
            pass
        return self.position

    def blocks(self) -> t.Iterator[bytes]:
        """What is left, block by block."""
        while block := self.read(_BLOCK):
            yield block

    def close(self) -> None:
        self._blocks.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def refusal(self, why: str) -> VerificationError:
        return VerificationError(
            f"{self.path}: {why}.", remedy="Remove the file, so that it is fetched again, or use another source."
        )

    def _plain(self) -> t.Generator[bytes, None, None]:
        """Blocks of plain bytes, within the limits."""
        made = 0
        limits, packed = self._limits, self.path.stat().st_size
        most = max(limits.grace, limits.ratio * packed) if self.compression else limits.size
        source = {"": self._stored, "zstd": self._zstd}.get(self.compression, self._in_process)
        with contextlib.closing(source()) as blocks:
            for block in blocks:
                made += len(block)
                if made > limits.size:
                    raise self.refusal(f"it unpacks to more than {limits.size} bytes")
                if made > most:
                    raise self.refusal(f"it is a decompression bomb: {packed} bytes unpack to more than {most}")
                yield block

    def _input(self, file: t.BinaryIO) -> bytes:
        block = file.read(_BLOCK)
        self._consumed += len(block)
        return block

    def _stored(self) -> t.Generator[bytes, None, None]:
        with self.path.open("rb") as file:
            while block := self._input(file):
                yield block

    def _in_process(self) -> t.Generator[bytes, None, None]:
        make = _MAKERS[self.compression]
        magic = {name: magic for magic, name in _MAGIC.items()}[self.compression]
        with self.path.open("rb") as file:
            pending = self._input(file)
            while True:
                pending = yield from self._one(make(), pending, file)
                if self.compression == "xz":  # streams may be padded with zeros
                    while pending and not pending.strip(b"\0"):
                        pending = self._input(file)
                    pending = pending.lstrip(b"\0")
                while len(pending) < len(magic) and (more := self._input(file)):
                    pending += more
                if not pending.startswith(magic):
                    break
            self.trailing = len(pending) + os.fstat(file.fileno()).st_size - file.tell()
        if self.trailing and self.compression != "gzip":
            raise self.refusal(f"{self.trailing} bytes follow the {self.compression} stream")

    def _one(self, decompressor: _Decompressor, pending: bytes, file: t.BinaryIO) -> t.Generator[bytes, None, bytes]:
        """One compressed stream; returns what was read beyond its end."""
        made = 0
        while not decompressor.eof:
            if decompressor.needs_input and not pending and not (pending := self._input(file)):
                raise self.refusal(f"its {self.compression} stream is cut off after {self._consumed} bytes")
            try:
                block = decompressor.decompress(pending, _BLOCK)
            except (zlib.error, lzma.LZMAError, OSError, EOFError, MemoryError) as error:
                place = f"within its first {self._consumed} bytes ({made} unpacked)"
                raise self.refusal(f"its {self.compression} stream is corrupt {place}: {error}") from error
            pending = b""
            made += len(block)
            if block:
                yield block
        return decompressor.unused_data

    def _zstd(self) -> t.Generator[bytes, None, None]:
        argv = ["zstd", "-d", "-q", "-c", "--memory=256MB"]
        with self.path.open("rb") as file, tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(argv, stdin=file, stdout=subprocess.PIPE, stderr=errors)
            except FileNotFoundError as error:
                raise Unsupported(
                    f"{self.path} is compressed with zstd, and there is no program zstd here.", remedy="Install zstd."
                ) from error
            pipe = t.cast("t.BinaryIO", process.stdout)
            try:
                while block := pipe.read(_BLOCK):
                    yield block
                if process.wait():
                    errors.seek(0)
                    words = errors.read(300).decode("utf-8", "replace").strip().replace("\n", " ")
                    raise self.refusal(f"its zstd stream is cut off or corrupt: {words}")
            finally:
                pipe.close()
                process.kill()
                process.wait()


def unpack(
    source: Path,
    target: Path,
    *,
    limits: Limits = DISK_LIMITS,
    mode: int = 0o644,
    check: t.Callable[[], None] = lambda: None,
) -> Unpacked:
    """Decompress ``source`` into the file ``target``, which appears only when it is whole. Zeros become holes.

    ``check`` is called before it gets its name, and raises when it must not get it.

    Raises VerificationError for a stream that is cut, corrupt or too large, ImageError when it cannot be written.
    """
    with Stream(source, limits) as stream:
        if not stream.compression:
            raise stream.refusal("it is not compressed in a way that is known here (gzip, xz, bzip2, zstd)")
        try:
            with atomic_file(target, mode, check=check) as file:
                digest = _copy(stream, file, free_bytes(target.parent))
        except OSError as error:
            raise ImageError(f"{target} cannot be written: {error.strerror}.", remedy="Free some space.") from error
        return Unpacked(target, stream.position, stream.compression, stream.trailing, digest)


def _copy(stream: Stream, file: t.BinaryIO, room: int) -> str:
    """Write the stream, and its digest while at it."""
    hasher = hashlib.sha256()
    written = 0
    for block in stream.blocks():
        hasher.update(block)
        written += write_sparse(file, block)
        if written > room:
            raise ImageError(f"{stream.path} does not fit: it unpacks to more than the {room} bytes that are free.")
    file.truncate(stream.position)
    return hasher.hexdigest()
