# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running VM takes at once, and what waits for its next start, the same on the node and over the API."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine.step import Run
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Shutdown
from embedded_node import commands

from .conftest import Bench, steps

Params = dict[str, t.Any]

VM: Params = {
    "vmid": 230,
    "name": "live1",
    "memory": 1024,
    "ostype": "l26",
    "disks": [{"storage": "local-lvm", "size": "1G"}],
    "networks": [{"bridge": "vmbr0"}],
    "serials": [{"device": "socket"}],
    "state": "started",
}
PLUGGED: list[Params] = [
    {"networks": [{"tag": 7}]},
    {"networks": [{"id": 1, "bridge": "vmbr0"}]},
    {"disks": [{}, {"storage": "local-lvm", "size": "1G"}]},
    {"disks": [{"bus": "virtio", "index": 3, "storage": "local-lvm", "size": "1G"}]},
    {"disks": [{"mbps_rd": 20, "backup": False}]},
    {"cpulimit": 0.5, "cpuunits": 50},
    {"onboot": True, "tags": ["a"], "description": "it runs", "name": "live2", "rename": True, "vmid": 230},
    {"balloon": 512},
    {"tablet": False},
]
WAITING: list[tuple[Params, str]] = [
    ({"balloon": 0}, "balloon"),
    ({"cores": 2}, "cores"),
    ({"memory": 2048}, "memory"),
    ({"machine": {"type": "q35"}}, "machine"),
    ({"agent": {"enabled": True}}, "agent"),
    ({"disks": [{"cache": "writeback"}]}, "scsi0"),
    ({"rng": {"source": "/dev/urandom"}}, "rng0"),
    ({"vga": {"type": "serial0"}}, "vga"),
    ({"cdroms": [{}]}, "ide2"),
]


def test_what_plugs_is_there_at_once(bench: Bench) -> None:
    bench.good("vm_create", **VM)
    for change in PLUGGED:
        declared = {"vmid": 230, "restart": "when_needed", **change}
        done = bench.good("vm_create", **declared)
        assert (steps(done), done.pending) == (["set"], {}), change
        assert not bench.good("vm_create", check=True, **declared).changed, change


def test_what_does_not_waits_and_is_reported_until_a_restart_is_allowed(bench: Bench) -> None:
    bench.good("vm_create", **VM)
    for change, key in WAITING:
        allowed = bench.good("vm_create", check=True, vmid=230, **change, restart="when_needed")
        assert steps(allowed) == ["set", "shutdown", "start"], change
        waiting = bench.good("vm_create", vmid=230, **change)
        assert steps(waiting) == ["set"], change
        assert key in waiting.pending
        assert any("waits for a restart" in str(warning) and key in str(warning) for warning in waiting.warnings)
    unchanged = bench.good("vm_create", vmid=230)
    assert (unchanged.changed, unchanged.pending) == (False, waiting.pending)
    done = bench.good("vm_create", vmid=230, restart="when_needed", force=True)
    assert (steps(done), done.pending, done.status) == (["shutdown", "start"], {}, "running")
    declared = {name: value for change, _key in WAITING for name, value in change.items()}
    assert not bench.good("vm_create", vmid=230, **declared, restart="when_needed").changed


def test_memory_and_processors_plug_where_the_vm_lets_them(bench: Bench) -> None:
    plugs = {"hotplug": ["cpu", "disk", "memory", "network", "usb"], "numa": True, "cores": 2, "vcpus": 1}
    bench.good("vm_create", **VM, **plugs)
    done = bench.good("vm_create", vmid=230, memory=2048, vcpus=2, restart="when_needed")
    assert (steps(done), done.pending) == (["set"], {})
    assert (done.config["memory"], done.config["vcpus"]) == (2048, 2)


ONLY_DISKS: Params = {"hotplug": ["disk"]}


@pytest.mark.parametrize(
    "change",
    [
        {"networks": [{"tag": 7}]},
        {"networks": [{"bridge": "vmbr1", "firewall": True, "rate": 5, "link_down": True}]},
        {"hotplug": ["disk", "usb"]},
        {"hotplug": None},
    ],
)
def test_what_the_node_changes_on_its_own_side_does_not_wait(bench: Bench, change: Params) -> None:
    """Also where the VM lets no network device be plugged: it is not taken out for that, and not restarted."""
    bench.good("vm_create", **VM, **ONLY_DISKS)
    done = bench.good("vm_create", vmid=230, restart="when_needed", **change)
    assert (steps(done), done.pending, "warnings" in done.values) == (["set"], {}, False)
    assert "[PENDING]" not in config(bench)
    assert not bench.good("vm_create", vmid=230, **change).changed


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"networks": [{"model": "e1000"}]}, "net0"),
        ({"networks": [{"queues": 2}]}, "net0"),
        ({"networks": [{"id": 1, "bridge": "vmbr0"}]}, "net1"),
        ({"hotplug": ["disk", "cpu"]}, "hotplug"),
    ],
)
def test_what_would_have_to_be_plugged_waits_where_it_may_not_be(bench: Bench, change: Params, key: str) -> None:
    bench.good("vm_create", **VM, **ONLY_DISKS)
    waiting = bench.good("vm_create", vmid=230, **change)
    assert (steps(waiting), [*waiting.pending]) == (["set"], [key])
    done = bench.good("vm_create", vmid=230, **change, restart="when_needed", **HARD)
    assert (steps(done), done.pending) == (["shutdown", "start"], {})


def test_a_waiting_change_is_taken_back_by_declaring_what_runs(bench: Bench) -> None:
    bench.good("vm_create", **VM)
    assert bench.good("vm_create", vmid=230, cores=2).pending == {"cores": "2"}
    back = bench.good("vm_create", vmid=230, cores=1)
    assert (steps(back), back.pending) == (["set"], {})


def test_a_new_drive_stays_out_of_a_declared_boot_order(bench: Bench) -> None:
    bench.good("vm_create", **VM)
    declared = {"vmid": 230, "cdroms": [{}], "boot": {"order": ["net0", "scsi0"]}, "state": "started"}
    done = bench.good("vm_create", **declared)
    assert done.config["boot"]["order"] == ["net0", "scsi0"]
    assert not bench.good("vm_create", **declared).changed


# -- what a running VM refuses -----------------------------------------------------------------------------------------
HARD: Params = {"force": True, "shutdown_timeout": 1}
CD: Params = {"index": 2, "state": "absent"}


def config(bench: Bench) -> str:
    return (bench.node.root / "etc/pve/qemu-server/230.conf").read_text(encoding="utf-8")


def test_a_change_of_a_vm_that_is_to_stop_is_made_once_it_has(bench: Bench) -> None:
    """The VM has no system that would let go of a device."""
    bench.good("vm_create", **VM)
    declared = {"vmid": 230, "networks": [{"model": "e1000"}], "state": "stopped", **HARD}
    told = bench.good("vm_create", check=True, **declared)
    done = bench.good("vm_create", **declared)
    assert steps(told) == steps(done) == ["shutdown", "set"]
    assert "net0: e1000=" in config(bench)
    assert not bench.good("vm_create", **declared).changed


@pytest.mark.parametrize(("waiting", "then"), [({"cores": 2}, {"cores": 2}), ({"cores": 2}, {"cores": 1})])
def test_what_waits_does_not_stand_against_that(bench: Bench, waiting: Params, then: Params) -> None:
    """PVE makes of it the VM's config as the VM stops, with another digest."""
    bench.good("vm_create", **VM)
    bench.good("vm_create", vmid=230, **waiting)
    declared = {"vmid": 230, **then, "cpu": {"type": "host"}, "state": "stopped", **HARD}
    told = bench.good("vm_create", check=True, **declared)
    done = bench.good("vm_create", **declared)
    assert (told.plan, steps(done)) == (done.plan, ["shutdown", "set"])
    assert (done.config["cpu"]["type"], done.config.get("cores", 1)) == ("host", then["cores"])
    assert not bench.good("vm_create", **declared).changed


def test_somebody_elses_change_meanwhile_is_not_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.good("vm_create", **VM)
    real = Shutdown.run

    def shutdown(step: Shutdown, run: Run) -> t.Any:
        outcome = real(step, run)
        assert commands.run(["qm", "set", "230", "--cpu", "kvm64"], bench.node.root, b"")[0] == 0
        return outcome

    monkeypatch.setattr(Shutdown, "run", shutdown)
    failed = bench.bad("vm_create", vmid=230, cpu={"type": "host"}, state="stopped", **HARD)
    assert "was changed by somebody else meanwhile" in failed.msg
    assert "cpu: kvm64" in config(bench)


def test_a_change_that_is_refused_leaves_nothing_waiting_and_says_what_to_do(bench: Bench) -> None:
    """With the device PVE takes it out of the boot order, which would wait, too."""
    bench.good("vm_create", **VM)
    before = config(bench)
    assert "boot: order=scsi0;net0" in before
    refused = bench.bad("vm_create", vmid=230, networks=[{"id": 0, "state": "absent"}])
    assert "declare state=stopped beside it" in refused.msg
    assert config(bench) == before


def test_a_change_that_is_refused_takes_back_what_came_before_it(bench: Bench) -> None:
    bench.good("vm_create", **VM, tags=["a"], cloud_init={"user": "bob"})
    before = config(bench)
    declared = {"tags": ["b"], "onboot": True, "cloud_init": {"user": "eve", "upgrade": False}}
    bench.bad("vm_create", vmid=230, **declared, networks=[{"id": 0, "state": "absent"}])
    assert config(bench).partition("\n[special:cloudinit]")[0].rstrip() == before.rstrip()


def test_a_new_disk_stays_where_the_rest_is_refused(bench: Bench) -> None:
    """The next run of the same declaration has it: neither a second one nor one that nobody uses is made."""
    bench.good("vm_create", **VM)
    for bus in ("scsi", "sata"):
        disks = [*VM["disks"], {"bus": bus, "index": 1, "storage": "local-lvm", "size": "1G"}]
        for _again in range(2):
            bench.bad("vm_create", vmid=230, disks=disks, networks=[{"id": 0, "state": "absent"}])
            assert "unused" not in config(bench)
            assert config(bench).count("vm-230-disk-1") == 1
            assert "net0: " in config(bench)
        bench.good("vm_create", vmid=230, disks=VM["disks"], purge_disks=True)


def test_a_disk_that_the_running_vm_boots_from_goes_once_it_has_stopped(bench: Bench) -> None:
    bench.good("vm_create", **VM)
    bench.node.forget()
    declared = {"vmid": 230, "disks": [{"index": 0, "state": "absent"}]}
    refused = bench.bad("vm_create", **declared)
    assert [(each["option"], each["problem"]) for each in refused.findings] == [
        ("disks[0]", "is what the running VM boots from, so that it cannot go")
    ]
    assert bench.writes() == []
    bench.good("vm_create", **declared, state="stopped", **HARD)
    assert "\nunused0: local-lvm:vm-230-disk-0\n" in config(bench)


@pytest.mark.parametrize("state", ["present", "stopped"])
def test_a_drive_goes_out_of_a_boot_order_that_nobody_declares(bench: Bench, state: str) -> None:
    """PVE has put it there, and takes it out: so goes the CD image that a system was installed from."""
    bench.good("vm_create", **{**VM, "state": "stopped"}, cdroms=[{}])
    assert "boot: order=scsi0;ide2;net0" in config(bench)
    bench.good("vm_create", vmid=230, state="started" if state == "present" else "stopped")
    done = bench.good("vm_create", vmid=230, cdroms=[CD], state=state, restart="when_needed", **HARD)
    assert done.config["boot"]["order"] == ["scsi0", "net0"]
    assert not bench.good("vm_create", vmid=230, cdroms=[CD], state=state).changed
    declared = bench.bad("vm_create", vmid=230, boot={"order": ["scsi0", "ide2"]})
    assert [each["option"] for each in declared.findings] == ["boot.order"]


def test_a_disk_that_waits_for_a_restart_grows_with_it(bench: Bench) -> None:
    bench.good("vm_create", **VM)
    bench.good("vm_create", vmid=230, disks=[{}, {"bus": "sata", "storage": "local-lvm", "size": "1G"}])
    bench.node.forget()
    grown = {"vmid": 230, "disks": [{}, {"bus": "sata", "size": "2G"}]}
    refused = bench.bad("vm_create", **grown)
    assert [(each["option"], each["value"]) for each in refused.findings] == [("disks[1].size", "2G")]
    assert ["qm", "resize"] not in [argv[:2] for argv in bench.writes()]
    done = bench.good("vm_create", **grown, restart="when_needed", **HARD)
    assert steps(done) == ["shutdown", "resize", "start"]
    assert {disk["bus"]: disk["size"] for disk in done.config["disks"]} == {"scsi": "1G", "sata": "2G"}


# -- saved memory ------------------------------------------------------------------------------------------------------


def test_a_vm_whose_memory_is_saved_takes_it_up_again_and_is_not_unlocked(bench: Bench) -> None:
    bench.good("vm_create", **VM)
    assert commands.run(["qm", "suspend", "230", "--todisk", "1"], bench.node.root, b"")[0] == 0
    refused = bench.bad("vm_create", vmid=230, cores=2)
    assert [each["problem"] for each in refused.findings] == [
        "is suspended to disk, and PVE changes nothing of it then"
    ]
    assert "unlock" not in refused.msg
    started = bench.good("vm_create", **VM)
    assert (steps(started), started.status) == (["start"], "running")
