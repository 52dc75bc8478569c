# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: disk images as verified files of the machine this runs on, to be worked on in copies.

That is the node, or over the API the controller. They lie below ``/var/cache`` of the node, or in the user's cache.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, Timeout, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images import cache
from ansible_collections.pve.provision.plugins.module_utils._images.http import Access, shown
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._images.size import size_of
from ansible_collections.pve.provision.plugins.module_utils._io.private import private_directory
from ansible_collections.pve.provision.plugins.module_utils._pve.cache import cache_directory
from ansible_collections.pve.provision.plugins.module_utils._store.source import ImageSource
from ansible_collections.pve.provision.plugins.module_utils._store.verified import ImageFetcher, VerifiedFiles, newest
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import WantedImage

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

#: How many verified files are kept whatever their age, and for how many seconds the others are.
KEEP: t.Final = 4
KEEP_FOR: t.Final = 7 * 86400


@dataclass(frozen=True)
class PredictedDisk:
    """The disk image that a run will use. ``url`` and ``size`` are those of what is fetched; empty: it is here."""

    name: str
    version: str
    url: str = ""
    size: int | None = None


@dataclass(frozen=True)
class Disk:
    """A verified disk image, unpacked, on the machine this runs on. It is not to be changed: work on a copy."""

    path: Path
    version: str
    digest: str
    signed_by: str = ""
    transferred: int = 0
    warnings: list[str] = field(default_factory=list)


class LocalImage:
    """A declared image in a directory of this machine. ``folder`` is its name in the cache."""

    def __init__(self, node: Node, wanted: WantedImage, folder: str, *, ca_path: str | None = None) -> None:
        self._wanted = wanted
        self._directory = cache_directory(node) / folder
        self._indexes = Indexes(cache_directory(node), wanted.index_max_age, Access(ca_path=ca_path))
        self._source = ImageSource(wanted, self._indexes, time.time())
        self._files = VerifiedFiles(self._directory, ImageFetcher(self._source))

    def predict(self) -> PredictedDisk:
        """Which image a run will use, and whether it fetches it. The source may be asked; nothing is written."""
        files = self._files
        there = newest(files.entries(), files.good, note=False)
        if there is None or self._wanted.state == "latest":
            try:
                there = files.standing(note=False)
            except (ImageError, Timeout) as error:
                if there is None or not self._will_do(error):
                    raise
        if there is not None:
            return PredictedDisk(there.path.name, t.cast("cache.Record", there.record).version)
        offer = files.offer
        self._source.expect(offer)  # what is signed and listed is judged before anything is fetched
        url = offer.artefact.url
        return PredictedDisk(offer.name, offer.release.version, shown(url), offer.artefact.size or size_of(url))

    def here(self, expected: PredictedDisk) -> Path | None:
        """The file of a predicted image; None where it is to be fetched."""
        return None if expected.url else self._directory / expected.name

    def ensure(self) -> Disk:
        """The image, fetched where it is not here."""
        make_directory(self._directory)
        files, warnings, transferred = self._files, list[str](), 0
        there = newest(files.entries(), files.good)
        if there is None or self._wanted.state == "latest":
            try:
                there, transferred = files.bring()
            except (ImageError, Timeout) as error:
                if there is None or not self._will_do(error):
                    raise
                words = f"The source could not be asked: {error.message} {there.path.name}, verified before, is used."
                warnings.append(words)
        record = t.cast("cache.Record", there.record)
        record.write(there.path)
        tidy(self._directory)
        warnings += [stale.told for stale in self._indexes.stale]
        return Disk(there.path, record.version, record.sha256, record.signed_by, transferred, warnings)

    def _will_do(self, error: Exception) -> bool:
        """Whether what is here will do when the source cannot be asked."""
        return self._wanted.offline_ok and not isinstance(error, VerificationError)


def tidy(directory: Path) -> None:
    """Remove what nobody has used for long."""
    entries = cache.recorded(directory)
    used = sorted(entries, key=lambda entry: -t.cast("cache.Record", entry.record).verified)
    for entry in used[KEEP:]:
        if time.time() - t.cast("cache.Record", entry.record).verified > KEEP_FOR:
            cache.remove(entry)


def make_directory(directory: Path) -> None:
    """For this user alone: what lies there may hold secrets."""
    try:
        private_directory(directory)
    except OSError as error:
        raise ImageError(
            f"{error.filename or directory} cannot be used: {error.strerror}.",
            remedy="Run as the user it belongs to; over the API set XDG_CACHE_HOME to a place of yours.",
        ) from error
