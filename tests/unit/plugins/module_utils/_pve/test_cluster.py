# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import Timeout
from ansible_collections.pve.provision.plugins.module_utils._pve.cluster import (
    await_arrival,
    managed_of,
    migrate_options,
    nodes_of,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.types import ClusterNode, GuestRef, Kind, Storage

GIB = 1 << 30
NODE1 = {"type": "node", "node": "pve1", "status": "online", "maxcpu": 8, "cpu": 0.25, "maxmem": 64 * GIB, "mem": GIB}
NODE2 = {"type": "node", "node": "pve2", "status": "offline", "level": ""}


def store(node: str, name: str = "local", **more: t.Any) -> dict[str, t.Any]:
    known = {"plugintype": "dir", "content": "rootdir,images", "disk": GIB, "maxdisk": 10 * GIB, "shared": 0}
    return {"type": "storage", "node": node, "storage": name, "status": "available", **known, **more}


def test_a_node_has_what_pve_tells_of_it_and_of_its_storages() -> None:
    guest = {"type": "lxc", "vmid": 101, "node": "pve1"}
    (node,) = nodes_of([guest, store("pve1"), store("pve2"), NODE1])
    local = Storage(
        "local", "dir", frozenset({"rootdir", "images"}), total=10 * GIB, used=GIB, available=9 * GIB, shared=False
    )
    assert node == ClusterNode("pve1", True, 8, 0.25, 64 * GIB, GIB, {"local": local})


def test_nodes_come_by_name_and_one_that_is_offline_tells_nothing() -> None:
    one, two = nodes_of([NODE2, NODE1])
    assert (one.name, two) == ("pve1", ClusterNode("pve2", online=False))


@pytest.mark.parametrize("status", ["unknown", "", None])
def test_a_storage_that_a_node_cannot_use_is_none_of_it(status: str | None) -> None:
    (node,) = nodes_of([NODE1, store("pve1", status=status)])
    assert node.storages == {}


def test_a_storage_whose_size_nobody_has_seen_yet_has_none() -> None:
    (node,) = nodes_of([NODE1, store("pve1", disk=None, maxdisk=None, shared="1")])
    assert (node.storages["local"].available, node.storages["local"].shared) == (None, True)


def test_a_guest_with_a_state_of_ha_is_the_managers() -> None:
    guests = [{"vmid": 101, "hastate": "started"}, {"vmid": "102"}, {"vmid": 103, "hastate": ""}]
    assert managed_of(guests) == {101}


@pytest.mark.parametrize(
    ("kind", "running", "local_disks", "options"),
    [
        ("lxc", False, True, {}),
        ("lxc", True, False, {"restart": "1", "timeout": "60"}),
        ("qemu", False, False, {}),
        ("qemu", False, True, {"with-local-disks": "1"}),
        ("qemu", True, False, {"online": "1"}),
        ("qemu", True, True, {"online": "1", "with-local-disks": "1"}),
    ],
)
def test_how_a_guest_goes(kind: Kind, running: bool, local_disks: bool, options: dict[str, str]) -> None:
    assert migrate_options(kind, running=running, local_disks=local_disks, shutdown_timeout=60) == options


def test_a_guest_that_arrives_later_is_waited_for() -> None:
    places = [GuestRef(101, "lxc", "pve1"), None, GuestRef(101, "lxc", "pve2")]
    await_arrival(lambda vmid: places.pop(0), 101, "pve2", timeout=60, clock=FakeClock())
    assert places == []


@pytest.mark.parametrize(("there", "words"), [(GuestRef(101, "lxc", "pve1"), "on node pve1"), (None, "nowhere")])
def test_one_that_does_not_is_reported_with_its_place(there: GuestRef | None, words: str) -> None:
    with pytest.raises(Timeout, match=f"migrate 101 to pve2: .* {words}"):
        await_arrival(lambda vmid: there, 101, "pve2", timeout=60, clock=FakeClock())
