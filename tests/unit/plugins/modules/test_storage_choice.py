# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storages that a declaration leaves open, and how full they may become, on the node and over the API."""

from __future__ import annotations

import json

import pytest

from embedded_node import commands

from .conftest import Bench, Params

GIB = 1024**3
ROOTFS: Params = {"storage": "auto", "size": "1G"}
WEB: Params = {"vmid": 101, "hostname": "web1", "ostemplate": "debian-13-standard", "rootfs": ROOTFS}
DISK: Params = {"storage": "auto", "size": "1G"}
VM: Params = {"vmid": 201, "name": "app1", "disks": [DISK, DISK]}


@pytest.fixture(autouse=True)
def both(bench: Bench) -> None:
    """Two storages for guests: local, of files, with 40 GiB, and the emptier local-lvm with 100 GiB."""
    commands.run(["pvesm", "set", "local", "--content", "images,rootdir,iso,vztmpl,snippets"], bench.node.root, b"")
    fill(bench, local=(40, 4), **{"local-lvm": (100, 10)})


def fill(bench: Bench, **sizes: tuple[int, int]) -> None:
    """Give storages these totals and used sizes, in GiB."""
    path = bench.node.root / "var/lib/embedded-node/settings.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    capacity = {name: {"total": total * GIB, "used": used * GIB} for name, (total, used) in sizes.items()}
    path.write_text(
        json.dumps({**settings, "capacity": {**settings.get("capacity", {}), **capacity}}), encoding="utf-8"
    )


def test_a_container_gets_the_best_storage_and_is_told_why_not_another(bench: Bench) -> None:
    made = bench.good("lxc_create", **WEB, mount_points=[{"mp": "/srv", **DISK}])
    assert made.config["rootfs"]["volume"].startswith("local-lvm:")
    assert made.config["mount_points"][0]["volume"].startswith("local-lvm:")
    (root, data) = made.chosen_storages
    assert (root["option"], root["storage"]) == ("rootfs.storage", "local-lvm")
    assert root["others"] == {"local": "local-lvm has more room"}
    assert data["option"] == "mount_points[0].storage"
    assert made.degraded == []
    again = bench.good("lxc_create", **WEB, mount_points=[{"mp": "/srv", **DISK}])
    assert not again.changed


def test_a_mount_point_that_comes_later_gets_one_too(bench: Bench) -> None:
    bench.good("lxc_create", **WEB)
    changed = bench.good("lxc_create", **WEB, mount_points=[{"mp": "/srv", **DISK}])
    assert changed.config["mount_points"][0]["volume"].startswith("local-lvm:")


def test_the_disks_of_a_vm_go_together(bench: Bench) -> None:
    planned = bench.good("vm_create", check=True, **VM)
    made = bench.good("vm_create", **VM)
    assert planned.plan == made.plan
    assert [disk["volume"].partition(":")[0] for disk in made.config["disks"]] == ["local-lvm"] * 2
    assert len(made.chosen_storages) == 1
    assert not bench.good("vm_create", **VM, move_disks=True).changed


@pytest.mark.parametrize(("module", "guest"), [("lxc_create", WEB), ("vm_create", VM)])
def test_what_has_no_room_is_passed_over_and_that_is_reported(bench: Bench, module: str, guest: Params) -> None:
    fill(bench, **{"local-lvm": (100, 99)})
    planned = bench.good(module, check=True, **guest)
    made = bench.good(module, **guest)
    assert made.chosen_storages[0]["storage"] == "local"
    (told,) = made.degraded
    assert told["what"].endswith("storage on local-lvm")
    assert (told["because"], told["instead"]) == ("it is 99 % full, and storage_refuse is 95", "local")
    assert planned.degraded == made.degraded
    assert any("local is used instead" in str(warning) for warning in made.warnings)


def test_where_nothing_has_room_every_storage_says_why(bench: Bench) -> None:
    fill(bench, local=(40, 39), **{"local-lvm": (100, 99)})
    refused = bench.bad("lxc_create", check=True, **WEB)
    assert (
        "no storage takes containers: local is 98 % full, and storage_refuse is 95; local-lvm is 99 % full"
        in refused.msg
    )


def test_a_declared_storage_is_not_left_for_another(bench: Bench) -> None:
    fill(bench, **{"local-lvm": (100, 99)})
    rootfs = {"storage": "local-lvm", "size": "1G"}
    refused = bench.bad("lxc_create", check=True, **{**WEB, "rootfs": rootfs})
    assert "rootfs.storage: 'local-lvm' is 99 % full, and storage_refuse is 95" in refused.msg
    assert bench.good("lxc_create", check=True, **{**WEB, "rootfs": rootfs}, storage_refuse=100).changed


def test_what_a_run_takes_is_judged_in_sum_and_stays_as_it_was_planned(bench: Bench) -> None:
    """Of three guests of 30 GiB two find more room on the one storage, and the third on the other."""
    fill(bench, local=(100, 60), **{"local-lvm": (100, 20)})
    disk = {"storage": "auto", "size": "30G"}
    guests = [{"name": f"app{n}", "type": "vm", "disks": [disk]} for n in range(3)]
    planned = bench.good("guests", check=True, guests=guests)
    made = bench.good("guests", guests=guests)
    chosen = [guest["chosen_storages"][0]["storage"] for guest in made.guests]
    assert chosen == ["local-lvm", "local-lvm", "local"]
    assert [guest["chosen_storages"] for guest in planned.guests] == [guest["chosen_storages"] for guest in made.guests]
    tight = bench.good(
        "guests", check=True, guests=[{**each, "name": f"b{each['name']}"} for each in guests], storage_warn=60
    )
    assert any("(storage_warn is 60)" in str(warning) for warning in tight.warnings)
