# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images are read and written to the byte."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded_node.errors import ApiError
from embedded_node.state import disk_image

CLUSTER = disk_image.CLUSTER


SPOTS = st.dictionaries(st.integers(0, 40), st.binary(min_size=1, max_size=64), max_size=6)


@given(SPOTS, st.integers(0, CLUSTER - 1))
def test_a_disk_survives_qcow2_and_back(
    tmp_path_factory: pytest.TempPathFactory, spots: dict[int, bytes], odd: int
) -> None:
    folder = tmp_path_factory.mktemp("disk")
    raw, packed, back = folder / "a.raw", folder / "a.qcow2", folder / "b.raw"
    size = 41 * CLUSTER + odd // 512 * 512
    data = bytearray(size)
    for place, text in spots.items():
        data[place * CLUSTER : place * CLUSTER + len(text)] = text
    raw.write_bytes(data)
    disk_image.write_qcow2(packed, size, disk_image.read(raw, "raw"))
    assert disk_image.sniffed_size(packed) == size
    back.touch()
    with back.open("r+b") as out:
        for offset, piece in disk_image.read(packed, "qcow2"):
            out.seek(offset)
            out.write(piece)
        out.truncate(size)
    assert back.read_bytes() == bytes(data)


def test_holes_stay_holes(tmp_path: Path) -> None:
    raw, packed = tmp_path / "a.raw", tmp_path / "a.qcow2"
    with raw.open("wb") as file:
        file.truncate(1 << 30)
    disk_image.write_qcow2(packed, 1 << 30, disk_image.read(raw, "raw"))
    assert packed.stat().st_size < 8 * CLUSTER


def test_every_cluster_is_counted_once(tmp_path: Path) -> None:
    """The reference counts cover the header, the tables, the data, and themselves."""
    path = tmp_path / "a.qcow2"
    disk_image.write_qcow2(path, 3 * CLUSTER, iter([(0, b"a"), (2 * CLUSTER, b"b")]))
    head = disk_image.HEADER.unpack(path.read_bytes()[: disk_image.HEADER.size])
    table, clusters = head[9], path.stat().st_size // CLUSTER
    data = path.read_bytes()
    block = struct.unpack_from(">Q", data, table)[0]
    counts = struct.unpack_from(f">{CLUSTER // 2}H", data, block)
    assert counts[:clusters] == (1,) * clusters and not any(counts[clusters:])


def test_compressed_clusters_are_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    content = b"text" * (CLUSTER // 4)
    packer = zlib.compressobj(wbits=-12)
    packed = packer.compress(content) + packer.flush()
    disk_image.write_qcow2(path, CLUSTER, iter([(0, b"x")]))
    data = bytearray(path.read_bytes())
    first = struct.unpack_from(">Q", data, CLUSTER)[0] & disk_image.OFFSET
    sectors = -(-len(packed) // 512)
    place = len(data)
    struct.pack_into(">Q", data, first, disk_image.COMPRESSED | (sectors << 54) | place)
    path.write_bytes(bytes(data) + packed.ljust((sectors + 1) * 512, b"\0"))
    assert list(disk_image.read(path, "qcow2")) == [(0, content)]


def test_a_raw_file_counts_in_sectors(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 700)
    assert disk_image.sniffed_size(tmp_path / "a") == 1024


@pytest.mark.parametrize("sector", [b"", b"\x55\xaa", bytes(510) + b"\xaa\x55"])
def test_without_a_boot_sector_nothing_boots(tmp_path: Path, sector: bytes) -> None:
    (tmp_path / "a").write_bytes(sector)
    assert not disk_image.bootable(tmp_path / "a")


def test_what_is_no_qcow2_is_not_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.qcow2").write_bytes(b"junk")
    with pytest.raises(ApiError, match="Image is not in qcow2 format"):
        disk_image.convert(tmp_path / "a.qcow2", "qcow2", tmp_path / "b", "raw")
