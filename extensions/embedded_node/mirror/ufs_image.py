# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small UFS2 file system with files in it, and the nano image of OPNsense, which is one with a BSD disklabel.

As ``makefs`` lays it out: superblock at 64 KiB, in each cylinder group its inodes and then its data; the end of a file
in fragments. Bitmaps and summaries are left out: nothing here allocates a block later.
"""

from __future__ import annotations

import struct
import typing as t
from pathlib import PurePosixPath

SECTOR = 512
DIRECTORY, FILE = 0o040755, 0o100644
INODES = 128  # of a cylinder group
DIRECT = 12
BSD_MAGIC = 0x82564557
# Of FreeBSD's boot1: it names a slice, whatever the disk's length.
SLICE = b"\x80\x00\x01\x00\xa5\xfe\xff\xff\x00\x00\x00\x00\x50\xc3\x00\x00"


class UfsImage:
    """A UFS2 file system while it is filled. ``block`` and ``fragment`` in bytes."""

    def __init__(self, files: t.Mapping[str, bytes], *, block: int = 32768, fragment: int = 4096) -> None:
        self.block, self.fragment = block, fragment
        self.inode_blocks = -(-(65536 + 8192) // block) * block // fragment
        self.per_group = 1 << 20  # fragments: everything is in the first cylinder group
        self.used = self.inode_blocks + INODES * 256 // fragment
        self.inodes: list[bytes] = [bytes(256)] * 2
        self.data: dict[int, bytes] = {}
        self._directory("", {PurePosixPath(path): content for path, content in files.items()}, 2)

    def image(self) -> bytes:
        """The file system's bytes."""
        size = -(-self.used * self.fragment // self.block) * self.block
        out = bytearray(size)
        out[65536 : 65536 + 1376] = self._superblock(size // self.fragment)
        inodes = b"".join(self.inodes)
        at = self.inode_blocks * self.fragment
        out[at : at + len(inodes)] = inodes
        for address, content in self.data.items():
            out[address * self.fragment : address * self.fragment + len(content)] = content
        return bytes(out)

    def _superblock(self, fragments: int) -> bytes:
        fields: dict[int, tuple[str, int]] = {
            8: ("i", 65536 // self.fragment),
            16: ("i", self.inode_blocks),
            44: ("I", 1),
            48: ("i", self.block),
            52: ("i", self.fragment),
            56: ("i", self.block // self.fragment),
            116: ("i", self.block // 8),
            120: ("I", self.block // 256),
            184: ("I", INODES),
            188: ("i", self.per_group),
            1000: ("q", 65536),
            1080: ("q", fragments),
            1372: ("i", 0x19540119),
        }
        raw = bytearray(1376)
        for at, (kind, value) in fields.items():
            struct.pack_into(f"<{kind}", raw, at, value)
        return bytes(raw)

    def _directory(self, name: str, files: t.Mapping[PurePosixPath, bytes], parent: int) -> int:
        """Write a directory with all that is below it; returns its inode."""
        number = len(self.inodes)
        self.inodes.append(bytes(256))
        entries = [(number, 4, b"."), (parent, 4, b"..")]
        for top in dict.fromkeys(path.parts[0] for path in files):
            inner = {PurePosixPath(*path.parts[1:]): body for path, body in files.items() if path.parts[0] == top}
            if PurePosixPath() in inner:
                entries.append((self._file(inner[PurePosixPath()]), 8, top.encode()))
            else:
                entries.append((self._directory(top, inner, number), 4, top.encode()))
        self.inodes[number] = self._inode(DIRECTORY, _entries(entries))
        return number

    def _file(self, content: bytes) -> int:
        self.inodes.append(self._inode(FILE, content))
        return len(self.inodes) - 1

    def _inode(self, mode: int, content: bytes) -> bytes:
        blocks = [content[at : at + self.block] for at in range(0, len(content), self.block)]
        # Behind the direct blocks none is shared.
        whole = len(blocks) > DIRECT
        addresses = [self._store(block, self.block if whole else len(block)) for block in blocks]
        raw = bytearray(256)
        struct.pack_into("<Hh", raw, 0, mode, 1)
        struct.pack_into("<Q", raw, 16, len(content))
        struct.pack_into(f"<{len(addresses[:DIRECT])}q", raw, 112, *addresses[:DIRECT])
        rest = addresses[DIRECT:]
        for depth in range(3):
            span = (self.block // 8) ** (depth + 1)
            if rest:
                struct.pack_into("<q", raw, 208 + 8 * depth, self._indirect(rest[:span], depth))
            rest = rest[span:]
        return bytes(raw)

    def _indirect(self, addresses: list[int], depth: int) -> int:
        span = (self.block // 8) ** depth
        if depth:
            addresses = [self._indirect(addresses[at : at + span], depth - 1) for at in range(0, len(addresses), span)]
        return self._store(struct.pack(f"<{len(addresses)}q", *addresses), self.block)

    def _store(self, content: bytes, room: int) -> int:
        address = self.used
        if room == self.block:
            per_block = self.block // self.fragment
            address = -(-address // per_block) * per_block
        self.data[address] = content
        self.used = address + -(-room // self.fragment)
        return address


def _entries(entries: t.Sequence[tuple[int, int, bytes]]) -> bytes:
    """A directory's content: no entry crosses 512 bytes, and the last one of each of these reaches to their end."""
    chunks: list[list[bytes]] = [[]]
    for number, kind, name in entries:
        length = 8 + (len(name) + 4) // 4 * 4
        if sum(map(len, chunks[-1])) + length > SECTOR:
            chunks.append([])
        chunks[-1].append(struct.pack("<IHBB", number, length, kind, len(name)) + name.ljust(length - 8, b"\0"))
    out = b""
    for chunk in chunks:
        last = bytearray(chunk[-1].ljust(SECTOR - sum(map(len, chunk[:-1])), b"\0"))
        struct.pack_into("<H", last, 4, len(last))
        out += b"".join(chunk[:-1]) + bytes(last)
    return out


def disklabel(partitions: t.Mapping[int, tuple[int, int]], sectors: int, first: int = 0) -> bytes:
    """A BSD disklabel, one sector long: number (``a`` is 0) -> offset and length in sectors; ``c`` is the whole."""
    count = 8
    raw = bytearray(SECTOR)
    for at in (0, 132):
        struct.pack_into("<I", raw, at, BSD_MAGIC)
    struct.pack_into("<I", raw, 40, SECTOR)
    struct.pack_into("<HII", raw, 138, count, 8192, 0)
    for number, (offset, length) in {**partitions, 2: (first, sectors)}.items():
        struct.pack_into("<IIIB", raw, 148 + 16 * number, length, offset, 0, 0 if number == 2 else 7)
    words = struct.unpack(f"<{(148 + 16 * count) // 2}H", raw[: 148 + 16 * count])
    checksum = 0
    for word in words:
        checksum ^= word
    struct.pack_into("<H", raw, 136, checksum)
    return bytes(raw)


def nano_image(files: t.Mapping[str, bytes], *, block: int = 32768, fragment: int = 4096) -> bytes:
    """A disk as OPNsense's nano image is one: the file system from the first byte on; boot code and label before it."""
    out = bytearray(UfsImage(files, block=block, fragment=fragment).image())
    sectors = len(out) // SECTOR
    out[494:510], out[510:512] = SLICE, b"\x55\xaa"
    out[SECTOR : 2 * SECTOR] = disklabel({0: (0, sectors)}, sectors)
    return bytes(out)
