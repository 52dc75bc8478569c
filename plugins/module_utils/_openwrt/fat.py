# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: put one file into the root directory of a FAT file system, without mounting it.

The boot partition of OpenWrt's EFI images is FAT. A mount needs root and a loop device, and a PVE node has no mtools,
so the few structures are handled here: FAT12, FAT16 and FAT32, long names included (Microsoft's FAT specification).
"""

from __future__ import annotations

import struct
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError

ENTRY = 32
LONG_NAME = 0x0F
VOLUME_LABEL, DIRECTORY = 0x08, 0x10
LAST_LONG = 0x40
FREE, END = 0xE5, 0x00
LONG_CHARS = 13
STAMP = ((2000 - 1980) << 9) | (1 << 5) | 1  # 2000-01-01: the same image for the same input
REMEDY = "Use OpenWrt's own combined-efi image, and fetch it again if it is one."


def is_fat(boot_sector: bytes) -> bool:
    """Whether a partition's first sector is that of a FAT file system."""
    return boot_sector[510:512] == b"\x55\xaa" and (boot_sector[54:57] == b"FAT" or boot_sector[82:85] == b"FAT")


@dataclass(frozen=True)
class _Entry:
    """A directory entry: the slots it takes (long name parts and the short entry) and what it says."""

    slots: tuple[int, ...]
    name: str
    short: bytes
    attributes: int
    cluster: int
    size: int


class FatVolume:
    """A FAT file system that begins at ``offset`` bytes of ``stream`` (open for reading and writing)."""

    def __init__(self, stream: t.BinaryIO, offset: int = 0) -> None:
        self._stream, self._offset = stream, offset
        boot = self._read(0, 512)
        if not is_fat(boot):
            raise ImageError("The boot partition holds no FAT file system.", remedy=REMEDY)
        sector, per_cluster, reserved, fats, roots, small = struct.unpack_from("<HBHBHH", boot, 11)
        large = struct.unpack_from("<I", boot, 32)[0]
        fat_sectors = struct.unpack_from("<H", boot, 22)[0] or struct.unpack_from("<I", boot, 36)[0]
        if sector not in (512, 1024, 2048, 4096) or not (per_cluster and reserved and fats and fat_sectors):
            raise ImageError("The boot sector of the FAT file system makes no sense.", remedy=REMEDY)
        self._cluster_size: int = sector * per_cluster
        self._fat_offsets = [(reserved + index * fat_sectors) * sector for index in range(fats)]
        self._root_offset = (reserved + fats * fat_sectors) * sector
        self._root_size = roots * ENTRY
        root_sectors = -(-self._root_size // sector)
        first_data = reserved + fats * fat_sectors + root_sectors
        self._data_offset: int = first_data * sector
        self._clusters = ((small or large) - first_data) // per_cluster
        self.bits = 12 if self._clusters < 4085 else 16 if self._clusters < 65525 else 32
        self._root_cluster = struct.unpack_from("<I", boot, 44)[0] if self.bits == 32 else 0
        self._info = struct.unpack_from("<H", boot, 48)[0] * sector if self.bits == 32 else 0
        self._fat = bytearray(self._read(self._fat_offsets[0], fat_sectors * sector))
        self._end_mark = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}[self.bits]
        if (self._clusters + 2) * self.bits > len(self._fat) * 8:
            raise ImageError("The file allocation table is shorter than its file system.", remedy=REMEDY)

    # -- what users do -------------------------------------------------------------------------------------------------
    def names(self) -> list[str]:
        """The names in the root directory, long where there is a long one."""
        return [entry.name for entry in self._entries(self._root()) if not entry.attributes & VOLUME_LABEL]

    def read(self, name: str) -> bytes | None:
        """The content of a file of the root directory, or None when there is none of this name."""
        entry = self._find(self._root(), name)
        if entry is None:
            return None
        content = b"".join(self._read_cluster(cluster) for cluster in self._chain(entry.cluster))
        if len(content) < entry.size:
            raise ImageError(f"The cluster chain of {name} is shorter than the file.", remedy=REMEDY)
        return content[: entry.size]

    def write(self, name: str, content: bytes) -> None:
        """Create or replace a file of the root directory. Raises ImageError when there is no room."""
        root = self._root()
        old = self._find(root, name)
        if old is not None:
            if old.attributes & DIRECTORY:
                raise ImageError(f"{name} is a directory on the boot partition.", remedy=REMEDY)
            for slot in old.slots:
                root[slot * ENTRY] = FREE
            for cluster in list(self._chain(old.cluster)):
                self._set(cluster, 0)
        clusters = self._allocate(-(-len(content) // self._cluster_size), name)
        taken = {entry.short for entry in self._entries(root)}
        records = _records(name, taken, clusters[0] if clusters else 0, len(content))
        self._write_records(root, records)
        for index, cluster in enumerate(clusters):
            piece = content[index * self._cluster_size : (index + 1) * self._cluster_size]
            self._write(self._where(cluster), piece.ljust(self._cluster_size, b"\0"))
        for offset in self._fat_offsets:
            self._write(offset, bytes(self._fat))
        self._write_root(root)
        if self._info:
            self._write(self._info + 488, struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF))  # "unknown": counted again

    # -- directory -----------------------------------------------------------------------------------------------------
    def _root(self) -> bytearray:
        if self.bits != 32:
            return bytearray(self._read(self._root_offset, self._root_size))
        return bytearray(b"".join(self._read_cluster(cluster) for cluster in self._chain(self._root_cluster)))

    def _write_root(self, root: bytearray) -> None:
        if self.bits != 32:
            self._write(self._root_offset, bytes(root))
            return
        for index, cluster in enumerate(self._chain(self._root_cluster)):
            self._write(
                self._where(cluster), bytes(root[index * self._cluster_size : (index + 1) * self._cluster_size])
            )

    def _entries(self, root: bytearray) -> t.Iterator[_Entry]:
        slots: list[int] = []
        parts: list[str] = []
        for slot in range(len(root) // ENTRY):
            raw = bytes(root[slot * ENTRY : (slot + 1) * ENTRY])
            if raw[0] == END:
                return
            if raw[0] == FREE:
                slots, parts = [], []
                continue
            slots.append(slot)
            if raw[11] == LONG_NAME:
                parts.insert(0, (raw[1:11] + raw[14:26] + raw[28:32]).decode("utf-16-le", "replace"))
                continue
            name = "".join(parts).split("\0", maxsplit=1)[0] or _short_text(raw[:11])
            high, low, size = *struct.unpack_from("<H", raw, 20), *struct.unpack_from("<HI", raw, 26)
            yield _Entry(tuple(slots), name, raw[:11], raw[11], (high << 16 if self.bits == 32 else 0) | low, size)
            slots, parts = [], []

    def _find(self, root: bytearray, name: str) -> _Entry | None:
        wanted = name.lower()
        for entry in self._entries(root):
            if wanted in (entry.name.lower(), _short_text(entry.short).lower()) and not entry.attributes & VOLUME_LABEL:
                return entry
        return None

    def _write_records(self, root: bytearray, records: list[bytes]) -> None:
        """Write the records into as many slots in a row; FAT32's root directory grows if need be."""
        while True:
            run: list[int] = []
            ended = False
            for slot in range(len(root) // ENTRY):
                ended = ended or root[slot * ENTRY] == END
                run = [*run, slot] if ended or root[slot * ENTRY] == FREE else []
                if len(run) == len(records):
                    for at, record in zip(run, records, strict=True):
                        root[at * ENTRY : (at + 1) * ENTRY] = record
                    return
            if self.bits != 32:
                raise ImageError("The root directory of the boot partition is full.", remedy=REMEDY)
            last = list(self._chain(self._root_cluster))[-1]
            (new,) = self._allocate(1, "the root directory")
            self._set(last, new)
            root += bytes(self._cluster_size)

    # -- clusters ------------------------------------------------------------------------------------------------------
    def _chain(self, cluster: int) -> t.Iterator[int]:
        seen = 0
        while 2 <= cluster < self._clusters + 2:
            yield cluster
            cluster = self._get(cluster)
            seen += 1
            if seen > self._clusters:
                raise ImageError("A cluster chain of the boot partition runs in a circle.", remedy=REMEDY)

    def _allocate(self, count: int, what: str) -> list[int]:
        free = [cluster for cluster in range(2, self._clusters + 2) if self._get(cluster) == 0][:count]
        if len(free) < count:
            raise ImageError(
                f"The boot partition has no room for {what} ({count * self._cluster_size} bytes).",
                remedy="Declare fewer or smaller files for the first boot.",
            )
        for cluster, following in zip(free, [*free[1:], self._end_mark], strict=False):
            self._set(cluster, following)
        return free

    def _get(self, cluster: int) -> int:
        if self.bits == 12:
            pair = struct.unpack_from("<H", self._fat, cluster * 3 // 2)[0]
            return int(pair >> 4 if cluster & 1 else pair & 0xFFF)
        if self.bits == 16:
            return int(struct.unpack_from("<H", self._fat, cluster * 2)[0])
        return int(struct.unpack_from("<I", self._fat, cluster * 4)[0]) & 0x0FFFFFFF

    def _set(self, cluster: int, value: int) -> None:
        if self.bits == 12:
            at = cluster * 3 // 2
            pair = struct.unpack_from("<H", self._fat, at)[0]
            pair = (pair & 0x000F) | (value << 4) if cluster & 1 else (pair & 0xF000) | value
            struct.pack_into("<H", self._fat, at, pair)
        elif self.bits == 16:
            struct.pack_into("<H", self._fat, cluster * 2, value)
        else:
            kept = struct.unpack_from("<I", self._fat, cluster * 4)[0] & 0xF0000000
            struct.pack_into("<I", self._fat, cluster * 4, kept | value)

    # -- bytes ---------------------------------------------------------------------------------------------------------
    def _where(self, cluster: int) -> int:
        return self._data_offset + (cluster - 2) * self._cluster_size

    def _read_cluster(self, cluster: int) -> bytes:
        return self._read(self._where(cluster), self._cluster_size)

    def _read(self, offset: int, length: int) -> bytes:
        self._stream.seek(self._offset + offset)
        data = self._stream.read(length)
        if len(data) != length:
            raise ImageError("The image ends within its boot partition.", remedy=REMEDY)
        return data

    def _write(self, offset: int, data: bytes) -> None:
        self._stream.seek(self._offset + offset)
        self._stream.write(data)


# -- names -------------------------------------------------------------------------------------------------------------
def _records(name: str, taken: set[bytes], cluster: int, size: int) -> list[bytes]:
    """The directory entries of a file: its long name in parts, last part first, then the short entry."""
    short = _short_name(name, taken)
    records = []
    if _short_text(short) != name:
        units = name.encode("utf-16-le")
        if not 0 < len(units) // 2 <= 255:
            raise ImageError(f"{name!r} is not a file name for a FAT file system.")
        parts = -(-len(units) // (2 * LONG_CHARS))
        if len(units) % (2 * LONG_CHARS):
            units = (units + b"\0\0").ljust(parts * 2 * LONG_CHARS, b"\xff")
        checksum = 0
        for byte in short:
            checksum = ((checksum >> 1) | (checksum & 1) << 7) + byte & 0xFF
        for number in range(parts, 0, -1):
            text = units[(number - 1) * 26 : number * 26]
            order = number | (LAST_LONG if number == parts else 0)
            records.append(
                bytes([order]) + text[:10] + bytes([LONG_NAME, 0, checksum]) + text[10:22] + b"\0\0" + text[22:]
            )
    tail = struct.pack("<BBBHHHHHHHI", 0x20, 0, 0, 0, STAMP, STAMP, cluster >> 16, 0, STAMP, cluster & 0xFFFF, size)
    return [*records, short + tail]


def _short_name(name: str, taken: set[bytes]) -> bytes:
    """A free 8.3 name: the name itself where it is one, else ``STEM~1.EXT``."""
    stem, _other, extension = name.upper().rpartition(".") if "." in name.strip(".") else (name.upper(), "", "")
    stem, extension = (_plain(part) for part in (stem, extension))
    whole = f"{stem:<8}{extension:<3}".encode("ascii")
    if len(whole) == 11 and _short_text(whole) == name and whole not in taken:
        return whole
    for number in range(1, 1000):
        tail = f"~{number}"
        candidate = f"{stem[: 8 - len(tail)] + tail:<8}{extension[:3]:<3}".encode("ascii")
        if candidate not in taken:
            return candidate
    raise ImageError(f"The boot partition has no short name left for {name}.", remedy=REMEDY)


def _plain(text: str) -> str:
    return "".join(char for char in text if char.isascii() and (char.isalnum() or char in "$%'-_@~`!(){}^#&"))


def _short_text(short: bytes) -> str:
    stem, extension = (part.decode("latin-1").rstrip() for part in (short[:8], short[8:11]))
    return f"{stem}.{extension}" if extension else stem
