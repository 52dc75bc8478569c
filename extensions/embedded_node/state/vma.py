# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMA, the format of VM backups: config files and disk images in one stream, blocks without data left out.

A header names the config files and the disks; extents of up to 59 clusters of 64 KiB follow, each with a mask of the
4 KiB blocks that are there. Every part carries its MD5 sum and the archive's UUID.
"""

from __future__ import annotations

import hashlib
import struct
import time
import typing as t
import uuid
from dataclasses import dataclass, field

from ..errors import ApiError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAGIC, EXTENT_MAGIC = b"VMA\0", b"VMAE"
BLOCK, CLUSTER, CLUSTERS = 4096, 65536, 59
HEADER = struct.Struct(">4sI16sq16sIII1984x")
TABLES = struct.Struct(">256I256I4x")
DEVICE = struct.Struct(">I4xQ16x")
EXTENT = struct.Struct(f">4sHH16s16s{CLUSTERS}Q")
HEADER_SIZE = HEADER.size + TABLES.size + 256 * DEVICE.size
SUM_AT, EXTENT_SUM_AT = 32, 24


@dataclass(frozen=True)
class Device:
    """One disk of an archive: its name (``drive-scsi0``) and its size in bytes."""

    number: int
    name: str
    size: int


@dataclass
class Archive:
    """An archive that was opened: what its header says, and the blocks that follow."""

    created: int
    configs: dict[str, bytes] = field(default_factory=dict)
    devices: list[Device] = field(default_factory=list)
    blocks: Iterator[tuple[int, int, bytes]] = field(default_factory=lambda: iter(()))


# -- writing -----------------------------------------------------------------------------------------------------------


def write(
    out: t.BinaryIO, configs: Mapping[str, bytes], devices: Mapping[str, tuple[int, Iterable[tuple[int, bytes]]]]
) -> None:
    """Write an archive: config files by name, and disks by name with their size and the pieces that hold something."""
    identity = uuid.uuid4().bytes
    blobs = bytearray(b"\0")

    def blob(data: bytes) -> int:
        place = len(blobs)
        blobs.extend(struct.pack("<H", len(data)) + data)
        return place

    names = [blob(name.encode() + b"\0") for name in configs]
    contents = [blob(data) for data in configs.values()]
    entries = [DEVICE.pack(0, 0)]
    entries += [DEVICE.pack(blob(name.encode() + b"\0"), size) for name, (size, _unused) in devices.items()]
    total = -(-(HEADER_SIZE + len(blobs)) // 512) * 512
    head = HEADER.pack(MAGIC, 1, identity, int(time.time()), bytes(16), HEADER_SIZE, total - HEADER_SIZE, total)
    tables = TABLES.pack(*_padded(names), *_padded(contents))
    text = (head + tables + b"".join(entries).ljust(256 * DEVICE.size, b"\0") + blobs).ljust(total, b"\0")
    out.write(_summed(text, SUM_AT))
    clusters = (
        (number, cluster, data)
        for number, (_size, pieces) in enumerate(devices.values(), start=1)
        for cluster, data in _clusters(pieces)
    )
    for group in _groups(clusters, CLUSTERS):
        _write_extent(out, identity, group)


def _padded(places: list[int]) -> list[int]:
    return [*places, *[0] * (256 - len(places))]


def _summed(data: bytes, place: int) -> bytes:
    """The same bytes with their MD5 sum in its place."""
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return data[:place] + digest + data[place + 16 :]


def _clusters(pieces: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Whole clusters out of pieces that begin at clusters' boundaries."""
    for offset, data in pieces:
        for place in range(0, len(data), CLUSTER):
            yield (offset + place) // CLUSTER, data[place : place + CLUSTER].ljust(CLUSTER, b"\0")


def _groups(items: Iterable[tuple[int, int, bytes]], size: int) -> Iterator[list[tuple[int, int, bytes]]]:
    group: list[tuple[int, int, bytes]] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _write_extent(out: t.BinaryIO, identity: bytes, group: list[tuple[int, int, bytes]]) -> None:
    words, blocks = [0] * CLUSTERS, []
    for index, (device, cluster, data) in enumerate(group):
        parts = [data[place : place + BLOCK] for place in range(0, CLUSTER, BLOCK)]
        mask = sum(1 << bit for bit, part in enumerate(parts) if part.strip(b"\0"))
        words[index] = mask << 48 | device << 32 | cluster
        blocks += [part for part in parts if part.strip(b"\0")]
    head = EXTENT.pack(EXTENT_MAGIC, 0, len(blocks), identity, bytes(16), *words)
    out.write(_summed(head, EXTENT_SUM_AT) + b"".join(blocks))


# -- reading -----------------------------------------------------------------------------------------------------------


def read(source: t.BinaryIO) -> Archive:
    """Open an archive. Its blocks are read as they are asked for."""
    start = source.read(HEADER_SIZE)
    if len(start) < HEADER_SIZE or start[:4] != MAGIC:
        raise ApiError("not a VMA archive")
    _magic, _version, _identity, created, digest, blob_place, blob_size, total = HEADER.unpack_from(start)
    text = start + source.read(total - HEADER_SIZE)
    if hashlib.md5(text[:SUM_AT] + bytes(16) + text[SUM_AT + 16 :], usedforsecurity=False).digest() != digest:
        raise ApiError("the sum of the VMA header is wrong")
    blobs = text[blob_place : blob_place + blob_size]

    def blob(place: int) -> bytes:
        return blobs[place + 2 : place + 2 + struct.unpack_from("<H", blobs, place)[0]]

    tables = TABLES.unpack_from(text, HEADER.size)
    archive = Archive(created)
    for name, data in zip(tables[:256], tables[256:], strict=True):
        if name:
            archive.configs[blob(name).rstrip(b"\0").decode()] = blob(data)
    for number in range(1, 256):
        name, size = DEVICE.unpack_from(text, HEADER.size + TABLES.size + number * DEVICE.size)
        if name:
            archive.devices.append(Device(number, blob(name).rstrip(b"\0").decode(), size))
    archive.blocks = _blocks(source)
    return archive


def _blocks(source: t.BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """The blocks of all disks: the disk's number, the place on it, the bytes."""
    while head := source.read(EXTENT.size):
        fields = EXTENT.unpack(head.ljust(EXTENT.size, b"\0"))
        if fields[0] != EXTENT_MAGIC:
            raise ApiError("vma: wrong extent magic")
        for word in fields[5:]:
            mask, device, cluster = word >> 48, word >> 32 & 0xFF, word & 0xFFFFFFFF
            for bit in range(16):
                if mask >> bit & 1:
                    yield device, cluster * CLUSTER + bit * BLOCK, source.read(BLOCK)
