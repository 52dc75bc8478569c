# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how a file gets to a storage, by a path on the node or over the API.

On the node a storage is a directory, whose files can be read. Over the API it is known by the names and sizes of its
files alone; there PVE fetches what fits by its address and checksum, and the rest is uploaded.
"""

from __future__ import annotations

import functools
import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images import cache, checksums, placing
from ansible_collections.pve.provision.plugins.module_utils._images.http import shown
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._pve import privileges
from ansible_collections.pve.provision.plugins.module_utils._store.source import ImageSource, Offer
from ansible_collections.pve.provision.plugins.module_utils._store.storages import Store

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Files, Node

Step = dict[str, t.Any]

_ARRIVAL: t.Final = 30
"""How long (s) the size of an uploaded file may still be wrong: PVE copies it into place."""


@dataclass(frozen=True)
class File:
    """What is to lie on the storages under ``name``. ``entry`` is the verified file, once there is one; before that the
    ``offer`` tells what is known of it. ``built``: it is not the source's own file, but made of that."""

    name: str
    version: str
    family: str
    offer: Offer | None = None
    entry: cache.Entry | None = None
    built: bool = False
    closed: bool = False

    @property
    def record(self) -> cache.Record | None:
        return self.entry.record if self.entry else None

    @property
    def verified(self) -> cache.Record:
        """The record of a file that is there."""
        return t.cast("cache.Record", self.record)

    def published(self, content: str) -> Offer | None:
        """What the source says of the bytes, where they are its own: not of what is built or unpacked."""
        unpacked = content != "vztmpl" and self.offer is not None and bool(self.offer.artefact.compression)
        return None if self.built or unpacked else self.offer


class Places(t.Protocol):
    """How files get to storages."""

    def missing(self, store: Store, file: File) -> bool:
        """Whether a file has to be brought to a storage. Raises for what is in the way."""

    def step(self, store: Store, file: File) -> Step:
        """How the plan tells that."""

    def require(self, steps: t.Sequence[Step], file: File) -> None:
        """Raise InvalidInput with all that this login lacks for the steps."""

    def put(self, store: Store, file: File, obtain: t.Callable[[], cache.Entry], *, missing: bool) -> str:
        """Bring a file, which is obtained where that needs one here; how it got there."""


class Directories:
    """Storages that are directories of this machine."""

    def __init__(self, files: Files, stores: t.Sequence[Store], source: ImageSource) -> None:
        self._files = files
        self._stores = stores
        self._wanted = source.wanted

    def missing(self, store: Store, file: File) -> bool:
        entry, record = cache.lookup(store.folder / file.name), file.record
        if entry.state is cache.State.ABSENT or (file.entry and entry.path == file.entry.path):
            return entry.state is cache.State.ABSENT
        if record and cache.is_trustworthy(entry, record.sha256, reverify=self._wanted.reverify, note=False):
            return False
        if self._wanted.force:
            return True
        offer = file.published(store.content)
        digest = offer.artefact.digest if offer else None
        if entry.record is None and digest and checksums.hash_file(entry.path, [digest[0]])[digest[0]] == digest[1]:
            return False  # it is the very file; it will be adopted
        if entry.record and entry.record.family == file.family and cache.is_ours(entry):
            if not self.in_use(entry.path):
                return True
            raise VerificationError(
                f"{entry.path} was not verified as this run asks for, and a guest refers to it, so it is not replaced.",
                remedy="Take it out of the guest's drive, or set force: true.",
            )
        raise placing.in_the_way(entry, record or cache.Record(file.family, file.version, "", 0))

    def step(self, store: Store, file: File) -> Step:
        return {"step": "copy", "storage": store.name, "name": file.name}

    def require(self, steps: t.Sequence[Step], file: File) -> None:
        """On the node itself everything is allowed."""

    def put(self, store: Store, file: File, obtain: t.Callable[[], cache.Entry], *, missing: bool) -> str:
        source, target = obtain(), store.folder / file.name
        how = "kept"
        if target != source.path:
            force, reverify = self._wanted.force, self._wanted.reverify
            record = t.cast("cache.Record", source.record)
            (placed,) = placing.place(source.path, record, [target], force=force, replace=missing, reverify=reverify)
            how = placed.how
        if file.closed:
            placing.close(target)
        return how

    def in_use(self, path: Path) -> bool:
        """Whether a guest refers to a file of one of the storages."""
        volids = [store.volid(path.name) for store in self._stores if store.directory == path.parent]
        return any(re.search(rf"(?<![\w.-]){re.escape(volid)}(?![\w.-])", self._references) for volid in volids)

    @functools.cached_property
    def _references(self) -> str:
        return "\n".join(self._files.guest_configs())


class OverApi:
    """Storages that are elsewhere."""

    def __init__(self, node: Node, source: ImageSource) -> None:
        self._node = node
        self._source = source
        self._wanted = source.wanted
        self._known: dict[str, dict[str, int]] = {}

    def missing(self, store: Store, file: File) -> bool:
        volid = store.volid(file.name)
        self._known[store.name] = self._sizes(store)
        there = self.held(store, file)
        if there is None:
            return True
        offer = file.published(store.content)
        size = file.record.size if file.record else offer.artefact.size if offer else None
        fits = size in (None, there)
        if fits and (file.built or not self._wanted.force):
            return False
        if not self._wanted.force:
            raise VerificationError(
                f"{volid} has {there} bytes, the image has {size}; it is neither used nor overwritten.",
                remedy="Move it away, or set force: true to replace it.",
            )
        return True

    def step(self, store: Store, file: File) -> Step:
        url = {} if file.built or file.offer is None else {"url": shown(file.offer.artefact.url)}
        return {"step": self._how(store, file), **url, "storage": store.name, "name": file.name}

    def require(self, steps: t.Sequence[Step], file: File) -> None:
        name = self._node.name
        needs: list[privileges.Need] = []
        for step in steps:
            by_name = self._offered(file) and step["step"] == "download"
            needs += privileges.file_needs("appliance" if by_name else step["step"], step["storage"], name)
        privileges.require(self._node, needs)

    def held(self, store: Store, file: File) -> int | None:
        """The size of the file that lay under its name when it was looked for."""
        return self._known[store.name].get(store.volid(file.name))

    def put(self, store: Store, file: File, obtain: t.Callable[[], cache.Entry], *, missing: bool) -> str:
        if not missing:
            return "kept"
        how = self._how(store, file)
        timeout = self._wanted.timeout
        if how == "download" and file.offer:
            if self._node.downloads and self._offered(file):
                self._node.downloads.appliance(store.name, file.name, timeout=timeout)
                return how
            url, digest = file.offer.artefact.url, self._source.expect(file.offer).digest
            self._node.download_url(store.name, store.content, file.name, url, checksum=digest, timeout=timeout)
            return how
        source = obtain()
        size = t.cast("cache.Record", source.record).size
        there = self._sizes(store).get(store.volid(file.name))
        if there is not None and self.held(store, file) is not None:  # what takes its place is here, and verified
            self._node.free(store.volid(file.name))
        elif there == size:  # another run has brought it in the meantime
            return "kept"
        self._node.upload(store.name, store.content, str(source.path), file.name, timeout=timeout)
        self._check_arrived(store, file, size)
        return how

    def _how(self, store: Store, file: File) -> t.Literal["download", "upload"]:
        """PVE fetches what needs no unpacking and whose digest is known. It is not told an address with a login or a
        query, which it would write into its logs; and what it would replace is there until its successor is."""
        offer = file.published(store.content)
        if offer is None or self._wanted.source == "file" or self.held(store, file) is not None:
            return "upload"
        artefact = offer.artefact
        if artefact.assembled:
            return "upload"
        if self._offered(file):
            return "download"
        fits = artefact.digest is not None and artefact.signature is None and artefact.url == shown(artefact.url)
        return "download" if fits else "upload"

    def _offered(self, file: File) -> bool:
        """Whether PVE fetches a file by its name in its own index, and verifies it by that."""
        return file.offer is not None and file.offer.artefact.offered_by_pve and self._node.downloads is not None

    def _sizes(self, store: Store) -> dict[str, int]:
        return {volume.volid: volume.size for volume in self._node.volumes(store.name, store.content)}

    def _check_arrived(self, store: Store, file: File, size: int) -> None:
        """Another run that brings the same file may be writing it just now: then its size comes to be right."""
        arrived = poll(
            lambda: self._sizes(store).get(store.volid(file.name)),
            lambda found: found == size,
            timeout=_ARRIVAL,
            clock=self._node.clock,
        )
        if arrived != size:
            raise ImageError(
                f"{store.volid(file.name)} has {arrived} bytes after {size} were uploaded.",
                remedy="Look at that storage.",
            )
