# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the container templates of PVE's own index, brought to a storage when a guest needs one.

PVE downloads and verifies that index itself, once a day or with ``pveam update``. On the node a template is fetched by
the address and the SHA-512 that the index has; over the API PVE is told to fetch it.
"""

from __future__ import annotations

import functools
import time
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._images.releases.pveam import NodesAppliances
from ansible_collections.pve.provision.plugins.module_utils._images.size import size_of
from ansible_collections.pve.provision.plugins.module_utils._model.appliances import Appliance
from ansible_collections.pve.provision.plugins.module_utils._model.template_name import newest_match
from ansible_collections.pve.provision.plugins.module_utils._model.timeouts import DownloadLimits
from ansible_collections.pve.provision.plugins.module_utils._pve.cache import cache_directory
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import usable
from ansible_collections.pve.provision.plugins.module_utils._store.pipeline import Outcome, Pipeline
from ansible_collections.pve.provision.plugins.module_utils._store.source import ImageSource
from ansible_collections.pve.provision.plugins.module_utils._store.storages import FILE_STORAGES, stores
from ansible_collections.pve.provision.plugins.module_utils._store.verified import ImageFetcher
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import WantedImage

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Storage

CONTENT: t.Final = "vztmpl"


class OsTemplates:
    """What the index of a node offers. It is read once, and only when a template is missing."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._sizes: dict[str, int | None] = {}

    @functools.cached_property
    def offered(self) -> list[Appliance]:
        return self._node.appliances()

    def find(self, wanted: str, arch: str | None) -> Appliance | None:
        """The newest template that a name means, by the rules that hold for those on storages."""
        file = newest_match(wanted, [appliance.file for appliance in self.offered], arch)
        return next((appliance for appliance in self.offered if appliance.file == file), None)

    def near(self, wanted: str) -> list[str]:
        """The packages whose names begin alike."""
        word = wanted.rpartition("/")[2].split("-")[0].split("_")[0]
        return sorted({each.package for each in self.offered if word and each.package.startswith(word)})

    def size(self, appliance: Appliance) -> int | None:
        """Bytes of a template, where its server tells; the index does not."""
        if appliance.url not in self._sizes:
            ask = self._node.downloads.size if self._node.downloads else size_of
            self._sizes[appliance.url] = ask(appliance.url)
        return self._sizes[appliance.url]


def roomiest_storage(storages: t.Iterable[Storage]) -> str | None:
    """The storage that a template goes to where none is declared: the one with the most room."""
    return next((storage.name for storage in usable(storages, CONTENT) if storage.type in FILE_STORAGES), None)


def bring(node: Node, appliance: Appliance, storage: str, **limits: t.Unpack[DownloadLimits]) -> Outcome:
    """Make a template present on a storage, within ``limits`` (``timeout``, ``attempts``). Nobody else fetches it there
    at the same time; what is damaged is not used."""
    wanted = WantedImage("pveam", CONTENT, appliance.file, appliance.arch, storages=(storage,), **limits)
    offered = NodesAppliances((appliance,), "none" if node.downloads else "checksum")
    source = ImageSource(wanted, Indexes(cache_directory(node)), time.time(), offered)
    return Pipeline(node, stores(node, CONTENT, wanted.storages), ImageFetcher(source)).run()
