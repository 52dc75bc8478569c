# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._pve.config_text import StorageEntry, parse_storages
from ansible_collections.pve.provision.plugins.module_utils._pve.directory import list_volumes, volume_path


@pytest.fixture
def entry(tmp_path: Path) -> StorageEntry:
    content = "images,rootdir,vztmpl,iso,backup,snippets,import"
    return parse_storages(f"dir: store\n\tpath {tmp_path}\n\tcontent {content}\n", "pve1")[-1]


def put(path: Path, data: bytes = b"x" * 10):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def qcow2(size: int, backing: bytes = b"") -> bytes:
    head = b"QFI\xfb" + (3).to_bytes(4, "big") + (32 if backing else 0).to_bytes(8, "big")
    return head + len(backing).to_bytes(4, "big") + bytes(4) + size.to_bytes(8, "big") + backing


@pytest.mark.parametrize(
    ("path", "volid", "content", "form", "vmid"),
    [
        ("template/cache/a_1.tar.zst", "store:vztmpl/a_1.tar.zst", "vztmpl", "tzst", None),
        ("template/cache/a_1.tar.gz", "store:vztmpl/a_1.tar.gz", "vztmpl", "tgz", None),
        ("template/cache/a_1.tar", "store:vztmpl/a_1.tar", "vztmpl", "tar", None),
        ("template/iso/with space.ISO", "store:iso/with space.ISO", "iso", "iso", None),
        ("template/iso/disk.img", "store:iso/disk.img", "iso", "iso", None),
        ("snippets/user.yaml", "store:snippets/user.yaml", "snippets", "snippet", None),
        ("import/cloud.qcow2", "store:import/cloud.qcow2", "import", "qcow2", None),
        (
            "dump/vzdump-lxc-101-2026_11_23-03_24_23.tar.zst",
            "store:backup/vzdump-lxc-101-2026_11_23-03_24_23.tar.zst",
            "backup",
            "tar.zst",
            101,
        ),
        ("images/101/vm-101-disk-0.raw", "store:101/vm-101-disk-0.raw", "rootdir", "raw", 101),
        ("images/200/vm-200-disk-0.raw", "store:200/vm-200-disk-0.raw", "images", "raw", 200),
    ],
)
def test_a_file_is_the_volume_that_pvesm_lists(
    entry: StorageEntry, tmp_path: Path, path: str, volid: str, content: str, form: str, vmid: int | None
):
    put(tmp_path / path)
    (volume,) = list_volumes(entry, {101}, None)
    assert (volume.volid, volume.content, volume.size, volume.format, volume.vmid) == (volid, content, 10, form, vmid)
    assert list_volumes(entry, {101}, content) == [volume]
    assert volume.ctime == int((tmp_path / path).stat().st_ctime)
    assert volume_path(entry, volid.partition(":")[2]) == tmp_path / path


@pytest.mark.parametrize(
    "path",
    [
        "template/cache/readme.txt",
        "template/cache/.a.tar.gz",
        "template/cache/a.tar.gz.part",
        "template/iso/a.txt",
        "images/101/notes.txt",
        "images/lost+found/a.raw",
        "dump/vzdump-lxc-101.log",
    ],
)
def test_other_files_are_no_volumes(entry: StorageEntry, tmp_path: Path, path: str):
    put(tmp_path / path)
    assert list_volumes(entry, set(), None) == []


def test_only_the_asked_content_is_listed(entry: StorageEntry, tmp_path: Path):
    put(tmp_path / "template/iso/a.iso")
    put(tmp_path / "images/200/vm-200-disk-0.raw")
    assert [volume.content for volume in list_volumes(entry, set(), "iso")] == ["iso"]
    assert list_volumes(entry, set(), "rootdir") == []


def test_content_the_storage_is_not_configured_for_is_not_listed(tmp_path: Path):
    iso_only = parse_storages(f"dir: store\n\tpath {tmp_path}\n\tcontent iso\n", "pve1")[-1]
    put(tmp_path / "template/cache/a.tar.gz")
    put(tmp_path / "images/200/vm-200-disk-0.raw")
    assert list_volumes(iso_only, set(), None) == []


def test_a_qcow2_has_its_virtual_size(entry: StorageEntry, tmp_path: Path):
    put(tmp_path / "images/200/vm-200-disk-0.qcow2", qcow2(3 << 30))
    assert list_volumes(entry, set(), None)[0].size == 3 << 30


def test_a_linked_clone_names_its_base(entry: StorageEntry, tmp_path: Path):
    put(tmp_path / "images/200/vm-200-disk-0.qcow2", qcow2(1 << 30, b"../100/base-100-disk-0.qcow2"))
    (volume,) = list_volumes(entry, set(), None)
    assert volume.volid == "store:100/base-100-disk-0.qcow2/200/vm-200-disk-0.qcow2"
    assert volume_path(entry, volume.volid.partition(":")[2]) == tmp_path / "images/200/vm-200-disk-0.qcow2"


def test_content_dirs_move_a_folder(tmp_path: Path):
    moved = parse_storages(
        f"dir: store\n\tpath {tmp_path}\n\tcontent iso\n\tcontent-dirs iso=media,vztmpl=t\n", "pve1"
    )[-1]
    put(tmp_path / "media/a.iso")
    assert [volume.volid for volume in list_volumes(moved, set(), None)] == ["store:iso/a.iso"]


@pytest.mark.parametrize(
    "name", ["", "nonsense", "vztmpl/", "vztmpl/../../etc/passwd", "iso/a/b.iso", "../x", "iso/..", "100/.."]
)
def test_a_name_that_leads_elsewhere_has_no_path(entry: StorageEntry, name: str):
    assert volume_path(entry, name) is None


@pytest.mark.parametrize(
    "name", ["images/101/vm-101-disk-8.raw", "images/101/vm-101-disk-9.qcow2", "template/iso/a.iso"]
)
def test_a_link_to_a_file_that_is_gone_is_no_volume(entry: StorageEntry, tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).symlink_to(tmp_path / "gone")
    assert list_volumes(entry, {101}, None) == []
