# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The volumes of real containers: raw disks with ext4 in them, mounted by loop devices; folders shown by bind mounts.

They are mounted in the node's own mount namespace, from their first use until they are moved or removed, and gone with
the node.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ApiError
from .programs import run

MAGIC_AT, MAGIC = 1080, b"\x53\xef"
FIRST_ID = 100_000
ALL_IDS = 65_536


def mounted_at(path: Path) -> str | None:
    """What is mounted exactly there: a device, or the name of a kind of file system; None for nothing."""
    wanted = os.path.realpath(path)
    return next((source for place, source in reversed(mounted()) if place == wanted), None)


def mounted() -> list[tuple[str, str]]:
    """All that is mounted: where, and what."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        return [read(line) for line in table]


def read(line: str) -> tuple[str, str]:
    """Where, and what, of a line of ``mountinfo``."""
    before, _dash, after = line.partition(" - ")
    return _plain(before.split()[4]), after.split()[1]


def _plain(field: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field


class Mounts:
    """File systems that are mounted."""

    def format(self, disk: Path, tree: Path) -> None:
        """ext4, as PVE makes it; a subvolume is a folder."""
        if disk.is_file():
            run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", disk])
        self.show(disk, tree)
        tree.mkdir(parents=True, exist_ok=True)

    def show(self, disk: Path, tree: Path) -> None:
        """Mount it."""
        if disk.is_file() and has_file_system(disk) and not mounted_at(tree):
            tree.mkdir(parents=True, exist_ok=True)
            run(["mount", "-o", "loop", disk, tree])

    def hide(self, tree: Path) -> None:
        """Unmount it."""
        while mounted_at(tree):
            run(["umount", tree])

    def grow(self, disk: Path, tree: Path) -> None:
        """While it is mounted, when a container uses it. Dies where that is not allowed (CAP_SYS_RESOURCE)."""
        device = mounted_at(tree)
        if device and sum(source == device for _place, source in mounted()) > 1:
            run(["losetup", "--set-capacity", device])
            run(["resize2fs", device])
            return
        self.hide(tree)
        run(["e2fsck", "-f", "-p", disk])
        run(["resize2fs", disk])

    def attach(self, source: Path, target: Path) -> None:
        """Bind it, with what is mounted in it."""
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.touch()
        run(["mount", "--rbind", source, target])

    def detach(self, target: Path) -> None:
        """Take it away, even when a process still works in there."""
        try:
            if mounted_at(target):
                run(["umount", "--recursive", "--lazy", target])
        except ApiError:
            if mounted_at(target):  # and nobody else has taken it away meanwhile
                raise

    def first_id(self, unprivileged: bool) -> int | None:
        """Those that PVE gives."""
        return FIRST_ID if unprivileged else 0


def has_file_system(disk: Path) -> bool:
    """Whether it is the disk of a container: ext4 without partitions."""
    with disk.open("rb") as file:
        file.seek(MAGIC_AT)
        return file.read(len(MAGIC)) == MAGIC
