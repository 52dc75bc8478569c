# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the images that a VM's new disks and drives are made from, found and brought."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._guests.fetch_image import FetchImage, fetch_guest_image
from ansible_collections.pve.provision.plugins.module_utils._model.image_name import ImageName
from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import IMPORT, holds_iso
from ansible_collections.pve.provision.plugins.module_utils._store.guest_image import GuestImage
from ansible_collections.pve.provision.plugins.module_utils._store.named import wanted_image

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._store.wanted import WantedImage


@dataclasses.dataclass(frozen=True)
class Found:
    """An image as it is there, or will be: its volume or path, what its bytes are known by, what brings it."""

    volid: str
    digest: str
    size: int | None = None
    obtain: tuple[FetchImage, ...] = ()
    notes: tuple[str, ...] = ()


def with_images(facts: Facts, wanted: Wanted, there: t.Mapping[str, str] | None = None) -> Wanted:
    """The VM with what its new disks are imported from, and its new drives hold; what no storage has is fetched first.

    What is ``there`` already was made from whatever it was made from."""
    values = dict(wanted.declaration.values)
    findings: list[Finding] = []
    obtain: list[FetchImage] = []
    notes: list[str] = []
    for key, value in values.items():
        image, what = _asked(value)
        if image is None or _is_made(image, what, (there or {}).get(key)):
            continue
        path = f"{wanted.declaration.paths.get(key, key)}.{what}"
        try:
            found = find_image(facts, wanted, image, "iso" if what == "iso" else "import", path)
        except InvalidInput as error:
            findings += error.findings
            continue
        obtain += found.obtain
        notes += found.notes
        values[key] = _made_from(value, what, found.volid)
    return dataclasses.replace(
        wanted,
        declaration=dataclasses.replace(wanted.declaration, values=values),
        obtain=(*wanted.obtain, *dict.fromkeys(obtain)),
        findings=(*wanted.findings, *findings),
        notes=(*wanted.notes, *dict.fromkeys(notes)),
    )


def _asked(value: t.Any) -> tuple[ImageName | None, str]:
    """The image that a disk or a drive is made from, and the key that says so."""
    given = value if isinstance(value, dict) else {}
    what = "iso" if given.get("iso") else "image"
    image = given.get(what)
    return (image, what) if isinstance(image, ImageName) else (None, what)


def _is_made(image: ImageName, what: str, text: str | None) -> bool:
    """Whether a disk is there, whatever it was made from, or a drive has that image in it."""
    return text is not None and (what == "image" or holds_iso(text.partition(",")[0], image))


def _made_from(value: SubValues, what: str, volid: str) -> SubValues:
    rest = {key: each for key, each in value.items() if key != what}
    return {**rest, ("volume" if what == "iso" else IMPORT): volid}


def find_image(facts: Facts, wanted: Wanted, image: ImageName, content: str, path: str) -> Found:
    """Where an image is, or will be. Raises InvalidInput with what stands against it."""
    if image.is_volume:
        volume = facts.find_volume(image.file)
        if volume is None:
            like = "local:iso/NAME.iso" if content == "iso" else "local:import/NAME or that of another disk"
            remedy = f"Name a volume that is there, such as {like}."
            raise InvalidInput([Finding(path, image.file, f"is not on any storage of node {facts.node.name}", remedy)])
        return Found(image.file, f"{volume.volid} {volume.size} {volume.ctime}", volume.size)
    if image.file and facts.node.files is not None:
        if not facts.node.files.has(image.file):
            problem = f"is not a file on node {facts.node.name}"
            raise InvalidInput([Finding(path, image.file, problem, "Name one that is there.")])
        return Found(image.file, image.file)
    declared = _wanted(wanted, image, content, path)
    # The same for all guests of a run, so that its source is asked once.
    brought = facts.keep(f"image {declared}", lambda: GuestImage(facts.node, declared))
    outcome = brought.predicted
    obtain = (fetch_guest_image(facts.node, brought, path),) if outcome.plan else ()
    size = brought.size if obtain else None
    return Found(brought.volid, brought.digest, size, obtain, tuple(brought.warnings))


def _wanted(wanted: Wanted, image: ImageName, content: str, path: str) -> WantedImage:
    """What is to be brought: what boots in this VM."""
    values = wanted.declaration.values
    arch = "arm64" if values.get("arch") == "aarch64" else "amd64"
    firmware = str(values.get("bios") or "seabios")
    return wanted_image(image, content, path, arch=arch, firmware=firmware, **wanted.policy.download_limits)
