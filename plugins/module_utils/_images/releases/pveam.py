# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: PVE's appliance index, the templates that ``pveam`` offers.

Fetched gzipped; the detached signature ``.asc`` covers the unpacked text. PVE keeps the keys in its own
keyring on every node.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, ImageError, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import (
    Artefact,
    Key,
    Read,
    Release,
    Signature,
    Verify,
    clean_bases,
)
from ansible_collections.pve.provision.plugins.module_utils._images.releases.listed import Site
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order
from ansible_collections.pve.provision.plugins.module_utils._io.compression import gunzipped
from ansible_collections.pve.provision.plugins.module_utils._model.appliances import Appliance, Fields, paragraphs
from ansible_collections.pve.provision.plugins.module_utils._model.template_name import newest_match

KEYRING = "/usr/share/doc/pve-manager/trustedkeys.gpg"
KEYS = tuple(
    Key(fingerprint, path=KEYRING)
    for fingerprint in (
        "24B30F06ECC1836A4E5EFECBA7BCD1420BFE778E",  # Proxmox Trixie
        "F4E136C67CDCE41AE6DE6FC81140AF8F639E0C39",  # Proxmox Bookworm
        "694CFF26795A29BAE07B4EB585C25E95A16EB94D",  # TurnKey Linux
    )
)
#: Bytes of an index, unpacked; the real one has less than one MiB.
MOST: t.Final = 64 << 20


def _index(body: bytes) -> tuple[bytes, list[Fields]]:
    text = gunzipped(body, MOST)
    appliances = paragraphs(text.decode("utf-8"))
    if not appliances:
        raise ValueError("no appliances")
    return text, appliances


def name_of(appliance: Fields) -> str:
    """The template's file name."""
    return appliance["location"].rpartition("/")[2]


@dataclass(frozen=True)
class Appliances:
    """One appliance index. ``wanted``: a package (its newest version), the beginning of its name (the newest package),
    or a template's whole file name."""

    read: Read
    mirrors: tuple[str, ...] = ()
    name: str = "pveam"
    default: str = ""
    base: str = "http://download.proxmox.com"
    folder: str = "images"
    file: str = "aplinfo-pve-9.dat"
    keys: tuple[Key, ...] | None = KEYS
    verify: Verify = "required"

    @property
    def site(self) -> Site:
        return Site(self.read, clean_bases(self.base, self.mirrors))

    def versions(self) -> tuple[str, ...]:
        _text, appliances = self.site.get(f"{self.folder}/{self.file}.gz", _index)
        return tuple(sorted({name_of(a) for a in appliances if a.get("type", "lxc") == "lxc"}))

    def resolve(self, wanted: str = "", arch: str = "amd64") -> Release:
        text, appliances = self.site.get(f"{self.folder}/{self.file}.gz", _index)
        templates = [a for a in appliances if a.get("type", "lxc") == "lxc" and a.get("architecture", "amd64") == arch]
        fitting = [a for a in templates if wanted in (a["package"], name_of(a), f"{a['package']}_{a['version']}")]
        if wanted and not fitting:  # the beginning of a name, as ostemplate takes it
            file = newest_match(wanted, map(name_of, templates))
            fitting = [a for a in templates if name_of(a) == file]
        if not wanted or not fitting:
            near = sorted({a["package"] for a in templates if wanted.split("-")[0] in a["package"]})[:12]
            raise InvalidInput(
                [
                    Finding(
                        "version", wanted, f"is not in the list of {self.name}", f"Near it: {', '.join(near) or 'none'}"
                    )
                ]
            )
        newest = max(fitting, key=lambda a: order.key(a["version"]))
        if "sha512sum" not in newest:
            raise ImageError(f"{self.name} lists {name_of(newest)} without a checksum.", remedy="Name another version.")
        location = newest["location"]
        relative = f"{self.folder}/{location}"
        url, others = (location, ()) if re.match(r"[a-z]+://", location, re.IGNORECASE) else self.site.urls(relative)
        artefact = Artefact(
            name=name_of(newest),
            url=url,
            kind="rootfs",
            arch=arch,
            variant=newest.get("section", ""),
            compression=location.rpartition(".")[2],
            digest=("sha512", newest["sha512sum"].lower()),
            mirrors=others,
        )
        listing = self.site.urls(f"{self.folder}/{self.file}")[0]
        return Release(
            source=self.name,
            version=f"{newest['package']}_{newest['version']}",
            artefacts=(artefact,),
            checksum_list=f"{listing}.gz",
            checksum_kind="aplinfo",
            checksum_text=text,
            signature=Signature("gpg-detached", f"{listing}.asc", KEYS),
        )


@dataclass(frozen=True)
class NodesAppliances:
    """The index that a node has: PVE has downloaded and verified it. ``wanted``: a template's whole file name.

    ``verify``: what has to be proven of a file: its digest, or nothing where PVE itself fetches and verifies it."""

    known: tuple[Appliance, ...]
    verify: Verify = "checksum"
    name: str = "pveam"
    default: str = ""
    keys: tuple[Key, ...] | None = None

    def versions(self) -> tuple[str, ...]:
        return tuple(appliance.file for appliance in self.known)

    def resolve(self, wanted: str = "", arch: str = "amd64") -> Release:
        found = next((each for each in self.known if (each.file, each.arch) == (wanted, arch)), None)
        if found is None:
            raise InvalidInput([Finding("version", wanted, "is not in this node's index of templates")])
        artefact = Artefact(
            name=found.file,
            url=found.url,
            kind="rootfs",
            arch=arch,
            compression=found.file.rpartition(".")[2],
            digest=("sha512", found.sha512) if found.sha512 else None,
            offered_by_pve=True,
        )
        return Release(self.name, f"{found.package}_{found.version}", (artefact,))
