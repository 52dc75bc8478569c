# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A move of a disk that is ended in its midst: what it left goes by the same run or the next, and nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.vm import disk_move
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.leftovers import CliLeftovers
from embedded_node import commands

from .conftest import Bench, Params, spawn, steps

FILES, ZFS = "files", "tank"
LVM: Params = {"storage": "local-lvm", "size": "1G"}
VM: Params = {"vmid": 100, "name": "web", "disks": [{**LVM, "storage": FILES}]}
MOVED: Params = {**VM, "disks": [LVM], "move_disks": True}


@pytest.fixture
def node(bench: Bench) -> t.Iterator[Bench]:
    """A node with a VM that has its disk on a storage of files; volumes on LVM tell when they were made."""
    if bench.backend == "api":
        pytest.skip("over the API the task goes on in PVE, or cleans up")
    storages = bench.node.root / "etc/pve/storage.cfg"
    with storages.open("a", encoding="utf-8") as stream:
        stream.write(f"\ndir: {FILES}\n\tpath {bench.node.root}/srv/files\n\tcontent images\n")
        stream.write(f"\nzfspool: {ZFS}\n\tpool rpool/data\n\tcontent images\n")
    bench.good("vm_create", **VM)
    yield bench
    for action in ("stop", "destroy"):
        commands.run(["qm", action, "100"], bench.node.root, b"")


def volumes(node: Bench) -> list[str]:
    return sorted(node.volumes(FILES, 100) + node.volumes("local-lvm", 100))


def notes(node: Bench) -> list[str]:
    return [path.name for path in (node.node.root / "var/lib/pve-provision/moves").glob("*.json")]


def kill_all(node: Bench, at: str = "move", moved: Params | None = None) -> None:
    """A run that is killed together with the command that it had started."""
    node.node.fault("kill", at=at)
    with pytest.MonkeyPatch.context() as patch:

        def die(*_args: t.Any) -> t.NoReturn:
            raise KeyboardInterrupt  # nobody catches it, and nothing is done any more

        patch.setattr(disk_move.MoveDisk, "undo", die)
        with pytest.raises(KeyboardInterrupt):
            node.run("vm_create", **(moved or MOVED))
    node.node.clear_faults()


# -- the same run ------------------------------------------------------------------------------------------------------
def test_what_a_killed_command_left_goes_with_the_run_that_started_it(node: Bench) -> None:
    node.node.fault("kill", at="move")
    failed = node.bad("vm_create", **MOVED)
    assert "local-lvm:vm-100-disk-0, which the move had left, was removed" in failed.msg
    assert volumes(node) == ["files:100/vm-100-disk-0.qcow2"]
    assert notes(node) == []
    assert steps(node.good("vm_create", **MOVED)) == ["move_disk"]
    assert volumes(node) == ["local-lvm:vm-100-disk-0"]


def test_what_a_move_left_whose_time_was_over_goes_too(node: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_move, "_SPEED", 1024**4)  # a small disk has no more time than other steps
    node.node.fault("slow", at="move", seconds=60)
    failed = node.bad("vm_create", **MOVED, timeout=2)
    assert failed.error == "timeout"
    assert volumes(node) == ["files:100/vm-100-disk-0.qcow2"]
    assert notes(node) == []


def test_a_move_that_fails_and_cleans_up_leaves_nothing_to_do(node: Bench) -> None:
    node.node.fault("storage_full", storage="local-lvm")
    failed = node.bad("vm_create", **MOVED, storage_refuse=100)
    assert "which the move had left" not in failed.msg
    assert (volumes(node), notes(node)) == (["files:100/vm-100-disk-0.qcow2"], [])


# -- the next run ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("at", "next_steps"), [("move", ["clean_up_move", "move_disk"]), ("moved", ["clean_up_move"])])
def test_what_a_killed_run_left_goes_with_the_next(node: Bench, at: str, next_steps: list[str]) -> None:
    """The target volume; or the source volume, where the VM had the copy already."""
    kill_all(node, at)
    assert len(volumes(node)) == 2
    left = "local-lvm:vm-100-disk-0" if at == "move" else "files:100/vm-100-disk-0.qcow2"
    planned = node.good("vm_create", check=True, **MOVED)
    assert planned.plan[0] == {"step": "clean_up_move", "vmid": 100, "volumes": [left]}
    assert len(volumes(node)) == 2
    done = node.good("vm_create", **MOVED)
    assert steps(planned) == steps(done) == next_steps
    assert volumes(node) == ["local-lvm:vm-100-disk-0"]
    assert notes(node) == []
    node.node.forget()
    assert not node.good("vm_create", **MOVED).changed
    assert node.writes() == []


def test_so_it_is_on_zfs_where_no_list_tells_when_a_volume_was_made(node: Bench) -> None:
    moved = {**MOVED, "disks": [{**LVM, "storage": ZFS}]}
    kill_all(node, moved=moved)
    assert node.volumes(ZFS, 100) == ["tank:vm-100-disk-0"]
    assert steps(node.good("vm_create", **moved)) == ["clean_up_move", "move_disk"]
    assert (node.volumes(ZFS, 100), node.volumes(FILES, 100), notes(node)) == (["tank:vm-100-disk-0"], [], [])


@pytest.mark.parametrize("then", [{"state": "absent"}, {"disks": VM["disks"]}])
def test_whatever_is_declared_next(node: Bench, then: Params) -> None:
    kill_all(node)
    node.good("vm_create", **{**VM, **then})
    assert volumes(node) == ([] if then.get("state") else ["files:100/vm-100-disk-0.qcow2"])
    assert notes(node) == []


@pytest.mark.parametrize(
    ("declared", "made"), [({"vmid": 100, "state": "absent"}, []), ({"disks": VM["disks"]}, ["create"])]
)
def test_though_somebody_has_removed_the_vm(node: Bench, declared: Params, made: list[str]) -> None:
    """It is found by its number or its name."""
    kill_all(node)
    assert commands.run(["qm", "destroy", "100"], node.node.root, b"")[0] == 0
    assert volumes(node) == ["local-lvm:vm-100-disk-0"]
    assert steps(node.good("vm_create", name="web", **declared)) == ["clean_up_move", *made]
    assert "local-lvm:vm-100-disk-0" not in volumes(node)
    assert notes(node) == []


def test_a_command_that_outlives_its_run_is_waited_for(node: Bench) -> None:
    node.node.fault("slow", at="move", seconds=3)
    run = spawn(MOVED, "vm_create")
    while not node.volumes("local-lvm", 100):
        assert run.poll() is None
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert steps(node.good("vm_create", check=True, **MOVED)) == ["move_disk"]
    assert steps(node.good("vm_create", **MOVED)) == []
    assert volumes(node) == ["local-lvm:vm-100-disk-0"]
    assert notes(node) == []


# -- what stays --------------------------------------------------------------------------------------------------------
def alloc(node: Bench, name: str) -> None:
    assert commands.run(["pvesm", "alloc", "local-lvm", "100", name, "1G"], node.node.root, b"")[0] == 0


def test_nothing_of_others_goes(node: Bench) -> None:
    """What was there before, what a snapshot names, and what is called as no move calls it."""
    alloc(node, "vm-100-disk-7")
    kill_all(node)
    alloc(node, "vm-100-mine")
    conf = node.node.root / "etc/pve/qemu-server/100.conf"
    before = conf.read_text(encoding="utf-8")
    conf.write_text(f"{before}\n[keep]\nscsi0: local-lvm:vm-100-disk-0,size=1G\n", encoding="utf-8")
    told = node.good("vm_create", **VM)
    assert "local-lvm:vm-100-mine belongs to no guest; it is left alone" in str(told.warnings)
    assert "disk-7" not in str(told.warnings)
    assert len(volumes(node)) == 4
    assert notes(node) == []
    conf.write_text(before, encoding="utf-8")


def test_a_stranger_that_gets_the_name_later_is_left_alone(node: Bench) -> None:
    kill_all(node)
    assert commands.run(["pvesm", "free", "local-lvm:vm-100-disk-0"], node.node.root, b"")[0] == 0
    note = node.node.root / "var/lib/pve-provision/moves/100.json"
    note.write_text(note.read_text(encoding="utf-8").replace('"until": ', '"until": 1e9, "was": '), encoding="utf-8")
    alloc(node, "vm-100-disk-0")
    told = node.good("vm_create", **VM)
    assert "vm-100-disk-0 belongs to no guest; it is left alone" in str(told.warnings)
    assert "local-lvm:vm-100-disk-0" in volumes(node)


def test_what_a_running_vm_has_open_stays_until_it_stops(node: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    node.good("vm_create", **VM, state="started")
    kill_all(node)
    with monkeypatch.context() as patch:
        patch.setattr(CliLeftovers, "is_open", lambda *_args: True)
        told = node.good("vm_create", **VM)
        assert not told.changed
        assert "stays as long as the VM has it open" in str(told.warnings)
        assert len(volumes(node)) == 2
    assert steps(node.good("vm_create", **VM, state="stopped", force=True, shutdown_timeout=1))[0] == "clean_up_move"
    assert volumes(node) == ["files:100/vm-100-disk-0.qcow2"]


def test_nothing_goes_while_a_move_is_at_work(node: Bench) -> None:
    kill_all(node)
    line = ["qm", "disk", "move", "100", "scsi0", "local-lvm"]
    argv = [sys.executable, "-c", "import time; time.sleep(60)", *line, "--delete", "1"]
    other = subprocess.Popen(argv, env={**os.environ, "PVE_ROOT": str(node.node.root)})
    try:
        assert not node.good("vm_create", check=True, **VM).changed
        refused = node.bad("vm_create", **VM, timeout=1)
        assert "a disk of VM 100 is still being moved" in refused.msg
        assert len(volumes(node)) == 2
    finally:
        other.kill()
        other.wait()
    assert steps(node.good("vm_create", **VM)) == ["clean_up_move"]
