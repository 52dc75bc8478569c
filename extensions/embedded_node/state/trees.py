# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the files of a container's volumes are shown: as plain folders, which needs no rights.

A runtime that runs real programs mounts real file systems instead: it puts its own :class:`Trees` into ``TREES``.
"""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

from .root import State


class Trees(t.Protocol):
    """Where the files of volumes are."""

    def format(self, disk: Path, tree: Path) -> None:
        """Make a file system on a new disk; its files will be seen in ``tree``."""

    def show(self, disk: Path, tree: Path) -> None:
        """Show the files of a disk in ``tree``; nothing happens when they are shown, or there is no file system."""

    def hide(self, tree: Path) -> None:
        """Stop showing them before the disk is moved or removed; nothing happens when they are not shown."""

    def grow(self, disk: Path, tree: Path) -> None:
        """The disk is larger now: so is its file system."""

    def attach(self, source: Path, target: Path) -> None:
        """Show a folder or file at another place as well, whatever is there."""

    def detach(self, target: Path) -> None:
        """Show there again what was there before."""

    def first_id(self, unprivileged: bool) -> int | None:
        """The number on this machine of a container's user 0; None where owners are not kept."""


class Folders:
    """A tree is the folder itself, and attached by a link."""

    def format(self, disk: Path, tree: Path) -> None:
        """The folder."""
        tree.mkdir(parents=True, exist_ok=True)

    def show(self, disk: Path, tree: Path) -> None:
        """It is always there."""

    def hide(self, tree: Path) -> None:
        """It does no harm."""

    def grow(self, disk: Path, tree: Path) -> None:
        """It has no size."""

    def attach(self, source: Path, target: Path) -> None:
        """Link it; what was there waits under another name."""
        if target.is_dir() and not target.is_symlink() and any(target.iterdir()):
            shutil.move(target, self._under(target))
        if target.is_symlink():
            target.unlink()
        elif target.is_dir():
            target.rmdir()
        target.symlink_to(source)

    def detach(self, target: Path) -> None:
        """Take the link away."""
        if target.is_symlink():
            target.unlink()
        hidden = self._under(target)
        hidden.rename(target) if hidden.is_dir() else target.mkdir(exist_ok=True)

    def first_id(self, unprivileged: bool) -> int | None:
        """No ordinary user can give files away."""
        return None

    @staticmethod
    def _under(target: Path) -> Path:
        return target.with_name(f".{target.name}.under-mount")


#: By the name of the runtime.
TREES: dict[str, Trees] = {"scripted": Folders()}


def trees(state: State) -> Trees:
    """How this node's runtime shows files."""
    return TREES[state.settings()["runtime"]]
