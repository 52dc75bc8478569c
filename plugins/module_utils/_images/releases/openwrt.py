# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: OpenWrt, from downloads.openwrt.org.

Shape: ``.versions.json`` (stable_version, oldstable_version, upcoming_version, versions_list; the list is not
sorted), one directory a release and target with ``sha256sums`` (``hex *name``), ``sha256sums.sig`` (usign) and
``profiles.json``, all as OpenWrt's own downloads page and ASU server read them. Names: the rootfs has no "generic" up
to 25.12.4, later releases add ``-generic-targz-rootfs.tar.gz``; 25.12.0 to .4 also publish bogus
``-generic-targz-*.img.gz``, which no pattern here fits. Keys: OpenWrt's keyring (usign); the unattended builds' key
also signs 25.12.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import (
    Key,
    Release,
    choose,
    json_document,
)
from ansible_collections.pve.provision.plugins.module_utils._images.releases.listed import (
    Fields,
    Image,
    Layout,
    Listed,
    Signed,
    Site,
)

#: What tells of a snapshot which one it is.
FACTS: t.Final = "profiles.json"
KEYS = (
    Key("d310c6f2833e97f7", "RWTTEMbygz6X95lKDAulctZy3aj15823THXfyrfXgwGbxZlXBd2brNcw"),  # 24.10
    Key("b5043e70f9a75cde", "RWS1BD5w+adc3j2Hqg9+b66CvLR7NlHbsj7wjNVj0XGt/othDgIAOJS+"),  # snapshots, 25.12
    Key("4d017e6f1ed5d616", "RWRNAX5vHtXWFmt+n5di7XX8rTu0w+c8X7Ihv4oCyD6tzsUwmH0A6kO0"),  # 22.03
    Key("2f8b0b98e08306bf", "RWQviwuY4IMGvwLfs6842A0m4EZU1IjczTxKMSk3BQP8DAQLHBwdQiaU"),  # 21.02
)
# The names of a release hold its version, those of a snapshot none; so the signed list of one is not that of another.
_PREFIX = r"openwrt-%(named)s%(dashed)s-(?:generic-)?"


def _index(body: bytes) -> dict[str, t.Any]:
    document = json_document(body)
    document["versions_list"]  # a page without it is not the index
    return dict(document)


def _versions(site: Site) -> list[str]:
    index = site.get(".versions.json", _index)
    return [v for v in index["versions_list"] if isinstance(v, str) and v]


def _release(site: Site, wanted: str, target: str) -> Fields:
    common = {"target": target, "dashed": target.replace("/", "-")}
    if wanted.lower() == "snapshot":
        return {**common, "version": "snapshot", "named": "", "root": "snapshots"}
    if wanted == "latest":
        version = str(site.get(".versions.json", lambda body: _index(body)["stable_version"]))
    else:
        version = choose("openwrt", wanted, _versions(site))
    return {**common, "version": version, "named": f"{version}-", "root": f"releases/{version}"}


LAYOUT = Layout(
    name="openwrt",
    base="https://downloads.openwrt.org",
    default="24",
    arches={"amd64": "x86/64", "arm64": "armsr/armv8"},
    list_versions=_versions,
    place=_release,
    directory="%(root)s/targets/%(target)s",
    listing="sha256sums",
    algorithm="sha256",
    signed=Signed("usign", "sha256sums.sig", KEYS),
    verify="required",
    images=(
        Image("rootfs", _PREFIX + r"(?:targz-)?rootfs\.tar\.gz", "", "gz"),
        *(
            Image("disk", _PREFIX + rf"{fs}-{boot}\.img\.gz", f"{fs}-{boot}", "gz")
            for fs in ("ext4", "squashfs")
            for boot in ("combined-efi", "combined")
        ),
    ),
)


class OpenWrt(Listed):
    """OpenWrt. A snapshot's version is its revision, its ``built`` the date of its source; both are told by a file
    that its signed list has to hold."""

    def resolve(self, wanted: str = "", arch: str = "amd64") -> Release:
        release = super().resolve(wanted, arch)
        if release.version != "snapshot":
            return release
        directory = self.layout.directory % _release(self.site, "snapshot", self.layout.arches[arch])
        body, (code, built) = self.site.get(f"{directory}/profiles.json", lambda body: (body, _snapshot_facts(body)))
        return replace(release, version=f"snapshot-{code}", built=built, facts=(FACTS, body))


def _snapshot_facts(body: bytes) -> tuple[str, int]:
    profiles = json_document(body)
    return str(profiles["version_code"]), int(profiles["source_date_epoch"])


def refuse_old(release: Release, days: int, now: float) -> None:
    """Raise when a release says that it was made more than ``days`` ago (0: any age will do)."""
    if release.built is None or not days:
        return
    age = (now - release.built) / 86400
    if age > days:
        raise ImageError(
            f"{release.source} {release.version} was made {age:.0f} days ago; at most {days} are allowed.",
            remedy="Raise the age limit, name a release instead of a snapshot, or look whether the mirror still syncs.",
        )
