# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file put on a FAT file system is where every other reader of FAT finds it, and nothing else has moved."""

from __future__ import annotations

import shutil
import subprocess
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._openwrt.fat import FatVolume, is_fat

if t.TYPE_CHECKING:
    from pathlib import Path

needs_mkfs = pytest.mark.skipif(shutil.which("mkfs.vfat") is None, reason="no mkfs.vfat (package dosfstools)")
needs_mtools = pytest.mark.skipif(shutil.which("mcopy") is None, reason="no mcopy (package mtools)")
SIZES = {12: 2 << 20, 16: 16 << 20, 32: 40 << 20}
NAME = "sysupgrade.tgz"


def volume(path: Path, bits: int, *options: str) -> Path:
    path.unlink(missing_ok=True)
    with path.open("wb") as stream:
        stream.truncate(SIZES[bits])
    argv = [
        "mkfs.vfat",
        "--invariant",
        "-F",
        str(bits),
        "-s",
        "1" if bits == 32 else "4",
        "-n",
        "kernel",
        *options,
        path,
    ]
    subprocess.run(argv, check=True, capture_output=True)
    return path


def fsck(path: Path) -> str:
    """What fsck.fat complains of; a clean file system has one line of figures after the greeting."""
    done = subprocess.run(["fsck.fat", "-n", path], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()[1:]
    quiet = ("free cluster", "Free cluster summary", "  Auto-correcting", "Leaving", "Dirty bit")
    return "\n".join(line for line in lines[:-1] if not line.startswith(quiet)) + (
        str(done.returncode) * (done.returncode > 1)
    )


def small_fat12() -> bytearray:
    """A FAT12 volume made by hand: 64 sectors of which 32 hold one cluster each, 16 root entries."""
    disk = bytearray(64 * 512)
    disk[0:3] = b"\xeb\x3c\x90"
    disk[11:24] = (512).to_bytes(2, "little") + bytes([1, 1, 0, 2, 16, 0, 64, 0, 0xF8, 1, 0])
    disk[38], disk[54:62], disk[510:512] = 0x29, b"FAT12   ", b"\x55\xaa"
    disk[512:515] = disk[1024:1027] = b"\xf8\xff\xff"
    return disk


# -- without any program -----------------------------------------------------------------------------------------------
@given(
    st.dictionaries(
        st.from_regex(r"[a-zA-Z0-9_äß][a-zA-Z0-9_. +äß]{0,30}[a-z0-9]", fullmatch=True),
        st.binary(max_size=3000),
        max_size=4,
    )
)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    files = {name: data for name, data in files.items() if sum(name.lower() == other.lower() for other in files) == 1}
    path = tmp_path_factory.mktemp("fat") / "disk"
    path.write_bytes(bytes(512) + small_fat12())
    with path.open("r+b") as stream:
        for name, data in files.items():
            FatVolume(stream, 512).write(name, data)
        again = FatVolume(stream, 512)
        assert {name: again.read(name) for name in again.names()} == files


def test_a_file_is_replaced_and_its_clusters_are_free_again(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(small_fat12())
    with path.open("r+b") as stream:
        for round_ in range(20):  # 20 times 15 000 bytes never fit beside each other
            FatVolume(stream).write(NAME, bytes([round_]) * 15_000)
        assert FatVolume(stream).names() == [NAME]
        assert FatVolume(stream).read(NAME) == bytes([19]) * 15_000


def test_without_room_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(small_fat12())
    with path.open("r+b") as stream:
        with pytest.raises(ImageError, match="no room") as caught:
            FatVolume(stream).write(NAME, bytes(64 * 512))
        assert caught.value.remedy
    assert path.read_bytes() == small_fat12()


def test_a_full_root_directory_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(small_fat12())
    with path.open("r+b") as stream:
        for number in range(14):
            FatVolume(stream).write(f"F{number}", b"")
        with pytest.raises(ImageError, match="full"):
            FatVolume(stream).write(NAME, b"x")  # needs three slots, two are left


def test_a_chain_that_runs_in_a_circle_ends(tmp_path: Path) -> None:
    disk = small_fat12()
    disk[3 * 512 : 3 * 512 + 32] = b"LOOP       " + bytes([0x20]) + bytes(14) + b"\x02\0" + (9999).to_bytes(4, "little")
    disk[512 + 3] = 2  # cluster 2 is followed by cluster 2
    path = tmp_path / "disk"
    path.write_bytes(disk)
    with path.open("r+b") as stream, pytest.raises(ImageError, match="circle"):
        FatVolume(stream).read("LOOP")


@pytest.mark.parametrize("disk", [b"", bytes(4096), small_fat12()[:600]])
def test_what_is_not_fat_is_refused(tmp_path: Path, disk: bytes) -> None:
    path = tmp_path / "disk"
    path.write_bytes(disk)
    with path.open("r+b") as stream, pytest.raises(ImageError):
        FatVolume(stream).names()
    assert not is_fat(bytes(512))


# -- with the programs that others use ---------------------------------------------------------------------------------
@needs_mkfs
@pytest.mark.parametrize("bits", SIZES)
@pytest.mark.parametrize("length", [0, 1, 2048, 100_001])
def test_fsck_finds_nothing_to_say(tmp_path: Path, bits: int, length: int) -> None:
    path = volume(tmp_path / "disk", bits)
    content = bytes(index * 7 % 256 for index in range(length))
    with path.open("r+b") as stream:
        assert FatVolume(stream).bits == bits
        FatVolume(stream).write(NAME, content)
        FatVolume(stream).write(NAME, content + b"longer")
        FatVolume(stream).write(NAME, content)
        assert FatVolume(stream).read(NAME) == content
    assert fsck(path) == ""


@needs_mkfs
@needs_mtools
@pytest.mark.parametrize("bits", SIZES)
def test_mtools_and_this_agree(tmp_path: Path, bits: int) -> None:
    path = volume(tmp_path / "disk", bits)
    theirs = tmp_path / "Their long file name.bin"
    theirs.write_bytes(b"theirs" * 5000)
    subprocess.run(["mmd", "-i", path, "::/efi"], check=True)
    subprocess.run(["mcopy", "-i", path, theirs, "::/"], check=True)
    with path.open("r+b") as stream:
        assert FatVolume(stream).read(theirs.name) == theirs.read_bytes()
        FatVolume(stream).write(NAME, b"ours" * 3000)
        assert FatVolume(stream).names() == ["EFI", theirs.name, NAME]
        with pytest.raises(ImageError, match="directory"):
            FatVolume(stream).write("efi", b"")
    for name, content in ((NAME, b"ours" * 3000), (theirs.name, theirs.read_bytes())):
        done = subprocess.run(["mtype", "-i", path, f"::/{name}"], check=True, capture_output=True)
        assert done.stdout == content
    assert fsck(path) == ""


@needs_mkfs
def test_the_root_directory_of_fat32_grows(tmp_path: Path) -> None:
    path = volume(tmp_path / "disk", 32)
    with path.open("r+b") as stream:
        for number in range(40):
            FatVolume(stream).write(f"a rather long file name {number}.txt", str(number).encode())
        assert len(FatVolume(stream).names()) == 40
        assert FatVolume(stream).read("a rather long file name 39.txt") == b"39"
    assert fsck(path) == ""
