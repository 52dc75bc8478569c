# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: directories and files that nobody but this user can have put there or written to.

A place such as ``/run/lock`` is open to every local user, and root opens files in it. So the directory has to be ours
and closed to the writing of others, no symbolic link is followed, and nothing is truncated by opening it.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NotPrivate(OSError):
    """Somebody else owns the path, may write to it, or has put a link there. ``strerror`` says which."""


def user_cache() -> Path:
    """The folder of this collection in the cache of the user who runs it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")) / "pve-provision"


def private_directory(path: Path) -> Path:
    """A directory that this user alone can read, made when it is not there.

    Raises NotPrivate for one that is not ours alone, OSError when it cannot be made.
    """
    os.close(_open_directory(path, closed=True))
    return path


def open_private(path: Path) -> int:
    """A descriptor of a file in a directory of this user's, for reading and writing; made (0600) when not there.

    Its content stays as it is. Raises NotPrivate, OSError.
    """
    directory = _open_directory(path.parent, closed=False)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path.name, flags, 0o600, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotPrivate(errno.ELOOP, "it is a symbolic link", str(path)) from error
        raise
    finally:
        os.close(directory)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NotPrivate(errno.EPERM, "it is not a regular file", str(path))
        if found.st_nlink > 1:
            raise NotPrivate(errno.EPERM, "it has another name elsewhere", str(path))
        _require_ours(path, found)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _open_directory(path: Path, *, closed: bool) -> int:
    path.mkdir(mode=0o700 if closed else 0o755, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, _DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise NotPrivate(error.errno, "it is a symbolic link", str(path)) from error
        raise
    try:
        found = os.fstat(descriptor)
        _require_ours(path, found)
        if closed and found.st_mode & 0o077:
            os.fchmod(descriptor, 0o700)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _require_ours(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise NotPrivate(errno.EPERM, f"it belongs to user {found.st_uid}, not to {os.geteuid()}", str(path))
    if found.st_mode & _OTHERS_WRITE:
        raise NotPrivate(errno.EPERM, f"others may write to it (mode {stat.S_IMODE(found.st_mode):04o})", str(path))
