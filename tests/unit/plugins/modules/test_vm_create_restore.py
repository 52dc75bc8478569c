# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs that vm_create brings back from backups, the same on the node and over the API."""

from __future__ import annotations

import pytest

from embedded_node import commands

from .conftest import Bench, steps

VM = {
    "vmid": 215,
    "name": "db1",
    "memory": 768,
    "disks": [{"storage": "local-lvm", "size": "1G"}, {"bus": "virtio", "storage": "local-lvm", "size": "1G"}],
    "networks": [{"bridge": "vmbr0"}],
}


@pytest.fixture
def backup(bench: Bench) -> str:
    """The backup of a VM, by its volid."""
    bench.good("vm_create", **VM)
    argv = ["vzdump", "215", "--storage", "local", "--compress", "zstd"]
    rc, out, err = commands.run(argv, bench.node.root, b"")
    assert rc == 0, out + err
    folder = bench.node.root / "var/lib/vz/dump"
    (path,) = folder.glob("vzdump-qemu-215-*.vma.zst")
    return f"local:backup/{path.name}"


def remove(bench: Bench) -> None:
    bench.good("vm_create", vmid=215, state="absent")


@pytest.mark.parametrize("which", ["latest", "by its volid"])
def test_a_vm_that_is_gone_comes_back_as_it_was(bench: Bench, backup: str, which: str) -> None:
    before = bench.good("vm_create", vmid=215).config
    remove(bench)
    declared = {**VM, "restore_from": {"backup": which if which == "latest" else backup}, "state": "started"}
    told = bench.good("vm_create", check=True, **declared)
    back = bench.good("vm_create", **declared)
    assert told.plan == back.plan
    assert steps(back) == ["restore", "start"]
    assert back.config["networks"] == before["networks"]
    assert [disk["size"] for disk in back.config["disks"]] == ["1G", "1G"]
    assert not bench.good("vm_create", **declared).changed


def test_what_is_declared_besides_is_changed_after_that(bench: Bench, backup: str) -> None:
    remove(bench)
    declared = {**VM, "memory": 1024, "disks": [{"size": "2G"}], "restore_from": {"backup": backup}}
    back = bench.good("vm_create", **declared)
    assert steps(back) == ["restore", "resize", "set"]
    assert (back.config["memory"], back.config["disks"][0]["size"]) == (1024, "2G")
    assert not bench.good("vm_create", **declared).changed


def test_beside_the_one_that_was_backed_up_it_gets_new_addresses(bench: Bench, backup: str) -> None:
    first = bench.good("vm_create", vmid=215).config
    second = bench.good("vm_create", vmid=216, name="db2", restore_from={"backup": backup})
    assert second.config["networks"][0]["hwaddr"] != first["networks"][0]["hwaddr"]
    assert second.config["name"] == "db2"
    bench.good("vm_create", vmid=216, state="absent")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("local:backup/vzdump-lxc-215-2026_01_01-00_00_00.tar.zst", "is not the volid of a VM's backup"),
        ("local:backup/vzdump-qemu-9-2026_01_01-00_00_00.vma.zst", "is not on any storage of node"),
        ("latest", "is not a backup of VM 299"),
    ],
)
def test_what_is_no_backup_of_it_is_found_before_anything_is_written(
    bench: Bench, backup: str, source: str, problem: str
) -> None:
    found = bench.bad("vm_create", vmid=299, restore_from={"backup": source}).findings
    assert [(each["option"], each["problem"][: len(problem)]) for each in found] == [("restore_from.backup", problem)]
    assert backup in found[0]["remedy"]
