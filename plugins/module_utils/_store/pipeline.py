# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: one image brought to storages: resolved, fetched verified, built, placed.

source -> verified file -> built (or as it is) -> placed. Each stage is an object: :class:`ImageSource` knows what there
is and what its file has to be, :class:`VerifiedFiles` keep it, a :class:`Build` makes something of it, and
:class:`Places` bring it to storages, by a path on the node or over the API.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Degradation,
    ImageError,
    Timeout,
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._images import cache, placing
from ansible_collections.pve.provision.plugins.module_utils._images.http import shown
from ansible_collections.pve.provision.plugins.module_utils._store.place import Directories, File, OverApi, Places, Step
from ansible_collections.pve.provision.plugins.module_utils._store.source import Offer
from ansible_collections.pve.provision.plugins.module_utils._store.storages import Store
from ansible_collections.pve.provision.plugins.module_utils._store.verified import ImageFetcher, VerifiedFiles, newest

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node


class Build(t.Protocol):
    """What is made of a verified file. ``family``: what the versions of what is built have in common, in records.

    ``closed``: what is built holds secrets, and nobody but root may read it."""

    @property
    def family(self) -> str: ...

    @property
    def closed(self) -> bool: ...

    def name(self, version: str) -> str:
        """What is built of a version is called so."""

    def build(self, source: Path, offer: Offer, target: Path) -> cache.Record:
        """Make it, checked, and tell what it is."""


@dataclass
class Outcome:
    """What a run did, or in check mode would have done. ``how``: for each storage, how the file got there."""

    file: File
    how: list[tuple[Store, str]] = field(default_factory=list)
    plan: list[Step] = field(default_factory=list)
    transferred: int = 0
    available_version: str | None = None
    warnings: list[str] = field(default_factory=list)


def instead(error: ImageError | Timeout, there: cache.Entry) -> Degradation:
    """The warning that an older file has to do."""
    name = there.path.name
    words = f"The source could not be asked: {error.message} {name}, verified before, is used."
    return Degradation("the newest image of its source", error.message, f"{name}, verified before", words=words)


class Pipeline:
    """Brings one image to its storages.

    What is built is built in ``workshop``, out of the verified file that is kept there, and stays there over the API.
    What is not, is fetched to the first storage; over the API into a directory of this run, where PVE does not fetch
    it itself. Without ``check_rights`` somebody else asks whether this login may do it.
    """

    def __init__(
        self,
        node: Node,
        stores: t.Sequence[Store],
        fetcher: ImageFetcher,
        *,
        build: Build | None = None,
        workshop: Path | None = None,
        check_mode: bool = False,
        check_rights: bool = True,
    ) -> None:
        self.wanted = fetcher.source.wanted
        self.stores = stores
        self.on_node = node.files is not None
        source = fetcher.source
        self.places: Places = Directories(node.files, stores, source) if node.files else OverApi(node, source)
        self._fetcher = fetcher
        self._source = fetcher.source
        self._build = build
        self._workshop = workshop
        self._check_mode = check_mode
        self._check_rights = check_rights
        self._outcome = Outcome(File("", "", ""))

    # -- deciding ------------------------------------------------------------------------------------------------------
    def shelf(self) -> list[cache.Entry]:
        """Files of this kind whose bytes can be looked at from here."""
        directories = [store.folder for store in self.stores] if self.on_node else [self._workshop]
        family = self._build.family if self._build else self.wanted.family
        return [entry for directory in directories if directory for entry in cache.recorded(directory, family)]

    def _newest(self, good: t.Callable[[cache.Record], bool]) -> cache.Entry | None:
        def fits(record: cache.Record) -> bool:
            return good(record) and self._source.accepts(record)

        return newest(self.shelf(), fits, reverify=self.wanted.reverify, note=not self._check_mode)

    def _choose(self, files: VerifiedFiles) -> File:
        """What it is to be, and the file where there is one."""
        wanted = self.wanted
        there = self._newest(self._source.fits)
        present = wanted.state == "present"
        if there and present and wanted.exact:
            self._outcome.available_version = wanted.version
            return self._file(there)
        try:
            offer = files.offer
        except (ImageError, Timeout) as error:
            return self._fall_back(error, there)
        self._outcome.available_version = offer.release.version
        if not (there and present):
            there = self._same(offer)
        return self._file(there) if there else self._offered(offer)

    def _same(self, offer: Offer) -> cache.Entry | None:
        """The file that is what the source offers. One that was not verified enough is verified now, where it can."""
        there = self._newest(offer.is_of)
        if there or self._build:
            return there
        reverify, note = self.wanted.reverify, not self._check_mode
        found = newest(self.shelf(), offer.is_of, reverify=reverify, note=note)
        proven = self._fetcher.prove(found, offer) if found else None
        if found is None or proven is None:
            return None
        return dataclasses.replace(found, record=proven if self._check_mode else proven.write(found.path))

    def _fall_back(self, error: ImageError | Timeout, there: cache.Entry | None) -> File:
        """What is used when the source cannot be asked; raises the error when nothing may be."""
        down = self.wanted.offline_ok and not isinstance(error, VerificationError)
        if there is None or not (down or self.wanted.state == "present"):
            raise error
        self._outcome.warnings.append(instead(error, there))
        return self._file(there)

    def _file(self, entry: cache.Entry) -> File:
        """A file that is there, under its own name or the declared one."""
        record = t.cast("cache.Record", entry.record)
        name = self._build.name(record.version) if self._build else self.wanted.filename or entry.path.name
        return self._named(name, record.version, entry=entry)

    def _offered(self, offer: Offer) -> File:
        """What is still to be made of what the source has."""
        version = offer.release.version
        name = self._build.name(version) if self._build else offer.name
        return self._named(name, version, offer=offer)

    def _named(self, name: str, version: str, **known: t.Any) -> File:
        build = self._build
        family = build.family if build else self.wanted.family
        return File(name, version, family, built=build is not None, closed=build is not None and build.closed, **known)

    # -- acting --------------------------------------------------------------------------------------------------------
    def run(self) -> Outcome:
        """Make the image present on every storage; in check mode tell what that takes."""
        outcome = self._outcome
        with contextlib.ExitStack() as stack:
            files = VerifiedFiles(self._folder(stack), self._fetcher)
            file = self._choose(files)
            making: list[Step] = []
            if file.entry is None and self._build:
                file, making = self._made(file, files, stack)
            missing = {store.name: self.places.missing(store, file) for store in self.stores}
            placing = [self.places.step(store, file) for store in self.stores if missing[store.name]]
            if file.offer and not file.built and file.entry is None:
                placing = self._first_fetched(file, placing)
                if placing:
                    self._source.expect(file.offer)  # what is signed and listed is judged before anything is fetched
            if self._check_rights:
                self.places.require(placing, file)
            outcome.file, outcome.plan = file, [*making, *placing] if placing else []
            self._place_on_storages(file, files, missing)
        return outcome

    def _folder(self, stack: contextlib.ExitStack) -> Path:
        if self._workshop:
            return self._workshop
        if self.on_node:
            return self.stores[0].folder
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pve-provision-")))

    def _first_fetched(self, file: File, placing: list[Step]) -> list[Step]:
        """On the node the first storage gets the download itself, and the others copies."""
        if not self.on_node:
            return placing
        first, offer = self.stores[0].name, t.cast("Offer", file.offer)
        download = {"step": "download", "url": shown(offer.artefact.url), "storage": first, "name": file.name}
        return [download, *(step for step in placing if step["storage"] != first)]

    def _place_on_storages(self, file: File, files: VerifiedFiles, missing: t.Mapping[str, bool]) -> None:
        brought: list[cache.Entry] = [file.entry] if file.entry else []

        def obtain() -> cache.Entry:
            if not brought:
                entry, self._outcome.transferred = files.bring(overwrite=missing[self.stores[0].name])
                brought.append(entry)
            return brought[0]

        downloads = self.on_node and file.entry is None
        for number, store in enumerate(self.stores):
            if self._check_mode:
                step = self.places.step(store, file) if missing[store.name] else {"step": "kept"}
                how = str(step["step"])
            else:
                how = self.places.put(store, file, obtain, missing=missing[store.name])
            self._outcome.how.append((store, "download" if downloads and number == 0 else how))
        if brought:
            self._outcome.file = dataclasses.replace(file, entry=brought[0])

    # -- building ------------------------------------------------------------------------------------------------------
    def _made(self, file: File, files: VerifiedFiles, stack: contextlib.ExitStack) -> tuple[File, list[Step]]:
        """The file made, and the steps of that. On the node it lies in the workshop as long as the stack lasts."""
        offer, there = files.offer, files.standing(note=not self._check_mode)
        url = {"url": shown(offer.artefact.url), "name": offer.name}
        steps: list[Step] = [] if there else [{"step": "download", **url}]
        steps.append({"step": "build", "name": file.name})
        if self._check_mode:
            if there is None:
                self._source.expect(offer)
            return file, steps
        try:
            source, self._outcome.transferred = files.bring()
            made = self._built(t.cast("Build", self._build), source, offer, files.directory / file.name, stack)
        except (ImageError, Timeout) as error:
            return self._fall_back(error, self._newest(self._source.fits)), []
        return dataclasses.replace(file, entry=made), steps

    def _built(
        self, build: Build, source: cache.Entry, offer: Offer, target: Path, stack: contextlib.ExitStack
    ) -> cache.Entry:
        stack.enter_context(placing.exclusive(target, self.wanted.timeout))
        there = self._newest(offer.is_of)  # a run beside us may have been faster
        if there is not None:
            return there
        if self.on_node:
            stack.callback(cache.discard, target)
        t.cast("cache.Record", source.record).write(source.path)  # it is in use
        build.build(source.path, offer, target).write(target)
        return cache.lookup(target)
