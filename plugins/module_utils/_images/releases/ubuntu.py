# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: Ubuntu's cloud images, from cloud-images.ubuntu.com.

Shape: simplestreams ``releases/streams/v1/index.json`` names every product (``com.ubuntu.cloud:server:24.04:amd64``);
``releases/<V>/release-<serial>/`` holds ``SHA256SUMS`` (``hex *name``), ``SHA256SUMS.gpg`` and
``ubuntu-<V>-server-cloudimg-<arch>.img``, which is a qcow2 whatever its name says. Dated serials are taken rather
than the ``release`` link, whose files change under one name. ``SHA256SUMS`` names no serial, so an old one would do
for a new serial: which serial has which files is told by the signed stream ``com.ubuntu.cloud:released:download.sjson``
(products, versions, items with ``path`` and ``sha256``). Key: "UEC Image Automatic Signing Key", as Ubuntu
publishes its fingerprint.
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace

from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import (
    Binding,
    Key,
    Release,
    Signature,
    choose,
    json_document,
    subdirectories,
)
from ansible_collections.pve.provision.plugins.module_utils._images.releases.listed import (
    Fields,
    Image,
    Layout,
    Listed,
    Signed,
    Site,
)

STREAM = "releases/streams/v1/com.ubuntu.cloud:released:download.sjson"
_FINGERPRINT = "D2EB44626FDDC30B513D5BB71A5D6C4C7DB87C81"


def _series(body: bytes) -> list[str]:
    streams = json_document(body)["index"]
    products = [str(p) for stream in streams.values() for p in stream.get("products", ())]
    found = {m[1] for p in products if (m := re.fullmatch(r"com\.ubuntu\.cloud:server:(\d+\.\d+):\w+", p))}
    if not found:
        raise ValueError("no products")
    return sorted(found)


def _versions(site: Site) -> list[str]:
    return site.get("releases/streams/v1/index.json", _series)


def is_lts(series: str) -> bool:
    """Every second year's April release."""
    year, _dot, month = series.partition(".")
    return month == "04" and int(year) % 2 == 0


def _release(site: Site, wanted: str, _arch: str) -> Fields:
    series, _dash, serial = wanted.partition("-")
    available = _versions(site)
    if series in ("lts", "latest"):
        available = [v for v in available if is_lts(v) or series == "latest"]
        series = ""
    chosen = choose("ubuntu", series, available)
    serials = [
        name.removeprefix("release-")
        for name in site.get(f"releases/{chosen}/", subdirectories)
        if re.fullmatch(r"release-\d{8}(\.\d+)?", name)
    ]
    dated = choose(f"ubuntu {chosen}", serial, serials)
    return {"version": f"{chosen}-{dated}", "series": chosen, "dated": dated}


_KEYS = (Key(_FINGERPRINT, url=f"https://keyserver.ubuntu.com/pks/lookup?op=get&search=0x{_FINGERPRINT}"),)
LAYOUT = Layout(
    name="ubuntu",
    base="https://cloud-images.ubuntu.com",
    default="lts",
    arches={"amd64": "amd64", "arm64": "arm64"},
    list_versions=_versions,
    place=_release,
    directory="releases/%(series)s/release-%(dated)s",
    listing="SHA256SUMS",
    algorithm="sha256",
    signed=Signed(
        "gpg-detached",
        "SHA256SUMS.gpg",
        _KEYS,
    ),
    verify="required",
    images=(
        Image("disk", r"ubuntu-%(series)s-server-cloudimg-%(arch)s\.img", "server", format="qcow2"),
        Image("rootfs", r"ubuntu-%(series)s-server-cloudimg-%(arch)s-root\.tar\.xz", "server", "xz"),
    ),
)


def _files(body: bytes, product: str, serial: str) -> dict[str, str]:
    """The files of one serial of a product, and their SHA-256; none where the stream does not know it."""
    found = json_document(body)["products"].get(product, {})
    items = found.get("versions", {}).get(serial, {}).get("items", {})
    return {str(item["path"]).rpartition("/")[2]: str(item["sha256"]) for item in items.values() if "path" in item}


class Ubuntu(Listed):
    """Ubuntu. The stream ties the files of a list to their serial."""

    def resolve(self, wanted: str = "", arch: str = "amd64") -> Release:
        release = super().resolve(wanted, arch)
        series, _dash, serial = release.version.partition("-")
        product = f"com.ubuntu.cloud:server:{series}:{self.layout.arches[arch]}"
        url = self.site.urls(STREAM)[0]
        digests = functools.partial(_files, product=product, serial=serial)
        return replace(release, binding=Binding(url, Signature("gpg-clearsigned", url, _KEYS), digests))
