# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: reading and writing a guest's files from outside, without being led out of them.

A root file system is not ours: a symbolic link in it may point anywhere on the node, and we are root there. So no link
is followed, not even within a path.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t
from pathlib import PurePosixPath

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class RootedFs:
    """The files below a directory. Paths are relative to it, without a leading slash."""

    def __init__(self, root: str) -> None:
        self.root = root

    @contextlib.contextmanager
    def _folder(self, path: str, *, make: bool) -> t.Iterator[tuple[int, str]]:
        """The directory that holds a file, opened, and the file's name in it."""
        *folders, name = PurePosixPath(path).parts
        here = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for folder in folders:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(folder, 0o755, dir_fd=here)
                inner = os.open(folder, _DIRECTORY, dir_fd=here)
                os.close(here)
                here = inner
            yield here, name
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                words = f"/{path} of the guest leads through a link."
                raise ImageError(words, remedy="Use an official image.") from error
            if make:
                words = f"/{path} of the guest cannot be written: {error.strerror}."
                raise ImageError(words, remedy="Look at its storage.") from error
            raise
        finally:
            os.close(here)

    def read(self, path: str) -> bytes | None:
        """A file's content, or None when there is no such file. A FIFO or a device is none: reading may never end."""
        try:
            with self._folder(path, make=False) as (folder, name):
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
                try:
                    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                        return None
                    with open(descriptor, "rb", closefd=False) as file:
                        return file.read()
                finally:
                    os.close(descriptor)
        except FileNotFoundError:
            return None

    def write(self, path: str, mode: int, content: bytes) -> None:
        """Put a file in place, whole or not at all; its owner is root."""
        with self._folder(path, make=True) as (folder, name):
            fresh = f".{name}.pve-provision"
            _remove(fresh, folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            try:
                with open(os.open(fresh, flags, mode, dir_fd=folder), "wb") as file:
                    os.fchmod(file.fileno(), mode)
                    file.write(content)
                os.replace(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
            finally:
                _remove(fresh, folder)


def _remove(name: str, folder: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
