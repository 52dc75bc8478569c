# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the image that a user names for a disk or a drive, as what the pipeline is to bring."""

from __future__ import annotations

import difflib
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._images.releases import NAMES
from ansible_collections.pve.provision.plugins.module_utils._model.image_name import ImageName
from ansible_collections.pve.provision.plugins.module_utils._model.timeouts import DownloadLimits
from ansible_collections.pve.provision.plugins.module_utils._store.wanted import UserKey, WantedImage

#: The sources that have images of disks.
SOURCES: t.Final = tuple(name for name in NAMES if name not in ("pveam", "turnkeylinux"))
#: The variants that boot by each firmware, where one image does not boot by both.
_BY_FIRMWARE: t.Final = {
    "alpine": {"seabios": "bios-cloudinit", "ovmf": "uefi-cloudinit"},
    "openwrt": {"seabios": "ext4-combined", "ovmf": "ext4-combined-efi"},
}
_NAME = re.compile(r"([a-z]+)(?:-(\S+))?")


def wanted_image(
    image: ImageName,
    content: str,
    option: str,
    *,
    arch: str = "amd64",
    firmware: str = "seabios",
    **limits: t.Unpack[DownloadLimits],
) -> WantedImage:
    """What is to be brought, within ``limits`` (``timeout``, ``attempts``). Raises InvalidInput about ``option`` for a
    name that nobody knows."""
    common: dict[str, t.Any] = {
        "content": content,
        "arch": arch,
        "checksum": image.checksum,
        "storages": (image.storage,) if image.storage else (),
        "verify": image.verify,
        "keys": tuple(map(UserKey, image.keys)),
        **limits,
    }
    if image.url:
        return WantedImage("url", url=image.url, checksum_url=image.checksum_url, **common)
    if image.file:
        return WantedImage("file", path=image.file, **common)
    source, version = _source(image.name, option)
    variant = image.variant or _BY_FIRMWARE.get(source, {}).get(firmware, "")
    # Of a name that covers several builds the newest is meant; an older one has to do while nobody can be asked.
    return WantedImage(
        source, version=version, variant=variant, mirrors=image.mirrors, state="latest", offline_ok=True, **common
    )


def _source(name: str, option: str) -> tuple[str, str]:
    """The source that a name means, and the version of it."""
    match = _NAME.fullmatch(name.strip().lower())
    if match and match[1] in SOURCES:
        return match[1], match[2] or ""
    near = difflib.get_close_matches(match[1] if match else name, SOURCES, n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    others = "or give a dictionary with url and checksum, or with file."
    remedy = f"{meant}Names are {', '.join(SOURCES)}, each with a version or without one; {others}"
    raise InvalidInput([Finding(option, name, "is not a known image name", remedy)])
