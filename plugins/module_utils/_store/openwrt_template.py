# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: OpenWrt's templates on storages, and its disk images.

Whatever is fetched lies verified in a directory of this machine, so that many templates are built from one download.
On the node that is below ``/var/cache``, and the templates' records lie beside them on the storages. Over the API it is
the user's cache; templates are built there and uploaded.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    InvalidInput,
)
from ansible_collections.pve.provision.plugins.module_utils._images import cache
from ansible_collections.pve.provision.plugins.module_utils._images.http import Access
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._pve.cache import cache_directory
from ansible_collections.pve.provision.plugins.module_utils._store.local_image import (
    Disk,
    LocalImage,
    PredictedDisk,
    make_directory,
    tidy,
)
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_build import Defaults, TemplateBuild
from ansible_collections.pve.provision.plugins.module_utils._store.pipeline import Outcome, Pipeline
from ansible_collections.pve.provision.plugins.module_utils._store.place import Step
from ansible_collections.pve.provision.plugins.module_utils._store.source import ImageSource
from ansible_collections.pve.provision.plugins.module_utils._store.storages import stores
from ansible_collections.pve.provision.plugins.module_utils._store.verified import ImageFetcher
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import UserKey, WantedImage

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

#: How an architecture may be called: PVE's name, or OpenWrt's target.
ARCHES: t.Final = {"amd64": "amd64", "arm64": "arm64", "x86/64": "amd64", "armsr/armv8": "arm64"}
_FOLDER: t.Final = "openwrt"
_CONTENT: t.Final = "vztmpl"


# -- what is wanted ----------------------------------------------------------------------------------------------------
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
    attempts: int = 5
    ca_path: str | None = None

    @property
    def pve_arch(self) -> str:
        """PVE's name of the architecture."""
        if self.arch not in ARCHES:
            raise InvalidInput(
                [
                    Finding(
                        "arch", self.arch, "is not a supported architecture of OpenWrt", f"Known: {', '.join(ARCHES)}."
                    )
                ]
            )
        return ARCHES[self.arch]

    @property
    def exact(self) -> bool:
        """Whether the version names one release, so that nobody has to be asked which it is."""
        return self.image("", "").exact

    def image(self, content: str, variant: str) -> WantedImage:
        """OpenWrt's own file that this is made of. The newest, unless the version names one."""
        wanted = WantedImage(
            source="openwrt",
            content=content,
            version=self.version,
            arch=self.pve_arch,
            variant=variant,
            verify=self.verify,
            keys=self.keys,
            mirrors=self.mirrors,
            offline_ok=self.offline_ok,
            snapshot_max_age=self.snapshot_max_age,
            timeout=self.timeout,
            attempts=self.attempts,
        )
        return dataclasses.replace(wanted, state="present" if wanted.exact else "latest")


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
    def build(self) -> TemplateBuild:
        """How it is made."""
        return TemplateBuild(self.pve_arch, self.defaults, self.one_router)

    def name(self, version: str) -> str:
        return self.build.name(version)

    def image(self, content: str = _CONTENT, variant: str = "") -> WantedImage:
        return dataclasses.replace(super().image(content, variant), force=self.force, reverify=self.reverify)


@dataclass(frozen=True)
class WantedDisk(WantedRelease):
    """A disk image. ``variant``: ``{ext4,squashfs}-{combined,combined-efi}``."""

    variant: str = "ext4-combined-efi"

    def for_firmware(self, bios: str) -> WantedDisk:
        """The one that such a firmware starts: OVMF needs an image made for it."""
        filesystem = self.variant.partition("-")[0]
        return dataclasses.replace(self, variant=f"{filesystem}-combined{'-efi' if bios == 'ovmf' else ''}")


# -- what comes of it --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Prediction:
    """What a run will do. ``volid`` is the template on the first storage, ``kept`` are those that stay as they are.

    ``available_version`` is None when the source was not asked, ``digest`` when the template is still to be built."""

    volid: str
    volids: list[str]
    name: str
    version: str
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


def predict(node: Node, wanted: WantedTemplate) -> Prediction:
    """Where the template is or will be. The source may be asked; nothing is written to a storage."""
    pipeline, indexes = _pipeline(node, wanted, check_mode=True)
    return Prediction(**_told(pipeline, pipeline.run(), wanted, indexes))


def ensure(node: Node, wanted: WantedTemplate) -> Ensured:
    """Make the template present on every wanted storage. Raises ImageError, InvalidInput, Timeout."""
    pipeline, indexes = _pipeline(node, wanted)
    make_directory(_directory(node))
    outcome = pipeline.run()
    entry = t.cast("cache.Entry", outcome.file.entry)
    record = outcome.file.verified
    if not pipeline.on_node:
        record.write(entry.path)  # it is in use
    tidy(_directory(node))
    told = _told(pipeline, outcome, wanted, indexes)
    return Ensured(**told, size=record.size, signed_by=record.signed_by, transferred=outcome.transferred)


def forget(node: Node, wanted: WantedTemplate) -> None:
    """Remove what this machine keeps of a template; what lies on storages stays."""
    for entry in cache.recorded(_directory(node), wanted.build.family):
        cache.remove(entry)


def predict_image(node: Node, wanted: WantedDisk) -> PredictedDisk:
    """Which disk image a run will use, and whether it fetches it. The source may be asked; nothing is written."""
    return _local(node, wanted).predict()


def ensure_image(node: Node, wanted: WantedDisk) -> Disk:
    """The disk image as a verified file of the machine this runs on: on the node, or over the API the controller."""
    disk = _local(node, wanted).ensure()
    return dataclasses.replace(disk, warnings=[*disk.warnings, *_unverified(wanted)])


def _local(node: Node, wanted: WantedDisk) -> LocalImage:
    return LocalImage(node, wanted.image("import", wanted.variant), _FOLDER, ca_path=wanted.ca_path)


# -- the stages --------------------------------------------------------------------------------------------------------
def _directory(node: Node) -> Path:
    """Where verified files are kept."""
    return cache_directory(node) / _FOLDER


def _fetcher(node: Node, wanted: WantedRelease, image: WantedImage) -> tuple[ImageFetcher, Indexes]:
    indexes = Indexes(cache_directory(node), wanted.index_max_age, Access(ca_path=wanted.ca_path))
    return ImageFetcher(ImageSource(image, indexes, time.time())), indexes


def _pipeline(node: Node, wanted: WantedTemplate, *, check_mode: bool = False) -> tuple[Pipeline, Indexes]:
    fetcher, indexes = _fetcher(node, wanted, wanted.image())
    there = stores(node, _CONTENT, wanted.storages)
    workshop = _directory(node)
    return Pipeline(node, there, fetcher, build=wanted.build, workshop=workshop, check_mode=check_mode), indexes


def _told(pipeline: Pipeline, outcome: Outcome, wanted: WantedTemplate, indexes: Indexes) -> dict[str, t.Any]:
    """What a prediction says."""
    file = outcome.file
    touched = {step["storage"] for step in outcome.plan if "storage" in step}
    return {
        "volid": pipeline.stores[0].volid(file.name),
        "volids": [store.volid(file.name) for store in pipeline.stores],
        "name": file.name,
        "version": file.version,
        "available_version": outcome.available_version,
        "digest": file.record.sha256 if file.record else None,
        "plan": outcome.plan,
        "kept": [store.volid(file.name) for store in pipeline.stores if store.name not in touched],
        "warnings": [*outcome.warnings, *_warnings(wanted, indexes)],
    }


def _warnings(wanted: WantedRelease, indexes: Indexes) -> list[str]:
    """Old indexes that had to do, and what was not verified."""
    return [*(stale.told for stale in indexes.stale), *_unverified(wanted)]


def _unverified(wanted: WantedRelease) -> list[str]:
    unsigned = f"OpenWrt {wanted.version} is used without verification, since verify is none."
    return [unsigned] if wanted.verify == "none" else []
