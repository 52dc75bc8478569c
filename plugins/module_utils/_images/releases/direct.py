# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an image that the user names: a URL, or a file on the controller or on the node."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._images import checksums
from ansible_collections.pve.provision.plugins.module_utils._images.http import shown
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import (
    Artefact,
    Key,
    Kind,
    Release,
    Verify,
)

COMPRESSIONS = ("gz", "xz", "zst", "bz2")
_ROOTFS = re.compile(r"\.tar(\.(gz|xz|zst|bz2))?$|\.tgz$")


def parse_checksum(text: str) -> tuple[str, str]:
    """(algorithm, hex) of ``sha256:<hex>``, or of a bare hex whose length tells. No md5 and no sha1."""
    algorithm, _colon, digest = text.strip().lower().rpartition(":")
    known = checksums.ALGORITHMS.get(len(digest), "")
    if re.fullmatch(r"[0-9a-f]+", digest) is None or known not in checksums.TRUSTED or algorithm not in ("", known):
        trusted = ", ".join(checksums.TRUSTED)
        raise InvalidInput(
            [Finding("checksum", text, "is not a checksum", f"Write ALGORITHM:HEX with one of {trusted}")]
        )
    return known, digest


def kind_of(name: str) -> Kind:
    """What a file name says it is: an ISO, a root file system archive, or else a disk image."""
    plain = name.lower()
    if plain.endswith(".iso"):
        return "iso"
    return "rootfs" if _ROOTFS.search(plain) else "disk"


def compression_of(name: str) -> str:
    """The compression that a file name ends with, or an empty string. ``.tgz`` is gzip."""
    end = name.lower().rpartition(".")[2]
    return "gz" if end == "tgz" else end if end in COMPRESSIONS else ""


@dataclass(frozen=True)
class Direct:
    """One file. ``location``: a URL or path; ``checksum``: see :func:`parse_checksum`; ``checksum_url``: of a list."""

    location: str
    checksum: str = ""
    checksum_url: str = ""
    name: str = "url"
    default: str = ""
    keys: tuple[Key, ...] | None = None
    verify: Verify = "checksum"

    def versions(self) -> tuple[str, ...]:
        return ()

    def resolve(self, wanted: str = "", arch: str = "amd64") -> Release:
        path = urlsplit(self.location).path if "://" in self.location else self.location
        name = path.rpartition("/")[2]
        if not name:
            raise InvalidInput(
                [Finding("url", shown(self.location), "names no file", "Give the whole URL of the image")]
            )
        artefact = Artefact(
            name=name,
            url=self.location,
            kind=kind_of(name),
            arch=arch,
            compression=compression_of(name),
            digest=parse_checksum(self.checksum) if self.checksum else None,
            checksum_url=self.checksum_url,
        )
        return Release(self.name, wanted or name, (artefact,), checksum_list=self.checksum_url or None)
