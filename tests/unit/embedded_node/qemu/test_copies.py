# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of disks: linked to what they stand on, moved, given away, and brought back from a backup."""

from __future__ import annotations

import io
import json
import typing as t

import pytest

from embedded_node import commands
from embedded_node.errors import ApiError
from embedded_node.state import vma

from .support import bootable

if t.TYPE_CHECKING:
    from pathlib import Path

    from .support import Qm


def template(qm: Qm, disk: str) -> None:
    qm.ok("create", "100", "--scsi0", disk)
    qm.ok("template", "100")


# -- linked clones -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("disk", "clone"), [
    ("disks:1,format=qcow2", "disks:100/base-100-disk-0.qcow2/101/vm-101-disk-0.qcow2"),
    ("disks:1", "disks:100/base-100-disk-0.raw/101/vm-101-disk-0.qcow2"),
    ("snap:1", "snap:101/vm-101-disk-0.raw"),
])  # fmt: skip
def test_what_a_linked_clone_is_depends_on_the_storage(qm: Qm, disk: str, clone: str) -> None:
    template(qm, disk)
    qm.ok("clone", "100", "101")
    assert qm.conf(101)["scsi0"] == f"{clone},size=1G"


def test_btrfs_links_disks_of_vms_that_are_no_templates(qm: Qm) -> None:
    qm.ok("create", "100", "--scsi0", "snap:1")
    qm.ok("clone", "100", "101", "--full", "0")
    assert qm.conf(101)["scsi0"] == "snap:101/vm-101-disk-0.raw,size=1G"


def test_a_base_volume_does_not_grow(qm: Qm) -> None:
    template(qm, "disks:1,format=qcow2")
    code, out, err = qm.run("resize", "100", "scsi0", "+1G")
    assert (code, "Operation not permitted" in out, "qemu-img resize" in err) == (0, True, True)
    assert qm.conf()["scsi0"].endswith("size=1G")


def test_a_clone_joins_the_pool(qm: Qm) -> None:
    (qm.root / "etc/pve/user.cfg").write_text("pool:p::::\n")
    template(qm, "disks:1")
    qm.ok("clone", "100", "101", "--pool", "p")
    assert "pool:p::101::" in (qm.root / "etc/pve/user.cfg").read_text()


def test_a_cloudinit_drive_is_qcow2_wherever_files_are(qm: Qm) -> None:
    qm.ok("create", "100", "--ide2", "snap:cloudinit")
    assert qm.conf()["ide2"] == "snap:100/vm-100-cloudinit.qcow2,media=cdrom"
    qm.ok("destroy", "100")
    assert not (qm.root / "mnt/snap/images/100").exists()


# -- disks that go elsewhere -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("release", "told"), [("9.1.9", True), ("9.1.7", False)])
def test_newer_releases_tell_where_a_copy_goes(qm: Qm, release: str, told: bool) -> None:
    settings = qm.root / "var/lib/embedded-node/settings.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps({"release": release}))
    qm.ok("create", "100", "--scsi0", "disks:1")
    assert ("allocated target volume 'disks:101/vm-101-disk-0.raw'" in qm.ok("clone", "100", "101")) is told
    said = qm.ok("disk", "move", "100", "scsi0", "snap", "--delete", "1")
    assert ("removing source volume 'disks:100/vm-100-disk-0.raw' after successful copy" in said) is told


def test_a_disk_that_is_given_to_another_vm_leaves_the_boot_order(qm: Qm) -> None:
    qm.ok("create", "100", "--scsi0", "disks:1", "--scsi1", "disks:2", "--boot", "order=scsi0;scsi1")
    qm.ok("create", "101")
    said = qm.ok("disk", "move", "100", "scsi1", "--target-vmid", "101", "--target-disk", "scsi3")
    assert "removing disk 'scsi1' from boot order config\n" in said
    assert (qm.conf()["boot"], qm.conf(101)["scsi3"]) == ("order=scsi0", "disks:101/vm-101-disk-0.raw,size=2G")


@pytest.mark.parametrize(("text", "stored"), [
    ("disks:1,bps_wr=1048576", "mbps_wr=0.000,size=1G"), ("disks:0.001", "size=1049K"), ("disks:0", "size=0T"),
])  # fmt: skip
def test_sizes_and_limits_as_pve_reads_them(qm: Qm, text: str, stored: str) -> None:
    qm.ok("create", "100", "--scsi0", text)
    assert qm.conf()["scsi0"] == f"disks:100/vm-100-disk-0.raw,{stored}"


@pytest.mark.parametrize(("disk", "said"), [
    ("disks:1,mbps_max=20", "mbps_max requires mbps\n"), ("disks:1,mbps=1,mbps_rd=2", ""),
    ("disks:1,media=cdrom,format=raw", ""),
])  # fmt: skip
def test_keys_that_cannot_be_together(qm: Qm, disk: str, said: str) -> None:
    err = qm.fails("create", "100", "--scsi0", disk)
    assert err.startswith(said) and "scsi0: unable to parse drive options" in err


def test_a_disk_that_a_snapshot_holds_is_not_destroyed_by_force(qm: Qm) -> None:
    qm.ok("create", "100", "--scsi0", "disks:1,format=qcow2")
    qm.ok("snapshot", "100", "one")
    err = qm.fails("set", "100", "--delete", "scsi0", "--force", "1")
    assert "scsi0: unable to apply pending change scsi0 : unable to delete" in err
    assert (qm.pending()["delete"], qm.disk("vm-100-disk-0.qcow2").exists()) == ("!scsi0", True)


def test_a_destroyed_vm_leaves_its_pool_and_its_grants(qm: Qm) -> None:
    users = qm.root / "etc/pve/user.cfg"
    users.write_text("user:u@pve:1:0::::::\npool:p::100,101::\nacl:1:/vms/100:u@pve:PVEVMUser:\n")
    qm.ok("create", "100")
    qm.ok("destroy", "100")
    assert "pool:p::101::" in users.read_text() and "/vms/100" not in users.read_text()


# -- backups -----------------------------------------------------------------------------------------------------------


def test_an_archive_gives_back_what_was_put_into_it() -> None:
    pieces = [(0, b"a" * 65536), (3 * 65536, bytes(8192) + b"b" * 4096)]
    stream = io.BytesIO()
    vma.write(stream, {"x.conf": b"one: 1\n"}, {"drive-scsi0": (1 << 20, pieces), "drive-scsi1": (4096, [])})
    stream.seek(0)
    archive = vma.read(stream)
    assert archive.configs == {"x.conf": b"one: 1\n"}
    sizes = {device.name: device.size for device in archive.devices}
    assert sizes == {"drive-scsi0": 1 << 20, "drive-scsi1": 4096}
    found = {place: data for _number, place, data in archive.blocks}
    assert found == {**dict.fromkeys(range(0, 65536, 4096), b"a" * 4096), 3 * 65536 + 8192: b"b" * 4096}


def test_a_damaged_archive_is_noticed() -> None:
    stream = io.BytesIO()
    vma.write(stream, {"x.conf": b"one: 1\n"}, {})
    broken = bytearray(stream.getvalue())
    broken[3000] ^= 1
    with pytest.raises(ApiError, match="header"):
        vma.read(io.BytesIO(bytes(broken)))


@pytest.fixture
def backup(qm: Qm, tmp_path: Path) -> str:
    """A backup of VM 100, whose second disk is left out."""
    source = bootable(tmp_path / "linux.raw")
    qm.ok("create", "100", "--name", "web", "--net0", "virtio=BC:24:11:00:00:01", "--scsi1", "disks:1,backup=0",
          "--scsi0", f"disks:0,import-from={source},format=qcow2")  # fmt: skip
    code, out, err = commands.run(["vzdump", "100", "--compress", "zstd"], qm.root)
    assert (code, err) == (0, "")
    assert "INFO: exclude disk 'scsi1' 'disks:100/vm-100-disk-1.raw' (backup=no)\n" in out
    (archive,) = (qm.root / "var/lib/vz/dump").glob("vzdump-qemu-100-*.vma.zst")
    return f"local:backup/{archive.name}"


def restore(qm: Qm, *words: str) -> tuple[int, str, str]:
    return commands.run(["qmrestore", *words], qm.root)


def test_a_restored_vm_has_its_bytes_and_most_of_its_config(qm: Qm, backup: str, tmp_path: Path) -> None:
    code, out, err = restore(qm, backup, "105", "--storage", "disks")
    assert (code, err) == (0, "") and "new volume ID is 'disks:105/vm-105-disk-0.qcow2'" in out
    old, new = qm.conf(), qm.conf(105)
    assert (new["name"], new["net0"], new["smbios1"]) == (old["name"], old["net0"], old["smbios1"])
    assert new["vmgenid"] != old["vmgenid"] and "scsi1" not in new
    qm.ok("create", "106", "--scsi0", "disks:0,import-from=disks:105/vm-105-disk-0.qcow2,format=raw")
    assert qm.disk("vm-106-disk-0.raw", 106).read_bytes() == (tmp_path / "linux.raw").read_bytes()


def test_a_unique_copy_shares_no_identity(qm: Qm, backup: str) -> None:
    assert restore(qm, backup, "105", "--unique", "1")[0] == 0
    assert all(qm.conf()[key] != qm.conf(105)[key] for key in ("net0", "smbios1", "vmgenid"))


def test_restoring_over_a_vm_needs_force_and_takes_its_disks(qm: Qm, backup: str) -> None:
    code, _out, err = restore(qm, backup, "100")
    assert (code, err) == (255, "unable to restore VM 100 - VM 100 already exists on node 'pve1'\n")
    qm.ok("set", "100", "--name", "changed")
    assert restore(qm, backup, "100", "--force", "1")[0] == 0
    assert qm.conf()["name"] == "web"


@pytest.mark.parametrize(("words", "said"), [
    (("local:backup/vzdump-qemu-9-2026_01_01-00_00_00.vma.zst", "105"), "does not exist"),
    (("local:iso/a.iso", "105"), "unable to use volume local:iso/a.iso - content type needs to be 'backup'"),
    (("BACKUP", "105", "--pool", "nope"), "403 Permission check failed (pool 'nope' does not exist)"),
    (("BACKUP", "105", "--storage", "nope"), "storage 'nope' does not exist"),
])  # fmt: skip
def test_refused_restores(qm: Qm, backup: str, words: tuple[str, ...], said: str) -> None:
    code, _out, err = restore(qm, *(backup if word == "BACKUP" else word for word in words))
    assert code != 0 and said in err
    assert not list((qm.root / "var/lib/disks/images/105").glob("*"))
