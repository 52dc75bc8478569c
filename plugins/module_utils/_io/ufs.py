# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the files of a UFS2 file system, found without mounting it, and one of them overwritten.

FreeBSD's own format (``sys/ufs/ffs/fs.h``, ``sys/ufs/ufs/dinode.h``), as ``makefs -B little -o version=2`` and
``newfs`` write it for x86. Blocks are addressed in fragments (of 4 KiB with blocks of 32 KiB); the end of a small file
may lie in the fragments of a block that it shares.

Overwriting puts new bytes where a file's bytes are, as many as there were: no inode, bitmap or summary changes. UFS2's
check hashes cover the superblock, cylinder groups and inodes (``CK_SUPERBLOCK``, ``CK_CYLGRP``, ``CK_INODE``; those of
indirect blocks and directories are reserved), never the data of a file, so that they stay true.
"""

from __future__ import annotations

import os
import stat
import struct
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._io.partitions import (
    BadTable,
    read_disklabel,
    read_table,
)

SUPERBLOCKS: t.Final = (65536, 8192, 0, 262144)  # bytes: where FreeBSD looks for one; the first is usual
SUPERBLOCK_SIZE: t.Final = 1376
MAGIC: t.Final = 0x19540119
ROOT: t.Final = 2  # the inode of the root directory
INODE_SIZE: t.Final = 256
DIRECT: t.Final = 12  # blocks that an inode names itself; three indirect ones follow
MAX_DIRECTORY: t.Final = 64 << 20
_ENTRY: t.Final = struct.Struct("<IHBB")
_COMPRESSED: t.Final = 0x20  # di_flags: UF_COMPRESSED, which no UFS of FreeBSD's sets


class BadFileSystem(ValueError):
    """A UFS2 file system, or a file in it, is not as it has to be. Its text says why, as a sentence's rest."""


@dataclass(frozen=True)
class Inode:
    """What an inode says of a file: type and permissions, length in bytes, and where its blocks are."""

    mode: int
    size: int
    direct: tuple[int, ...]
    indirect: tuple[int, ...]
    flags: int = 0


@dataclass(frozen=True)
class Extent:
    """A piece of a file, in bytes of the whole image."""

    offset: int
    length: int


@dataclass(frozen=True)
class Ufs:
    """A UFS2 file system that begins at byte ``start`` of an image. Sizes in bytes, addresses in fragments."""

    image: t.BinaryIO = field(repr=False)
    start: int
    block: int
    fragment: int
    fragments: int  # of the whole file system
    groups: int
    inode_blocks: int  # where a cylinder group's inodes begin
    inodes_per_group: int
    fragments_per_group: int

    def file(self, path: str) -> Inode:
        """The regular file at an absolute path; no symbolic link is followed."""
        inode = self._inode(ROOT)
        for name in path.strip("/").split("/"):
            if not stat.S_ISDIR(inode.mode):
                raise BadFileSystem(f"what leads to {path} is not a directory")
            inode = self._inode(self._look_up(inode, name.encode(), path))
        if not stat.S_ISREG(inode.mode):
            raise BadFileSystem(f"{path} is not a regular file")
        return inode

    def extents(self, inode: Inode) -> t.Iterator[Extent]:
        """Where the bytes of a file are, in their order. A hole has no place, which is an error."""
        if inode.flags & _COMPRESSED:
            raise BadFileSystem("a file is compressed")
        left = inode.size
        for address in self._blocks(inode, -(-left // self.block)):
            length = min(left, self.block)
            yield Extent(self._at(address, length), length)
            left -= length

    def read(self, inode: Inode) -> bytes:
        """The content of a file."""
        return b"".join(self._read(extent.offset, extent.length) for extent in self.extents(inode))

    def overwrite(self, inode: Inode, content: bytes) -> None:
        """Put other bytes where those of a file are, exactly as many; nothing else of the image changes."""
        if len(content) != inode.size:
            raise BadFileSystem(f"{len(content)} bytes cannot take the place of {inode.size}")
        written = 0
        for extent in list(self.extents(inode)):  # all of them are sound before the first is written
            self.image.seek(extent.offset)
            self.image.write(content[written : written + extent.length])
            written += extent.length

    # -- where things are ----------------------------------------------------------------------------------------------
    def _read(self, offset: int, length: int) -> bytes:
        if offset + length > self.image.seek(0, os.SEEK_END):
            raise BadFileSystem("it is cut off")
        self.image.seek(offset)
        return self.image.read(length)

    def _at(self, address: int, length: int) -> int:
        """The byte of the image at which a fragment begins, of which ``length`` bytes are to be used."""
        if address == 0:
            raise BadFileSystem("a file has a hole")
        if address < 0 or address + -(-length // self.fragment) > self.fragments:
            raise BadFileSystem(f"a file lies outside of it, at fragment {address}")
        return self.start + address * self.fragment

    def _inode(self, number: int) -> Inode:
        group, index = divmod(number, self.inodes_per_group)
        if number < ROOT or group >= self.groups:
            raise BadFileSystem(f"it has no inode {number}")
        first = group * self.fragments_per_group + self.inode_blocks
        raw = self._read(self.start + first * self.fragment + index * INODE_SIZE, INODE_SIZE)
        (mode,), (size,), (flags,) = (
            struct.unpack_from(f"<{c}", raw, at) for c, at in (("H", 0), ("Q", 16), ("I", 88))
        )
        addresses = struct.unpack_from(f"<{DIRECT + 3}q", raw, 112)
        return Inode(mode, size, addresses[:DIRECT], addresses[DIRECT:], flags)

    def _blocks(self, inode: Inode, count: int) -> t.Iterator[int]:
        """The addresses of a file's first ``count`` blocks."""
        yield from inode.direct[:count]
        count -= DIRECT
        for depth, address in enumerate(inode.indirect):
            if count <= 0:
                return
            yield from self._indirect(address, depth, count)
            count -= (self.block // 8) ** (depth + 1)
        if count > 0:
            raise BadFileSystem("a file is longer than one can be")

    def _indirect(self, address: int, depth: int, count: int) -> t.Iterator[int]:
        """The addresses below an indirect block: ``depth`` levels of further ones lie between it and the data."""
        raw = self._read(self._at(address, self.block), self.block)
        below = (self.block // 8) ** depth  # data blocks that one entry stands for
        for (entry,) in struct.iter_unpack("<q", raw):
            if count <= 0:
                return
            if depth:
                yield from self._indirect(entry, depth - 1, count)
            else:
                yield entry
            count -= below

    def _look_up(self, directory: Inode, name: bytes, path: str) -> int:
        if directory.size > MAX_DIRECTORY:
            raise BadFileSystem("a directory is too long to be one")
        content, at = self.read(directory), 0
        while at + _ENTRY.size <= len(content):
            number, length, _kind, named = _ENTRY.unpack_from(content, at)
            if length < _ENTRY.size + named or at + length > len(content):
                raise BadFileSystem("a directory in it is damaged")
            if number and content[at + _ENTRY.size : at + _ENTRY.size + named] == name:
                return int(number)
            at += length
        raise BadFileSystem(f"it has no file {path}")


def find_ufs(image: t.BinaryIO) -> tuple[Ufs, ...]:
    """The UFS2 file systems of a disk image: of the whole image, or of a partition of its MBR, GPT or BSD disklabel."""
    try:
        offsets = [0, *(partition.offset for partition in read_table(image).partitions)]
    except BadTable as error:
        raise BadFileSystem(str(error)) from error
    size = image.seek(0, os.SEEK_END)
    starts = [offset for offset in offsets if offset < size]
    starts += [each.offset for start in dict.fromkeys(starts) for each in read_disklabel(image, start)]
    found = (open_ufs(image, start) for start in dict.fromkeys(starts))
    return tuple(each for each in found if each is not None)


def open_ufs(image: t.BinaryIO, start: int) -> Ufs | None:
    """The UFS2 file system that begins at a byte of an image; None where there is none, or not a sound one."""
    for place in SUPERBLOCKS:
        image.seek(start + place)
        raw = image.read(SUPERBLOCK_SIZE)
        if len(raw) < SUPERBLOCK_SIZE or struct.unpack_from("<i", raw, 1372) != (MAGIC,):
            continue
        (inode_blocks,), (groups,) = struct.unpack_from("<i", raw, 16), struct.unpack_from("<I", raw, 44)
        block, fragment, per_block = struct.unpack_from("<iii", raw, 48)
        per_group, fragments_per_group = struct.unpack_from("<Ii", raw, 184)
        (here,), (fragments,) = struct.unpack_from("<q", raw, 1000), struct.unpack_from("<q", raw, 1080)
        sizes = (
            512 <= fragment <= block <= 65536
            and block >= 4096
            and block & (block - 1) == fragment & (fragment - 1) == 0
        )
        counts = min(groups, per_group, fragments_per_group, fragments, inode_blocks) > 0
        if here == place and sizes and counts and per_block * fragment == block:
            return Ufs(image, start, block, fragment, fragments, groups, inode_blocks, per_group, fragments_per_group)
    return None
