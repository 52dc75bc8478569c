# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an image that guests are made from: predicted when they are planned, brought once.

It lies on a storage that takes such files, so that PVE itself can tell it by its volume. On a node where none takes
disk images it lies in a directory of root's, and is imported from its path.
"""

from __future__ import annotations

import functools
import time
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._images.http import shown
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._images.size import size_of
from ansible_collections.pve.provision.plugins.module_utils._pve.cache import cache_directory
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import usable
from ansible_collections.pve.provision.plugins.module_utils._store.local_image import make_directory
from ansible_collections.pve.provision.plugins.module_utils._store.pipeline import Outcome, Pipeline
from ansible_collections.pve.provision.plugins.module_utils._store.source import ImageSource
from ansible_collections.pve.provision.plugins.module_utils._store.storages import (
    FILE_STORAGES,
    OwnDirectory,
    Store,
    stores,
)
from ansible_collections.pve.provision.plugins.module_utils._store.verified import ImageFetcher
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import WantedImage

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import Artefact
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node


class GuestImage:
    """One image on its storage."""

    def __init__(self, node: Node, wanted: WantedImage, fetcher: ImageFetcher | None = None) -> None:
        self.node = node
        self.wanted = wanted
        self.store = _home(node, wanted)
        self._indexes = Indexes(cache_directory(node))
        self._fetcher = fetcher or ImageFetcher(ImageSource(wanted, self._indexes, time.time()))

    @functools.cached_property
    def predicted(self) -> Outcome:
        """What a run will do. The source may be asked; nothing is written."""
        return Pipeline(self.node, [self.store], self._fetcher, check_mode=True, check_rights=False).run()

    @property
    def warnings(self) -> list[str]:
        return [*self.predicted.warnings, *(stale.told for stale in self._indexes.stale)]

    @property
    def volid(self) -> str:
        """What a disk is imported from: a volume, or the path of a file that lies on no storage."""
        return self.store.volid(self.predicted.file.name)

    @property
    def digest(self) -> str:
        """What tells these bytes from those of another build: what the source says, or what was verified."""
        file = self.predicted.file
        record = file.record
        told = file.offer.origin if file.offer else record.origin or record.sha256 if record else ""
        return told or f"version:{file.version}"

    @functools.cached_property
    def size(self) -> int | None:
        """Bytes that will be fetched, where their server tells."""
        artefact = self._artefact
        if artefact is None or artefact.size:
            return artefact.size if artefact else None
        return self.node.downloads.size(artefact.url) if self.node.downloads else size_of(artefact.url)

    @property
    def url(self) -> str:
        return shown(self._artefact.url) if self._artefact else ""

    @property
    def way(self) -> t.Literal["download", "upload"]:
        """How it gets to its storage."""
        uploaded = any(step["step"] == "upload" for step in self.predicted.plan)
        return "upload" if uploaded else "download"

    @property
    def _artefact(self) -> Artefact | None:
        offer = self.predicted.file.offer
        return offer.artefact if offer else None

    def bring(self, node: Node) -> list[str]:
        """Make it present by way of a node that may be written to; warnings."""
        if isinstance(self.store, OwnDirectory):
            make_directory(self.store.folder)
        return Pipeline(node, [self.store], self._fetcher).run().warnings


def _home(node: Node, wanted: WantedImage) -> Store:
    """Where an image is kept: where the user says, else on the largest storage that takes such files, which stays the
    same one from run to run, whatever room there is."""
    if wanted.storages:
        return stores(node, wanted.content, wanted.storages)[0]
    storages = [storage for storage in usable(node.storages(), wanted.content) if storage.type in FILE_STORAGES]
    if storages or node.files is None or wanted.content != "import":
        largest = sorted(storages, key=lambda storage: (-(storage.total or 0), storage.name))
        return stores(node, wanted.content, [storage.name for storage in largest[:1]])[0]
    return OwnDirectory.at(cache_directory(node) / "images", wanted.content)
