# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the cloud images of Fedora, Rocky Linux and AlmaLinux.

Fedora: ``fedoraproject.org/releases.json`` (a list of objects with version, arch, variant, subvariant, link, sha256,
size); beside the images a clearsigned BSD list ``Fedora-Cloud-<V>-<arch>-CHECKSUM``. Keys:
fedoraproject.org/security. Rocky: ``pub/rocky/<major>/images/<arch>/CHECKSUM``, BSD lines with size comments, dated
builds and a ``latest`` link together. Alma: ``almalinux/<major>/cloud/<arch>/images/CHECKSUM``, GNU lines, with
``CHECKSUM.asc`` beside it. Dated builds are taken rather than the ``latest`` links.
"""

from __future__ import annotations

import re

from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import (
    Key,
    choose,
    json_document,
    path_of,
    subdirectories,
)
from ansible_collections.pve.provision.plugins.module_utils._images.releases.listed import (
    Fields,
    Image,
    Layout,
    Signed,
    Site,
)
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order

ARCHES = {"amd64": "x86_64", "arm64": "aarch64"}


def _fedora_images(body: bytes) -> dict[str, str]:
    """Build (``44-1.7``) and architecture, joined by a blank, to the directory of the Cloud Base images."""
    found: dict[str, str] = {}
    for entry in json_document(body):
        name = re.search(r"/([^/]*-Generic[^/]*)\.qcow2$", entry["link"])
        if entry["variant"] != "Cloud" or name is None:
            continue
        build = re.search(r"-(\d+(?:_Beta)?-\d[\d.]*\d)(?=[.-]|$)", name[1])
        if build is not None:
            found[f"{build[1]} {entry['arch']}"] = path_of(entry["link"]).rpartition("/")[0]
    if not found:
        raise ValueError("no cloud images")
    return found


def _fedora_versions(site: Site) -> list[str]:
    return [key.split()[0] for key in site.get("releases.json", _fedora_images)]


def _fedora_place(site: Site, wanted: str, arch: str) -> Fields:
    images = site.get("releases.json", _fedora_images)
    build = choose("fedora", wanted, [key.split()[0] for key in images if key.endswith(f" {arch}")])
    return {"version": build, "folder": images[f"{build} {arch}"]}


_FEDORA_KEYS = (
    "B0F4950458F69E1150C6C5EDC8AC4916105EF944",  # 42
    "C6E7F081CF80E13146676E88829B606631645531",  # 43
    "36F612DCF27F7D1A48A835E4DBFCF71C6D9F90A6",  # 44
    "4F50A6114CD5C6976A7F1179655A4B02F577861E",  # 45
    "D924B10D3E810DABDD8B56B596E7E91491211FCE",  # 46
)
FEDORA = Layout(
    name="fedora",
    base="https://fedoraproject.org",
    files="https://download.fedoraproject.org",
    default="latest",
    arches=ARCHES,
    list_versions=_fedora_versions,
    place=_fedora_place,
    directory="%(folder)s",
    listing="Fedora-Cloud-%(version)s-%(arch)s-CHECKSUM",
    algorithm="sha256",
    signed=Signed(
        "gpg-clearsigned",
        "Fedora-Cloud-%(version)s-%(arch)s-CHECKSUM",
        tuple(Key(fingerprint, url="https://fedoraproject.org/fedora.gpg") for fingerprint in _FEDORA_KEYS),
    ),
    verify="required",
    images=(
        Image("disk", r"Fedora-Cloud-Base-Generic-%(version)s\.%(arch)s\.qcow2", "generic"),
        Image("disk", r"Fedora-Cloud-Base-Generic\.%(arch)s-%(version)s\.qcow2", "generic"),
    ),
)


def _majors(folder: str, site: Site) -> list[str]:
    return [name for name in site.get(f"{folder}/", subdirectories) if re.fullmatch(r"\d+", name)]


def _major_place(source: str, folder: str, site: Site, wanted: str) -> Fields:
    """``9``, ``9.6`` and ``9.6-20250531`` all lie in the directory of ``9``; what follows narrows the build down."""
    if wanted == "latest":
        return {"version": (major := choose(source, "", _majors(folder, site))), "major": major}
    major = order.tokens(wanted)[0] if order.tokens(wanted) else wanted
    if not major.isdigit():
        choose(source, wanted, _majors(folder, site))
    return {"version": major, "major": major, "build": wanted}


def _rocky_place(site: Site, wanted: str, _arch: str) -> Fields:
    return _major_place("rocky", "pub/rocky", site, wanted)


def _alma_place(site: Site, wanted: str, _arch: str) -> Fields:
    return _major_place("alma", "almalinux", site, wanted)


ROCKY = Layout(
    name="rocky",
    base="https://dl.rockylinux.org",
    default="latest",
    arches=ARCHES,
    list_versions=lambda site: _majors("pub/rocky", site),
    place=_rocky_place,
    directory="pub/rocky/%(major)s/images/%(arch)s",
    listing="CHECKSUM",
    algorithm="sha256",
    images=(
        Image("disk", r"Rocky-%(major)s-GenericCloud-Base-(?P<build>\d+\.\d+-[\d.]+)\.%(arch)s\.qcow2", "generic"),
        Image("disk", r"Rocky-%(major)s-GenericCloud-LVM-(?P<build>\d+\.\d+-[\d.]+)\.%(arch)s\.qcow2", "lvm"),
    ),
)
ALMA = Layout(
    name="alma",
    base="https://repo.almalinux.org",
    default="latest",
    arches=ARCHES,
    list_versions=lambda site: _majors("almalinux", site),
    place=_alma_place,
    directory="almalinux/%(major)s/cloud/%(arch)s/images",
    listing="CHECKSUM",
    algorithm="sha256",
    signed=Signed(
        "gpg-detached",
        "CHECKSUM.asc",
        tuple(
            Key(fingerprint, url="https://repo.almalinux.org/almalinux/RPM-GPG-KEY-AlmaLinux-%(major)s")
            for fingerprint in (
                "BF18AC2876178908D6E71267D36CB86CB86B3716",  # 9
                "EE6DB7B98F5BF5EDD9DA0DE5DEE5C11CC2A1E572",  # 10
            )
        ),
    ),
    verify="required",
    images=(Image("disk", r"AlmaLinux-%(major)s-GenericCloud-(?P<build>\d+\.\d+-[\d.]+)\.%(arch)s\.qcow2", "generic"),),
)
