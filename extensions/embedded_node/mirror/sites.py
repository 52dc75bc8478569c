# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mirror holds: for each source a directory tree with the real site's names, lists and signatures."""

from __future__ import annotations

import bz2
import functools
import hashlib
import json
import lzma
import shutil
import time
import typing as t
from pathlib import Path

from ..state.disk_image import write_qcow2
from . import feeds, images
from .keys import Signer

_MIB = 1 << 20
_TARGETS = ("x86/64", "armsr/armv8")
OPENWRT_VERSIONS = ("23.05.5", "23.05.6", "24.10.0-rc1", "24.10.0", "24.10.3", "24.10.4", "25.12.0", "25.12.5")


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def _digest(path: Path, algorithm: str) -> str:
    return hashlib.new(algorithm, path.read_bytes()).hexdigest()


def _gnu(folder: Path, algorithm: str, mark: str = "*") -> bytes:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(f"{_digest(path, algorithm)} {mark}{path.relative_to(folder)}\n" for path in files).encode()


def _bsd(folder: Path, algorithm: str, *, sizes: bool = False) -> bytes:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    lines = [
        (f"# {path.name}: {path.stat().st_size} bytes\n" if sizes else "")
        + f"{algorithm.upper()} ({path.name}) = {_digest(path, algorithm)}\n"
        for path in files
    ]
    return "".join(lines).encode()


def _qcow2(note: str, size: int = 2 * _MIB) -> bytes:
    return images.qcow2(size, note.encode())


# -- OpenWrt -----------------------------------------------------------------------------------------------------------
@functools.cache
def _openwrt_disk(filesystem: str, boot: str) -> bytes:
    return images.gz(images.openwrt_disk(filesystem, boot))


def _openwrt_release(site: Path, version: str, signer: Signer) -> None:
    seed = hashlib.sha256(version.encode()).hexdigest()
    revision = f"r{int(seed[:4], 16)}-{seed[:10]}"
    snapshot = version == "SNAPSHOT"
    for target in _TARGETS:
        folder = site / feeds.root(version) / "targets" / target
        dashed = target.replace("/", "-")
        stem = f"openwrt-{dashed}" if snapshot else f"openwrt-{version}-{dashed}"
        trust = _openwrt_trust(version, target, signer)
        rootfs = images.gz(images.tar(images.openwrt_tree(version, revision, target, trust)))
        in_2512 = version.startswith("25.12.")
        late = in_2512 and int(version.split(".")[2].split("-")[0]) >= 5
        names = [f"{stem}-rootfs.tar.gz", *([f"{stem}-generic-targz-rootfs.tar.gz"] if late else [])]
        for name in names:
            _write(folder / name, rootfs)
        if in_2512 and not late:
            for bogus in ("combined", "combined-efi", "rootfs"):
                _write(folder / f"{stem}-generic-targz-{bogus}.img.gz", images.gz(b"not an image"))
        boots = ("combined", "combined-efi") if target == "x86/64" else ("combined-efi",)
        listed = []
        for filesystem in ("ext4", "squashfs"):
            for boot in boots:
                name = f"{stem}-generic-{filesystem}-{boot}.img.gz"
                _write(folder / name, _openwrt_disk(filesystem, boot) + images.openwrt_trailer(version))
                listed.append({"name": name, "type": boot, "sha256": _digest(folder / name, "sha256")})
        _write(folder / f"{stem}-generic.manifest", b"base-files - 1\nbusybox - 1\n")
        _write(folder / "version.buildinfo", f"{revision}\n".encode())
        _openwrt_packages(site, version, target, signer)
        profiles = {
            "arch_packages": images.openwrt_arch(target),
            "metadata_version": 1,
            "profiles": {"generic": {"images": listed, "titles": [{"title": "Generic"}]}},
            "source_date_epoch": int(time.time()) if snapshot else images.EPOCH,
            "target": target,
            "version_code": revision,
            "version_number": version,
        }
        _write(folder / "profiles.json", json.dumps(profiles).encode())
        _openwrt_sign(folder, signer)


def _openwrt_trust(version: str, target: str, signer: Signer) -> images.Tree:
    """What an image knows of the package feeds: where they are, and who signs them."""
    arch = images.openwrt_arch(target)
    if images.with_apk(version):
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
    arch = images.openwrt_arch(target)
    files = feeds.apk_files if images.with_apk(version) else feeds.opkg_files
    for feed, folder in feeds.folders(target, arch).items():
        for name, body in files(feed, arch, signer).items():
            _write(site / feeds.root(version) / folder / name, body)


def _openwrt_sign(folder: Path, signer: Signer) -> None:
    for name in ("sha256sums", "sha256sums.sig", "sha256sums.asc"):
        (folder / name).unlink(missing_ok=True)
    text = _gnu(folder, "sha256")
    _write(folder / "sha256sums", text)
    _write(folder / "sha256sums.sig", signer.usign(text))


def _openwrt_index(site: Path) -> None:
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
    _write(site / ".versions.json", json.dumps(index, indent=1).encode())


def _openwrt(site: Path, signer: Signer) -> None:
    for version in (*OPENWRT_VERSIONS, "SNAPSHOT"):
        _openwrt_release(site, version, signer)
    _openwrt_index(site)


# -- Debian, Ubuntu ----------------------------------------------------------------------------------------------------
def _debian_release(site: Path, version: str, _signer: Signer) -> None:
    series, build = version.split("-", 1)
    codename = {"11": "bullseye", "12": "bookworm", "13": "trixie"}[series]
    folder = site / "images" / "cloud" / codename / build
    for flavour in ("generic", "genericcloud", "nocloud"):
        for arch in ("amd64", "arm64"):
            name = f"debian-{series}-{flavour}-{arch}-{build}"
            _write(folder / f"{name}.qcow2", _qcow2(name))
            _write(folder / f"{name}.json", b"{}\n")
    _write(folder / "SHA512SUMS", _gnu(folder, "sha512", " "))


def _debian(site: Path, signer: Signer) -> None:
    for version in ("11-20250303-2040", "12-20250210-2019", "12-20250316-2053", "13-20250814-2204"):
        _debian_release(site, version, signer)


def _ubuntu_release(site: Path, version: str, signer: Signer) -> None:
    series, serial = version.split("-")
    folder = site / "releases" / series / f"release-{serial}"
    for arch in ("amd64", "arm64"):
        name = f"ubuntu-{series}-server-cloudimg-{arch}"
        _write(folder / f"{name}.img", _qcow2(f"{name} {serial}"))
        _write(folder / f"{name}-root.tar.xz", lzma.compress(images.tar({**images.LINUX, "etc/serial": serial}, "")))
    text = _gnu(folder, "sha256")
    _write(folder / "SHA256SUMS", text)
    _write(folder / "SHA256SUMS.gpg", signer.gpg_detached(text))
    _ubuntu_stream(site, signer)
    series_there = sorted(path.name for path in (site / "releases").iterdir() if path.name != "streams")
    products = [f"com.ubuntu.cloud:server:{s}:{arch}" for s in series_there for arch in ("amd64", "arm64")]
    stream = {"datatype": "image-downloads", "format": "products:1.0", "products": products}
    index = {"index": {"com.ubuntu.cloud:released:download": stream}, "format": "index:1.0"}
    _write(site / "releases" / "streams" / "v1" / "index.json", json.dumps(index).encode())


def _ubuntu_stream(site: Path, signer: Signer) -> None:
    """Which serial has which files, signed; the real one has products by code name and more of each item."""
    products: dict[str, dict[str, dict[str, dict[str, t.Any]]]] = {}
    for path in sorted((site / "releases").glob("*/release-*/ubuntu-*")):
        series, serial = path.parts[-3], path.parts[-2].removeprefix("release-")
        arch = "arm64" if "-arm64" in path.name else "amd64"
        versions = products.setdefault(f"com.ubuntu.cloud:server:{series}:{arch}", {"versions": {}})["versions"]
        kind = "root.tar.xz" if path.name.endswith(".tar.xz") else "disk1.img"
        where = f"server/releases/{series}/release-{serial}/{path.name}"
        item = {"ftype": kind, "path": where, "sha256": _digest(path, "sha256"), "size": path.stat().st_size}
        versions.setdefault(serial, {"items": {}})["items"][kind] = item
    stream = {"content_id": "com.ubuntu.cloud:released:download", "format": "products:1.0", "products": products}
    text = json.dumps(stream, indent=1, sort_keys=True) + "\n"
    path = site / "releases" / "streams" / "v1" / "com.ubuntu.cloud:released:download.sjson"
    _write(path, signer.gpg_clearsigned(text.encode()))


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
            _write(folder / name, _qcow2(name))
        listed = signer.gpg_clearsigned(_bsd(folder, "sha256", sizes=True))
        _write(folder / f"Fedora-Cloud-{version}-{arch}-CHECKSUM", listed)
    found = sorted((site / "pub").rglob("*.qcow2"))
    index = [
        {
            "version": path.parts[-5],
            "arch": path.parts[-3],
            "link": f"https://download.fedoraproject.org/{path.relative_to(site)}",
            "variant": "Cloud",
            "subvariant": "Cloud_Base",
            "sha256": _digest(path, "sha256"),
            "size": str(path.stat().st_size),
        }
        for path in found
    ]
    _write(site / "releases.json", json.dumps(index).encode())


def _fedora(site: Path, signer: Signer) -> None:
    for version in ("43-1.6", "44-1.7"):
        _fedora_release(site, version, signer)


def _rocky_release(site: Path, version: str, _signer: Signer) -> None:
    major = version.split(".")[0]
    folder = site / "pub" / "rocky" / major / "images" / "x86_64"
    (folder / "CHECKSUM").unlink(missing_ok=True)
    _write(folder / f"Rocky-{major}-GenericCloud-Base-{version}.x86_64.qcow2", _qcow2(version))
    _write(folder / f"Rocky-{major}-GenericCloud-Base.latest.x86_64.qcow2", _qcow2(version))
    _write(folder / "CHECKSUM", _bsd(folder, "sha256", sizes=True))


def _rocky(site: Path, signer: Signer) -> None:
    for version in ("9.5-20241118.0", "9.6-20250531.0", "10.0-20250609.1"):
        _rocky_release(site, version, signer)


def _alma_release(site: Path, version: str, signer: Signer) -> None:
    major = version.split(".")[0]
    folder = site / "almalinux" / major / "cloud" / "x86_64" / "images"
    for name in ("CHECKSUM", "CHECKSUM.asc"):
        (folder / name).unlink(missing_ok=True)
    _write(folder / f"AlmaLinux-{major}-GenericCloud-{version}.x86_64.qcow2", _qcow2(version))
    _write(folder / f"AlmaLinux-{major}-GenericCloud-latest.x86_64.qcow2", _qcow2(version))
    text = _gnu(folder, "sha256", " ")
    _write(folder / "CHECKSUM", text)
    _write(folder / "CHECKSUM.asc", signer.gpg_detached(text))


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
                _write(folder / name, lzma.compress(_qcow2(name)))
        _write(folder / "CHECKSUM.SHA512", _bsd(folder, "sha512"))


def _freebsd(site: Path, signer: Signer) -> None:
    for version in ("13.5", "14.3"):
        _freebsd_release(site, version, signer)


def _opnsense_release(site: Path, version: str, signer: Signer) -> None:
    folder = site / "releases" / version
    for kind in ("nano", "vga", "serial"):
        name = f"OPNsense-{version}-{kind}-amd64.img"
        _write(folder / f"{name}.bz2", bz2.compress(images.raw_disk(name.encode())))
    _write(folder / f"OPNsense-{version}-dvd-amd64.iso.bz2", bz2.compress(images.iso(f"OPNSENSE_{version}")))
    text = _bsd(folder, "sha256")
    _write(folder / f"OPNsense-{version}-checksums-amd64.sha256", text)
    _write(folder / f"OPNsense-{version}-checksums-amd64.sha256.sig", signer.rsa(text))
    _write(folder / f"OPNsense-{version}.pub", signer.rsa_public.encode())


def _opnsense(site: Path, signer: Signer) -> None:
    for version in ("25.1", "25.7"):
        _opnsense_release(site, version, signer)


# -- the others --------------------------------------------------------------------------------------------------------
def _alpine_release(site: Path, version: str, signer: Signer) -> None:
    branch = "v" + ".".join(version.split(".")[:2])
    for arch in ("x86_64", "aarch64"):
        folder = site / "alpine" / branch / "releases" / arch
        name = f"alpine-minirootfs-{version}-{arch}.tar.gz"
        says = f'NAME="Alpine Linux"\nID=alpine\nVERSION_ID={version}\nPRETTY_NAME="Alpine Linux {branch}"\n'
        tree = {**images.ALPINE, "etc/alpine-release": f"{version}\n", "etc/os-release": says}
        _write(folder / name, images.gz(images.tar(tree)))
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
            "sha256": _digest(folder / name, "sha256"),
            "sha512": _digest(folder / name, "sha512"),
        }
        text = "---\n-\n" + "".join(f"  {key}: {value}\n" for key, value in entry.items())
        _write(folder / "latest-releases.yaml", text.encode())
        cloud = site / "alpine" / branch / "releases" / "cloud"
        for boot in ("bios", "uefi"):
            image = cloud / f"nocloud_alpine-{version}-{arch}-{boot}-cloudinit-r0.qcow2"
            image.parent.mkdir(parents=True, exist_ok=True)
            write_qcow2(image, 2 * _MIB, iter([(0, image.name.encode()), (_MIB, says.encode())]))
            _beside(image, signer)
    link = site / "alpine" / "latest-stable"
    link.unlink(missing_ok=True)
    newest = max((path.name for path in (site / "alpine").glob("v*")), key=lambda b: int(b.split(".")[1]))
    link.symlink_to(newest)


def _beside(path: Path, signer: Signer) -> None:
    """Alpine's habit: a bare digest and a signature for each file."""
    for algorithm in ("sha256", "sha512"):
        _write(path.with_name(f"{path.name}.{algorithm}"), f"{_digest(path, algorithm)}  {path.name}\n".encode())
    _write(path.with_name(f"{path.name}.asc"), signer.gpg_detached(path.read_bytes()))


def _alpine(site: Path, signer: Signer) -> None:
    for version in ("3.21.4", "3.22.1"):
        _alpine_release(site, version, signer)


def _haos_release(site: Path, version: str, _signer: Signer) -> None:
    assets = []
    for board in ("ova", "generic-aarch64"):
        name = f"haos_{board}-{version}.qcow2.xz"
        relative = f"home-assistant/operating-system/releases/download/{version}/{name}"
        _write(site / relative, lzma.compress(_qcow2(name)))
        digest = f"sha256:{_digest(site / relative, 'sha256')}"
        size = (site / relative).stat().st_size
        url = f"https://github.com/{relative}"
        assets.append({"name": name, "size": size, "digest": digest, "browser_download_url": url})
    listing = site / "repos/home-assistant/operating-system/releases/tags" / version
    _write(listing, json.dumps({"tag_name": version, "assets": assets}).encode())
    for channel in ("stable", "beta", "dev"):
        boards = {"ova": version, "generic-aarch64": version, "rpi5-64": version}
        _write(site / f"{channel}.json", json.dumps({"channel": channel, "hassos": boards}).encode())


def _haos(site: Path, signer: Signer) -> None:
    for version in ("16.1", "16.2"):
        _haos_release(site, version, signer)


def _talos_release(site: Path, version: str, _signer: Signer) -> None:
    folder = site / "siderolabs/talos/releases/download" / f"v{version}"
    for arch in ("amd64", "arm64"):
        _write(folder / f"metal-{arch}.raw.zst", images.zstd(images.raw_disk(f"{version} {arch}".encode())))
        _write(folder / f"metal-{arch}.iso", images.iso(f"TALOS_{version}_{arch}"))
    _write(folder / "sha256sum.txt", _gnu(folder, "sha256", " "))
    names = [path.name for path in folder.parent.iterdir()]
    _write(site / "versions", json.dumps(sorted(names)).encode())


def _talos(site: Path, signer: Signer) -> None:
    for version in ("1.9.5", "1.10.0"):
        _talos_release(site, version, signer)


_APPLIANCES = (
    ("alpine-3.22-default", "20250617", "alpine", "tar.xz"),
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
    _write(path, pack(images.tar({**tree, "etc/os-release": f"ID={system.split('-')[0]}\nPRETTY_NAME={package}\n"})))
    return (
        f"Package: {package}\nVersion: {version}\nType: lxc\nOS: {system}\nSection: {section}\n"
        f"Maintainer: Local mirror <mirror@example.invalid>\nArchitecture: amd64\nLocation: {location}\n"
        f"md5sum: {_digest(path, 'md5')}\nsha512sum: {_digest(path, 'sha512')}\nInfopage: https://example.invalid\n"
        f"Description: {package} ({version})\n A small system for trying things out.\n\n"
    )


def _appliance_index(
    site: Path, folder: str, file: str, section: str, rows: t.Sequence[tuple[str, str, str, str]], signer: Signer
) -> None:
    text = "Package: pve-web-news\nDescription: News\n <b>Welcome</b>\n\n" if folder == "images" else ""
    text += "".join(_appliance(site, folder, section, *row) for row in rows)
    _write(site / folder / f"{file}.gz", images.gz(text.encode()))
    _write(site / folder / f"{file}.asc", signer.gpg_detached(text.encode()))


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


_MAKERS: dict[str, t.Callable[[Path, Signer], None]] = {
    "openwrt": _openwrt,
    "debian": _debian,
    "ubuntu": _ubuntu,
    "fedora": _fedora,
    "rocky": _rocky,
    "alma": _alma,
    "freebsd": _freebsd,
    "opnsense": _opnsense,
    "alpine": _alpine,
    "haos": _haos,
    "talos": _talos,
    "pveam": _pveam,
    "turnkeylinux": _turnkey,
}
_RELEASES: dict[str, t.Callable[[Path, str, Signer], None]] = {
    "openwrt": _openwrt_release,
    "debian": _debian_release,
    "ubuntu": _ubuntu_release,
    "fedora": _fedora_release,
    "rocky": _rocky_release,
    "alma": _alma_release,
    "freebsd": _freebsd_release,
    "opnsense": _opnsense_release,
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
        _openwrt_index(folder)
