# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what VMs are told by cloud-init, from the node itself."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._io.files import write_atomically
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import Commands
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.storages import CliStorages
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome


class CliCloudInit:
    """What PVE makes of the options of VMs."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def dump(self, vmid: int, part: str) -> str:
        return self._commands.read(["qm", "cloudinit", "dump", str(vmid), part]).rstrip("\n") + "\n"

    def regenerate(self, vmid: int) -> Outcome:
        return self._commands.write(["qm", "cloudinit", "update", str(vmid)])


class CliSnippets:
    """Snippets, which PVE lets nobody upload."""

    def __init__(self, root: Root, storages: CliStorages) -> None:
        self._root = root
        self._storages = storages

    def write(self, volid: str, text: str) -> bool:
        path = Path(self._storages.volume_path(volid))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text.encode(), 0o600)
            return not stat.S_IMODE(path.stat().st_mode) & 0o077
        except OSError as error:
            raise PveError(f"{volid} cannot be written: {error.strerror}.", remedy="Look at the storage.") from error

    def remove(self, volid: str) -> None:
        try:
            Path(self._storages.volume_path(volid)).unlink(missing_ok=True)
        except OSError as error:
            raise PveError(f"{volid} cannot be removed: {error.strerror}.") from error

    def missing(self, volid: str) -> bool:
        entry = self._root.storage(volid.partition(":")[0])
        return entry.type == "dir" and not os.path.exists(self._storages.volume_path(volid))
