# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the verified files of a declared image: fetched, unpacked, and kept in a directory."""

from __future__ import annotations

import dataclasses
import functools
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images import cache, checksums, download, placing, verify
from ansible_collections.pve.provision.plugins.module_utils._images.http import Retries, Timeouts, shown
from ansible_collections.pve.provision.plugins.module_utils._images.inspect import inspect_archive, inspect_disk
from ansible_collections.pve.provision.plugins.module_utils._images.releases import direct
from ansible_collections.pve.provision.plugins.module_utils._images.transfer import Request
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order
from ansible_collections.pve.provision.plugins.module_utils._io.compression import unpack
from ansible_collections.pve.provision.plugins.module_utils._io.progress import download_reporter
from ansible_collections.pve.provision.plugins.module_utils._store.contents import check_disk_inside, check_inside
from ansible_collections.pve.provision.plugins.module_utils._store.source import ImageSource, Offer


def newest(
    entries: t.Iterable[cache.Entry],
    good: t.Callable[[cache.Record], bool],
    *,
    reverify: bool = False,
    note: bool = True,
) -> cache.Entry | None:
    """The newest of some recorded files whose record is good and that is still as it was verified; ``note`` that it was
    looked at, but for a prediction."""
    fitting = [(entry.record, entry) for entry in entries if entry.record and good(entry.record)]
    for _record, entry in sorted(fitting, key=lambda pair: order.key(pair[0].version), reverse=True):
        if cache.is_trustworthy(entry, reverify=reverify, note=note):
            return entry
    return None


class ImageFetcher:
    """Fetches from a source what it offers."""

    def __init__(self, source: ImageSource) -> None:
        self.source = source

    def fetch(self, offer: Offer, target: Path, *, overwrite: bool) -> tuple[cache.Record, int]:
        """Bring the verified, unpacked and inspected file to ``target``: its record, and the bytes transferred."""
        before = download.identity(target)
        expected = self.source.expect(offer)
        wanted, artefact = self.source.wanted, offer.artefact
        unpacks = wanted.content != "vztmpl" and bool(artefact.compression)
        place = target.with_name(f".{target.name}.packed") if unpacks else target
        signed_by = [expected.signed_by]

        def check(path: Path) -> None:
            if expected.seal:
                signed_by[0] = expected.seal.check(path).key
            self._pin(path, expected)
            self._inspect(path, target, offer)
            placing.refuse_change(target, before)

        fetched = self._transfer(offer, place, expected, check, overwrite=overwrite or unpacks)
        sha256, size = fetched.digests["sha256"], fetched.size
        if unpacks:
            try:
                plain = unpack(place, target, check=lambda: placing.refuse_change(target, before))
            finally:
                place.unlink(missing_ok=True)
            sha256, size = plain.sha256, plain.size
        record = cache.Record(
            family=wanted.family,
            version=offer.release.version,
            sha256=sha256,
            size=size,
            origin=offer.origin,
            url=shown(artefact.url) if wanted.source != "file" else "",
            signed_by=signed_by[0],
        )
        return record, fetched.transferred

    def _transfer(
        self,
        offer: Offer,
        place: Path,
        expected: verify.Expected,
        check: t.Callable[[Path], None],
        *,
        overwrite: bool,
    ) -> download.Fetched:
        """The file as the source has it, judged before it gets its name."""
        wanted, artefact = self.source.wanted, offer.artefact
        if wanted.source == "file":
            return self._local(Path(wanted.path), place, expected, check)
        request = Request(
            urls=(artefact.url, *artefact.mirrors),
            target=place,
            digest=expected.digest,
            size=artefact.size,
            overwrite=overwrite,
            check=check,
            access=self.source.indexes.access,
        )
        progress = download_reporter(artefact.name)
        limits, retries = Timeouts(total=wanted.timeout), Retries(attempts=wanted.attempts)
        fetched = download.fetch(request, timeouts=limits, retries=retries, progress=progress)
        if not fetched.url:  # it lay there already, and was compared with its digest alone
            check(place)
        return fetched

    def _pin(self, path: Path, expected: verify.Expected) -> None:
        """Compare with the user's own checksum where its algorithm is another than the source's."""
        pinned = direct.parse_checksum(self.source.wanted.checksum) if self.source.wanted.checksum else None
        if pinned is None or pinned == expected.digest:
            return
        algorithm, digest = pinned
        found = checksums.hash_file(path, [algorithm])[algorithm]
        if found != digest:
            raise VerificationError(f"{path.name}: its {algorithm} is {found}, declared is {digest}.")

    def _inspect(self, path: Path, target: Path, offer: Offer) -> None:
        """Whether the bytes have the shape of what they are to be used as, and are the version they are called."""
        if self.source.wanted.content == "vztmpl":
            inspect_archive(path)
            check_inside(path, offer.artefact.name, offer.release, self.source.wanted.arch)
            return
        info = inspect_disk(path)
        end = target.name.rpartition(".")[2]
        if self.source.wanted.content == "import" and end in ("raw", "qcow2") and info.format != end:
            raise VerificationError(
                f"{path.name} is a {info.format} image, its name on the storage would say {end}.",
                remedy=f"Set filename to a name that ends with .{info.format}.",
            )
        required = self.source.policy is verify.Policy.REQUIRED
        check_disk_inside(path, offer.artefact.name, offer.release, required=required)

    @staticmethod
    def _local(
        source: Path, place: Path, expected: verify.Expected, check: t.Callable[[Path], None]
    ) -> download.Fetched:
        """A file of the user's: judged where it is, then placed."""
        if not source.is_file():
            raise InvalidInput([Finding("path", str(source), "is not a file on this machine")])
        verified = verify.verify_file(source, expected)
        check(source)
        record = cache.Record("", "", verified.digests["sha256"], source.stat().st_size)
        placing.copy(source, record, place)
        return download.Fetched(place, record.size, verified.digests)

    def prove(self, entry: cache.Entry, offer: Offer) -> cache.Record | None:
        """Verify now a cached file that nobody has verified as far as this run asks for: what its record is to say.

        None where it cannot be told from the file that lies there, because that was unpacked."""
        if self.source.wanted.content != "vztmpl" and offer.artefact.compression:
            return None
        verified = verify.verify_file(entry.path, self.source.expect(offer))
        self._inspect(entry.path, entry.path, offer)
        record = t.cast("cache.Record", entry.record)
        return dataclasses.replace(record, origin=offer.origin or record.origin, signed_by=verified.signed_by)


class VerifiedFiles:
    """A directory with the verified files of a declared image, which are fetched when they are not there."""

    def __init__(self, directory: Path, fetcher: ImageFetcher) -> None:
        self.directory = directory
        self._fetcher = fetcher
        self._source = fetcher.source

    @functools.cached_property
    def offer(self) -> Offer:
        """What the source has. Raises ImageError or Timeout when it cannot be asked."""
        return self._source.offer()

    def entries(self) -> list[cache.Entry]:
        return cache.recorded(self.directory, self._source.wanted.family)

    def good(self, record: cache.Record) -> bool:
        """Whether a file is what was asked for, and was verified as far as that asks."""
        return self._source.fits(record) and self._source.accepts(record)

    def standing(self, *, note: bool = True) -> cache.Entry | None:
        """The very file that the source offers, where it is here under its name."""
        there = [entry for entry in self.entries() if entry.path.name == self.offer.name]
        return newest(there, lambda record: bool(self.offer.origin) and self._is_offered(record), note=note)

    def _is_offered(self, record: cache.Record) -> bool:
        return self.offer.is_of(record) and self._source.accepts(record)

    def bring(self, *, overwrite: bool = True) -> tuple[cache.Entry, int]:
        """What the source offers, fetched unless it is here: the file, and the bytes transferred.

        The record comes when the lock is gone: without one the next run comes here again, and takes the lock away that
        a killed run has left."""
        target = self.directory / self.offer.name
        with placing.exclusive(target, self._source.wanted.timeout):
            there = self.standing()  # a run beside us may have been faster
            if there is not None:
                return there, 0
            record, transferred = self._fetcher.fetch(self.offer, target, overwrite=overwrite)
        record.write(target)
        return cache.lookup(target), transferred
