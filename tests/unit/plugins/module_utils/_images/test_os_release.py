# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk image tells its system wherever its os-release lies, and nothing else looks like one."""

from __future__ import annotations

import gzip
import random
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._images.os_release import systems_inside
from ansible_collections.pve.provision.plugins.module_utils._io.compression import Limits
from ansible_collections.pve.provision.plugins.module_utils._io.qcow2 import CLUSTER, Unreadable, write_qcow2
from embedded_node.mirror import images

ALPINE = b'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.22.1\nPRETTY_NAME="Alpine Linux v3.22"\n'
DEBIAN = b'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nVERSION="13 (trixie)"\nID=debian\n'
FEDORA = b"NAME='Fedora Linux'\nID=fedora\nVERSION_ID=44\nCPE_NAME=\"cpe:/o:fedoraproject:fedora:44\"\n"
NOISE = random.Random(1).randbytes(8 * CLUSTER)


def found(path: Path) -> set[tuple[str, str]]:
    return set(systems_inside(path))


def disk(place: int, text: bytes, size: int = 6 * CLUSTER, ground: bytes = b"") -> bytes:
    image = bytearray(ground[:size].ljust(size, b"\0"))
    image[place : place + len(text)] = text
    return bytes(image)


@pytest.fixture(params=["raw", "qcow2", "gzip"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> t.Callable[[bytes], Path]:
    """An image in each shape that is read."""

    def written(content: bytes) -> Path:
        raw, image = tmp_path / "raw", tmp_path / "image"
        raw.write_bytes(gzip.compress(content, 1) if request.param == "gzip" else content)
        if request.param == "qcow2":
            write_qcow2(raw, image)
        return image if request.param == "qcow2" else raw

    return written


@pytest.mark.parametrize(
    ("text", "system"),
    [(ALPINE, ("alpine", "3.22.1")), (DEBIAN, ("debian", "13")), (FEDORA, ("fedora", "44"))],
)
@pytest.mark.parametrize("place", [0, 4096, 2 * CLUSTER, 3 * CLUSTER - 30, (256 << 10) - 50])
@pytest.mark.parametrize("ground", [b"", NOISE])
def test_wherever_it_lies(
    write: t.Callable[[bytes], Path], text: bytes, system: tuple[str, str], place: int, ground: bytes
) -> None:
    assert found(write(disk(place, text, ground=ground))) == {system}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"VERSION_ID=3.22.1\n",
        b"ID=alpine\n\0VERSION_ID=3.22.1\n",
        b"ID=alpine\nsome words\nVERSION_ID=3.22.1\n",
        b"ID=alpine\nVERSION_ID=3.22.1",  # cut off: it may be 3.22.11
        ALPINE.lower(),
    ],
)
def test_what_is_none(write: t.Callable[[bytes], Path], text: bytes) -> None:
    assert found(write(disk(CLUSTER, text))) == set()


def test_clusters_with_a_gap_between_them_are_not_joined(tmp_path: Path) -> None:
    content = disk(2 * CLUSTER - 10, b"ID=alpine\n") + disk(2 * CLUSTER, b"VERSION_ID=3.22.1\n")
    (tmp_path / "raw").write_bytes(content)
    write_qcow2(tmp_path / "raw", tmp_path / "image")
    assert found(tmp_path / "image") == set()


def test_several_are_all_told(write: t.Callable[[bytes], Path]) -> None:
    assert found(write(disk(0, ALPINE) + disk(100, DEBIAN))) == {("alpine", "3.22.1"), ("debian", "13")}


def test_bytes_that_look_like_lines_without_end_take_no_long_time(tmp_path: Path) -> None:
    """A pattern that starts again at each of them would take hours."""
    (tmp_path / "raw").write_bytes(b"VERSION_ID=" + b"A" * (1 << 20) + b"A=" * (1 << 19) + b"=" * (1 << 20))
    assert found(tmp_path / "raw") == set()


def test_an_image_that_makes_more_than_it_may_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(NOISE)
    write_qcow2(tmp_path / "raw", tmp_path / "image")
    with pytest.raises(Unreadable, match="holds more than"):
        list(systems_inside(tmp_path / "image", Limits(size=4 * CLUSTER)))


@pytest.mark.skipif(shutil.which("mke2fs", path="/usr/sbin:/sbin:/usr/bin:/bin") is None, reason="no mke2fs here")
def test_a_file_system(write: t.Callable[[bytes], Path]) -> None:
    assert found(write(images.ext4({"usr/lib/os-release": ALPINE}, 8 << 20, "root"))) == {("alpine", "3.22.1")}


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="the program qemu-img is not installed")
@pytest.mark.parametrize("options", ["compression_type=zlib", "compression_type=zlib,cluster_size=4k"])
def test_a_packed_image_of_qemu(tmp_path: Path, options: str) -> None:
    (tmp_path / "raw").write_bytes(disk(3 * CLUSTER - 30, ALPINE))
    argv = ["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, str(tmp_path / "raw")]
    subprocess.run([*argv, str(tmp_path / "image")], check=True)
    assert b"VERSION_ID" not in (tmp_path / "image").read_bytes()
    assert found(tmp_path / "image") == {("alpine", "3.22.1")}


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="the program qemu-img is not installed")
def test_an_image_of_qemu_that_is_packed_with_zstd(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(disk(0, ALPINE))
    argv = [
        "qemu-img",
        "convert",
        "-c",
        "-f",
        "raw",
        "-O",
        "qcow2",
        "-o",
        "compression_type=zstd",
        str(tmp_path / "raw"),
    ]
    if subprocess.run([*argv, str(tmp_path / "image")], check=False, capture_output=True).returncode:
        pytest.skip("this qemu-img has no zstd")
    with pytest.raises(Unreadable, match="zstd"):
        found(tmp_path / "image")
