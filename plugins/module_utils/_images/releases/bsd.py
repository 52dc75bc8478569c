# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: FreeBSD's VM images and OPNsense's own images.

FreeBSD: ``releases/VM-IMAGES/<V>-RELEASE/<arch>/Latest/`` on download.freebsd.org with ``CHECKSUM.SHA512`` (BSD
lines); names as ``FreeBSD-14.3-RELEASE-amd64-BASIC-CLOUDINIT-ufs.qcow2.xz``, on arm ``arm64-aarch64`` under the
directory ``aarch64``. OPNsense: ``releases/<V>/OPNsense-<V>-checksums-amd64.sha256`` (BSD lines over the .bz2 files)
on pkg.opnsense.org and its mirrors, signed beside it in ``.sha256.sig`` (base64 of an RSA signature over SHA-256)
with a key of that release's own, so that a key has to be given by the user before a signature can be required
(OPNsense's installation manual).
"""

from __future__ import annotations

import re

from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import choose, subdirectories
from ansible_collections.pve.provision.plugins.module_utils._images.releases.listed import (
    Fields,
    Image,
    Layout,
    Signed,
    Site,
)


def _freebsd_versions(site: Site) -> list[str]:
    names = site.get("releases/VM-IMAGES/", subdirectories)
    return [name.removesuffix("-RELEASE") for name in names if re.fullmatch(r"\d+\.\d+-RELEASE", name)]


def _freebsd_place(site: Site, wanted: str, arch: str) -> Fields:
    version = choose("freebsd", wanted.removesuffix("-RELEASE"), _freebsd_versions(site))
    return {"version": version, "named": {"aarch64": "arm64-aarch64"}.get(arch, arch)}


_FREEBSD = r"FreeBSD-%(version)s-RELEASE-%(named)s"
FREEBSD = Layout(
    name="freebsd",
    base="https://download.freebsd.org",
    default="latest",
    arches={"amd64": "amd64", "arm64": "aarch64"},
    list_versions=_freebsd_versions,
    place=_freebsd_place,
    directory="releases/VM-IMAGES/%(version)s-RELEASE/%(arch)s/Latest",
    listing="CHECKSUM.SHA512",
    algorithm="sha512",
    images=(
        *(
            Image("disk", _FREEBSD + rf"-BASIC-CLOUDINIT[.-]{fs}\.qcow2\.xz", f"cloudinit-{fs}", "xz")
            for fs in ("ufs", "zfs")
        ),
        *(Image("disk", _FREEBSD + rf"-{fs}\.qcow2\.xz", fs, "xz") for fs in ("ufs", "zfs")),
        Image("disk", _FREEBSD + r"\.qcow2\.xz", "ufs", "xz"),
    ),
)


def _opnsense_versions(site: Site) -> list[str]:
    return [name for name in site.get("releases/", subdirectories) if re.fullmatch(r"\d+\.\d+(\.\d+)?", name)]


_OPNSENSE_LIST = "OPNsense-%(version)s-checksums-%(arch)s.sha256"
OPNSENSE = Layout(
    name="opnsense",
    base="https://pkg.opnsense.org",
    default="latest",
    arches={"amd64": "amd64"},
    list_versions=_opnsense_versions,
    directory="releases/%(version)s",
    listing=_OPNSENSE_LIST,
    algorithm="sha256",
    signed=Signed("openssl-sha256", _OPNSENSE_LIST + ".sig", ()),
    images=(
        *(
            Image("disk", rf"OPNsense-%(version)s-{flavour}-%(arch)s\.img\.bz2", flavour, "bz2")
            for flavour in ("nano", "vga", "serial")
        ),
        Image("iso", r"OPNsense-%(version)s-dvd-%(arch)s\.iso\.bz2", "dvd", "bz2"),
    ),
)
