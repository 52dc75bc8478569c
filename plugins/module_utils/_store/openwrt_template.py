# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: OpenWrt's verified root file system as a container template on storages, and its disks.

Whatever is fetched lies verified in a *store*, a directory of this machine, so that many templates are built from one
download. On the node the store is below ``/var/cache``, and the templates' records lie beside them on the storages.
Over the API the store is the user's cache; templates are built there and uploaded, and a storage is known by the names
and sizes of its files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import re
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    ImageError,
    InvalidInput,
    Timeout,
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._images import cache, download
from ansible_collections.pve.provision.plugins.module_utils._images.checksums import hash_file
from ansible_collections.pve.provision.plugins.module_utils._images.http import Access, shown
from ansible_collections.pve.provision.plugins.module_utils._images.inspect import inspect_archive
from ansible_collections.pve.provision.plugins.module_utils._images.releases import openwrt
from ansible_collections.pve.provision.plugins.module_utils._images.releases import versions as order
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._io.private import private_directory
from ansible_collections.pve.provision.plugins.module_utils._openwrt import rootfs
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import Read, seed
from ansible_collections.pve.provision.plugins.module_utils._pve import privileges
from ansible_collections.pve.provision.plugins.module_utils._store.contents import check_inside
from ansible_collections.pve.provision.plugins.module_utils._store.image import cache_directory
from ansible_collections.pve.provision.plugins.module_utils._store.run import Step, Store, stores
from ansible_collections.pve.provision.plugins.module_utils._store.source import (
    ImageFetcher,
    Offer,
    UserKey,
    signers,
)
from ansible_collections.pve.provision.plugins.module_utils._store.source import WantedImage as _Image

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._openwrt.description import Description
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

#: How an architecture may be called: PVE's name, or OpenWrt's target.
ARCHES: t.Final = {"amd64": "amd64", "arm64": "arm64", "x86/64": "amd64", "armsr/armv8": "arm64"}
#: How many files the store keeps whatever their age, and for how many seconds it keeps the others.
KEEP: t.Final = 4
KEEP_FOR: t.Final = 7 * 86400
_CONTENT: t.Final = "vztmpl"
_EXACT = re.compile(r"\d+\.\d+\.\d+(-rc\d+)?")


# -- what is wanted ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Defaults:
    """What is baked into a template. ``digest`` stands for the inputs and names the template; ``files`` makes the files
    out of the root file system that they go into, and its version. ``secret``: nobody but root may read it."""

    digest: str
    files: t.Callable[[Read, str], rootfs.Files]
    secret: bool = False


def baked(files: rootfs.Files, *, secret: bool = False) -> Defaults | None:
    """Files that are the same whatever they go into; None when there are none."""
    digest = rootfs.defaults_digest(files)
    return Defaults(digest, lambda _read, _version: files, secret) if digest else None


def seeded(description: Description, files: rootfs.Files | None = None) -> Defaults:
    """What the first boot of a described router finds, and more files, which come before those."""
    text = json.dumps(dataclasses.asdict(description), sort_keys=True, default=str)
    digest = hashlib.sha256(f"{text}\0{rootfs.defaults_digest(files or {})}".encode()).hexdigest()
    return Defaults(digest, lambda read, version: {**seed(read, description, version), **(files or {})}, secret=True)


@dataclass(frozen=True)
class WantedRelease:
    """A release of OpenWrt and how it is got. ``version``: ``24``, ``24.10``, ``24.10.4``, ``latest`` or ``snapshot``.

    ``verify`` empty means ``required``. ``snapshot_max_age`` in days (0: any), ``index_max_age`` and ``timeout`` in
    seconds. ``offline_ok``: the newest verified file that fits will do when the source cannot be asked."""

    version: str = "24"
    arch: str = "amd64"
    verify: str = ""
    keys: tuple[UserKey, ...] = ()
    mirrors: tuple[str, ...] = ()
    offline_ok: bool = False
    snapshot_max_age: int = 0
    index_max_age: int = 3600
    timeout: int = 7200
    ca_path: str | None = None

    @property
    def pve_arch(self) -> str:
        """PVE's name of the architecture."""
        if self.arch not in ARCHES:
            raise InvalidInput(
                [Finding("arch", self.arch, "is no architecture OpenWrt is got for", f"Known: {', '.join(ARCHES)}.")]
            )
        return ARCHES[self.arch]

    @property
    def exact(self) -> bool:
        """Whether the version names one release, so that nobody has to be asked which it is."""
        return _EXACT.fullmatch(self.version) is not None

    def covers(self, version: str) -> bool:
        """Whether a release is one that was asked for."""
        return order.newest([version], "" if self.version == "latest" else self.version) is not None

    def accepts(self, record: cache.Record) -> bool:
        """Whether a file with this record is verified as far as it has to be, and young enough."""
        trusted = signers(openwrt.KEYS, self.keys)
        proven = bool(record.signed_by or record.origin) or self.verify == "none"
        signed = proven if self.verify in ("checksum", "none") else record.signed_by in trusted
        old = self.version == "snapshot" and 0 < self.snapshot_max_age * 86400 < time.time() - record.verified
        return signed and not old and self.covers(record.version)


@dataclass(frozen=True)
class WantedTemplate(WantedRelease):
    """A container template. ``storages`` empty: every active storage that takes templates as files. One of
    ``one_router`` alone is removed as soon as that is made."""

    storages: tuple[str, ...] = ()
    defaults: Defaults | None = None
    one_router: bool = False
    force: bool = False
    reverify: bool = False

    @property
    def family(self) -> str:
        """What the versions of this template have in common, in the records of cached files."""
        return f"openwrt/template/{self.defaults.digest if self.defaults else 'plain'}/{self.pve_arch}"

    @property
    def secret(self) -> bool:
        """Whether what is baked in is for root's eyes alone."""
        return self.defaults is not None and self.defaults.secret

    def name(self, version: str) -> str:
        digest = self.defaults.digest if self.defaults else None
        return rootfs.template_name(version, self.pve_arch, digest, one_router=self.one_router)


@dataclass(frozen=True)
class WantedDisk(WantedRelease):
    """A disk image. ``variant``: ``{ext4,squashfs}-{combined,combined-efi}``."""

    variant: str = "ext4-combined-efi"


# -- what comes of it --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Prediction:
    """What a run will do. ``volid`` is the template on the first storage, ``kept`` are those that stay as they are.

    ``available_version`` is None when the source was not asked, ``digest`` when the template is still to be built."""

    volid: str
    volids: list[str]
    name: str
    version: str
    would_fetch: bool
    available_version: str | None = None
    digest: str | None = None
    plan: list[Step] = dataclasses.field(default_factory=list)
    kept: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.plan)


@dataclass(frozen=True)
class Ensured(Prediction):
    """What a run did. ``digest`` is the template's SHA-256, ``signed_by`` the key that vouched for what it was made
    of, ``transferred`` the bytes of images that came over the network."""

    digest: str = ""
    size: int = 0
    signed_by: str = ""
    transferred: int = 0


@dataclass(frozen=True)
class Disk:
    """A verified disk image, unpacked, on the machine this runs on. It is not to be changed: work on a copy."""

    path: Path
    version: str
    digest: str
    signed_by: str = ""
    transferred: int = 0
    warnings: list[str] = dataclasses.field(default_factory=list)


def predict(node: Node, wanted: WantedTemplate) -> Prediction:
    """Where the template is or will be. The source may be asked; nothing is written to a storage."""
    return _Run(node, wanted, None, note=False).predict()


def ensure(node: Node, wanted: WantedTemplate, progress: download.Progress | None = None) -> Ensured:
    """Make the template present on every wanted storage. Raises ImageError, InvalidInput, Timeout."""
    return _Run(node, wanted, progress).ensure()


def forget(node: Node, wanted: WantedTemplate) -> None:
    """Remove what this machine keeps of a template; what lies on storages stays."""
    for entry in cache.recorded(cache_directory(node) / "openwrt", wanted.family):
        cache.remove(entry)


def ensure_image(node: Node, wanted: WantedDisk, progress: download.Progress | None = None) -> Disk:
    """The disk image as a verified file of the machine this runs on: on the node, or over the API the controller."""
    store = _ImageStore(node, wanted, "import", wanted.variant, progress)
    there = newest(store.entries(), wanted) if wanted.exact else None
    warnings: list[str] = []
    transferred = 0
    if there is None:
        try:
            there, transferred = store.bring()
        except (ImageError, Timeout) as error:
            there, warning = _instead(error, store.entries(), wanted)
            warnings.append(warning)
    record = t.cast("cache.Record", there.record)
    record.write(there.path)
    store.tidy()
    return Disk(there.path, record.version, record.sha256, record.signed_by, transferred, warnings + store.warnings())


# -- the store ---------------------------------------------------------------------------------------------------------
def newest(
    entries: t.Iterable[cache.Entry],
    wanted: WantedRelease,
    *,
    origin: str = "",
    reverify: bool = False,
    note: bool = True,
) -> cache.Entry | None:
    """The newest of some recorded files that is what was asked for and is still as it was verified; ``note`` that it
    was looked at, but for a prediction."""
    known = [(entry.record, entry) for entry in entries if entry.record is not None]
    for record, entry in sorted(known, key=lambda pair: order.key(pair[0].version), reverse=True):
        same = origin in ("", record.origin)
        if same and wanted.accepts(record) and cache.is_trustworthy(entry, reverify=reverify, note=note):
            return entry
    return None


def _instead(
    error: ImageError | Timeout, entries: t.Iterable[cache.Entry], wanted: WantedRelease, *, reverify: bool = False
) -> tuple[cache.Entry, str]:
    """What is used when the source cannot be asked, and the warning; raises the error when nothing may be."""
    there = None
    if wanted.offline_ok and not isinstance(error, VerificationError):
        there = newest(entries, wanted, reverify=reverify)
    if there is None:
        raise error
    return there, f"The source could not be asked: {error.message} {there.path.name}, verified before, is used."


class _ImageStore:
    """The verified files of one kind of image, fetched when they are not there."""

    def __init__(
        self, node: Node, wanted: WantedRelease, content: str, variant: str, progress: download.Progress | None
    ) -> None:
        base = cache_directory(node)
        self.directory = base / "openwrt"
        self._wanted = wanted
        self._image = _Image(
            source="openwrt",
            content=content,
            version=wanted.version,
            arch=wanted.pve_arch,
            variant=variant,
            verify=wanted.verify,
            keys=wanted.keys,
            mirrors=wanted.mirrors,
            snapshot_max_age=wanted.snapshot_max_age,
            timeout=wanted.timeout,
        )
        self._indexes = Indexes(base, wanted.index_max_age, Access(ca_path=wanted.ca_path))
        self._fetcher = ImageFetcher(self._image, self._indexes, progress, time.time())

    @functools.cached_property
    def offer(self) -> Offer:
        """What the source has."""
        return self._fetcher.offer()

    def warnings(self) -> list[str]:
        """Old indexes that had to do, and what was not verified."""
        unsigned = f"OpenWrt {self._wanted.version} is used without verification, as verify: none was asked for."
        return [*map(str, self._indexes.stale), *([unsigned] if self._wanted.verify == "none" else [])]

    def entries(self) -> list[cache.Entry]:
        return cache.recorded(self.directory, self._image.family)

    def has(self) -> bool:
        """Whether what the source offers is here."""
        return self._standing(note=False) is not None

    def check(self) -> None:
        """Judge what the source signs and lists, without fetching an image. Raises VerificationError."""
        self._fetcher.expect(self.offer)

    def _standing(self, *, note: bool = True) -> cache.Entry | None:
        wanted = dataclasses.replace(self._wanted, version=self.offer.release.version)
        fitting = [entry for entry in self.entries() if entry.path.name == self.offer.name]
        return newest(fitting, wanted, origin=self.offer.origin, note=note)

    def bring(self) -> tuple[cache.Entry, int]:
        """What the source offers, fetched unless it is here: the file, and the bytes transferred."""
        target = self.directory / self.offer.name
        make_directory(self.directory)
        with cache.exclusive(target, self._wanted.timeout):
            there = self._standing()  # a run beside us may have been faster
            if there is not None:
                return there, 0
            record, transferred = self._fetcher.fetch(self.offer, target, overwrite=True)
            record.write(target)
        return cache.lookup(target), transferred

    def tidy(self) -> None:
        """Remove what nobody has used for long."""
        entries = cache.recorded(self.directory)
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


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)
    cache.record_path(path).unlink(missing_ok=True)


# -- the template ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Decision:
    """``entry`` is the template where it is there already."""

    version: str
    entry: cache.Entry | None
    warning: str = ""

    @property
    def record(self) -> cache.Record | None:
        return self.entry.record if self.entry else None


class _Run:
    """One run for one template."""

    def __init__(
        self, node: Node, wanted: WantedTemplate, progress: download.Progress | None, *, note: bool = True
    ) -> None:
        self._node = node
        self._note = note
        self._wanted = wanted
        self._store = _ImageStore(node, wanted, _CONTENT, "", progress)
        image = _Image(source="openwrt", content=_CONTENT, storages=wanted.storages)
        self._places = stores(node, image)
        self._on_node = node.files is not None

    def predict(self) -> Prediction:
        decision = self._decide()
        name = self._wanted.name(decision.version)
        steps = self._steps(name, decision.record)
        fetches = decision.entry is None and not self._store.has()
        if fetches:
            self._store.check()
        plan = [*self._making(name, fetches), *steps] if decision.entry is None and steps else steps
        return self._told(decision, plan, steps, would_fetch=fetches)

    def ensure(self) -> Ensured:
        decision = self._decide()
        making: list[Step] = []
        transferred = 0
        with contextlib.ExitStack() as stack:
            if decision.entry is None:
                try:
                    decision, making, transferred = self._make(decision, stack)
                except (ImageError, Timeout) as error:
                    decision = self._fall_back(error)
            entry, record = t.cast("cache.Entry", decision.entry), t.cast("cache.Record", decision.record)
            steps = self._steps(entry.path.name, record)
            self._spread(entry.path, record, steps)
            if not self._on_node:
                record.write(entry.path)  # it is in use
        self._store.tidy()
        told = self._told(decision, [*making, *steps] if steps else [], steps, would_fetch=transferred > 0)
        return Ensured(
            **{**vars(told), "digest": record.sha256},
            size=record.size,
            signed_by=record.signed_by,
            transferred=transferred,
        )

    def _told(self, decision: _Decision, plan: list[Step], steps: list[Step], *, would_fetch: bool) -> Prediction:
        name = self._wanted.name(decision.version)
        volids = [place.volid(_CONTENT, name) for place in self._places]
        touched = {step["storage"] for step in steps}
        asked = "offer" in vars(self._store)
        exact = self._wanted.version if self._wanted.exact else None
        return Prediction(
            volid=volids[0],
            volids=volids,
            name=name,
            version=decision.version,
            would_fetch=would_fetch,
            available_version=self._store.offer.release.version if asked else exact,
            digest=decision.record.sha256 if decision.record else None,
            plan=plan,
            kept=[place.volid(_CONTENT, name) for place in self._places if place.storage.name not in touched],
            warnings=[*([decision.warning] if decision.warning else []), *self._store.warnings()],
        )

    # -- deciding ------------------------------------------------------------------------------------------------------
    def _shelf(self) -> list[cache.Entry]:
        """Templates of this kind whose bytes can be looked at from here."""
        places = [t.cast("Path", place.directory) for place in self._places]
        directories = places if self._on_node else [self._store.directory]
        return [entry for directory in directories for entry in cache.recorded(directory, self._wanted.family)]

    def _decide(self) -> _Decision:
        """Which version it is to be, and where it can be had."""
        if self._wanted.exact:
            there = newest(self._shelf(), self._wanted, reverify=self._wanted.reverify, note=self._note)
            if there is not None:
                return _Decision(self._wanted.version, there)
        try:
            offer = self._store.offer
        except (ImageError, Timeout) as error:
            return self._fall_back(error)
        return _Decision(offer.release.version, self._standing(offer))

    def _standing(self, offer: Offer) -> cache.Entry | None:
        wanted = dataclasses.replace(self._wanted, version=offer.release.version)
        return newest(self._shelf(), wanted, origin=offer.origin, reverify=wanted.reverify, note=self._note)

    def _fall_back(self, error: ImageError | Timeout) -> _Decision:
        there, warning = _instead(error, self._shelf(), self._wanted, reverify=self._wanted.reverify)
        return _Decision(t.cast("cache.Record", there.record).version, there, warning)

    # -- building ------------------------------------------------------------------------------------------------------
    def _making(self, name: str, fetches: bool) -> list[Step]:
        """The steps that come before the template can be brought anywhere."""
        offer = self._store.offer
        fetching = [{"step": "download", "url": shown(offer.artefact.url), "name": offer.name}] if fetches else []
        return [*fetching, {"step": "build", "name": name}]

    def _make(self, decision: _Decision, stack: contextlib.ExitStack) -> tuple[_Decision, list[Step], int]:
        """Make the template in the store, where it stays ours as long as the stack lasts, and on the node no longer.

        Returns where it is, the steps and the bytes transferred."""
        offer = self._store.offer
        target = self._store.directory / self._wanted.name(decision.version)
        fetches = not self._store.has()
        source, transferred = self._store.bring()
        stack.enter_context(cache.exclusive(target, self._wanted.timeout))
        there = self._standing(offer)  # a run beside us may have been faster
        if there is not None:
            return dataclasses.replace(decision, entry=there), [], transferred
        if self._on_node:
            stack.callback(_discard, target)
        self._build(source, offer, target)
        made = dataclasses.replace(decision, entry=cache.lookup(target))
        return made, self._making(target.name, fetches), transferred

    def _build(self, source: cache.Entry, offer: Offer, target: Path) -> None:
        origin = t.cast("cache.Record", source.record)
        origin.write(source.path)  # it is in use
        check_inside(source.path, source.path.name, offer.release, self._wanted.pve_arch)
        mode = 0o600 if self._wanted.secret else 0o644
        info = rootfs.build_template(source.path, target, self._files(source.path), mode=mode)
        self._check_template(target, info)
        cache.Record(
            family=self._wanted.family,
            version=offer.release.version,
            sha256=info.digest,
            size=info.size,
            origin=offer.origin,
            url=shown(offer.artefact.url),
            signed_by=origin.signed_by,
        ).write(target)

    def _files(self, source: Path) -> rootfs.Files | None:
        if self._wanted.defaults is None:
            return None

        def read(path: str) -> bytes | None:
            return rootfs.read_files(source, [path]).get(path)

        return self._wanted.defaults.files(read, rootfs.read_release(source).version)

    def _check_template(self, template: Path, info: rootfs.TemplateInfo) -> None:
        """Read the finished template back as a stranger would."""
        inspect_archive(template)
        found = hash_file(template)["sha256"]
        if (found, template.stat().st_size) != (info.digest, info.size):
            _discard(template)
            raise ImageError(
                f"{template} was not written as it was built: its sha256 is {found}, built was {info.digest}.",
                remedy="Look at the disk it lies on.",
            )

    # -- bringing it to the storages -----------------------------------------------------------------------------------
    def _steps(self, name: str, record: cache.Record | None) -> list[Step]:
        """What is to be done for each storage. Raises VerificationError for what is in the way."""
        missing = self._missing_on_node if self._on_node else self._missing_over_api
        how = "copy" if self._on_node else "upload"
        steps = [
            {"step": how, "storage": place.storage.name, "name": name}
            for place in self._places
            if missing(place, name, record)
        ]
        storages = [step["storage"] for step in steps]
        uploads = [need for storage in storages for need in privileges.file_needs("upload", storage, self._node.name)]
        privileges.require(self._node, uploads)
        return steps

    def _missing_on_node(self, place: Store, name: str, record: cache.Record | None) -> bool:
        entry = cache.lookup(t.cast("Path", place.directory) / name)
        if entry.state is cache.State.ABSENT:
            return True
        reverify = self._wanted.reverify
        if record and cache.is_trustworthy(entry, record.sha256, reverify=reverify, note=self._note):
            return False
        ours = entry.record is not None and entry.record.family == self._wanted.family
        if not (self._wanted.force or (ours and cache.is_ours(entry))):
            raise cache.in_the_way(entry, record or cache.Record(self._wanted.family, "", "", 0))
        return True

    def _missing_over_api(self, place: Store, name: str, record: cache.Record | None) -> bool:
        volid = place.volid(_CONTENT, name)
        there = self._volumes(place).get(volid)
        if there is None or record is None or there == record.size:
            return there is None
        if not self._wanted.force:
            raise VerificationError(
                f"{volid} has {there} bytes, the template has {record.size}; it is neither used nor overwritten.",
                remedy="Move it away, or set force: true to replace it.",
            )
        return True

    def _volumes(self, place: Store) -> dict[str, int]:
        return {volume.volid: volume.size for volume in self._node.volumes(place.storage.name, _CONTENT)}

    def _spread(self, source: Path, record: cache.Record, steps: t.Sequence[Step]) -> None:
        touched = {step["storage"] for step in steps}
        for place in self._places:
            if self._on_node:
                target = t.cast("Path", place.directory) / source.name
                if target != source:
                    force, reverify = self._wanted.force, self._wanted.reverify
                    cache.place(source, record, [target], force=force, replace=True, reverify=reverify)
                if self._wanted.secret:
                    cache.close(target)
            elif place.storage.name in touched:
                self._upload(place, source, record)

    def _upload(self, place: Store, source: Path, record: cache.Record) -> None:
        volid = place.volid(_CONTENT, source.name)
        if volid in self._volumes(place):
            self._node.free(volid)
        timeout = self._wanted.timeout
        self._node.upload(place.storage.name, _CONTENT, str(source), source.name, timeout=timeout)
        arrived = self._volumes(place).get(volid)
        if arrived != record.size:
            raise ImageError(
                f"{volid} has {arrived} bytes after {record.size} were uploaded.", remedy="Look at that storage."
            )
