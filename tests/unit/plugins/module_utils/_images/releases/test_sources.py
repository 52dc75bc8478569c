# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every source resolves what is asked for from index texts in the real sites' shapes."""

from __future__ import annotations

import gzip
import json
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._images import releases
from ansible_collections.pve.provision.plugins.module_utils._images.releases import alpine, direct, openwrt
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import Release, plain

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
LONG_A, LONG_B = ("a" * 128, "b" * 128)


def index(*names: str) -> bytes:
    """An Apache directory listing."""
    rows = "".join(
        f'<tr><td><a href="{name}">{name}</a></td><td align="right">2026-01-01</td></tr>\n' for name in names
    )
    return (
        f'<html><table><a href="?C=N;O=D">Name</a><a href="/pub/">Parent Directory</a>\n{rows}</table></html>'.encode()
    )


def gnu(digest: str, *names: str, star: str = "*") -> bytes:
    return "".join(f"{digest} {star}{name}\n" for name in names).encode()


def bsd(digest: str, *names: str, algorithm: str = "SHA256") -> bytes:
    return "".join(f"# {name}: 12 bytes\n{algorithm} ({name}) = {digest}\n" for name in names).encode()


OPENWRT_VERSIONS = {
    "stable_version": "25.12.5",
    "oldstable_version": "24.10.10",
    "upcoming_version": "",
    "versions_list": ["23.05.6", "24.10.9", "24.10.10", "24.10.0-rc1", "24.10.0", "25.12.0", "25.12.5"],
}


def openwrt_list(version: str, *extra: str, target: str = "x86-64") -> bytes:
    prefix = f"openwrt-{version}-{target}" if version else f"openwrt-{target}"
    images = (f"{fs}-{boot}.img.gz" for fs in ("ext4", "squashfs") for boot in ("combined", "combined-efi", "rootfs"))
    return gnu(
        A,
        *(f"{prefix}-generic-{image}" for image in images),
        f"{prefix}-generic.manifest",
        f"packages/{prefix}-rootfs.tar.gz",
        *extra,
    )


CLOUD_44 = "pub/fedora/linux/releases/44/Cloud/x86_64/images"
FEDORA = "https://download.fedoraproject.org/pub/fedora/linux/releases"
SITES: dict[str, dict[str, bytes]] = {
    "openwrt": {
        ".versions.json": json.dumps(OPENWRT_VERSIONS).encode(),
        **{
            f"releases/{v}/targets/x86/64/sha256sums": openwrt_list(v, f"openwrt-{v}-x86-64-rootfs.tar.gz")
            for v in ("23.05.6", "24.10.9", "24.10.10", "24.10.0-rc1", "25.12.0")
        },
        "releases/25.12.5/targets/x86/64/sha256sums": openwrt_list(
            "25.12.5",
            "openwrt-25.12.5-x86-64-generic-targz-combined.img.gz",
            "openwrt-25.12.5-x86-64-generic-targz-combined-efi.img.gz",
            "openwrt-25.12.5-x86-64-generic-targz-rootfs.img.gz",
            "openwrt-25.12.5-x86-64-generic-targz-rootfs.tar.gz",
        ),
        "releases/24.10.10/targets/armsr/armv8/sha256sums": openwrt_list(
            "24.10.10", "openwrt-24.10.10-armsr-armv8-rootfs.tar.gz", target="armsr-armv8"
        ),
        "snapshots/targets/x86/64/sha256sums": openwrt_list("", "openwrt-x86-64-rootfs.tar.gz"),
        "snapshots/targets/x86/64/profiles.json": json.dumps(
            {"version_code": "r32156-abcdef", "version_number": "SNAPSHOT", "source_date_epoch": 1_700_000_000}
        ).encode(),
    },
    "debian": {
        "images/cloud/": index("bookworm/", "bookworm-backports/", "bullseye/", "sid/", "trixie/"),
        "images/cloud/bookworm/": index("20250210-2019/", "20250316-2053/", "daily/", "latest/"),
        "images/cloud/trixie/": index("20250814-2204/", "latest/"),
        **{
            f"images/cloud/{codename}/{build}/SHA512SUMS": gnu(
                LONG_A,
                *(
                    f"debian-{number}-{flavour}-{arch}-{build}.{end}"
                    for flavour in ("azure-dev", "generic", "genericcloud", "nocloud")
                    for arch in ("amd64", "arm64")
                    for end in ("json", "qcow2", "raw", "tar.xz")
                ),
                star=" ",
            )
            for number, codename, build in (
                ("12", "bookworm", "20250210-2019"),
                ("12", "bookworm", "20250316-2053"),
                ("13", "trixie", "20250814-2204"),
            )
        },
    },
    "ubuntu": {
        "releases/streams/v1/index.json": json.dumps(
            {
                "index": {
                    "com.ubuntu.cloud:released:aws": {"products": ["com.ubuntu.cloud:server:22.04:amd64"]},
                    "com.ubuntu.cloud:released:download": {
                        "products": [
                            f"com.ubuntu.cloud:server:{v}:{arch}"
                            for v in ("22.04", "24.04", "24.10", "25.10")
                            for arch in ("amd64", "arm64")
                        ]
                    },
                },
                "format": "index:1.0",
            }
        ).encode(),
        "releases/22.04/": index("release/", "release-20250801/", "release-20250801.1/"),
        "releases/24.04/": index("release-20240423/", "release-20250805/", "release/"),
        "releases/25.10/": index("release-20251020/"),
        **{
            f"releases/{v}/release-{serial}/SHA256SUMS": gnu(
                A,
                *(
                    f"ubuntu-{v}-server-cloudimg-{arch}{end}"
                    for arch in ("amd64", "arm64")
                    for end in (".img", "-root.tar.xz", ".squashfs", ".tar.gz")
                ),
            )
            for v, serial in (
                ("22.04", "20250801.1"),
                ("24.04", "20240423"),
                ("24.04", "20250805"),
                ("25.10", "20251020"),
            )
        },
    },
    "fedora": {
        "releases.json": json.dumps(
            [
                {
                    "version": version,
                    "arch": arch,
                    "link": f"{FEDORA}/{version}/{variant}/{arch}/images/{name}",
                    "variant": variant,
                    "subvariant": variant,
                    "sha256": A,
                    "size": "12",
                }
                for version, build in (("43", "43-1.6"), ("44", "44-1.7"))
                for arch in ("x86_64", "aarch64")
                for variant, name in (
                    ("Cloud", f"Fedora-Cloud-Base-Generic-{build}.{arch}.qcow2"),
                    ("Cloud", f"Fedora-Cloud-Base-UEFI-UKI-{build}.{arch}.qcow2"),
                    ("Server", f"Fedora-Server-dvd-{arch}-{build}.iso"),
                )
            ]
        ).encode(),
        **{
            f"pub/fedora/linux/releases/{build[:2]}/Cloud/{arch}/images/Fedora-Cloud-{build}-{arch}-CHECKSUM": (
                b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
                + bsd(
                    A,
                    f"Fedora-Cloud-Base-Generic-{build}.{arch}.qcow2",
                    f"Fedora-Cloud-Base-UEFI-UKI-{build}.{arch}.qcow2",
                )
                + b"-----BEGIN PGP SIGNATURE-----\n\niQIz\n-----END PGP SIGNATURE-----\n"
            )
            for build in ("43-1.6", "44-1.7")
            for arch in ("x86_64", "aarch64")
        },
    },
    "rocky": {
        "pub/rocky/": index("8/", "9/", "9.6/", "10/", "RPM-GPG-KEY-rockyofficial"),
        "pub/rocky/9/images/x86_64/CHECKSUM": bsd(
            A,
            "Rocky-9-GenericCloud-Base-9.5-20241118.0.x86_64.qcow2",
            "Rocky-9-GenericCloud-Base-9.6-20250531.0.x86_64.qcow2",
            "Rocky-9-GenericCloud-Base.latest.x86_64.qcow2",
            "Rocky-9-GenericCloud-LVM-9.6-20250531.0.x86_64.qcow2",
            "Rocky-9-GenericCloud.latest.x86_64.qcow2",
        ),
        "pub/rocky/10/images/x86_64/CHECKSUM": bsd(A, "Rocky-10-GenericCloud-Base-10.0-20250609.1.x86_64.qcow2"),
    },
    "alma": {
        "almalinux/": index("8/", "8.10/", "9/", "10/"),
        "almalinux/9/cloud/x86_64/images/CHECKSUM": gnu(
            A,
            "AlmaLinux-9-GenericCloud-9.5-20241120.x86_64.qcow2",
            "AlmaLinux-9-GenericCloud-9.6-20250522.x86_64.qcow2",
            "AlmaLinux-9-GenericCloud-latest.x86_64.qcow2",
            "AlmaLinux-9-OpenNebula-9.6-20250522.x86_64.qcow2",
            star=" ",
        ),
        "almalinux/10/cloud/x86_64/images/CHECKSUM": gnu(A, "AlmaLinux-10-GenericCloud-10.0-20250528.0.x86_64.qcow2"),
    },
    "freebsd": {
        "releases/VM-IMAGES/": index("13.5-RELEASE/", "14.3-RELEASE/", "14.2-RELEASE/", "15.0-RC1/", "README.txt"),
        "releases/VM-IMAGES/14.3-RELEASE/amd64/Latest/CHECKSUM.SHA512": bsd(
            LONG_A,
            *(
                f"FreeBSD-14.3-RELEASE-amd64{flavour}-{fs}.{end}.xz"
                for flavour in ("", "-BASIC-CLOUDINIT")
                for fs in ("ufs", "zfs")
                for end in ("qcow2", "raw", "vmdk")
            ),
            algorithm="SHA512",
        ),
        "releases/VM-IMAGES/14.3-RELEASE/aarch64/Latest/CHECKSUM.SHA512": bsd(
            LONG_A, "FreeBSD-14.3-RELEASE-arm64-aarch64-ufs.qcow2.xz", algorithm="SHA512"
        ),
    },
    "opnsense": {
        "releases/": index("24.7/", "25.1/", "25.7/", "mirror/"),
        "releases/25.7/OPNsense-25.7-checksums-amd64.sha256": bsd(
            A,
            *(
                f"OPNsense-25.7-{kind}-amd64.{end}"
                for kind, end in (("dvd", "iso.bz2"), ("nano", "img.bz2"), ("vga", "img.bz2"))
            ),
        ),
    },
    "talos": {
        "versions": json.dumps(["v1.7.6", "v1.10.0", "v1.9.5", "v1.11.0-alpha.1"]).encode(),
        "siderolabs/talos/releases/download/v1.10.0/sha256sum.txt": gnu(
            A, "metal-amd64.iso", "metal-amd64.raw.zst", "metal-arm64.raw.zst", "talosctl-linux-amd64", star=" "
        ),
        "siderolabs/talos/releases/download/v1.7.6/sha256sum.txt": gnu(
            A, "nocloud-amd64.raw.xz", "metal-amd64.raw.xz", "metal-amd64.iso", star=" "
        ),
    },
    "alpine": {
        "alpine/": index("edge/", "latest-stable/", "v3.9/", "v3.21/", "v3.22/"),
        **{
            f"alpine/{branch}/releases/x86_64/latest-releases.yaml": (
                "---\n-\n"
                '  title: "Standard"\n  desc: |\n    Alpine as it was intended.\n    Just enough to get you started.\n'
                f"  branch: v{version[:4]}\n  version: {version}\n  flavor: alpine-standard\n"
                f"  file: alpine-standard-{version}-x86_64.iso\n  size: 9\n  sha512: {LONG_B}\n-\n"
                '  title: "Mini root filesystem"\n  desc: |\n    Minimal root filesystem.\n'
                f"  branch: v{version[:4]}\n  arch: x86_64\n  version: {version}\n  flavor: alpine-minirootfs\n"
                f"  file: alpine-minirootfs-{version}-x86_64.tar.gz\n  iso: alpine-minirootfs-{version}-x86_64.tar.gz\n"
                f"  date: 2025-07-16\n  time: 17:22:02\n  size: 3500000\n  sha256: {A}\n  sha512: {LONG_A}\n"
            ).encode()
            for branch, version in (("latest-stable", "3.22.1"), ("v3.22", "3.22.1"), ("v3.21", "3.21.4"))
        },
        "alpine/v3.22/releases/cloud/": index(
            *(
                f"{cloud}_alpine-{version}-{arch}-{boot}-cloudinit-r{revision}.qcow2{end}"
                for cloud in ("aws", "nocloud")
                for version in ("3.22.0", "3.22.1")
                for arch in ("x86_64", "aarch64")
                for boot in ("bios", "uefi")
                for revision in (0, 1)
                for end in ("", ".asc", ".sha512")
            )
        ),
    },
    "haos": {
        **{
            f"{channel}.json": json.dumps(
                {"channel": channel, "hassos": {"ova": version, "generic-aarch64": version, "rpi4": "1.0"}}
            ).encode()
            for channel, version in (("stable", "16.2"), ("beta", "16.3.rc1"), ("dev", "17.0.dev20251101"))
        },
        **{
            f"repos/home-assistant/operating-system/releases/tags/{version}": json.dumps(
                {
                    "tag_name": version,
                    "assets": [
                        {
                            "name": f"haos_{board}-{version}.qcow2.xz",
                            "size": 510014132,
                            "digest": f"sha256:{A}",
                            "browser_download_url": "https://github.com/home-assistant/operating-system/releases/"
                            f"download/{version}/haos_{board}-{version}.qcow2.xz",
                        }
                        for board in ("ova", "generic-aarch64")
                    ],
                }
            ).encode()
            for version in ("16.1", "16.2", "16.3.rc1")
        },
    },
    "pveam": {
        "images/aplinfo-pve-9.dat.gz": gzip.compress(
            (
                "Package: pve-web-news\nDescription: News\n  <b>Welcome</b>\n  more: text\n\n"
                + "".join(
                    f"Package: {package}\nVersion: {version}\nType: lxc\nOS: debian-13\nSection: {section}\n"
                    f"Maintainer: Proxmox Support Team <support@proxmox.com>\nArchitecture: amd64\n"
                    f"Location: {section}/{package}_{version}_amd64.tar.zst\nmd5sum: {'d' * 32}\nsha512sum: {LONG_A}\n"
                    f"Infopage: https://pve.proxmox.com/wiki\nDescription: {package}\n A small system.\n\n"
                    for package, version, section in (
                        ("debian-13-standard", "13.9-1", "system"),
                        ("debian-13-standard", "13.10-1", "system"),
                        ("debian-12-standard", "12.12-1", "system"),
                        ("proxmox-mail-gateway-9.0-standard", "9.0-1", "mail"),
                    )
                )
            ).encode()
        ),
    },
    "turnkeylinux": {
        "pve/aplinfo.dat.gz": gzip.compress(
            (
                "Package: debian-12-turnkey-core\nVersion: 18.1-1\nType: lxc\nOS: debian-12\nSection: turnkeylinux\n"
                "Architecture: amd64\nLocation: https://elsewhere.example/debian-12-turnkey-core_18.1-1_amd64.tar.gz\n"
                f"sha512sum: {LONG_B}\nInfopage: https://www.turnkeylinux.org/core\nDescription: Core\n"
            ).encode()
        ),
    },
}


def resolve(source: str, wanted: str = "", arch: str = "amd64", **replaced: bytes) -> Release:
    pages = {f"http://mirror/{path}": body for path, body in {**SITES[source], **replaced}.items()}

    def get(url: str) -> bytes:
        if url not in pages:
            raise ImageError(f"404 {url}")
        return pages[url]

    return releases.open_source(source, plain(get), ["http://mirror/"]).resolve(wanted, arch)


def verification(source: str) -> str:
    """What a source's files have to prove by default."""
    return releases.open_source(source, plain(lambda url: b""), ["http://mirror/"]).verify


#: source, wanted, arch, the version found, kind, variant ("-" says nothing); below it the file's path
RESOLVED = """
openwrt - amd64 24.10.10 rootfs -
    releases/24.10.10/targets/x86/64/openwrt-24.10.10-x86-64-rootfs.tar.gz
openwrt 24.10.9 amd64 24.10.9 disk -
    releases/24.10.9/targets/x86/64/openwrt-24.10.9-x86-64-generic-ext4-combined-efi.img.gz
openwrt 24.10 arm64 24.10.10 rootfs -
    releases/24.10.10/targets/armsr/armv8/openwrt-24.10.10-armsr-armv8-rootfs.tar.gz
openwrt 23 amd64 23.05.6 disk squashfs-combined
    releases/23.05.6/targets/x86/64/openwrt-23.05.6-x86-64-generic-squashfs-combined.img.gz
openwrt latest amd64 25.12.5 rootfs -
    releases/25.12.5/targets/x86/64/openwrt-25.12.5-x86-64-generic-targz-rootfs.tar.gz
openwrt 24.10.0-rc1 amd64 24.10.0-rc1 rootfs -
    releases/24.10.0-rc1/targets/x86/64/openwrt-24.10.0-rc1-x86-64-rootfs.tar.gz
openwrt snapshot amd64 snapshot-r32156-abcdef rootfs -
    snapshots/targets/x86/64/openwrt-x86-64-rootfs.tar.gz
debian - amd64 13-20250814-2204 disk -
    images/cloud/trixie/20250814-2204/debian-13-genericcloud-amd64-20250814-2204.qcow2
debian 12 arm64 12-20250316-2053 disk generic
    images/cloud/bookworm/20250316-2053/debian-12-generic-arm64-20250316-2053.qcow2
debian bookworm amd64 12-20250316-2053 disk -
    images/cloud/bookworm/20250316-2053/debian-12-genericcloud-amd64-20250316-2053.qcow2
debian 12-20250210-2019 amd64 12-20250210-2019 disk -
    images/cloud/bookworm/20250210-2019/debian-12-genericcloud-amd64-20250210-2019.qcow2
ubuntu - amd64 24.04-20250805 disk -
    releases/24.04/release-20250805/ubuntu-24.04-server-cloudimg-amd64.img
ubuntu 22.04 arm64 22.04-20250801.1 disk -
    releases/22.04/release-20250801.1/ubuntu-22.04-server-cloudimg-arm64.img
ubuntu 24.04-20240423 amd64 24.04-20240423 rootfs -
    releases/24.04/release-20240423/ubuntu-24.04-server-cloudimg-amd64-root.tar.xz
ubuntu latest amd64 25.10-20251020 disk -
    releases/25.10/release-20251020/ubuntu-25.10-server-cloudimg-amd64.img
fedora - amd64 44-1.7 disk -
    pub/fedora/linux/releases/44/Cloud/x86_64/images/Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2
fedora 43 arm64 43-1.6 disk -
    pub/fedora/linux/releases/43/Cloud/aarch64/images/Fedora-Cloud-Base-Generic-43-1.6.aarch64.qcow2
rocky 9 amd64 9.6-20250531.0 disk -
    pub/rocky/9/images/x86_64/Rocky-9-GenericCloud-Base-9.6-20250531.0.x86_64.qcow2
rocky 9.5 amd64 9.5-20241118.0 disk -
    pub/rocky/9/images/x86_64/Rocky-9-GenericCloud-Base-9.5-20241118.0.x86_64.qcow2
rocky - amd64 10.0-20250609.1 disk -
    pub/rocky/10/images/x86_64/Rocky-10-GenericCloud-Base-10.0-20250609.1.x86_64.qcow2
alma 9 amd64 9.6-20250522 disk -
    almalinux/9/cloud/x86_64/images/AlmaLinux-9-GenericCloud-9.6-20250522.x86_64.qcow2
alma latest amd64 10.0-20250528.0 disk -
    almalinux/10/cloud/x86_64/images/AlmaLinux-10-GenericCloud-10.0-20250528.0.x86_64.qcow2
freebsd - amd64 14.3 disk -
    releases/VM-IMAGES/14.3-RELEASE/amd64/Latest/FreeBSD-14.3-RELEASE-amd64-BASIC-CLOUDINIT-ufs.qcow2.xz
freebsd 14.3-RELEASE amd64 14.3 disk zfs
    releases/VM-IMAGES/14.3-RELEASE/amd64/Latest/FreeBSD-14.3-RELEASE-amd64-zfs.qcow2.xz
freebsd 14 arm64 14.3 disk -
    releases/VM-IMAGES/14.3-RELEASE/aarch64/Latest/FreeBSD-14.3-RELEASE-arm64-aarch64-ufs.qcow2.xz
opnsense - amd64 25.7 disk -
    releases/25.7/OPNsense-25.7-nano-amd64.img.bz2
opnsense 25.7 amd64 25.7 iso -
    releases/25.7/OPNsense-25.7-dvd-amd64.iso.bz2
talos - amd64 1.10.0 disk -
    siderolabs/talos/releases/download/v1.10.0/metal-amd64.raw.zst
talos v1.7 amd64 1.7.6 disk -
    siderolabs/talos/releases/download/v1.7.6/nocloud-amd64.raw.xz
alpine - amd64 3.22.1 rootfs -
    alpine/v3.22/releases/x86_64/alpine-minirootfs-3.22.1-x86_64.tar.gz
alpine 3.22 amd64 3.22.1 disk uefi-cloudinit
    alpine/v3.22/releases/cloud/nocloud_alpine-3.22.1-x86_64-uefi-cloudinit-r1.qcow2
alpine 3.22.0 amd64 3.22.0 disk -
    alpine/v3.22/releases/cloud/nocloud_alpine-3.22.0-x86_64-bios-cloudinit-r1.qcow2
alpine 3.21 amd64 3.21.4 rootfs -
    alpine/v3.21/releases/x86_64/alpine-minirootfs-3.21.4-x86_64.tar.gz
haos - amd64 16.2 disk -
    home-assistant/operating-system/releases/download/16.2/haos_ova-16.2.qcow2.xz
haos beta arm64 16.3.rc1 disk -
    home-assistant/operating-system/releases/download/16.3.rc1/haos_generic-aarch64-16.3.rc1.qcow2.xz
haos 16.1 amd64 16.1 disk -
    home-assistant/operating-system/releases/download/16.1/haos_ova-16.1.qcow2.xz
haos dev amd64 17.0.dev20251101 disk -
    17.0.dev20251101/haos_ova-17.0.dev20251101.qcow2.xz
pveam debian-13-standard amd64 debian-13-standard_13.10-1 rootfs -
    images/system/debian-13-standard_13.10-1_amd64.tar.zst
pveam debian amd64 debian-13-standard_13.10-1 rootfs -
    images/system/debian-13-standard_13.10-1_amd64.tar.zst
pveam debian-13-standard_13.9-1_amd64.tar.zst amd64 debian-13-standard_13.9-1 rootfs system
    images/system/debian-13-standard_13.9-1_amd64.tar.zst
"""


def cases() -> list[tuple[str, ...]]:
    lines = RESOLVED.split("\n")[1:-1]
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return [(*("" if word == "-" else word for word in head.split()), path.strip()) for head, path in pairs]


@pytest.mark.parametrize(("source", "wanted", "arch", "version", "kind", "variant", "path"), cases())
def test_a_wanted_version_resolves_to_the_real_file(
    source: str, wanted: str, arch: str, version: str, kind: t.Any, variant: str, path: str
) -> None:
    release = resolve(source, wanted, arch)
    artefact = release.pick(kind, variant)
    assert (release.source, release.version) == (source, version)
    assert artefact.url == f"http://mirror/{path}"
    assert artefact.name == path.rpartition("/")[2]
    assert artefact.arch == arch


def test_openwrt_has_exactly_one_artefact_of_each_kind_and_none_of_the_bogus_ones() -> None:
    release = resolve("openwrt", "25.12.5")
    assert sorted((a.kind, a.variant) for a in release.artefacts) == [
        ("disk", "ext4-combined"),
        ("disk", "ext4-combined-efi"),
        ("disk", "squashfs-combined"),
        ("disk", "squashfs-combined-efi"),
        ("rootfs", ""),
    ]
    assert not [a.name for a in release.artefacts if "targz" in a.name and a.kind == "disk"]


DIGESTS = {"debian": ("sha512", LONG_A), "freebsd": ("sha512", LONG_A), "alpine": ("sha512", LONG_A)}


@pytest.mark.parametrize("source", sorted(set(SITES) - {"pveam", "turnkeylinux"}))
def test_the_digest_comes_from_the_source(source: str) -> None:
    first = resolve(source).artefacts[0]
    assert first.digest == DIGESTS.get(source, ("sha256", A))


@pytest.mark.parametrize(
    ("source", "kind", "path", "verify"),
    [
        ("openwrt", "usign", "releases/24.10.10/targets/x86/64/sha256sums.sig", "required"),
        ("ubuntu", "gpg-detached", "releases/24.04/release-20250805/SHA256SUMS.gpg", "required"),
        ("fedora", "gpg-clearsigned", f"{CLOUD_44}/Fedora-Cloud-44-1.7-x86_64-CHECKSUM", "required"),
        ("alma", "gpg-detached", "almalinux/10/cloud/x86_64/images/CHECKSUM.asc", "required"),
        ("opnsense", "openssl-sha256", "releases/25.7/OPNsense-25.7-checksums-amd64.sha256.sig", "checksum"),
    ],
)
def test_a_source_that_signs_requires_the_signature(source: str, kind: str, path: str, verify: str) -> None:
    release = resolve(source)
    assert release.signature is not None
    assert (release.signature.kind, release.signature.url) == (kind, f"http://mirror/{path}")
    assert release.signature.covers == "list"
    assert verification(source) == verify
    assert release.checksum_text == SITES[source][str(release.checksum_list).removeprefix("http://mirror/")]


def test_alma_names_the_key_of_its_major_release() -> None:
    signature = resolve("alma", "9").signature
    assert signature is not None
    assert {key.url for key in signature.keys} == {"https://repo.almalinux.org/almalinux/RPM-GPG-KEY-AlmaLinux-9"}


@pytest.mark.parametrize("source", ["debian", "rocky", "freebsd", "talos", "haos"])
def test_a_source_that_only_lists_asks_for_the_checksum(source: str) -> None:
    release = resolve(source)
    assert release.signature is None
    assert verification(source) == "checksum"


def test_alpine_signs_each_file() -> None:
    release = resolve("alpine")
    for artefact in release.artefacts:
        assert artefact.signature is not None
        assert artefact.signature.covers == "artefact"
        assert artefact.signature.url == f"{artefact.url}.asc"
        assert artefact.checksum_url == f"{artefact.url}.sha512"


def test_the_appliance_index_is_signed_over_its_unpacked_text() -> None:
    release = resolve("pveam", "debian-12-standard")
    assert release.signature is not None
    assert release.signature.url == "http://mirror/images/aplinfo-pve-9.dat.asc"
    assert release.checksum_text == gzip.decompress(SITES["pveam"]["images/aplinfo-pve-9.dat.gz"])
    assert release.pick("rootfs").digest == ("sha512", LONG_A)


def test_an_appliance_may_lie_elsewhere() -> None:
    artefact = resolve("turnkeylinux", "debian-12-turnkey-core").pick("rootfs")
    assert artefact.url == "https://elsewhere.example/debian-12-turnkey-core_18.1-1_amd64.tar.gz"
    assert artefact.mirrors == ()


@pytest.mark.parametrize(
    ("source", "versions"),
    [
        ("openwrt", ("25.12.5", "25.12.0", "24.10.10", "24.10.9", "24.10.0", "24.10.0-rc1", "23.05.6")),
        ("debian", ("13", "12", "11")),
        ("ubuntu", ("25.10", "24.10", "24.04", "22.04")),
        ("fedora", ("44-1.7", "43-1.6")),
        ("rocky", ("10", "9", "8")),
        ("freebsd", ("14.3", "14.2", "13.5")),
        ("opnsense", ("25.7", "25.1", "24.7")),
        ("talos", ("1.11.0-alpha.1", "1.10.0", "1.9.5", "1.7.6")),
        ("alpine", ("3.22", "3.21", "3.9")),
        ("haos", ("17.0.dev20251101", "16.3.rc1", "16.2")),
    ],
)
def test_versions_are_listed_newest_first(source: str, versions: tuple[str, ...]) -> None:
    pages = {f"http://mirror/{path}": body for path, body in SITES[source].items()}
    assert releases.open_source(source, plain(pages.__getitem__), ["http://mirror"]).versions() == versions


@pytest.mark.parametrize(
    ("source", "wanted", "arch", "says"),
    [
        ("openwrt", "24.1", "amd64", "24.10.10"),
        ("openwrt", "26", "amd64", "25.12.5"),
        ("openwrt", "24", "riscv64", "amd64, arm64"),
        ("debian", "99", "amd64", "13"),
        ("ubuntu", "8.04", "amd64", "24.04"),
        ("rocky", "9.9", "amd64", "9.6"),
        ("opnsense", "25.7", "arm64", "amd64"),
        ("pveam", "debian-99", "amd64", "debian-13-standard"),
        ("pveam", "", "amd64", "debian-12-standard"),
        ("alpine", "3.99", "amd64", "3.22"),
    ],
)
def test_what_is_not_there_is_refused_and_what_is_there_is_named(
    source: str, wanted: str, arch: str, says: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        resolve(source, wanted, arch)
    assert says in str(caught.value)


@pytest.mark.parametrize("source", sorted(SITES))
@pytest.mark.parametrize(
    "body", [b"<html>Please log in</html>", b"", b"{}", b"\x1f\x8bbroken", b"[]", b"null", b"\xff\xfe"]
)
def test_a_page_that_is_no_index_is_an_error_that_names_the_url(source: str, body: bytes) -> None:
    site = releases.open_source(source, plain(lambda _url: body), ["http://mirror"])
    wanted = {"pveam": "debian-13-standard", "turnkeylinux": "debian-12-turnkey-core"}.get(source, "")
    with pytest.raises((ImageError, InvalidInput)):
        site.resolve(wanted)
    with pytest.raises(ImageError, match="http://mirror/"):
        site.versions()


def test_the_next_mirror_is_asked_when_the_first_has_no_good_index() -> None:
    asked: list[str] = []

    def get(url: str) -> bytes:
        asked.append(url)
        if url.startswith("http://down/"):
            raise ImageError("connection refused")
        if url.startswith("http://portal/"):
            return b"<html>Please log in</html>"
        return SITES["openwrt"][url.removeprefix("http://good/")]

    source = releases.open_source("openwrt", plain(get), ["http://down", "http://portal", "http://good"])
    artefact = source.resolve("24").pick("rootfs")
    assert artefact.url.startswith("http://down/")
    assert [url.split("/")[2] for url in artefact.mirrors] == ["portal", "good"]
    assert {url.split("/")[2] for url in asked} == {"down", "portal", "good"}


def test_without_mirrors_the_official_site_is_asked() -> None:
    asked: list[str] = []

    def get(url: str) -> bytes:
        asked.append(url)
        raise ImageError("unreachable")

    for name in releases.NAMES:
        with pytest.raises((ImageError, InvalidInput)):
            releases.open_source(name, plain(get)).resolve("latest")
    assert {url.split("/")[2] for url in asked} >= {
        "downloads.openwrt.org",
        "cloud.debian.org",
        "cloud-images.ubuntu.com",
        "dl-cdn.alpinelinux.org",
        "version.home-assistant.io",
        "pkg.opnsense.org",
        "download.freebsd.org",
        "fedoraproject.org",
        "dl.rockylinux.org",
        "repo.almalinux.org",
        "factory.talos.dev",
        "download.proxmox.com",
        "releases.turnkeylinux.org",
    }


def test_an_old_snapshot_is_refused() -> None:
    release = resolve("openwrt", "snapshot")
    made = 1_700_000_000
    openwrt.refuse_old(release, 7, made + 6 * 86400)
    openwrt.refuse_old(release, 0, made + 600 * 86400)
    openwrt.refuse_old(resolve("openwrt", "24"), 7, made + 600 * 86400)
    with pytest.raises(ImageError, match="8 days ago; at most 7"):
        openwrt.refuse_old(release, 7, made + 8 * 86400)


def test_where_an_image_is_that_a_release_has_no_more_is_reported() -> None:
    with pytest.raises(ImageError, match=r"talos 1\.10\.0 has no disk image of variant nocloud") as raised:
        resolve("talos").pick("disk", "nocloud")
    assert "factory.talos.dev/image/" in str(raised.value.remedy)


def test_a_variant_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ImageError, match="disk genericcloud"):
        resolve("debian", "12").pick("disk", "azure")


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (f"sha256:{A}", ("sha256", A)),
        (A.upper(), ("sha256", A)),
        (f" SHA512:{LONG_B}\n", ("sha512", LONG_B)),
        (f"sha512:{A}", None),
        ("d" * 32, None),
        (f"md5:{'d' * 32}", None),
        (f"sha1:{'d' * 40}", None),
        ("sha256:xyz", None),
        ("", None),
    ],
)
def test_a_checksum_says_its_algorithm_and_weak_ones_are_refused(text: str, parsed: tuple[str, str] | None) -> None:
    if parsed is None:
        with pytest.raises(InvalidInput):
            direct.parse_checksum(text)
    else:
        assert direct.parse_checksum(text) == parsed


@pytest.mark.parametrize(
    ("location", "name", "kind", "compression"),
    [
        ("https://host/a/rootfs.tar.gz?token=1", "rootfs.tar.gz", "rootfs", "gz"),
        ("https://host/x.tgz", "x.tgz", "rootfs", "gz"),
        ("https://host/x.qcow2", "x.qcow2", "disk", ""),
        ("https://host/x.img.zst", "x.img.zst", "disk", "zst"),
        ("/var/tmp/x.iso", "x.iso", "iso", ""),
    ],
)
def test_the_kind_of_a_named_file_follows_from_its_name(location: str, name: str, kind: str, compression: str) -> None:
    release = direct.Direct(location, A).resolve("1.0")
    (artefact,) = release.artefacts
    assert (artefact.name, artefact.kind, artefact.compression) == (name, kind, compression)
    assert artefact.digest == ("sha256", A)
    assert release.version == "1.0"


def test_a_url_without_a_file_name_is_refused() -> None:
    with pytest.raises(InvalidInput, match="names no file"):
        direct.Direct("https://host/").resolve()


def test_an_unknown_source_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="openwrt"):
        releases.open_source("gentoo", plain(lambda _url: b""))


WORD = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,12}", fullmatch=True)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({"flavor": WORD, "file": WORD, "version": WORD, "size": WORD}), min_size=1, max_size=5
    )
)
def test_alpines_index_is_read_as_it_was_written(entries: list[dict[str, str]]) -> None:
    block = "  desc: |\n    file: no entry\n    - neither\n"
    lines = ("-\n" + block + "".join(f"  {key}: {value}\n" for key, value in entry.items()) for entry in entries)
    assert alpine.flat_yaml(("---\n" + "".join(lines)).encode()) == [{"desc": "|", **entry} for entry in entries]
