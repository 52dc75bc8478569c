# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that does not stand a change is taken back to the snapshot that was taken before it."""

from __future__ import annotations

import re
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine import apply
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Start
from ansible_collections.pve.provision.plugins.module_utils._engine.verify.probes import PROBES
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    ChecksFailed,
    Interrupted,
    ProvisionError,
    PveError,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.read import wanted_container
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.steps import UpgradeRouter
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot.part import RollbackPart
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot.steps import DESCRIPTION
from ansible_collections.pve.provision.plugins.module_utils._model.checks.network import Reply
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig
from embedded_node import commands

from .conftest import Bench, Params, pvesh, steps

WEB: Params = {
    "vmid": 101,
    "hostname": "web1",
    "ostemplate": "debian-13-standard",
    "memory": 512,
    "rootfs": {"storage": "local-lvm", "size": "1G"},
}
SAFE: Params = {**WEB, "rollback": "snapshot"}
VM: Params = {"vmid": 201, "name": "app1", "memory": 512, "disks": [{"storage": "local-lvm", "size": "1G"}]}
MARKS = (("one", "true"), ("two", "false"))
OURS = "provision_20260101_000000"


def snapshots(bench: Bench, vmid: int = 101, command: str = "pct") -> list[str]:
    rc, out, err = commands.run([command, "listsnapshot", str(vmid)], bench.node.root, b"")
    assert rc == 0, err
    return [name for name in re.findall(r"`-> (\S+)", out) if name != "current"]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guests do not pass their checks after they were changed."""

    def finish(self: RollbackPart, run: t.Any) -> None:
        if run.plan:
            raise ChecksFailed("It does not answer.", remedy="Look into it.")

    monkeypatch.setattr(RollbackPart, "finish", finish)


# -- the way there ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("module", "guest", "command"), [("lxc_create", WEB, "pct"), ("vm_create", VM, "qm")])
def test_the_snapshot_goes_when_the_change_has_been_stood(
    bench: Bench, module: str, guest: Params, command: str
) -> None:
    made = bench.good(module, **guest, rollback="snapshot")
    assert "snapshot" not in steps(made)  # what is new has nothing to go back to
    changed = {**guest, "memory": 1024, "rollback": "snapshot"}
    planned = bench.good(module, check=True, **changed)
    done = bench.good(module, **changed)
    assert steps(planned) == steps(done) == ["snapshot", "set", "prune_snapshots"]
    assert planned.plan == done.plan
    assert done.config["memory"] == 1024
    assert "parent" not in done.other_options
    assert snapshots(bench, guest["vmid"], command) == []
    bench.node.forget()
    assert not bench.good(module, **changed).changed
    assert bench.writes() == []


@pytest.mark.parametrize(("module", "guest", "command"), [("lxc_create", WEB, "pct"), ("vm_create", VM, "qm")])
def test_replication_is_waited_for(bench: Bench, module: str, guest: Params, command: str) -> None:
    """PVE gives up after ten seconds, here after half a one; what it replicates may take longer."""
    bench.good(module, **guest)
    bench.node.fault("lock_held", vmid=guest["vmid"], seconds=2, kind="migration")
    with bench.settings(lock_timeout=0.5):
        done = bench.good(module, **{**guest, "memory": 1024, "rollback": "snapshot"})
    assert done.values.get("warnings", []) == []
    assert snapshots(bench, guest["vmid"], command) == []


def test_what_is_only_started_or_stopped_gets_no_snapshot(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    assert steps(bench.good("lxc_create", **SAFE, state="started")) == ["start"]
    assert steps(bench.good("lxc_create", **SAFE, state="stopped")) == ["shutdown"]


def test_some_are_kept_when_that_is_wished_and_nobody_elses_goes(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    bench.pct("snapshot", "101", "mine")
    bench.pct("snapshot", "101", "provision_20200101_000000", "--description", "this one stays")
    for memory in (600, 700):
        bench.pct("snapshot", "101", f"provision_20250101_000{memory}", "--description", DESCRIPTION)
        bench.good("lxc_create", **{**SAFE, "memory": memory, "snapshots_kept": 1})
    left = snapshots(bench)
    assert left[:2] == ["mine", "provision_20200101_000000"]
    assert len(left) == 3
    assert not left[2].startswith("provision_2025")
    assert not bench.good("lxc_create", **{**SAFE, "memory": 700, "snapshots_kept": 1}).changed
    pruned = bench.good("lxc_create", **{**SAFE, "memory": 700})
    assert steps(pruned) == ["prune_snapshots"]
    assert snapshots(bench) == left[:2]


def test_what_keeps_the_way_back_by_itself_needs_no_snapshot() -> None:
    step = UpgradeRouter(t.cast("t.Any", None), "23.05", "24.10", keep=False)
    plan, actual = Plan((Start(), step)), Actual(101, GuestConfig({}, {}))
    assert (
        RollbackPart().extend(t.cast("t.Any", None), wanted_container(WEB | {"state": "present"}), actual, plan) is plan
    )


# -- the way back ----------------------------------------------------------------------------------------------------


def test_a_container_that_does_not_start_again_is_what_it_was(bench: Bench) -> None:
    bench.good("lxc_create", **WEB, state="started", features={"nesting": False})
    bench.node.fault("fail_start", nth=1)
    failed = bench.bad("lxc_create", **SAFE, state="started", features={"nesting": True}, restart="when_needed")
    assert failed.step == "start"
    assert failed.rolled_back
    assert "was rolled back to its state before this run" in failed.msg
    assert "nesting=1" not in bench.config(101).get("features", "")
    assert bench.pct("status", "101").strip() == "status: running"
    assert snapshots(bench) == []


def test_a_guest_that_does_not_start_after_it_was_taken_back_is_told_so(bench: Bench) -> None:
    bench.good("lxc_create", **WEB, state="started", features={"nesting": False})
    for _each in range(2):
        bench.node.fault("fail_start", nth=1)
    failed = bench.bad("lxc_create", **SAFE, state="started", features={"nesting": True}, restart="when_needed")
    assert failed.rolled_back
    assert "It does not start again, and the snapshot provision_" in failed.msg
    assert bench.pct("status", "101").strip() == "status: stopped"
    assert len(snapshots(bench)) == 1
    again = bench.good("lxc_create", **SAFE, state="started", features={"nesting": False})
    assert steps(again) == ["start", "prune_snapshots"]


def test_a_guest_that_a_killed_run_had_taken_back_is_started_by_the_next(bench: Bench) -> None:
    if bench.backend == "api":
        pytest.skip("over the API nothing is noted")
    bench.good("lxc_create", **WEB)
    bench.pct("snapshot", "101", OURS, "--description", DESCRIPTION)
    node = CliNode(bench.node.name, root=bench.node.root)
    node.snapshots.rollbacks[101] = {"kind": "lxc", "snapshot": OURS, "start": True, "done": True}
    assert steps(bench.good("lxc_create", **SAFE)) == ["clean_up"]
    assert bench.pct("status", "101").strip() == "status: running"
    assert snapshots(bench) == []


def test_going_back_needs_the_right_to_start_what_runs(bench: Bench, token: Params) -> None:
    bench.good("vm_create", **VM, state="started")
    pvesh(bench, "set", "/access/acl", "--path", "/", "--users", "ansible@pve", "--roles", "PVEAuditor")
    changed = {**VM, "description": "new", "rollback": "snapshot", **token}
    assert "VM.PowerMgmt on /vms/201 (snapshot)" in bench.bad("vm_create", check=True, **changed).msg
    assert commands.run(["qm", "stop", "201"], bench.node.root, b"")[0] == 0
    assert "VM.PowerMgmt" not in bench.bad("vm_create", check=True, **changed).msg


def test_a_run_that_is_interrupted_in_the_midst_takes_the_guest_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.good("lxc_create", **WEB, state="started")
    asked = iter([None, None, Interrupted("The run was interrupted: SIGTERM came.")])

    def check() -> None:
        if error := next(asked, None):
            raise error

    monkeypatch.setattr(apply.interrupt, "check", check)
    stopped = bench.bad("lxc_create", **{**SAFE, "memory": 1024}, state="restarted")
    assert (stopped.error, stopped.rolled_back, stopped.step) == ("interrupted", True, "shutdown")
    assert bench.config(101)["memory"] == "512"
    assert snapshots(bench) == []


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize(
    ("module", "guest", "command"), [("lxc_create", WEB, "pct"), ("vm_create", VM, "qm")], ids=["container", "VM"]
)
def test_a_guest_that_fails_its_checks_is_what_it_was(bench: Bench, module: str, guest: Params, command: str) -> None:
    bench.good(module, **guest)
    failed = bench.bad(module, **{**guest, "memory": 1024, "rollback": "snapshot"})
    assert (failed.error, failed.rolled_back) == ("checks_failed", True)
    assert failed.msg == "It does not answer. Look into it. It was rolled back to its state before this run"
    assert snapshots(bench, guest["vmid"], command) == []
    assert not bench.good(module, **guest).changed


@pytest.mark.parametrize("error", [PveError("The node does not answer."), Interrupted("Stopped.")])
def test_a_guest_of_which_nobody_could_tell_is_what_it_was(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: ProvisionError
) -> None:
    def finish(self: RollbackPart, run: t.Any) -> None:
        if run.plan:
            raise error

    bench.good("lxc_create", **WEB)
    monkeypatch.setattr(RollbackPart, "finish", finish)
    failed = bench.bad("lxc_create", **{**SAFE, "memory": 1024})
    assert failed.rolled_back
    assert (bench.config(101)["memory"], snapshots(bench)) == ("512", [])


def test_what_fails_in_the_guest_takes_it_back_with_all_that_was_done_before(bench: Bench) -> None:
    if bench.backend == "api":
        pytest.skip("inside the container only the node can look")
    bench.good("lxc_create", **WEB, state="started")
    marks = [{"command": f"touch /root/{name} && {ends}", "creates": "/never"} for name, ends in MARKS]
    failed = bench.bad("lxc_create", **{**SAFE, "memory": 1024}, state="started", commands=marks)
    assert failed.rolled_back
    assert bench.config(101)["memory"] == "512"
    assert "one" not in bench.pct("exec", "101", "--", "ls", "/root")


def test_so_it_is_by_a_declared_check(bench: Bench) -> None:
    if bench.backend == "api":
        pytest.skip("inside the container only the node can look")
    bench.good("lxc_create", **WEB, state="started")
    checks = [{"type": "uptime", "min_seconds": 1_000_000, "timeout": 0}]
    failed = bench.bad("lxc_create", **{**SAFE, "memory": 1024}, state="started", checks=checks)
    assert (failed.error, failed.rolled_back) == ("checks_failed", True)
    assert [check["outcome"] for check in failed.checks] == ["failed"]
    assert bench.config(101)["memory"] == "512"
    assert bench.pct("status", "101").strip() == "status: running"


@pytest.mark.parametrize("answered_before", [True, False])
def test_a_change_that_cuts_the_way_to_the_guest_is_taken_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, answered_before: bool
) -> None:
    def tcp(check: t.Any, address: str) -> Reply:
        reached = answered_before and bench.config(101)["memory"] == "512"
        return Reply("answered" if reached else "no_way", f"tcp {address}", "said")

    monkeypatch.setitem(PROBES, "tcp", tcp)
    bench.good("lxc_create", **WEB, state="started")
    checks = [{"type": "tcp", "port": 80, "address": "192.0.2.7", "timeout": 0}]
    told = bench.run("lxc_create", **{**SAFE, "memory": 1024}, state="started", checks=checks)
    assert told.values.get("rolled_back", False) is answered_before
    assert bench.config(101)["memory"] == ("512" if answered_before else "1024")
    assert [check["outcome"] for check in told.checks] == ["failed" if answered_before else "not_verified"]
    assert snapshots(bench) == []


@pytest.mark.usefixtures("failing")
def test_without_it_a_guest_that_fails_its_checks_is_left_as_it_is(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    bench.run("lxc_create", **{**WEB, "memory": 1024})
    assert bench.config(101)["memory"] == "1024"


@pytest.mark.usefixtures("failing")
def test_a_new_guest_that_fails_its_checks_stays(bench: Bench) -> None:
    failed = bench.bad("lxc_create", **SAFE)
    assert "rolled_back" not in failed.values
    assert bench.exists(101)


# -- what stands against it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "change", "words"),
    [
        ({"rootfs": {"storage": "local", "size": "1G"}}, {}, "no snapshot of rootfs (local:101/vm-101-disk-0.raw)"),
        ({}, {"snapshots_kept": -1}, "snapshots_kept: -1 is negative"),
    ],
)
def test_what_cannot_be_taken_back_is_said_before_anything_is_written(
    bench: Bench, before: Params, change: Params, words: str
) -> None:
    commands.run(["pvesm", "set", "local", "--content", "images,rootdir,iso,vztmpl,snippets"], bench.node.root, b"")
    bench.good("lxc_create", **{**WEB, **before})
    refused = bench.bad("lxc_create", check=True, **{**SAFE, **before, "memory": 1024, **change})
    assert refused.error == "invalid_input"
    assert words in refused.msg


def test_a_bind_mount_and_a_waiting_change_of_somebody_elses_stand_against_it(bench: Bench) -> None:
    bench.good("lxc_create", **WEB, state="started")
    bench.pct("set", "101", "--mp0", "/srv,mp=/srv")
    bench.pct("set", "101", "--tty", "4")
    refused = bench.bad("lxc_create", **{**SAFE, "memory": 1024})
    assert "no snapshot of mp0 (/srv), which is of the node itself" in refused.msg
    assert "would drop what waits for a restart and is not declared: tty" in refused.msg
    assert snapshots(bench) == []


def test_a_disk_in_a_snapshot_does_not_move(bench: Bench) -> None:
    bench.good("vm_create", **VM)
    disks = [{"storage": "local", "size": "1G"}]
    commands.run(["pvesm", "set", "local", "--content", "images,rootdir,iso,vztmpl,snippets"], bench.node.root, b"")
    refused = bench.bad("vm_create", **{**VM, "disks": disks, "move_disks": True, "rollback": "snapshot"})
    assert "cannot be combined with move_disk: PVE moves no disk that is in a snapshot" in refused.msg


@pytest.fixture(params=[True, False], ids=["chains", "no chains"])
def chains(request: pytest.FixtureRequest, bench: Bench) -> t.Iterator[bool]:
    """Whether the storage ``files`` keeps snapshots as chains of volumes."""
    option = "\tsnapshot-as-volume-chain 1\n" if request.param else ""
    with (bench.node.root / "etc/pve/storage.cfg").open("a", encoding="utf-8") as stream:
        stream.write(f"\ndir: files\n\tpath {bench.node.root}/srv/files\n\tcontent images\n{option}")
    yield request.param
    for action in ("stop", "destroy"):
        commands.run(["qm", action, "201"], bench.node.root, b"")


def test_the_state_of_a_tpm_that_is_a_chain_of_volumes_stands_against_it_while_the_vm_runs(
    bench: Bench, chains: bool
) -> None:
    """Over the API PVE does not tell that it is one."""
    stays = "could not be deleted"
    guest = {**VM, "disks": [{"storage": "files", "size": "1G"}]}
    guest["tpm"] = {"storage": "files", "format": "qcow2", "version": "v2.0"}
    bench.good("vm_create", **guest)
    stopped = bench.good("vm_create", **guest, description="one", rollback="snapshot")
    assert stays not in str(stopped.values.get("warnings"))
    changed = {**guest, "description": "two", "rollback": "snapshot", "state": "started"}
    if chains and bench.backend == "cli":
        for running in (False, True):
            if running:
                bench.good("vm_create", **guest, state="started")
            refused = bench.bad("vm_create", check=True, **changed)
            assert "takes no snapshot of tpmstate0 (files:201/vm-201-disk-1.qcow2)" in refused.msg
    else:
        done = bench.good("vm_create", **changed)
        assert (stays in str(done.values.get("warnings"))) == chains


# -- killed ----------------------------------------------------------------------------------------------------------


def killed(bench: Bench, at: str, *argv: str) -> None:
    """A command that is killed, with all that had started it."""
    bench.node.fault("kill", at=at)
    assert subprocess.run(argv, check=False, capture_output=True).returncode != 0
    bench.node.clear_faults()


@pytest.mark.parametrize(("command", "module", "guest"), [("pct", "lxc_create", WEB), ("qm", "vm_create", VM)])
@pytest.mark.parametrize("at", ["snapshot", "delsnapshot", "rollback"])
def test_what_a_killed_run_has_left_is_put_right_by_the_next(
    bench: Bench, at: str, command: str, module: str, guest: Params
) -> None:
    if bench.backend == "api":
        pytest.skip("over the API the task goes on in PVE, whoever asked for it")
    vmid = guest["vmid"]
    bench.good(module, **guest)
    more = ["--description", DESCRIPTION] if at == "snapshot" else []
    if at != "snapshot":
        argv = [command, "snapshot", str(vmid), OURS, "--description", DESCRIPTION]
        subprocess.run(argv, check=True, capture_output=True)
        subprocess.run([command, "set", str(vmid), "--memory", "777"], check=True, capture_output=True)
    node = CliNode(bench.node.name, root=bench.node.root)
    if at == "rollback":
        node.snapshots.rollbacks[vmid] = {
            "kind": "lxc" if command == "pct" else "qemu",
            "snapshot": OURS,
            "start": False,
        }
    killed(bench, at, command, at, str(vmid), OURS, *more)
    frozen = bench.node.root / f"sys/fs/cgroup/lxc/{vmid}/cgroup.freeze"
    frozen.parent.mkdir(parents=True, exist_ok=True)
    frozen.write_text("1\n", encoding="ascii")
    declared = {**guest, "memory": 512 if at == "rollback" else 777, "rollback": "snapshot"}
    planned = bench.good(module, check=True, **declared)
    done = bench.good(module, **declared)
    assert steps(planned)[0] == steps(done)[0] == "clean_up"
    assert snapshots(bench, vmid, command) == []
    assert vmid not in node.snapshots.rollbacks
    assert frozen.read_text(encoding="ascii").strip() == ("0" if command == "pct" else "1")
    shutil.rmtree(frozen.parent)
    assert not bench.good(module, **declared).changed


@pytest.mark.parametrize("at", ["snapshot", "delsnapshot"])
def test_a_killed_command_is_put_right_by_the_same_run(bench: Bench, at: str) -> None:
    if bench.backend == "api":
        pytest.skip("there is no command to kill")
    bench.good("lxc_create", **WEB)
    bench.node.fault("kill", at=at)
    answer = bench.run("lxc_create", **{**SAFE, "memory": 1024})
    assert answer.failed == (at == "snapshot")
    assert bench.config(101)["memory"] == ("512" if at == "snapshot" else "1024")
    assert "lock" not in bench.config(101)
    assert snapshots(bench) == []


@pytest.mark.usefixtures("failing")
def test_a_killed_rollback_is_finished_by_the_same_run(bench: Bench) -> None:
    if bench.backend == "api":
        pytest.skip("there is no command to kill")
    bench.good("lxc_create", **WEB)
    bench.node.fault("kill", at="rollback")
    assert bench.bad("lxc_create", **{**SAFE, "memory": 1024}).rolled_back
    assert bench.config(101)["memory"] == "512"
    assert snapshots(bench) == []


@pytest.mark.parametrize("at", ["snapshot", "rollback"])
def test_a_strangers_lock_is_left_alone(bench: Bench, at: str) -> None:
    if bench.backend == "api":
        pytest.skip("there is no command to kill")
    bench.good("lxc_create", **WEB)
    if at == "rollback":
        bench.pct("snapshot", "101", "mine")
    killed(bench, at, "pct", at, "101", "mine")
    refused = bench.bad("lxc_create", **{**SAFE, "memory": 1024})
    assert f"is locked ({at})" in refused.msg
    assert bench.config(101)["lock"] == at
