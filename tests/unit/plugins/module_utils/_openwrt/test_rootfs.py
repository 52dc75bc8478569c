# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenWrt's archive becomes a template: the same bytes everywhere, nothing lost, nothing hostile let through."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import lzma
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._openwrt import rootfs

RELEASE = """\
DISTRIB_ID='OpenWrt'
DISTRIB_RELEASE='24.10.4'
DISTRIB_REVISION='r28959-29397011cc'
DISTRIB_TARGET='x86/64'
DISTRIB_ARCH='x86_64'
DISTRIB_DESCRIPTION='OpenWrt 24.10.4 r28959-29397011cc'
DISTRIB_TAINTS=''
"""
PREINIT = 'pi_suppress_stderr="y"\npi_init_cmd="/sbin/init"\npi_preinit_no_failsafe=""\n'
BUILT = 1760891865

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes = b"", **attributes: object) -> Member:
    info = tarfile.TarInfo(name)
    info.mtime, info.size, info.mode = BUILT, len(content), 0o644
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def directory(name: str) -> Member:
    return member(name, type=tarfile.DIRTYPE, mode=0o755)


def symlink(name: str, target: str) -> Member:
    return member(name, type=tarfile.SYMTYPE, linkname=target, mode=0o777)


def openwrt() -> list[Member]:
    """A small root file system with one of everything that the real one holds."""
    folders = ("", "bin", "dev", "etc", "etc/config", "etc/dropbear", "lib", "lib/preinit", "sbin", "tmp")
    return [
        *(directory(f"./{name}") for name in folders),
        member("./bin/busybox", random.Random(1).randbytes(200_000), mode=0o4755),
        symlink("./bin/sh", "busybox"),
        member("./bin/vi", type=tarfile.LNKTYPE, linkname="./bin/busybox", mode=0o4755),
        member("./dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        member("./dev/loop0", type=tarfile.BLKTYPE, devmajor=7, devminor=0, mode=0o660, gid=6),
        member("./etc/openwrt_release", RELEASE.encode()),
        member("./etc/shadow", b"root:::0:99999:7:::\n", mode=0o600),
        member("./etc/dnsmasq.conf", b"# empty\n", uid=453, gid=453, uname="dnsmasq", gname="dnsmasq"),
        symlink("./etc/resolv.conf", "/tmp/resolv.conf"),
        symlink("./etc/os-release", "../usr/lib/os-release"),
        member("./lib/preinit/00_preinit.conf", PREINIT.encode()),
        member("./sbin/init", b"\x7fELF procd", mode=0o755),
        symlink("./var", "tmp"),
        directory("./www"),
        member("./www/" + "d" * 90 + "/" + "f" * 90, b"long"),
        member("./www/" + "x" * 130, b"longer than any header field"),
    ]


def pack(path: Path, members: list[Member], opener: object = gzip.open) -> Path:
    with opener(path, "wb") as stream, tarfile.open(fileobj=stream, mode="w:") as tar:  # type: ignore[operator]
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return pack(tmp_path / "rootfs.tar.gz", openwrt())


def contents(path: Path) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as tar:
        return {os.path.normpath(m.name): (m, tar.extractfile(m).read() if m.isreg() else b"") for m in tar}


# -- the same bytes ----------------------------------------------------------------------------------------------------
def test_the_digest_of_a_template_is_known_beforehand(tmp_path: Path) -> None:
    """Written down here: whichever Python, zlib, user or machine runs this test, the bytes are these."""
    info = rootfs.build_template(pack(tmp_path / "r.tar.gz", openwrt()), tmp_path / "t.tar.gz")
    assert info.digest == "aeb92cdbbb95fe9c84a7687eb4d58f3e0a94eea38512974bf47c381f3d4feb0d"
    assert hashlib.sha256((tmp_path / "t.tar.gz").read_bytes()).hexdigest() == info.digest
    assert (tmp_path / "t.tar.gz").stat().st_size == info.size


def test_order_compression_and_name_of_the_source_do_not_matter(tmp_path: Path, source: Path) -> None:
    shuffled = openwrt()
    hard_link = shuffled.pop(next(i for i, m in enumerate(shuffled) if m[0].islnk()))
    random.Random(7).shuffle(shuffled)
    others = [
        pack(tmp_path / "other.tar.gz", [*shuffled, hard_link]),
        pack(tmp_path / "rootfs.tar", openwrt(), open),
        pack(tmp_path / "rootfs.tar.xz", openwrt(), lzma.open),
    ]
    digests = {rootfs.build_template(path, None).digest for path in [source, *others]}
    assert len(digests) == 1


def test_working_it_out_and_writing_it_agree_and_leave_nothing_else(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "cache" / "t.tar.gz"
    target.parent.mkdir()
    planned = rootfs.build_template(source, None)
    written = rootfs.build_template(source, target)
    assert (planned.digest, planned.size) == (written.digest, written.size)
    assert [path.name for path in target.parent.iterdir()] == ["t.tar.gz"]
    assert target.stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_and_nobody_make_the_same_template(source: Path) -> None:
    for parent in source.parents:
        if Path(tempfile.gettempdir()) in parent.parents:
            parent.chmod(0o755)  # pytest keeps them for root alone
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(write, rootfs.build_template(source, None).digest.encode())
        finally:  # never a second pytest
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as answer:
        assert answer.read() == rootfs.build_template(source, None).digest


# -- nothing lost ------------------------------------------------------------------------------------------------------
def test_owners_modes_links_and_devices_are_kept(tmp_path: Path, source: Path) -> None:
    rootfs.build_template(source, tmp_path / "t.tar.gz")
    before, after = contents(source), contents(tmp_path / "t.tar.gz")
    assert sorted(after) == sorted(before)
    for name, (old, data) in before.items():
        new, new_data = after[name]
        facts = ("type", "mode", "uid", "gid", "devmajor", "devminor")
        assert [getattr(new, fact) for fact in facts] == [getattr(old, fact) for fact in facts], name
        assert os.path.normpath(new.linkname) == os.path.normpath(old.linkname), name
        assert (new.mtime, new.uname, new.gname) == (BUILT, "", "")
        if name != rootfs.PREINIT_CONF:
            assert new_data == data, name


def test_members_are_sorted_and_gzip_tells_neither_name_nor_time(tmp_path: Path, source: Path) -> None:
    rootfs.build_template(source, tmp_path / "t.tar.gz")
    with tarfile.open(tmp_path / "t.tar.gz") as tar:
        names = [os.path.normpath(name) for name in tar.getnames()]
    assert names == sorted(names)
    assert (tmp_path / "t.tar.gz").read_bytes()[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar program")
def test_gnu_tar_reads_the_template(tmp_path: Path, source: Path) -> None:
    rootfs.build_template(source, tmp_path / "t.tar.gz")
    listed = subprocess.run(["tar", "tzf", tmp_path / "t.tar.gz"], capture_output=True, text=True, check=True)
    assert listed.stderr == ""
    assert len(listed.stdout.splitlines()) == len(openwrt())


PATHS = st.from_regex(r"www/[a-zäß .'%-]{1,40}(/[a-z]{1,80}){0,3}", fullmatch=True)


@given(st.dictionaries(PATHS, st.binary(max_size=2000), max_size=5))
@settings(max_examples=30, deadline=None)
def test_every_declared_file_comes_back(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    folder = tmp_path_factory.mktemp("files")
    files = {name: data for name, data in files.items() if not any(other.startswith(name + "/") for other in files)}
    files = {name: data for name, data in files.items() if os.path.normpath(name) == name}
    source = pack(folder / "r.tar", openwrt(), open)
    rootfs.build_template(source, folder / "t.tar.gz", {name: (0o640, data) for name, data in files.items()})
    after = contents(folder / "t.tar.gz")
    assert {name: after[name][1] for name in files} == files
    assert all(after[name][0].mode == 0o640 for name in files)


# -- what is changed ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (PREINIT, 'pi_suppress_stderr="y"\npi_init_cmd="/sbin/init"\npi_preinit_no_failsafe="y"\n'),
        ('pi_preinit_no_failsafe="y"', 'pi_preinit_no_failsafe="y"\n'),
        ("", 'pi_preinit_no_failsafe="y"\n'),
        ('pi_ip="192.168.1.1"', 'pi_ip="192.168.1.1"\npi_preinit_no_failsafe="y"\n'),
    ],
)
def test_failsafe_is_switched_off(before: str, after: str) -> None:
    assert rootfs.without_failsafe(before) == after
    assert rootfs.without_failsafe(after) == after


def test_failsafe_is_off_in_every_template_even_without_a_preinit_conf(tmp_path: Path) -> None:
    members = [m for m in openwrt() if "preinit.conf" not in m[0].name]
    rootfs.build_template(pack(tmp_path / "r.tar.gz", members), tmp_path / "t.tar.gz")
    assert contents(tmp_path / "t.tar.gz")[rootfs.PREINIT_CONF][1] == b'pi_preinit_no_failsafe="y"\n'


def test_defaults_add_and_replace_files_with_the_directories_they_need(tmp_path: Path, source: Path) -> None:
    files = {
        "/etc/config/network": (0o644, b"config interface 'loopback'\n"),
        "etc/shadow": (0o600, b"root:$5$x$y:0:0:99999:7:::\n"),
        "etc/uci-defaults/99-seed": (0o755, b"exit 0\n"),
    }
    rootfs.build_template(source, tmp_path / "t.tar.gz", files)
    after = contents(tmp_path / "t.tar.gz")
    for path, (mode, content) in files.items():
        info, data = after[path.lstrip("/")]
        assert (info.mode, info.uid, info.gid, data) == (mode, 0, 0, content)
    assert after["etc/uci-defaults"][0].isdir()
    assert after["etc/uci-defaults"][0].mode == 0o755


def test_replacing_one_name_of_a_hard_linked_file_leaves_the_other(tmp_path: Path, source: Path) -> None:
    rootfs.build_template(source, tmp_path / "t.tar.gz", {"bin/busybox": (0o755, b"mine")})
    after = contents(tmp_path / "t.tar.gz")
    assert after["bin/busybox"][1] == b"mine"
    assert len(after["bin/vi"][1]) == 200_000


@pytest.mark.parametrize("path", ["var/run/x", "etc", "../etc/passwd", "/", "bin/sh/x"])
def test_a_declared_file_that_has_no_place_is_refused(source: Path, path: str) -> None:
    with pytest.raises(ImageError):
        rootfs.build_template(source, None, {path: (0o644, b"")})


# -- names -------------------------------------------------------------------------------------------------------------
def test_the_name_tells_version_arch_and_defaults() -> None:
    assert rootfs.template_name("24.10.4", "amd64") == "openwrt-24.10.4-lxc_amd64.tar.gz"
    assert rootfs.template_name("24.10.4", "arm64", "0123456789abcdef") == "openwrt-24.10.4-01234567-lxc_arm64.tar.gz"
    assert rootfs.template_name("SNAPSHOT", "amd64") == "openwrt-snapshot-lxc_amd64.tar.gz"


def test_any_change_of_the_defaults_changes_their_digest() -> None:
    base: dict[str, tuple[int, bytes]] = {"etc/a": (0o644, b"1"), "etc/b": (0o644, b"2")}
    changed = [
        {**base, "etc/a": (0o600, b"1")},
        {**base, "etc/a": (0o644, b"3")},
        {"etc/a": (0o644, b"1")},
        {"etc/c": (0o644, b"1"), "etc/b": (0o644, b"2")},
    ]
    assert len({rootfs.defaults_digest(files) for files in [base, *changed]}) == 5
    assert rootfs.defaults_digest(dict(reversed(base.items()))) == rootfs.defaults_digest(base)
    assert rootfs.defaults_digest({"/etc/a": (0o644, b"1"), "etc/b": (0o644, b"2")}) == rootfs.defaults_digest(base)
    assert rootfs.defaults_digest({}) is None


# -- what it is --------------------------------------------------------------------------------------------------------
def test_release_and_pve_architecture_are_read(tmp_path: Path, source: Path) -> None:
    info = rootfs.build_template(source, tmp_path / "t.tar.gz")
    expected = rootfs.OpenWrtRelease("24.10.4", "x86/64", "x86_64", "OpenWrt", "r28959-29397011cc")
    assert info.release == rootfs.read_release(source) == rootfs.read_release(tmp_path / "t.tar.gz") == expected
    assert expected.pve_arch == "amd64"


@pytest.mark.parametrize(
    ("arch", "pve"),
    {
        "x86_64": "amd64",
        "aarch64_generic": "arm64",
        "arm_cortex-a15_neon-vfpv4": "armhf",
        "i386_pentium4": "i386",
    }.items(),
)
def test_architectures(arch: str, pve: str) -> None:
    assert rootfs.OpenWrtRelease("24.10.4", "t", arch).pve_arch == pve


def test_an_architecture_that_pve_does_not_have_is_an_error() -> None:
    with pytest.raises(ImageError, match="mips_24kc"):
        _other = rootfs.OpenWrtRelease("24.10.4", "ath79/generic", "mips_24kc").pve_arch


def debian() -> list[Member]:
    return [
        directory("./etc"),
        member("./etc/debian_version", b"12.5\n"),
        member("./sbin/init", b"systemd", mode=0o755),
        member("./usr/lib/os-release", b"ID=debian\n"),
    ]


def test_a_debian_template_is_distinguished(tmp_path: Path, source: Path) -> None:
    other = pack(tmp_path / "debian.tar.gz", debian())
    assert rootfs.is_openwrt_template(source)
    assert not rootfs.is_openwrt_template(other)
    with pytest.raises(ImageError, match="Debian"):
        rootfs.build_template(other, None)


@pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd program")
def test_a_zstd_template_is_read(tmp_path: Path) -> None:
    plain = pack(tmp_path / "r.tar", openwrt(), open)
    subprocess.run(["zstd", "-q", plain], check=True)
    assert rootfs.read_release(tmp_path / "r.tar.zst").version == "24.10.4"


@pytest.mark.parametrize("missing", ["DISTRIB_RELEASE", "DISTRIB_ARCH", "DISTRIB_TARGET"])
def test_a_release_file_must_tell_release_arch_and_target(missing: str) -> None:
    text = "\n".join(line for line in RELEASE.splitlines() if not line.startswith(missing))
    with pytest.raises(ImageError, match=missing):
        rootfs.parse_release(text)


def test_without_init_nothing_could_start(tmp_path: Path) -> None:
    members = [m for m in openwrt() if m[0].name != "./sbin/init"]
    with pytest.raises(ImageError, match="sbin/init"):
        rootfs.build_template(pack(tmp_path / "r.tar.gz", members), None)


# -- hostile and damaged archives --------------------------------------------------------------------------------------
HOSTILE = {
    "absolute": (member("/etc/passwd", b"x"), "outside"),
    "climbing": (member("./etc/../../x", b"x"), "outside"),
    "link out": (symlink("./etc/x", "../../../host"), "link out of the tree"),
    "hard link out": (member("./etc/x", type=tarfile.LNKTYPE, linkname="../../etc/passwd"), "outside"),
    "hard link to nothing": (member("./etc/x", type=tarfile.LNKTYPE, linkname="./etc/none"), "hard link"),
    "through a link": (member("./var/x", b"x"), "beneath var"),
    "device outside dev": (member("./etc/sda", type=tarfile.BLKTYPE, devmajor=8), "device node outside dev"),
    "fifo": (member("./etc/fifo", type=tarfile.FIFOTYPE), "neither file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_members_are_refused_by_name(tmp_path: Path, name: str) -> None:
    bad, words = HOSTILE[name]
    source = pack(tmp_path / "r.tar.gz", [*openwrt(), bad])
    with pytest.raises(ImageError, match=words) as caught:
        rootfs.build_template(source, tmp_path / "t.tar.gz")
    assert caught.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == ["r.tar.gz"]


@pytest.mark.parametrize("cut", [0, 5, 30, 4000, 100_000, -9, -1])
def test_a_cut_source_is_refused_and_leaves_nothing(tmp_path: Path, source: Path, cut: int) -> None:
    source.write_bytes(source.read_bytes()[:cut])
    with pytest.raises(ImageError):
        rootfs.build_template(source, tmp_path / "t.tar.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["rootfs.tar.gz"]


@pytest.mark.parametrize("where", [40, 5000, 150_000, -3])
def test_a_flipped_bit_is_refused(source: Path, where: int) -> None:
    data = bytearray(source.read_bytes())
    data[where] ^= 0x10
    source.write_bytes(data)
    with pytest.raises(ImageError):
        rootfs.build_template(source, None)


def test_bytes_after_the_gzip_stream_are_accepted(source: Path) -> None:
    before = rootfs.build_template(source, None).digest
    with source.open("ab") as stream:
        stream.write(b'{"metadata": "of OpenWrt"}')
    assert rootfs.build_template(source, None).digest == before


def test_an_archive_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "MAX_UNPACKED", 1 << 20)
    source = pack(tmp_path / "bomb.tar.gz", [*openwrt(), member("./www/zeros", bytes(4 << 20))])
    assert source.stat().st_size < 1 << 20
    with pytest.raises(ImageError, match="unpacks to more than"):
        rootfs.build_template(source, tmp_path / "t.tar.gz")


def test_a_failed_write_leaves_the_old_template(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "t.tar.gz"
    target.write_bytes(b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImageError, match="No space"):
        rootfs.build_template(source, target)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rootfs.tar.gz", "t.tar.gz"]


def test_a_source_that_is_not_there_is_an_error_with_its_name(tmp_path: Path) -> None:
    for attempt in (rootfs.read_release, lambda path: rootfs.build_template(path, None)):
        with pytest.raises(ImageError, match=r"none\.tar\.gz"):
            attempt(tmp_path / "none.tar.gz")


def test_read_files_gives_what_is_there(source: Path) -> None:
    found = rootfs.read_files(source, ["etc/shadow", "etc/none", "etc/resolv.conf"])
    assert found == {"etc/shadow": b"root:::0:99999:7:::\n"}


def test_a_template_is_a_value(source: Path) -> None:
    info = rootfs.build_template(source, None)
    assert dataclasses.asdict(info)["path"] is None
