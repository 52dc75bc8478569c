# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role over several hosts, each of which serves its own node."""

from __future__ import annotations

import collections
import json
import typing as t
from pathlib import Path

import pytest
import yaml

from embedded_node import EmbeddedNode, commands

from .conftest import LOCAL, ROOT, Guest, Played, Site

DEFAULTS: Guest = {
    "type": "lxc",
    "ostemplate": "alpine-3.22-default",
    "memory": 128,
    "rootfs": {"storage": "local-lvm", "size": 1},
}
TEMPLATE = "local:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz"
CREATE = "Make the guests match their declaration"


class Hosts:
    """Two nodes, each the host of an inventory that modules run on."""

    def __init__(self, nodes: tuple[EmbeddedNode, ...], work: Path) -> None:
        self.nodes = nodes
        hosts = {f"host-{node.name}": {**LOCAL, "node_env": node.env} for node in nodes}
        self.site = Site(nodes[0], "none", work, {"all": {"hosts": hosts}})

    def play(self, guests: list[Guest], *options: str, **variables: t.Any) -> Played:
        play = {
            "hosts": "all",
            "gather_facts": False,
            "environment": "{{ node_env }}",
            "roles": [{"role": "pve.provision.provision"}],
        }
        return self.site.play([play], *options, provision_guests=guests, provision_defaults=DEFAULTS, **variables)

    def good(self, guests: list[Guest], *options: str, **variables: t.Any) -> Played:
        played = self.play(guests, *options, **variables)
        assert played.rc == 0, played.output
        return played

    def places(self) -> dict[str, str]:
        """Where each container is, by its name; who is there twice is a failure."""
        found = [
            (line.partition(": ")[2], node.name)
            for node in self.nodes
            for config in (node.root / "etc/pve/lxc").glob("*.conf")
            for line in config.read_text(encoding="utf-8").splitlines()
            if line.startswith("hostname: ")
        ]
        assert max(collections.Counter(name for name, _node in found).values(), default=1) == 1, found
        return dict(found)

    def make(self, place: int, name: str, vmid: int) -> None:
        argv = ["pct", "create", str(vmid), TEMPLATE, "--hostname", name, "--rootfs", "local-lvm:1"]
        rc, _out, err = commands.run(argv, self.nodes[place].root, b"")
        assert rc == 0, err


def told(played: Played) -> dict[str, list[str]]:
    """The nodes by which each guest was told; one that two hosts tell of has two."""
    nodes = collections.defaultdict(list)
    for result in played.of(CREATE):
        for guest in result["guests"]:
            nodes[guest["name"]].append(guest.get("node", ""))
    return dict(nodes)


@pytest.fixture
def cluster(tmp_path: Path) -> t.Iterator[Hosts]:
    with EmbeddedNode() as one, EmbeddedNode(node="pve2", joins=one) as two:
        yield Hosts((one, two), tmp_path)


@pytest.fixture
def plain(tmp_path: Path) -> t.Iterator[Hosts]:
    with EmbeddedNode() as one, EmbeddedNode(node="pve2") as two:
        yield Hosts((one, two), tmp_path)


def test_each_host_of_a_cluster_does_its_part(cluster: Hosts) -> None:
    cluster.make(1, "old1", 150)
    guests = [
        *({"name": f"web{n}", "node": "auto", "anti_affinity": "web"} for n in (1, 2)),
        {"name": "db1", "node": "pve2"},
        {"name": "first1"},
        {"name": "old1", "memory": 256},
        {"name": "gone1", "state": "absent"},
    ]
    predicted = cluster.good(guests, "--check")
    assert cluster.places() == {"old1": "pve2"}
    report = cluster.site.work / "report.json"
    made = cluster.good(guests, provision_report=str(report))
    places = cluster.places()
    assert {places.pop("web1"), places.pop("web2")} == {"pve1", "pve2"}
    assert places == {"db1": "pve2", "first1": "pve1", "old1": "pve2"}
    assert told(predicted) == told(made)
    assert all(len(nodes) == 1 for nodes in told(made).values()), told(made)
    written = json.loads(report.read_text())
    assert {row["name"] for row in written["guests"]} == {guest["name"] for guest in guests}
    assert written["title"] == "Guests of host-pve1, host-pve2"
    assert {"pve1: local-lvm", "pve2: local-lvm"} <= {each["name"] for each in written["storages"]}
    again = cluster.good(guests)
    assert again.count("changed") == 0
    assert told(again) == told(made)


def test_the_report_covers_all_hosts_also_when_one_has_failed(cluster: Hosts) -> None:
    report = cluster.site.work / "report.json"
    cluster.nodes[1].fault("fail_start", nth=1)
    guests = [{"name": f"web{n}", "node": f"pve{n}", "state": "started"} for n in (1, 2)]
    assert cluster.play(guests, provision_report=str(report)).rc != 0
    written = json.loads(report.read_text())
    assert sorted((row["name"], row.get("failed", False)) for row in written["guests"]) == [
        ("web1", False),
        ("web2", True),
    ]
    assert (written["title"], len(written["messages"])) == ("Guests of host-pve1, host-pve2", 1)
    assert "web2" in written["messages"][0]


def test_a_guest_is_moved_by_the_host_that_has_it(cluster: Hosts) -> None:
    cluster.make(0, "web1", 150)
    moved = cluster.good([{"name": "web1", "node": "pve2", "migrate": True, "memory": 512}])
    assert cluster.places() == {"web1": "pve2"}
    assert told(moved) == {"web1": ["pve2"]}
    assert cluster.good([{"name": "web1", "node": "pve2", "migrate": True, "memory": 512}]).count("changed") == 0


def test_hosts_that_are_no_cluster_want_to_know_the_node_of_a_new_guest(plain: Hosts) -> None:
    plain.make(1, "old1", 100)
    refused = plain.play([{"name": "web1"}])
    assert refused.rc != 0
    assert plain.places() == {"old1": "pve2"}
    assert "web1: node: has to be named, since the hosts are not one cluster" in refused.failure
    guests = [{"name": "web1", "node": "pve1"}, {"name": "db1", "node": "pve2"}, {"name": "old1", "memory": 256}]
    made = plain.good(guests)
    assert plain.places() == {"web1": "pve1", "db1": "pve2", "old1": "pve2"}
    assert told(made) == {"web1": ["pve1"], "db1": ["pve2"], "old1": ["pve2"]}
    assert plain.good(guests).count("changed") == 0


def test_a_host_that_cannot_be_reached_leaves_its_part_undone_and_nobody_does_it_instead(cluster: Hosts) -> None:
    cluster.make(1, "old1", 150)
    hosts = cluster.site.inventory["all"]["hosts"]
    hosts["host-pve2"] = {"ansible_connection": "ssh", "ansible_ssh_executable": "/bin/false", "node_env": {}}
    refused = cluster.play([{"name": "web1"}, {"name": "old1", "memory": 256}])
    assert (refused.count("unreachable"), refused.count("failed")) == (1, 1)
    assert "old1: name: 'old1' is container 150 on node pve2" in refused.failure
    assert "Add the host of node pve2 to the play" in refused.failure
    assert cluster.places() == {"old1": "pve2"}
    done = cluster.play([{"name": "web1"}])
    assert cluster.places() == {"web1": "pve1", "old1": "pve2"}, done.output
    assert told(done) == {"web1": ["pve1"]}


def test_what_hosts_cannot_wait_for_is_found(cluster: Hosts) -> None:
    refused = cluster.play([{"name": "app1", "node": "pve1", "after": ["db1"]}, {"name": "db1", "node": "pve2"}])
    assert refused.rc != 0
    assert "the hosts of a play do not wait for each other" in refused.failure


def test_the_example_of_a_cluster_works_over_the_api_and_changes_nothing_the_second_time(cluster: Hosts) -> None:
    declared = yaml.safe_load((ROOT / "examples" / "cluster.yml").read_text())
    site = Site(cluster.nodes[0], "token", cluster.site.work)
    variables = {**declared, "provision_connection": {**site.connection, "node": "pve1"}}
    guests = variables.pop("provision_guests")
    assert site.good(guests, **variables).count("changed") == 1
    places = cluster.places()
    assert {places["web1"], places["web2"]} == {"pve1", "pve2"}
    assert (places["db1"], places["dns1"]) == ("pve2", "pve1")
    assert site.good(guests, **variables).count("changed") == 0
