# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small images that are what they claim to be: root file systems, partitioned disks, qcow2, ISO.

The same bytes each time, except the ext4 partitions: mke2fs dates its inodes itself.
"""

from __future__ import annotations

import gzip
import io
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
SECTOR = 512
MIB = 1 << 20
COPIED = 1 << 63
Tree = t.Mapping[str, "str | bytes | None"]
"""Path to text, or None for a directory. A text that begins with ``->`` is a symbolic link, one with ``#!`` runs."""
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
    sectors, fat_sectors, root_entries = size // SECTOR, 64, 512
    boot = struct.pack(
        "<3s8sHBHBHHBHHHIIBBBI11s8s",
        b"\xeb\x3c\x90", b"MIRROR  ", SECTOR, 1, 1, 2, root_entries, sectors, 0xF8, fat_sectors, 32, 2, 0, 0,
        0x80, 0, 0x29, 0x5EA1AB1E, label.upper().ljust(11).encode()[:11], b"FAT16   ",
    )  # fmt: skip
    boot = boot.ljust(510, b"\0") + b"\x55\xaa"
    fat = struct.pack("<HH", 0xFFF8, 0xFFFF).ljust(fat_sectors * SECTOR, b"\0")
    root = (label.upper().ljust(11).encode()[:11] + b"\x08").ljust(root_entries * 32, b"\0")
    return (boot + fat + fat + root).ljust(size, b"\0")


def mbr(partitions: t.Sequence[tuple[int, int, bytes]], size: int) -> bytes:
    """A disk with an MBR: (first sector, type, content) of each partition."""
    table = b"".join(
        struct.pack(
            "<B3sB3sII", 0x80 if n == 0 else 0, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", start, len(body) // SECTOR
        )
        for n, (start, kind, body) in enumerate(partitions)
    )
    disk = bytearray(size)
    disk[440:444] = struct.pack("<I", 0x5EA1AB1E)
    disk[446 : 446 + len(table)] = table
    disk[510:512] = b"\x55\xaa"
    for start, _kind, body in partitions:
        disk[start * SECTOR : start * SECTOR + len(body)] = body
    return bytes(disk)


_GUIDS = {
    "efi": bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b"),
    "linux": bytes.fromhex("af3dc60f838472478e793d69d8477de4"),
}


def gpt(partitions: t.Sequence[tuple[int, str, bytes]], size: int) -> bytes:
    """A disk with a GPT and its protective MBR: (first sector, ``efi`` or ``linux``, content) of each partition."""
    last = size // SECTOR - 1
    disk = bytearray(mbr([(1, 0xEE, b"")], size))
    disk[446 + 12 : 446 + 16] = struct.pack("<I", last)
    entries = b"".join(
        _GUIDS[kind]
        + bytes([number + 1]) * 16
        + struct.pack("<QQQ", start, start + len(body) // SECTOR - 1, 0)
        + kind.encode("utf-16-le").ljust(72, b"\0")
        for number, (start, kind, body) in enumerate(partitions)
    ).ljust(128 * 128, b"\0")
    for here, there, table in ((1, last, 2), (last, 1, last - 32)):
        fields = (0x00010000, 92, 0, 0, here, there, 34, last - 33, b"\x5e" * 16, table, 128, 128, zlib.crc32(entries))
        header = bytearray(b"EFI PART" + struct.pack("<IIIIQQQQ16sQIII", *fields))
        header[16:20] = struct.pack("<I", zlib.crc32(header))
        disk[here * SECTOR : here * SECTOR + len(header)] = header
        disk[table * SECTOR : table * SECTOR + len(entries)] = entries
    for start, _kind, body in partitions:
        disk[start * SECTOR : start * SECTOR + len(body)] = body
    return bytes(disk)


def qcow2(virtual_size: int, note: bytes = b"", head: bytes = b"") -> bytes:
    """A qcow2 (version 3, 512-byte clusters) that begins with ``head`` and is empty otherwise.

    ``note`` after its end makes builds differ.
    """
    bits, cluster = 9, 512
    l1_entries = -(-virtual_size // (cluster * (cluster // 8)))
    l1_clusters = -(-l1_entries * 8 // cluster)
    data_clusters = -(-len(head) // cluster)
    if data_clusters > cluster // 8:
        raise ValueError("too large for one second-level table")
    second = 3 + l1_clusters
    used = second + (1 + data_clusters if head else 0)
    if used > cluster // 2:
        raise ValueError("too large for one refcount block")
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        b"QFI\xfb", 3, 0, 0, bits, virtual_size, 0, l1_entries, 3 * cluster, cluster, 1, 0, 0, 0, 0, 0, 4, 104,
    )  # fmt: skip
    refcount_table = struct.pack(">Q", 2 * cluster).ljust(cluster, b"\0")
    refcounts = (struct.pack(">H", 1) * used).ljust(cluster, b"\0")
    first = struct.pack(">Q", second * cluster | COPIED) if head else b""
    places = ((second + 1 + index) * cluster | COPIED for index in range(data_clusters))
    table = struct.pack(f">{data_clusters}Q", *places).ljust(cluster if head else 0, b"\0")
    body = first.ljust(l1_clusters * cluster, b"\0") + table + head.ljust(data_clusters * cluster, b"\0")
    return header.ljust(cluster, b"\0") + refcount_table + refcounts + body + note


def system_disk(os_release: str) -> bytes:
    """The beginning of a disk that boots: its only partition begins with what the system says of itself."""
    body = os_release.encode().ljust(4 * SECTOR, b"\0")
    return mbr([(8, 0x83, body)], 8 * SECTOR + len(body))


def iso(label: str) -> bytes:
    """An ISO 9660 image that holds nothing: a primary volume descriptor and its terminator."""
    volume = b"\x01CD001\x01\x00" + b"LINUX".ljust(32) + label.upper().ljust(32).encode()[:32]
    end = b"\xffCD001\x01"
    return bytes(16 * 2048) + volume.ljust(2048, b"\0") + end.ljust(2048, b"\0") + bytes(2 * 2048)


def raw_disk(note: bytes, os_release: str = "") -> bytes:
    """A small partitioned disk with a note in its only partition, behind what the system says of itself."""
    content = os_release.encode() + b"\0" * bool(os_release) + note
    return mbr([(2048, 0x83, content.ljust(SECTOR * 8, b"\0"))], 2 * MIB)
