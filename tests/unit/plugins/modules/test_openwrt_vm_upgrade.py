# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How openwrt_vm upgrades a router: a new VM beside the old one, with a way back from every failure."""

from __future__ import annotations

import typing as t

import pytest
from fake_clock import ImpatientClock

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import Router
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.upgrade import Upgrade
from ansible_collections.pve.provision.plugins.module_utils._pve.api.changes import ApiChanges
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.changes import CliChanges
from embedded_node import commands

from . import test_openwrt_vm as routers
from .conftest import Bench, silent_agents
from .routers import Params, killed, segments, thorough
from .test_openwrt_vm import config, copies, inside, steps, vms

mirror, gateway, entered = routers.mirror, routers.gateway, routers.entered


@pytest.fixture
def old(bench: Bench, entered: Params) -> int:
    """A router of an older release, with an edit of its owner's."""
    vmid = bench.good("openwrt_vm", **entered, version="23.05").vmid
    inside(bench, vmid, "uci set system.ntp.enabled=0; uci commit system")
    return t.cast("int", vmid)


@pytest.fixture
def upgrading(entered: Params, old: int) -> Params:
    """The old router's declaration, of a newer release."""
    return {**entered, "version": "24", "upgrade": True}


def qm(bench: Bench, *argv: str) -> str:
    """Run a command on the node, as its administrator would."""
    rc, out, err = commands.run(["qm", *argv], bench.node.root, b"")
    assert rc == 0, err
    return out


def status(bench: Bench, vmid: int) -> str:
    return qm(bench, "status", str(vmid)).strip().removeprefix("status: ")


def changes_of(bench: Bench) -> type[ApiChanges] | type[CliChanges]:
    """What starts and stops guests."""
    return CliChanges if bench.backend == "cli" else ApiChanges


def as_before(bench: Bench, old: int, before: dict[str, str]) -> None:
    """The old router is what it was, and alone."""
    assert vms(bench) == [str(old)]
    assert (config(bench, old), status(bench, old)) == (before, "running")
    assert "23.05" in inside(bench, old, "cat /etc/openwrt_release")
    assert inside(bench, old, "uci get system.ntp.enabled") == "0"


def test_an_upgrade_puts_a_new_vm_in_the_place_of_the_old(
    bench: Bench, entered: Params, old: int, tmp_path: t.Any
) -> None:
    before = config(bench, old)
    assert not bench.good("openwrt_vm", **entered, version="24").changed
    upgrading = {**entered, "version": "24", "upgrade": True}
    predicted = bench.good("openwrt_vm", check=True, **upgrading)
    assert vms(bench) == [str(old)]
    done = bench.good("openwrt_vm", **upgrading)
    assert (predicted.plan, predicted.diff) == (done.plan, done.diff)
    assert steps(done) == ["upgrade"]
    assert done.openwrt["version"].startswith("24.")
    assert done.vmid != old
    after = config(bench, done.vmid)
    own = {"scsi0", "vmgenid", "smbios1", "meta"}
    assert {key: text for key, text in after.items() if key not in own} == {
        key: text for key, text in before.items() if key not in own
    }
    assert after["scsi0"] == before["scsi0"].replace(f"vm-{old}-", f"vm-{done.vmid}-")
    kept = config(bench, old)
    assert (kept["name"], kept["onboot"], kept["net0"]) == ("gw-rollback", "0", before["net0"])
    assert (status(bench, old), status(bench, done.vmid)) == ("stopped", "running")
    assert inside(bench, done.vmid, "uci get system.ntp.enabled") == "0"
    assert inside(bench, done.vmid, "cat /etc/dropbear/authorized_keys") == routers.KEY
    assert copies(bench, tmp_path) == []
    assert not bench.good("openwrt_vm", **upgrading).changed


def test_the_new_one_is_on_no_network_before_the_old_one_has_left_it(
    bench: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = Upgrade._check_unchanged, list[dict[str, str]]()

    def meanwhile(self: Upgrade, vmid: int, before: t.Any) -> None:
        seen.append(config(bench, self.new))
        assert segments(bench, self.new) == []
        assert (status(bench, old), status(bench, self.new)) == ("running", "running")
        real(self, vmid, before)

    monkeypatch.setattr(Upgrade, "_check_unchanged", meanwhile)
    done = bench.good("openwrt_vm", **upgrading)
    (waiting,) = seen
    assert (waiting["name"], waiting.get("onboot")) == ("gw-upgrade", None)
    assert all("link_down=1" in waiting[net] for net in ("net0", "net1"))
    assert "link_down" not in config(bench, done.vmid)["net0"]


def test_without_rollback_keep_nothing_is_left_of_the_old_one(bench: Bench, upgrading: Params) -> None:
    done = bench.good("openwrt_vm", **upgrading, rollback_keep=False)
    assert vms(bench) == [str(done.vmid)]


def test_firmware_and_commands_of_the_users_own_are_taken_along(bench: Bench, entered: Params) -> None:
    router = {**entered, "bios": "ovmf", "machine": {"type": "q35"}}
    old = bench.good("openwrt_vm", **router, version="23.05").vmid
    inside(bench, old, "echo 'echo hello > /tmp/greeting' > /etc/rc.local")
    del router["bios"]
    done = bench.good("openwrt_vm", **router, version="24", upgrade=True)
    assert "efidisk0" in config(bench, done.vmid)
    assert done.openwrt["version"].startswith("24.")
    assert inside(bench, done.vmid, "cat /etc/rc.local") == "echo hello > /tmp/greeting"


def test_an_upgrade_that_does_not_prove_itself_goes_back(
    bench: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: Router, timeout: int) -> None:
        raise Timeout("lan did not come up")

    before = config(bench, old)
    with monkeypatch.context() as patched:
        patched.setattr(Router, "await_up", never)
        failed = bench.bad("openwrt_vm", **upgrading)
    assert "the old one runs again: lan did not come up" in failed.msg
    as_before(bench, old, before)


def test_an_image_that_does_not_boot_is_said_so_and_the_old_one_runs_on(
    bench: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, kind: str, vmid: int, *, timeout: int) -> None:
        raise PveError("start failed: QEMU exited with code 1")

    before = config(bench, old)
    monkeypatch.setattr(changes_of(bench), "start", broken)
    failed = bench.bad("openwrt_vm", **upgrading)
    assert "did not come up, the old router keeps running" in failed.msg
    as_before(bench, old, before)


def test_a_number_is_not_kept(bench: Bench, upgrading: Params, old: int) -> None:
    for check in (True, False):
        refused = bench.bad("openwrt_vm", check, **upgrading, vmid=old)
        assert f"cannot keep vmid {old}" in refused.msg
    assert vms(bench) == [str(old)]
    assert not bench.good("openwrt_vm", **{**upgrading, "upgrade": False}, vmid=old).changed


def test_what_an_upgrade_cannot_take_along_is_refused(bench: Bench, upgrading: Params, old: int) -> None:
    qm(bench, "set", str(old), "--scsi1", "local-lvm:1", "--tpmstate0", "local-lvm:1,version=v2.0")
    refused = bench.bad("openwrt_vm", **upgrading)
    assert "cannot migrate scsi1, tpmstate0" in refused.msg
    assert vms(bench) == [str(old)]


def test_a_router_that_nobody_can_look_into_is_not_upgraded(bench: Bench, gateway: Params) -> None:
    made = bench.good("openwrt_vm", **gateway, version="23.05")
    refused = bench.bad("openwrt_vm", **gateway, version="24", upgrade=True)
    assert refused.findings[0]["option"] == "upgrade"
    assert "ssh_private_key" in refused.findings[0]["remedy"]
    assert vms(bench) == [str(made.vmid)]


def test_what_no_upgrade_takes_along_is_named(bench: Bench, upgrading: Params, old: int) -> None:
    inside(bench, old, "echo 'alice:x:1000:1000::/home/alice:/bin/ash' >> /etc/passwd; echo x > /root/notes.txt")
    told = " ".join(map(str, bench.good("openwrt_vm", check=True, **upgrading).warnings))
    assert "accounts alice" in told
    assert "/root/notes.txt" in told


def test_a_new_one_that_could_not_be_removed_has_no_link_and_goes_with_the_next_run(
    bench: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: Router, timeout: int) -> None:
        raise Timeout("lan did not come up")

    def stuck(self: object, kind: str, vmid: int, *, timeout: int) -> None:
        raise PveError("can't lock file - got timeout")

    with monkeypatch.context() as patched:
        patched.setattr(Router, "await_up", never)
        patched.setattr(changes_of(bench), "stop", stuck)
        failed = bench.bad("openwrt_vm", **upgrading)
    assert "the old one runs again" in failed.msg
    assert "got timeout" in failed.msg
    assert (status(bench, old), config(bench, old)["name"]) == ("running", "gw")
    (new,) = [int(vmid) for vmid in vms(bench) if int(vmid) != old]
    assert "link_down=1" in config(bench, new)["net0"], "two routers must not have one address"
    if bench.backend == "cli":  # over the API nobody keeps notes, and the user is told
        assert steps(bench.good("openwrt_vm", **{**upgrading, "version": "23.05"})) == ["clean_up"]
        assert vms(bench) == [str(old)]


# -- killed ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [*thorough("_verify_new", "_check_unchanged"), "_stop", "_await_reach"])
def test_an_upgrade_that_was_killed_is_done_by_the_next_run(
    bench: Bench, upgrading: Params, old: int, monkeypatch: pytest.MonkeyPatch, moment: str, tmp_path: t.Any
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Upgrade, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            bench.run("openwrt_vm", **upgrading)
    if bench.backend == "api":
        _asks_the_user(bench, upgrading, moment)
        return
    predicted = bench.good("openwrt_vm", check=True, **upgrading)
    done = bench.good("openwrt_vm", **upgrading)
    took_over = moment == "_await_reach"
    assert steps(done) == (["clean_up"] if took_over else ["clean_up", "upgrade"])
    assert predicted.plan == done.plan
    configs = {int(vmid): config(bench, int(vmid)) for vmid in vms(bench)}
    assert sorted(each["name"] for each in configs.values()) == ["gw", "gw-rollback"]
    assert configs[done.vmid]["name"] == "gw"
    assert done.openwrt["version"].startswith("24.")
    assert "link_down" not in configs[done.vmid]["net0"]
    assert inside(bench, done.vmid, "uci get system.ntp.enabled") == "0"
    assert copies(bench, tmp_path) == []
    assert not bench.good("openwrt_vm", **upgrading).changed


def _asks_the_user(bench: Bench, upgrading: Params, moment: str) -> None:
    """Over the API nobody keeps notes: what has taken over is the router, and of two that may be it neither is
    touched."""
    before = {vmid: config(bench, int(vmid)) for vmid in vms(bench)}
    if moment == "_await_reach":
        assert not bench.good("openwrt_vm", **upgrading).changed
    else:
        assert "was being upgraded by an unfinished run" in bench.bad("openwrt_vm", **upgrading).msg
    assert {vmid: config(bench, int(vmid)) for vmid in vms(bench)} == before


def test_without_a_note_nobody_says_which_of_the_two_is_the_router(bench: Bench, entered: Params, old: int) -> None:
    qm(bench, "set", str(old), "--name", "gw-upgrade")
    refused = bench.bad("openwrt_vm", **entered)
    assert refused.findings[0]["option"] == "name"
    assert f"VM {old} is called gw-upgrade" in refused.msg
    assert vms(bench) == [str(old)]


# -- by the agent ------------------------------------------------------------------------------------------------------


def test_a_router_that_only_its_agent_can_enter_is_proved_by_the_agent_of_the_new_one(
    bench: Bench, gateway: Params, clock: ImpatientClock
) -> None:
    interfaces = {"wan": {"bridge": "vmbr0", "proto": "dhcp"}, "lan": routers.LAN}
    router = {**gateway, "interfaces": interfaces, "agent": True, "start_timeout": 60}
    with silent_agents():
        old = bench.good("openwrt_vm", **router, version="23.05").vmid
    installer = inside(bench, old, "cat /etc/rc.local")
    inside(bench, old, installer.replace("2>&1 &", "2>&1"))
    inside(bench, old, "mkdir -p /usr/bin; : > /usr/bin/qemu-ga")
    with silent_agents(old):
        failed = bench.bad("openwrt_vm", **router, version="24", upgrade=True)
    assert "the old one runs again" in failed.msg, "nothing installs the agent here"
    assert vms(bench) == [str(old)]
