# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running VM takes at once, and what waits for its next start, the same on the node and over the API."""

from __future__ import annotations

import typing as t

from .conftest import Bench

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


def steps(answer: t.Any) -> list[str]:
    return [step["step"] for step in answer.plan]


def test_what_plugs_is_there_at_once(bench: Bench) -> None:
    bench.good("vm_create", **VM)
    for change in PLUGGED:
        declared = {"vmid": 230, "restart": "when_needed", **change}
        done = bench.good("vm_create", **declared)
        assert (steps(done), done.pending) == (["set"], {}), change
        assert not bench.good("vm_create", check=True, **declared).changed, change


def test_what_does_not_waits_and_is_told_until_a_restart_is_allowed(bench: Bench) -> None:
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
