# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents of a cluster find their server among the declared guests."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.clusters import (
    second_servers,
    with_servers,
)

Guest = dict[str, t.Any]
SERVER: Guest = {"name": "k1", "cluster": {"name": "lab", "role": "server"}}


@pytest.mark.parametrize(
    ("agent", "server", "after"),
    [
        ({"cluster": {"name": "lab"}}, "k1", ["k1"]),
        ({"cluster": {"name": "lab", "role": "agent"}, "after": "db"}, "k1", ["db", "k1"]),
        ({"cluster": {"name": "lab"}, "after": ["k1"]}, "k1", ["k1"]),
        ({"cluster": {"name": "lab", "server": "elsewhere"}}, "elsewhere", []),
    ],
)
def test_an_agent_comes_after_the_server_of_its_cluster(agent: Guest, server: str, after: list[str]) -> None:
    _server, joined = with_servers([SERVER, {"name": "k2", **agent}])
    assert joined["cluster"]["server"] == server
    assert joined["after"] == after


@pytest.mark.parametrize(
    "guest",
    [
        {"name": "x"},
        {"name": "x", "cluster": {"name": "other"}},
        {"name": "x", "cluster": "lab"},
        {"name": "x", "cluster": None},
        {"name": "x", "state": "absent", "cluster": {"name": "lab"}},
        {"name": "x", "cluster": {"name": "lab", "role": "server"}},
    ],
)
def test_others_are_left_as_they_are(guest: Guest) -> None:
    assert with_servers([SERVER, guest])[1] == guest


def test_without_a_server_nobody_has_one() -> None:
    agent = {"name": "k2", "cluster": {"name": "lab"}}
    assert with_servers([agent]) == [agent]
    gone = {**SERVER, "state": "absent"}
    assert with_servers([gone, agent]) == [gone, agent]


def test_a_cluster_has_one_server() -> None:
    other = {"name": "k2", "cluster": {"name": "lab", "role": "server"}}
    (found,) = second_servers([SERVER, other, {"name": "k3", "cluster": {"name": "lab"}}])
    assert found.option == "k2: cluster.role"
    assert found.problem == "is that of k1 in cluster lab, which has one server"
    others = [{**other, "cluster": {"name": "prod", "role": "server"}}, {**other, "state": "absent"}, {"name": "x"}]
    assert list(second_servers([SERVER, *others])) == []
