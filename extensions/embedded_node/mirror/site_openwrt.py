# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenWrt's download site: releases, snapshots, package feeds."""

from __future__ import annotations

import functools
import hashlib
import json
import time
import typing as t
import zlib
from pathlib import Path

from . import feeds, images, openwrt_image
from .keys import Signer
from .site_files import Makers, Releases, checksum, gnu, write

_TARGETS = ("x86/64", "armsr/armv8")
OPENWRT_VERSIONS = ("23.05.5", "23.05.6", "24.10.0-rc1", "24.10.0", "24.10.3", "24.10.4", "25.12.0", "25.12.5")


@functools.cache
def _compressed_disk(filesystem: str, boot: str) -> tuple[bytes, t.Any, bytes]:
    """A disk image up to where the release stands, compressed; what goes on with that; and what comes after it."""
    disk = openwrt_image.openwrt_disk(filesystem, boot)
    head, mark, tail = disk.partition(openwrt_image.NO_RELEASE)
    gzip = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return gzip.compress(head), gzip, tail if mark else b""


def _openwrt_disk(filesystem: str, boot: str, version: str, revision: str) -> bytes:
    head, gzip, tail = _compressed_disk(filesystem, boot)
    gzip = gzip.copy()
    return head + gzip.compress(openwrt_image.release_text(version, revision) + tail) + gzip.flush()


def _openwrt_release(site: Path, version: str, signer: Signer) -> None:
    seed = hashlib.sha256(version.encode()).hexdigest()
    revision = f"r{int(seed[:4], 16)}-{seed[:10]}"
    snapshot = version == "SNAPSHOT"
    for target in _TARGETS:
        folder = site / feeds.root(version) / "targets" / target
        dashed = target.replace("/", "-")
        stem = f"openwrt-{dashed}" if snapshot else f"openwrt-{version}-{dashed}"
        trust = _openwrt_trust(version, target, signer)
        rootfs = images.gz(images.tar(openwrt_image.openwrt_tree(version, revision, target, trust)))
        in_2512 = version.startswith("25.12.")
        late = in_2512 and int(version.split(".")[2].split("-")[0]) >= 5
        names = [f"{stem}-rootfs.tar.gz", *([f"{stem}-generic-targz-rootfs.tar.gz"] if late else [])]
        for name in names:
            write(folder / name, rootfs)
        if in_2512 and not late:
            for bogus in ("combined", "combined-efi", "rootfs"):
                write(folder / f"{stem}-generic-targz-{bogus}.img.gz", images.gz(b"not an image"))
        boots = ("combined", "combined-efi") if target == "x86/64" else ("combined-efi",)
        listed = []
        for filesystem in ("ext4", "squashfs"):
            for boot in boots:
                name = f"{stem}-generic-{filesystem}-{boot}.img.gz"
                disk = _openwrt_disk(filesystem, boot, version, revision)
                write(folder / name, disk + openwrt_image.openwrt_trailer(version))
                listed.append({"name": name, "type": boot, "sha256": checksum(folder / name, "sha256")})
        write(folder / f"{stem}-generic.manifest", b"base-files - 1\nbusybox - 1\n")
        write(folder / "version.buildinfo", f"{revision}\n".encode())
        _openwrt_packages(site, version, target, signer)
        profiles = {
            "arch_packages": openwrt_image.openwrt_arch(target),
            "metadata_version": 1,
            "profiles": {"generic": {"images": listed, "titles": [{"title": "Generic"}]}},
            "source_date_epoch": int(time.time()) if snapshot else images.EPOCH,
            "target": target,
            "version_code": revision,
            "version_number": version,
        }
        write(folder / "profiles.json", json.dumps(profiles).encode())
        _openwrt_sign(folder, signer)


def _openwrt_trust(version: str, target: str, signer: Signer) -> images.Tree:
    """What an image knows of the package feeds: where they are, and who signs them."""
    arch = openwrt_image.openwrt_arch(target)
    if openwrt_image.with_apk(version):
        return {
            "etc/apk/arch": f"{arch}\n",
            "etc/apk/keys/local-mirror.pem": signer.usign_key_file,
            "etc/apk/repositories.d/distfeeds.list": feeds.repositories(version, target, arch),
        }
    return {
        f"etc/opkg/keys/{signer.usign_key_id}": signer.usign_key_file,
        "etc/opkg/distfeeds.conf": feeds.distfeeds(version, target, arch),
    }


def _openwrt_packages(site: Path, version: str, target: str, signer: Signer) -> None:
    """The package feeds of a release for one target."""
    arch = openwrt_image.openwrt_arch(target)
    files = feeds.apk_files if openwrt_image.with_apk(version) else feeds.opkg_files
    for feed, folder in feeds.folders(target, arch).items():
        for name, body in files(feed, arch, signer).items():
            write(site / feeds.root(version) / folder / name, body)


def _openwrt_sign(folder: Path, signer: Signer) -> None:
    for name in ("sha256sums", "sha256sums.sig", "sha256sums.asc"):
        (folder / name).unlink(missing_ok=True)
    text = gnu(folder, "sha256")
    write(folder / "sha256sums", text)
    write(folder / "sha256sums.sig", signer.usign(text))


def openwrt_index(site: Path) -> None:
    """The list of all releases."""
    there = [path.name for path in (site / "releases").iterdir()]
    final = sorted((v for v in there if "-" not in v), key=lambda v: [int(n) for n in v.split(".")])
    stable = final[-1]
    old = [v for v in final if v.split(".")[:2] != stable.split(".")[:2]]
    # As the real one: x.y.0 comes after its candidates, and nothing else is in any order that could be relied on.
    versions = sorted(there, key=lambda v: (v.split(".")[:2], v.endswith(".0"), v))
    index = {
        "stable_version": stable,
        "oldstable_version": old[-1] if old else "",
        "upcoming_version": "",
        "versions_list": versions,
    }
    write(site / ".versions.json", json.dumps(index, indent=1).encode())


def _openwrt(site: Path, signer: Signer) -> None:
    for version in (*OPENWRT_VERSIONS, "SNAPSHOT"):
        _openwrt_release(site, version, signer)
    openwrt_index(site)


MAKERS: Makers = {
    "openwrt": _openwrt,
}
RELEASES: Releases = {
    "openwrt": _openwrt_release,
}
