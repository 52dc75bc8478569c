# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: files of the node that others read and write, too."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.storages import CliStorages


class CliFiles:
    """The node's own files, for whoever runs on it."""

    def __init__(self, root: Root, storages: CliStorages) -> None:
        self._root = root
        self._storages = storages
        self.cache = root.path / "var/cache/pve-provision"

    def has(self, path: str) -> bool:
        inside = path if self._root.path in Path(path).parents else path.lstrip("/")
        return (self._root.path / inside).exists()

    def volume_path(self, volid: str) -> Path:
        return Path(self._storages.volume_path(volid))

    def serial_console(self, vmid: int) -> Path:
        return self._root.path / "run/qemu-server" / f"{vmid}.serial0"

    def guest_configs(self) -> t.Iterator[str]:
        return self._root.guest_configs()
