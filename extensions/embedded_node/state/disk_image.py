# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images as bytes: which format a file has, how big its guest sees it, and copies between formats.

Raw and qcow2 are read and written here, the same on every machine: holes stay holes, compressed clusters are unpacked;
backing files and encryption are refused.
"""

from __future__ import annotations

import os
import struct
import typing as t
import zlib

from ..errors import ApiError

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECTOR = 512
CLUSTER = 65536
MAGIC = b"QFI\xfb"
COPIED = 1 << 63
COMPRESSED = 1 << 62
OFFSET = 0x00FF_FFFF_FFFF_FE00
HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
HEADER_V3 = struct.Struct(">QQQII")


def named_format(path: Path) -> str:
    """The format that a file's name tells: what its reader is told to expect."""
    return {".qcow2": "qcow2", ".vmdk": "vmdk"}.get(path.suffix, "raw")


def sniffed_size(path: Path) -> int:
    """The size a guest sees; a raw file counts in whole sectors."""
    with path.open("rb") as file:
        head = file.read(HEADER.size)
    if head[:4] == MAGIC and len(head) == HEADER.size:
        return int.from_bytes(head[24:32], "big")
    return -(-path.stat().st_size // SECTOR) * SECTOR


def bootable(path: Path) -> bool:
    """Whether something could boot from a disk: it has a boot sector's signature."""
    try:
        sector = next(read(path, "qcow2" if is_qcow2(path) else "raw"), (0, b""))
    except (OSError, ApiError):
        return False
    return sector[0] == 0 and sector[1][510:512] == b"\x55\xaa"


def is_qcow2(path: Path) -> bool:
    """Whether a file has a qcow2 header."""
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def convert(source: Path, source_format: str, target: Path, target_format: str) -> None:
    """Copy an image. The target exists and has the right size; dies when the source is not what it should be."""
    if source_format == "qcow2" and not is_qcow2(source):
        raise ApiError(f"qemu-img: Could not open '{source}': Image is not in qcow2 format")
    if target_format == "qcow2":
        write_qcow2(target, sniffed_size(source), read(source, source_format))
    else:
        size = sniffed_size(source)
        with target.open("r+b") as out:
            for offset, data in read(source, source_format):
                out.seek(offset)
                out.write(data)
            out.truncate(max(size, target.stat().st_size))


def read(path: Path, form: str) -> Iterator[tuple[int, bytes]]:
    """The pieces of an image that hold something, with their place."""
    yield from _read_qcow2(path) if form == "qcow2" else _read_raw(path)


def _read_raw(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        end = path.stat().st_size
        offset = _next_data(file, 0, end)
        while offset < end:
            file.seek(offset)
            data = file.read(CLUSTER)
            if data.strip(b"\0"):
                yield offset, data
            offset = _next_data(file, offset + CLUSTER, end)


def _next_data(file: t.BinaryIO, offset: int, end: int) -> int:
    """The next place, in whole clusters, that is not known to be a hole."""
    try:
        found = os.lseek(file.fileno(), offset, os.SEEK_DATA)
    except OSError:
        return end
    return max(offset, found // CLUSTER * CLUSTER)


def _read_qcow2(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        fields = HEADER.unpack(file.read(HEADER.size))
        _unused, version, backing, _unused, bits, size, encryption, entries, table = fields[:9]
        if backing or encryption:
            raise ApiError(f"qemu-img: Could not open '{path}': backing files and encryption are not supported")
        if version not in (2, 3):
            raise ApiError(f"qemu-img: Could not open '{path}': Unsupported qcow2 version {version}")
        cluster = 1 << bits
        file.seek(table)
        first = struct.unpack(f">{entries}Q", file.read(8 * entries)) if entries and table else ()
        for number, entry in enumerate(first):
            if not entry & OFFSET:
                continue
            file.seek(entry & OFFSET)
            second = struct.unpack(f">{cluster // 8}Q", file.read(cluster))
            for place, item in enumerate(second):
                offset = (number * (cluster // 8) + place) * cluster
                data = _cluster(file, item, cluster, bits) if offset < size else b""
                if data.strip(b"\0"):
                    yield offset, data[: size - offset]


def _cluster(file: t.BinaryIO, entry: int, cluster: int, bits: int) -> bytes:
    if entry & COMPRESSED:
        split = 62 - (bits - 8)
        start = entry & ((1 << split) - 1)
        sectors = (entry >> split) & ((1 << (62 - split)) - 1)
        file.seek(start)
        return zlib.decompressobj(-12).decompress(file.read((sectors + 1) * SECTOR), cluster)
    if entry & 1 or not entry & OFFSET:
        return b""
    file.seek(entry & OFFSET)
    return file.read(cluster)


def write_qcow2(path: Path, size: int, pieces: Iterator[tuple[int, bytes]] | None = None) -> None:
    """A qcow2 image (version 3, 64 KiB clusters) of this virtual size with these pieces."""
    per_table = CLUSTER // 8
    entries = max(1, -(-size // (CLUSTER * per_table)))
    first_clusters = -(-entries * 8 // CLUSTER)
    used = 1 + first_clusters
    first = [0] * entries
    seconds: dict[int, list[int]] = {}
    with path.open("wb") as out:
        for offset, data in pieces or ():
            table = seconds.setdefault(offset // CLUSTER // per_table, [0] * per_table)
            table[offset // CLUSTER % per_table] = used * CLUSTER | COPIED
            out.seek(used * CLUSTER)
            out.write(data.ljust(CLUSTER, b"\0"))
            used += 1
        for number, table in seconds.items():
            first[number] = used * CLUSTER | COPIED
            out.seek(used * CLUSTER)
            out.write(struct.pack(f">{per_table}Q", *table))
            used += 1
        used = _write_refcounts(out, used)
        out.seek(CLUSTER)
        out.write(struct.pack(f">{entries}Q", *first))
        out.truncate(used * CLUSTER)
        refcounts = (used - _refcount_clusters(used)) * CLUSTER
        out.seek(0)
        out.write(HEADER.pack(MAGIC, 3, 0, 0, 16, size, 0, entries, CLUSTER, refcounts, 1, 0, 0))
        out.write(HEADER_V3.pack(0, 0, 0, 4, 104))


def _refcount_clusters(total: int) -> int:
    """Clusters that the reference counts of ``total`` clusters take: one table and its blocks."""
    return 1 + -(-total // (CLUSTER // 2))


def _write_refcounts(out: t.BinaryIO, used: int) -> int:
    """Put the reference counts behind ``used`` clusters; returns how many clusters there are then."""
    extra = next(count for count in range(2, 1 << 16) if count >= _refcount_clusters(used + count))
    total, blocks = used + extra, extra - 1
    table = [(used + 1 + index) * CLUSTER for index in range(blocks)]
    out.seek(used * CLUSTER)
    out.write(struct.pack(f">{blocks}Q", *table).ljust(CLUSTER, b"\0"))
    counts = struct.pack(">H", 1) * total
    out.seek((used + 1) * CLUSTER)
    out.write(counts.ljust(blocks * CLUSTER, b"\0"))
    return total
