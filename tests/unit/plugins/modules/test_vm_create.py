# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What vm_create does, the same on the node and over the API."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine.step import Run
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Suspend
from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from embedded_node import commands

from .conftest import Bench, steps

Params = dict[str, t.Any]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample me@example.org"
VM: Params = {
    "vmid": 201,
    "name": "vm1",
    "cores": 2,
    "memory": 1024,
    "ostype": "l26",
    "disks": [{"storage": "local-lvm", "size": "8G"}],
    "networks": [{"bridge": "vmbr0", "tag": 20}],
    "agent": {"enabled": True},
    "tags": ["web", "home"],
}


# -- creating ------------------------------------------------------------------------------------------------------


def test_a_new_vm_is_created_as_declared_and_then_left_alone(bench: Bench) -> None:
    made = bench.good("vm_create", **VM, state="started")
    assert made.changed
    assert steps(made) == ["create", "start"]
    assert (made.vmid, made.node, made.status) == (201, bench.node.name, "running")
    assert made.config["memory"] == 1024
    assert made.config["networks"][0]["tag"] == 20
    assert made.config["networks"][0]["model"] == "virtio"
    assert made.config["disks"][0]["size"] == "8G"
    assert made.config["boot"]["order"][0] == "scsi0"
    bench.node.forget()
    again = bench.good("vm_create", **VM, state="started")
    assert not again.changed
    assert again.plan == []
    assert again.config == made.config
    assert bench.writes() == []


def test_check_mode_reports_what_a_run_then_does_and_writes_nothing(bench: Bench) -> None:
    told = bench.good("vm_create", check=True, **VM, state="started")
    assert not exists(bench, 201)
    made = bench.good("vm_create", **VM, state="started")
    assert (told.plan, told.diff, told.status) == (made.plan, made.diff, made.status)


def test_disks_and_drives_go_where_they_are_declared(bench: Bench) -> None:
    disks = [
        {"storage": "local-lvm", "size": "2G"},
        {"bus": "virtio", "storage": "local-lvm", "size": "1G", "serial": "data", "mbps_rd": 50},
        {"bus": "scsi", "index": 5, "storage": "local-lvm", "size": "1G", "backup": False},
    ]
    declared = {**VM, "disks": disks, "cdroms": [{}, {"bus": "sata", "index": 3}]}
    made = bench.good("vm_create", **declared)
    assert [(disk["bus"], disk["index"]) for disk in made.config["disks"]] == [("scsi", 0), ("scsi", 5), ("virtio", 0)]
    assert made.config["cdroms"] == [
        {"bus": "ide", "index": 2, "volume": "none"}, {"bus": "sata", "index": 3, "volume": "none"}
    ]  # fmt: skip
    assert made.config["boot"]["order"][0] == "scsi0"
    assert not bench.good("vm_create", **declared).changed
    shown = {key: made.config[key] for key in ("disks", "cdroms", "boot", "networks")}
    assert not bench.good("vm_create", vmid=201, **shown).changed


def test_a_disk_grows_and_another_is_added(bench: Bench) -> None:
    bench.good("vm_create", **VM, state="started")
    more = [{"size": "10G"}, {"storage": "local-lvm", "size": "1G"}]
    told = bench.good("vm_create", check=True, vmid=201, disks=more)
    grown = bench.good("vm_create", vmid=201, disks=more)
    assert told.plan == grown.plan
    assert steps(grown) == ["resize", "set"]
    assert [disk["size"] for disk in grown.config["disks"]] == ["10G", "1G"]
    assert not bench.good("vm_create", vmid=201, disks=more).changed


def test_firmware_and_tpm_have_disks_of_their_own(bench: Bench) -> None:
    board = {"bios": "ovmf", "machine": {"type": "q35"}, "tpm": {"version": "v2.0"}}
    made = bench.good("vm_create", **VM, **board)
    assert made.config["efidisk"]["efitype"] == "4m"
    assert made.config["tpm"]["version"] == "v2.0"
    assert not bench.good("vm_create", **VM, **board).changed


# -- states ----------------------------------------------------------------------------------------------------------


def test_a_template_stays_one(bench: Bench) -> None:
    made = bench.good("vm_create", **VM, state="template")
    assert steps(made) == ["create", "make_template"]
    again = bench.good("vm_create", **VM, state="template")
    assert not again.changed
    assert bench.good("vm_create", vmid=201, memory=512, state="template").changed


def test_it_is_removed_by_its_number_and_name(bench: Bench) -> None:
    bench.good("vm_create", **VM, state="started")
    assert bench.bad("vm_create", vmid=201, name="other", state="absent").findings[0]["option"] == "name"
    gone = bench.good("vm_create", vmid=201, name="vm1", state="absent", force=True)
    assert steps(gone) == ["shutdown", "destroy"]
    assert not bench.good("vm_create", vmid=201, name="vm1", state="absent").changed


# -- from another ----------------------------------------------------------------------------------------------------


def test_a_clone_is_grown_changed_and_started_as_one_guest(bench: Bench) -> None:
    bench.good("vm_create", **{**VM, "name": "golden", "vmid": 200}, state="template")
    declared = {
        "name": "vm2",
        "clone_from": {"name": "golden"},
        "memory": 2048,
        "disks": [{"size": "9G"}],
        "networks": [{"tag": 30}],
        "tags": ["web"],
        "state": "started",
    }
    told = bench.good("vm_create", check=True, **declared)
    made = bench.good("vm_create", **declared)
    assert (told.plan, told.diff) == (made.plan, made.diff)
    assert "None:" not in str(told.diff)
    assert told.diff["after"]["scsi0.size"] == "9G"
    assert steps(made) == ["clone", "resize", "set", "start"]
    assert made.config["disks"][0]["size"] == "9G"
    assert (made.config["memory"], made.config["tags"], made.status) == (2048, ["web"], "running")
    assert made.config["networks"][0]["hwaddr"] != bench.good("vm_create", vmid=200).config["networks"][0]["hwaddr"]
    bench.node.forget()
    assert not bench.good("vm_create", **declared).changed
    assert bench.writes() == []


def test_what_cannot_be_cloned_is_found_before_anything_is_written(bench: Bench) -> None:
    found = bench.bad("vm_create", name="vm2", clone_from={"name": "nobody"}, state="started")
    assert [(each["option"], each["value"]) for each in found.findings] == [("clone_from.name", "nobody")]
    bench.good("vm_create", **{**VM, "name": "golden", "vmid": 200}, state="template")
    limited = bench.bad("vm_create", name="vm2", clone_from={"vmid": 200}, bwlimit=100)
    assert [each["option"] for each in limited.findings] == ["bwlimit"]
    smaller = bench.bad("vm_create", name="vm2", clone_from={"vmid": 200}, disks=[{"size": "1G"}])
    assert [(each["option"], each["problem"]) for each in smaller.findings] == [
        ("disks[0].size", "is smaller than the 8G it has")
    ]
    assert not bench.good("vm_create", check=True, vmid=200).changed


@pytest.mark.parametrize(
    ("clone", "option", "problem"),
    [
        ({"full": True, "storage": "nowhere"}, "clone_from.storage", "does not exist on this node"),
        ({"full": True, "storage": "local"}, "clone_from.storage", "takes no VM disks (content type images)"),
        (
            {"storage": "local-lvm"},
            "clone_from.storage",
            "does not apply to a linked clone, which is on the storage of its template",
        ),
    ],
)
def test_so_is_a_storage_that_a_clone_cannot_go_to(bench: Bench, clone: Params, option: str, problem: str) -> None:
    bench.good("vm_create", **{**VM, "name": "golden", "vmid": 200}, state="template")
    bench.node.forget()
    found = bench.bad("vm_create", name="vm2", clone_from={"vmid": 200, **clone})
    assert [(each["option"], each["problem"]) for each in found.findings] == [(option, problem)]
    assert [command for command in bench.writes() if command != ["pvesm", "status"]] == []


@pytest.mark.parametrize("source", [{"clone_from": {"vmid": 200}}, {"restore_from": {"backup": "local:backup/a.zst"}}])
def test_what_brings_its_disks_is_not_made_from_an_image(bench: Bench, source: Params) -> None:
    refused = bench.bad("vm_create", name="vm2", image="debian-13", **source)
    assert "are mutually exclusive" in refused.msg
    told = bench.bad("guests", guests=[{"name": "vm2", "type": "vm", "image": "debian-13", **source}])
    assert "image" in str(told.findings)


def test_a_linked_clone_needs_a_template_or_a_snapshot(bench: Bench) -> None:
    bench.good("vm_create", **{**VM, "name": "web1", "vmid": 200})
    bench.node.forget()
    found = bench.bad("vm_create", name="vm2", clone_from={"name": "web1", "full": False})
    assert [(each["option"], each["problem"]) for each in found.findings] == [
        ("clone_from.full", "is not possible: web1 is neither a template nor cloned from a snapshot")
    ]
    assert bench.writes() == []


def test_a_clone_of_a_snapshot_has_what_the_guest_had_then(bench: Bench) -> None:
    bench.good("vm_create", **{**VM, "name": "web1", "vmid": 200})
    assert commands.run(["qm", "snapshot", "200", "before"], bench.node.root, b"")[0] == 0
    bench.good("vm_create", vmid=200, memory=2048, cores=1)
    declared = {"name": "vm2", "clone_from": {"name": "web1", "snapname": "before"}, "memory": 2048}
    told = bench.good("vm_create", check=True, **declared)
    made = bench.good("vm_create", **declared)
    assert (told.plan, told.diff, steps(made)) == (made.plan, made.diff, ["clone", "set"])
    assert (made.config["memory"], made.config["cores"]) == (2048, 2)
    assert not bench.good("vm_create", **declared).changed
    bench.node.forget()
    missing = bench.bad("vm_create", name="vm3", clone_from={"name": "web1", "snapname": "after"})
    assert [(each["option"], each["value"], each["remedy"]) for each in missing.findings] == [
        ("clone_from.snapname", "after", "There are: before.")
    ]
    assert bench.writes() == []


def test_a_clone_does_not_have_what_waits_for_a_restart_of_its_source(bench: Bench) -> None:
    bench.good("vm_create", **{**VM, "name": "web1", "vmid": 200}, state="started")
    bench.good("vm_create", vmid=200, memory=2048)
    declared = {"name": "vm2", "clone_from": {"name": "web1"}, "memory": 2048}
    made = bench.good("vm_create", **declared)
    assert (steps(made), made.config["memory"]) == (["clone", "set"], 2048)
    assert not bench.good("vm_create", **declared).changed


def test_the_room_that_a_full_clone_takes_is_counted(bench: Bench) -> None:
    path = bench.node.root / "etc/pve/storage.cfg"
    path.write_text(
        path.read_text(encoding="utf-8") + f"\ndir: small\n\tpath {bench.node.root}/srv\n\tcontent images\n"
    )
    bench.good("vm_create", **{**VM, "name": "huge", "vmid": 200, "disks": [{"storage": "local-lvm", "size": "9T"}]})
    told = bench.good("vm_create", check=True, name="vm2", clone_from={"vmid": 200, "storage": "small"})
    assert "clone_from.storage: small has" in str(told.warnings)
    assert "9216.0 GiB are needed" in str(told.warnings)


def test_a_run_that_fails_takes_a_suspended_vm_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(step: Suspend, run: Run) -> t.NoReturn:
        run.node.suspend("qemu", run.vmid, timeout=60)
        raise PveError("it stood still and something broke")

    monkeypatch.setattr(Suspend, "run", failing)
    failed = bench.bad("vm_create", **VM, state="suspended")
    assert "it stood still" in failed.msg
    assert not exists(bench, 201)


def exists(bench: Bench, vmid: int) -> bool:
    return (bench.node.root / f"etc/pve/qemu-server/{vmid}.conf").exists()


def test_it_stands_still_and_goes_on(bench: Bench) -> None:
    made = bench.good("vm_create", **VM, state="suspended")
    assert (steps(made), made.status) == (["create", "start", "suspend"], "suspended")
    again = bench.good("vm_create", **VM, state="suspended")
    assert (again.changed, again.status) == (False, "suspended")
    by_name = {key: value for key, value in VM.items() if key != "vmid"}
    assert not bench.good("vm_create", **by_name, state="suspended").changed
    assert not bench.good("vm_create", **VM, state="present").changed
    told = bench.good("vm_create", check=True, **by_name, state="started")
    resumed = bench.good("vm_create", **by_name, state="started")
    assert (told.plan, steps(resumed), resumed.status) == (resumed.plan, ["resume"], "running")
    assert steps(bench.good("vm_create", **VM, state="suspended")) == ["suspend"]
    stopped = bench.good("vm_create", **VM, state="stopped", force=True)
    assert (steps(stopped), stopped.status) == (["resume", "shutdown"], "stopped")


# -- in a list of guests -----------------------------------------------------------------------------------------------


def test_a_template_and_its_clones_are_made_by_one_task(bench: Bench) -> None:
    small = {"type": "vm", "networks": [{"bridge": "vmbr0"}], "memory": 256}
    guests = [
        {**small, "name": "golden", "disks": [{"storage": "local-lvm", "size": "1G"}], "state": "template"},
        {**small, "name": "one", "clone_from": {"name": "golden"}, "state": "started"},
        {**small, "name": "two", "clone_from": {"name": "golden"}, "disks": [{"size": "2G"}], "state": "suspended"},
    ]
    told = bench.good("guests", check=True, guests=guests)
    assert [guest["changed"] for guest in told.guests] == [True, True, True]
    made = bench.good("guests", guests=guests)
    assert [[step["step"] for step in guest["plan"]] for guest in made.guests] == [
        ["create", "make_template"], ["clone", "start"], ["clone", "resize", "start", "suspend"]
    ]  # fmt: skip
    bench.node.forget()
    assert bench.good("guests", check=True, guests=guests).plan == ["3 unchanged"]
    assert not bench.good("guests", guests=guests).changed
    assert bench.writes() == []
    assert bench.good("guests", guests=[{**each, "state": "absent", "force": True} for each in guests]).changed
