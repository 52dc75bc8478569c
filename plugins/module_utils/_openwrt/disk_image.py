# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an OpenWrt disk image made ready for a VM, without booting or mounting it.

OpenWrt's x86 images have a boot partition (1: ext4 in the BIOS image, FAT in the EFI image) and a root partition (2:
ext4 or squashfs). At each boot preinit (``79_move_config``) takes ``sysupgrade.tgz`` from the boot partition and
restores it: the way in which OpenWrt carries configuration over an upgrade, and here the way in for the first one.

Growing: the table's entry of the root partition is made longer. An ext4 file system is grown with ``resize2fs``; behind
squashfs the first boot makes its overlay as large as the partition. ``resize2fs`` accepts ``image?offset=N`` but then
cuts the file off at the length of the file system, losing the offset's worth of its end (seen with 1.47.0), so the
partition is taken out, grown, and put back.

An ext4 root also gets preinit's failsafe mode switched off. In a squashfs root nothing can be changed: there OpenWrt
shows 192.168.1.1 on its LAN port for two seconds at each boot.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._io.compression import DISK_LIMITS, Limits, Stream
from ansible_collections.pve.provision.plugins.module_utils._io.files import write_sparse
from ansible_collections.pve.provision.plugins.module_utils._io.partitions import (
    SECTOR,
    BadTable,
    Partition,
    Table,
    grow_partition,
    read_table,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt import rootfs
from ansible_collections.pve.provision.plugins.module_utils._openwrt.fat import FatVolume, is_fat

FileSystem = t.Literal["ext4", "fat", "squashfs", "unknown"]

BOOT, ROOT = 1, 2
REFETCH = "Use OpenWrt's own combined or combined-efi image, and fetch it again if it is one."
ARCHIVE = "sysupgrade.tgz"
MAX_IMAGE = 16 << 30
CHUNK = 1 << 20
TIMEOUT = 300  # seconds for one program
SYSTEM_PATH = "/usr/sbin:/sbin:/usr/local/sbin"  # where e2fsprogs lies, for users whose PATH has it not


@dataclass(frozen=True)
class DiskImage:
    """What an image is: its length in bytes, its table, and the file systems on boot and root partition."""

    size: int
    table: Table
    boot: FileSystem
    root: FileSystem


def unpack_image(source: Path, target: Path) -> None:
    """Copy an image, unpacked, into a sparse file for its owner alone. ``target`` must not exist."""
    limits = Limits(size=MAX_IMAGE, ratio=DISK_LIMITS.ratio)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as out, Stream(source, limits) as plain:
        for block in plain.blocks():
            write_sparse(out, block)
        out.truncate()


def inspect_image(image: Path) -> DiskImage:
    """Read what an image is; raises ImageError when it is not an OpenWrt combined image."""
    with image.open("rb") as stream, _sound(image):
        table = read_table(stream)
        boot, root = (_file_system(stream, table.get(number)) for number in (BOOT, ROOT))
        size = stream.seek(0, os.SEEK_END)
        if table.end > size:
            raise BadTable("a partition lies outside of it")
    if boot not in ("ext4", "fat") or root not in ("ext4", "squashfs"):
        raise ImageError(
            f"{image} is not an OpenWrt disk image: its partitions hold {boot} and {root}.", remedy=REFETCH
        )
    return DiskImage(size, table, boot, root)


@contextlib.contextmanager
def _sound(image: Path) -> t.Iterator[None]:
    """Say of which image a partition table is bad, and what to do."""
    try:
        yield
    except BadTable as error:
        raise ImageError(f"{image} is not an OpenWrt disk image, or a damaged one: {error}.", remedy=REFETCH) from error


def prepare_image(image: Path, *, size: int | None = None, files: rootfs.Files | None = None) -> DiskImage:
    """Make a raw image (a copy: it is changed in place) ready for import; returns what it then is.

    ``size``: the disk's length in bytes, at least that of the image (None: as it is). ``files``: what the first boot
    finds, paths in the guest -> (mode, content); they replace those of the image. Every write is read back.
    Raises ImageError, naming the missing program where that is the cause.
    """
    found = inspect_image(image)
    if size is not None:
        grow_image(image, size)
    if found.root == "ext4":
        _switch_failsafe_off(image, found.table.get(ROOT))
    if files:
        place_archive(image, config_archive(files))
    return inspect_image(image)


def grow_image(image: Path, size: int) -> None:
    """Grow the file to ``size`` bytes, and the root partition with it. Never shrinks."""
    found = inspect_image(image)
    if size < found.size:
        raise ImageError(
            f"The disk cannot have {size} bytes: the image has {found.size}.", remedy="Declare a larger disk."
        )
    size -= size % SECTOR
    before = found.table.get(ROOT)
    with image.open("r+b") as stream, _sound(image):
        after = grow_partition(stream, ROOT, size)
    if found.root == "ext4" and after.size > before.size:
        _grow_ext4(image, before, after)


def config_archive(files: rootfs.Files) -> bytes:
    """The ``sysupgrade.tgz`` that puts files in place at the next boot; the same files give the same bytes."""
    return rootfs.pack_files(files)


def place_archive(image: Path, archive: bytes) -> None:
    """Put ``sysupgrade.tgz`` on the boot partition, and read it back."""
    found = inspect_image(image)
    partition = found.table.get(BOOT)
    if found.boot == "fat":
        with image.open("r+b") as stream:
            FatVolume(stream, partition.offset).write(ARCHIVE, archive)
    else:
        _ext4_write(image, partition, ARCHIVE, archive)
    if read_archive(image) != archive:
        raise ImageError(
            f"{ARCHIVE} does not read back from the boot partition of {image} as it was written.",
            remedy="The partition may be full or damaged: declare fewer files, or fetch the image again.",
        )


def read_archive(image: Path) -> bytes | None:
    """The ``sysupgrade.tgz`` that waits on the boot partition, or None."""
    found = inspect_image(image)
    partition = found.table.get(BOOT)
    if found.boot == "fat":
        with image.open("rb") as stream:
            return FatVolume(stream, partition.offset).read(ARCHIVE)
    return _ext4_read(image, partition, ARCHIVE)


def _switch_failsafe_off(image: Path, root: Partition) -> None:
    before = _ext4_read(image, root, rootfs.PREINIT_CONF)
    if before is None:
        return
    after = rootfs.without_failsafe(before.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    if after != before:
        _ext4_write(image, root, rootfs.PREINIT_CONF, after)
        if _ext4_read(image, root, rootfs.PREINIT_CONF) != after:
            raise ImageError(f"Failsafe mode cannot be switched off in {image}.", remedy="Fetch the image again.")


# -- file systems ------------------------------------------------------------------------------------------------------
def _file_system(stream: t.BinaryIO, partition: Partition) -> FileSystem:
    stream.seek(partition.offset)
    head = stream.read(2048)
    if head[1080:1082] == b"\x53\xef":
        return "ext4"
    if head.startswith(b"hsqs"):
        return "squashfs"
    return "fat" if is_fat(head) else "unknown"


def _ext4_read(image: Path, partition: Partition, path: str) -> bytes | None:
    """A file's content, None when it is absent. debugfs ends with 0 whatever happens and tells on stderr."""
    done = _debugfs(image, partition, f"cat /{path}")
    if b"File not found" in done.stderr:
        return None
    _no_complaint(done, image)
    return done.stdout


def _ext4_write(image: Path, partition: Partition, path: str, content: bytes) -> None:
    """Create or replace a file, owned by root, mode 0644."""
    if _ext4_read(image, partition, path) is not None:
        _no_complaint(_debugfs(image, partition, f"rm /{path}", write=True), image)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "content")
        source.write_bytes(content)
        source.chmod(0o644)
        # debugfs's own splitting of the request knows no quotes: relative names keep blanks out of it
        done = _debugfs(image, partition, f"write content /{path}", write=True, cwd=folder)
    _no_complaint(done, image)


def _debugfs(
    image: Path, partition: Partition, request: str, *, write: bool = False, cwd: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    location = f"{image.resolve()}?offset={partition.offset}"
    return _run(["debugfs", *(["-w"] if write else []), "-R", request, location], cwd=cwd)


def _no_complaint(done: subprocess.CompletedProcess[bytes], image: Path) -> None:
    complaints = [
        line for line in done.stderr.decode("utf-8", "replace").splitlines() if not line.startswith("debugfs ")
    ]
    if done.returncode or complaints:
        raise ImageError(
            f"debugfs failed on {image}: {' '.join(complaints) or f'exit code {done.returncode}'}",
            remedy="The file system may be full or damaged: declare fewer files, or fetch the image again.",
        )


def _grow_ext4(image: Path, before: Partition, after: Partition) -> None:
    """Take the partition out, check and grow its file system, put it back."""
    with tempfile.TemporaryDirectory(dir=image.parent, prefix=f".{image.name}.") as folder:
        part = Path(folder, "root.ext4")
        with image.open("rb") as stream, part.open("xb") as out:
            stream.seek(before.offset)
            for piece in _pieces(stream, before.size):
                write_sparse(out, piece)
            out.truncate(after.size)
        checked = _run(["e2fsck", "-f", "-y", str(part)])
        if checked.returncode not in (0, 1):  # 1: errors corrected
            raise ImageError(f"The root file system of {image} is damaged: {_tail(checked)}", remedy="Fetch it again.")
        resized = _run(["resize2fs", str(part)])
        if resized.returncode:
            raise ImageError(f"The root file system of {image} cannot grow: {_tail(resized)}", remedy="Fetch it again.")
        with part.open("rb") as stream, image.open("r+b") as out:
            out.seek(after.offset)
            for piece in _pieces(stream, before.size):
                out.write(piece)
            for piece in _pieces(stream, after.size - before.size):
                write_sparse(out, piece)
            out.flush()
            os.fsync(out.fileno())


def _run(argv: list[str], cwd: str | None = None) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which(argv[0]) or shutil.which(argv[0], path=SYSTEM_PATH)
    if program is None:
        raise ImageError(
            f"There is no program {argv[0]} here.", remedy="Install the package e2fsprogs.", program=argv[0]
        )
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(
            [program, *argv[1:]],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(
            f"{argv[0]} was still at work after {TIMEOUT} s.", remedy="Try again when the storage is less busy."
        ) from error


def _tail(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


# -- bytes -------------------------------------------------------------------------------------------------------------
def _pieces(stream: t.BinaryIO, length: int) -> t.Iterator[bytes]:
    while length > 0:
        piece = stream.read(min(CHUNK, length))
        if not piece:
            raise ImageError("The image is shorter than its partition table says.", remedy=REFETCH)
        length -= len(piece)
        yield piece
