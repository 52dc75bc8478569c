# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partition tables as OpenWrt's ptgen writes them, made without the code that is tested."""

from __future__ import annotations

import struct
import types
import typing as t
import uuid
import zlib

if t.TYPE_CHECKING:
    from pathlib import Path

BOOT_START, ROOT_START = 512, 5120  # the real images leave 16 MiB for the kernel, these 2 MiB
BOOT_SECTORS, ROOT_SECTORS = 4096, 16384
ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649"
#: Number -> start, sectors.
MBR: t.Final = types.MappingProxyType({1: (BOOT_START, BOOT_SECTORS), 2: (ROOT_START, ROOT_SECTORS)})
#: Number -> type, start, sectors; entry 128 is BIOS boot.
GPT: t.Final = types.MappingProxyType(
    {1: (ESP, BOOT_START, BOOT_SECTORS), 2: (LINUX, ROOT_START, ROOT_SECTORS), 128: (BIOS_BOOT, 34, 478)}
)
GPT_SECTORS: t.Final = 33  # of its backup


def mbr_table(partitions: t.Mapping[int, tuple[int, int]] = MBR) -> bytes:
    entries = bytearray(64)
    for number, (start, length) in partitions.items():
        active = b"\x80" if number == 1 else b"\0"
        entry = active + b"\0\2\0" + b"\x83" + b"\0\0\0" + struct.pack("<II", start, length)
        entries[16 * (number - 1) : 16 * number] = entry
    return bytes(440) + b"\xde\xad\xbe\xef\0\0" + bytes(entries) + b"\x55\xaa"


def gpt_table(
    sectors: int, partitions: t.Mapping[int, tuple[str, int, int]] = GPT, *, hybrid: bool = False
) -> tuple[bytes, bytes]:
    """Primary (with a protective MBR, or a hybrid one that names partition 2) and backup."""
    entries = bytearray(128 * 128)
    for number, (kind, start, length) in partitions.items():
        at = (number - 1) * 128
        own = uuid.UUID(int=0x5452574F_0000_4000_8000_000000000000 + number)
        entries[at : at + 48] = uuid.UUID(kind).bytes_le + own.bytes_le + struct.pack("<QQ", start, start + length - 1)

    def header(here: int, other: int, table: int) -> bytes:
        fields = struct.pack(
            "<QQQQ16sQIII", here, other, 34, sectors - 34, b"OpenWrt disk id.", table, 128, 128, zlib.crc32(entries)
        )
        head = b"EFI PART" + struct.pack("<II", 0x10000, 92)
        crc = zlib.crc32(head + bytes(8) + fields)
        return (head + struct.pack("<II", crc, 0) + fields).ljust(512, b"\0")

    mbr = bytearray(512)
    mbr[446:462] = b"\0\0\2\0\xee\xff\xff\xff" + struct.pack("<II", 1, GPT_SECTORS if hybrid else sectors - 1)
    if hybrid:
        _kind, start, length = partitions[2]
        mbr[462:478] = b"\0\0\2\0\x83\xff\xff\xff" + struct.pack("<II", start, length)
    mbr[510:] = b"\x55\xaa"
    primary = bytes(mbr) + header(1, sectors - 1, 2) + entries
    return primary, bytes(entries) + header(sectors - 1, 1, sectors - GPT_SECTORS)


def bare(folder: Path, table: str) -> Path:
    """A disk with nothing but a table: ``mbr``, ``gpt`` or ``hybrid``."""
    sectors = ROOT_START + ROOT_SECTORS + GPT_SECTORS
    path = folder / f"{table}.img"
    primary, backup = (mbr_table(), b"") if table == "mbr" else gpt_table(sectors, hybrid=table == "hybrid")
    with path.open("wb") as stream:
        stream.truncate(sectors * 512)
        stream.write(primary)
        stream.seek(sectors * 512 - len(backup))
        stream.write(backup)
    return path
