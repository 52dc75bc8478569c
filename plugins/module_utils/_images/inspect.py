# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: whether an image has the shape of one: template archives and disk images.

A digest says that bytes are what a source published; this says that they can be used and do no harm when they are. A
template is read to its end without writing anything. Everything wrong raises VerificationError with what and where.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._io import qcow2
from ansible_collections.pve.provision.plugins.module_utils._io.compression import DISK_LIMITS, LIMITS, Limits, Stream
from ansible_collections.pve.provision.plugins.module_utils._io.partitions import BadTable, Partition, Table, read_table

if t.TYPE_CHECKING:
    from pathlib import Path

#: Where lxc looks for the first process; one of them is enough.
ENTRYPOINTS: t.Final = ("sbin/init", "bin/init")
_MEMBERS: t.Final = 2_000_000
_HEAD: t.Final = 128 << 10  # the first bytes of a disk image: GPT needs 17 KiB, ISO 9660 33, btrfs 65
_HOPS: t.Final = 40


@dataclass(frozen=True)
class ArchiveInfo:
    """A template archive. ``size`` is its length unpacked; ``trailing`` the bytes that follow its gzip stream."""

    compression: str
    members: int
    size: int
    entrypoint: str
    trailing: int = 0


@dataclass(frozen=True)
class DiskInfo:
    """A disk image. ``format``: qcow2, raw or iso. ``table``: gpt, mbr, or empty where the image has none.

    ``virtual_size`` is what a guest sees, in bytes; None for a compressed raw image, whose end has not been read.
    """

    format: str
    compression: str
    virtual_size: int | None
    table: str = ""
    partitions: tuple[Partition, ...] = ()
    filesystem: str = ""


# -- archives ----------------------------------------------------------------------------------------------------------


def inspect_archive(path: Path, *, entrypoints: t.Sequence[str] = ENTRYPOINTS, limits: Limits = LIMITS) -> ArchiveInfo:
    """Read a template archive (tar, perhaps compressed) from its beginning to its end and judge every member."""
    with Stream(path, limits) as stream:
        tree = _Tree(stream, limits, entrypoints)
        try:
            # Without "|": the stream seeks forwards by itself, and tarfile then reads nothing ahead.
            with _Forgetful.open(fileobj=t.cast("t.IO[bytes]", stream), mode="r:") as archive:
                while (member := archive.next()) is not None:
                    tree.admit(member)
        except RecursionError as error:  # tarfile reads a header that announces another one by calling itself
            raise stream.refusal(f"its tar headers before byte {stream.position} announce each other") from error
        except tarfile.TarError as error:
            raise stream.refusal(f"it is not a tar archive after {stream.position} bytes: {error}") from error
        except (UnicodeError, ValueError, io.UnsupportedOperation) as error:
            raise stream.refusal(f"its tar header before byte {stream.position} is corrupt: {error}") from error
        # tarfile stops at a broken header as it does at the end: only zeros may follow, and at least one block of them.
        if len(stream.last) < tarfile.BLOCKSIZE or stream.last.strip(b"\0"):
            raise stream.refusal(
                f"its tar archive breaks off before byte {stream.position}, after {tree.members} members"
            )
        for block in stream.blocks():
            if block.strip(b"\0"):
                raise stream.refusal(f"data follows the end of its tar archive before byte {stream.position}")
        return ArchiveInfo(stream.compression, tree.members, stream.position, tree.entrypoint(), stream.trailing)


class _Forgetful(tarfile.TarFile):
    """Does not keep the members, so that memory does not grow with the archive."""

    def next(self) -> tarfile.TarInfo | None:
        member = super().next()
        self.members: list[tarfile.TarInfo] = []
        return member


class _Tree:
    """What the members make, as far as it matters: where links lead, and whether there is something to start."""

    def __init__(self, stream: Stream, limits: Limits, entrypoints: t.Sequence[str]) -> None:
        self.members = 0
        self._size = 0
        self._limits = limits
        self._stream = stream
        self._wanted = [_parts(entry) for entry in entrypoints]
        self._links: dict[tuple[str, ...], str] = {}
        self._present: set[tuple[str, ...]] = set()

    def admit(self, member: tarfile.TarInfo) -> None:
        self.members += 1
        if self.members > _MEMBERS:
            self._refuse(member, f"is one of more than {_MEMBERS} members")
        self._size += member.size  # sparse members are larger than what the archive holds of them
        if self._size > self._limits.size:
            self._refuse(member, f"makes the tree larger than {self._limits.size} bytes")
        self._check_path(member, member.name, "")
        path = _parts(member.name)
        if self._leaves(path[:-1]):
            self._refuse(member, "lies behind a symbolic link that leads out of the tree")
        self._links.pop(path, None)
        if member.issym():
            self._links[path] = member.linkname
            if not member.linkname.startswith("/") and _climbs(path[:-1], member.linkname):
                self._refuse(member, f"links out of the tree, to {member.linkname!r}")
        elif member.islnk():
            self._check_path(member, member.linkname, "links to ")
            target = _parts(member.linkname)
            if self._leaves(target[:-1]):
                self._refuse(member, f"links to {member.linkname!r}, behind a symbolic link that leads out of the tree")
            if target in self._links:
                self._links[path] = self._links[target]
        elif member.isdev() and not member.isfifo() and path[:1] != ("dev",):
            self._refuse(member, "is a device node outside of dev/")
        if any(path and path[-1] == wanted[-1] for wanted in self._wanted) and not member.isdir():
            self._present.add(path)

    def entrypoint(self) -> str:
        """The first of the wanted entry points that is there, links of directories followed as the guest would."""
        for wanted in self._wanted:
            if self._inside(wanted) in self._present:
                return "/".join(wanted)
        names = " or ".join("/" + "/".join(wanted) for wanted in self._wanted)
        raise self._stream.refusal(f"it holds no {names}, so no container can start from it")

    def _check_path(self, member: tarfile.TarInfo, path: str, what: str) -> None:
        if path.startswith("/"):
            self._refuse(member, f"{what or 'has '}an absolute path{f' ({path!r})' if what else ''}")
        if ".." in path.split("/"):
            self._refuse(member, f"{what or 'has '}a path with .. in it{f' ({path!r})' if what else ''}")

    def _refuse(self, member: tarfile.TarInfo, why: str) -> t.NoReturn:
        raise self._stream.refusal(f"its member {member.name!r} (number {self.members}) {why}")

    def _leaves(self, path: tuple[str, ...]) -> bool:
        """Whether writing behind this directory would follow a link out: an unpacker has no root of the tree's own."""
        return self._walk(path, chroot=False) is None

    def _inside(self, path: tuple[str, ...]) -> tuple[str, ...] | None:
        parent = self._walk(path[:-1], chroot=True)
        return None if parent is None else (*parent, path[-1])

    def _walk(self, path: tuple[str, ...], *, chroot: bool) -> tuple[str, ...] | None:
        """Follow links from directory to directory. None: out of the tree, or round in circles."""
        walked: list[str] = []
        ahead = list(reversed(path))
        hops = 0
        while ahead:
            part = ahead.pop()
            if part == "..":
                if not walked and not chroot:
                    return None
                del walked[-1:]
                continue
            walked.append(part)
            link = self._links.get(tuple(walked))
            if link is None:
                continue
            hops += 1
            if hops > _HOPS or (link.startswith("/") and not chroot):
                return None
            walked = [] if link.startswith("/") else walked[:-1]
            ahead.extend(reversed(_parts(link)))
        return tuple(walked)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part not in ("", "."))


def _climbs(parent: tuple[str, ...], link: str) -> bool:
    return posixpath.normpath("/".join((*parent, link))).split("/")[0] == ".."


# -- disk images -------------------------------------------------------------------------------------------------------

#: Offset, bytes, name: what a file system without a partition table begins with.
_FILESYSTEMS: t.Final = (
    (32769, b"CD001", "iso9660"),
    (0, b"hsqs", "squashfs"),
    (0, b"XFSB", "xfs"),
    (0x438, b"\x53\xef", "ext"),
    (0x10040, b"_BHRfS_M", "btrfs"),
)


def inspect_disk(path: Path, *, limits: Limits = DISK_LIMITS) -> DiskInfo:
    """Look at the first bytes of a disk image, unpacked if need be, and tell what it is.

    A raw image has to have a partition table or a file system, a qcow2 image a sane header that names no other file.
    """
    with Stream(path, limits) as stream:
        head = stream.read(_HEAD)
        size = None if stream.compression else path.stat().st_size
        if head.startswith(qcow2.MAGIC):
            virtual = _qcow2(stream, head, size)
            return DiskInfo("qcow2", stream.compression, virtual)
        filesystem = next((name for at, magic, name in _FILESYSTEMS if head[at : at + len(magic)] == magic), "")
        # What a hybrid ISO image has besides is for USB sticks.
        table = Table("") if filesystem == "iso9660" else _partition_table(stream, head)
        if not table.kind and not filesystem:
            raise stream.refusal(
                "it is not a disk image: neither qcow2, nor a partition table, nor a known file system"
            )
        if size is not None and table.end > size:
            raise stream.refusal(f"it is cut off: its partitions end at byte {table.end}, the file after {size}")
        kind = "iso" if filesystem == "iso9660" else "raw"
        return DiskInfo(kind, stream.compression, size, table.kind, table.partitions, filesystem)


def _qcow2(stream: Stream, head: bytes, size: int | None) -> int:
    """The virtual size."""
    try:
        header = qcow2.Header.parse(head)
    except qcow2.Unreadable as error:
        raise stream.refusal(str(error)) from error
    l1, refcounts = header.l1, header.refcounts
    too_small = header.sane_clusters and (
        header.l1_entries < header.tables or l1 % header.cluster != 0 or refcounts % header.cluster != 0
    )
    faults = {
        f"has version {header.version}": header.version not in (2, 3),
        "has a backing file, which would let the guest read a file of the node": header.backing != 0,
        "is marked as corrupt": bool(header.features & qcow2.CORRUPT),
        "keeps its data in another file": bool(header.features & qcow2.EXTERNAL_DATA),
        "is encrypted": header.encryption != 0,
        f"has clusters of 2^{header.cluster_bits} bytes": not header.sane_clusters,
        "has no size": header.size == 0,
        "has tables that do not fit its size": too_small,
        "is cut off before its tables": size is not None and (max(l1 + 8 * header.l1_entries, refcounts + 8) > size),
    }
    for words, found in faults.items():
        if found:
            raise stream.refusal(f"its qcow2 image {words}")
    return header.size


def _partition_table(stream: Stream, head: bytes) -> Table:
    try:
        return read_table(io.BytesIO(head))
    except BadTable as error:
        raise stream.refusal(str(error)) from error
