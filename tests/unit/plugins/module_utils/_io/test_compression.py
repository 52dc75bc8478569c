# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A compressed stream is read to its end, or refused with what is wrong and where."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import random
import shutil
import subprocess
import typing as t
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._io import compression as unpacking
from ansible_collections.pve.provision.plugins.module_utils._io.compression import Limits, compression_of, unpack

if t.TYPE_CHECKING:
    from pathlib import Path

ZEROS = bytes(1_000_000)
CONTENT = random.Random(4).randbytes(700_000) + ZEROS + b"the end"


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=content, capture_output=True, check=True).stdout


PACKERS: dict[str, t.Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zstd": zstd,
}
NEEDS_ZSTD = pytest.mark.skipif(shutil.which("zstd") is None, reason="the program zstd is not installed")
ALL = [pytest.param(name, marks=NEEDS_ZSTD) if name == "zstd" else name for name in PACKERS]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "image"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "image.raw"


def refused(source: Path, target: Path, words: str, **more: t.Any) -> None:
    with pytest.raises(VerificationError, match=words) as caught:
        unpack(source, target, **more)
    assert str(source) in str(caught.value)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("content", [CONTENT, b"", b"x", ZEROS])
def test_what_was_packed_comes_out(how: str, content: bytes, source: Path, target: Path) -> None:
    source.write_bytes(PACKERS[how](content))
    got = unpack(source, target)
    assert target.read_bytes() == content
    assert (got.compression, got.size, got.trailing) == (how, len(content), 0)
    assert got.sha256 == hashlib.sha256(content).hexdigest()
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.stat().st_mode & 0o777 == 0o644


def test_zeros_become_holes(source: Path, target: Path) -> None:
    source.write_bytes(gzip.compress(bytes(8 << 20)))
    unpack(source, target)
    assert target.stat().st_size == 8 << 20
    assert target.stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9, 0.999, 1.0])
def test_a_cut_stream(how: str, place: float, source: Path, target: Path) -> None:
    packed = PACKERS[how](CONTENT)
    source.write_bytes(packed[: max(8, min(len(packed) - 1, int(len(packed) * place)))])
    refused(source, target, "cut off")


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("place", [0.2, 0.5])
def test_a_corrupt_stream(how: str, place: float, source: Path, target: Path) -> None:
    packed = bytearray(PACKERS[how](CONTENT))
    at = int(len(packed) * place)
    packed[at : at + 64] = bytes(byte ^ 0x55 for byte in packed[at : at + 64])
    source.write_bytes(packed)
    refused(source, target, "corrupt")


def test_a_wrong_crc_at_the_end_of_gzip(source: Path, target: Path) -> None:
    packed = bytearray(gzip.compress(CONTENT))
    packed[-6] ^= 1
    source.write_bytes(packed)
    refused(source, target, "corrupt")


@pytest.mark.parametrize(
    "garbage", [b"x", b"FWx0" + bytes(2000), b"\0" * 512, b"\x1f\x8b", random.Random(5).randbytes(300_000)]
)
def test_bytes_after_gzip_are_reported(garbage: bytes, source: Path, target: Path) -> None:
    source.write_bytes(gzip.compress(CONTENT) + garbage)
    assert unpack(source, target).trailing == len(garbage)
    assert target.read_bytes() == CONTENT


def test_a_second_member_that_is_cut_is_not_taken_for_garbage(source: Path, target: Path) -> None:
    source.write_bytes(gzip.compress(CONTENT) + gzip.compress(CONTENT)[:-5])
    refused(source, target, "cut off")


@pytest.mark.parametrize("how", ALL)
def test_members_in_a_row_are_one_stream(how: str, source: Path, target: Path) -> None:
    source.write_bytes(PACKERS[how](CONTENT) + PACKERS[how](b"more"))
    unpack(source, target)
    assert target.read_bytes() == CONTENT + b"more"


def test_xz_may_be_padded_with_zeros(source: Path, target: Path) -> None:
    source.write_bytes(lzma.compress(CONTENT) + bytes(600_000) + lzma.compress(b"more") + bytes(4))
    unpack(source, target)
    assert target.read_bytes() == CONTENT + b"more"


@pytest.mark.parametrize("how", ["xz", "bzip2", pytest.param("zstd", marks=NEEDS_ZSTD)])
def test_only_gzip_may_be_followed_by_something(how: str, source: Path, target: Path) -> None:
    source.write_bytes(PACKERS[how](CONTENT) + b"garbage!")
    refused(source, target, "follow the|corrupt")


def bomb(how: str, size: int) -> bytes:
    """So many zeros, packed bit by bit."""
    if how == "gzip":
        packer = zlib.compressobj(9, wbits=31)
    else:
        packer = {"xz": lzma.LZMACompressor, "bzip2": bz2.BZ2Compressor}[how]()
    return b"".join([*(packer.compress(ZEROS) for _unused in range(size // len(ZEROS))), packer.flush()])


@pytest.mark.parametrize("how", ["gzip", "xz", "bzip2"])
def test_a_bomb_is_refused_at_once(how: str, source: Path, target: Path) -> None:
    source.write_bytes(bomb(how, 100 << 20))
    refused(source, target, "decompression bomb: [0-9]+ bytes unpack to more than [0-9]+", limits=Limits())


@NEEDS_ZSTD
def test_ten_gigabytes_of_zeros_in_one_megabyte(source: Path, target: Path) -> None:
    quarter = zstd(bytes(256 << 20))
    source.write_bytes(quarter * 40)
    assert source.stat().st_size < 2 << 20
    refused(source, target, "decompression bomb")


def test_a_stream_may_begin_with_zeros(source: Path, target: Path) -> None:
    source.write_bytes(gzip.compress(bytes(80 << 20) + random.Random(7).randbytes(400_000)))
    unpack(source, target, limits=Limits())
    assert target.stat().st_size == (80 << 20) + 400_000


def test_a_limit_of_bytes(source: Path, target: Path) -> None:
    source.write_bytes(gzip.compress(CONTENT))
    refused(source, target, "more than 1000 bytes", limits=Limits(size=1000))


def test_what_is_not_compressed(source: Path, target: Path) -> None:
    source.write_bytes(b"plain")
    assert compression_of(source) == ""
    refused(source, target, "not compressed")


def test_too_little_space(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source.write_bytes(gzip.compress(CONTENT))
    monkeypatch.setattr(unpacking, "free_bytes", lambda directory: 1000)
    with pytest.raises(ImageError, match="does not fit"):
        unpack(source, target)
    assert list(target.parent.iterdir()) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.binary(max_size=3000), st.integers(min_value=0), st.integers(1, 255), st.sampled_from(["gzip", "xz", "bzip2"])
)
def test_a_changed_byte_never_changes_the_content(
    tmp_path: Path, content: bytes, where: int, flip: int, how: str
) -> None:
    packed = bytearray(PACKERS[how](content))
    at = where % len(packed)
    packed[at] ^= flip
    source, target = tmp_path / "flipped", tmp_path / "flipped.raw"
    source.write_bytes(packed)
    try:
        unpack(source, target)
    except VerificationError:
        return
    # Headers and padding have bits that say nothing of the content.
    assert target.read_bytes() == content
