# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what bringing an image to storages has in common on the node and over the API."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    ImageError,
    InvalidInput,
    ProvisionError,
    Timeout,
)
from ansible_collections.pve.provision.plugins.module_utils._images import cache
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import WORDS, usable
from ansible_collections.pve.provision.plugins.module_utils._store.source import (
    ImageFetcher,
    Offer,
    WantedImage,
)

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Storage

#: Storages whose files are files: everything else keeps blocks, and no templates.
FILE_STORAGES: t.Final = frozenset({"dir", "nfs", "cifs", "cephfs", "btrfs", "glusterfs"})
Step = dict[str, t.Any]


@dataclass(frozen=True)
class Store:
    """A storage, and on the node the directory of the wanted content."""

    storage: Storage
    directory: Path | None

    def volid(self, content: str, name: str) -> str:
        return f"{self.storage.name}:{content}/{name}"

    def room(self) -> dict[str, int | None]:
        if self.directory is None:
            return {"total": self.storage.total, "available": self.storage.available}
        return dataclasses.asdict(cache.capacity(self.directory))


@dataclass
class Result:
    """What a run did, or in check mode would have done."""

    changed: bool = False
    source: str = ""
    version: str | None = None
    available_version: str | None = None
    update_available: bool = False
    volids: list[str] = field(default_factory=list)
    images: list[dict[str, t.Any]] = field(default_factory=list)
    plan: list[Step] = field(default_factory=list)
    freed: int = 0
    transferred: int = 0
    capacity: dict[str, dict[str, t.Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


def stores(node: Node, wanted: WantedImage) -> list[Store]:
    """The storages an image goes to. Raises InvalidInput with everything that stands against them."""
    all_storages = node.storages()
    by_name = {storage.name: storage for storage in all_storages}
    word = WORDS.get(wanted.content, "images to import")
    others = ", ".join(s.name for s in usable(all_storages, wanted.content) if s.type in FILE_STORAGES) or "none"
    remedy = f"Storages for {word} here: {others}"
    findings: list[Finding] = []
    for name in wanted.storages:
        storage = by_name.get(name)
        if storage is None:
            findings.append(Finding("storages", name, f"does not exist on node {node.name}", remedy))
        elif storage.type not in FILE_STORAGES:
            problem = f"is of type {storage.type}, which keeps blocks and no files, so it takes no {word}"
            findings.append(Finding("storages", name, problem, remedy))
        elif wanted.content not in storage.content:
            findings.append(Finding("storages", name, f"takes no {word} (content type {wanted.content})", remedy))
        elif not (storage.active and storage.enabled):
            findings.append(Finding("storages", name, "is not active", remedy))
    chosen = [by_name[name] for name in dict.fromkeys(wanted.storages) if name in by_name]
    if not wanted.storages:
        chosen = [s for s in usable(all_storages, wanted.content) if s.type in FILE_STORAGES]
        if not chosen:
            findings.append(Finding("content", wanted.content, f"is taken by no active storage of node {node.name}"))
    if findings:
        raise InvalidInput(findings)
    return [Store(storage, _directory(node, storage, wanted.content)) for storage in chosen]


def _directory(node: Node, storage: Storage, content: str) -> Path | None:
    if node.files is None:
        return None
    end = {"vztmpl": "tar.gz", "iso": "iso", "import": "raw"}[content]
    return node.files.volume_path(f"{storage.name}:{content}/any.{end}").parent


class Run:
    """What both ways have in common: the offer, and what is reported."""

    def __init__(
        self, node: Node, wanted: WantedImage, places: list[Store], fetcher: ImageFetcher, check_mode: bool
    ) -> None:
        self.result = Result()
        self._node = node
        self._wanted = wanted
        self._places = places
        self._fetcher = fetcher
        self._check_mode = check_mode

    def carry_out(self) -> None:
        raise NotImplementedError

    def _ask(self) -> Offer | ProvisionError:
        """The source's offer, or why there is none."""
        try:
            offer = self._fetcher.offer()
        except (ImageError, Timeout) as error:
            return error
        self.result.available_version = offer.release.version
        return offer

    def _step(self, step: str, **details: t.Any) -> None:
        self.result.plan.append({"step": step, **details})
        self.result.changed = True

    def _tell(self, place: Store, name: str, how: str, **more: t.Any) -> None:
        volid = place.volid(self._wanted.content, name)
        self.result.volids.append(volid)
        self.result.images.append({"storage": place.storage.name, "volid": volid, "how": how, **more})
