# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How openwrt_lxc upgrades a router: beside the old one, with a way back from every failure."""

from __future__ import annotations

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import Router
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.upgrade import Upgrade
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.changes import CliChanges

from .conftest import Bench, steps
from .routers import Params, archives, pairs, uci, vmids


def test_an_upgrade_puts_a_new_container_in_the_place_of_the_old(entered: Bench, gateway: Params, old: int) -> None:
    mac = entered.config(old)["net0"]
    assert not entered.good("openwrt_lxc", **gateway, version="24").changed
    predicted = entered.good("openwrt_lxc", check=True, **gateway, version="24", upgrade=True)
    done = entered.good("openwrt_lxc", **gateway, version="24", upgrade=True)
    assert (predicted.plan, predicted.diff) == (done.plan, done.diff)
    assert steps(done)[-1] == "upgrade"
    assert done.vmid != old
    assert done.openwrt["version"].startswith("24.")
    assert entered.config(done.vmid)["net0"] == mac
    assert entered.config(done.vmid)["hostname"] == "gw"
    assert entered.config(old)["hostname"] == "gw-rollback"
    assert entered.pct("status", str(old)).strip() == "status: stopped"
    assert uci(entered, done.vmid, "get", "system.ntp.enabled") == "0"
    assert not entered.good("openwrt_lxc", **gateway, version="24", upgrade=True).changed


def test_a_router_declared_by_its_number_keeps_it(router: Bench, gateway: Params, old: int) -> None:
    router.good("openwrt_lxc", **gateway, vmid=old, protection=True, tags=["edge"], version="24")
    before = router.config(old)
    done = router.good("openwrt_lxc", **gateway, vmid=old, version="24", upgrade=True)
    assert (steps(done), done.vmid) == (["template", "upgrade"], old)
    restored = [argv for argv in router.writes() if argv[:2] == ["pct", "restore"]]
    assert [argv[2] for argv in restored if "--force" in argv] == [str(old)], (
        "only the router itself is put something over"
    )
    assert len(restored) == 2
    assert done.openwrt["version"].startswith("24.")
    assert {**router.config(old), "rootfs": ""} == {**before, "rootfs": ""}
    assert uci(router, old, "get", "system.ntp.enabled") == "0"
    (copy,) = [vmid for vmid in vmids(router) if vmid != old]
    assert router.config(copy)["hostname"] == "gw-rollback"
    assert router.config(copy)["onboot"] == "0"
    assert router.pct("status", str(copy)).strip() == "status: stopped"
    assert not router.good("openwrt_lxc", **gateway, vmid=old, version="24", upgrade=True).changed
    router.pct("set", str(old), "--protection", "0")


def test_without_rollback_keep_nothing_is_left_of_the_old_one(entered: Bench, upgrading: Params) -> None:
    done = entered.good("openwrt_lxc", **upgrading, rollback_keep=False)
    assert vmids(entered) == [done.vmid]
    assert archives(entered) == []


def test_files_keep_their_modes_over_an_upgrade(entered: Bench, upgrading: Params, old: int) -> None:
    hosts = "192.168.20.7 printer"
    script = f"echo '{hosts}' >> /etc/hosts; chmod 644 /etc/hosts; echo secret > /etc/rc.local; chmod 640 /etc/rc.local"
    entered.pct("exec", str(old), "--", "sh", "-c", script)
    done = entered.good("openwrt_lxc", **upgrading)
    listed = entered.pct("exec", str(done.vmid), "--", "ls", "-l", "/etc/hosts", "/etc/rc.local")
    assert [line.split()[0] for line in listed.splitlines()] == ["-rw-r--r--", "-rw-r-----"]
    assert hosts in entered.pct("exec", str(done.vmid), "--", "cat", "/etc/hosts")


def test_an_upgrade_that_does_not_prove_itself_goes_back(
    entered: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: Router, timeout: int) -> None:
        raise Timeout("lan did not come up")

    before = entered.config(old)
    monkeypatch.setattr(Router, "await_up", never)
    failed = entered.bad("openwrt_lxc", **upgrading)
    assert "the old one runs again" in failed.msg
    assert entered.pct("status", str(old)).strip() == "status: running"
    assert {**entered.config(old), "rootfs": ""} == {**before, "rootfs": ""}
    assert uci(entered, old, "get", "system.ntp.enabled") == "0"
    assert "23.05" in entered.pct("exec", str(old), "--", "cat", "/etc/openwrt_release")
    assert len(vmids(entered)) == 1


@pytest.mark.parametrize(
    ("protection", "fault"),
    pairs([False, True], [("kill", {"at": "extract", "nth": 2}), ("fail_create", {"after": "extract", "nth": 2})]),
)
def test_a_replacement_that_fails_half_way_is_taken_back(
    router: Bench, gateway: Params, old: int, protection: bool, fault: tuple[str, Params]
) -> None:
    """The first container that is made is the new router's own, the second the one over the old."""
    router.good("openwrt_lxc", **gateway, vmid=old, version="24", protection=protection)
    before = router.config(old)
    router.node.fault(fault[0], **fault[1])
    failed = router.bad("openwrt_lxc", **gateway, vmid=old, version="24", upgrade=True)
    assert "the old one runs again" in failed.msg
    assert {**router.config(old), "rootfs": ""} == {**before, "rootfs": ""}
    assert router.pct("status", str(old)).strip() == "status: running"
    assert "23.05" in router.pct("exec", str(old), "--", "cat", "/etc/openwrt_release")
    assert vmids(router) == [old]
    assert router.volumes("local-lvm", old) == [router.config(old)["rootfs"].split(",")[0]]
    assert archives(router) == []


@pytest.mark.parametrize("keep", [False, True])
def test_a_protected_router_goes_back_too(
    router: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    def never(self: Router, timeout: int) -> None:
        raise Timeout("lan did not come up")

    router.good("openwrt_lxc", **{**upgrading, "upgrade": False}, protection=True)
    before = router.config(old)
    with monkeypatch.context() as patched:
        patched.setattr(Router, "await_up", never)
        router.bad("openwrt_lxc", **upgrading, rollback_keep=keep)
    assert {**router.config(old), "rootfs": ""} == {**before, "rootfs": ""}
    assert vmids(router) == [old]
    done = router.good("openwrt_lxc", **upgrading, rollback_keep=keep)
    assert router.config(done.vmid)["protection"] == "1"
    assert len(vmids(router)) == (2 if keep else 1)
    for vmid in vmids(router):
        router.pct("set", str(vmid), "--protection", "0")


def test_what_could_not_be_tidied_up_does_not_undo_an_upgrade(
    router: Bench, gateway: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(self: object, kind: str, vmid: int, *, purge: bool, timeout: int) -> None:
        raise PveError("dataset is busy")

    declaration = {**gateway, "vmid": old, "version": "24"}
    with monkeypatch.context() as patched:
        patched.setattr(CliChanges, "destroy", busy)
        done = router.good("openwrt_lxc", **declaration, upgrade=True)
    assert "could not be removed again: dataset is busy" in str(done.warnings)
    predicted = router.good("openwrt_lxc", check=True, **declaration)
    again = router.good("openwrt_lxc", **declaration)
    assert (steps(predicted), steps(again)) == (["clean_up"], ["clean_up"])
    assert again.openwrt["version"].startswith("24.")
    assert sorted(router.config(vmid)["hostname"] for vmid in vmids(router)) == ["gw", "gw-rollback"]
    assert archives(router) == []
    assert not router.good("openwrt_lxc", **declaration).changed


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (["set", "{}", "--mp0", "local-lvm:1,mp=/srv"], "mp0"),
        (["snapshot", "{}", "before"], "snapshot before"),
    ],
)
def test_what_an_upgrade_cannot_take_along_is_refused(
    router: Bench, gateway: Params, old: int, make: list[str], named: str
) -> None:
    router.pct(*[word.format(old) for word in make])
    refused = router.bad("openwrt_lxc", **gateway, vmid=old, version="24", upgrade=True)
    assert f"cannot migrate {named}" in refused.msg
    assert vmids(router) == [old]


def test_what_somebody_wrote_into_the_config_is_reported(router: Bench, gateway: Params, old: int) -> None:
    path = router.node.root / f"etc/pve/lxc/{old}.conf"
    path.write_text(path.read_text() + "lxc.cgroup2.devices.allow: c 10:200 rwm\n")
    assert "lxc.cgroup2.devices.allow" in router.bad("openwrt_lxc", **gateway, version="24", upgrade=True).msg


def test_the_root_volume_keeps_its_options(entered: Bench, upgrading: Params, old: int) -> None:
    options = {"rootfs": {"mountoptions": ["noatime"]}}
    entered.good("openwrt_lxc", **{**upgrading, "upgrade": False}, **options, restart="when_needed")
    done = entered.good("openwrt_lxc", **upgrading, **options)
    assert "mountoptions=noatime" in entered.config(done.vmid)["rootfs"]
    assert not entered.good("openwrt_lxc", **upgrading, **options).changed


def test_without_a_note_nobody_says_which_of_the_two_is_the_router(entered: Bench, gateway: Params, old: int) -> None:
    entered.pct("set", str(old), "--hostname", "gw-upgrade")
    refused = entered.bad("openwrt_lxc", **gateway)
    assert refused.findings[0]["option"] == "hostname"
    assert f"container {old} is called gw-upgrade" in refused.msg
    assert vmids(entered) == [old]


@pytest.mark.parametrize(
    ("fault", "options"), [("shutdown_ignored", {}), ("fail_start", {}), ("fail_create", {"after": "extract"})]
)
def test_an_upgrade_meets_a_fault_and_the_old_router_serves_on(
    entered: Bench, upgrading: Params, old: int, fault: str, options: Params
) -> None:
    entered.node.fault(fault, nth=1, **options)
    answer = entered.run("openwrt_lxc", **upgrading, shutdown_timeout=1)
    assert answer.failed is (fault != "shutdown_ignored")
    running = answer.vmid if not answer.failed else old
    assert entered.pct("status", str(running)).strip() == "status: running"
    assert entered.config(running)["hostname"] == "gw"
    assert len(vmids(entered)) == (1 if answer.failed else 2)


def test_a_router_that_somebody_changes_meanwhile_is_not_replaced(
    router: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Upgrade._verify_new

    def meanwhile(self: Upgrade, version: str) -> None:
        real(self, version)
        router.pct("set", str(old), "--protection", "1")

    monkeypatch.setattr(Upgrade, "_verify_new", meanwhile)
    assert f"container {old} was changed by somebody else meanwhile" in router.bad("openwrt_lxc", **upgrading).msg
    assert vmids(router) == [old]
    assert router.config(old)["protection"] == "1"
    assert router.pct("status", str(old)).strip() == "status: running"
    router.pct("set", str(old), "--protection", "0")


def test_the_old_router_runs_again_though_the_new_one_cannot_be_stopped(
    router: Bench, gateway: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: Router, timeout: int) -> None:
        raise Timeout("lan did not come up")

    def stuck(self: object, kind: str, vmid: int, *, timeout: int) -> None:
        raise PveError("can't lock file - got timeout")

    with monkeypatch.context() as patched:
        patched.setattr(Router, "await_up", never)
        patched.setattr(CliChanges, "stop", stuck)
        failed = router.bad("openwrt_lxc", **gateway, version="24", upgrade=True)
    assert "the old one runs again" in failed.msg
    assert "got timeout" in failed.msg
    assert router.pct("status", str(old)).strip() == "status: running"
    assert router.config(old)["hostname"] == "gw"
    (new,) = [vmid for vmid in vmids(router) if vmid != old]
    assert "link_down=1" in router.config(new)["net0"], "two routers must not have one address"
    assert steps(router.good("openwrt_lxc", **gateway, version="23.05")) == ["clean_up"]
    assert vmids(router) == [old]


def test_a_release_that_does_not_come_up_is_said_so_and_not_kept(
    router: Bench, gateway: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(self: Router, timeout: int) -> None:
        (new,) = [vmid for vmid in vmids(router) if vmid != old]
        router.pct("stop", str(new))
        raise PveError(f"CT {new} is not running", remedy="Start it first.")

    for path in router.node.root.glob("var/lib/vz/template/cache/*openwrt-24*"):
        path.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(Router, "await_shell", ends)
        failed = router.bad("openwrt_lxc", **gateway, version="24", upgrade=True)
    assert "did not come up, the old router keeps running: it ended again after its start" in failed.msg
    assert "Start it first" not in failed.msg
    assert not set(router.node.root.glob("var/lib/vz/template/cache/openwrt-24*.gz"))
    assert vmids(router) == [old]
    assert router.pct("status", str(old)).strip() == "status: running"


def test_what_no_upgrade_takes_along_is_named(router: Bench, gateway: Params, old: int) -> None:
    alice = "echo 'alice:x:1000:1000::/home/alice:/bin/ash' >> /etc/passwd; mkdir -p /root; echo x > /root/notes.txt"
    router.pct("exec", str(old), "--", "sh", "-c", alice)
    predicted = router.good("openwrt_lxc", check=True, **gateway, version="24", upgrade=True)
    told = " ".join(map(str, predicted.warnings))
    assert "accounts alice" in told
    assert "/root/notes.txt" in told
    assert "/etc/config" not in told
