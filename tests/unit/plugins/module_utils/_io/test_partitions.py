# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partition tables are read as they are, and grown so that other programs find them sound."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from partition_tables import BIOS_BOOT, ESP, GPT_SECTORS, LINUX, ROOT_SECTORS, ROOT_START, bare, gpt_table, mbr_table

from ansible_collections.pve.provision.plugins.module_utils._io.partitions import (
    BadTable,
    Table,
    grow_partition,
    read_table,
)

MIB = 1 << 20


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"no {program}")


@pytest.mark.parametrize(
    ("table", "kind", "types"),
    [
        ("mbr", "mbr", {1: "83", 2: "83"}),
        ("gpt", "gpt", {1: ESP, 2: LINUX, 128: BIOS_BOOT}),
        ("hybrid", "gpt", {1: ESP, 2: LINUX, 128: BIOS_BOOT}),
    ],
)
def test_a_table_is_read(tmp_path: Path, table: str, kind: str, types: dict[int, str]) -> None:
    with bare(tmp_path, table).open("rb") as image:
        found = read_table(image)
    assert (found.kind, {p.number: p.type for p in found.partitions}) == (kind, types)
    assert (found.get(2).start, found.get(2).sectors) == (ROOT_START, ROOT_SECTORS)
    assert (found.get(2).offset, found.get(2).size) == (ROOT_START * 512, ROOT_SECTORS * 512)
    assert found.end == (ROOT_START + ROOT_SECTORS) * 512


@pytest.mark.parametrize(
    "image",
    [
        b"",
        bytes(4096),
        mbr_table({}),
        mbr_table().replace(b"\x80\0\2\0", b"\x33\0\2\0"),  # code of a boot sector
    ],
)
def test_what_has_no_table(image: bytes) -> None:
    assert read_table(io.BytesIO(image)) == Table("")


def test_a_partition_that_is_not_there_is_named() -> None:
    with pytest.raises(BadTable, match="no partition 3"):
        read_table(io.BytesIO(mbr_table())).get(3)


@pytest.mark.parametrize("length", [1000, 1024, 5000])
def test_a_gpt_that_is_cut_off(length: int) -> None:
    primary, _backup = gpt_table(30000)
    with pytest.raises(BadTable, match="cut off"):
        read_table(io.BytesIO(primary[:length]))


def test_a_gpt_whose_entries_would_be_further_away_than_a_file_reaches() -> None:
    """Its checksum is right: it is what somebody meant to write."""
    header = bytearray(gpt_table(30000)[0])
    struct.pack_into("<Q", header, 512 + 72, 1 << 63)
    header[512 + 16 : 512 + 20] = bytes(4)
    struct.pack_into("<I", header, 512 + 16, zlib.crc32(header[512 : 512 + 92]))
    with pytest.raises(BadTable, match="cut off"):
        read_table(io.BytesIO(header))


@given(st.data())
def test_a_table_that_is_written_is_read_and_grown(data: st.DataObject) -> None:
    """Whatever the layout: the last partition on the disk reaches to its end, and the others stay."""
    kind = data.draw(st.sampled_from(["mbr", "gpt"]))
    numbers = data.draw(st.lists(st.integers(1, 4 if kind == "mbr" else 128), min_size=1, max_size=4, unique=True))
    wanted, place = {}, 34
    for number in numbers:
        start, length = place + data.draw(st.integers(0, 100)), data.draw(st.integers(1, 3000))
        wanted[number], place = (start, length), start + length
    sectors = place + GPT_SECTORS
    primary, backup = mbr_table(wanted), b""
    if kind == "gpt":
        primary, backup = gpt_table(sectors, {number: (LINUX, *each) for number, each in wanted.items()})
    last, more = numbers[-1], data.draw(st.integers(0, 5000))
    with tempfile.TemporaryFile() as image:
        image.write(primary.ljust(sectors * 512 - len(backup), b"\0") + backup)
        before = read_table(image)
        assert {p.number: (p.start, p.sectors) for p in before.partitions} == wanted
        grown = grow_partition(image, last, (sectors + more) * 512)
        after = read_table(image)
        assert image.seek(0, os.SEEK_END) == (sectors + more) * 512
    start, length = wanted[last]
    assert grown.start == start
    assert max(length, length + more - 8) <= grown.sectors <= length + more + GPT_SECTORS
    assert [p for p in after.partitions if p.number != last] == [p for p in before.partitions if p.number != last]
    assert after.get(last) == grown
    assert after.end <= (sectors + more) * 512


@pytest.mark.parametrize("table", ["mbr", "gpt", "hybrid"])
def test_growing_keeps_every_identity_and_the_other_partitions(tmp_path: Path, table: str) -> None:
    path = bare(tmp_path, table)
    before = path.read_bytes()[: 34 * 512]
    with path.open("r+b") as stream:
        old = {p.number: p for p in read_table(stream).partitions}
        new = grow_partition(stream, 2, 100 * MIB)
        after = {p.number: p for p in read_table(stream).partitions}
        assert grow_partition(stream, 2, 100 * MIB) == new
    assert after == {**old, 2: new}
    assert new.start == old[2].start
    assert new.sectors > old[2].sectors
    assert new.sectors % 8 == 0
    data = path.read_bytes()
    assert data[:446] == before[:446]
    if table != "mbr":
        assert data[1024 + 16 : 1024 + 32] == before[1024 + 16 : 1024 + 32]
        assert data[512 + 56 : 512 + 72] == before[512 + 56 : 512 + 72]
        assert data.count(b"EFI PART") == 2
        assert data[-512:-504] == b"EFI PART"
    if table == "hybrid":
        assert struct.unpack_from("<II", data, 462 + 8) == (new.start, new.sectors)


@needs("sfdisk")
@pytest.mark.parametrize("table", ["mbr", "gpt"])
def test_sfdisk_finds_the_grown_table_sound(tmp_path: Path, table: str) -> None:
    path = bare(tmp_path, table)
    with path.open("r+b") as stream:
        grow_partition(stream, 2, 100 * MIB)
    done = subprocess.run(["sfdisk", "--verify", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs("sgdisk")
def test_sgdisk_finds_the_grown_table_sound(tmp_path: Path) -> None:
    path = bare(tmp_path, "gpt")
    with path.open("r+b") as stream:
        grow_partition(stream, 2, 100 * MIB)
    done = subprocess.run(["sgdisk", "-v", path], capture_output=True, text=True, check=False)
    assert "No problems found" in done.stdout


@pytest.mark.parametrize("table", ["mbr", "gpt"])
def test_a_disk_without_room_for_the_table_is_refused(tmp_path: Path, table: str) -> None:
    path = bare(tmp_path, table)
    before = path.read_bytes()
    with path.open("r+b") as stream, pytest.raises(BadTable, match="too few"):
        grow_partition(stream, 2, (ROOT_START + ROOT_SECTORS + (32 if table == "gpt" else -1)) * 512)
    assert path.read_bytes() == before


def test_only_the_last_partition_grows(tmp_path: Path) -> None:
    with bare(tmp_path, "mbr").open("r+b") as stream, pytest.raises(BadTable, match="partition 2 lies behind"):
        grow_partition(stream, 1, 100 * MIB)


@pytest.mark.parametrize(
    ("offset", "words"), [(512 + 40, "header .* checksum"), (1024 + 32, "entries .* checksum"), (512 + 15, "no sense")]
)
def test_a_damaged_gpt_is_refused(tmp_path: Path, offset: int, words: str) -> None:
    with bare(tmp_path, "gpt").open("r+b") as image:
        image.seek(offset)
        image.write(b"\x7f")
        with pytest.raises(BadTable, match=words):
            read_table(image)
