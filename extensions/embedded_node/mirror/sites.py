# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mirror holds: for each source a directory tree with the real site's names, lists and signatures."""

from __future__ import annotations

import json
import lzma
import shutil
import typing as t
from pathlib import Path

from . import images, site_cloud_images, site_openwrt
from .keys import Signer
from .site_files import Makers, Releases, checksum, gnu, os_release, qcow2, write
from .site_openwrt import openwrt_index


def _alpine_release(site: Path, version: str, signer: Signer) -> None:
    branch = "v" + ".".join(version.split(".")[:2])
    for arch in ("x86_64", "aarch64"):
        folder = site / "alpine" / branch / "releases" / arch
        name = f"alpine-minirootfs-{version}-{arch}.tar.gz"
        says = f'NAME="Alpine Linux"\nID=alpine\nVERSION_ID={version}\nPRETTY_NAME="Alpine Linux {branch}"\n'
        tree = {**images.ALPINE, "etc/alpine-release": f"{version}\n", "etc/os-release": says}
        write(folder / name, images.gz(images.tar(tree)))
        _beside(folder / name, signer)
        entry = {
            "title": '"Mini root filesystem"',
            "desc": "|\n    Minimal root filesystem.\n    For use in containers\n    and minimal chroots.",
            "branch": branch,
            "arch": arch,
            "version": version,
            "flavor": "alpine-minirootfs",
            "file": name,
            "iso": name,
            "date": "2025-07-16",
            "time": "17:22:02",
            "size": str((folder / name).stat().st_size),
            "sha256": checksum(folder / name, "sha256"),
            "sha512": checksum(folder / name, "sha512"),
        }
        text = "---\n-\n" + "".join(f"  {key}: {value}\n" for key, value in entry.items())
        write(folder / "latest-releases.yaml", text.encode())
        cloud = site / "alpine" / branch / "releases" / "cloud"
        for boot in ("bios", "uefi"):
            image = cloud / f"nocloud_alpine-{version}-{arch}-{boot}-cloudinit-r0.qcow2"
            write(image, qcow2(image.name, "alpine", version))
            _beside(image, signer)
    link = site / "alpine" / "latest-stable"
    link.unlink(missing_ok=True)
    newest = max((path.name for path in (site / "alpine").glob("v*")), key=lambda b: int(b.split(".")[1]))
    link.symlink_to(newest)


def _beside(path: Path, signer: Signer) -> None:
    """Alpine's habit: a bare digest and a signature for each file."""
    for algorithm in ("sha256", "sha512"):
        write(path.with_name(f"{path.name}.{algorithm}"), f"{checksum(path, algorithm)}  {path.name}\n".encode())
    write(path.with_name(f"{path.name}.asc"), signer.gpg_detached(path.read_bytes()))


def _alpine(site: Path, signer: Signer) -> None:
    for version in ("3.21.4", "3.22.1"):
        _alpine_release(site, version, signer)


def _haos_release(site: Path, version: str, _signer: Signer) -> None:
    assets = []
    for board in ("ova", "generic-aarch64"):
        name = f"haos_{board}-{version}.qcow2.xz"
        relative = f"home-assistant/operating-system/releases/download/{version}/{name}"
        write(site / relative, lzma.compress(qcow2(name, "hassos", version)))
        digest = f"sha256:{checksum(site / relative, 'sha256')}"
        size = (site / relative).stat().st_size
        url = f"https://github.com/{relative}"
        assets.append({"name": name, "size": size, "digest": digest, "browser_download_url": url})
    listing = site / "repos/home-assistant/operating-system/releases/tags" / version
    write(listing, json.dumps({"tag_name": version, "assets": assets}).encode())
    for channel in ("stable", "beta", "dev"):
        boards = {"ova": version, "generic-aarch64": version, "rpi5-64": version}
        write(site / f"{channel}.json", json.dumps({"channel": channel, "hassos": boards}).encode())


def _haos(site: Path, signer: Signer) -> None:
    for version in ("16.1", "16.2"):
        _haos_release(site, version, signer)


def _talos_release(site: Path, version: str, _signer: Signer) -> None:
    folder = site / "siderolabs/talos/releases/download" / f"v{version}"
    for arch in ("amd64", "arm64"):
        body = images.raw_disk(f"{version} {arch}".encode(), os_release("talos", version))
        write(folder / f"metal-{arch}.raw.zst", images.zstd(body))
        write(folder / f"metal-{arch}.iso", images.iso(f"TALOS_{version}_{arch}"))
    write(folder / "sha256sum.txt", gnu(folder, "sha256", " "))
    names = [path.name for path in folder.parent.iterdir()]
    write(site / "versions", json.dumps(sorted(names)).encode())


def _talos(site: Path, signer: Signer) -> None:
    for version in ("1.9.5", "1.10.0"):
        _talos_release(site, version, signer)


_APPLIANCES = (
    ("alpine-3.22-default", "20250617", "alpine", "tar.xz"),
    ("debian-11-standard", "11.7-1", "debian-11", "tar.zst"),
    ("debian-12-standard", "12.12-1", "debian-12", "tar.zst"),
    ("debian-13-standard", "13.1-2", "debian-13", "tar.zst"),
    ("ubuntu-24.04-standard", "24.04-2", "ubuntu-24.04", "tar.zst"),
)


def _appliance(site: Path, folder: str, section: str, package: str, version: str, system: str, end: str) -> str:
    """Make a template and return its paragraph."""
    pack: t.Callable[[bytes], bytes] = {"tar.xz": lzma.compress, "tar.zst": images.zstd, "tar.gz": images.gz}[end]
    tree = images.ALPINE if system == "alpine" else images.LINUX
    location = f"{section}/{package}_{version}_amd64.{end}"
    path = site / folder / location
    write(path, pack(images.tar({**tree, "etc/os-release": f"ID={system.split('-')[0]}\nPRETTY_NAME={package}\n"})))
    return (
        f"Package: {package}\nVersion: {version}\nType: lxc\nOS: {system}\nSection: {section}\n"
        f"Maintainer: Local mirror <mirror@example.invalid>\nArchitecture: amd64\nLocation: {location}\n"
        f"md5sum: {checksum(path, 'md5')}\nsha512sum: {checksum(path, 'sha512')}\nInfopage: https://example.invalid\n"
        f"Description: {package} ({version})\n A small system for trying things out.\n\n"
    )


def _appliance_index(
    site: Path, folder: str, file: str, section: str, rows: t.Sequence[tuple[str, str, str, str]], signer: Signer
) -> None:
    text = "Package: pve-web-news\nDescription: News\n <b>Welcome</b>\n\n" if folder == "images" else ""
    text += "".join(_appliance(site, folder, section, *row) for row in rows)
    write(site / folder / f"{file}.gz", images.gz(text.encode()))
    write(site / folder / f"{file}.asc", signer.gpg_detached(text.encode()))


def _pveam(site: Path, signer: Signer) -> None:
    _appliance_index(site, "images", "aplinfo-pve-9.dat", "system", _APPLIANCES, signer)


def _pveam_release(site: Path, version: str, signer: Signer) -> None:
    """``version`` is package_version; the index lists it with all the others."""
    package, number = version.rsplit("_", 1)
    row = next(row for row in _APPLIANCES if row[0] == package)
    rows = [*_APPLIANCES, (package, number, *row[2:])]
    _appliance_index(site, "images", "aplinfo-pve-9.dat", "system", rows, signer)


def _turnkey(site: Path, signer: Signer) -> None:
    rows = [("debian-12-turnkey-core", "18.1-1", "debian-12", "tar.gz")]
    _appliance_index(site, "pve", "aplinfo.dat", "turnkeylinux", rows, signer)


_MAKERS: Makers = {
    **site_openwrt.MAKERS,
    **site_cloud_images.MAKERS,
    "alpine": _alpine,
    "haos": _haos,
    "talos": _talos,
    "pveam": _pveam,
    "turnkeylinux": _turnkey,
}
_RELEASES: Releases = {
    **site_openwrt.RELEASES,
    **site_cloud_images.RELEASES,
    "alpine": _alpine_release,
    "haos": _haos_release,
    "talos": _talos_release,
    "pveam": _pveam_release,
}
NAMES: tuple[str, ...] = tuple(_MAKERS)


def make(site: str, folder: Path, signer: Signer) -> None:
    """Make a site's whole tree; the folder appears when it is complete."""
    scratch = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)  # of one that was interrupted
    scratch.mkdir(parents=True)
    _MAKERS[site](scratch, signer)
    scratch.rename(folder)


def release(site: str, folder: Path, version: str, signer: Signer) -> None:
    """Publish one more version."""
    _RELEASES[site](folder, version, signer)
    if site == "openwrt":
        openwrt_index(folder)
