# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node of a cluster takes a new guest, and why another one cannot."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._engine.placement import Load, Needs, Volumes, place
from ansible_collections.pve.provision.plugins.module_utils._pve.types import ClusterNode, Storage

GIB = 1024**3


def storage(name: str = "local-zfs", *, free: int = 100, kind: str = "lvm", content: str = "rootdir") -> Storage:
    return Storage(name, kind, frozenset({content}), total=200 * GIB, used=(200 - free) * GIB, available=free * GIB)


def node(name: str, *storages: Storage, used: int = 8, cpu: float = 0.1, online: bool = True) -> ClusterNode:
    return ClusterNode(
        name, online, 8, cpu, 32 * GIB, used * GIB, {each.name: each for each in storages or [storage()]}
    )


def needs(memory: int = 512, cores: int = 1, size: int = 8, on: str | None = "local-zfs", apart: str = "") -> Needs:
    return Needs(memory, cores, (Volumes(size * GIB, "rootdir", on),), apart)


@pytest.mark.parametrize(
    ("nodes", "chosen"),
    [
        ([node("a", used=20), node("b", used=4)], "b"),  # more memory is free
        ([node("a", cpu=0.9), node("b", cpu=0.1)], "b"),  # more of its CPU is idle
        ([node("a", storage(free=20)), node("b", storage(free=150))], "b"),  # its storage has more room
        ([node("b"), node("a")], "a"),  # alike: the name decides
        ([node("a", online=False), node("b", used=30)], "b"),
        ([node("a", storage("other")), node("b", used=30)], "b"),
        ([], None),
    ],
)
def test_the_node_with_the_most_room_takes_it(nodes: list[ClusterNode], chosen: str | None) -> None:
    assert place(needs(), nodes).node == chosen


@pytest.mark.parametrize(
    ("there", "wanted", "reason"),
    [
        (node("a", online=False), needs(), "is offline"),
        (node("a"), needs(cores=9), "has 8 CPUs, 9 are needed"),
        (node("a"), needs(memory=40 * 1024), "has 32.0 GiB of memory, 40.0 GiB are needed"),
        (node("a"), needs(on="tank"), "has no storage tank"),
        (node("a", storage(content="iso")), needs(), "takes no containers on local-zfs"),
        (node("a", storage(free=4)), needs(), "has 4.0 GiB free on local-zfs, 8.0 GiB are needed"),
        (node("a", storage(content="iso")), needs(on=None), "has no storage with 8.0 GiB for containers"),
    ],
)
def test_why_a_node_cannot_take_it(there: ClusterNode, wanted: Needs, reason: str) -> None:
    placement = place(wanted, [there])
    assert placement.node is None
    assert placement.refused == {"a": reason}
    assert f"a {reason}" in str(placement.finding("web1: node"))


def test_a_thin_storage_takes_more_than_it_has() -> None:
    assert place(needs(), [node("a", storage(free=4, kind="lvmthin"))]).node == "a"


def test_guests_of_one_word_are_kept_apart_before_all_else() -> None:
    loads = {"b": Load(apart={"dns": 1})}
    nodes = [node("a", used=30), node("b", used=1)]
    assert place(needs(apart="dns"), nodes, loads).node == "a"
    assert place(needs(apart="web"), nodes, loads).node == "b"
    assert place(needs(), nodes, loads).node == "b"


@given(
    st.lists(st.tuples(st.integers(0, 31), st.integers(0, 150)), min_size=1, max_size=5),
    st.lists(st.integers(1, 8).map(lambda gib: needs(memory=gib * 1024, size=gib)), max_size=20),
)
def test_what_was_placed_counts_as_taken(rooms: list[tuple[int, int]], guests: list[Needs]) -> None:
    """No storage is promised twice, and a guest that no node can take is refused by each of them."""
    nodes = [node(f"n{number}", storage(free=free), used=used) for number, (used, free) in enumerate(rooms)]
    by_name: dict[str, ClusterNode] = {each.name: each for each in nodes}
    loads: t.Final = {each.name: Load() for each in nodes}
    for guest in guests:
        placement = place(guest, nodes, loads)
        if placement.node is None:
            assert placement.refused.keys() == by_name.keys()
        else:
            loads[placement.node].add(guest, by_name[placement.node])
    for name, load in loads.items():
        assert load.volumes.get("local-zfs", 0) <= (by_name[name].storages["local-zfs"].available or 0)
