# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A view reads each thing of a node once, whoever asks."""

from __future__ import annotations

import collections
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._pve.node import GuestConfig, GuestRef, Kind
from ansible_collections.pve.provision.plugins.module_utils._pve.view import NodeView

HERE = [GuestRef(101, "lxc", "pve1", "web1", "running"), GuestRef(102, "qemu", "pve1", "gw", "stopped")]
THERE = [GuestRef(103, "lxc", "pve2", "web2")]


class CountingNode:
    """A node that knows how often it was asked."""

    def __init__(self) -> None:
        self.asked: collections.Counter[str] = collections.Counter()

    @property
    def journal(self) -> dict[int, dict[str, t.Any]]:
        self.asked["journal"] += 1
        return {104: {"name": "half"}}

    def guests(self, kind: Kind | None = None) -> list[GuestRef]:
        self.asked["guests"] += 1
        return [guest for guest in HERE if kind in (None, guest.kind)]

    def elsewhere(self, kind: Kind) -> list[GuestRef]:
        self.asked["elsewhere"] += 1
        return [guest for guest in THERE if guest.kind == kind]

    def config(self, kind: Kind, vmid: int) -> GuestConfig | None:
        self.asked["config"] += 1
        return GuestConfig({"memory": str(vmid)}, {})

    def configs(self, guests: t.Iterable[GuestRef]) -> list[tuple[GuestRef, GuestConfig]]:
        self.asked["configs"] += 1
        return [(guest, GuestConfig({"memory": str(guest.vmid)}, {})) for guest in guests]

    def free_vmids(self) -> t.Iterator[int]:
        self.asked["free_vmids"] += 1
        return iter(range(100, 104))

    def next_vmid(self, skip: t.Container[int] = ()) -> int:
        assert all(vmid in skip for vmid in range(100, 104))
        raise PveError("No vmid is free.")

    def pools(self) -> dict[str, frozenset[int]]:
        self.asked["pools"] += 1
        return {}


@pytest.fixture
def node() -> CountingNode:
    return CountingNode()


@pytest.fixture
def view(node: CountingNode) -> NodeView:
    return NodeView(t.cast("t.Any", node))


def test_each_thing_is_read_once(node: CountingNode, view: NodeView) -> None:
    for _time in range(3):
        assert view.guests("lxc") == HERE[:1]
        assert view.guests() == HERE
        assert view.status("qemu", 102) == "stopped"
        assert view.config("lxc", 101) == GuestConfig({"memory": "101"}, {})
        assert view.pools() == {}
        assert 104 in view.journal
    assert set(node.asked.values()) == {1}


def test_what_is_read_ahead_is_not_read_again(node: CountingNode, view: NodeView) -> None:
    found = [(guest, GuestConfig({"memory": str(guest.vmid)}, {})) for guest in HERE]
    assert view.configs(HERE[:1]) == found[:1]
    assert view.configs(HERE) == found
    assert [view.config(guest.kind, guest.vmid) for guest in HERE] == [
        GuestConfig({"memory": "101"}, {}),
        GuestConfig({"memory": "102"}, {}),
    ]
    assert node.asked == {"configs": 2}


@pytest.mark.parametrize(
    ("name", "everywhere", "found"),
    [("WEB1", False, HERE[:1]), ("web1", True, HERE[:1]), ("web2", False, THERE), ("gw", False, []), ("no", True, [])],
)
def test_a_guest_is_found_by_its_name(view: NodeView, name: str, everywhere: bool, found: list[GuestRef]) -> None:
    assert view.named("lxc", name, everywhere=everywhere) == found


def test_each_new_guest_is_told_a_vmid_of_its_own(view: NodeView) -> None:
    assert [view.next_vmid(), view.next_vmid(skip={101}), view.next_vmid()] == [100, 102, 103]


def test_what_is_free_is_read_once_for_all_new_guests(node: CountingNode, view: NodeView) -> None:
    told = [view.next_vmid() for _guest in range(4)]
    assert (told, node.asked["free_vmids"]) == ([100, 101, 102, 103], 1)


def test_a_run_ends_when_no_vmid_is_free(view: NodeView) -> None:
    for _guest in range(4):
        view.next_vmid()
    for _guest in range(2):
        with pytest.raises(PveError, match="No vmid is free"):
            view.next_vmid()
