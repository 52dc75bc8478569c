# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: qcow2 images: their header, what they hold, and writing one from a raw image.

Layout: docs/interop/qcow2.txt of QEMU. A table of the first level (L1) says where the tables of the second level (L2)
are, and these say where each cluster of the guest's disk is: nowhere, in a cluster of the file, or compressed.
"""

from __future__ import annotations

import errno
import os
import struct
import typing as t
import zlib
from dataclasses import dataclass
from pathlib import Path

MAGIC: t.Final = b"QFI\xfb"
#: Bits of ``Header.features``, which a reader has to know.
CORRUPT: t.Final = 1 << 1
EXTERNAL_DATA: t.Final = 1 << 2
_DIRTY: t.Final = 1 << 0  # only the reference counts may be wrong
_COMPRESSION_TYPE: t.Final = 1 << 3

CLUSTER: t.Final = 1 << 16  # of an image that is written here
_ENTRIES: t.Final = CLUSTER // 8  # of a table of places
_COUNTS: t.Final = CLUSTER // 2  # of a block of reference counts
_SECTOR: t.Final = 512
_BASE = struct.Struct(">4sIQIIQIIQQIIQ")
_VERSION_3 = struct.Struct(">QQQII")  # what follows it in version 3
_TYPE_AT: t.Final = _BASE.size + _VERSION_3.size  # of the compression type, where a feature says that it is told
_COPIED: t.Final = 1 << 63  # nobody else uses this cluster
_COMPRESSED: t.Final = 1 << 62
_ZERO: t.Final = 1  # it reads as zeros, wherever it is
_PLACE: t.Final = 0x00FF_FFFF_FFFF_FE00
_L1_MOST: t.Final = 32 << 20  # bytes; QEMU takes no more


class Unreadable(ValueError):
    """The clusters of an image cannot be read. Its text says why, as the rest of a sentence."""


@dataclass(frozen=True)
class Header:
    """What an image says of itself. ``size`` is what a guest sees; places and sizes are in bytes."""

    version: int
    backing: int
    cluster_bits: int
    size: int
    encryption: int
    l1_entries: int
    l1: int
    refcounts: int
    features: int = 0
    compression: int = 0

    @classmethod
    def parse(cls, head: bytes) -> Header:
        """The header at the beginning of an image; Unreadable where it is cut off or none."""
        if len(head) < _BASE.size or not head.startswith(MAGIC):
            raise Unreadable("its qcow2 header is cut off")
        _magic, version, backing, _length, bits, size, crypt, entries, l1, refcounts, *_rest = _BASE.unpack_from(head)
        features = compression = 0
        if version >= 3 and len(head) >= _TYPE_AT:
            features = _VERSION_3.unpack_from(head, _BASE.size)[0]
            compression = head[_TYPE_AT] if features & _COMPRESSION_TYPE and len(head) > _TYPE_AT else 0
        return cls(version, backing, bits, size, crypt, entries, l1, refcounts, features, compression)

    @property
    def cluster(self) -> int:
        """Bytes of a cluster."""
        return 1 << self.cluster_bits

    @property
    def tables(self) -> int:
        """How many tables of the second level the size needs."""
        return -(-self.size // (self.cluster * (self.cluster // 8)))

    @property
    def sane_clusters(self) -> bool:
        """Whether QEMU knows clusters of this size."""
        return 9 <= self.cluster_bits <= 21


# -- reading -----------------------------------------------------------------------------------------------------------


def clusters(image: t.BinaryIO, most: int) -> t.Iterator[tuple[int, bytes]]:
    """The clusters that hold something, each with its place on the guest's disk, in the order of that disk.

    Raises Unreadable, also for an image that makes more than ``most`` bytes: its tables may name a cluster many times.
    """
    image.seek(0)
    header = Header.parse(image.read(_TYPE_AT + 1))
    _refuse_unknown(header)
    number, left = header.cluster // 8, most
    first = _table_at(image, header.l1, 8 * min(header.tables, header.l1_entries))
    for outer, (table,) in enumerate(struct.iter_unpack(">Q", first)):
        if not table & _PLACE:
            continue
        second = _table_at(image, table & _PLACE, header.cluster)
        left -= header.cluster
        for inner, (entry,) in enumerate(struct.iter_unpack(">Q", second)):
            place = (outer * number + inner) * header.cluster
            if place >= header.size:
                return
            data = _cluster(image, header, entry)
            left -= len(data)
            if left < 0:
                raise Unreadable(f"its qcow2 image holds more than {most} bytes")
            if data:
                yield place, data[: header.size - place]


def _refuse_unknown(header: Header) -> None:
    faults = {
        f"has version {header.version}": header.version not in (2, 3),
        "has a backing file": header.backing != 0,
        "is encrypted": header.encryption != 0,
        "keeps its data in another file": bool(header.features & EXTERNAL_DATA),
        "is compressed with zstd, which is not read here": header.compression == 1,
        f"is compressed in an unknown way ({header.compression})": header.compression > 1,
        f"has features that are not known here (0x{header.features:x})": header.features
        & ~(_DIRTY | CORRUPT | EXTERNAL_DATA | _COMPRESSION_TYPE)
        != 0,
        f"has clusters of 2^{header.cluster_bits} bytes": not header.sane_clusters,
        "has too large a table": header.sane_clusters and 8 * min(header.tables, header.l1_entries) > _L1_MOST,
    }
    for words, found in faults.items():
        if found:
            raise Unreadable(f"its qcow2 image {words}")


def _table_at(image: t.BinaryIO, place: int, size: int) -> bytes:
    image.seek(place)
    table = image.read(size)
    if len(table) < size:
        raise Unreadable(f"its qcow2 table at byte {place} is cut off")
    return table


def _cluster(image: t.BinaryIO, header: Header, entry: int) -> bytes:
    """The bytes that an entry of an L2 table leads to; none where they are zeros."""
    if entry & _COMPRESSED:
        bits = 62 - (header.cluster_bits - 8)  # of the place; above them: how many more sectors the data touches
        place, sectors = entry & ((1 << bits) - 1), (entry & (_COMPRESSED - 1)) >> bits
        image.seek(place)
        packed = image.read((sectors + 1) * _SECTOR - place % _SECTOR)
        try:
            data = zlib.decompressobj(wbits=-12).decompress(packed, header.cluster)
        except zlib.error as error:
            raise Unreadable(f"its qcow2 cluster at byte {place} is corrupt: {error}") from error
        if len(data) < header.cluster:
            raise Unreadable(f"its qcow2 cluster at byte {place} is cut off")
        return data
    if (header.version >= 3 and entry & _ZERO) or not entry & _PLACE:
        return b""
    image.seek(entry & _PLACE)
    return image.read(header.cluster).ljust(header.cluster, b"\0")  # what lies beyond the end of the file is zero


# -- writing -----------------------------------------------------------------------------------------------------------


def write_qcow2(source: Path, target: Path) -> None:
    """A raw image as qcow2 (version 3), in which zeros take no room, for its owner alone. ``target`` must not exist.

    What a qcow2 holds, as here in this order: header, first table, data, second tables, reference counts.
    """
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with source.open("rb") as image, open(descriptor, "wb") as out:
        size = image.seek(0, os.SEEK_END)
        used, seconds = 2, dict[int, list[int]]()
        for number, data in _filled(image, size):
            seconds.setdefault(number // _ENTRIES, [0] * _ENTRIES)[number % _ENTRIES] = used * CLUSTER | _COPIED
            _put(out, used, data)
            used += 1
        first = [0] * max(1, -(-size // (CLUSTER * _ENTRIES)))
        for index, places in seconds.items():
            first[index] = used * CLUSTER | _COPIED
            _put(out, used, _table(places))
            used += 1
        blocks = next(n for n in range(1, _ENTRIES) if used + 1 + n <= n * _COUNTS)
        _put(out, used, _table([(used + 1 + n) * CLUSTER for n in range(blocks)]))
        _put(out, used + 1, (b"\0\1" * (used + 1 + blocks)).ljust(blocks * CLUSTER, b"\0"))
        _put(out, 1, _table(first))
        base = _BASE.pack(MAGIC, 3, 0, 0, 16, size, 0, len(first), CLUSTER, used * CLUSTER, 1, 0, 0)
        _put(out, 0, base + _VERSION_3.pack(0, 0, 0, 4, _TYPE_AT))


def _filled(image: t.BinaryIO, size: int) -> t.Iterator[tuple[int, bytes]]:
    """The clusters that hold something, by number; holes of the file are stepped over."""
    position = 0
    while position < size:
        try:
            start = os.lseek(image.fileno(), position, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # nothing but a hole follows
        number = start // CLUSTER
        image.seek(number * CLUSTER)
        data = image.read(CLUSTER)
        if data.strip(b"\0"):
            yield number, data
        position = (number + 1) * CLUSTER


def _table(places: t.Sequence[int]) -> bytes:
    return struct.pack(f">{len(places)}Q", *places)


def _put(out: t.BinaryIO, cluster: int, data: bytes) -> None:
    out.seek(cluster * CLUSTER)
    out.write(data.ljust(-(-len(data) // CLUSTER) * CLUSTER, b"\0"))
