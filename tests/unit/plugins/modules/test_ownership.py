# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that a run did not make is destroyed, renamed or overwritten, whatever an earlier run has noted."""

from __future__ import annotations

import json
import os
import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._errors import PveError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.lxc_steps import Seed
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.steps import AwaitUp
from ansible_collections.pve.provision.plugins.module_utils._pve.api.changes import ApiChanges
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.backups import CliBackups
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.changes import CliChanges
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import Commands
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.guests import CliGuests
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from embedded_node import commands

from .conftest import Bench, Params, answer, spawn, steps
from .routers import killed, vmids
from .test_lxc_create import WEB
from .test_lxc_create_faults import _template, until

NAMED = {key: value for key, value in WEB.items() if key != "vmid"}
SMALL = {key: value for key, value in NAMED.items() if key != "networks"}


@pytest.fixture
def cli(bench: Bench) -> Bench:
    if bench.backend == "api":
        pytest.skip("notes are kept on the node")
    return bench


def journal(bench: Bench) -> Path:
    return bench.node.root / "var/lib/pve-provision/journal"


def notes(bench: Bench) -> list[int]:
    return sorted(int(path.stem) for path in journal(bench).glob("*.json"))


def node(bench: Bench, *argv: str) -> str:
    """Run a command on the node, as its administrator would."""
    rc, out, err = commands.run(list(argv), bench.node.root, b"")
    assert rc == 0, (argv, err)
    return out


def container(bench: Bench, vmid: int, name: str, *more: str) -> None:
    bench.pct(
        "create", str(vmid), f"local:vztmpl/{_template(bench)}", "--rootfs", "local-lvm:1", "--hostname", name, *more
    )


def vm(bench: Bench, vmid: int, name: str, *more: str) -> None:
    node(bench, "qm", "create", str(vmid), "--name", name, "--scsi0", "local-lvm:1", "--memory", "256", *more)


def kill_before(bench: Bench, monkeypatch: pytest.MonkeyPatch, **declared: t.Any) -> None:
    """A run that is killed when it has noted what it is about to create, and has created nothing."""
    with monkeypatch.context() as patched:
        patched.setattr(CliChanges, "create", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.run("lxc_create", **declared)


def kill_inside(bench: Bench, monkeypatch: pytest.MonkeyPatch, **declared: t.Any) -> None:
    """A run that is killed with its `pct create`, which leaves half a container."""
    bench.node.fault("kill", at="extract")
    with monkeypatch.context() as patched:
        patched.setattr(cleanup, "undo", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.run("lxc_create", **declared)
    bench.node.clear_faults()


# -- notes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_name", [True, False])
def test_a_vm_that_got_a_noted_vmid_keeps_its_disk(cli: Bench, monkeypatch: pytest.MonkeyPatch, by_name: bool) -> None:
    kill_before(cli, monkeypatch, **WEB)
    vm(cli, 101, "db")
    before = cli.volumes("local-lvm", 101)
    answered = cli.run("lxc_create", **(NAMED if by_name else WEB))
    assert answered.failed is not by_name
    assert cli.volumes("local-lvm", 101) == before
    assert 101 not in notes(cli)


def test_absent_frees_nothing_of_the_vm_that_has_the_vmid(cli: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_before(cli, monkeypatch, **WEB)
    vm(cli, 101, "db")
    before = cli.volumes("local-lvm", 101)
    assert not cli.good("lxc_create", vmid=101, hostname="web1", state="absent").changed
    assert cli.volumes("local-lvm", 101) == before


def test_a_container_that_somebody_made_under_a_noted_vmid_is_refused(
    cli: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_before(cli, monkeypatch, **WEB)
    container(cli, 101, "db")
    assert "which is called db" in cli.bad("lxc_create", **WEB).msg
    assert cli.config(101)["hostname"] == "db"


@pytest.mark.parametrize("lock", ["backup", "snapshot", "migrate", "mounted", "disk"])
def test_the_locks_of_others_stay(cli: Bench, monkeypatch: pytest.MonkeyPatch, lock: str) -> None:
    kill_before(cli, monkeypatch, **WEB)
    container(cli, 101, "web1")
    config = cli.node.root / "etc/pve/lxc/101.conf"
    config.write_text(f"{config.read_text()}lock: {lock}\n")
    assert f"is locked ({lock})" in cli.bad("lxc_create", **{**WEB, "memory": 512}).msg
    assert cli.config(101)["lock"] == lock


def test_a_restore_under_way_is_not_taken_for_half_a_creation_of_ours(
    cli: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PVE locks the config by the same word. The restoration's worker has the task's name for a command line."""
    kill_before(cli, monkeypatch, **WEB)
    (cli.node.root / "etc/pve/lxc/101.conf").write_text("lock: create\n")
    monkeypatch.setattr(CliGuests, "busy", lambda self, kind, vmid: kind == "lxc" and vmid == 101)
    refused = cli.bad("lxc_create", **WEB, timeout=1)
    assert "still being created" in refused.msg
    assert cli.config(101) == {"lock": "create"}


def test_half_a_container_of_a_later_time_is_not_ours(cli: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_before(cli, monkeypatch, **WEB)
    path = journal(cli) / "101.json"
    note = json.loads(path.read_text())
    path.write_text(json.dumps({**note, "since": note["since"] - 90000, "until": note["until"] - 90000}))
    cli.node.fault("kill", at="extract")
    argv = ["pct", "create", "101", f"local:vztmpl/{_template(cli)}", "--rootfs", "local-lvm:1"]
    os.waitpid(os.posix_spawnp(argv[0], argv, dict(os.environ)), 0)
    cli.node.clear_faults()
    assert "is locked (create)" in cli.bad("lxc_create", **WEB).msg
    assert len(cli.volumes("local-lvm", 101)) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"kind": "qemu", "name": "web1"}', '{"stage": "creating"}', '{"since": null}']
)
@pytest.mark.parametrize("vmid", [101, 305])
def test_notes_that_say_nothing_block_nobody(cli: Bench, text: str, vmid: int) -> None:
    journal(cli).mkdir(parents=True, exist_ok=True)
    (journal(cli) / f"{vmid}.json").write_text(text)
    (journal(cli) / "no-number.json").write_text(text)
    cli.good("lxc_create", **WEB)
    (journal(cli) / "no-number.json").unlink()


def test_a_note_of_the_other_kind_does_not_block_a_vmid(cli: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_before(cli, monkeypatch, **WEB)
    path = journal(cli) / "101.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "kind": "qemu", "task": "qmcreate"}))
    assert cli.good("lxc_create", **WEB).changed


@pytest.mark.parametrize("by_name", [True, False])
def test_what_a_killed_creation_left_is_removed_by_the_next_run(
    cli: Bench, monkeypatch: pytest.MonkeyPatch, by_name: bool
) -> None:
    declared = SMALL if by_name else {**SMALL, "vmid": 101}
    kill_inside(cli, monkeypatch, **declared)
    (vmid,) = vmids(cli)
    cli.node.forget()
    assert steps(cli.good("lxc_create", check=True, **declared)) == ["clean_up", "create"]
    made = cli.good("lxc_create", **declared)
    assert (steps(made), made.vmid) == (["clean_up", "create"], vmid)
    assert len(cli.volumes("local-lvm", vmid)) == 1
    assert notes(cli) == []


def test_so_is_what_a_killed_clone_left(cli: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """PVE leaves the source locked as well, and whose lock that is only its owner can say."""
    container(cli, 142, "base", "--unprivileged", "1")
    source = cli.config(142)
    declared = {"hostname": "web1", "vmid": 143, "clone_from": {"vmid": 142, "full": True}}
    cli.node.fault("kill", at="alloc")
    with monkeypatch.context() as patched:
        patched.setattr(cleanup, "undo", killed)
        with pytest.raises(KeyboardInterrupt):
            cli.run("lxc_create", **declared)
    cli.node.clear_faults()
    for check in (True, False):
        assert "clone_from.vmid: 142 is locked (disk)" in cli.bad("lxc_create", check, **declared).msg
    cli.pct("unlock", "142")
    assert steps(cli.good("lxc_create", **declared)) == ["clean_up", "clone"]
    assert len(cli.volumes("local-lvm", 143)) == 1
    assert cli.config(142) == source


def test_so_is_the_volume_of_one_whose_config_was_removed_by_hand(cli: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {**SMALL, "vmid": 101}
    kill_inside(cli, monkeypatch, **declared)
    (cli.node.root / "etc/pve/lxc/101.conf").unlink()
    node(cli, "qm", "create", "999", "--name", "x")  # the list of all guests is rewritten
    assert steps(cli.good("lxc_create", **declared)) == ["clean_up", "create"]
    assert len(cli.volumes("local-lvm", 101)) == 1


def test_a_volume_that_somebody_made_under_a_noted_vmid_stays(cli: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run was killed before its creation began, so that no volume can be its own."""
    kill_before(cli, monkeypatch, **{**SMALL, "vmid": 141})
    node(cli, "pvesm", "alloc", "local-lvm", "141", "vm-141-disk-0", "1G")
    cli.good("lxc_create", **SMALL, vmid=141)
    assert "local-lvm:vm-141-disk-0" in cli.volumes("local-lvm", 141)
    assert cli.config(141)["rootfs"].split(",")[0] != "local-lvm:vm-141-disk-0"


def test_unless_another_guest_has_taken_the_volume(cli: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {**SMALL, "vmid": 101}
    kill_inside(cli, monkeypatch, **declared)
    (volid,) = cli.volumes("local-lvm", 101)
    (cli.node.root / "etc/pve/lxc/101.conf").unlink()
    node(cli, "qm", "create", "999", "--name", "rescue", "--unused0", volid)
    cli.good("lxc_create", **declared)
    assert volid in cli.volumes("local-lvm", 101)
    assert cli.config(101)["rootfs"].split(",")[0] != volid


# -- guests that have served ---------------------------------------------------------------------------------------


def write_inside(bench: Bench, vmid: int) -> None:
    bench.pct("exec", str(vmid), "--", "sh", "-c", "echo months-of-work > /etc/precious")


def read_inside(bench: Bench, vmid: int) -> str:
    commands.run(["pct", "start", str(vmid)], bench.node.root, b"")
    return bench.pct("exec", str(vmid), "--", "cat", "/etc/precious")


def test_a_router_whose_maker_was_killed_after_the_start_is_not_recreated(
    cli: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(AwaitUp, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            cli.run("openwrt_lxc", **gateway)
    (vmid,) = vmids(cli)
    write_inside(cli, vmid)
    cli.pct("stop", str(vmid))
    assert "clean_up" not in steps(cli.good("openwrt_lxc", check=True, **gateway))
    assert cli.good("openwrt_lxc", **gateway).vmid == vmid
    assert "months-of-work" in read_inside(cli, vmid)


def test_nor_is_one_that_a_failed_run_has_left_for_a_look(
    cli: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_args: t.Any) -> None:
        raise Timeout("lan did not come up")

    with monkeypatch.context() as patched:
        patched.setattr(AwaitUp, "run", late)
        vmid = cli.bad("openwrt_lxc", **gateway, cleanup_on_failure=False).vmid
    write_inside(cli, vmid)
    cli.pct("stop", str(vmid))
    assert steps(cli.good("openwrt_lxc", **gateway, state="stopped")) == []
    assert "months-of-work" in read_inside(cli, vmid)


def test_nor_is_one_that_its_owner_has_started_himself(
    cli: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was never configured: whether that is wanted is not for a later run to say."""
    with monkeypatch.context() as patched:
        patched.setattr(Seed, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            cli.run("openwrt_lxc", **gateway, state="present")
    (vmid,) = vmids(cli)
    cli.pct("start", str(vmid))
    write_inside(cli, vmid)
    cli.pct("stop", str(vmid))
    cli.run("openwrt_lxc", **gateway, state="present")
    assert "months-of-work" in read_inside(cli, vmid)


def test_a_router_that_was_configured_and_not_started_yet_is_used(
    cli: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(CliChanges, "start", killed)
        with pytest.raises(KeyboardInterrupt):
            cli.run("openwrt_lxc", **gateway)
    made = cli.good("openwrt_lxc", **gateway)
    assert steps(made)[0] == "start"
    assert node(cli, "pct", "exec", str(made.vmid), "--", "uci", "get", "network.lan.ipaddr").strip() == "192.168.20.1"


def kill_before_seeding(bench: Bench, monkeypatch: pytest.MonkeyPatch, **declared: t.Any) -> int:
    """A router whose maker was killed when it was made and not configured: the next run recreates it."""
    with monkeypatch.context() as patched:
        patched.setattr(Seed, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.run("openwrt_lxc", **declared, state="present")
    (vmid,) = vmids(bench)
    return vmid


def test_a_router_that_was_not_configured_yet_is_recreated(
    cli: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its protection is what its maker declared."""
    vmid = kill_before_seeding(cli, monkeypatch, **gateway, protection=True)
    assert "is protected" in cli.bad("openwrt_lxc", vmid=vmid, hostname="gw", state="absent").msg
    made = cli.good("openwrt_lxc", **gateway, protection=True)
    assert (steps(made)[0], made.vmid) == ("clean_up", vmid)
    assert node(cli, "pct", "exec", str(vmid), "--", "uci", "get", "network.lan.ipaddr").strip() == "192.168.20.1"
    cli.pct("set", str(vmid), "--protection", "0")


@pytest.mark.parametrize(
    "argv",
    [
        ["set", "--protection", "1"],
        ["set", "--description", "mine now"],
        ["set", "--hostname", "edge"],
        ["snapshot", "before"],
        ["template"],
    ],
    ids=lambda argv: argv[-2] if len(argv) > 2 else argv[0],
)
def test_unless_somebody_has_made_it_his_own(
    cli: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    vmid = kill_before_seeding(cli, monkeypatch, **gateway)
    cli.pct(argv[0], str(vmid), *argv[1:])
    (volume,) = cli.volumes("local-lvm", vmid)[:1]
    cli.run("openwrt_lxc", **gateway, vmid=vmid, state="present")
    assert volume in cli.volumes("local-lvm", vmid)
    cli.pct("set", str(vmid), "--protection", "0")


def test_nor_is_a_container_of_another_name_or_module_under_the_vmid(
    cli: Bench, gateway: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lxc_create has made is whole, although its note is still there."""
    for name in ("web1", "gw"):
        with monkeypatch.context() as patched:
            patched.setattr(cleanup, "forget", killed)
            with pytest.raises(KeyboardInterrupt):
                cli.run("lxc_create", **{**SMALL, "hostname": name}, vmid=101)
        cli.bad("openwrt_lxc", **gateway, vmid=101, state="present")
        assert cli.config(101)["hostname"] == name
        cli.pct("destroy", "101")


# -- who is meant --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"recreate": True, "unprivileged": False}, {"state": "absent"}])
def test_a_container_of_another_name_under_the_vmid_is_left_alone(bench: Bench, more: Params) -> None:
    container(bench, 101, "db")
    bench.node.forget()
    for check in (True, False):
        refused = bench.bad("lxc_create", check, **{**SMALL, "vmid": 101, **more})
        assert "'web1' is not the name of container 101, which is called db" in refused.msg
    assert [argv for argv in bench.writes() if argv[0] == "pct"] == []
    assert bench.config(101)["hostname"] == "db"


def test_a_guest_is_renamed_only_on_demand_and_never_recreated_under_another_name(bench: Bench) -> None:
    container(bench, 101, "db", "--unprivileged", "1")
    declared = {"vmid": 101, "hostname": "web1", "rename": True}
    anew = bench.bad("lxc_create", **declared, unprivileged=False, recreate=True, ostemplate=WEB["ostemplate"])
    assert "is never recreated" in anew.msg
    assert steps(bench.good("lxc_create", **declared)) == ["set"]
    assert bench.config(101)["hostname"] == "web1"
    assert not bench.good("lxc_create", **declared).changed


@pytest.mark.parametrize("vmid", [{}, {"vmid": 101}])
def test_names_that_differ_in_case_are_one_guests(bench: Bench, vmid: Params) -> None:
    container(bench, 101, "Web1", "--unprivileged", "1")
    declared = {**vmid, "hostname": "web1", "memory": 256}
    assert bench.good("lxc_create", **declared).vmid == 101
    assert bench.config(101)["hostname"] == "Web1"
    assert not bench.good("lxc_create", **declared).changed
    assert vmids(bench) == [101]
    assert bench.good("lxc_create", **declared, rename=True).changed
    assert bench.config(101)["hostname"] == "web1"


def test_of_two_that_differ_in_case_the_one_that_is_spelled_so_is_meant(bench: Bench) -> None:
    container(bench, 101, "Web1")
    container(bench, 102, "web1")
    assert bench.good("lxc_create", hostname="web1", memory=256).vmid == 102
    assert "101 (Web1), 102 (web1)" in bench.bad("lxc_create", hostname="WEB1", memory=256).msg


# -- the other nodes of the cluster --------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(cli: Bench) -> Bench:
    """A container web1 on another node, 301."""
    config = cli.node.root / "etc/pve/nodes/pve2/lxc/301.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("hostname: web1\nmemory: 512\nrootfs: nas:301/vm-301-disk-0.raw,size=8G\n")
    return cli


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "by its config alone"])
@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (NAMED, "'web1' is container 301 on node pve2"),
        ({**NAMED, "hostname": "WEB1"}, "'WEB1' is container 301 on node pve2"),
        ({**NAMED, "vmid": 301}, "301 is taken by a container on node pve2, called web1"),
        ({"vmid": 301, "hostname": "web1", "state": "absent"}, "301 is taken by a container on node pve2"),
    ],
)
def test_a_guest_of_another_node_is_neither_made_again_nor_told_to_be_absent(
    elsewhere: Bench, declared: Params, told: str, listed: bool
) -> None:
    if listed:
        vm(elsewhere, 900, "x")  # the list of all guests is rewritten
    for check in (True, False):
        assert told in elsewhere.bad("lxc_create", check, **declared).msg
    assert vmids(elsewhere) == []


def test_what_is_noted_for_a_vmid_of_another_node_frees_nothing_on_shared_storage(
    elsewhere: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(CliGuests, "locate", lambda self, vmid: None)
        kill_before(elsewhere, monkeypatch, **{**SMALL, "hostname": "other", "vmid": 301})
    rc, volid, err = commands.run(["pvesm", "alloc", "local-lvm", "301", "", "1G"], elsewhere.node.root, b"")
    assert rc == 0, err
    assert elsewhere.bad("lxc_create", **{**SMALL, "hostname": "other", "vmid": 301}).failed
    assert len(elsewhere.volumes("local-lvm", 301)) == 1, volid


# -- two runs for one name -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("other", "stays"), [(100, 100), (150, 101)], ids=["lower", "higher"])
def test_of_two_guests_made_at_the_same_time_the_one_with_the_lower_vmid_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, other: int, stays: int
) -> None:
    """The other controller makes its guest between our look and our creation."""
    container(bench, 100, "x") if other != 100 else None
    backend: t.Any = CliChanges if bench.backend == "cli" else ApiChanges
    real = backend.create

    def late(self: t.Any, kind: str, vmid: int, options: t.Any, *, timeout: int) -> t.Any:
        if other not in vmids(bench):
            container(bench, other, "web1", "--unprivileged", "1")
        return real(self, kind, vmid, options, timeout=timeout)

    monkeypatch.setattr(backend, "create", late)
    made = bench.good("lxc_create", **SMALL, state="started")
    assert (made.vmid, made.status) == (stays, "running")
    if other == 100:
        assert vmids(bench) == [100]
        assert bench.volumes("local-lvm", 101) == []
        assert "made at the same time by another run" in str(made.warnings)
    else:
        assert vmids(bench) == [100, 101, 150]


def test_over_the_api_a_second_run_waits_for_what_a_killed_one_has_started(bench: Bench) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node the note tells")
    bench.node.fault("slow", at="extract", seconds=4)
    first = spawn({**bench.connection, **SMALL})
    until(lambda: bool(vmids(bench)), first)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    second = bench.good("lxc_create", **SMALL)
    assert not second.changed
    assert vmids(bench) == [second.vmid]


def test_a_run_by_name_and_one_by_number_exclude_each_other(cli: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    vmid = cli.good("lxc_create", **NAMED).vmid
    held: list[set[str]] = []
    lock = CliNode.lock

    def noted(self: CliNode, key: str) -> t.ContextManager[None]:
        held[-1].add(key)
        return lock(self, key)

    monkeypatch.setattr(CliNode, "lock", noted)
    for declared in ({"hostname": NAMED["hostname"]}, {"vmid": vmid}):
        held.append(set())
        cli.good("lxc_create", **declared, state="present")
    assert held[0] & held[1] == {f"guest-{vmid}"}


def test_by_name_and_by_vmid_at_once_make_one_guest(cli: Bench) -> None:
    cli.node.fault("slow", at="extract", seconds=2)
    first = spawn({**SMALL, "state": "started"})
    until(lambda: bool(vmids(cli)), first)
    second = cli.good("lxc_create", **SMALL, vmid=vmids(cli)[0], state="started")
    assert not answer(first).get("failed")
    assert vmids(cli) == [second.vmid]


# -- power ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "verb", "words"), [("started", "start", "already running"), ("stopped", "shutdown", "not running")]
)
def test_a_state_that_somebody_else_brings_about_is_no_failure(
    cli: Bench, monkeypatch: pytest.MonkeyPatch, state: str, verb: str, words: str
) -> None:
    """A killed run may leave its command at work."""
    cli.good("lxc_create", **SMALL, state="started" if state == "stopped" else "present")
    (vmid,) = vmids(cli)
    real = Commands.write

    def beaten(self: object, argv: t.Sequence[str], *args: t.Any, **more: t.Any) -> t.Any:
        if argv[1] == verb:
            cli.pct("start" if verb == "start" else "stop", str(vmid))
            raise PveError(f"pct {verb} {vmid}: CT {vmid} {words}")
        return real(self, argv, *args, **more)

    monkeypatch.setattr(Commands, "write", beaten)
    assert cli.good("lxc_create", **SMALL, state=state).status == ("running" if state == "started" else "stopped")


# -- refused removals ----------------------------------------------------------------------------------------------


def test_a_refused_removal_of_a_router_leaves_what_a_killed_upgrade_needs(
    router: Bench, gateway: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(CliBackups, "restore", killed)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **gateway, vmid=old, version="24", upgrade=True)
    there = vmids(router), notes(router), archives(router)
    refused = router.bad("openwrt_lxc", vmid=old, hostname="another", state="absent", force=True)
    assert "Nothing was removed" in refused.msg
    assert (vmids(router), notes(router), archives(router)) == there
    assert archives(router) != []


def archives(bench: Bench) -> list[Path]:
    return sorted(path for path in bench.node.root.glob("var/lib/pve-provision/archives/**/*") if path.is_file())


# -- VMs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"recreate": True, "bios": "ovmf"}])
def test_a_vm_of_another_name_is_not_made_into_a_router(bench: Bench, gateway: Params, more: Params) -> None:
    vm(bench, 301, "db", "--net0", "virtio,bridge=vmbr0", "--ostype", "l26")
    declared = {key: value for key, value in gateway.items() if key != "hostname"}
    refused = bench.bad("openwrt_vm", **declared, name="gw", vmid=301, state="present", **more)
    assert "which is called db" in refused.msg
    assert "name: db" in node(bench, "qm", "config", "301")


@pytest.mark.parametrize(
    ("options", "sign"),
    [
        (["--ostype", "win10"], "ostype win10"),
        ([], "ostype other"),
        (["--ostype", "l26", "--ide2", "local-lvm:cloudinit"], "ide2"),
        (["--ostype", "l26", "--ciuser", "debian"], "ciuser"),
        (["--ostype", "l26", "--virtio0", "local-lvm:1"], "no scsi0"),
        (["--ostype", "l26", "--net1", "virtio,bridge=vmbr0", "--boot", "order=net1"], "boot order=net1"),
    ],
)
def test_nor_is_one_of_the_name_that_has_another_system(
    bench: Bench, gateway: Params, options: list[str], sign: str
) -> None:
    disk = [] if "--virtio0" in options else ["--scsi0", "local-lvm:1"]
    node(bench, "qm", "create", "301", "--name", "gw", "--net0", "virtio,bridge=vmbr0", *disk, *options)
    before = node(bench, "qm", "config", "301")
    declared = {key: value for key, value in gateway.items() if key != "hostname"}
    refused = bench.bad("openwrt_vm", **declared, name="gw", state="present")
    assert f"not an OpenWrt ({sign}" in refused.msg
    assert node(bench, "qm", "config", "301") == before
