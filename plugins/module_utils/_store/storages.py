# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the storages that an image goes to."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._images import cache
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import WORDS, usable
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Storage

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

#: Storages whose files are files: everything else keeps blocks, and no templates.
FILE_STORAGES: t.Final = frozenset({"dir", "nfs", "cifs", "cephfs", "btrfs", "glusterfs"})


@dataclass(frozen=True)
class Store:
    """A storage, and on the node the directory of the wanted content. ``is_storage``: PVE knows it by its name."""

    is_storage: t.ClassVar[bool] = True

    storage: Storage
    content: str
    directory: Path | None

    @property
    def name(self) -> str:
        return self.storage.name

    @property
    def folder(self) -> Path:
        """Where its files lie, on the node."""
        return t.cast("Path", self.directory)

    def volid(self, file: str) -> str:
        return f"{self.name}:{self.content}/{file}"

    def room(self) -> dict[str, int | None]:
        if self.directory is None:
            return {"total": self.storage.total, "available": self.storage.available}
        return dataclasses.asdict(cache.capacity(self.directory))


@dataclass(frozen=True)
class OwnDirectory(Store):
    """A directory of the node that belongs to no storage of PVE's: its files are known by their paths."""

    is_storage = False

    def volid(self, file: str) -> str:
        return str(self.folder / file)

    @classmethod
    def at(cls, directory: Path, content: str) -> OwnDirectory:
        return cls(Storage(str(directory), "dir", frozenset({content}), path=str(directory)), content, directory)


def stores(node: Node, content: str, wanted: t.Sequence[str] = ()) -> list[Store]:
    """The storages an image goes to. Raises InvalidInput with everything that stands against them."""
    all_storages = node.storages()
    by_name = {storage.name: storage for storage in all_storages}
    word = WORDS.get(content, "images to import")
    others = ", ".join(s.name for s in usable(all_storages, content) if s.type in FILE_STORAGES) or "none"
    remedy = f"Storages for {word} here: {others}"
    findings: list[Finding] = []
    for name in wanted:
        storage = by_name.get(name)
        if storage is None:
            findings.append(Finding("storages", name, f"does not exist on node {node.name}", remedy))
        elif storage.type not in FILE_STORAGES:
            problem = f"is of type {storage.type}, which keeps blocks and no files, so it takes no {word}"
            findings.append(Finding("storages", name, problem, remedy))
        elif content not in storage.content:
            findings.append(Finding("storages", name, f"takes no {word} (content type {content})", remedy))
        elif not (storage.active and storage.enabled):
            findings.append(Finding("storages", name, "is not active", remedy))
    chosen = [by_name[name] for name in dict.fromkeys(wanted) if name in by_name]
    if not wanted:
        chosen = [s for s in usable(all_storages, content) if s.type in FILE_STORAGES]
        if not chosen:
            findings.append(Finding("content", content, f"is taken by no active storage of node {node.name}"))
    if findings:
        raise InvalidInput(findings)
    return [Store(storage, content, _directory(node, storage, content)) for storage in chosen]


def _directory(node: Node, storage: Storage, content: str) -> Path | None:
    if node.files is None:
        return None
    end = {"vztmpl": "tar.gz", "iso": "iso", "import": "raw"}[content]
    return node.files.volume_path(f"{storage.name}:{content}/any.{end}").parent
