# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local mirror holds what the real sites hold, behaves like a web server, counts, and lies when told to."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import http.client
import io
import json
import lzma
import re
import shutil
import struct
import subprocess
import tarfile
import typing as t
import urllib.parse
import zlib

import pytest

from embedded_node.mirror import Mirror, feeds, images, openwrt_image

if t.TYPE_CHECKING:
    from pathlib import Path

OPENWRT = "openwrt/releases/24.10.4/targets/x86/64"
IMAGE = "openwrt-24.10.4-x86-64-generic-{}.img.gz"


@pytest.fixture(scope="module")
def mirror() -> t.Iterator[Mirror]:
    with Mirror() as running:
        yield running


@pytest.fixture
def site(mirror: Mirror) -> t.Iterator[Mirror]:
    mirror.forget()
    yield mirror
    mirror.clear_faults()


def ask(mirror: Mirror, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request; a body that ends early is returned as far as it came."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(mirror.url).netloc, timeout=60)
    connection.request(method, f"/{path}", headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    try:
        body = response.read()
    except http.client.IncompleteRead as error:
        body = error.partial
    connection.close()
    return response.status, dict(response.headers), body


# -- what it holds -----------------------------------------------------------------------------------------------------
def test_openwrt_lists_its_versions_as_the_real_site(site: Mirror) -> None:
    index = json.loads(ask(site, "openwrt/.versions.json")[2])
    assert set(index) == {"stable_version", "oldstable_version", "upcoming_version", "versions_list"}
    assert (index["stable_version"], index["oldstable_version"]) == ("25.12.5", "24.10.4")
    assert index["versions_list"].index("24.10.0") > index["versions_list"].index("24.10.0-rc1")
    assert index["versions_list"] != sorted(index["versions_list"])


def test_the_list_holds_every_file_and_its_digest(site: Mirror) -> None:
    folder = site.directory / OPENWRT
    lines = {line[66:]: line[:64] for line in (folder / "sha256sums").read_text().splitlines() if line[64:66] == " *"}
    files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file() and "sha256sums" not in p.name}
    assert lines == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert any("/" in name for name in lines)
    assert {
        IMAGE.format(f"{fs}-{boot}") for fs in ("ext4", "squashfs") for boot in ("combined", "combined-efi")
    } <= set(lines)


def test_the_usign_signature_verifies_with_openssl_and_only_for_these_bytes(site: Mirror, tmp_path: Path) -> None:
    text = site.read(f"{OPENWRT}/sha256sums")
    comment, encoded = site.read(f"{OPENWRT}/sha256sums.sig").decode().splitlines()
    signature, public = base64.b64decode(encoded), base64.b64decode(site.signer.usign_public)
    assert comment.startswith("untrusted comment: ")
    assert signature[:2] == public[:2] == b"Ed"
    assert signature[2:10] == public[2:10] == bytes.fromhex(site.signer.usign_key_id)
    (tmp_path / "key").write_bytes(bytes.fromhex("302a300506032b6570032100") + public[10:])
    (tmp_path / "sig").write_bytes(signature[10:])
    argv = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", "key", "-sigfile", "sig"]
    for body, good in ((text, True), (text + b" ", False)):
        (tmp_path / "text").write_bytes(body)
        done = subprocess.run([*argv, "-in", "text"], cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode == 0) is good


@pytest.mark.parametrize(
    ("version", "there", "not_there"),
    [
        ("23.05.6", ["usr/lib/opkg/status", "bin/opkg"], ["lib/apk/db/installed"]),
        ("24.10.4", ["usr/lib/opkg/status", "etc/opkg/distfeeds.conf"], ["usr/bin/apk"]),
        ("25.12.5", ["lib/apk/db/installed", "usr/bin/apk"], ["usr/lib/opkg/status"]),
    ],
)
def test_a_rootfs_is_an_openwrt_tree(site: Mirror, version: str, there: list[str], not_there: list[str]) -> None:
    body = site.read(f"openwrt/releases/{version}/targets/x86/64/openwrt-{version}-x86-64-rootfs.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(body))) as archive:
        members = {member.name.removeprefix("./"): member for member in archive}
        release = archive.extractfile(members["etc/openwrt_release"])
        assert release is not None
        assert f"DISTRIB_RELEASE='{version}'" in release.read().decode()
    for name in (
        "sbin/init",
        "bin/busybox",
        "etc/config/dhcp",
        "etc/init.d/network",
        "lib/preinit/00_preinit.conf",
        *there,
    ):
        assert members[name].isfile(), name
    assert not set(not_there) & set(members)
    assert members["etc/shadow"].mode == 0o600
    assert members["bin/sh"].linkname == "busybox"
    assert {(member.uid, member.gid, member.mtime) for member in members.values()} == {(0, 0, images.EPOCH)}


FEEDS = {
    "targets/x86/64/packages": "kmod-wireguard",
    "packages/x86_64/base": "tcpdump",
    "packages/x86_64/luci": "luci",
    "packages/x86_64/packages": "nano",
    "packages/x86_64/routing": "bird2",
    "packages/x86_64/telephony": "asterisk",
}


@pytest.mark.parametrize(("folder", "name"), FEEDS.items())
def test_a_feed_for_opkg_lists_its_packages_and_is_signed(site: Mirror, folder: str, name: str) -> None:
    place = f"openwrt/releases/24.10.4/{folder}"
    text = gzip.decompress(ask(site, f"{place}/Packages.gz")[2])
    assert text == ask(site, f"{place}/Packages")[2]
    assert ask(site, f"{place}/Packages.manifest")[0] == 200
    assert feeds.verified(text, ask(site, f"{place}/Packages.sig")[2], [site.signer.usign_key_file])
    block = next(one for one in text.decode().split("\n\n") if one.startswith(f"Package: {name}\n"))
    facts = dict(line.split(": ", 1) for line in block.splitlines())
    package = ask(site, f"{place}/{facts['Filename']}")[2]
    assert (len(package), hashlib.sha256(package).hexdigest()) == (int(facts["Size"]), facts["SHA256sum"])
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(package))) as archive:
        inner = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
    assert set(inner) == {"./debian-binary", "./control.tar.gz", "./data.tar.gz"}
    control = inner["./control.tar.gz"]
    assert control is not None
    with tarfile.open(fileobj=io.BytesIO(control.read())) as archive:
        told = archive.extractfile("./control")
        assert told is not None
        assert f"Package: {name}\nVersion: {facts['Version']}\n" in told.read().decode()


@pytest.mark.parametrize(("folder", "name"), FEEDS.items())
def test_a_feed_for_apk_has_its_index_and_packages_by_their_real_names(site: Mirror, folder: str, name: str) -> None:
    place = f"openwrt/releases/25.12.5/{folder}"
    text, signature = feeds.read_adb(ask(site, f"{place}/packages.adb")[2])
    assert feeds.verified(text, signature, [site.signer.usign_key_file])
    entry = next(one for one in json.loads(text) if one["name"] == name)
    package = ask(site, f"{place}/{name}-{entry['version']}.apk")[2]
    assert hashlib.sha256(package).hexdigest() == entry["hashes"]
    assert ask(site, f"{place}/Packages.gz")[0] == 404


@pytest.mark.parametrize(
    ("version", "list_", "key"),
    [
        ("24.10.4", "etc/opkg/distfeeds.conf", "etc/opkg/keys/{}"),
        ("25.12.5", "etc/apk/repositories.d/distfeeds.list", "etc/apk/keys/local-mirror.pem"),
    ],
)
def test_a_rootfs_knows_its_feeds_and_who_signs_them(site: Mirror, version: str, list_: str, key: str) -> None:
    body = site.read(f"openwrt/releases/{version}/targets/x86/64/openwrt-{version}-x86-64-rootfs.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(body))) as archive:
        found = [archive.extractfile(f"./{name}") for name in (list_, key.format(site.signer.usign_key_id))]
    lines, public = (file.read().decode() for file in found if file is not None)
    assert site.signer.usign_public in public
    urls = re.findall(r"https://downloads\.openwrt\.org/(\S+?)(?:/packages\.adb)?$", lines, re.MULTILINE)
    assert urls == [f"releases/{version}/{folder}" for folder in FEEDS]


def unpacked(mirror: Mirror, name: str) -> tuple[bytes, bytes]:
    """The disk, and what follows the gzip stream."""
    reader = zlib.decompressobj(wbits=31)
    return reader.decompress(mirror.read(f"{OPENWRT}/{IMAGE.format(name)}")), reader.unused_data


@pytest.mark.parametrize("name", ["ext4-combined", "ext4-combined-efi", "squashfs-combined", "squashfs-combined-efi"])
def test_a_disk_image_has_bytes_after_the_gzip_stream(site: Mirror, name: str) -> None:
    disk, rest = unpacked(site, name)
    assert len(disk) % 512 == 0
    assert json.loads(rest[: rest.rindex(b"}") + 1])["version"] == {"version": "24.10.4"}
    assert b"FWx0" in rest


def test_the_bios_image_has_an_ext4_boot_partition_that_can_be_written(site: Mirror, tmp_path: Path) -> None:
    disk, _rest = unpacked(site, "ext4-combined")
    assert disk[510:512] == b"\x55\xaa"
    entries = [struct.unpack_from("<B3xB3xII", disk, 446 + 16 * n) for n in range(2)]
    assert [(e[0], e[1], e[2]) for e in entries] == [(0x80, 0x83, 512), (0, 0x83, 16896)]
    debugfs = shutil.which("debugfs", path="/usr/sbin:/sbin:/usr/bin")
    if debugfs is None:
        pytest.skip("no debugfs here")
    (tmp_path / "disk").write_bytes(disk)
    (tmp_path / "new").write_text("seed")
    for request in ("write new sysupgrade.tgz", "ls -p /"):
        argv = [debugfs, "-w", "-R", request, "disk?offset=262144"]
        listed = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=True, text=True).stdout
    assert "/sysupgrade.tgz/4/" in listed
    assert "/boot/" in listed


def test_the_efi_image_has_a_gpt_with_a_fat_boot_partition(site: Mirror) -> None:
    disk, _rest = unpacked(site, "squashfs-combined-efi")
    header = bytearray(disk[512 : 512 + 92])
    (checksum,) = struct.unpack_from("<I", header, 16)
    header[16:20] = bytes(4)
    assert header[:8] == b"EFI PART"
    assert zlib.crc32(header) == checksum
    assert zlib.crc32(disk[1024 : 1024 + 128 * 128]) == struct.unpack_from("<I", header, 88)[0]
    first, second = (struct.unpack_from("<QQ", disk, 1024 + 128 * n + 32) for n in range(2))
    assert disk[first[0] * 512 + 54 : first[0] * 512 + 62] == b"FAT16   "
    assert disk[second[0] * 512 : second[0] * 512 + 4] == b"hsqs"


def test_a_rootfs_is_the_same_bytes_each_time() -> None:
    first, second = (images.gz(images.tar(openwrt_image.openwrt_tree("24.10.4", "r1", "x86/64"))) for _run in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("path", "unpack", "magic", "at"),
    [
        (
            "debian/images/cloud/trixie/20250814-2204/debian-13-genericcloud-amd64-20250814-2204.qcow2",
            bytes,
            b"QFI\xfb",
            0,
        ),
        ("ubuntu/releases/24.04/release-20250805/ubuntu-24.04-server-cloudimg-amd64.img", bytes, b"QFI\xfb", 0),
        (
            "haos/home-assistant/operating-system/releases/download/16.2/haos_ova-16.2.qcow2.xz",
            lzma.decompress,
            b"QFI\xfb",
            0,
        ),
        ("opnsense/releases/25.7/OPNsense-25.7-nano-amd64.img.bz2", bz2.decompress, b"\x55\xaa", 510),
        ("opnsense/releases/25.7/OPNsense-25.7-dvd-amd64.iso.bz2", bz2.decompress, b"CD001", 32769),
        ("pveam/images/system/alpine-3.22-default_20250617_amd64.tar.xz", lzma.decompress, b"ustar", 257),
        ("pveam/images/aplinfo-pve-9.dat.gz", gzip.decompress, b"Package: pve-web-news\n", 0),
    ],
)
def test_every_image_is_what_its_name_says(
    site: Mirror, path: str, unpack: t.Callable[[bytes], bytes], magic: bytes, at: int
) -> None:
    assert unpack(site.read(path))[at : at + len(magic)] == magic


@pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd here")
@pytest.mark.parametrize("size", [0, 1, 131072, 300000])
def test_a_zstd_frame_is_readable_by_zstd(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert subprocess.run(["zstd", "-dc"], input=images.zstd(data), capture_output=True, check=True).stdout == data


@pytest.mark.skipif(shutil.which("gpgv") is None, reason="no gpgv here")
@pytest.mark.parametrize(
    ("signature", "text"),
    [
        ("ubuntu/releases/24.04/release-20250805/SHA256SUMS.gpg", "ubuntu/releases/24.04/release-20250805/SHA256SUMS"),
        ("fedora/pub/fedora/linux/releases/44/Cloud/x86_64/images/Fedora-Cloud-44-1.7-x86_64-CHECKSUM", ""),
        ("alma/almalinux/9/cloud/x86_64/images/CHECKSUM.asc", "alma/almalinux/9/cloud/x86_64/images/CHECKSUM"),
    ],
)
def test_gpg_signatures_verify(site: Mirror, tmp_path: Path, signature: str, text: str) -> None:
    ring = tmp_path / "ring.gpg"
    ring.write_bytes(base64.b64decode(b"".join(site.signer.gpg_key.read_bytes().splitlines()[2:-1])))
    files = [str(site.directory / path) for path in (signature, text) if path]
    done = subprocess.run(
        ["gpgv", "--keyring", str(ring), "--status-fd", "1", *files], capture_output=True, check=False
    )
    assert f"VALIDSIG {site.signer.gpg_fingerprint}".encode() in done.stdout


# -- how it serves -----------------------------------------------------------------------------------------------------
def test_a_file_is_served_whole_with_its_validators(site: Mirror) -> None:
    status, headers, body = ask(site, f"{OPENWRT}/sha256sums")
    assert (status, body) == (200, site.read(f"{OPENWRT}/sha256sums"))
    assert {"ETag", "Last-Modified", "Content-Length", "Accept-Ranges"} <= set(headers)


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=0-0", 206, slice(0, 1)),
        ("bytes=5-9", 206, slice(5, 10)),
        ("bytes=999999999-", 416, slice(0, 0)),
        ("nonsense", 200, slice(None)),
    ],
)
def test_ranges(site: Mirror, asked: str, status: int, part: slice) -> None:
    whole = site.read(f"{OPENWRT}/sha256sums")
    got, headers, body = ask(site, f"{OPENWRT}/sha256sums", Range=asked)
    assert (got, body) == (status, whole[part])
    if status == 206:
        start = part.start or 0
        assert headers["Content-Range"] == f"bytes {start}-{start + len(body) - 1}/{len(whole)}"


def test_a_range_of_another_version_is_answered_whole(site: Mirror) -> None:
    _status, headers, whole = ask(site, f"{OPENWRT}/sha256sums")
    assert ask(site, f"{OPENWRT}/sha256sums", Range="bytes=10-", If_Range=headers["ETag"])[0] == 206
    status, _headers, body = ask(site, f"{OPENWRT}/sha256sums", Range="bytes=10-", If_Range='"other"')
    assert (status, body) == (200, whole)


@pytest.mark.parametrize(("header", "validator"), [("If_None_Match", "ETag"), ("If_Modified_Since", "Last-Modified")])
def test_what_is_unchanged_is_not_sent_again(site: Mirror, header: str, validator: str) -> None:
    _status, headers, whole = ask(site, "openwrt/.versions.json")
    assert ask(site, "openwrt/.versions.json", **{header: headers[validator]})[::2] == (304, b"")
    assert site.bytes_sent("/openwrt/.versions.json") == len(whole)
    assert site.count("/openwrt/.versions.json") == 2
    assert site.count("/openwrt/*", status=304) == 1


def test_head_sends_no_body_and_counts_none(site: Mirror) -> None:
    status, headers, body = ask(site, f"{OPENWRT}/sha256sums", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) == len(site.read(f"{OPENWRT}/sha256sums"))
    assert site.bytes_sent() == 0


def test_directories_are_listed_and_what_is_not_there_is_404(site: Mirror) -> None:
    names = re.findall(r'href="([^"]+)"', ask(site, "debian/images/cloud/")[2].decode())
    assert names == ["?C=N;O=D", "../", "bookworm/", "bullseye/", "trixie/"]
    assert [ask(site, path)[0] for path in ("nothing", "openwrt/../../etc/passwd", ".keys/usign.pem")] == [404] * 3


def test_a_new_release_changes_the_index_and_is_signed(site: Mirror) -> None:
    before = ask(site, "openwrt/.versions.json")[1]["ETag"]
    site.release("openwrt", "24.10.10")
    status, headers, body = ask(site, "openwrt/.versions.json", If_None_Match=before)
    assert (status, headers["ETag"] != before) == (200, True)
    assert json.loads(body)["oldstable_version"] == "24.10.10"
    assert ask(site, "openwrt/releases/24.10.10/targets/x86/64/sha256sums.sig")[0] == 200


def test_a_root_that_is_there_is_used_again(tmp_path: Path) -> None:
    with Mirror(tmp_path / "root", ["debian"]) as first:
        first.put("debian/mark", b"kept")
        key = first.signer.usign_public
    with Mirror(tmp_path / "root", ["debian"]) as second:
        assert ask(second, "debian/mark")[2] == b"kept"
        assert second.signer.usign_public == key


# -- how it lies -------------------------------------------------------------------------------------------------------
BODY = bytes(range(256)) * 1024


@pytest.fixture
def file(site: Mirror) -> str:
    site.put("any/file.bin", BODY)
    return "any/file.bin"


@pytest.mark.parametrize("after", [0, 1, 70000, len(BODY) - 1])
def test_cut(site: Mirror, file: str, after: int) -> None:
    site.fault("cut", "*file.bin", after=after, times=1)
    status, headers, body = ask(site, file)
    assert (status, headers["Content-Length"], body) == (200, str(len(BODY)), BODY[:after])
    assert site.bytes_sent("/any/file.bin") == after
    assert ask(site, file)[2] == BODY


def test_a_cut_in_a_range_counts_from_the_start_of_the_file(site: Mirror, file: str) -> None:
    site.fault("cut", after=1000)
    assert ask(site, file, Range="bytes=900-")[2] == BODY[900:1000]


@pytest.mark.parametrize(
    ("kind", "options", "status", "body"),
    [
        ("ignore-range", {}, 200, BODY),
        ("status", {"code": 503, "seconds": 7}, 503, b"503\n"),
        ("status", {"code": 429}, 429, b"429\n"),
        ("flip", {"after": 100}, 206, BODY[10:100] + bytes([BODY[100] ^ 0xFF]) + BODY[101:]),
        ("replace", {"body": b"other bytes altogether"}, 206, b"s altogether"),
    ],
)
def test_other_faults(
    site: Mirror, file: str, kind: t.Any, options: dict[str, t.Any], status: int, body: bytes
) -> None:
    etag = ask(site, file)[1]["ETag"]
    site.fault(kind, "/any/*", **options)
    answer = ask(site, file, Range="bytes=10-")
    assert (answer[0], answer[2]) == (status, body)
    if kind == "replace":
        assert answer[1]["ETag"] != etag
    if options.get("seconds"):
        assert answer[1]["Retry-After"] == "7"


def test_a_login_page_comes_with_200(site: Mirror, file: str) -> None:
    site.fault("html")
    status, headers, body = ask(site, file)
    assert (status, headers["Content-Type"]) == (200, "text/html")
    assert b"<html>" in body


def test_a_body_without_length_ends_with_the_connection(site: Mirror, file: str) -> None:
    site.fault("no-length")
    _status, headers, body = ask(site, file)
    assert "Content-Length" not in headers
    assert body == BODY


def test_a_stall_is_silence_and_then_the_end(site: Mirror, file: str) -> None:
    site.fault("stall", after=5, seconds=0.2)
    assert ask(site, file)[2] == BODY[:5]


def test_faults_touch_only_their_paths_and_their_number_of_times(site: Mirror, file: str) -> None:
    site.fault("status", "/elsewhere/*")
    assert ask(site, file)[0] == 200
    site.fault("status", "/any/*", times=2)
    assert [ask(site, file)[0] for _run in range(3)] == [503, 503, 200]
