# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: Debian's cloud images, from cloud.debian.org.

Shape: ``images/cloud/<codename>/<YYYYMMDD-NNNN>/`` with ``SHA512SUMS`` (GNU) over names that carry the build, for
instance ``debian-12-genericcloud-amd64-20250316-2053.qcow2``; directory listings are Apache's. Dated builds are taken
rather than the ``latest`` link, whose files change under one name. Debian does not sign these lists.
"""

from __future__ import annotations

import re

from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import choose, subdirectories
from ansible_collections.pve.provision.plugins.module_utils._images.releases.listed import Fields, Image, Layout, Site

CODENAMES = {"11": "bullseye", "12": "bookworm", "13": "trixie"}


def _versions(site: Site) -> list[str]:
    there = set(site.get("images/cloud/", subdirectories))
    return [number for number, codename in CODENAMES.items() if codename in there]


def _release(site: Site, wanted: str, _arch: str) -> Fields:
    by_name = {codename: number for number, codename in CODENAMES.items()}
    series, _dash, build = by_name.get(wanted, wanted).partition("-")
    if series not in CODENAMES:
        series = choose("debian", series, _versions(site))
    codename = CODENAMES[series]
    builds = [
        name
        for name in site.get(f"images/cloud/{codename}/", subdirectories)
        if re.fullmatch(r"\d{8}-\d+", name) and build in ("", name)
    ]
    dated = choose(f"debian {series}", build, builds)
    return {"version": f"{series}-{dated}", "series": series, "codename": codename, "dated": dated}


LAYOUT = Layout(
    name="debian",
    base="https://cloud.debian.org",
    default="latest",
    arches={"amd64": "amd64", "arm64": "arm64"},
    list_versions=_versions,
    place=_release,
    directory="images/cloud/%(codename)s/%(dated)s",
    listing="SHA512SUMS",
    algorithm="sha512",
    images=tuple(
        Image("disk", rf"debian-%(series)s-{flavour}-%(arch)s-%(dated)s\.qcow2", flavour)
        for flavour in ("genericcloud", "generic", "nocloud")
    ),
)
