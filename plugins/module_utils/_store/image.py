# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: one declared image made present on storages, or absent from them.

On the node a record lies beside each file. Over the API a storage is known by names and sizes alone.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._images import cache, verify
from ansible_collections.pve.provision.plugins.module_utils._images.releases import direct
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order
from ansible_collections.pve.provision.plugins.module_utils._pve import privileges
from ansible_collections.pve.provision.plugins.module_utils._store.pipeline import Outcome, Pipeline
from ansible_collections.pve.provision.plugins.module_utils._store.place import Directories, File, OverApi, Step
from ansible_collections.pve.provision.plugins.module_utils._store.source import ImageSource
from ansible_collections.pve.provision.plugins.module_utils._store.storages import Store, stores
from ansible_collections.pve.provision.plugins.module_utils._store.verified import ImageFetcher
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import WantedImage

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

#: What the names of PVE's files of a content type end with.
ENDS: t.Final = {"vztmpl": r"tar\.gz|tar\.xz|tar\.zst|tar\.bz2", "iso": "iso|img", "import": "qcow2|raw|vmdk|ova"}


@dataclass
class ImageResult:
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


def provide(
    node: Node,
    wanted: WantedImage,
    indexes: Indexes,
    *,
    check_mode: bool = False,
    now: float,
) -> ImageResult:
    """Make an image match its declaration. ``now``: seconds since the epoch, for the age of snapshots."""
    _check(node, wanted)
    there = stores(node, wanted.content, wanted.storages)
    source = ImageSource(wanted, indexes, now)
    pipeline = Pipeline(node, there, ImageFetcher(source), check_mode=check_mode)
    result = ImageResult(source=wanted.source)
    result.capacity = {store.name: {"before": store.room()} for store in there}
    run = (_OnNode if pipeline.on_node else _OverApi)(node, pipeline, source, result, check_mode)
    if wanted.state == "absent":
        run.remove()
    else:
        run.provide()
    result.changed = bool(result.plan)
    for store in stores(node, wanted.content, wanted.storages) if result.changed and not check_mode else there:
        result.capacity[store.name]["after"] = store.room()
    result.warnings += [stale.told for stale in indexes.stale]
    return result


class _Run:
    """What bringing and removing have in common on the node and over the API."""

    def __init__(
        self, node: Node, pipeline: Pipeline, source: ImageSource, result: ImageResult, check_mode: bool
    ) -> None:
        self.result = result
        self._node = node
        self._pipeline = pipeline
        self._stores = pipeline.stores
        self._places = pipeline.places
        self._source = source
        self._wanted = pipeline.wanted
        self._check_mode = check_mode

    def provide(self) -> None:
        """Make the image present, and tell it."""
        result, outcome = self.result, self._pipeline.run()
        result.version = outcome.file.version
        result.available_version = outcome.available_version
        result.plan = outcome.plan
        result.transferred = outcome.transferred
        result.warnings += outcome.warnings
        for store, how in outcome.how:
            volid = store.volid(outcome.file.name)
            result.volids.append(volid)
            known = self._known(outcome, store)
            result.images.append({"storage": store.name, "volid": volid, "how": how, **known})

    def _known(self, outcome: Outcome, store: Store) -> dict[str, t.Any]:
        """What is known of the file on a storage."""
        raise NotImplementedError

    def remove(self) -> None:
        """Make the image absent."""
        raise NotImplementedError

    def _step(self, step: str, **details: t.Any) -> None:
        self.result.plan.append({"step": step, **details})


class _OnNode(_Run):
    """The storages are directories of this machine."""

    def provide(self) -> None:
        result, keep = self.result, self._wanted.keep
        before = {entry.path.name for entry in self._pipeline.shelf()}
        super().provide()
        if result.available_version is not None:
            result.update_available = order.key(result.version or "") < order.key(result.available_version)
        if keep is not None:
            self._prune(keep)
        names = {image["volid"].rpartition("/")[2] for image in result.images}
        result.before, result.after = sorted(before), sorted((before - self._gone()) | names)

    def _known(self, outcome: Outcome, store: Store) -> dict[str, t.Any]:
        record = outcome.file.record
        if record is None:
            return {}
        path = str(store.folder / outcome.file.name)
        return {"sha256": record.sha256, "signed_by": record.signed_by, "size": record.size, "path": path}

    def remove(self) -> None:
        cached = self._pipeline.shelf()
        fitting = [e for e in cached if e.record and self._wanted.covers(e.record.version)]
        if self._wanted.filename:
            fitting = [entry for entry in fitting if entry.path.name == self._wanted.filename]
        self._removed(cache.prune(fitting, 0, self._in_use, dry=self._check_mode))
        before = {entry.path.name for entry in cached}
        self.result.before, self.result.after = sorted(before), sorted(before - self._gone())

    def _gone(self) -> set[str]:
        return {Path(step["path"]).name for step in self.result.plan if step["step"] == "remove"}

    def _in_use(self, path: Path) -> bool:
        return t.cast(Directories, self._places).in_use(path)

    def _prune(self, keep: int) -> None:
        """Of each storage the surplus of what ``version`` covers."""
        for store in self._stores:
            entries = [
                entry
                for entry in cache.recorded(store.folder, self._wanted.family)
                if entry.record and self._wanted.covers(entry.record.version)
            ]
            new = self._check_mode and not any(
                entry.record and entry.record.version == self.result.version for entry in entries
            )
            self._removed(cache.prune(entries, keep - new, self._in_use, dry=self._check_mode))

    def _removed(self, pruned: cache.Pruned) -> None:
        for path in pruned.removed:
            self._step("remove", path=str(path))
        for path in pruned.in_use:
            self.result.warnings.append(f"{path} stays: a guest of the cluster still refers to it.")
        for path in pruned.changed:
            self.result.warnings.append(f"{path} stays: it is no longer the file that this collection put there.")
        self.result.freed += pruned.freed


class _OverApi(_Run):
    """The storages are elsewhere: known by names and sizes."""

    def provide(self) -> None:
        super().provide()
        self.result.after = list(self.result.volids)

    def _known(self, outcome: Outcome, store: Store) -> dict[str, t.Any]:
        size = self._held(store, outcome.file)
        if size is None:
            return {}
        volid = store.volid(outcome.file.name)
        self.result.before.append(volid)
        if any(step["storage"] == store.name for step in outcome.plan):
            return {}
        if self._source.policy is verify.Policy.REQUIRED:
            self.result.warnings.append(
                f"{volid} is known by its name and size alone, as no file can be read over the API: no signature was"
                " checked in this run."
            )
        return {"size": size}

    def _held(self, store: Store, file: File) -> int | None:
        return t.cast(OverApi, self._places).held(store, file)

    def remove(self) -> None:
        """Nothing tells who put a file there; one that cannot be the image is not removed."""
        offer = self._source.offer()
        self.result.version = self.result.available_version = offer.release.version
        for store in self._stores:
            volid = store.volid(offer.name)
            there = {v.volid: v for v in self._node.volumes(store.name, self._wanted.content)}.get(volid)
            if there is None:
                continue
            self.result.before.append(volid)
            published = File(offer.name, "", "", offer).published(self._wanted.content)
            if not self._wanted.force and published and published.artefact.size not in (None, there.size):
                self.result.after.append(volid)
                self.result.warnings.append(f"{volid} stays: it has another size than the image.")
                continue
            self._step("remove", volid=volid)
            privileges.require(self._node, privileges.file_needs("remove", store.name, self._node.name))
            self.result.freed += there.size
            if not self._check_mode:
                self._node.free(volid)


def _check(node: Node, wanted: WantedImage) -> None:
    """What can be said against a declaration without looking at anything."""
    findings: list[Finding] = []
    if wanted.checksum:
        direct.parse_checksum(wanted.checksum)
    if wanted.filename and ("/" in wanted.filename or wanted.filename.startswith(".")):
        findings.append(Finding("filename", wanted.filename, "is not a plain file name"))
    else:
        findings += _not_taken(wanted)
    if node.files is None:
        if wanted.keep is not None:
            problem = "needs the records beside the files, which only the node itself can read"
            findings.append(Finding("keep", wanted.keep, problem, "Run the task on the node, without api_host"))
        if wanted.reverify and not wanted.force:
            problem = "needs to read the files, which only the node itself can"
            remedy = "Run the task on the node, without api_host, or set force: true to have them replaced"
            findings.append(Finding("reverify", True, problem, remedy))
    for key in wanted.keys:
        if "PGP PUBLIC KEY" in key.public and not key.fingerprint:
            findings.append(
                Finding("keys", "a GPG key block", "says not which of its keys is trusted", "Add fingerprint")
            )
    if findings:
        raise InvalidInput(findings)


def _not_taken(wanted: WantedImage) -> t.Iterator[Finding]:
    """A file name that PVE would not list as what it is meant to be."""
    ends = ENDS[wanted.content]
    if wanted.filename and not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9._-]*\.({ends})", wanted.filename):
        words = ", ".join(f".{end}" for end in ends.replace("\\", "").split("|"))
        remedy = f"Use letters, digits and ._-, and one of the endings {words}"
        yield Finding("filename", wanted.filename, "is not a name that Proxmox VE accepts for this content", remedy)
