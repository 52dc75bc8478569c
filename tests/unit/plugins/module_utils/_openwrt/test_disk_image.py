# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images in the shape of OpenWrt's, made here: grown, seeded, and still sound for the tools that others use."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from partition_tables import (
    BOOT_SECTORS,
    BOOT_START,
    ROOT_SECTORS,
    ROOT_START,
    bare,
    gpt_table,
    mbr_table,
)

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._io.partitions import read_table
from ansible_collections.pve.provision.plugins.module_utils._openwrt import disk_image, rootfs

MIB = 1 << 20
FILES: rootfs.Files = {
    "/etc/config/network": (0o644, b"config interface 'loopback'\n"),
    "/etc/dropbear/authorized_keys": (0o600, b"ssh-ed25519 AAAA admin\n"),
}


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"no {', '.join(missing)}")


needs_ext = needs("mke2fs", "debugfs", "resize2fs", "e2fsck")
needs_fat = needs("mkfs.vfat", "fsck.fat")


# -- images ------------------------------------------------------------------------------------------------------------
def file_system(path: Path, kind: str, size: int) -> bytes:
    tree = path.parent / f"{path.name}.tree"
    (tree / "lib/preinit").mkdir(parents=True)
    (tree / "lib/preinit/00_preinit.conf").write_text('pi_ip="192.168.1.1"\npi_preinit_no_failsafe=""\n')
    (tree / "boot").mkdir()
    (tree / "boot/vmlinuz").write_bytes(b"kernel" * 1000)
    with path.open("wb") as stream:
        stream.truncate(size)
    if kind == "ext4":
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-d", tree, path], check=True)
    elif kind == "fat":
        subprocess.run(["mkfs.vfat", "--invariant", "-n", "kernel", path], check=True, capture_output=True)
    else:
        path.write_bytes((b"hsqs" + b"squash" * 1000).ljust(size, b"\0"))
    return path.read_bytes()


def make_image(folder: Path, boot: str, root: str, table: str) -> Path:
    path = folder / f"openwrt-{table}-{boot}-{root}.img"
    sectors = ROOT_START + ROOT_SECTORS + (33 if table != "mbr" else 0)
    with path.open("wb") as stream:
        stream.truncate(sectors * 512)
        if table == "mbr":
            stream.write(mbr_table())
        else:
            primary, backup = gpt_table(sectors, hybrid=table == "hybrid")
            stream.write(primary)
            stream.seek((sectors - 33) * 512)
            stream.write(backup)
        for start, length, kind in ((BOOT_START, BOOT_SECTORS, boot), (ROOT_START, ROOT_SECTORS, root)):
            stream.seek(start * 512)
            stream.write(file_system(folder / f"{start}", kind, length * 512))
    return path


KINDS = [
    pytest.param("ext4", "ext4", "mbr", marks=needs_ext),
    pytest.param("ext4", "squashfs", "mbr", marks=needs_ext),
    pytest.param("fat", "ext4", "gpt", marks=[needs_ext, needs_fat]),
    pytest.param("fat", "squashfs", "hybrid", marks=needs_fat),
]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return make_image(tmp_path, "ext4", "ext4", "mbr")


def cut_out(path: Path, number: int, target: Path) -> Path:
    with path.open("rb") as stream:
        partition = read_table(stream).get(number)
        stream.seek(partition.offset)
        target.write_bytes(stream.read(partition.size))
    return target


def ext4_cat(path: Path, name: str) -> bytes:
    return subprocess.run(["debugfs", "-R", f"cat {name}", path], capture_output=True, check=True).stdout


# -- the whole road ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("boot", "root", "table"), KINDS)
@pytest.mark.parametrize("size", [None, 64 * MIB])
def test_an_image_is_grown_and_seeded(tmp_path: Path, boot: str, root: str, table: str, size: int | None) -> None:
    path = make_image(tmp_path, boot, root, table)
    before = path.stat().st_size
    done = disk_image.prepare_image(path, size=size, files=FILES)
    assert (done.boot, done.root) == (boot, root)
    assert done.size == path.stat().st_size == (size or before)
    partition = done.table.get(2)
    if size is None:
        assert partition.sectors == ROOT_SECTORS
    else:
        assert 0 <= size // 512 - (partition.start + partition.sectors) < 33 + 8 + 1

    archive = disk_image.read_archive(path)
    assert archive is not None
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {f"/{os.path.normpath(m.name)}": (m.mode, tar.extractfile(m).read(), m.uid) for m in tar}
    assert found == {name: (mode, content, 0) for name, (mode, content) in FILES.items()}

    for number, kind in ((1, boot), (2, root)):
        part = cut_out(path, number, tmp_path / f"part{number}")
        if kind == "ext4":
            checked = subprocess.run(["e2fsck", "-f", "-n", part], capture_output=True, text=True, check=False)
            assert checked.returncode == 0, checked.stdout
            assert ext4_cat(part, "boot/vmlinuz") == b"kernel" * 1000
        elif kind == "fat":
            assert subprocess.run(["fsck.fat", "-n", part], capture_output=True, check=False).returncode == 0
        else:
            assert part.read_bytes().rstrip(b"\0") == b"hsqs" + b"squash" * 1000
    if root == "ext4":
        stats = subprocess.run(
            ["debugfs", "-R", "stats", tmp_path / "part2"], capture_output=True, text=True, check=True
        )
        blocks = next(int(line.split()[-1]) for line in stats.stdout.splitlines() if line.startswith("Block count"))
        assert blocks * 4096 == partition.size
        assert b'pi_preinit_no_failsafe="y"' in ext4_cat(tmp_path / "part2", "lib/preinit/00_preinit.conf")


@needs_ext
def test_the_same_input_gives_the_same_archive_and_seeding_twice_the_last_one(image: Path) -> None:
    assert disk_image.config_archive(FILES) == disk_image.config_archive(dict(reversed(FILES.items())))
    for content in (b"first", b"second, and longer"):
        archive = disk_image.config_archive({"etc/x": (0o644, content)})
        disk_image.place_archive(image, archive)
        assert disk_image.read_archive(image) == archive


@needs_ext
def test_a_path_with_blanks_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "with a blank"
    folder.mkdir()
    monkeypatch.setattr(disk_image.tempfile, "tempdir", str(folder))
    path = make_image(folder, "ext4", "ext4", "mbr")
    disk_image.prepare_image(path, size=32 * MIB, files=FILES)
    assert disk_image.read_archive(path) == disk_image.config_archive(FILES)
    assert [entry.name for entry in folder.iterdir() if entry.name.startswith(("tmp", "."))] == []


@needs_ext
def test_nothing_to_do_leaves_boot_partition_and_table_alone(image: Path) -> None:
    head = image.read_bytes()[: ROOT_START * 512]
    disk_image.prepare_image(image)
    assert image.read_bytes()[: ROOT_START * 512] == head


# -- tables ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("table", "offset", "words"),
    [
        ("mbr", 510, "no partition 1"),
        ("mbr", 462 + 15, "outside of it"),
        ("gpt", 512 + 40, "checksum"),
        ("gpt", 1024 + 32, "checksum"),
        ("gpt", 512 + 15, "no sense"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, table: str, offset: int, words: str) -> None:
    path = bare(tmp_path, table)
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\x7f")
    with pytest.raises(ImageError, match=words) as caught:
        disk_image.inspect_image(path)
    assert str(path) in caught.value.message
    assert caught.value.remedy


# -- errors ------------------------------------------------------------------------------------------------------------
@needs_ext
def test_an_image_never_shrinks(image: Path) -> None:
    before = image.read_bytes()
    with pytest.raises(ImageError, match="bytes"):
        disk_image.prepare_image(image, size=MIB)
    assert image.read_bytes() == before


def test_what_is_no_openwrt_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="unknown and unknown"):
        disk_image.inspect_image(bare(tmp_path, "mbr"))


@needs_ext
def test_a_missing_program_is_named_with_its_package(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(disk_image, "SYSTEM_PATH", "/nonexistent")
    with pytest.raises(ImageError, match="debugfs") as caught:
        disk_image.place_archive(image, b"x")
    assert "e2fsprogs" in caught.value.remedy


@needs_ext
def test_a_full_boot_partition_is_reported(image: Path) -> None:
    with pytest.raises(ImageError) as caught:
        disk_image.place_archive(image, os.urandom(4 * MIB))
    assert "fewer" in caught.value.remedy


def test_a_program_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_image, "TIMEOUT", 0.1)
    with pytest.raises(ImageError, match="still at work"):
        disk_image._run(["sleep", "30"])


# -- unpacking ---------------------------------------------------------------------------------------------------------
CONTENT = os.urandom(5000) + bytes(3 * MIB) + b"end" + bytes(MIB)


@pytest.mark.parametrize("tail", [b"", b"OpenWrt's metadata"])
@pytest.mark.parametrize("packed", [True, False])
def test_unpacking_gives_the_bytes_and_keeps_holes(tmp_path: Path, tail: bytes, packed: bool) -> None:
    source, target = tmp_path / "source", tmp_path / "target.img"
    source.write_bytes(gzip.compress(CONTENT) + tail if packed else CONTENT)
    disk_image.unpack_image(source, target)
    assert target.read_bytes() == CONTENT
    assert target.stat().st_blocks * 512 < len(CONTENT)


@pytest.mark.parametrize("cut", [10, 3000, -1])
def test_a_cut_image_is_refused(tmp_path: Path, cut: int) -> None:
    (tmp_path / "source").write_bytes(gzip.compress(CONTENT)[:cut])
    with pytest.raises(ImageError):
        disk_image.unpack_image(tmp_path / "source", tmp_path / "target.img")


def test_unpacking_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    (tmp_path / "target.img").write_bytes(b"somebody's disk")
    with pytest.raises(FileExistsError):
        disk_image.unpack_image(tmp_path / "source", tmp_path / "target.img")
