# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the partition table of a disk image, read and, for its last partition, grown.

OpenWrt's BIOS images carry an MBR, its EFI images a GPT (sometimes with a hybrid MBR). Names and UUIDs stay: the kernel
finds its root by them. Sectors are of 512 bytes, as in every image that OpenWrt publishes.
"""

from __future__ import annotations

import os
import struct
import typing as t
import zlib
from dataclasses import dataclass, replace

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError

SECTOR = 512
ALIGN = 8  # sectors: a partition's length is a multiple of 4 KiB, the block size of its file system
MAX_MBR = 0xFFFFFFFF
PROTECTIVE = 0xEE
MBR_ENTRIES = range(446, 510, 16)
GPT_HEADER = struct.Struct("<8s4sIIIQQQQ16sQIII")
FIELDS = ("magic", "revision", "length", "crc", "reserved", "here", "other", "first", "last", "guid", "entries")
REFETCH = "Use OpenWrt's own combined or combined-efi image, and fetch it again if it is one."


@dataclass(frozen=True)
class Partition:
    """``number`` as in the kernel's names, ``start`` and ``sectors`` in sectors."""

    number: int
    start: int
    sectors: int

    @property
    def offset(self) -> int:
        """Where it begins, in bytes."""
        return self.start * SECTOR

    @property
    def size(self) -> int:
        """How long it is, in bytes."""
        return self.sectors * SECTOR


@dataclass(frozen=True)
class Table:
    """``kind``: ``mbr`` or ``gpt``."""

    kind: t.Literal["mbr", "gpt"]
    partitions: tuple[Partition, ...]

    def get(self, number: int) -> Partition:
        """The partition of this number; raises ImageError when there is none."""
        for partition in self.partitions:
            if partition.number == number:
                return partition
        raise ImageError(f"The image has no partition {number}.", remedy=REFETCH)


def read_table(image: t.BinaryIO) -> Table:
    """The partitions of an image; raises ImageError when there is no table or it does not fit the file."""
    sectors = image.seek(0, os.SEEK_END) // SECTOR
    mbr = _read(image, 0, SECTOR)
    if mbr[510:] != b"\x55\xaa":
        raise ImageError("The image has no partition table.", remedy=REFETCH)
    gpt = _read(image, SECTOR, SECTOR) if sectors > 1 else b""
    if gpt.startswith(b"EFI PART"):
        header = _Gpt.parse(image, gpt)
        table = Table("gpt", header.partitions())
    else:
        table = Table("mbr", tuple(_mbr_partitions(mbr)))
    for partition in table.partitions:
        if not 0 < partition.start < partition.start + partition.sectors <= sectors:
            raise ImageError(f"Partition {partition.number} lies outside the image.", remedy=REFETCH)
    return table


def grow_partition(image: t.BinaryIO, number: int, size: int) -> Partition:
    """Make the image ``size`` bytes long and let a partition, which must be its last one, reach to the end.

    What lies behind the partition (a GPT's old backup) goes, so that the space it gains reads as zeros. Raises
    ImageError, and changes nothing, when another partition lies behind it or ``size`` is too small for what is there.
    """
    table = read_table(image)
    old = table.get(number)
    after = [p.number for p in table.partitions if p.start >= old.start + old.sectors]
    if after:
        raise ImageError(f"Partition {number} cannot grow: partition {after[0]} lies behind it.", remedy=REFETCH)
    sectors = size // SECTOR
    gpt = _Gpt.parse(image, _read(image, SECTOR, SECTOR)) if table.kind == "gpt" else None
    end = sectors - 1 - gpt.table_sectors if gpt else min(sectors, MAX_MBR)
    if end < old.start + old.sectors:
        raise ImageError(f"{size} bytes are too few for the partitions of the image.", remedy="Declare a larger disk.")
    new = replace(old, sectors=max(old.sectors, (end - old.start) // ALIGN * ALIGN))
    image.truncate(old.offset + old.size)
    image.truncate(size)
    _write_mbr_lengths(image, new, sectors)
    if gpt:
        gpt.write_grown(image, sectors, new)
    return new


# -- MBR ---------------------------------------------------------------------------------------------------------------
def _mbr_partitions(mbr: bytes) -> t.Iterator[Partition]:
    for number, at in enumerate(MBR_ENTRIES, 1):
        start, sectors = struct.unpack_from("<II", mbr, at + 8)
        if mbr[at + 4] and sectors:
            yield Partition(number, start, sectors)


def _write_mbr_lengths(image: t.BinaryIO, partition: Partition, sectors: int) -> None:
    """Write the new length of the partition, and that of the disk where one entry protects all of a GPT's disk."""
    mbr = bytearray(_read(image, 0, SECTOR))
    used = [at for at in MBR_ENTRIES if mbr[at + 4]]
    for at in used:
        start = struct.unpack_from("<I", mbr, at + 8)[0]
        if mbr[at + 4] != PROTECTIVE and start == partition.start:
            mbr[at + 5 : at + 8] = b"\xfe\xff\xff"  # CHS cannot tell; readers use the sectors
            struct.pack_into("<I", mbr, at + 12, partition.sectors)
        elif mbr[at + 4] == PROTECTIVE and used == [at]:
            struct.pack_into("<I", mbr, at + 12, min(sectors - start, MAX_MBR))
    _write(image, 0, bytes(mbr))


# -- GPT ---------------------------------------------------------------------------------------------------------------
class _Gpt:
    """A GPT: its header's fields by name, and the table of its entries."""

    def __init__(self, fields: dict[str, t.Any], count: int, width: int, entries: bytes) -> None:
        self.fields, self.count, self.width, self.entries = fields, count, width, bytearray(entries)

    @classmethod
    def parse(cls, image: t.BinaryIO, raw: bytes) -> _Gpt:
        values = GPT_HEADER.unpack_from(raw)
        fields, (count, width, entries_crc) = dict(zip(FIELDS, values, strict=False)), values[-3:]
        if fields["length"] < GPT_HEADER.size or fields["length"] > SECTOR or width < 128 or count * width > 1 << 20:
            raise ImageError("The image's GPT header makes no sense.", remedy=REFETCH)
        whole = bytearray(raw[: fields["length"]])
        whole[16:20] = bytes(4)
        entries = _read(image, fields["entries"] * SECTOR, count * width)
        if zlib.crc32(whole) != fields["crc"] or zlib.crc32(entries) != entries_crc:
            raise ImageError("The checksum of the image's GPT is wrong.", remedy=REFETCH)
        return cls(fields, count, width, entries)

    @property
    def table_sectors(self) -> int:
        return -(-len(self.entries) // SECTOR)

    def partitions(self) -> tuple[Partition, ...]:
        found = []
        for index in range(self.count):
            kind, _other, first, last = struct.unpack_from("<16s16sQQ", self.entries, index * self.width)
            if any(kind):
                found.append(Partition(index + 1, first, last - first + 1))
        return tuple(found)

    def write_grown(self, image: t.BinaryIO, sectors: int, partition: Partition) -> None:
        """Write both copies, for a disk of so many sectors, with one partition's new length."""
        at = (partition.number - 1) * self.width + 40
        struct.pack_into("<Q", self.entries, at, partition.start + partition.sectors - 1)
        backup = sectors - 1
        self.fields["last"] = backup - self.table_sectors - 1
        primary_table = self.fields["entries"]
        for here, other, entries in ((1, backup, primary_table), (backup, 1, backup - self.table_sectors)):
            _write(image, entries * SECTOR, bytes(self.entries))
            _write(
                image, here * SECTOR, self._header({**self.fields, "here": here, "other": other, "entries": entries})
            )

    def _header(self, fields: dict[str, t.Any]) -> bytes:
        fields = {**fields, "length": GPT_HEADER.size, "crc": 0}
        values = [fields[name] for name in FIELDS]
        raw = bytearray(GPT_HEADER.pack(*values, self.count, self.width, zlib.crc32(self.entries)))
        struct.pack_into("<I", raw, 16, zlib.crc32(raw))
        return bytes(raw.ljust(SECTOR, b"\0"))


# -- bytes -------------------------------------------------------------------------------------------------------------
def _read(image: t.BinaryIO, offset: int, length: int) -> bytes:
    image.seek(offset)
    data = image.read(length)
    if len(data) != length:
        raise ImageError("The image ends within its partition table.", remedy=REFETCH)
    return data


def _write(image: t.BinaryIO, offset: int, data: bytes) -> None:
    image.seek(offset)
    image.write(data)
