# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: Alpine Linux, from dl-cdn.alpinelinux.org: the mini root filesystem and the cloud images.

Shape: ``alpine/`` lists the branches (``v3.22/``) and the link ``latest-stable``;
``<branch>/releases/<arch>/latest-releases.yaml`` is a flat YAML list with flavor, file, version, size, sha256 and
sha512; ``<branch>/releases/cloud/`` lists ``nocloud_alpine-<V>-<arch>-<bios|uefi>-cloudinit-r<N>.qcow2``, each with a
``.sha512`` (bare hex) and an ``.asc`` beside it. Every file is signed by itself, with the release key that
alpinelinux.org/downloads names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import (
    Artefact,
    Key,
    Read,
    Release,
    Signature,
    Verify,
    choose,
    clean_bases,
    directory_names,
    subdirectories,
    their_arch,
)
from ansible_collections.pve.provision.plugins.module_utils._images.releases.listed import Site
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order

BASE = "https://dl-cdn.alpinelinux.org"
ARCHES = {"amd64": "x86_64", "arm64": "aarch64"}
KEYS = (Key("0482D84022F52DF1C4E7CD43293ACD0907D9495A", url="https://alpinelinux.org/keys/ncopa.asc"),)
_CLOUD = (
    r"nocloud_alpine-(?P<version>\d+\.\d+\.\d+)-%s-"
    r"(?P<variant>(?:bios|uefi)-(?:cloudinit|tiny))-r(?P<revision>\d+)\.qcow2"
)


def flat_yaml(body: bytes) -> list[dict[str, str]]:
    """The entries of Alpine's index: a list of maps of plain strings, block texts left out."""
    entries: list[dict[str, str]] = []
    for line in body.decode("utf-8").splitlines():
        if line.rstrip() == "-":
            entries.append({})
        pair = re.fullmatch(r"[ -] (\w+): *(\S.*?) *", line)
        if pair and entries:
            entries[-1][pair[1]] = pair[2].strip("\"'")
    if not any("file" in entry for entry in entries):
        raise ValueError("no releases")
    return entries


@dataclass(frozen=True)
class Alpine:
    """Alpine Linux. ``wanted``: a branch (``3.22``), a version (``3.22.1``) or ``latest``."""

    read: Read
    mirrors: tuple[str, ...] = ()
    name: str = "alpine"
    default: str = "latest"
    keys: tuple[Key, ...] | None = KEYS
    verify: Verify = "required"

    @property
    def site(self) -> Site:
        return Site(self.read, clean_bases(BASE, self.mirrors))

    def versions(self) -> tuple[str, ...]:
        names = self.site.get("alpine/", subdirectories)
        return order.descending(m[1] for name in names if (m := re.fullmatch(r"v(\d+\.\d+)", name)))

    def resolve(self, wanted: str = "", arch: str = "amd64") -> Release:
        theirs = their_arch(self.name, arch, ARCHES)
        wanted = wanted or "latest"
        branch = "latest-stable"
        if wanted != "latest":
            branch = "v" + choose(self.name, ".".join(order.tokens(wanted)[:2]), self.versions())
        listing = f"alpine/{branch}/releases/{theirs}/latest-releases.yaml"
        entries = self.site.get(listing, flat_yaml)
        mini = next((entry for entry in entries if entry.get("flavor") == "alpine-minirootfs"), None)
        if mini is None:
            raise ImageError(f"alpine {branch} lists no mini rootfs for {arch}.", remedy="Name another branch.")
        version = mini["version"]
        if wanted != "latest" and not order.matches(wanted, version):
            version = wanted
        folder = f"alpine/v{'.'.join(order.tokens(version)[:2])}/releases"
        rootfs = self._rootfs(f"{folder}/{theirs}", version, arch, theirs, mini)
        artefacts = [rootfs, *self._cloud(folder, version, arch)]
        return Release(self.name, version, tuple(artefacts))

    def _rootfs(self, folder: str, version: str, arch: str, theirs: str, newest: dict[str, str]) -> Artefact:
        listed = newest["version"] == version
        name = newest["file"] if listed else f"alpine-minirootfs-{version}-{theirs}.tar.gz"
        url, others = self.site.urls(f"{folder}/{name}")
        return Artefact(
            name=name,
            url=url,
            kind="rootfs",
            arch=arch,
            compression="gz",
            size=int(newest["size"]) if listed and newest.get("size", "").isdigit() else None,
            digest=("sha512", newest["sha512"]) if listed and "sha512" in newest else None,
            mirrors=others,
            checksum_url=f"{url}.sha512",
            signature=Signature("gpg-detached", f"{url}.asc", KEYS, "artefact"),
        )

    def _cloud(self, folder: str, version: str, arch: str) -> list[Artefact]:
        """The cloud images of a version, those with cloud-init and BIOS first; none where the branch has none."""
        pattern = re.compile(_CLOUD % ARCHES[arch])
        try:
            names = self.site.get(f"{folder}/cloud/", directory_names)
        except ImageError:
            return []
        hits = [m for name in names if (m := pattern.fullmatch(name)) and m["version"] == version]
        newest: dict[str, re.Match[str]] = {}
        for match in sorted(hits, key=lambda m: int(m["revision"])):
            newest[match["variant"]] = match
        artefacts: list[Artefact] = []
        for variant, match in sorted(newest.items()):
            url, others = self.site.urls(f"{folder}/cloud/{match.string}")
            artefacts.append(
                Artefact(
                    name=match.string,
                    url=url,
                    kind="disk",
                    arch=arch,
                    variant=variant,
                    mirrors=others,
                    checksum_url=f"{url}.sha512",
                    signature=Signature("gpg-detached", f"{url}.asc", KEYS, "artefact"),
                )
            )
        return artefacts
