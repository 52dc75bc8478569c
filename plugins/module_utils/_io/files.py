# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._io.locks import try_lock

PART: t.Final = ".pve-provision-part"
_STALE: t.Final = 3600.0  # seconds


@contextlib.contextmanager
def atomic_file(
    target: Path, mode: int = 0o644, *, check: t.Callable[[], None] = lambda: None
) -> t.Iterator[t.BinaryIO]:
    """A new file for writing, which gets its name when the block has ended well; what had the name before is replaced.

    Until then only its owner can read it. ``check`` is called last, and raises when the file must not get its name.
    Nothing is left of one that does not get it; what a killed run has left goes when the same is written again.
    """
    _remove_stale(target)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=PART, dir=target.parent)
    part = Path(name)
    try:
        with open(descriptor, "wb") as file:
            with contextlib.suppress(OSError):  # of a file system that knows no locks
                try_lock(descriptor)
            yield file
            file.flush()
            with contextlib.suppress(PermissionError):  # of a file system that knows no modes
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
            check()
            part.replace(target)
        sync_directory(target.parent)
    finally:
        part.unlink(missing_ok=True)


def write_atomically(target: Path, content: bytes, mode: int = 0o600) -> None:
    """Put a file in place, whole or not at all."""
    with atomic_file(target, mode) as file:
        file.write(content)


def _remove_stale(target: Path) -> None:
    """Remove what nobody writes any more: a part that is written is locked, or quite new."""
    for entry in os.scandir(target.parent):
        if entry.name.startswith(f".{target.name}.") and entry.name.endswith(PART):
            with contextlib.suppress(OSError), open(entry.path, "rb") as file:
                if time.time() - os.fstat(file.fileno()).st_mtime > _STALE and try_lock(file.fileno()):
                    os.unlink(entry.path)


def sync_directory(directory: Path) -> None:
    """Make a rename in this directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(directory: Path) -> int:
    """What an ordinary user may still write there."""
    stat = os.statvfs(directory)
    return stat.f_bavail * stat.f_frsize


def write_sparse(file: t.BinaryIO, block: bytes) -> int:
    """Write a block, or step over one of zeros; how many bytes were written. At the end the file is to be truncated at
    its position, since a hole at its end makes it no longer."""
    if block.count(0) == len(block):
        file.seek(len(block), os.SEEK_CUR)
        return 0
    return file.write(block)
