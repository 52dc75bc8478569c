# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small images that are what they claim to be: root file systems, partitioned disks, qcow2, ISO.

The same bytes each time, but for the ext4 partitions: mke2fs dates its inodes itself.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import struct
import subprocess
import tarfile
import tempfile
import typing as t
import zlib
from pathlib import Path

EPOCH = 1_730_000_000  # what every file in an image is dated
_SECTOR = 512
_MIB = 1 << 20

Tree = t.Mapping[str, "str | bytes | None"]
"""Path to text, or None for a directory. A text that begins with ``->`` is a symbolic link, one with ``#!`` runs."""

OPENWRT: Tree = {
    "bin/busybox": b"\x7fELF\x02\x01\x01\x00 a placeholder, not a program\n",
    "bin/ash": "->busybox",
    "bin/sh": "->busybox",
    "dev": None,
    "etc/board.d": None,
    "etc/config/dhcp": "config dnsmasq\n\toption domainneeded '1'\n\n"
    "config dhcp 'lan'\n\toption interface 'lan'\n"
    "\toption start '100'\n\toption limit '150'\n\toption leasetime '12h'\n\toption dhcpv4 'server'\n"
    "\toption dhcpv6 'server'\n\toption ra 'server'\n\n"
    "config dhcp 'wan'\n\toption interface 'wan'\n\toption ignore '1'\n",
    "etc/config/dropbear": "config dropbear main\n\toption enable '1'\n\toption PasswordAuth 'on'\n"
    "\toption RootPasswordAuth 'on'\n\toption Port '22'\n",
    "etc/config/firewall": "config defaults\n\toption input 'REJECT'\n"
    "\toption output 'ACCEPT'\n\toption forward 'REJECT'\n\n"
    "config zone\n\toption name 'lan'\n\tlist network 'lan'\n\toption input 'ACCEPT'\n\toption output 'ACCEPT'\n"
    "\toption forward 'ACCEPT'\n\nconfig zone\n\toption name 'wan'\n\tlist network 'wan'\n\toption input 'REJECT'\n"
    "\toption output 'ACCEPT'\n\toption forward 'REJECT'\n\toption masq '1'\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\nnetwork:x:101:\nnogroup:x:65534:\ndnsmasq:x:453:dnsmasq\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/init.d/boot": "#!/bin/sh /etc/rc.common\nSTART=10\n",
    "etc/init.d/dnsmasq": "#!/bin/sh /etc/rc.common\nSTART=19\nUSE_PROCD=1\n",
    "etc/init.d/dropbear": "#!/bin/sh /etc/rc.common\nSTART=19\nUSE_PROCD=1\n",
    "etc/init.d/firewall": "#!/bin/sh /etc/rc.common\nSTART=19\nUSE_PROCD=1\n",
    "etc/init.d/network": "#!/bin/sh /etc/rc.common\nSTART=20\nSTOP=90\nUSE_PROCD=1\n",
    "etc/init.d/odhcpd": "#!/bin/sh /etc/rc.common\nSTART=35\nSTOP=85\nUSE_PROCD=1\n",
    "etc/init.d/system": "#!/bin/sh /etc/rc.common\nSTART=10\nUSE_PROCD=1\n",
    "etc/inittab": "::sysinit:/etc/init.d/rcS S boot\n::shutdown:/etc/init.d/rcS K shutdown\n"
    "ttyS0::askfirst:/usr/libexec/login.sh\ntty1::askfirst:/usr/libexec/login.sh\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/ash\ndaemon:*:1:1:daemon:/var:/bin/false\n"
    "nobody:*:65534:65534:nobody:/var:/bin/false\ndnsmasq:x:453:453:dnsmasq:/var/run/dnsmasq:/bin/false\n",
    "etc/preinit": "#!/bin/sh\n[ -z \"$PREINIT\" ] && exec /sbin/init\n",
    "etc/profile": "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n",
    "etc/rc.common": "#!/bin/sh\n",
    "etc/rc.d/S10boot": "->../init.d/boot",
    "etc/rc.d/S10system": "->../init.d/system",
    "etc/rc.d/S19dnsmasq": "->../init.d/dnsmasq",
    "etc/rc.d/S19dropbear": "->../init.d/dropbear",
    "etc/rc.d/S19firewall": "->../init.d/firewall",
    "etc/rc.d/S20network": "->../init.d/network",
    "etc/rc.d/S35odhcpd": "->../init.d/odhcpd",
    "etc/rc.local": "# Put your custom commands here.\n\nexit 0\n",
    "etc/shadow": "root:::0:99999:7:::\ndaemon:*:0:0:99999:7:::\nnobody:*:0:0:99999:7:::\ndnsmasq:x:0:0:99999:7:::\n",
    "etc/sysctl.conf": "# Defaults are in /etc/sysctl.d/*\n",
    "etc/uci-defaults/12_network-generate-ula": "#!/bin/sh\nexit 0\n",
    "lib/preinit/00_preinit.conf": "pi_suppress_stderr=\"y\"\nfs_failsafe_wait_timeout=\"2\"\n"
    "pi_init_path=\"/usr/sbin:/usr/bin:/sbin:/bin\"\npi_init_env=\"\"\npi_init_cmd=\"/sbin/init\"\n"
    "pi_init_suppress_stderr=\"y\"\npi_ifname=\"\"\npi_ip=\"192.168.1.1\"\npi_netmask=\"255.255.255.0\"\n"
    "pi_broadcast=\"192.168.1.255\"\npi_preinit_net_messages=\"\"\npi_preinit_no_failsafe_netmsg=\"\"\n"
    "pi_preinit_no_failsafe=\"\"\n",
    "lib/preinit/30_failsafe_wait": "fs_wait_for_key () { :; }\n",
    "lib/preinit/79_move_config": "move_config() { :; }\n",
    "mnt": None,
    "overlay": None,
    "proc": None,
    "rom": None,
    "root": None,
    "sbin/init": b"\x7fELF\x02\x01\x01\x00 a placeholder, not a program\n",
    "sbin/uci": b"\x7fELF\x02\x01\x01\x00 a placeholder, not a program\n",
    "sys": None,
    "tmp": None,
    "usr/bin": None,
    "usr/lib/os-release": "->../../etc/os-release",
    "usr/sbin": None,
    "var": "->tmp",
    "www": None,
}  # fmt: skip

LINUX: Tree = {
    "bin": "->usr/bin",
    "dev": None,
    "etc/hostname": "localhost\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\n",
    "proc": None,
    "root": None,
    "sbin": "->usr/sbin",
    "sys": None,
    "tmp": None,
    "usr/bin/sh": b"\x7fELF\x02\x01\x01\x00 a placeholder, not a program\n",
    "usr/sbin/init": b"\x7fELF\x02\x01\x01\x00 a placeholder, not a program\n",
}
ALPINE: Tree = {
    **{path: text for path, text in LINUX.items() if not (isinstance(text, str) and text.startswith("->"))},
    "bin/busybox": b"\x7fELF\x02\x01\x01\x00 a placeholder, not a program\n",
    "bin/sh": "->/bin/busybox",
    "sbin/init": "->/bin/busybox",
}


def openwrt_arch(target: str) -> str:
    """What OpenWrt calls the processor of a target."""
    return {"x86/64": "x86_64"}.get(target, "aarch64_generic")


def with_apk(version: str) -> bool:
    """Whether a release has apk, or still opkg."""
    return version.upper() == "SNAPSHOT" or int(version.split(".")[0]) >= 25


def openwrt_tree(version: str, revision: str, target: str, more: Tree | None = None) -> dict[str, str | bytes | None]:
    """OpenWrt's root file system for a release: with opkg up to 24.10, with apk after it. ``more`` comes on top."""
    arch = openwrt_arch(target)
    release = (
        f"DISTRIB_ID='OpenWrt'\nDISTRIB_RELEASE='{version}'\nDISTRIB_REVISION='{revision}'\nDISTRIB_TARGET='{target}'\n"
        f"DISTRIB_ARCH='{arch}'\nDISTRIB_DESCRIPTION='OpenWrt {version} {revision}'\nDISTRIB_TAINTS=''\n"
    )
    os_release = f'NAME="OpenWrt"\nVERSION="{version}"\nID="openwrt"\nVERSION_ID="{version}"\nBUILD_ID="{revision}"\n'
    packages: dict[str, str | bytes | None] = (
        {
            "lib/apk/db/installed": f"P:base-files\nV:{revision}\nA:{arch}\n\n",
            "etc/apk/world": "base-files\nbusybox\n",
            "etc/apk/repositories.d/distfeeds.list": "",
            "usr/bin/apk": b"\x7fELF placeholder\n",
        }
        if with_apk(version)
        else {
            "usr/lib/opkg/status": f"Package: base-files\nVersion: {revision}\nStatus: install ok installed\n"
            f"Architecture: {arch}\n\n",
            "etc/opkg.conf": "dest root /\ndest ram /tmp\nlists_dir ext /var/opkg-lists\n"
            "option overlay_root /overlay\noption check_signature\n",
            "etc/opkg/customfeeds.conf": "# add your custom package feeds here\n",
            "etc/opkg/distfeeds.conf": "",
            "bin/opkg": b"\x7fELF placeholder\n",
        }
    )
    return {
        **OPENWRT,
        **packages,
        "etc/openwrt_release": release,
        "etc/openwrt_version": f"{revision}\n",
        "etc/os-release": os_release,
        "etc/banner": f"  OpenWrt {version}, {revision}\n",
        **(more or {}),
    }


# -- archives ----------------------------------------------------------------------------------------------------------
def tar(tree: Tree, prefix: str = "./") -> bytes:
    """A tar of a tree: sorted, numeric owners, one date; with every parent directory."""
    paths: dict[str, str | bytes | None] = {"": None}
    for path, text in tree.items():
        for parent in reversed(Path(path).parents[:-1]):
            paths.setdefault(str(parent), None)
        paths[path] = text
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(paths):
            text = paths[path]
            member = tarfile.TarInfo(prefix + path if path else prefix.rstrip("/") or ".")
            member.mtime = EPOCH
            if text is None:
                member.type, member.mode = (
                    tarfile.DIRTYPE,
                    0o1777 if path == "tmp" else 0o700 if path == "root" else 0o755,
                )
                archive.addfile(member)
                continue
            if isinstance(text, str) and text.startswith("->"):
                member.type, member.linkname, member.mode = tarfile.SYMTYPE, text[2:], 0o777
                archive.addfile(member)
                continue
            body = text.encode() if isinstance(text, str) else text
            member.mode = 0o600 if path == "etc/shadow" else 0o755 if body[:2] in (b"#!", b"\x7fE") else 0o644
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return out.getvalue()


def gz(data: bytes) -> bytes:
    """gzip without a name or a date in it."""
    return gzip.compress(data, 6, mtime=0)


def zstd(data: bytes) -> bytes:
    """A zstd frame of uncompressed blocks (RFC 8878): valid for any reader, and needs no library to write."""
    blocks = [data[at : at + 0x20000] for at in range(0, len(data), 0x20000)] or [b""]
    out = [b"\x28\xb5\x2f\xfd", b"\xa0", struct.pack("<I", len(data))]
    for number, block in enumerate(blocks):
        out += [struct.pack("<I", len(block) << 3 | (number == len(blocks) - 1))[:3], block]
    return b"".join(out)


# -- disks -------------------------------------------------------------------------------------------------------------
def ext4(tree: t.Mapping[str, bytes], size: int, label: str) -> bytes:
    """An ext4 file system that holds these files; zeros with a superblock's magic where there is no mke2fs."""
    mke2fs = shutil.which("mke2fs") or shutil.which("mke2fs", path="/usr/sbin:/sbin")
    if mke2fs is None:
        return bytes(1080) + b"\x53\xef" + bytes(size - 1082)
    with tempfile.TemporaryDirectory() as folder:
        source, image = Path(folder, "tree"), Path(folder, "image")
        source.mkdir()
        for path, body in tree.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_bytes(body)
        uuid = "5ea1ab1e-0000-4000-8000-000000000001"
        features = ["-O", "^has_journal,^metadata_csum", "-E", f"hash_seed={uuid},root_owner=0:0", "-U", uuid]
        argv = [mke2fs, "-q", "-F", "-t", "ext4", *features, "-L", label, "-m", "0", "-d", str(source), str(image)]
        subprocess.run(
            [*argv, f"{size // 1024}k"],
            check=True,
            capture_output=True,
            env={**os.environ, "E2FSPROGS_FAKE_TIME": str(EPOCH)},
        )
        return image.read_bytes()


def fat16(size: int, label: str) -> bytes:
    """An empty FAT16 file system with a label."""
    # one FAT16 entry is two bytes: 256 of them in a sector, and a cluster is a sector
    sectors, fat_sectors, root_entries = size // _SECTOR, 64, 512
    boot = struct.pack(
        "<3s8sHBHBHHBHHHIIBBBI11s8s",
        b"\xeb\x3c\x90", b"MIRROR  ", _SECTOR, 1, 1, 2, root_entries, sectors, 0xF8, fat_sectors, 32, 2, 0, 0,
        0x80, 0, 0x29, 0x5EA1AB1E, label.upper().ljust(11).encode()[:11], b"FAT16   ",
    )  # fmt: skip
    boot = boot.ljust(510, b"\0") + b"\x55\xaa"
    fat = struct.pack("<HH", 0xFFF8, 0xFFFF).ljust(fat_sectors * _SECTOR, b"\0")
    root = (label.upper().ljust(11).encode()[:11] + b"\x08").ljust(root_entries * 32, b"\0")
    return (boot + fat + fat + root).ljust(size, b"\0")


def mbr(partitions: t.Sequence[tuple[int, int, bytes]], size: int) -> bytes:
    """A disk with an MBR: (first sector, type, content) of each partition."""
    table = b"".join(
        struct.pack(
            "<B3sB3sII", 0x80 if n == 0 else 0, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", start, len(body) // _SECTOR
        )
        for n, (start, kind, body) in enumerate(partitions)
    )
    disk = bytearray(size)
    disk[440:444] = struct.pack("<I", 0x5EA1AB1E)
    disk[446 : 446 + len(table)] = table
    disk[510:512] = b"\x55\xaa"
    for start, _kind, body in partitions:
        disk[start * _SECTOR : start * _SECTOR + len(body)] = body
    return bytes(disk)


_GUIDS = {
    "efi": bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b"),
    "linux": bytes.fromhex("af3dc60f838472478e793d69d8477de4"),
}


def gpt(partitions: t.Sequence[tuple[int, str, bytes]], size: int) -> bytes:
    """A disk with a GPT and its protective MBR: (first sector, ``efi`` or ``linux``, content) of each partition."""
    last = size // _SECTOR - 1
    disk = bytearray(mbr([(1, 0xEE, b"")], size))
    disk[446 + 12 : 446 + 16] = struct.pack("<I", last)
    entries = b"".join(
        _GUIDS[kind]
        + bytes([number + 1]) * 16
        + struct.pack("<QQQ", start, start + len(body) // _SECTOR - 1, 0)
        + kind.encode("utf-16-le").ljust(72, b"\0")
        for number, (start, kind, body) in enumerate(partitions)
    ).ljust(128 * 128, b"\0")
    for here, there, table in ((1, last, 2), (last, 1, last - 32)):
        fields = (0x00010000, 92, 0, 0, here, there, 34, last - 33, b"\x5e" * 16, table, 128, 128, zlib.crc32(entries))
        header = bytearray(b"EFI PART" + struct.pack("<IIIIQQQQ16sQIII", *fields))
        header[16:20] = struct.pack("<I", zlib.crc32(header))
        disk[here * _SECTOR : here * _SECTOR + len(header)] = header
        disk[table * _SECTOR : table * _SECTOR + len(entries)] = entries
    for start, _kind, body in partitions:
        disk[start * _SECTOR : start * _SECTOR + len(body)] = body
    return bytes(disk)


_GRUB = (
    b'set default="0"\nset timeout="5"\n'
    b'menuentry "OpenWrt" {\n\tlinux /boot/vmlinuz root=PARTUUID=5ea1ab1e-02 rootwait\n}\n'
)


def openwrt_disk(filesystem: str, boot: str) -> bytes:
    """OpenWrt's x86 image, smaller: boot partition from sector 512 (ext4, in the EFI image FAT), then the root."""
    files = {"boot/grub/grub.cfg": _GRUB, "boot/vmlinuz": b"MZ a placeholder, not a kernel\n"}
    root = ext4({"etc/openwrt_release": b""}, 4 * _MIB, "rootfs") if filesystem == "ext4" else _squashfs(4 * _MIB)
    second = 512 + 8 * _MIB // _SECTOR
    if boot == "combined-efi":
        return gpt([(512, "efi", fat16(8 * _MIB, "kernel")), (second, "linux", root)], 13 * _MIB)
    return mbr([(512, 0x83, ext4(files, 8 * _MIB, "kernel")), (second, 0x83, root)], 13 * _MIB)


def _squashfs(size: int) -> bytes:
    """Only a squashfs superblock's first fields: enough to tell the type, not to mount."""
    return struct.pack("<4sIIIIHHHHHH", b"hsqs", 1, EPOCH, 131072, 0, 4, 17, 0, 1, 4, 0).ljust(size, b"\0")


def openwrt_trailer(version: str) -> bytes:
    """The metadata that OpenWrt's fwtool appends to an image after the gzip stream."""
    text = json.dumps({"metadata_version": "1.1", "supported_devices": ["generic"], "version": {"version": version}})
    body = text.encode() + struct.pack(">BB6x", 1, 0)
    return body + struct.pack(">4sI4xI", b"FWx0", zlib.crc32(body), len(body) + 16)


def qcow2(virtual_size: int, note: bytes = b"") -> bytes:
    """An empty qcow2 (version 3, 512-byte clusters); ``note`` after its end makes builds differ."""
    bits, cluster = 9, 512
    l1_entries = -(-virtual_size // (cluster * (cluster // 8)))
    l1_clusters = -(-l1_entries * 8 // cluster)
    used = 3 + l1_clusters
    if used > cluster // 2:
        raise ValueError("too large for one refcount block")
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        b"QFI\xfb", 3, 0, 0, bits, virtual_size, 0, l1_entries, 3 * cluster, cluster, 1, 0, 0, 0, 0, 0, 4, 104,
    )  # fmt: skip
    refcount_table = struct.pack(">Q", 2 * cluster).ljust(cluster, b"\0")
    refcounts = (struct.pack(">H", 1) * used).ljust(cluster, b"\0")
    return header.ljust(cluster, b"\0") + refcount_table + refcounts + bytes(l1_clusters * cluster) + note


def iso(label: str) -> bytes:
    """An ISO 9660 image that holds nothing: a primary volume descriptor and its terminator."""
    volume = b"\x01CD001\x01\x00" + b"LINUX".ljust(32) + label.upper().ljust(32).encode()[:32]
    end = b"\xffCD001\x01"
    return bytes(16 * 2048) + volume.ljust(2048, b"\0") + end.ljust(2048, b"\0") + bytes(2 * 2048)


def raw_disk(note: bytes) -> bytes:
    """A small partitioned disk with a note in its only partition."""
    return mbr([(2048, 0x83, note.ljust(_SECTOR * 8, b"\0"))], 2 * _MIB)
