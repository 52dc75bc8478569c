# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives and disk images that are what they should be pass; hostile and broken ones are refused, with the place."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import shutil
import struct
import subprocess
import tarfile
import typing as t
import uuid
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._errors import VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images.inspect import (
    inspect_archive,
    inspect_disk,
)
from ansible_collections.pve.provision.plugins.module_utils._io.compression import Limits
from ansible_collections.pve.provision.plugins.module_utils._io.partitions import Partition

if t.TYPE_CHECKING:
    from pathlib import Path

Member = tuple[str, str, str]  # name, kind, content or link target
KINDS = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "sym": tarfile.SYMTYPE,
    "hard": tarfile.LNKTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
}
INIT: Member = ("./sbin/init", "file", "#!")
ROOTFS: list[Member] = [("./", "dir", ""), ("./sbin", "dir", ""), INIT, ("./dev/null", "char", "")]


def tar(*members: Member, format: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = KINDS[kind]
            if kind == "file":
                info.size = len(content.encode())
            else:
                info.linkname = content
            archive.addfile(info, io.BytesIO(content.encode()))
    return buffer.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "image"


def refused(path: Path, content: bytes, *words: str, **more: t.Any) -> None:
    path.write_bytes(content)
    with pytest.raises(VerificationError) as caught:
        inspect_archive(path, **more)
    for word in (str(path), *words):
        assert word in str(caught.value)


# -- archives that are good ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize(
    ("compression", "pack"), [("", bytes), ("gzip", gzip.compress), ("xz", lzma.compress), ("bzip2", bz2.compress)]
)
def test_a_root_file_system(path: Path, compression: str, pack: t.Callable[[bytes], bytes], format: int) -> None:
    content = tar(*ROOTFS, ("./etc/big", "file", "x" * 1_000_000), format=format)
    path.write_bytes(pack(content))
    info = inspect_archive(path)
    assert (info.compression, info.members, info.entrypoint) == (compression, 5, "sbin/init")
    assert (info.size, info.trailing) == (len(content), 0)


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the program zstd is not installed")
def test_a_root_file_system_in_zstd(path: Path) -> None:
    packed = subprocess.run(["zstd", "-q", "-c"], input=tar(*ROOTFS), capture_output=True, check=True).stdout
    path.write_bytes(packed)
    assert inspect_archive(path).compression == "zstd"
    refused(path, packed[:-3], "cut off or corrupt")


@pytest.mark.parametrize(
    "members",
    [
        [("bin/init", "file", "")],
        [("sbin", "sym", "usr/sbin"), ("usr/sbin/init", "sym", "../lib/systemd/systemd")],
        [("sbin", "sym", "/usr/sbin"), ("usr/sbin/init", "file", "")],
        [("usr/sbin/init", "file", ""), ("sbin", "sym", "./usr/../usr/sbin")],
        [INIT, ("etc/resolv.conf", "sym", "/tmp/resolv.conf"), ("etc/mtab", "sym", "../proc/mounts")],
        [INIT, ("var", "sym", "/tmp"), ("var", "dir", ""), ("var/log", "dir", "")],
        [INIT, ("lib64", "sym", "usr/lib"), ("lib64/x", "file", ""), ("usr/y", "hard", "./sbin/init")],
        [INIT, ("dev/sda", "block", ""), ("run/pipe", "fifo", ""), ("./..hidden../...", "file", "")],
    ],
)
def test_what_real_root_file_systems_hold(path: Path, members: list[Member]) -> None:
    path.write_bytes(tar(*members))
    assert inspect_archive(path).members == len(members)


def test_a_named_entry_point(path: Path) -> None:
    path.write_bytes(tar(("app/run", "file", "")))
    assert inspect_archive(path, entrypoints=["/app/run"]).entrypoint == "app/run"
    refused(path, tar(("app/other", "file", "")), "no /app/run", entrypoints=["app/run"])


def test_bytes_after_the_gzip_stream_are_reported(path: Path) -> None:
    path.write_bytes(gzip.compress(tar(*ROOTFS)) + b"FWx0 metadata")
    assert inspect_archive(path).trailing == 13


# -- archives that are not ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (("/etc/passwd", "file", ""), "has an absolute path"),
        (("../etc/passwd", "file", ""), "has a path with .. in it"),
        (("etc/../../passwd", "file", ""), "has a path with .. in it"),
        (("a/..", "dir", ""), "has a path with .. in it"),
        (("x", "sym", "../etc/passwd"), "links out of the tree, to '../etc/passwd'"),
        (("a/b/x", "sym", "../../../etc"), "links out of the tree"),
        (("x", "hard", "/etc/passwd"), "links to an absolute path ('/etc/passwd')"),
        (("x", "hard", "../etc/passwd"), "links to a path with .. in it ('../etc/passwd')"),
        (("sda", "block", ""), "is a device node outside of dev/"),
        (("etc/dev/mem", "char", ""), "is a device node outside of dev/"),
        (("devil", "char", ""), "is a device node outside of dev/"),
    ],
)
def test_hostile_members(path: Path, member: Member, why: str) -> None:
    refused(path, gzip.compress(tar(*ROOTFS, member)), f"member {member[0]!r} (number 5)", why)


@pytest.mark.parametrize(
    "members",
    [
        [("a", "sym", "/etc"), ("a/passwd", "file", "")],
        [("a", "sym", "b"), ("b", "sym", "/etc"), ("a/passwd", "file", "")],
        [("d/a", "sym", "/"), ("./d//a/./x/passwd", "file", "")],
        [("a", "sym", "a"), ("a/x", "file", "")],
        [("a", "sym", "/etc"), ("b", "hard", "a"), ("b/passwd", "file", "")],
        [("a", "sym", "/etc"), ("x", "hard", "a/passwd")],
        [("d/up", "sym", "../d/.."), ("q", "sym", "d/up/up2"), ("d/up2", "sym", "/"), ("d/up2/x", "file", "")],
    ],
)
def test_members_behind_links_that_lead_out(path: Path, members: list[Member]) -> None:
    refused(path, tar(INIT, *members), "behind a symbolic link that leads out of the tree")


def test_no_entry_point(path: Path) -> None:
    for members in (
        [("etc/x", "file", "")],
        [("sbin/init", "dir", "")],
        [("sbin", "sym", "/gone"), ("sbin2/init", "file", "")],
    ):
        refused(path, tar(*members), "no /sbin/init or /bin/init")


@pytest.mark.parametrize("content", [b"", b"<html>no</html>", random.Random(6).randbytes(5000)])
def test_what_is_no_archive(path: Path, content: bytes) -> None:
    refused(path, content, "not a tar archive")
    refused(path, gzip.compress(content), "not a tar archive")


def test_an_archive_that_breaks_off(path: Path) -> None:
    whole = tar(*ROOTFS, ("etc/big", "file", "x" * 5000)).rstrip(b"\0")
    for length in range(1, len(whole), 97):
        refused(path, whole[:length])
        refused(path, gzip.compress(whole[:length]))
    refused(path, gzip.compress(tar(*ROOTFS))[:-9], "cut off")


def test_members_after_a_broken_header_are_not_overlooked(path: Path) -> None:
    hidden = tar(("../evil", "file", ""))
    good = tar(*ROOTFS)
    end = good.rstrip(b"\0")
    end += bytes(-len(end) % 512)
    refused(path, good + hidden, "data follows the end")
    refused(path, end + b"\1" * 512 + hidden, "breaks off")


def test_a_bomb_in_a_member(path: Path) -> None:
    packer = zlib.compressobj(9, wbits=31)
    info = tarfile.TarInfo("zeros")
    info.size = 1 << 30
    head = tar(*ROOTFS)[: 4 * 512] + info.tobuf()
    packed = packer.compress(head) + b"".join(packer.compress(bytes(1 << 20)) for _unused in range(100))
    refused(path, packed, "decompression bomb")


def test_a_tree_that_is_larger_than_its_archive(path: Path) -> None:
    sparse = tarfile.TarInfo("sparse")
    sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 50)}
    sparse.pax_headers |= {"GNU.sparse.name": "sparse"}
    sparse.size = 512
    content = tar(INIT).rstrip(b"\0")
    content += bytes(-len(content) % 512) + sparse.tobuf(tarfile.PAX_FORMAT) + b"0\n".ljust(512, b"\0") + bytes(1024)
    refused(path, content, "larger than")


def test_a_header_that_asks_for_memory(path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type = tarfile.GNUTYPE_LONGNAME
    info.size = 1 << 33
    with path.open("wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate((1 << 33) + 10240)
    with pytest.raises(VerificationError, match="asks for a block of"):
        inspect_archive(path)


def test_a_limit_of_bytes(path: Path) -> None:
    refused(path, tar(*ROOTFS, ("x", "file", "x" * 5000)), limits=Limits(size=4000))


parts = st.sampled_from(["a", "b", "..", ".", "", "sbin", "dev"])
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(paths, st.sampled_from(list(KINDS)), paths), max_size=6))
def test_what_passes_stays_inside_when_it_is_unpacked(tmp_path: Path, members: list[Member]) -> None:
    """Unpacked by the plainest of all unpackers, whatever was let through writes nowhere else."""
    path = tmp_path / "archive"
    path.write_bytes(tar(INIT, *((name or "x", kind, content or "x") for name, kind, content in members)))
    try:
        inspect_archive(path)
    except VerificationError:
        return
    links: dict[str, str] = {}

    def place(name: str, hops: int = 0) -> str:
        """Where the kernel would write, as seen from a tree at /t/r."""
        where: list[str] = ["t", "r"]
        for part in [p for p in name.split("/") if p not in ("", ".")]:
            if part == "..":
                del where[-1:]
                continue
            where.append(part)
            target = links.get("/".join(where))
            assert hops < 100
            if target is not None and target.startswith("/"):
                where = ["elsewhere"]
            elif target is not None:
                where = place("/".join([*where[2:-1], target]), hops + 1).split("/")
        return "/".join(where)

    for name, kind, content in members:
        parent, _unused, last = name.rstrip("/").rpartition("/")
        where = place(parent)
        assert where == "t/r" or where.startswith("t/r/")
        if kind == "sym" and last not in ("", ".", ".."):
            links[f"{where}/{last}"] = content or "x"


# -- disk images --------------------------------------------------------------------------------------------------


def mbr(*partitions: tuple[int, int, int], size: int = 4096) -> bytes:
    """type, start, sectors."""
    table = b"".join(struct.pack("<B3xB3xII", 0, *partition) for partition in partitions).ljust(64, b"\0")
    return (bytes(446) + table + b"\x55\xaa").ljust(size * 512, b"\0")


def gpt(*partitions: tuple[str, int, int, str], size: int = 4096) -> bytearray:
    """type, first, last, name."""
    entries = b""
    for kind, first, last, name in partitions:
        entries += struct.pack("<16s16sQQQ", uuid.UUID(kind).bytes_le, uuid.uuid4().bytes, first, last, 0)
        entries += name.encode("utf-16-le").ljust(72, b"\0")
    entries = entries.ljust(128 * 128, b"\0")

    def header(crc: int) -> bytes:
        start = struct.pack("<8sIIII", b"EFI PART", 0x10000, 92, crc, 0)
        middle = struct.pack("<QQQQ16s", 1, size - 1, 34, size - 34, uuid.uuid5(uuid.NAMESPACE_DNS, "x").bytes)
        return start + middle + struct.pack("<QIII", 2, 128, 128, zlib.crc32(entries))

    image = bytearray(mbr((0xEE, 1, 0xFFFFFFFF), size=size))
    image[512:604] = header(zlib.crc32(header(0)))
    image[1024 : 1024 + len(entries)] = entries
    return image


LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"


def qcow2(**changed: int) -> bytes:
    fields = {
        "version": 3, "backing": 0, "backing_size": 0, "cluster_bits": 16, "size": 1 << 30, "crypt": 0,
        "l1_size": 2, "l1": 0x30000, "refcounts": 0x10000, "refcount_clusters": 1, "snapshots": 0,
        "snapshots_at": 0, "incompatible": 0, "compatible": 0, "autoclear": 0, "order": 4, "length": 104,
    } | changed  # fmt: skip
    return (b"QFI\xfb" + struct.pack(">IQIIQIIQQIIQQQQII", *fields.values())).ljust(0x40000, b"\0")


def test_qcow2_reports_its_virtual_size(path: Path) -> None:
    path.write_bytes(qcow2(size=20 << 30, l1_size=40))
    info = inspect_disk(path)
    assert (info.format, info.virtual_size, info.compression) == ("qcow2", 20 << 30, "")
    path.write_bytes(lzma.compress(qcow2(version=2)))
    info = inspect_disk(path)
    assert (info.format, info.virtual_size, info.compression) == ("qcow2", 1 << 30, "xz")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"backing": 104, "backing_size": 11}, "backing file"),
        ({"incompatible": 4}, "data in another file"),
        ({"incompatible": 2}, "marked as corrupt"),
        ({"crypt": 1}, "encrypted"),
        ({"version": 4}, "version 4"),
        ({"version": 1}, "version 1"),
        ({"cluster_bits": 63}, "clusters of 2^63"),
        ({"cluster_bits": 0}, "clusters of 2^0"),
        ({"size": 0}, "no size"),
        ({"size": 1 << 60}, "do not fit its size"),
        ({"l1": 0x30001}, "do not fit its size"),
        ({"l1": 0x4000000}, "cut off before its tables"),
        ({"refcounts": 0x4000000}, "cut off before its tables"),
    ],
)
def test_qcow2_headers_that_are_not_sane(path: Path, changed: dict[str, int], why: str) -> None:
    path.write_bytes(qcow2(**changed))
    with pytest.raises(VerificationError, match=r"its qcow2 image .*") as caught:
        inspect_disk(path)
    assert why in str(caught.value)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="the program qemu-img is not installed")
def test_qcow2_of_qemu(path: Path) -> None:
    for options in ("compat=1.1", "compat=0.10", "cluster_size=2M"):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, "3G"], check=True)
        assert inspect_disk(path).virtual_size == 3 << 30


def test_an_mbr(path: Path) -> None:
    path.write_bytes(mbr((0x83, 512, 100), (0, 0, 0), (0xA5, 612, 3484)))
    info = inspect_disk(path)
    assert (info.format, info.table, info.virtual_size) == ("raw", "mbr", 4096 * 512)
    assert info.partitions == (Partition(1, 512, 100, "83"), Partition(3, 612, 3484, "a5"))


def test_a_gpt(path: Path) -> None:
    path.write_bytes(gpt((LINUX, 34, 99, "boot"), (LINUX, 100, 4000, "würzel")))
    info = inspect_disk(path)
    assert (info.format, info.table) == ("raw", "gpt")
    assert info.partitions == (Partition(1, 34, 66, LINUX, "boot"), Partition(2, 100, 3901, LINUX, "würzel"))


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_a_packed_raw_image(path: Path, pack: t.Callable[[bytes], bytes]) -> None:
    path.write_bytes(pack(bytes(gpt((LINUX, 34, 99, "boot")))))
    info = inspect_disk(path)
    assert (info.table, info.virtual_size, len(info.partitions)) == ("gpt", None, 1)
    assert info.compression


@pytest.mark.parametrize(("at", "why"), [(512 + 40, "header of its GPT is damaged"), (1024 + 33, "entries of its GPT")])
def test_a_gpt_with_a_wrong_checksum(path: Path, at: int, why: str) -> None:
    image = gpt((LINUX, 34, 99, "boot"))
    image[at] ^= 1
    path.write_bytes(image)
    with pytest.raises(VerificationError, match=why):
        inspect_disk(path)


def test_an_image_that_is_shorter_than_its_partitions(path: Path) -> None:
    for image in (mbr((0x83, 512, 3584)), gpt((LINUX, 34, 4095, "boot"))):
        path.write_bytes(image)
        inspect_disk(path)
        path.write_bytes(image[:-512])
        with pytest.raises(VerificationError, match="cut off: its partitions end at byte 2097152"):
            inspect_disk(path)


def test_an_iso_even_if_it_is_a_hybrid(path: Path) -> None:
    image = bytearray(mbr((0x83, 0, 99999)))
    image[32769:32774] = b"CD001"
    path.write_bytes(image)
    assert (inspect_disk(path).format, inspect_disk(path).filesystem) == ("iso", "iso9660")


def test_a_file_system_without_a_partition_table(path: Path) -> None:
    path.write_bytes(b"hsqs" + bytes(5000))
    assert (inspect_disk(path).filesystem, inspect_disk(path).table) == ("squashfs", "")


@pytest.mark.parametrize(
    "content", [b"", b"<html>", bytes(100_000), b"\x55\xaa" * 600, mbr(), b"QFI\xfb", bytes(510) + b"\x55\xaa"]
)
def test_what_is_no_disk_image(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(VerificationError, match=str(path)):
        inspect_disk(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([qcow2(), bytes(gpt((LINUX, 34, 99, "boot")))[:20000], mbr((0x83, 1, 2), size=64)]),
    st.integers(0, 20000),
    st.binary(max_size=16),
    st.integers(0, 20000),
)
def test_any_damage_is_an_answer_or_a_clear_error(
    tmp_path: Path, image: bytes, at: int, patch: bytes, length: int
) -> None:
    path = tmp_path / "damaged"
    path.write_bytes((image[:at] + patch + image[at + len(patch) :])[:length])
    try:
        inspect_disk(path)
    except VerificationError as error:
        assert str(path) in str(error)
