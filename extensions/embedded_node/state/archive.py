# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Template and backup archives: really extracted, as far as an ordinary user may.

Owners, device nodes and special modes are left out; everything else of the archive lands in the directory.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import shutil
import tarfile
import typing as t
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import zstandard

from ..errors import ApiError
from . import config_file, vma
from .config_file import GuestFile

OPTIONS = {".gz": "-z", ".bz2": "-j", ".xz": "-J", ".lzo": "--lzop", ".zst": "--zstd"}
TAR_FLAGS = (
    "--totals --one-file-system -p --sparse --numeric-owner --acls --xattrs '--xattrs-include=user.*' "
    "'--xattrs-include=security.capability' '--warning=no-file-ignored' '--warning=no-xattr-write'"
)
TAR_END = "tar: Unexpected EOF in archive\n" * 2 + "tar: Error is not recoverable: exiting now\n"
BACKUP_CONFIG = "./etc/vzdump/pct.conf"
VM_CONFIG = "qemu-server.conf"
SKIPPED = re.compile(r"(?:\./)?dev/.+")
DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError, tarfile.TarError)


class Broken(Exception):
    """The archive could not be extracted: what tar said, and its exit code."""

    def __init__(self, said: str, code: int = 2) -> None:
        super().__init__(said)
        self.said = said
        self.code = code


def compression(name: str) -> str:
    """tar's option for an archive's compression; dies as PVE does for a name that is no archive's."""
    found = re.search(r"\.tar(\.[^.]+)?$", name)
    if not found:
        raise ApiError(f"file does not look like a template archive: {name}")
    if not found[1]:
        return ""
    if found[1] not in OPTIONS:
        raise ApiError(f"unrecognized compression format: {found[1]}")
    return OPTIONS[found[1]]


def command_line(archive: str, rootdir: str, unprivileged: bool) -> str:
    """The command that a real node runs, as its messages quote it."""
    namespace = "lxc-usernsexec -m u:0:100000:65536 -m g:0:100000:65536 -- " if unprivileged else ""
    option = compression(archive)
    middle = f"{option} " if option else ""
    return f"{namespace}tar xpf - {middle}{TAR_FLAGS} -C {rootdir} --skip-old-files --anchored --exclude './dev/*'"


class _Counter(io.RawIOBase):
    """A stream that counts what is read from it."""

    def __init__(self, source: t.BinaryIO) -> None:
        self.source = source
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        data = self.source.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


@contextmanager
def opened(archive: Path) -> Iterator[t.BinaryIO]:
    """An archive's plain bytes."""
    suffix = archive.name.rsplit(".", 1)[-1]
    with archive.open("rb") as raw:
        if suffix in ("gz", "tgz"):
            yield t.cast(t.BinaryIO, gzip.GzipFile(fileobj=raw))
        elif suffix == "xz":
            with lzma.open(raw) as plain:
                yield t.cast(t.BinaryIO, plain)
        elif suffix == "bz2":
            yield t.cast(t.BinaryIO, bz2.BZ2File(raw))
        elif suffix == "zst":
            yield t.cast(t.BinaryIO, zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))
        else:
            yield raw


def extract(archive: Path, target: Path, room: int | None, progress: Callable[[], None]) -> int:
    """Extract into a directory; returns how many bytes tar read. ``room`` is how much fits in.

    ``progress`` is called after each member. Raises Broken with what tar would have said.
    """
    target.mkdir(parents=True, exist_ok=True)
    left = room
    with opened(archive) as plain:
        counter = _Counter(plain)
        try:
            with tarfile.open(fileobj=io.BufferedReader(counter, 1 << 20), mode="r|") as tar:
                for member in tar:
                    if left is not None:
                        left -= member.size
                        if left < 0:
                            raise Broken(f"tar: {member.name}: Cannot write: No space left on device\n")
                    _extract_member(tar, member, target)
                    progress()
            while counter.source.read(1 << 20):
                pass
        except DAMAGE as error:
            raise Broken(said(archive, error)) from error
    return -(-counter.count // 10240) * 10240


def _extract_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    name = PurePosixPath(member.name.lstrip("/"))
    if SKIPPED.fullmatch(member.name) or ".." in name.parts or member.isdev():
        return
    path = target / name
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(member.mode | 0o700)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.exists():
        return
    if member.issym():
        path.symlink_to(member.linkname)
    elif member.islnk():
        source = target / PurePosixPath(member.linkname.lstrip("/"))
        os.link(source, path, follow_symlinks=False)
    elif member.isfile():
        with path.open("wb") as out:
            shutil.copyfileobj(t.cast(t.IO[bytes], tar.extractfile(member)), out)
        path.chmod(member.mode | 0o600)
        os.utime(path, (member.mtime, member.mtime))


def said(archive: Path, error: BaseException) -> str:
    """What tar, or what unpacks for it, says of a damaged archive."""
    if isinstance(error, OSError) and error.errno:
        return f"tar: {error.filename or archive}: Cannot open: {os.strerror(error.errno)}\n"
    tool = {"gz": "\ngzip: stdin: unexpected end of file\n", "xz": "xz: (stdin): Unexpected end of input\n"}
    said = tool.get(archive.name.rsplit(".", 1)[-1], "zstd: /*stdin*\\: unexpected end of file \n")
    return said + TAR_END


def backup_config(path: Path) -> str:
    """The guest config inside a backup, as PVE shows it: that of a VM with where its disks belong."""
    if ".vma" not in path.suffixes:
        return config_file.render(read_backup_config(path))
    try:
        with opened(path) as plain:
            found = vma.read(t.cast(t.BinaryIO, io.BufferedReader(t.cast(t.Any, plain))))
    except DAMAGE as error:
        raise ApiError(f"unable to read '{path}': {error}") from error
    return found.configs[VM_CONFIG].decode()


def read_backup_config(path: Path) -> GuestFile:
    """The guest config inside a container backup; dies when there is none."""
    try:
        with (
            opened(path) as plain,
            tarfile.open(fileobj=io.BufferedReader(t.cast(t.Any, plain)), mode="r|") as tar,
        ):
            for member in tar:
                if member.name == BACKUP_CONFIG:
                    return config_file.parse(t.cast(t.IO[bytes], tar.extractfile(member)).read().decode())
    except DAMAGE as error:
        raise ApiError(f"unable to read '{path}': {error}") from error
    raise ApiError(f"unable to find configuration in '{path}'")
