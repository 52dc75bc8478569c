# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an image as a user names it, where a disk or a drive is made from one. Pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from ansible_collections.pve.provision.plugins.module_utils._model.codec import Codec

_VOLID = re.compile(r"[A-Za-z][A-Za-z0-9._-]*:[^/:][^:]*")
_COMPRESSED = re.compile(r"\.(gz|xz|zst|bz2)$")
_WAYS = ("name", "url", "file")


@dataclass(frozen=True)
class ImageName:
    """An image: by its ``name`` (``debian-13``), its ``url``, or as a ``file`` that is there (a volid, or a path).

    ``storage`` is where it is kept; ``variant`` tells apart those of one version. The rest is how it is verified."""

    name: str = ""
    url: str = ""
    file: str = ""
    checksum: str = ""
    checksum_url: str = ""
    storage: str = ""
    variant: str = ""
    verify: str = ""
    mirrors: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name or self.url or self.file

    @property
    def is_volume(self) -> bool:
        """Whether it is a volume of a storage."""
        return _VOLID.fullmatch(self.file) is not None

    @property
    def file_name(self) -> str:
        """The name that an ISO image gets on a storage; empty where only its source knows."""
        location = urlsplit(self.url).path or self.file
        name = _COMPRESSED.sub("", location.rpartition("/")[2].rpartition(":")[2])
        stem, _dot, end = name.rpartition(".")
        return name if end == "iso" or not stem else f"{stem}.img"


_LISTS = tuple(each.name for each in fields(ImageName) if each.default == ())
_TEXTS = tuple(each.name for each in fields(ImageName) if each.default == "")


def _accept(value: t.Any) -> ImageName:
    if isinstance(value, ImageName):
        return value
    given = {key: each for key, each in value.items() if each is not None} if isinstance(value, dict) else value
    if isinstance(given, str):
        return ImageName(name=given) if given.strip() else _refuse("is empty")
    if not isinstance(given, dict):
        return _refuse("is not an image; give a name such as debian-13, or url and checksum, or file")
    if unknown := sorted(set(given) - {*_LISTS, *_TEXTS}):
        return _refuse(f"has keys that mean nothing here: {', '.join(map(str, unknown))}")
    if sum(bool(given.get(way)) for way in _WAYS) != 1:
        return _refuse(f"has to say one of {', '.join(_WAYS)}, and only one")
    read: dict[str, t.Any] = {key: _list(each) if key in _LISTS else str(each) for key, each in given.items()}
    image = ImageName(**read)
    if image.verify not in ("", "required", "checksum", "none"):
        return _refuse("has another verify than required, checksum or none")
    if image.file and not (image.is_volume or image.file.startswith("/")):
        return _refuse("has a file that is neither a volume such as local:import/a.qcow2 nor an absolute path")
    return image


def _list(value: t.Any) -> t.Any:
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def _refuse(problem: str) -> ImageName:
    raise ValueError(problem)


IMAGE: t.Final = Codec(parse=lambda text: ImageName(file=text), accept=_accept, render=str, type="raw")
"""A disk's image. It is not a key of PVE's: before a disk is made, what it is imported from takes its place."""


def _accept_iso(value: t.Any) -> ImageName:
    """A text is a volume, as PVE itself has it."""
    return _accept({"file": value} if isinstance(value, str) and _VOLID.fullmatch(value) else value)


ISO: t.Final = Codec(parse=lambda text: ImageName(file=text), accept=_accept_iso, render=str, type="raw")
"""A drive's ISO image."""
