# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: Talos Linux, from its image factory's index and its GitHub releases.

Shape: ``factory.talos.dev/versions`` is a JSON list of ``v``-names, pre-releases among them; a release on GitHub holds
``sha256sum.txt`` (GNU lines), ``metal-<arch>.raw.zst`` (``.raw.xz`` and ``nocloud-<arch>.raw.xz`` before 1.8) and
``metal-<arch>.iso``. The list is not signed. What the factory builds to order has no list: use source url for it.
"""

from __future__ import annotations

from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import json_document
from ansible_collections.pve.provision.plugins.module_utils._images.releases.listed import Image, Layout, Site


def _names(body: bytes) -> list[str]:
    names = [str(name).removeprefix("v") for name in json_document(body)]
    if not names:
        raise ValueError("no versions")
    return names


def _versions(site: Site) -> list[str]:
    return site.get("versions", _names)


LAYOUT = Layout(
    name="talos",
    base="https://factory.talos.dev",
    files="https://github.com",
    default="latest",
    arches={"amd64": "amd64", "arm64": "arm64"},
    list_versions=_versions,
    directory="siderolabs/talos/releases/download/v%(version)s",
    listing="sha256sum.txt",
    algorithm="sha256",
    elsewhere="The image factory builds nocloud images: give url (factory.talos.dev/image/SCHEMATIC/vVERSION/"
    "nocloud-amd64.raw.xz) and checksum in image.",
    images=(
        Image("disk", r"nocloud-%(arch)s\.raw\.zst", "nocloud", "zst"),
        Image("disk", r"nocloud-%(arch)s\.raw\.xz", "nocloud", "xz"),
        Image("disk", r"metal-%(arch)s\.raw\.zst", "metal", "zst"),
        Image("disk", r"metal-%(arch)s\.raw\.xz", "metal", "xz"),
        Image("iso", r"metal-%(arch)s\.iso", "metal"),
    ),
)
