# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an OCI image on a storage, as the archive that Proxmox VE makes containers from.

Proxmox VE can pull an image by a tag alone, and compares what it got with nothing. So the parts of an image are fetched
here by their digests, and put together to the archive that Proxmox VE would have made. Its name on the storage has the
digest in it: the same image is fetched once. Beside it is noted what it was called, so that it is found again by that
name when its registry cannot be asked.
"""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
import time
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Degradation,
    ImageError,
    Timeout,
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._images import cache, download, placing
from ansible_collections.pve.provision.plugins.module_utils._images.checksums import hash_file
from ansible_collections.pve.provision.plugins.module_utils._images.http import Retries, Timeouts
from ansible_collections.pve.provision.plugins.module_utils._images.oci.archive import (
    archive_size,
    parts_of,
    read_archive,
    write_archive,
)
from ansible_collections.pve.provision.plugins.module_utils._images.oci.manifest import read_config, read_manifest
from ansible_collections.pve.provision.plugins.module_utils._images.oci.registry import (
    Login,
    NotGiven,
    Registry,
    ResolvedImage,
)
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import Artefact, Key, Release, Verify
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._images.transfer import Request
from ansible_collections.pve.provision.plugins.module_utils._io.files import atomic_file, write_atomically
from ansible_collections.pve.provision.plugins.module_utils._io.progress import download_reporter
from ansible_collections.pve.provision.plugins.module_utils._model.oci import PLATFORMS, OciRecord, OciReference
from ansible_collections.pve.provision.plugins.module_utils._model.timeouts import DownloadLimits
from ansible_collections.pve.provision.plugins.module_utils._pve.cache import cache_directory
from ansible_collections.pve.provision.plugins.module_utils._store.guest_image import GuestImage
from ansible_collections.pve.provision.plugins.module_utils._store.local_image import make_directory
from ansible_collections.pve.provision.plugins.module_utils._store.source import ImageSource, Offer
from ansible_collections.pve.provision.plugins.module_utils._store.verified import ImageFetcher
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import WantedImage

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

CONTENT: t.Final = "vztmpl"
LAST_WORD: t.Final = (NotGiven, VerificationError)
"""What is wrong about an image in a way that no image that was fetched before mends."""
_FOLDER: t.Final = "oci"
_SCHEME: t.Final = "oci://"
_LONGEST_NAME: t.Final = 120


class OciSource:
    """The registry of an image, which is asked once. ``find_kept`` finds what there is without it; ``instead`` is told
    where that has to do."""

    name = "oci"
    default = ""
    keys: tuple[Key, ...] | None = None
    verify: Verify = "checksum"

    def __init__(
        self,
        reference: OciReference,
        arch: str,
        login: Login | None,
        find_kept: t.Callable[[], ResolvedImage | None],
    ) -> None:
        self.registry = Registry(reference, login)
        self.instead: Degradation | None = None
        self._arch = arch
        self._find_kept = find_kept

    @functools.cached_property
    def image(self) -> ResolvedImage:
        """What the name means now, or did where its registry does not say. Raises ImageError, VerificationError or
        Timeout."""
        try:
            return self.registry.resolve(PLATFORMS[self._arch])
        except LAST_WORD:
            raise
        except (ImageError, Timeout) as error:
            kept = self._find_kept()
            if kept is None:
                raise
            what, instead = f"what {self.registry.reference} means now", f"{file_name(kept)}, verified before,"
            self.instead = Degradation(what, error.message, instead)
            return kept

    def versions(self) -> tuple[str, ...]:
        return ()

    def resolve(self, wanted: str = "", arch: str = "amd64") -> Release:
        image = self.image
        algorithm, _colon, digest = image.contents.partition(":")
        artefact = Artefact(
            name=file_name(image),
            url=f"{_SCHEME}{record_of(image).reference}",
            kind="rootfs",
            arch=arch,
            size=archive_size(image.manifest),
            digest=(algorithm, digest),
            assembled=True,
        )
        return Release(self.name, image.contents, (artefact,))


def file_name(image: ResolvedImage) -> str:
    """The name of an image on a storage, as Proxmox VE accepts it."""
    reference = image.reference
    named = re.sub(r"[^a-zA-Z0-9_.-]", "_", f"{reference.registry}_{reference.name}")[:_LONGEST_NAME]
    return f"oci_{named}_{image.contents.partition(':')[2][:32]}.tar"


def record_of(image: ResolvedImage) -> OciRecord:
    """What a container that is made from an image is to remember of it."""
    reference = image.reference
    return OciRecord(OciReference(reference.registry, reference.name, reference.tag, image.digest), image.contents)


class OciFetcher(ImageFetcher):
    """Fetches the parts of an image, and puts them together."""

    def __init__(self, source: ImageSource, oci: OciSource, workshop: Path) -> None:
        super().__init__(source)
        self._oci = oci
        self._workshop = workshop

    def fetch(self, offer: Offer, target: Path, *, overwrite: bool) -> tuple[cache.Record, int]:
        """Bring the archive to ``target``. Parts of a run that fails stay, each whole, until one succeeds."""
        wanted, image = self.source.wanted, self._oci.image
        folder = self._workshop / image.contents.partition(":")[2][:32]
        for directory in (self._workshop, folder):
            make_directory(directory)
        transferred = self._gather(image, folder)
        parts = {blob.digest: folder / blob.hexadecimal for blob in parts_of(image.manifest)}
        archive = folder / "archive.tar"
        with _room(archive), atomic_file(archive) as file:
            write_archive(file, image.manifest, parts)
        sha256, size = hash_file(archive)["sha256"], archive.stat().st_size
        if size != offer.artefact.size:
            raise VerificationError(f"{archive} has {size} bytes, it was to have {offer.artefact.size}.")
        record = cache.Record(wanted.family, offer.release.version, sha256, size, offer.origin, offer.artefact.url)
        placing.place(archive, record, [target], replace=True)
        shutil.rmtree(folder, ignore_errors=True)
        return record, transferred

    def _gather(self, image: ResolvedImage, folder: Path) -> int:
        """Have all parts in a folder, each compared with its digest; how many bytes came over the network."""
        write_atomically(folder / image.manifest.config.hexadecimal, image.config_text)
        transferred = 0
        for blob in parts_of(image.manifest)[1:]:
            url, access = self._oci.registry.blob(blob)
            algorithm, _colon, digest = blob.digest.partition(":")
            request = Request(
                (url,), folder / blob.hexadecimal, (algorithm, digest), blob.size, overwrite=True, access=access
            )
            wanted = self.source.wanted
            timeouts, retries = Timeouts(total=wanted.timeout), Retries(attempts=wanted.attempts)
            progress = download_reporter(f"{image.reference.name} {digest[:12]}")
            fetched = download.fetch(request, timeouts=timeouts, retries=retries, progress=progress)
            transferred += fetched.transferred
        return transferred


@contextlib.contextmanager
def _room(path: Path) -> t.Iterator[None]:
    """What a full file system says, told with where."""
    try:
        yield
    except OSError as error:
        raise cache.cannot("written", path, error) from error


class OciImage(GuestImage):
    """One image for one architecture, on its storage."""

    def __init__(
        self,
        node: Node,
        reference: OciReference,
        arch: str,
        storage: str | None,
        login: Login | None,
        **limits: t.Unpack[DownloadLimits],
    ) -> None:
        wanted = WantedImage(
            "oci",
            CONTENT,
            arch=arch,
            url=f"{reference.registry}/{reference.name}",
            storages=(storage,) if storage else (),
            state="latest",
            **limits,
        )
        self.oci = OciSource(reference, arch, login, self._find_kept)
        source = ImageSource(wanted, Indexes(None), time.time(), self.oci)
        super().__init__(node, wanted, OciFetcher(source, self.oci, cache_directory(node) / _FOLDER))

    @property
    def image(self) -> ResolvedImage:
        return self.oci.image

    @property
    def record(self) -> OciRecord:
        return record_of(self.image)

    @property
    def warnings(self) -> list[str]:
        return [*super().warnings, *([self.oci.instead] if self.oci.instead else [])]

    def _find_kept(self) -> ResolvedImage | None:
        """The image on the storage that was fetched last by the name, or by the digest. Over the API nobody looks into
        an archive."""
        folder = self.store.folder if self.node.files else None
        if folder is None:
            return None
        reference, family = self.oci.registry.reference, self.wanted.family
        kept = {entry.path: _kept_record(entry.record) for entry in cache.recorded(folder, family) if entry.record}
        named = [path for path, record in kept.items() if record is not None and record.covers(reference)]
        for path in sorted(named, key=lambda path: path.stat().st_mtime_ns, reverse=True):
            if cache.is_trustworthy(cache.lookup(path), note=False):
                with contextlib.suppress(LookupError, ImageError):
                    return _read_kept(reference, t.cast("OciRecord", kept[path]), path)
        return None


def _kept_record(record: cache.Record) -> OciRecord | None:
    """The image that an archive on a storage is, as it was called when it was fetched."""
    try:
        return OciRecord(OciReference.parse(record.url.removeprefix(_SCHEME)), record.version)
    except ValueError:
        return None


def _read_kept(reference: OciReference, record: OciRecord, path: Path) -> ResolvedImage:
    manifest, config = read_archive(path)
    read, says = read_manifest(manifest, path.name), read_config(config, path.name)
    return ResolvedImage(reference, record.reference.digest, record.contents, read, says, config)
