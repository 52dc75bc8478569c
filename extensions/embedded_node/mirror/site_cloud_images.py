# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The download sites of cloud images: Debian, Ubuntu, the Red Hat family and the BSDs."""

from __future__ import annotations

import bz2
import json
import lzma
import typing as t
from pathlib import Path

from . import images
from .keys import Signer
from .opnsense_image import opnsense_nano
from .site_files import Makers, Releases, bsd, checksum, gnu, qcow2, write

# -- Debian, Ubuntu ----------------------------------------------------------------------------------------------------


def _debian_release(site: Path, version: str, _signer: Signer) -> None:
    series, build = version.split("-", 1)
    codename = {"11": "bullseye", "12": "bookworm", "13": "trixie"}[series]
    folder = site / "images" / "cloud" / codename / build
    for flavour in ("generic", "genericcloud", "nocloud"):
        for arch in ("amd64", "arm64"):
            name = f"debian-{series}-{flavour}-{arch}-{build}"
            write(folder / f"{name}.qcow2", qcow2(name, "debian", series))
            write(folder / f"{name}.json", b"{}\n")
    write(folder / "SHA512SUMS", gnu(folder, "sha512", " "))


def _debian(site: Path, signer: Signer) -> None:
    for version in ("11-20250303-2040", "12-20250210-2019", "12-20250316-2053", "13-20250814-2204"):
        _debian_release(site, version, signer)


def _ubuntu_release(site: Path, version: str, signer: Signer) -> None:
    series, serial = version.split("-")
    folder = site / "releases" / series / f"release-{serial}"
    for arch in ("amd64", "arm64"):
        name = f"ubuntu-{series}-server-cloudimg-{arch}"
        write(folder / f"{name}.img", qcow2(f"{name} {serial}", "ubuntu", series))
        write(folder / f"{name}-root.tar.xz", lzma.compress(images.tar({**images.LINUX, "etc/serial": serial}, "")))
    text = gnu(folder, "sha256")
    write(folder / "SHA256SUMS", text)
    write(folder / "SHA256SUMS.gpg", signer.gpg_detached(text))
    _ubuntu_stream(site, signer)
    series_there = sorted(path.name for path in (site / "releases").iterdir() if path.name != "streams")
    products = [f"com.ubuntu.cloud:server:{s}:{arch}" for s in series_there for arch in ("amd64", "arm64")]
    stream = {"datatype": "image-downloads", "format": "products:1.0", "products": products}
    index = {"index": {"com.ubuntu.cloud:released:download": stream}, "format": "index:1.0"}
    write(site / "releases" / "streams" / "v1" / "index.json", json.dumps(index).encode())


def _ubuntu_stream(site: Path, signer: Signer) -> None:
    """Which serial has which files, signed; the real one has products by code name and more of each item."""
    products: dict[str, dict[str, dict[str, dict[str, t.Any]]]] = {}
    for path in sorted((site / "releases").glob("*/release-*/ubuntu-*")):
        series, serial = path.parts[-3], path.parts[-2].removeprefix("release-")
        arch = "arm64" if "-arm64" in path.name else "amd64"
        versions = products.setdefault(f"com.ubuntu.cloud:server:{series}:{arch}", {"versions": {}})["versions"]
        kind = "root.tar.xz" if path.name.endswith(".tar.xz") else "disk1.img"
        where = f"server/releases/{series}/release-{serial}/{path.name}"
        item = {"ftype": kind, "path": where, "sha256": checksum(path, "sha256"), "size": path.stat().st_size}
        versions.setdefault(serial, {"items": {}})["items"][kind] = item
    stream = {"content_id": "com.ubuntu.cloud:released:download", "format": "products:1.0", "products": products}
    text = json.dumps(stream, indent=1, sort_keys=True) + "\n"
    path = site / "releases" / "streams" / "v1" / "com.ubuntu.cloud:released:download.sjson"
    write(path, signer.gpg_clearsigned(text.encode()))


def _ubuntu(site: Path, signer: Signer) -> None:
    for version in ("22.04-20250801", "24.04-20250704", "24.04-20250805", "25.04-20250806"):
        _ubuntu_release(site, version, signer)


# -- Red Hat's kin -----------------------------------------------------------------------------------------------------


def _fedora_release(site: Path, version: str, signer: Signer) -> None:
    major = version.split("-")[0]
    for arch in ("x86_64", "aarch64"):
        folder = site / "pub/fedora/linux/releases" / major / "Cloud" / arch / "images"
        for kind in ("Generic", "UEFI-UKI"):
            name = f"Fedora-Cloud-Base-{kind}-{version}.{arch}.qcow2"
            write(folder / name, qcow2(name, "fedora", major))
        listed = signer.gpg_clearsigned(bsd(folder, "sha256", sizes=True))
        write(folder / f"Fedora-Cloud-{version}-{arch}-CHECKSUM", listed)
    found = sorted((site / "pub").rglob("*.qcow2"))
    index = [
        {
            "version": path.parts[-5],
            "arch": path.parts[-3],
            "link": f"https://download.fedoraproject.org/{path.relative_to(site)}",
            "variant": "Cloud",
            "subvariant": "Cloud_Base",
            "sha256": checksum(path, "sha256"),
            "size": str(path.stat().st_size),
        }
        for path in found
    ]
    write(site / "releases.json", json.dumps(index).encode())


def _fedora(site: Path, signer: Signer) -> None:
    for version in ("43-1.6", "44-1.7"):
        _fedora_release(site, version, signer)


def _rocky_release(site: Path, version: str, _signer: Signer) -> None:
    major = version.split(".")[0]
    folder = site / "pub" / "rocky" / major / "images" / "x86_64"
    (folder / "CHECKSUM").unlink(missing_ok=True)
    write(folder / f"Rocky-{major}-GenericCloud-Base-{version}.x86_64.qcow2", qcow2(version, "rocky", version))
    write(folder / f"Rocky-{major}-GenericCloud-Base.latest.x86_64.qcow2", qcow2(version, "rocky", version))
    write(folder / "CHECKSUM", bsd(folder, "sha256", sizes=True))


def _rocky(site: Path, signer: Signer) -> None:
    for version in ("9.5-20241118.0", "9.6-20250531.0", "10.0-20250609.1"):
        _rocky_release(site, version, signer)


def _alma_release(site: Path, version: str, signer: Signer) -> None:
    major = version.split(".")[0]
    folder = site / "almalinux" / major / "cloud" / "x86_64" / "images"
    for name in ("CHECKSUM", "CHECKSUM.asc"):
        (folder / name).unlink(missing_ok=True)
    write(folder / f"AlmaLinux-{major}-GenericCloud-{version}.x86_64.qcow2", qcow2(version, "almalinux", version))
    write(folder / f"AlmaLinux-{major}-GenericCloud-latest.x86_64.qcow2", qcow2(version, "almalinux", version))
    text = gnu(folder, "sha256", " ")
    write(folder / "CHECKSUM", text)
    write(folder / "CHECKSUM.asc", signer.gpg_detached(text))


def _alma(site: Path, signer: Signer) -> None:
    for version in ("9.5-20241120", "9.6-20250522", "10.0-20250528.0"):
        _alma_release(site, version, signer)


# -- BSD ---------------------------------------------------------------------------------------------------------------


def _freebsd_release(site: Path, version: str, _signer: Signer) -> None:
    for arch, named in (("amd64", "amd64"), ("aarch64", "arm64-aarch64")):
        folder = site / "releases" / "VM-IMAGES" / f"{version}-RELEASE" / arch / "Latest"
        for flavour in ("", "-BASIC-CLOUDINIT"):
            for filesystem in ("ufs", "zfs"):
                name = f"FreeBSD-{version}-RELEASE-{named}{flavour}-{filesystem}.qcow2.xz"
                write(folder / name, lzma.compress(qcow2(name, "freebsd", version)))
        write(folder / "CHECKSUM.SHA512", bsd(folder, "sha512"))


def _freebsd(site: Path, signer: Signer) -> None:
    for version in ("13.5", "14.3"):
        _freebsd_release(site, version, signer)


def _opnsense_release(site: Path, version: str, signer: Signer) -> None:
    folder = site / "releases" / version
    write(folder / f"OPNsense-{version}-nano-amd64.img.bz2", bz2.compress(opnsense_nano(version)))
    for kind in ("vga", "serial"):
        name = f"OPNsense-{version}-{kind}-amd64.img"
        write(folder / f"{name}.bz2", bz2.compress(images.raw_disk(name.encode())))
    write(folder / f"OPNsense-{version}-dvd-amd64.iso.bz2", bz2.compress(images.iso(f"OPNSENSE_{version}")))
    text = bsd(folder, "sha256")
    write(folder / f"OPNsense-{version}-checksums-amd64.sha256", text)
    write(folder / f"OPNsense-{version}-checksums-amd64.sha256.sig", signer.rsa(text))
    write(folder / f"OPNsense-{version}.pub", signer.rsa_public.encode())


def _opnsense(site: Path, signer: Signer) -> None:
    for version in ("25.1", "25.7"):
        _opnsense_release(site, version, signer)


MAKERS: Makers = {
    "debian": _debian,
    "ubuntu": _ubuntu,
    "fedora": _fedora,
    "rocky": _rocky,
    "alma": _alma,
    "freebsd": _freebsd,
    "opnsense": _opnsense,
}
RELEASES: Releases = {
    "debian": _debian_release,
    "ubuntu": _ubuntu_release,
    "fedora": _fedora_release,
    "rocky": _rocky_release,
    "alma": _alma_release,
    "freebsd": _freebsd_release,
    "opnsense": _opnsense_release,
}
