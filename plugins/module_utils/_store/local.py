# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an image on storages that are directories of this node: one download, verified copies."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    ProvisionError,
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._images import cache, checksums
from ansible_collections.pve.provision.plugins.module_utils._images.http import shown
from ansible_collections.pve.provision.plugins.module_utils._images.releases import direct
from ansible_collections.pve.provision.plugins.module_utils._images.releases import versions as order
from ansible_collections.pve.provision.plugins.module_utils._pve.node import required
from ansible_collections.pve.provision.plugins.module_utils._store.run import Run, Store
from ansible_collections.pve.provision.plugins.module_utils._store.source import Offer


class OnNode(Run):
    """The storages are directories of this machine."""

    def carry_out(self) -> None:
        wanted, result = self._wanted, self.result
        cached = [
            entry for place in self._places for entry in cache.recorded(t.cast("Path", place.directory), wanted.family)
        ]
        result.before = sorted(entry.path.name for entry in cached)
        if wanted.state == "absent":
            self._remove(cached)
        else:
            self._provide(cached)
        gone = {Path(step["path"]).name for step in result.plan if step["step"] == "remove"}
        names = {image["volid"].rpartition("/")[2] for image in result.images}
        result.after = sorted((set(result.before) - gone) | names)
        result.before = sorted(set(result.before))

    def _good(self, entries: t.Sequence[cache.Entry]) -> cache.Entry | None:
        """The newest cached file that is what was asked for, was verified as far as that asks, and can be trusted."""
        pin = ":".join(direct.parse_checksum(self._wanted.checksum)) if self._wanted.checksum else ""
        fitting = [
            entry
            for entry in entries
            if (record := entry.record)
            and self._wanted.covers(record.version)
            and pin in ("", record.origin)
            and self._fetcher.accepts(record)
        ]
        for entry in sorted(fitting, key=lambda e: order.key(t.cast("cache.Record", e.record).version), reverse=True):
            if self._is_good(entry):
                return entry
        return None

    def _is_good(self, entry: cache.Entry) -> bool:
        return cache.is_trustworthy(entry, reverify=self._wanted.reverify, note=not self._check_mode)

    def _provide(self, cached: t.Sequence[cache.Entry]) -> None:
        result, wanted = self.result, self._wanted
        asked = self._ask()
        there = self._good(cached)
        if isinstance(asked, ProvisionError):
            if there is None or (wanted.state == "latest" and not wanted.offline_ok):
                raise asked
            result.warnings.append(
                f"The source could not be asked: {asked.message} {there.path.name}, verified before, is used."
            )
            self._spread(t.cast("cache.Record", there.record), there.path)
        else:
            if wanted.state == "latest" or there is None:
                there = self._same(cached, asked)
            if there is not None:
                self._spread(t.cast("cache.Record", there.record), there.path)
            else:
                self._bring(asked)
            result.update_available = order.key(result.version or "") < order.key(asked.release.version)
        if wanted.keep is not None:
            self._prune(wanted.keep)

    def _same(self, cached: t.Sequence[cache.Entry], offer: Offer) -> cache.Entry | None:
        """The cached file that is what the source offers; one that was not verified enough is verified now."""
        for entry in cached:
            record = t.cast("cache.Record", entry.record)
            same = record.version == offer.release.version and offer.origin in ("", record.origin)
            if not same or not self._is_good(entry):
                continue
            if self._fetcher.accepts(record):
                return entry
            proven = self._fetcher.prove(entry, offer)
            if proven is not None:
                if not self._check_mode:
                    proven.write(entry.path)
                return dataclasses.replace(entry, record=proven)
        return None

    def _bring(self, offer: Offer) -> None:
        """Download to the first storage, copy to the others."""
        first = t.cast("Path", self._places[0].directory) / offer.name
        self._step("download", url=shown(offer.artefact.url), storage=self._places[0].storage.name, name=offer.name)
        replace = {
            place: self._may_replace(t.cast("Path", place.directory) / offer.name, offer) for place in self._places
        }
        if self._check_mode:
            self._fetcher.expect(offer)  # what the source signs and lists is judged before anything is fetched
            self.result.version = offer.release.version
            for number, place in enumerate(self._places):
                if number:
                    self._step("copy", storage=place.storage.name, name=offer.name)
                self._tell(place, offer.name, "download" if number == 0 else "copy")
            return
        with cache.exclusive(first, self._wanted.timeout):
            entry = cache.lookup(first)
            record = self._brought_beside_us(entry, offer)
            if record is None:
                record, transferred = self._fetcher.fetch(offer, first, overwrite=replace[self._places[0]])
                record = record.write(first)
                self.result.transferred = transferred
        self._spread(record, first, replace)

    def _brought_beside_us(self, entry: cache.Entry, offer: Offer) -> cache.Record | None:
        """The record of what another run has brought meanwhile."""
        record = entry.record
        if record is None or not offer.origin or record.origin != offer.origin or not self._fetcher.accepts(record):
            return None
        return record if cache.is_trustworthy(entry) else None

    def _may_replace(self, target: Path, offer: Offer) -> bool:
        """Whether a file in the way may go: by force, or as our own, byte by byte, and not in use. Else it is an
        error."""
        entry = cache.lookup(target)
        if entry.state is cache.State.ABSENT or self._wanted.force:
            return True
        if entry.record is None:
            digest = offer.artefact.digest
            plain = self._wanted.content == "vztmpl" or not offer.artefact.compression
            if digest and plain and checksums.hash_file(target, [digest[0]])[digest[0]] == digest[1]:
                return False  # it is the very file; it will be adopted
        elif entry.record.family == self._wanted.family and cache.is_ours(entry):
            if not self._in_use(target):
                return True
            raise VerificationError(
                f"{target} was not verified as this run asks for, and a guest refers to it, so it is not replaced.",
                remedy="Take it out of the guest's drive, or set force: true.",
            )
        wanted = cache.Record(self._wanted.family, offer.release.version, "", 0)
        raise cache.in_the_way(entry, wanted)

    def _spread(self, record: cache.Record, source: Path, replace: t.Mapping[Store, bool] | None = None) -> None:
        """Bring a good file to every storage under its name there, and tell where it is."""
        name = self._wanted.filename or source.name
        self.result.version = record.version
        for place in self._places:
            target = t.cast("Path", place.directory) / name
            known = {"sha256": record.sha256, "signed_by": record.signed_by, "size": record.size, "path": str(target)}
            force = self._wanted.force or bool(replace and replace[place])
            entry = cache.lookup(target)
            reverify = self._wanted.reverify
            if target != source and not cache.is_trustworthy(entry, record.sha256, reverify=reverify, note=False):
                if entry.state is not cache.State.ABSENT and not force:
                    raise cache.in_the_way(entry, record)
                self._step("copy", storage=place.storage.name, name=name)
            how = "kept"
            if not self._check_mode and target != source:
                how = self._place(source, record, target, replace=bool(replace and replace[place]))
            elif self.result.plan and target == source and self.result.plan[0]["step"] == "download":
                how = "download"
            self._tell(place, name, how, **known)

    def _place(self, source: Path, record: cache.Record, target: Path, *, replace: bool) -> str:
        force, reverify = self._wanted.force, self._wanted.reverify
        return cache.place(source, record, [target], force=force, replace=replace, reverify=reverify)[0].how

    # -- removing ------------------------------------------------------------------------------------------------------
    @functools.cached_property
    def _references(self) -> str:
        return "\n".join(required(self._node.files, "The configs of all guests are read only").guest_configs())

    def _in_use(self, path: Path) -> bool:
        for place in self._places:
            volid = place.volid(self._wanted.content, path.name)
            if place.directory == path.parent and re.search(
                rf"(?<![\w.-]){re.escape(volid)}(?![\w.-])", self._references
            ):
                return True
        return False

    def _prune(self, keep: int) -> None:
        """Of each storage the surplus of what ``version`` covers."""
        for place in self._places:
            entries = [
                entry
                for entry in cache.recorded(t.cast("Path", place.directory), self._wanted.family)
                if entry.record and self._wanted.covers(entry.record.version)
            ]
            new = self._check_mode and not any(
                entry.record and entry.record.version == self.result.version for entry in entries
            )
            self._removed(cache.prune(entries, keep - new, self._in_use, dry=self._check_mode))

    def _remove(self, cached: t.Sequence[cache.Entry]) -> None:
        fitting = [e for e in cached if e.record and self._wanted.covers(e.record.version)]
        if self._wanted.filename:
            fitting = [entry for entry in fitting if entry.path.name == self._wanted.filename]
        self._removed(cache.prune(fitting, 0, self._in_use, dry=self._check_mode))

    def _removed(self, pruned: cache.Pruned) -> None:
        for path in pruned.removed:
            self._step("remove", path=str(path))
        for path in pruned.in_use:
            self.result.warnings.append(f"{path} stays: a guest of the cluster still refers to it.")
        for path in pruned.changed:
            self.result.warnings.append(f"{path} stays: it is no longer the file that this collection put there.")
        self.result.freed += pruned.freed
