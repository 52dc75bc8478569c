# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what PVE and the kernel keep in files of the node. A file costs nothing, a command half a
second."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import Unreachable
from ansible_collections.pve.provision.plugins.module_utils._pve import config_text, error_messages
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind

_CONFIG_DIRECTORY: dict[Kind, str] = {"lxc": "lxc", "qemu": "qemu-server"}


class Root:
    """The file system of the node called ``node``, below ``path``: ``/`` on a real one."""

    def __init__(self, node: str, path: Path) -> None:
        self.node = node
        self.path = path

    def read(self, path: str | Path) -> bytes | None:
        """A file under the root, or None when it is not there (a guest may vanish while we look)."""
        full = os.path.join(self.path, path)  # faster than Path, which counts with a thousand guests
        with _as_root(), contextlib.suppress(FileNotFoundError, NotADirectoryError), open(full, "rb") as file:
            return file.read()
        return None

    def names(self, path: str | Path) -> list[str]:
        """The names in a folder under the root; none when it is not there."""
        with _as_root(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return sorted(entry.name for entry in (self.path / path).iterdir())
        return []

    def is_writable(self, path: str | Path) -> bool:
        """Whether the owner of a file or link may write it, by its mode: root may always."""
        with _as_root():
            return bool((self.path / path).lstat().st_mode & stat.S_IWUSR)

    def text(self, path: str | Path) -> str:
        return (self.read(path) or b"").decode(errors="replace")

    def config_path(self, kind: Kind, vmid: int, node: str | None = None) -> str:
        return f"{self.config_folder(kind, node)}/{vmid}.conf"

    def config_folder(self, kind: Kind, node: str | None = None) -> str:
        return f"etc/pve/nodes/{node or self.node}/{_CONFIG_DIRECTORY[kind]}"

    def guest_configs(self) -> t.Iterator[str]:
        """The config files of all guests of the cluster, with their snapshots and what is pending or unused."""
        for folder in _CONFIG_DIRECTORY.values():
            for path in (self.path / "etc/pve/nodes").glob(f"*/{folder}/*.conf"):
                text = self.read(path)
                if text is not None:
                    yield text.decode(errors="replace")

    def storages(self) -> list[config_text.StorageEntry]:
        return config_text.parse_storages(self.text("etc/pve/storage.cfg"), self.node)

    def storage(self, name: str) -> config_text.StorageEntry:
        for entry in self.storages():
            if entry.name == name:
                return entry
        raise error_messages.error_of(f"storage {name}", f"storage '{name}' does not exist")


@contextlib.contextmanager
def _as_root() -> t.Iterator[None]:
    """Say what to do when a file may not be read, or cannot be."""
    try:
        yield
    except PermissionError as error:
        raise Unreachable(f"No permission to read {error.filename}.", remedy="Become root (become: true).") from error
    except OSError as error:
        raise Unreachable(
            f"{error.filename} cannot be read: {error.strerror}.",
            remedy="See whether the file system of the cluster is up: systemctl status pve-cluster.",
        ) from error
