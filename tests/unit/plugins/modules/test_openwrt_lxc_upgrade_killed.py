# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done after an upgrade of a router that was killed, at whatever moment, and whatever has happened since."""

from __future__ import annotations

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import Timeout
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import Router
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade import (
    container as container_upgrade,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade import finish
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.upgrade import Upgrade
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.backups import CliBackups
from embedded_node import commands

from .conftest import Bench, steps
from .routers import INTERFACES, Params, archives, killed, thorough, uci, vmids


@pytest.mark.thorough
def test_another_router_and_its_upgrade_are_left_alone(
    router: Bench, gateway: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Upgrade, "_verify_new", killed)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **gateway, version="24", upgrade=True)
    there = vmids(router)
    lan = {**INTERFACES["lan"], "tag": 77}
    other = {**gateway, "interfaces": {"lan": lan}, "state": "present"}
    made = router.good("openwrt_lxc", **{**other, "hostname": "gw", "vmid": 777})
    assert vmids(router) == [*there, made.vmid]


@pytest.mark.parametrize("moment", [*thorough("_verify_new", "_await_reach"), "inside restore"])
def test_absent_leaves_nothing_of_an_upgrade_that_was_killed(
    router: Bench, gateway: Params, old: int, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with monkeypatch.context() as patched:
        if moment == "inside restore":
            patched.setattr(CliBackups, "restore", killed)
        else:
            patched.setattr(Upgrade, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **gateway, vmid=old, version="24", upgrade=True)
    router.good("openwrt_lxc", vmid=old, state="absent", force=True)
    assert vmids(router) == []
    assert archives(router) == []


@pytest.mark.parametrize(
    "moment", [*thorough("_verify_new", "_stop", "keep_copy", "inside archive"), "_await_reach", "inside restore"]
)
def test_an_upgrade_that_was_killed_is_done_by_the_next_run(
    router: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    in_place = "vmid" in upgrading
    if moment in ("keep_copy", "inside restore", "inside archive") and not in_place:
        pytest.skip("nothing is backed up")
    with monkeypatch.context() as patched:
        if moment == "inside restore":
            patched.setattr(CliBackups, "restore", killed)
        elif moment == "keep_copy":
            patched.setattr(finish, moment, killed)
        elif moment == "inside archive":
            backup = CliBackups.archive
            patched.setattr(CliBackups, "archive", lambda *args, **more: killed(backup(*args, **more)))
        else:
            patched.setattr(Upgrade, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **upgrading)
    done = router.good("openwrt_lxc", **upgrading)
    took_over = moment in ("_await_reach", "keep_copy")
    assert steps(done) == (["clean_up"] if took_over else ["clean_up", "upgrade"])
    configs = {vmid: router.config(vmid) for vmid in vmids(router)}
    assert sorted(config["hostname"] for config in configs.values()) == ["gw", "gw-rollback"]
    assert archives(router) == []
    assert configs[done.vmid]["hostname"] == "gw"
    assert (done.vmid == old) is in_place
    assert "link_down" not in configs[done.vmid]["net0"]
    assert uci(router, done.vmid, "get", "system.ntp.enabled") == "0"


@pytest.fixture
def successor(router: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """The new container that serves in the router's place, with its owner's work on it; its run was killed there."""
    with monkeypatch.context() as patched:
        patched.setattr(Upgrade, "_await_reach", killed)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **upgrading)
    (new,) = [vmid for vmid in vmids(router) if router.pct("status", str(vmid)).strip() == "status: running"]
    router.pct("exec", str(new), "--", "sh", "-c", "echo months-of-work > /etc/precious")
    return new


def precious(bench: Bench, vmid: int) -> str:
    return bench.pct("exec", str(vmid), "--", "cat", "/etc/precious").strip()


def test_what_has_served_since_is_never_undone(router: Bench, upgrading: Params, successor: int) -> None:
    done = router.good("openwrt_lxc", **{**upgrading, "upgrade": False})
    assert (done.vmid, steps(done), precious(router, successor)) == (successor, ["clean_up"], "months-of-work")
    assert sorted(router.config(vmid)["hostname"] for vmid in vmids(router)) == ["gw", "gw-rollback"]
    assert not router.good("openwrt_lxc", **{**upgrading, "upgrade": False}).changed


def test_a_successor_that_is_not_well_is_a_finding(
    router: Bench, upgrading: Params, successor: int, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: Router, timeout: int) -> None:
        raise Timeout("lan did not come up")

    before = vmids(router)
    with monkeypatch.context() as patched:
        patched.setattr(Router, "await_up", never)
        refused = router.bad("openwrt_lxc", **upgrading)
    assert refused.findings[0]["option"] == "hostname"
    assert f"container {successor} is not up as declared: lan did not come up" in refused.msg
    assert (vmids(router), precious(router, successor)) == (before, "months-of-work")


@pytest.mark.thorough
def test_a_successor_that_is_stopped_is_left_alone_until_it_is_to_run(
    router: Bench, upgrading: Params, successor: int
) -> None:
    router.pct("stop", str(successor))
    quiet = {**upgrading, "upgrade": False}
    assert not router.good("openwrt_lxc", **{**quiet, "state": "stopped"}).changed
    done = router.good("openwrt_lxc", **quiet)
    assert (done.vmid, precious(router, successor)) == (successor, "months-of-work")


@pytest.mark.thorough
def test_a_successor_that_was_renamed_is_not_replaced_by_the_old_one(
    router: Bench, upgrading: Params, successor: int, old: int
) -> None:
    """By name the user is asked; in place the new name says that another router is meant."""
    router.pct("set", str(successor), "--hostname", "edge")
    before = [(vmid, router.config(vmid)) for vmid in vmids(router) if vmid in (old, successor)]
    for check in (True, False):
        refused = router.bad("openwrt_lxc", check, **upgrading)
        assert "is called edge" in refused.msg
    assert [(vmid, router.config(vmid)) for vmid, _config in before] == before
    assert precious(router, successor) == "months-of-work"
    assert (archives(router) != []) is (successor == old), "the one copy of the old router"


@pytest.mark.thorough
def test_nor_is_one_on_another_node(router: Bench, upgrading: Params, successor: int, old: int) -> None:
    folder = router.node.root / "etc/pve/nodes/pve2/lxc"
    folder.mkdir(parents=True, exist_ok=True)
    config = router.node.root / f"etc/pve/lxc/{successor}.conf"
    router.pct("stop", str(successor))
    config.rename(folder / config.name)
    for check in (True, False):
        assert "on node pve2" in router.bad("openwrt_lxc", check, **upgrading).msg
    if successor != old:
        assert router.config(old)["hostname"] == "gw-rollback"
        assert router.pct("status", str(old)).strip() == "status: stopped"


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["container", "VM"])
def test_who_got_the_number_of_a_successor_that_is_gone_is_left_alone(
    router: Bench, gateway: Params, upgrading: Params, successor: int, old: int, kind: str
) -> None:
    router.pct("stop", str(successor))
    router.pct("destroy", str(successor))
    if kind == "VM":
        rc, _out, err = commands.run(["qm", "create", str(successor), "--name", "db"], router.node.root, b"")
        assert rc == 0, err
    else:
        template = next((router.node.root / "var/lib/vz/template/cache").glob("openwrt-24*.tar.gz")).name
        volume = ["--rootfs", "local-lvm:1", "--hostname", "db"]
        router.pct("create", str(successor), f"local:vztmpl/{template}", "--ostype", "unmanaged", *volume)
    answered = router.run("openwrt_lxc", **upgrading)
    assert answered.failed is (successor == old)
    path = f"etc/pve/{'qemu-server' if kind == 'VM' else 'lxc'}/{successor}.conf"
    assert "name: db" in (router.node.root / path).read_text()
    if successor == old:
        assert archives(router) != [], "the one copy of the old router"


@pytest.mark.thorough
def test_the_old_router_that_somebody_has_started_again_is_not_met_by_the_new_one(
    router: Bench, gateway: Params, successor: int, old: int
) -> None:
    if successor == old:
        pytest.skip("the router kept its number")
    router.pct("stop", str(successor))
    router.pct("start", str(old))
    refused = router.bad("openwrt_lxc", **gateway, version="24")
    assert f"container {old} runs again" in refused.msg
    assert router.pct("status", str(successor)).strip() == "status: stopped"


@pytest.mark.thorough
def test_a_backup_under_way_does_not_make_a_successor_half_a_container(
    router: Bench, upgrading: Params, successor: int
) -> None:
    """Nor is its lock one that the upgrade has left."""
    config = router.node.root / f"etc/pve/lxc/{successor}.conf"
    config.write_text(f"{config.read_text()}lock: backup\n")
    router.run("openwrt_lxc", **upgrading)
    assert router.config(successor)["lock"] == "backup"
    assert precious(router, successor) == "months-of-work"


@pytest.fixture
def waiting(router: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """The new container, which has been started and waits for its turn; its run was killed there."""
    with monkeypatch.context() as patched:
        patched.setattr(Upgrade, "_check_unchanged", killed)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **upgrading)
    (new,) = [vmid for vmid in vmids(router) if vmid != old]
    return new


@pytest.mark.thorough
@pytest.mark.parametrize("sign", ["network", "protection", "snapshot", "name"])
def test_a_new_container_that_somebody_has_come_to_use_is_left_alone(
    router: Bench, gateway: Params, waiting: int, old: int, sign: str
) -> None:
    plugged = router.config(waiting)["net0"].replace(",link_down=1", "")
    used = {
        "network": ["set", "--net0", plugged],
        "protection": ["set", "--protection", "1"],
        "snapshot": ["snapshot", "mine"],
        "name": ["set", "--hostname", "mine"],
    }[sign]
    router.pct(used[0], str(waiting), *used[1:])
    router.good("openwrt_lxc", **gateway, version="23.05")
    assert vmids(router) == sorted([old, waiting])
    assert router.pct("status", str(old)).strip() == "status: running"
    router.pct("set", str(waiting), "--protection", "0")


@pytest.mark.thorough
def test_the_old_router_is_not_started_beside_it(router: Bench, gateway: Params, waiting: int, old: int) -> None:
    router.pct("stop", str(old))
    router.pct("set", str(waiting), "--net0", router.config(waiting)["net0"].replace(",link_down=1", ""))
    refused = router.bad("openwrt_lxc", **gateway, version="23.05")
    assert f"container {waiting}, the new one, is on the network now" in refused.msg
    assert router.pct("status", str(old)).strip() == "status: stopped"


@pytest.mark.thorough
def test_a_name_in_another_spelling_is_the_same_router(router: Bench, gateway: Params, waiting: int, old: int) -> None:
    assert steps(router.good("openwrt_lxc", **{**gateway, "hostname": "GW"}, version="23.05"))[0] == "clean_up"
    assert vmids(router) == [old]


def test_under_another_name_nothing_is_done(router: Bench, gateway: Params, waiting: int, old: int) -> None:
    refused = router.bad("openwrt_lxc", **{**gateway, "hostname": "other"}, vmid=old)
    assert "which is called gw" in refused.msg
    assert vmids(router) == sorted([old, waiting])


@pytest.mark.thorough
def test_a_router_that_is_to_be_stopped_is_not_started(router: Bench, gateway: Params, waiting: int, old: int) -> None:
    router.pct("stop", str(old))
    router.node.forget()
    assert steps(router.good("openwrt_lxc", **gateway, version="23.05", state="stopped")) == ["clean_up"]
    assert ["pct", "start", str(old)] not in [argv[:3] for argv in router.writes()]


@pytest.mark.thorough
@pytest.mark.parametrize("what", ["set", "start"])
def test_an_old_router_that_somebody_protects_or_uses_stays(
    router: Bench, gateway: Params, old: int, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(finish, "_remove_old", killed)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **gateway, version="24", upgrade=True, rollback_keep=False)
    if what == "set":
        router.pct("set", str(old), "--protection", "1")
        done = router.good("openwrt_lxc", **gateway, version="24")
        assert "stays: it is protected" in str(done.warnings)
    else:
        router.pct("start", str(old))
        assert "runs again" in router.bad("openwrt_lxc", **gateway, version="24").msg
    assert router.config(old)["hostname"] == "gw-rollback"
    router.pct("set", str(old), "--protection", "0")


@pytest.mark.thorough
def test_the_new_number_is_not_removed_while_it_may_be_all_there_is(
    router: Bench, gateway: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    router.node.fault("kill", at="extract", nth=2)
    with monkeypatch.context() as patched:
        patched.setattr(container_upgrade, "restore_backup", killed)
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **gateway, vmid=old, version="24", upgrade=True)
    router.node.clear_faults()
    (new,) = [vmid for vmid in vmids(router) if vmid != old]
    before = (vmids(router), archives(router))
    assert "may be all there is of it" in router.bad("openwrt_lxc", vmid=new, state="absent", force=True).msg
    assert (vmids(router), archives(router)) == before
    done = router.good("openwrt_lxc", **gateway, vmid=old, version="23.05")
    assert (done.status, vmids(router), archives(router)) == ("running", [old], [])
    assert uci(router, old, "get", "system.ntp.enabled") == "0"


@pytest.mark.thorough
def test_absent_of_the_old_number_leaves_the_successor(
    router: Bench, upgrading: Params, successor: int, old: int
) -> None:
    if successor == old:
        pytest.skip("the router kept its number")
    router.bad("openwrt_lxc", vmid=old, hostname="gw", state="absent", force=True)
    assert precious(router, successor) == "months-of-work"


def test_absent_that_is_refused_removes_no_backup(
    router: Bench, gateway: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(CliBackups, "restore", killed)  # from here on the backup may be all there is of the old router
        with pytest.raises(KeyboardInterrupt):
            router.run("openwrt_lxc", **gateway, vmid=old, version="24", upgrade=True)
    before = (archives(router), vmids(router))
    router.bad("openwrt_lxc", vmid=old, hostname="another", state="absent", force=True)
    assert (archives(router), vmids(router)) == before
