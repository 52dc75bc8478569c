# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of a UFS2 image is found and overwritten where it is, and nothing else of the image changes."""

from __future__ import annotations

import contextlib
import io
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from partition_tables import gpt_table, mbr_table

from ansible_collections.pve.provision.plugins.module_utils._io.partitions import Partition, read_disklabel
from ansible_collections.pve.provision.plugins.module_utils._io.ufs import BadFileSystem, Ufs, find_ufs
from embedded_node.mirror.ufs_image import UfsImage, disklabel, nano_image

CONFIG = "usr/local/etc/config.xml"
SIZES = [(4096, 512), (8192, 1024), (16384, 2048), (32768, 4096)]


def content(length: int) -> bytes:
    return (bytes(range(256)) * (length // 256 + 1))[:length]


def only(image: bytes | io.BytesIO) -> Ufs:
    (found,) = find_ufs(io.BytesIO(image) if isinstance(image, bytes) else image)
    return found


# -- where the file system is ------------------------------------------------------------------------------------------
UFS = UfsImage({CONFIG: b"<opnsense/>"}).image()
SECTORS = len(UFS) // 512
FREEBSD_UFS = "516e7cb6-6ecf-11d6-8ff8-00022d09712b"


def in_slice(first: int = 0) -> bytes:
    """An MBR whose slice at sector 63 has a disklabel, with ``a`` 16 sectors into it; ``first``: what ``c`` says."""
    label = disklabel({0: (first + 16, SECTORS)}, SECTORS + 16, first)
    body = bytearray(16 * 512) + UFS
    body[512:1024] = label
    return mbr_table({1: (63, SECTORS + 16)}) + bytes(62 * 512) + bytes(body)


@pytest.mark.parametrize(
    ("image", "start"),
    [
        (UFS, 0),
        (nano_image({CONFIG: b"<opnsense/>"}), 0),
        (in_slice(), (63 + 16) * 512),
        (in_slice(63), (63 + 16) * 512),
        (mbr_table({2: (64, SECTORS)}) + bytes(63 * 512) + UFS, 64 * 512),
        (gpt_table(SECTORS + 200, {1: (FREEBSD_UFS, 100, SECTORS)})[0].ljust(100 * 512, b"\0") + UFS, 100 * 512),
    ],
    ids=["bare", "nano", "slice, relative label", "slice, absolute label", "mbr", "gpt"],
)
def test_it_is_found_in_the_whole_image_or_in_a_partition(image: bytes, start: int) -> None:
    found = only(image)
    assert found.start == start
    assert found.read(found.file(f"/{CONFIG}")) == b"<opnsense/>"


@pytest.mark.parametrize("image", [b"", bytes(1 << 20), UFS[:65536], UFS.replace(b"\x19\x01\x54\x19", bytes(4))])
def test_what_is_none_is_not_taken_for_one(image: bytes) -> None:
    assert [each for each in find_ufs(io.BytesIO(image)) if each.start] == []


def test_a_damaged_gpt_is_reported() -> None:
    table = bytearray(gpt_table(1000, {1: (FREEBSD_UFS, 100, 200)})[0])
    table[520] ^= 1
    with pytest.raises(BadFileSystem, match="damaged"):
        find_ufs(io.BytesIO(bytes(table)))


def test_a_label_names_its_partitions_but_not_the_whole_disk() -> None:
    label = bytes(512) + disklabel({0: (16, 100), 3: (116, 50)}, 166)
    assert read_disklabel(io.BytesIO(label), 0) == (
        Partition(1, 16, 100, "07", "a"),
        Partition(4, 116, 50, "07", "d"),
    )


# -- files -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("block", "fragment"), SIZES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_file_of_any_length_reads_as_it_was_written(block: int, fragment: int, data: st.DataObject) -> None:
    edges = st.sampled_from([fragment, block, 12 * block, 12 * block + fragment]).flatmap(
        lambda at: st.integers(max(0, at - 2), at + 2)
    )
    length = data.draw(st.integers(0, 3 * block) | edges)
    files = {CONFIG: content(length), "etc/rc": b"#!/bin/sh\n", "usr/local/etc/rc.d/sshd": b"2"}
    found = only(nano_image(files, block=block, fragment=fragment))
    assert (found.block, found.fragment) == (block, fragment)
    assert {path: found.read(found.file(f"/{path}")) for path in files} == files


def test_blocks_behind_the_direct_ones_are_found_at_each_level() -> None:
    block, single = 4096, (12 + 512) * 4096
    for length in (single - 1, single, single + 1, single + 3 * 512 * block + 5):
        body = content(length)
        found = only(UfsImage({"boot/kernel/kernel": body}, block=block, fragment=512).image())
        assert found.read(found.file("/boot/kernel/kernel")) == body


def test_a_long_directory_is_searched_to_its_end() -> None:
    files = {f"many/a-name-that-is-rather-long-{n:03}": str(n).encode() for n in range(100)}
    found = only(UfsImage(files, block=4096, fragment=512).image())
    assert found.read(found.file("/many/a-name-that-is-rather-long-099")) == b"99"


# -- overwriting -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("block", "fragment"), SIZES)
@pytest.mark.parametrize("length", [1, 3741, 11008, 50000, 600000])
def test_overwriting_changes_the_bytes_of_the_file_alone(block: int, fragment: int, length: int) -> None:
    before = nano_image({CONFIG: content(length), "z": b"z" * 5000}, block=block, fragment=fragment)
    image = io.BytesIO(before)
    found = only(image)
    inode = found.file(f"/{CONFIG}")
    new = bytes(255 - byte for byte in content(length))
    found.overwrite(inode, new)
    assert found.read(found.file(f"/{CONFIG}")) == new
    expected = bytearray(before)
    for extent in found.extents(inode):
        expected[extent.offset : extent.offset + extent.length] = bytes(
            255 - byte for byte in before[extent.offset : extent.offset + extent.length]
        )
    assert image.getvalue() == bytes(expected)
    assert sum(extent.length for extent in found.extents(inode)) == length


@pytest.mark.parametrize("length", [0, 10, 12])
def test_other_lengths_are_refused_before_anything_is_written(length: int) -> None:
    image = io.BytesIO(UFS)
    found = only(image)
    with pytest.raises(BadFileSystem, match=f"{length} bytes cannot take the place of 11"):
        found.overwrite(found.file(f"/{CONFIG}"), bytes(length))
    assert image.getvalue() == UFS


# -- what is wrong -----------------------------------------------------------------------------------------------------
def test_what_is_not_there_is_reported() -> None:
    found = only(UfsImage({CONFIG: b"x", "etc/rc": b""}).image())
    for path, words in {
        "/usr/local/etc/other.xml": "it has no file /usr/local/etc/other.xml",
        "/usr/local": "/usr/local is not a regular file",
        f"/{CONFIG}/more": "what leads to",
    }.items():
        with pytest.raises(BadFileSystem, match=words):
            found.file(path)


def inode_field(image: bytes, size: int, kind: str, at: int, value: int) -> bytes:
    """The image with one field changed of the inode of the file that has so many bytes."""
    changed, start = bytearray(image), only(image)
    table = start.inode_blocks * start.fragment
    (number,) = [
        n for n in range(128) if image[table + n * 256 + 1] & 0xF0 == 0x80
        and struct.unpack_from("<Q", image, table + n * 256 + 16)[0] == size
    ]  # fmt: skip
    struct.pack_into(f"<{kind}", changed, table + number * 256 + at, value)
    return bytes(changed)


@pytest.mark.parametrize(
    ("kind", "at", "value", "words"),
    [
        ("q", 112, 0, "has a hole"),
        ("q", 120, 0, "has a hole"),
        ("q", 112, 1 << 40, "lies outside"),
        ("q", 112, -5, "lies outside"),
        ("I", 88, 0x20, "compressed"),
        ("Q", 16, 1 << 62, "."),
        ("H", 0, 0o120644, "not a regular file"),
    ],
)
def test_a_file_that_cannot_be_overwritten_is_reported_and_nothing_is_written(
    kind: str, at: int, value: int, words: str
) -> None:
    image = io.BytesIO(inode_field(nano_image({CONFIG: content(50000)}), 50000, kind, at, value))
    before, found = image.getvalue(), only(image)
    with pytest.raises(BadFileSystem, match=words):
        found.overwrite(found.file(f"/{CONFIG}"), bytes(50000))
    assert image.getvalue() == before


SMALL = nano_image({CONFIG: content(5000)}, block=4096, fragment=512)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, len(SMALL) - 1) | st.integers(65536, 65536 + 1376) | st.integers(73728, len(SMALL) - 1),
    st.binary(min_size=1, max_size=8),
    st.integers(0, len(SMALL)),
)
def test_a_damaged_image_is_a_clear_error_or_a_file(at: int, damage: bytes, length: int) -> None:
    image = io.BytesIO((SMALL[:at] + damage + SMALL[at + len(damage) :])[: length or None])
    with contextlib.suppress(BadFileSystem):
        for found in find_ufs(image):
            assert found.read(found.file(f"/{CONFIG}")) is not None


# -- by others' tools --------------------------------------------------------------------------------------------------
@pytest.mark.skipif(shutil.which("makefs") is None, reason="no makefs")
@pytest.mark.parametrize(("block", "fragment"), SIZES)
def test_an_image_of_makefs_is_read_and_overwritten(tmp_path: Path, block: int, fragment: int) -> None:
    files = {CONFIG: content(11008), "boot/kernel/kernel": content(5 << 20), "etc/rc.conf": b"", "etc/motd": b"x"}
    files |= {f"var/many/a-name-that-is-rather-long-{n:03}": str(n).encode() for n in range(200)}
    for path, body in files.items():
        place = tmp_path / "tree" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)
    made = tmp_path / "image"
    options = f"version=2,bsize={block},fsize={fragment}"
    subprocess.run(
        ["makefs", "-s", "24m", "-B", "little", "-o", options, str(made), str(tmp_path / "tree")],
        check=True,
        capture_output=True,
    )
    image = io.BytesIO(made.read_bytes())
    found = only(image)
    assert {path: found.read(found.file(f"/{path}")) for path in files} == files
    before = image.getvalue()
    extents = list(found.extents(found.file(f"/{CONFIG}")))
    found.overwrite(found.file(f"/{CONFIG}"), b" " * 11008)
    after = bytearray(image.getvalue())
    for extent in extents:
        assert set(after[extent.offset : extent.offset + extent.length]) == {0x20}
        after[extent.offset : extent.offset + extent.length] = before[extent.offset : extent.offset + extent.length]
    assert bytes(after) == before
