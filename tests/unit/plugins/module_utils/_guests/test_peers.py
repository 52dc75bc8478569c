# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts of a play know in common."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.peers import Peers, guest_of, node_of
from ansible_collections.pve.provision.plugins.module_utils._pve.types import ClusterNode, GuestRef, Storage

Row = dict[str, t.Any]

WEB1: Row = {"vmid": 101, "kind": "lxc", "node": "pve1", "name": "web1", "tags": ["web"]}
DB1: Row = {"vmid": 102, "kind": "qemu", "node": "pve3"}


def node(name: str, **more: t.Any) -> Row:
    return {"name": name, "online": True, "storages": {}, **more}


def test_a_node_alone_is_a_cluster_of_its_own() -> None:
    peers = Peers.read([{"node": "pve1", "guests": [WEB1]}, {"node": "pve2"}], "pve2")
    assert peers.served == {"pve1": "pve1", "pve2": "pve2"}
    assert peers.guests == (GuestRef(101, "lxc", "pve1", "web1", tags=("web",)),)
    assert peers.findings == ()


def test_the_word_of_one_host_is_enough_for_its_cluster() -> None:
    rows = [{"node": "pve1", "cluster": "lab", "guests": [WEB1, DB1], "nodes": [node("pve1"), node("pve4")]}]
    peers = Peers.read([*rows, {"node": "pve2", "cluster": "lab"}], "pve1")
    assert [guest.vmid for guest in peers.guests] == [101, 102]
    assert [each.name for each in peers.nodes] == ["pve1", "pve4"]


def test_nodes_that_no_host_serves_are_of_the_cluster_that_they_were_seen_in() -> None:
    """By their guests, or by themselves; what serves itself says best where it belongs."""
    lab = {"node": "pve1", "cluster": "lab", "guests": [WEB1, DB1], "nodes": [node("pve4")]}
    peers = Peers.read([lab, {"node": "pve2", "cluster": "shop", "nodes": [node("pve4")]}], "pve1")
    assert peers.clusters == {"pve1": "lab", "pve2": "shop", "pve3": "lab", "pve4": "lab"}


@pytest.mark.parametrize(
    ("rows", "first"),
    [
        ([{"node": "pve1"}], "pve1"),
        ([{"node": "pve2", "cluster": "lab"}, {"node": "pve1", "cluster": "lab"}], "pve2"),
        ([{"node": "pve1", "cluster": "lab"}, {"node": "pve2"}], None),
        ([{"node": "pve1"}, {"node": "pve2"}], None),
    ],
)
def test_what_names_no_node_goes_to_the_first_of_one_cluster(rows: list[Row], first: str | None) -> None:
    assert Peers.read(rows, "pve1").first == first


def test_a_node_is_served_by_one_host() -> None:
    peers = Peers.read([{"node": "pve1"}, {"node": "pve1"}, {"node": "pve2"}], "pve2")
    assert peers.findings == (
        Finding(
            "peers",
            "pve1",
            "is the node of several hosts of this play",
            "Let one host of the play serve each node; over the API one host serves the whole cluster.",
        ),
    )


def test_a_host_is_among_its_peers() -> None:
    (finding,) = Peers.read([{"node": "pve1"}], "pve2").findings
    assert (finding.value, finding.problem) == (["pve1"], "do not hold the node of this host, which is pve2")


def test_guests_and_nodes_are_read_as_another_host_told_them() -> None:
    assert guest_of({"vmid": "7", "kind": "qemu", "node": "pve1", "name": None}) == GuestRef(7, "qemu", "pve1")
    local = {"name": "local", "type": "dir", "content": ["iso", "vztmpl"], "available": 5}
    assert node_of(node("pve1", cpus=4, storages={"local": local})) == ClusterNode(
        "pve1",
        online=True,
        cpus=4,
        storages={"local": Storage("local", "dir", frozenset({"iso", "vztmpl"}), available=5)},
    )
