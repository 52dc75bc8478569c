# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxc_create when things go wrong: failing commands, killed runs, two runs at once, edits by others."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._pve.api.changes import ApiChanges
from ansible_collections.pve.provision.plugins.module_utils._pve.api.guests import ApiGuests
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.changes import CliChanges
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.containers import CliContainers
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.guests import CliGuests
from ansible_collections.pve.provision.plugins.module_utils._pve.error_messages import error_of
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome
from embedded_node import commands

from .conftest import Bench, Params, answer, spawn, steps
from .test_lxc_create import WEB


@pytest.mark.parametrize("after", ["mkfs", "extract"])
def test_a_failed_creation_takes_back_what_it_made_and_quotes_pve(bench: Bench, after: str) -> None:
    bench.node.fault("fail_create", nth=1, after=after)
    failed = bench.bad("lxc_create", **WEB)
    assert "create failed" in failed.msg
    assert failed.step == "create"
    assert not bench.exists(101)
    assert bench.volumes("local-lvm", 101) == []
    bench.node.clear_faults()
    assert bench.good("lxc_create", **WEB).changed


def test_a_container_that_cannot_start_is_removed_again_unless_told_otherwise(bench: Bench) -> None:
    bench.node.fault("fail_start", nth=1)
    failed = bench.bad("lxc_create", **WEB, state="started")
    assert failed.step == "start"
    assert "was removed again" in failed.msg
    assert not bench.exists(101)
    bench.node.fault("fail_start", nth=1)
    bench.bad("lxc_create", **WEB, state="started", on_failure="keep")
    assert bench.exists(101)


def test_a_container_that_was_there_before_is_never_removed(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    bench.node.fault("fail_start", nth=1)
    bench.bad("lxc_create", **WEB, state="started")
    assert bench.exists(101)
    assert len(bench.volumes("local-lvm", 101)) == 1


def test_a_full_storage_is_reported_in_pves_words(bench: Bench) -> None:
    bench.node.fault("storage_full", storage="local-lvm")
    failed = bench.bad("lxc_create", **WEB)
    assert "local-lvm" in failed.msg
    assert not bench.exists(101)


def test_a_lock_that_is_let_go_is_waited_for(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    bench.node.fault("lock_held", vmid=101, seconds=1)
    assert bench.good("lxc_create", **{**WEB, "memory": 512}).changed
    assert bench.config(101)["memory"] == "512"


# -- killed runs ---------------------------------------------------------------------------------------------------


def until(condition: t.Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "the moment never came"
        if process.poll() is not None:
            return
        time.sleep(0.001)


def moments(root: Path) -> dict[str, t.Callable[[], bool]]:
    """What can be seen of a creation as it goes on, in order."""
    config = root / "etc/pve/lxc/101.conf"
    return {
        "before anything": (root / "var/lib/pve-provision/journal/101.json").exists,
        "the config is taken": config.exists,
        "the config is whole": lambda: config.exists() and "rootfs" in config.read_text(encoding="utf-8"),
        "it runs": lambda: "/var/lib/lxc/101/command" in (root / "proc/net/unix").read_text(encoding="utf-8"),
    }


@pytest.mark.parametrize("moment", ["before anything", "the config is taken", "the config is whole", "it runs"])
@pytest.mark.parametrize("whole_group", [True, False], ids=["with its command", "alone"])
def test_a_killed_run_is_made_good_by_the_next(bench: Bench, moment: str, whole_group: bool) -> None:
    if bench.backend == "api":
        pytest.skip("over the API the task goes on in PVE, whoever asked for it")
    process = spawn({**WEB, "state": "started"})
    until(moments(bench.node.root)[moment], process)
    with contextlib.suppress(ProcessLookupError):  # it may have ended by itself just now
        os.killpg(process.pid, signal.SIGKILL) if whole_group else process.kill()
    process.communicate()
    made = bench.good("lxc_create", **WEB, state="started")
    assert made.status == "running"
    assert len(bench.volumes("local-lvm", 101)) == 1
    assert list((bench.node.root / "var/lib/pve-provision/journal").glob("*.json")) == []
    assert not bench.good("lxc_create", **WEB, state="started").changed


def late(bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Somebody makes 101 after the run has looked, and before it creates."""
    backend: t.Any = CliChanges if bench.backend == "cli" else ApiChanges
    real = backend.create

    def create(self: t.Any, kind: str, vmid: int, options: t.Any, *, timeout: int) -> t.Any:
        if not bench.exists(101):
            bench.pct(
                "create", "101", "local:vztmpl/" + _template(bench), "--rootfs", "local-lvm:8", "--hostname", name
            )
        return real(self, kind, vmid, options, timeout=timeout)

    monkeypatch.setattr(backend, "create", create)


@pytest.mark.parametrize("noted", [True, False], ids=["with its note", "without"])
def test_what_a_killed_run_makes_is_found_whenever_it_comes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, noted: bool
) -> None:
    if noted and bench.backend == "api":
        pytest.skip("notes are kept on the node")
    if noted:
        note(bench, 101, "web1", until=time.time() + 600, task="vzcreate", stage="creating")
    late(bench, monkeypatch, "web1")
    made = bench.good("lxc_create", **WEB, state="started")
    assert (made.vmid, made.status) == (101, "running")
    assert steps(made) == ["set", "start"]
    assert len(bench.volumes("local-lvm", 101)) == 1
    assert list((bench.node.root / "var/lib/pve-provision/journal").glob("*.json")) == []
    assert not bench.good("lxc_create", **WEB, state="started").changed


def test_what_a_stranger_makes_meanwhile_is_reported_and_left_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    late(bench, monkeypatch, "db")
    refused = bench.bad("lxc_create", **WEB, state="started")
    assert [finding["option"] for finding in refused.findings] == ["hostname"]
    assert bench.config(101)["hostname"] == "db"
    assert bench.pct("status", "101").strip() == "status: stopped"


@pytest.mark.parametrize("at", ["config", "mkfs", "extract"])
def test_a_killed_command_is_made_good_by_the_same_run(bench: Bench, at: str) -> None:
    if bench.backend == "api":
        pytest.skip("there is no command to kill")
    bench.node.fault("kill", at=at)
    bench.bad("lxc_create", **WEB)
    bench.node.clear_faults()
    assert not bench.exists(101)
    assert bench.volumes("local-lvm", 101) == []
    assert bench.good("lxc_create", **WEB).changed


def test_a_strangers_half_made_container_is_never_touched(bench: Bench) -> None:
    if bench.backend == "api":
        pytest.skip("there is no command to kill")
    bench.node.fault("kill", at="extract")
    process = subprocess.run(
        ["pct", "create", "101", "local:vztmpl/" + _template(bench), "--rootfs", "local-lvm:1"],
        check=False,
        capture_output=True,
    )
    assert process.returncode != 0
    bench.node.clear_faults()
    refused = bench.bad("lxc_create", **WEB)
    assert "is locked (create)" in refused.msg
    assert bench.exists(101)
    assert len(bench.volumes("local-lvm", 101)) == 1


def _template(bench: Bench) -> str:
    return next((bench.node.root / "var/lib/vz/template/cache").glob("debian-13-*")).name


# -- others at work ------------------------------------------------------------------------------------------------


def test_runs_at_once_get_vmids_of_their_own(bench: Bench) -> None:
    declaration = {key: value for key, value in WEB.items() if key not in {"vmid", "networks"}}
    runs = [spawn({**bench.connection, **declaration, "hostname": f"web{number}"}) for number in range(4)]
    answers = [answer(process) for process in runs]
    assert not any(each.get("failed") for each in answers), answers
    assert len({each["vmid"] for each in answers}) == 4


def test_runs_of_one_declaration_at_once_make_one_container(bench: Bench) -> None:
    if bench.backend == "api":
        pytest.skip("over the API there is nothing to hold on the node")
    declaration = {key: value for key, value in WEB.items() if key != "vmid"}
    answers = [answer(process) for process in [spawn(declaration) for _run in range(3)]]
    assert sorted(each.get("changed") for each in answers) == [False, False, True], answers
    assert {each["vmid"] for each in answers} == {100}


def test_an_edit_by_somebody_else_in_between_is_not_overwritten(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The edit comes after the config was read and before it is written: PVE's digest tells."""
    from ansible_collections.pve.provision.plugins.module_utils._engine import reconcile

    bench.good("lxc_create", **WEB)
    real = reconcile.preflight

    def edit_and_check(*args: t.Any) -> t.Any:
        bench.pct("set", "101", "--description", "mine")
        return real(*args)

    monkeypatch.setattr(reconcile, "preflight", edit_and_check)
    refused = bench.bad("lxc_create", **{**WEB, "memory": 512})
    assert "run again" in refused.msg
    assert bench.config(101)["memory"] == "1024"


def test_a_lost_connection_is_tried_again(bench: Bench) -> None:
    if bench.backend == "cli":
        pytest.skip("there is no connection")
    bench.good("lxc_create", **WEB)
    bench.node.fault("api_drop", nth=2)  # the first one is the login
    assert not bench.good("lxc_create", **WEB).changed


def test_what_an_api_token_may_not_is_reported_before_anything_is_written(bench: Bench) -> None:
    if bench.backend == "cli":
        pytest.skip("root on the node may do everything")
    token: Params = {key: bench.node.api[key] for key in ("api_token_id", "api_token_secret")}
    refused = bench.bad(
        "lxc_create",
        **{**WEB, **token, "api_password": None},
        unprivileged=False,
        features={"nesting": True},
        hookscript="local:snippets/x.sh",
        devices=[{"path": "/dev/net/tun"}],
    )
    assert {finding["option"] for finding in refused.findings} == {"features.nesting", "hookscript", "devices[0]"}
    assert "root@pam" in refused.msg
    assert not bench.exists(101)
    assert steps(bench.good("lxc_create", **{**WEB, **token, "api_password": None})) == ["create"]


# -- what is not ours ----------------------------------------------------------------------------------------------


def note(bench: Bench, vmid: int, name: str, **more: t.Any) -> None:
    """A note that some earlier run left."""
    folder = bench.node.root / "var/lib/pve-provision/journal"
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"kind": "lxc", "name": name, "storages": ["local-lvm"], "since": 0, **more})
    (folder / f"{vmid}.json").write_text(text, encoding="utf-8")


def test_an_old_note_gives_nobody_a_strangers_container(bench: Bench) -> None:
    if bench.backend == "api":
        pytest.skip("notes are kept on the node")
    bench.pct("create", "301", "local:vztmpl/" + _template(bench), "--rootfs", "local-lvm:1", "--hostname", "db")
    note(bench, 301, "web1")
    made = bench.good("lxc_create", **{key: value for key, value in WEB.items() if key != "vmid"})
    assert made.vmid != 301
    assert bench.config(301)["hostname"] == "db"


def test_a_vmid_that_somebody_takes_while_we_fail_stays_theirs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    if bench.backend == "api":
        pytest.skip("the journal is the node's")
    from ansible_collections.pve.provision.plugins.module_utils._errors import PveError

    def taken(self: object, *args: t.Any, **options: t.Any) -> None:
        bench.pct("create", "101", "local:vztmpl/" + _template(bench), "--rootfs", "local-lvm:1", "--start", "1")
        raise PveError("something else went wrong")

    monkeypatch.setattr(CliChanges, "create", taken)
    failed = bench.bad("lxc_create", **WEB)
    assert "container 101 exists by now, and is kept" in failed.msg
    assert bench.pct("status", "101").strip() == "status: running"


def test_what_cannot_be_looked_at_after_a_failed_creation_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[PveError] = []
    guests: t.Any = CliGuests if bench.backend == "cli" else ApiGuests
    changes: t.Any = CliChanges if bench.backend == "cli" else ApiChanges
    look = guests.config

    def create(self: object, *args: t.Any, **options: t.Any) -> t.NoReturn:
        lost.append(error_of("create lxc 101", "cluster not ready - no quorum?"))
        raise lost[0]

    def config(self: t.Any, *args: t.Any) -> t.Any:
        if lost:
            raise error_of("look at 101", "cluster not ready - no quorum?")
        return look(self, *args)

    monkeypatch.setattr(changes, "create", create)
    monkeypatch.setattr(guests, "config", config)
    failed = bench.bad("lxc_create", **WEB)
    assert "create failed: create lxc 101: cluster not ready - no quorum? The cluster has no quorum" in failed.msg
    assert "container 101 may be left in part, and could not be looked at: look at 101: cluster" in failed.msg


@pytest.mark.parametrize(
    ("verb", "changed"), [("set_config", {"memory": 512}), ("shutdown", {"state": "stopped", "shutdown_timeout": 1})]
)
def test_what_fails_behind_a_failure_does_not_hide_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, verb: str, changed: Params
) -> None:
    """Once the node has refused, it does not even answer what the guest is by now."""
    bench.good("lxc_create", **WEB, state="started")
    changes: t.Any = CliChanges if bench.backend == "cli" else ApiChanges
    guests: t.Any = CliGuests if bench.backend == "cli" else ApiGuests
    looks = {name: getattr(guests, name) for name in ("config", "status")}
    refused: list[bool] = []

    def refuse(self: object, *args: t.Any, **options: t.Any) -> t.NoReturn:
        refused.append(True)
        raise PveError("the cause")

    def look(self: object, name: str, *args: t.Any) -> t.Any:
        if refused:
            raise PveError("something else")
        return looks[name](self, *args)

    monkeypatch.setattr(changes, verb, refuse)
    for name in looks:
        monkeypatch.setattr(guests, name, functools.partialmethod(look, name))
    failed = bench.bad("lxc_create", **{**WEB, "state": "started", **changed})
    assert "failed: the cause" in failed.msg
    assert "something else" not in failed.msg


def test_recreate_works_after_a_run_that_left_its_container(bench: Bench) -> None:
    bench.node.fault("fail_start", nth=1)
    bench.bad("lxc_create", **WEB, state="started", cleanup_on_failure=False)
    again = bench.good("lxc_create", **WEB, unprivileged=False, recreate=True, state="started")
    assert steps(again) == ["destroy", "create", "start"]


def test_a_failed_start_names_its_cause(bench: Bench) -> None:
    """A bind mount's directory that is gone: PVE itself says no more than that a script failed."""
    source = bench.node.root / "srv/gone-by-then"
    source.mkdir(parents=True)
    bench.good("lxc_create", **WEB, mount_points=[{"bind": "/srv/gone-by-then", "mp": "/srv"}])
    source.rmdir()
    failed = bench.bad("lxc_create", **WEB, state="started")
    assert "directory '/srv/gone-by-then' does not exist" in failed.msg
    assert "container 101 (web1)" in failed.msg


@pytest.fixture
def under_ha(bench: Bench) -> Bench:
    """Container 101 is the HA manager's business, as soon as it is there."""
    path = bench.node.root / "etc/pve/ha/resources.cfg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("ct: 101\n\tstate started\n", encoding="utf-8")
    return bench


def test_under_ha_the_state_is_waited_for(under_ha: Bench) -> None:
    """PVE takes note of a start or a shutdown and is done; the HA manager acts some time later."""
    assert under_ha.good("lxc_create", **WEB, state="started").status == "running"
    restarted = under_ha.good("lxc_create", **WEB, state="restarted")
    assert steps(restarted) == ["shutdown", "start"]
    assert restarted.status == "running"
    assert under_ha.pct("status", "101").strip() == "status: running"
    stopped = under_ha.good("lxc_create", **WEB, state="stopped")
    assert stopped.status == "stopped"
    assert under_ha.pct("status", "101").strip() == "status: stopped"


@pytest.mark.parametrize("check", [True, False])
def test_what_ha_manages_is_removed_with_purge_alone(under_ha: Bench, check: bool) -> None:
    """PVE refuses it after the guest was stopped (pve-container, API2/LXC.pm)."""
    under_ha.good("lxc_create", **WEB)
    refused = under_ha.bad("lxc_create", check, vmid=101, hostname="web1", state="absent")
    assert "is refused: HA manages container 101 (web1). Set purge=true" in refused.msg
    assert under_ha.exists(101)
    assert under_ha.good("lxc_create", check, vmid=101, hostname="web1", state="absent", purge=True).changed
    assert under_ha.exists(101) == check


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("gone", [{"state": "absent"}, {"recreate": True, "unprivileged": False}])
def test_what_is_replicated_is_removed_with_purge_alone(bench: Bench, gone: Params, check: bool) -> None:
    """Nothing is stopped for what PVE refuses; a new one in its place is a removal, too."""
    jobs = bench.node.root / "etc/pve/replication.cfg"
    jobs.write_text("local: 101-0\n\ttarget pve2\n\nlocal: 102-0\n\ttarget pve2\n", encoding="utf-8")
    bench.good("lxc_create", **{**WEB, "vmid": 101, "state": "started"})
    rc, _out, err = commands.run(["pct", "destroy", "101"], bench.node.root, b"")
    assert (rc, "There is a replication job '101-0' for guest '101' - Please remove that first." in err) == (255, True)
    refused = bench.bad("lxc_create", check, **{**WEB, "vmid": 101, **gone})
    assert "is refused: container 101 (web1) has a replication job. Set purge=true" in refused.msg
    assert bench.pct("status", "101").strip() == "status: running"
    assert bench.good("lxc_create", check, **{**WEB, "vmid": 101, "purge": True, **gone}).changed
    assert ("101-0" in jobs.read_text(encoding="utf-8")) == check
    assert "102-0" in jobs.read_text(encoding="utf-8")


def test_a_state_that_does_not_come_is_a_failure(under_ha: Bench) -> None:
    under_ha.good("lxc_create", **WEB, state="started")
    with under_ha.settings(ha_delay=None):
        failed = under_ha.bad("lxc_create", **WEB, state="stopped", shutdown_timeout=1)
    assert "still not stopped" in failed.msg
    assert "ha-manager" in failed.msg


def test_a_file_system_that_did_not_grow_is_not_forgotten(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """PVE has written the new size by then and ends well, so nothing but a note of ours knows."""
    larger = {**WEB, "rootfs": {"size": "9G"}}
    bench.good("lxc_create", **WEB)
    bench.node.fault("filesystem_stays", vmid=101)
    failed = bench.bad("lxc_create", **larger)
    assert "Failed to update the container's filesystem" in failed.msg
    assert "size=9G" in bench.config(101)["rootfs"]
    if bench.backend == "api":
        assert "resize2fs" in failed.msg
        return
    grown: list[str] = []

    def broken(self: object, vmid: int, disk: str, *, timeout: int) -> Outcome:
        raise PveError("resize2fs: no")

    def works(self: object, vmid: int, disk: str, *, timeout: int) -> Outcome:
        grown.append(disk)
        return Outcome()

    monkeypatch.setattr(CliContainers, "grow_filesystem", broken)
    assert "grow_filesystem failed" in bench.bad("lxc_create", **larger).msg
    monkeypatch.setattr(CliContainers, "grow_filesystem", works)
    assert steps(bench.good("lxc_create", check=True, **larger)) == ["grow_filesystem"]
    assert grown == []
    assert steps(bench.good("lxc_create", **larger)) == ["grow_filesystem"]
    assert grown == ["rootfs"]
    assert not bench.good("lxc_create", **larger).changed


def test_trunks_on_a_bridge_that_takes_none(bench: Bench) -> None:
    """Somebody has made the bridge a plain one since; the start's own words are an exit code."""
    bench.good("lxc_create", **{**WEB, "networks": [{"bridge": "vmbr1", "trunks": [10, 20]}]})
    (bench.node.root / "sys/class/net/vmbr1/bridge/vlan_filtering").write_text("0\n", encoding="utf-8")
    failed = bench.bad("lxc_create", vmid=101, hostname="web1", state="started")
    assert "vlan aware feature need to be enabled to use trunks" in failed.msg


def test_a_refusal_names_the_guest(bench: Bench) -> None:
    refused = bench.bad("lxc_create", check=True, **{**WEB, "tags": ["-bad"]})
    assert refused.msg.startswith("container 101 (web1): tags[0]: '-bad'")
