# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a VM's disks: they grow, move, are taken out, come back, and are destroyed when that is said."""

from __future__ import annotations

import typing as t
from unittest import mock

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.disk_move import MoveDisk
from embedded_node import commands

from .conftest import Bench, Params, steps

VM: Params = {"vmid": 100, "name": "web"}
LVM: Params = {"storage": "local-lvm", "size": "1G"}


@pytest.fixture
def files(bench: Bench) -> str:
    """A storage that keeps disks as files."""
    storages = bench.node.root / "etc/pve/storage.cfg"
    before = storages.read_text(encoding="utf-8")
    folder = bench.node.root / "srv/files"
    storages.write_text(f"{before}\ndir: files\n\tpath {folder}\n\tcontent images\n", encoding="utf-8")
    return "files"


def config(bench: Bench) -> dict[str, str]:
    text = (bench.node.root / "etc/pve/qemu-server/100.conf").read_text(encoding="utf-8")
    return dict(line.split(": ", 1) for line in text.split("\n[")[0].splitlines() if ": " in line)


def vm(*disks: Params, **more: t.Any) -> Params:
    return {**VM, "disks": list(disks), **more}


# -- moving ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("state", ["present", "started"])
def test_a_disk_moves_to_its_declared_storage(bench: Bench, files: str, state: str) -> None:
    bench.good("vm_create", **vm(LVM), state=state)
    declared = vm({**LVM, "storage": files, "size": "2G", "cache": "writeback"}, move_disks=True, state=state)
    told = bench.good("vm_create", check=True, **declared)
    moved = bench.good("vm_create", **declared)
    assert told.plan == moved.plan
    assert told.diff == moved.diff
    assert steps(moved) == ["move_disk", "resize", "set"]
    disk = moved.pending["scsi0"] if state == "started" else config(bench)["scsi0"]
    assert disk.startswith("files:100/vm-100-disk-0.qcow2,cache=writeback")
    assert "size=2G" in config(bench)["scsi0"]
    assert bench.volumes("local-lvm", 100) == []
    bench.node.forget()
    assert not bench.good("vm_create", **declared).changed
    assert bench.writes() == []


def test_the_state_of_a_tpm_moves_only_while_the_vm_is_stopped(bench: Bench, files: str) -> None:
    """PVE would refuse it after the other disks have moved."""
    declared = vm(LVM, tpm={"version": "v2.0", "storage": "local-lvm"}, move_disks=True)
    bench.good("vm_create", **declared, state="started")
    elsewhere = {**declared, "disks": [{**LVM, "storage": files}], "tpm": {"version": "v2.0", "storage": files}}
    refused = bench.bad("vm_create", check=True, **elsewhere, state="started")
    assert [finding["option"] for finding in refused.findings] == ["tpm.storage"]
    assert "PVE moves no state of a TPM while the VM runs" in refused.msg
    bench.good("vm_create", **declared, state="stopped", force=True, shutdown_timeout=5)
    assert steps(bench.good("vm_create", check=True, **elsewhere)) == ["move_disk", "move_disk"]


def test_a_disk_that_may_move_is_no_reason_to_recreate_the_vm(bench: Bench, files: str) -> None:
    bench.good("vm_create", **vm(LVM))
    declared = vm({**LVM, "storage": files}, move_disks=True, recreate=True)
    told = bench.good("vm_create", check=True, **declared)
    moved = bench.good("vm_create", **declared)
    assert steps(told) == steps(moved) == ["move_disk"]
    anew = vm({**LVM, "storage": "local-lvm"}, move_disks=True, recreate=True, bios="ovmf")
    assert steps(bench.good("vm_create", check=True, **anew)) == ["destroy", "create"]


def test_another_storage_is_a_finding_unless_disks_may_move(bench: Bench, files: str) -> None:
    bench.good("vm_create", **vm(LVM))
    refused = bench.bad("vm_create", check=True, **vm({**LVM, "storage": files}))
    (finding,) = refused.findings
    assert (finding["option"], finding["value"]) == ("disks[0].storage", files)
    assert "move_disks: true" in finding["remedy"]


@pytest.mark.parametrize(("chains", "form"), [("", "raw"), ("\tsnapshot-as-volume-chain 1\n", "qcow2")])
def test_disks_on_lvm_are_qcow2_where_snapshots_are_chains_of_volumes(
    bench: Bench, files: str, chains: str, form: str
) -> None:
    """Over the API PVE does not tell which it is: raw unless stated, and what is stated PVE may refuse."""
    storages = bench.node.root / "etc/pve/storage.cfg"  # as `files` leaves it
    with storages.open("a", encoding="utf-8") as stream:
        stream.write(f"\nlvm: thick\n\tvgname thick\n\tcontent images\n{chains}")
    told = bench.good("vm_create", check=True, **vm({**LVM, "storage": "thick"}))
    assert ("format=qcow2" in str(told.plan)) == (form == "qcow2" and bench.backend == "cli")
    stated = bench.run("vm_create", check=True, **vm({**LVM, "storage": "thick", "format": "qcow2"}))
    assert stated.failed == (form == "raw" and bench.backend == "cli")
    assert not stated.failed or "is not kept by storage thick of type lvm, which has raw disks" in stated.msg


def test_a_storage_that_takes_no_disks_is_found_before_one_moves(bench: Bench) -> None:
    bench.good("vm_create", **vm(LVM))
    refused = bench.bad("vm_create", check=True, **vm({**LVM, "storage": "local"}, move_disks=True))
    assert "takes no VM disks" in refused.msg


# -- growing -----------------------------------------------------------------------------------------------------------
def test_a_disk_grows_and_never_shrinks(bench: Bench) -> None:
    bench.good("vm_create", **vm(LVM))
    assert steps(bench.good("vm_create", **vm({**LVM, "size": "3G"}))) == ["resize"]
    refused = bench.bad("vm_create", **vm({**LVM, "size": "2G"}))
    assert "disks[0].size: '2G' is smaller than the 3G it has" in refused.msg


# -- taking out, and bringing back -------------------------------------------------------------------------------------
def test_a_disk_that_goes_is_kept_as_an_unused_one_and_can_come_back(bench: Bench) -> None:
    bench.good("vm_create", **vm(LVM, LVM))
    gone = bench.good("vm_create", **vm(LVM, {"index": 1, "state": "absent"}))
    assert steps(gone) == ["set"]
    volume = config(bench)["unused0"]
    back = bench.good("vm_create", **vm(LVM, {"volume": volume}))
    assert steps(back) == ["set"]
    assert config(bench)["scsi1"].startswith(volume)
    assert "unused0" not in config(bench)
    assert not bench.good("vm_create", **vm(LVM, {"volume": volume})).changed


@pytest.mark.parametrize("state", ["present", "started"])
def test_a_disk_is_destroyed_only_when_that_is_said(bench: Bench, state: str) -> None:
    bench.good("vm_create", **vm(LVM, LVM), state=state)
    declared = vm(LVM, {"index": 1, "state": "absent"}, purge_disks=True, state=state)
    told = bench.good("vm_create", check=True, **declared)
    gone = bench.good("vm_create", **declared)
    assert told.plan == gone.plan
    assert steps(gone) == ["set", "purge_disk"]
    assert len(bench.volumes("local-lvm", 100)) == 1
    assert not any(key.startswith(("unused", "scsi1")) for key in config(bench))
    assert not bench.good("vm_create", **declared).changed


@pytest.mark.parametrize("listed", [True, False])
def test_a_disk_that_a_running_vm_holds_on_to_is_destroyed_when_it_restarts(bench: Bench, listed: bool) -> None:
    """SATA plugs nothing out: the run that restarts the VM ends what the first began."""
    sata = {**LVM, "bus": "sata"}
    bench.good("vm_create", **vm(LVM, sata), state="started")
    gone = [{"bus": "sata", "index": 0, "state": "absent"}] if listed else []
    declared = vm(LVM, *gone, purge_disks=True, purge_options=not listed, state="started")
    first = bench.good("vm_create", **declared)
    assert "is in use until the VM stops (a run with restart=when_needed destroys it)" in str(first.warnings)
    assert steps(bench.good("vm_create", **declared)) == []
    told = bench.good("vm_create", check=True, **declared, restart="when_needed")
    ended = bench.good("vm_create", **declared, restart="when_needed", force=True, shutdown_timeout=5)
    assert steps(told) == steps(ended) == ["shutdown", "start", "purge_disk"]
    assert len(bench.volumes("local-lvm", 100)) == 1
    assert not any(key.startswith(("unused", "sata")) for key in config(bench))


def test_disks_that_are_not_listed_go_with_purge_options_and_drives_stay(bench: Bench) -> None:
    bench.good("vm_create", **vm(LVM, LVM, {**LVM, "bus": "virtio"}), cdroms=[{"volume": "none"}])
    assert not bench.good("vm_create", **VM, purge_options=True).changed
    gone = bench.good("vm_create", **vm(LVM), purge_options=True)
    assert steps(gone) == ["set"]
    has = config(bench)
    assert ("scsi0" in has, "scsi1" in has, "virtio0" in has, "ide2" in has) == (True, False, False, True)
    assert len(bench.volumes("local-lvm", 100)) == 3


def test_a_disk_that_comes_back_larger_grows_at_once(bench: Bench) -> None:
    bench.good("vm_create", **vm(LVM, LVM))
    bench.good("vm_create", **vm(LVM, {"index": 1, "state": "absent"}))
    volume = config(bench)["unused0"]
    smaller = bench.bad("vm_create", **vm(LVM, {"volume": volume, "size": "512M"}))
    assert [(each["option"], each["problem"]) for each in smaller.findings] == [
        ("disks[1].size", "is smaller than the 1G it has")
    ]
    declared = vm(LVM, {"volume": volume, "size": "2G"})
    told = bench.good("vm_create", check=True, **declared)
    back = bench.good("vm_create", **declared)
    assert (told.plan, steps(back)) == (back.plan, ["set", "resize"])
    assert "size=2G" in config(bench)["scsi1"]
    assert not bench.good("vm_create", **declared).changed


def test_a_copy_that_waits_for_a_restart_grows_with_it(bench: Bench) -> None:
    bench.good("vm_create", **vm(LVM), state="started")
    copy = {"bus": "sata", "storage": "local-lvm", "import_from": "local-lvm:vm-100-disk-0", "size": "2G"}
    refused = bench.bad("vm_create", **vm(LVM, copy))
    assert [(each["option"], each["value"]) for each in refused.findings] == [("disks[1].size", "2G")]
    declared = vm(LVM, copy, restart="when_needed", force=True, shutdown_timeout=1)
    made = bench.good("vm_create", **declared)
    assert steps(made) == ["shutdown", "set", "resize", "start"]
    assert "size=2G" in config(bench)["sata0"]
    assert not bench.good("vm_create", **declared).changed


def test_a_disk_that_waits_for_a_restart_does_not_move(bench: Bench, files: str) -> None:
    sata = {**LVM, "bus": "sata"}
    bench.good("vm_create", **vm(LVM), state="started")
    bench.good("vm_create", **vm(LVM, sata))
    refused = bench.bad("vm_create", **vm(LVM, {**sata, "storage": files}), move_disks=True)
    assert [each["option"] for each in refused.findings] == ["disks[1].storage"]
    assert "PVE moves no disk that waits for a restart itself" in refused.msg


@pytest.mark.parametrize(
    ("disk", "more"),
    [({"storage": "local-lvm"}, {"move_disks": True}), ({"state": "absent"}, {"purge_disks": True})],
)
def test_a_disk_in_a_snapshot_neither_moves_nor_goes(bench: Bench, files: str, disk: Params, more: Params) -> None:
    bench.good("vm_create", **vm({**LVM, "storage": files}))
    assert commands.run(["qm", "snapshot", "100", "before"], bench.node.root, b"")[0] == 0
    has = config(bench)
    refused = bench.bad("vm_create", **vm({"index": 0, **disk}), **more)
    assert [each["option"] for each in refused.findings] == ["disks[0]"]
    assert "is in snapshot before" in refused.msg
    assert config(bench) == has
    assert commands.run(["qm", "delsnapshot", "100", "before"], bench.node.root, b"")[0] == 0
    assert bench.good("vm_create", **vm({"index": 0, **disk}), **more).changed


GONE = "local-lvm:vm-100-disk-9"


@pytest.mark.parametrize(
    ("declared", "option", "value"),
    [
        (vm({"volume": GONE}), "disks[0].volume", GONE),
        (vm({"storage": "local-lvm", "import_from": GONE}), "disks[0].import_from", GONE),
        (vm(LVM, bios="ovmf", efidisk={"volume": GONE}), "efidisk.volume", GONE),
        (
            vm(LVM, tpm={"version": "v2.0", "import_from": "local:import/no.raw"}),
            "tpm.import_from",
            "local:import/no.raw",
        ),
        (vm({"volume": "local-lvm:vm-101-disk-0"}), "disks[0].volume", "local-lvm:vm-101-disk-0"),
    ],
)
def test_what_a_disk_is_to_be_or_to_come_from_is_there_and_nobody_elses(
    bench: Bench, declared: Params, option: str, value: str
) -> None:
    bench.good("vm_create", **{**vm(LVM), "vmid": 101, "name": "other"})
    bench.node.forget()
    refused = bench.bad("vm_create", **declared)
    assert [(each["option"], each["value"]) for each in refused.findings] == [(option, value)]
    assert [argv for argv in bench.writes() if argv[:2] not in (["pvesm", "status"], ["pvesh", "get"])] == []


def test_a_volume_of_a_guest_that_is_no_more_is_given_to_another(bench: Bench) -> None:
    made = commands.run(["pvesm", "alloc", "local-lvm", "103", "vm-103-disk-0", "1G"], bench.node.root, b"")
    assert made[0] == 0
    bench.good("vm_create", **vm({"volume": "local-lvm:vm-103-disk-0"}))
    assert config(bench)["scsi0"].startswith("local-lvm:vm-103-disk-0")


def test_a_disk_is_not_put_into_a_drive_as_well(bench: Bench) -> None:
    bench.good("vm_create", **vm(LVM))
    refused = bench.bad("vm_create", **VM, cdroms=[{"volume": "local-lvm:vm-100-disk-0"}])
    assert ("cdroms[0].volume", "is also used by scsi0") in [
        (each["option"], each["problem"]) for each in refused.findings
    ]


def test_a_result_reports_where_each_disk_is_and_whether_it_is_thin(bench: Bench) -> None:
    made = bench.good("vm_create", **vm(LVM))
    assert made.volumes == [
        {"disk": "scsi0", "volume": "local-lvm:vm-100-disk-0", "storage": "local-lvm", "size": "1G", "thin": True}
    ]


@pytest.mark.parametrize(("gib", "seconds"), [(1, 600), (500, 51200)])
def test_a_large_disk_has_more_time_to_move(gib: int, seconds: int) -> None:
    node = mock.Mock(leftovers=None)
    run = mock.Mock(node=node, vmid=100)
    run.wanted.policy.timeout = 600
    run.config.return_value.live = {"scsi0": "files:100/vm-100-disk-0.qcow2,size=1G"}
    MoveDisk("scsi0", "local-lvm", "files", "qcow2", gib * 1024**3).run(run)
    assert node.move_disk.call_args.kwargs["timeout"] == seconds
