# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of an embedded node as they were, to be put back between tests that share the node."""

from __future__ import annotations

import os
import shutil
import stat
import time
from pathlib import Path

from embedded_node import EmbeddedNode
from embedded_node.api import tasks

#: The socket of the command server, which lives as long as the node.
KEPT = "run/embedded-node"
#: Seconds for the tasks that a test has left.
TASKS_END_WITHIN = 60


class NodeFiles:
    """All files, folders and links of a node at the moment this is made. A node that was just started has some 100."""

    def __init__(self, node: EmbeddedNode) -> None:
        self._node = node
        self._folders: dict[Path, int] = {}
        self._links: dict[Path, str] = {}
        self._files: dict[Path, tuple[bytes, os.stat_result]] = {}
        self._read(node.root)

    def _read(self, folder: Path) -> None:
        for path in folder.iterdir():
            found = path.lstat()
            if path == self._node.root / KEPT:
                continue
            if stat.S_ISLNK(found.st_mode):
                self._links[path] = os.readlink(path)
            elif stat.S_ISDIR(found.st_mode):
                self._folders[path] = stat.S_IMODE(found.st_mode)
                self._read(path)
            elif stat.S_ISREG(found.st_mode):
                self._files[path] = (path.read_bytes(), found)

    def put_back(self) -> None:
        """What came is removed, guests that run included; what was changed or has gone is as it was."""
        until = time.monotonic() + TASKS_END_WITHIN
        while tasks.active(self._node.state) and time.monotonic() < until:
            time.sleep(0.02)
        self._remove(self._node.root)
        for folder, mode in self._folders.items():
            folder.mkdir(exist_ok=True)
            if stat.S_IMODE(folder.stat().st_mode) != mode:
                folder.chmod(mode)
        for link, target in self._links.items():
            if not link.is_symlink():
                link.symlink_to(target)
        for file, (content, before) in self._files.items():
            if not file.exists():
                file.write_bytes(content)
                file.chmod(stat.S_IMODE(before.st_mode))
                os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
                self._files[file] = (content, file.stat())

    def _remove(self, folder: Path) -> None:
        for path in folder.iterdir():
            if path == self._node.root / KEPT:
                continue
            found = path.lstat()
            if stat.S_ISDIR(found.st_mode):
                if path in self._folders:
                    self._remove(path)
                else:
                    shutil.rmtree(path)
            elif not self._is_as_before(path, found):
                path.unlink()

    def _is_as_before(self, path: Path, found: os.stat_result) -> bool:
        if stat.S_ISLNK(found.st_mode):
            return self._links.get(path) == os.readlink(path)
        _content, before = self._files.get(path, (b"", None))
        return before is not None and all(
            getattr(found, name) == getattr(before, name) for name in ("st_ino", "st_mode", "st_size", "st_mtime_ns")
        )
