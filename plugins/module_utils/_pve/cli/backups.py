# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: back containers up to files that only root can read, and restore them."""

from __future__ import annotations

import shutil
import threading
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._io.files import free_bytes
from ansible_collections.pve.provision.plugins.module_utils._pve.backups import MODES, Note
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.changes import IN_FILE, CliChanges
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import Commands
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind, Storage

PLACE: t.Final = "var/lib/pve-provision"
_SUFFIXES: t.Final[dict[Kind, str]] = {"lxc": "tar.zst", "qemu": "vma.zst"}


class CliBackups:
    """Backups of guests in files of the node."""

    def __init__(self, root: Root, commands: Commands, changes: CliChanges) -> None:
        self._root = root
        self._commands = commands
        self._changes = changes
        self._turn = threading.Lock()

    def places(self) -> list[Storage]:
        folder = self._archives(0)
        room = free_bytes(next(each for each in folder.parents if each.exists()))
        return [Storage(f"/{PLACE}", "dir", frozenset({"backup"}), available=room)]

    def archive(self, vmid: int, *, kind: Kind = "lxc", place: str = "", timeout: int) -> str:
        self.discard(vmid)
        folder = self._archives(vmid)
        try:
            folder.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise PveError(
                f"The folder {folder} for a backup of {vmid} cannot be made: {error.strerror}.",
                remedy="Look whether its file system is full or read-only.",
            ) from error
        # Another backup job holds the node's one lock for as long as it takes: better to fail than to keep waiting.
        options = {"dumpdir": str(folder), "mode": MODES[kind], "compress": "zstd", "remove": "0", "lockwait": "1"}
        with self._turn:
            self._commands.write(["vzdump", str(vmid)], options, timeout=timeout)
        found = self._of(vmid, kind)
        if len(found) != 1:
            raise PveError(f"vzdump of {vmid} reported no error, but left no archive.")
        return found[0]

    def restore(
        self,
        vmid: int,
        archive: str,
        options: t.Mapping[str, str],
        *,
        kind: Kind = "lxc",
        over: bool = False,
        timeout: int,
    ) -> None:
        force = ["--force", "1"] if over else []
        argv = ["qmrestore", archive, str(vmid)] if kind == "qemu" else ["pct", "restore", str(vmid), archive]
        rest = {name: value for name, value in options.items() if name not in IN_FILE}
        self._commands.write([*argv, *force], rest, timeout=timeout)
        self._changes.write_into_file(vmid, options)

    def kept(self, vmid: int) -> list[str]:
        return [path for kind in _SUFFIXES for path in self._of(vmid, kind)]

    def notes(self) -> dict[int, Note]:
        return {}

    def discard(self, vmid: int) -> None:
        shutil.rmtree(self._archives(vmid), ignore_errors=True)

    def _of(self, vmid: int, kind: Kind) -> list[str]:
        return sorted(map(str, self._archives(vmid).glob(f"vzdump-{kind}-{vmid}-*.{_SUFFIXES[kind]}")))

    def _archives(self, vmid: int) -> Path:
        return self._root.path / PLACE / "archives" / str(vmid)
