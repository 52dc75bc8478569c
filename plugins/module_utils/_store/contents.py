# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: whether a template or a disk image holds the release that it is called.

A signature over a file, or over a list whose names hold no version, says who made the file and not which one it is: an
old one with its good signature can be served under a new name. What the file says of itself is signed with it.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images.os_release import systems_inside
from ansible_collections.pve.provision.plugins.module_utils._io.qcow2 import Unreadable
from ansible_collections.pve.provision.plugins.module_utils._openwrt import rootfs

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import Release

_ALPINE: t.Final = "etc/alpine-release"
_ALPINE_ARCH: t.Final = "etc/apk/arch"
_ALPINE_ARCHES: t.Final = {"x86_64": "amd64", "aarch64": "arm64"}
_REMEDY: t.Final = "Check that the mirror is in order, or name another one."


def check_inside(archive: Path, name: str, release: Release, arch: str) -> None:
    """Raise VerificationError unless a template of OpenWrt or Alpine is the release and architecture it is called.

    ``name`` is what its source calls it."""
    tell = {"openwrt": _openwrt, "alpine": _alpine}.get(release.source)
    if tell is None:
        return
    found, wanted = tell(archive, arch), (release.version.lower(), arch)
    if found != wanted:
        system = {"openwrt": "OpenWrt", "alpine": "Alpine"}[release.source]
        raise VerificationError(
            f"{name} holds {system} {' for '.join(found)}, its name says {' for '.join(wanted)}.",
            remedy=_REMEDY,
        )


def check_disk_inside(image: Path, name: str, release: Release, *, required: bool) -> None:
    """Raise VerificationError for a disk image of Alpine that says that it is another version.

    With ``required``, also for one that does not tell. The lists of the other sources that sign hold names with the
    version in them, so an image of these cannot be another one's.
    """
    if release.source != "alpine":
        return
    found: set[str] = set()
    why = "no file in it says which release it is"
    try:
        for system, version in systems_inside(image):
            if (system, version) == ("alpine", release.version):
                return
            if system == "alpine":
                found.add(version)
    except Unreadable as error:
        why = str(error)
    if found:
        raise VerificationError(
            f"{name} holds Alpine {' and '.join(sorted(found))}, its name says {release.version}.", remedy=_REMEDY
        )
    if required:
        raise VerificationError(
            f"{name} cannot be bound to version {release.version}, because {why}: its signature is good for whatever"
            " name it is given.",
            remedy="Set verify: checksum to trust the mirror's word for its version, or name another version.",
        )


def _openwrt(archive: Path, _arch: str) -> tuple[str, str]:
    release = rootfs.read_release(archive)
    version = release.version.lower()
    return (f"snapshot-{release.revision}" if version == "snapshot" else version), release.pve_arch


def _alpine(archive: Path, arch: str) -> tuple[str, str]:
    """Version and architecture; releases before 3.16 do not say the latter."""
    found = {name: text.decode("ascii", "replace").strip() for name, text in _read(archive).items()}
    told = found.get(_ALPINE_ARCH)
    return found.get(_ALPINE, "no Alpine Linux"), _ALPINE_ARCHES.get(told, told) if told else arch


def _read(archive: Path) -> dict[str, bytes]:
    return rootfs.read_files(archive, [_ALPINE, _ALPINE_ARCH])
