# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a choice of storages asks of the node, and what a login need not be allowed for it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.storage_choice import Chooser
from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.read import wanted_container
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Membership, Storage

SIZES: t.Final = {"content": frozenset({"rootdir"}), "total": 100 << 30, "used": 0, "available": 100 << 30}
LOCAL = Storage("local", "dir", **SIZES)
NAS = Storage("nas", "nfs", shared=True, **SIZES)


class Node:
    """A node of which little is known."""

    name = "pve1"

    def __init__(self, nodes: int | None, *storages: Storage) -> None:
        self.nodes = nodes
        self.storages = lambda: list(storages)

    def membership(self) -> Membership:
        if self.nodes is None:
            raise PveError("403 Permission check failed (/, Sys.Audit)", reason="permission")
        return Membership("c", tuple(f"pve{number}" for number in range(self.nodes)))


@pytest.mark.parametrize(("nodes", "chosen"), [(1, "local"), (3, "nas"), (None, "local")])
def test_what_all_nodes_see_is_better_where_there_are_others_as_far_as_that_is_known(
    nodes: int | None, chosen: str
) -> None:
    facts = Facts(t.cast("t.Any", Node(nodes, LOCAL, NAS)))
    wanted = wanted_container({"state": "present", "vmid": 101, "hostname": "web1"})
    assert Chooser(facts, wanted).choose("rootfs.storage", "rootdir", 1 << 30) == chosen


def test_nobody_asks_for_the_cluster_where_it_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Node, "membership", lambda _self: pytest.fail("the cluster was asked for"))
    facts = Facts(t.cast("t.Any", Node(3, LOCAL)))
    wanted = wanted_container({"state": "present", "vmid": 101, "hostname": "web1"})
    assert Chooser(facts, wanted).choose("rootfs.storage", "rootdir", 1 << 30) == "local"
