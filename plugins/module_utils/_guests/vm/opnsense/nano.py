# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: OPNsense's nano image with a configuration of ours, without booting or mounting it.

The image is one UFS2 file system on a disk with a BSD disklabel. OPNsense's importer waits for a key, which nobody
presses; its first boot copies ``/usr/local/etc/config.xml`` to ``/conf`` where there is none. So the bytes of that file
are replaced, where they are and as many as there are: nothing else of the image changes.
"""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.config_xml import (
    config_xml,
    fill_up,
    too_long,
)
from ansible_collections.pve.provision.plugins.module_utils._io import versions
from ansible_collections.pve.provision.plugins.module_utils._io.ufs import BadFileSystem, Inode, Ufs, find_ufs
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description

CONFIG: t.Final = "/usr/local/etc/config.xml"
MAX_CONFIG: t.Final = 1 << 20
# The bytes that the file has at most, from which release on: what an image that is not here yet has room for.
ROOMS: t.Final = (("26.7", 6 << 10), ("25.7", 4 << 10), ("0", 12 << 10))
# What any release's own configuration has at least, and how many bytes it keeps besides.
OWN: t.Final = 512
LEAST: t.Final = b"<opnsense><system><user><name>root</name></user></system></opnsense>"
REMEDY: t.Final = "Use OPNsense's own nano image, and fetch it again if it is one."


def put_config(image: Path, description: Description, *, web: bool, size: int | None = None) -> None:
    """Make a raw image (a copy: it is changed in place) ready for import. ``size``: the disk's length in bytes, to
    which the first boot grows the file system. Raises ImageError, and then nothing was changed."""
    try:
        with image.open("r+b") as stream:
            system, inode = _find(stream, image)
            config = fill_up(config_xml(system.read(inode), description, web=web), inode.size)
            length = stream.seek(0, os.SEEK_END)
            if size is not None and size < length:
                words = f"The disk cannot have {size} bytes: the image has {length}."
                raise ImageError(words, remedy="Declare a larger disk.")
            system.overwrite(inode, config)
            if system.read(inode) != config:
                raise ImageError(f"{CONFIG} does not read back from {image} as it was written.", remedy=REMEDY)
            stream.truncate(size or length)
            stream.flush()
            os.fsync(stream.fileno())
    except BadFileSystem as error:
        raise ImageError(
            f"{image} is not a nano image of OPNsense, or a damaged one: {error}.", remedy=REMEDY
        ) from error


def lacks_room(image: Path | None, version: str, description: Description, *, web: bool) -> str:
    """Why the configuration cannot go into an image; empty where it can, or where that shows only once it is here.
    ``image`` None: it is still to be fetched, and its own part of the configuration is not known."""
    if image is None:
        first = version if version[:1].isdigit() else "0"
        size = next(size for release, size in ROOMS if versions.key(first) >= versions.key(release))
        least = len(config_xml(LEAST, description, web=web)) + OWN
        return too_long(f"{least} bytes or more", f"{size} at most") if least > size else ""
    try:
        with image.open("rb") as stream:
            system, inode = _find(stream, image)
            length = len(config_xml(system.read(inode), description, web=web))
    except (BadFileSystem, ImageError):
        return ""  # the step that fills it says what is wrong with the image
    return too_long(f"{length} bytes", str(inode.size)) if length > inode.size else ""


def _find(stream: t.BinaryIO, image: Path) -> tuple[Ufs, Inode]:
    """The file system that holds the configuration, and the file."""
    systems = find_ufs(stream)
    for system in systems:
        inode = system.file(CONFIG)
        if inode.size > MAX_CONFIG:
            raise BadFileSystem(f"{CONFIG} has {inode.size} bytes")
        return system, inode
    raise ImageError(f"{image} is not a nano image of OPNsense: it has no UFS2 file system.", remedy=REMEDY)
