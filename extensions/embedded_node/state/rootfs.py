# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's files on this machine: paths are looked up inside, the guest's own links never lead out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MAX_LINKS = 40


@dataclass(frozen=True)
class GuestFiles:
    """The tree of a container. ``mounts`` are guest paths without the leading slash where another volume is linked
    in. ``first_id`` is the number on this machine of the guest's user 0, None where owners are not kept.
    """

    root: Path
    mounts: frozenset[str] = frozenset()
    first_id: int | None = None

    def resolve(self, name: str, follow: bool = True) -> Path:
        """Where a guest path is, with every symbolic link read as the guest would. The last one only with
        ``follow``.
        """
        todo = list(PurePosixPath(name).parts)
        current: list[str] = []
        links = 0
        while todo:
            part = todo.pop(0)
            if part in (".", "/"):
                continue
            if part == "..":
                current = current[:-1]
                continue
            path = self.root.joinpath(*current, part)
            mounted = "/".join([*current, part]) in self.mounts
            if path.is_symlink() and (todo or follow) and not mounted:
                links += 1
                if links > MAX_LINKS:
                    raise OSError(40, "Too many levels of symbolic links", name)
                target = os.readlink(path)
                if target.startswith("/"):
                    current = []
                todo = list(PurePosixPath(target).parts) + todo
            else:
                current.append(part)
        return self.root.joinpath(*current)

    def read(self, name: str) -> str:
        """A guest file's text as it is, carriage returns and all; empty when it is not there."""
        try:
            return self.resolve(name).read_bytes().decode("utf-8", "replace")
        except OSError:
            return ""

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Replace a guest file."""
        path = self.resolve(name)
        fresh = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        for each in fresh:
            self.own(each)

    def own(self, path: Path, uid: int = 0, gid: int = 0) -> None:
        """Give a file on this machine to a user of the guest, where owners are kept."""
        if self.first_id is not None:
            os.chown(path, self.first_id + uid, self.first_id + gid, follow_symlinks=False)

    def exists(self, name: str) -> bool:
        """Whether a guest path is there."""
        return self.resolve(name).exists()
