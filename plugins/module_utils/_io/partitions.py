# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the partition table of a disk image, read and, for its last partition, grown.

An MBR or a GPT (whose MBR may be a hybrid), and the BSD disklabel in a slice of an MBR or on a whole disk. When a table
is written, names and UUIDs stay: a kernel finds its root by them. Sectors are of 512 bytes, as in every image that is
published for VMs.
"""

from __future__ import annotations

import os
import struct
import typing as t
import uuid
import zlib
from dataclasses import dataclass, replace

SECTOR: t.Final = 512
ALIGN: t.Final = 8  # sectors: a partition's length is a multiple of 4 KiB, the block size of its file system
MAX_MBR: t.Final = 0xFFFFFFFF
PROTECTIVE: t.Final = 0xEE
_MBR_ENTRIES: t.Final = range(446, 510, 16)
_GPT_HEADER: t.Final = struct.Struct("<8s4sIIIQQQQ16sQIII")
_GPT_ENTRY: t.Final = struct.Struct("<16s16sQQQ72s")
_GPT_MAGIC: t.Final = b"EFI PART"
_FIELDS: t.Final = (
    "magic", "revision", "length", "crc", "reserved", "here", "other", "first", "last", "guid", "entries",
)  # fmt: skip
_BSD_MAGIC: t.Final = 0x82564557
_BSD_WHOLE: t.Final = 2  # the entry of all of the slice, called c
_BSD_MOST: t.Final = 20
_MOST: t.Final = 1 << 20  # bytes of a GPT's entries


class BadTable(ValueError):
    """A partition table cannot be read, or not be changed as it should. Its text says why, as a sentence's rest."""


@dataclass(frozen=True)
class Partition:
    """``number`` as in the kernel's names, ``start`` and ``sectors`` in sectors.

    ``type``: the MBR's number as hex (``83``), or GPT's type GUID.
    """

    number: int
    start: int
    sectors: int
    type: str = ""
    name: str = ""

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
    """``kind``: ``mbr``, ``gpt``, or empty where there is no table."""

    kind: t.Literal["mbr", "gpt", ""]
    partitions: tuple[Partition, ...] = ()

    @property
    def end(self) -> int:
        """The byte at which the last partition ends."""
        return max((partition.offset + partition.size for partition in self.partitions), default=0)

    def get(self, number: int) -> Partition:
        """The partition of this number; raises BadTable when there is none."""
        for partition in self.partitions:
            if partition.number == number:
                return partition
        raise BadTable(f"it has no partition {number}")


def read_table(image: t.BinaryIO) -> Table:
    """The partition table of an image, or of its first bytes. A boot sector alone, without any partition, is none.

    Raises BadTable for a GPT that is damaged or cut off.
    """
    image.seek(0)
    mbr = image.read(SECTOR)
    if mbr[510:] != b"\x55\xaa":
        return Table("")
    used = tuple(_mbr_partitions(mbr))
    if any(partition.type == f"{PROTECTIVE:02x}" for partition in used):
        gpt = _read(image, SECTOR, SECTOR)
        if gpt.startswith(_GPT_MAGIC):
            return Table("gpt", _Gpt.parse(image, gpt).partitions())
    if any(mbr[at] not in (0, 0x80) for at in _MBR_ENTRIES if mbr[at + 4]):
        return Table("")  # code where the table would be
    return Table("mbr" if used else "", used)


def read_disklabel(image: t.BinaryIO, start: int) -> tuple[Partition, ...]:
    """The partitions of the BSD disklabel of the disk, or slice, that begins at this byte; none where it has none.

    ``a`` is number 1. The label counts from the whole disk or from the slice: ``c``, which is all of the slice, tells.
    """
    image.seek(start + SECTOR)
    label = image.read(SECTOR)
    if len(label) < SECTOR or any(struct.unpack_from("<I", label, at)[0] != _BSD_MAGIC for at in (0, 132)):
        return ()
    count = min(struct.unpack_from("<H", label, 138)[0], _BSD_MOST)
    entries = [struct.unpack_from("<IIIB", label, 148 + 16 * index) for index in range(count)]
    whole = entries[_BSD_WHOLE][1] if count > _BSD_WHOLE else 0
    return tuple(
        Partition(number, start // SECTOR + first - whole, sectors, f"{kind:02x}", chr(ord("a") + number - 1))
        for number, (sectors, first, _fragment, kind) in enumerate(entries, 1)
        if sectors and first >= whole and number - 1 != _BSD_WHOLE
    )


def grow_partition(image: t.BinaryIO, number: int, size: int) -> Partition:
    """Make the image ``size`` bytes long and let a partition, which must be its last one, reach to the end.

    What lies behind the partition (a GPT's old backup) goes, so that the space it gains reads as zeros. Raises
    BadTable, and changes nothing, when another partition lies behind it or ``size`` is too small for what is there.
    """
    table = read_table(image)
    old = table.get(number)
    after = [p.number for p in table.partitions if p.start >= old.start + old.sectors]
    if after:
        raise BadTable(f"its partition {number} cannot grow: partition {after[0]} lies behind it")
    sectors = size // SECTOR
    gpt = _Gpt.parse(image, _read(image, SECTOR, SECTOR)) if table.kind == "gpt" else None
    end = sectors - 1 - gpt.table_sectors if gpt else min(sectors, MAX_MBR)
    if end < old.start + old.sectors:
        raise BadTable(f"{size} bytes are too few for its partitions")
    new = replace(old, sectors=max(old.sectors, (end - old.start) // ALIGN * ALIGN))
    image.truncate(old.offset + old.size)
    image.truncate(size)
    _write_mbr_lengths(image, new, sectors)
    if gpt:
        gpt.write_grown(image, sectors, new)
    return new


# -- MBR ---------------------------------------------------------------------------------------------------------------
def _mbr_partitions(mbr: bytes) -> t.Iterator[Partition]:
    for number, at in enumerate(_MBR_ENTRIES, 1):
        start, sectors = struct.unpack_from("<II", mbr, at + 8)
        if mbr[at + 4] and sectors:
            yield Partition(number, start, sectors, f"{mbr[at + 4]:02x}")


def _write_mbr_lengths(image: t.BinaryIO, partition: Partition, sectors: int) -> None:
    """Write the new length of the partition, and that of the disk where one entry protects all of a GPT's disk."""
    mbr = bytearray(_read(image, 0, SECTOR))
    used = [at for at in _MBR_ENTRIES if mbr[at + 4]]
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
        values = _GPT_HEADER.unpack_from(raw)
        fields, (count, width, entries_crc) = dict(zip(_FIELDS, values, strict=False)), values[-3:]
        if fields["length"] < _GPT_HEADER.size or fields["length"] > SECTOR or width < 128 or count * width > _MOST:
            raise BadTable("the header of its GPT makes no sense")
        whole = bytearray(raw[: fields["length"]])
        whole[16:20] = bytes(4)
        if zlib.crc32(whole) != fields["crc"]:
            raise BadTable("the header of its GPT is damaged: its checksum is wrong")
        entries = _read(image, fields["entries"] * SECTOR, count * width)
        if zlib.crc32(entries) != entries_crc:
            raise BadTable("the entries of its GPT are damaged: their checksum is wrong")
        return cls(fields, count, width, entries)

    @property
    def table_sectors(self) -> int:
        return -(-len(self.entries) // SECTOR)

    def partitions(self) -> tuple[Partition, ...]:
        found = []
        for index in range(self.count):
            kind, _own, first, last, _flags, name = _GPT_ENTRY.unpack_from(self.entries, index * self.width)
            if any(kind):
                words = name.decode("utf-16-le", "replace").rstrip("\0")
                found.append(Partition(index + 1, first, last - first + 1, str(uuid.UUID(bytes_le=kind)), words))
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
        fields = {**fields, "length": _GPT_HEADER.size, "crc": 0}
        values = [fields[name] for name in _FIELDS]
        raw = bytearray(_GPT_HEADER.pack(*values, self.count, self.width, zlib.crc32(self.entries)))
        struct.pack_into("<I", raw, 16, zlib.crc32(raw))
        return bytes(raw.ljust(SECTOR, b"\0"))


# -- bytes -------------------------------------------------------------------------------------------------------------
def _read(image: t.BinaryIO, offset: int, length: int) -> bytes:
    if offset + length > image.seek(0, os.SEEK_END):
        raise BadTable("it is cut off within its partition table")
    image.seek(offset)
    return image.read(length)


def _write(image: t.BinaryIO, offset: int, data: bytes) -> None:
    image.seek(offset)
    image.write(data)
