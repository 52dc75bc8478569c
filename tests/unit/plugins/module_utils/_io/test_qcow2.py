# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a qcow2 image holds is what the guest's disk holds, whoever wrote it; what cannot be read is told."""

from __future__ import annotations

import errno
import os
import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._io.qcow2 import (
    CLUSTER,
    Unreadable,
    clusters,
    write_qcow2,
)
from embedded_node.state import disk_image

PLENTY = 1 << 30


def content(image: Path, size: int) -> bytes:
    disk = bytearray(size)
    with image.open("rb") as file:
        for place, data in clusters(file, PLENTY):
            disk[place : place + len(data)] = data
    return bytes(disk)


def raw_image(path: Path, size: int, pieces: list[tuple[int, bytes]]) -> bytes:
    with path.open("wb") as file:
        for place, data in pieces:
            file.seek(place % size)
            file.write(data[: size - place % size])
        file.truncate(size)
    return path.read_bytes()


# -- written here ------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    size=st.integers(1, 40 * CLUSTER),
    pieces=st.lists(st.tuples(st.integers(0, 40 * CLUSTER), st.binary(min_size=1, max_size=64)), max_size=6),
)
def test_a_qcow2_holds_what_the_raw_image_holds(
    tmp_path_factory: pytest.TempPathFactory, size: int, pieces: list[tuple[int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("image")
    raw, packed = folder / "disk.raw", folder / "disk.qcow2"
    disk = raw_image(raw, size, pieces)
    write_qcow2(raw, packed)
    assert disk_image.sniffed_size(packed) == size
    read = bytearray(size)
    for place, data in disk_image.read(packed, "qcow2"):
        read[place : place + len(data)] = data
    assert bytes(read) == disk
    assert content(packed, size) == disk


def test_emptiness_is_not_written_and_not_read(tmp_path: Path) -> None:
    with (tmp_path / "disk.raw").open("wb") as file:
        file.write(b"boot")
        file.seek((5 << 30) - 1)
        file.write(b"!")
    write_qcow2(tmp_path / "disk.raw", tmp_path / "disk.qcow2")
    assert (tmp_path / "disk.qcow2").stat().st_size == 8 * CLUSTER
    assert disk_image.sniffed_size(tmp_path / "disk.qcow2") == 5 << 30
    with (tmp_path / "disk.qcow2").open("rb") as file:
        assert [place for place, _data in clusters(file, PLENTY)] == [0, (5 << 30) - CLUSTER]


# -- by the format's words ---------------------------------------------------------------------------------------------
BITS = 9
SMALL = 1 << BITS
COMPRESSED = 1 << 62
TEXT = b"what the guest reads ".ljust(SMALL, b".")


def test_a_raw_image_that_cannot_be_read_is_not_taken_for_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_image(tmp_path / "disk.raw", 1 << 20, [(0, b"x")])

    def broken(*_where: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "lseek", broken)
    with pytest.raises(OSError, match="Input/output error"):
        write_qcow2(tmp_path / "disk.raw", tmp_path / "disk.qcow2")


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    return packer.compress(data) + packer.flush()


def image(*entries: int, data: bytes = b"", **changed: int) -> bytes:
    """A qcow2 with 512-byte clusters: header, L1, L2 with these entries, and ``data`` from cluster 3 on."""
    fields = {
        "version": 3, "backing": 0, "backing_size": 0, "bits": BITS, "size": 64 * SMALL, "crypt": 0, "l1_size": 1,
        "l1": SMALL, "refcounts": 0, "refcount_clusters": 0, "snapshots": 0, "snapshots_at": 0, "features": 0,
        "compatible": 0, "autoclear": 0, "order": 4, "length": 112, "compression": 0, "l2": 2 * SMALL,
    } | changed  # fmt: skip
    second = fields.pop("l2")
    head = b"QFI\xfb" + struct.pack(">IQIIQIIQQIIQQQQIIB", *fields.values())
    tables = struct.pack(">Q", second).ljust(SMALL, b"\0") + struct.pack(f">{len(entries)}Q", *entries)
    return head.ljust(SMALL, b"\0") + tables.ljust(2 * SMALL, b"\0") + data


def packed_entry(place: int, length: int) -> int:
    """Above the place (61 bits with these clusters) stands how many more sectors the data touches."""
    return COMPRESSED | ((place % 512 + length - 1) // 512) << (62 - (BITS - 8)) | place


PACKED = deflate(TEXT)
AT = 3 * SMALL


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (image(), []),
        (image(0, AT, data=TEXT), [(SMALL, TEXT)]),
        (image(1 << 63 | AT, data=TEXT), [(0, TEXT)]),
        (image(AT | 1, data=TEXT), []),  # allocated, but zero
        (image(AT | 1, data=TEXT, version=2), [(0, TEXT)]),  # which version 2 does not know
        (image(AT, data=b"short"), [(0, b"short".ljust(SMALL, b"\0"))]),  # the end of the file
        (image(AT, data=TEXT, size=100), [(0, TEXT[:100])]),
        (image(AT, AT, data=TEXT, size=SMALL), [(0, TEXT)]),
        (image(AT, data=TEXT, l2=0), []),
        (image(packed_entry(AT, len(PACKED)), data=PACKED), [(0, TEXT)]),
        (image(packed_entry(AT + 500, len(PACKED)), data=bytes(500) + PACKED), [(0, TEXT)]),
        (image(packed_entry(AT, len(PACKED)), AT, data=PACKED.ljust(SMALL, b"x")), [(0, TEXT), (SMALL, None)]),
        (image(AT, data=TEXT, features=0b1001), [(0, TEXT)]),  # dirty; its compression is told, and zlib
    ],
)
def test_clusters(tmp_path: Path, made: bytes, found: list[tuple[int, bytes | None]]) -> None:
    (tmp_path / "image").write_bytes(made)
    with (tmp_path / "image").open("rb") as file:
        read = list(clusters(file, PLENTY))
    assert [place for place, _data in read] == [place for place, _data in found]
    assert all(wanted in (None, data) for (_place, data), (_there, wanted) in zip(read, found, strict=True))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (b"QFI\xfb", "header is cut off"),
        (b"hsqs".ljust(200), "header is cut off"),
        (image(version=4), "has version 4"),
        (image(backing=200, backing_size=3), "has a backing file"),
        (image(crypt=2), "is encrypted"),
        (image(features=4), "in another file"),
        (image(features=8, compression=1), "compressed with zstd"),
        (image(features=8, compression=9), r"in an unknown way \(9\)"),
        (image(features=16), "features that are not known"),
        (image(bits=63), r"clusters of 2\^63"),
        (image(bits=4_000_000_000), r"clusters of 2\^4000000000"),
        (image(size=1 << 62, l1_size=1 << 31), "too large a table"),
        (image(l1=1 << 40), "table at byte 1099511627776 is cut off"),
        (image(l2=1 << 40), "table at byte 1099511627776 is cut off"),
        (image(packed_entry(AT, 300), data=b"\xff" * 300), "cluster at byte 1536 is corrupt"),
        (image(packed_entry(AT, 300), data=PACKED[:9]), "cluster at byte 1536 is cut off"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, made: bytes, why: str) -> None:
    (tmp_path / "image").write_bytes(made)
    with (tmp_path / "image").open("rb") as file, pytest.raises(Unreadable, match=why):
        list(clusters(file, PLENTY))


def test_tables_that_name_one_cluster_again_and_again_end(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(image(*[AT] * 64, data=TEXT))
    with (tmp_path / "image").open("rb") as file, pytest.raises(Unreadable, match="more than 10000 bytes"):
        list(clusters(file, 10_000))


# -- written by QEMU ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="the program qemu-img is not installed")
@pytest.mark.parametrize("packed", [[], ["-c"]])
@pytest.mark.parametrize("options", ["compat=1.1", "compat=0.10", "cluster_size=512", "cluster_size=2M"])
def test_an_image_of_qemu(tmp_path: Path, options: str, packed: list[str]) -> None:
    noise = random.Random(1).randbytes(300_000)
    pieces = [(5, b"start"), (1 << 20, noise), (2 << 20, b"text\n" * 40_000), ((9 << 20) - 4, b"end!")]
    disk = raw_image(tmp_path / "raw", 9 << 20, pieces)
    argv = ["qemu-img", "convert", *packed, "-f", "raw", "-O", "qcow2", "-o", options, str(tmp_path / "raw")]
    subprocess.run([*argv, str(tmp_path / "image")], check=True)
    assert content(tmp_path / "image", len(disk)) == disk
