# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""guests over the API: one task serves all nodes of a cluster."""

from __future__ import annotations

import collections
import json
import os
import shutil
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
from node_files import NodeFiles

from embedded_node import EmbeddedNode, commands

from .conftest import Answer, Params, call

LOGIN = ("api_host", "api_port", "api_user", "api_password", "ca_path")
DEFAULTS: Params = {
    "type": "lxc",
    "ostemplate": "alpine-3.22-default",
    "memory": 128,
    "rootfs": {"storage": "local-lvm", "size": 1},
}


@dataclass
class Cluster:
    """Three nodes, spoken to through the first one."""

    nodes: tuple[EmbeddedNode, ...]

    def run(self, *guests: Params, check: bool = False, via: str | None = "pve1", **more: t.Any) -> Answer:
        login = {key: self.nodes[0].api[key] for key in LOGIN} | ({"node": via} if via else {})
        return call("guests", {**login, "defaults": DEFAULTS, "guests": list(guests), **more}, check=check)

    def good(self, *guests: Params, **more: t.Any) -> Answer:
        answer = self.run(*guests, **more)
        assert not answer.failed, answer.msg
        return answer

    def bad(self, *guests: Params, **more: t.Any) -> list[Params]:
        """The findings of a run that is refused; it has written nothing."""
        before = self.places()
        answer = self.run(*guests, **more)
        assert answer.failed, answer.values
        assert self.places() == before
        return t.cast("list[Params]", answer.values.get("findings") or [{"problem": answer.msg}])

    def places(self) -> dict[str, str]:
        """Where each guest is, by its name; who is there twice is a failure."""
        found = [
            (config.read_text(encoding="utf-8"), node.name)
            for node in self.nodes
            for kind in ("lxc", "qemu-server")
            for config in (node.root / "etc/pve" / kind).glob("*.conf")
        ]
        names = [
            (line.partition(": ")[2], node)
            for text, node in found
            for line in text.splitlines()
            if line.startswith(("hostname: ", "name: "))
        ]
        assert max(collections.Counter(name for name, _node in names).values(), default=1) == 1, names
        return dict(sorted(names))

    def on(self, name: str) -> EmbeddedNode:
        return next(node for node in self.nodes if node.name == name)

    def make(self, node: str, name: str, vmid: int, *more: str) -> None:
        """Make a container as the administrator of a node would."""
        template = "local:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz"
        argv = ["pct", "create", str(vmid), template, "--hostname", name, "--rootfs", "local-lvm:1", *more]
        self.command(node, *argv)

    def command(self, node: str, *argv: str) -> str:
        rc, out, err = commands.run(list(argv), self.on(node).root, b"")
        assert rc == 0, err
        return out

    def requests(self) -> list[str]:
        return [f"{each['method']} {each['path']}" for each in self.nodes[0].requests()]


@pytest.fixture(scope="module")
def nodes() -> t.Iterator[tuple[EmbeddedNode, ...]]:
    with (
        EmbeddedNode(ha_delay=0.1) as one,
        EmbeddedNode(node="pve2", joins=one) as two,
        EmbeddedNode(node="pve3", joins=one, cpus=1) as three,
    ):
        yield one, two, three


@pytest.fixture(scope="module")
def fresh(nodes: tuple[EmbeddedNode, ...]) -> list[NodeFiles]:
    """The nodes as they were started."""
    return [NodeFiles(node) for node in nodes]


@pytest.fixture
def cluster(nodes: tuple[EmbeddedNode, ...], fresh: list[NodeFiles]) -> t.Iterator[Cluster]:
    yield Cluster(nodes)
    for node, files in zip(nodes, fresh, strict=True):
        node.clear_faults()
        files.put_back()


def guest(name: str, **options: t.Any) -> Params:
    return {"name": name, **options}


def told(answer: Answer) -> dict[str, tuple[int, str]]:
    """Number and node of each guest of an answer."""
    return {entry["name"]: (entry["vmid"], entry["node"]) for entry in answer.guests}


# -- new guests ------------------------------------------------------------------------------------------------------


def test_new_guests_go_to_the_nodes_that_they_name_with_numbers_of_their_own(cluster: Cluster) -> None:
    declared = [guest("a1", node="pve2"), guest("b1", node="pve3"), guest("c1"), guest("d1", node="pve2")]
    predicted = cluster.good(*declared, check=True)
    assert cluster.places() == {}
    made = cluster.good(*declared)
    assert cluster.places() == {"a1": "pve2", "b1": "pve3", "c1": "pve1", "d1": "pve2"}
    assert told(predicted) == told(made)
    assert len({vmid for vmid, _node in told(made).values()}) == 4
    assert predicted.plan == made.plan
    assert f"+ create a1 ({told(made)['a1'][0]}) on pve2" in made.plan
    again = cluster.good(*declared)
    assert not again.changed
    assert told(again) == told(made)


def test_auto_keeps_guests_of_one_word_apart_and_the_next_run_leaves_them_where_they_are(cluster: Cluster) -> None:
    declared = [guest(f"web{n}", node="auto", anti_affinity="web") for n in range(1, 4)]
    predicted = cluster.good(*declared, check=True)
    made = cluster.good(*declared)
    assert sorted(cluster.places().values()) == ["pve1", "pve2", "pve3"]
    assert told(predicted) == told(made)
    assert not cluster.good(*declared).changed


def test_guests_with_the_tag_count_whoever_made_them(cluster: Cluster) -> None:
    cluster.make("pve1", "old1", 101, "--tags", "web")
    cluster.make("pve3", "old2", 102, "--tags", "home;web")
    cluster.good(guest("web1", node="auto", anti_affinity="web"))
    assert cluster.places()["web1"] == "pve2"


def test_what_earlier_guests_take_counts(cluster: Cluster) -> None:
    """Each takes most of the memory of a node."""
    declared = [guest(f"big{n}", node="auto", memory=2048) for n in range(1, 4)]
    cluster.good(*declared)
    assert len(set(cluster.places().values())) > 1


def test_that_no_node_is_left_is_one_finding_with_every_node(cluster: Cluster) -> None:
    (finding,) = cluster.bad(guest("huge1", node="auto", memory=10**7), guest("small1"))
    assert (finding["option"], finding["value"]) == ("huge1: node", "auto")
    assert all(f"pve{n} has" in finding["problem"] for n in (1, 2, 3)), finding


def test_a_node_without_enough_cpus_is_out(cluster: Cluster) -> None:
    declared = [guest(f"wide{n}", node="auto", cores=2, anti_affinity="wide") for n in range(1, 4)]
    cluster.good(*declared)
    assert set(cluster.places().values()) == {"pve1", "pve2"}


def test_a_clone_goes_where_its_source_is(cluster: Cluster) -> None:
    clone = {"name": "copy1", "node": "auto", "clone_from": {"name": "base1"}}
    base = guest("base1", node="pve3")
    bare = {"defaults": {"type": "lxc", "memory": 128}}
    made = cluster.run(clone, {**DEFAULTS, **base}, **bare)
    assert not made.failed, made.msg
    assert cluster.places() == {"base1": "pve3", "copy1": "pve3"}


def test_a_backup_of_a_guest_of_another_node_is_restored_with_addresses_of_its_own(cluster: Cluster) -> None:
    mac = "BC:24:11:00:01:01"
    cluster.make("pve2", "web1", 101, "--net0", f"name=eth0,bridge=vmbr0,hwaddr={mac}")
    cluster.command("pve2", "vzdump", "101", "--storage", "local")
    (dump,) = (cluster.on("pve2").root / "var/lib/vz/dump").glob("vzdump-lxc-101-*.tar*")
    copy = shutil.copy(dump, cluster.on("pve1").root / "var/lib/vz/dump")
    back = {"name": "back1", "type": "lxc", "restore_from": {"backup": f"local:backup/{dump.name}"}}
    made = cluster.good(back, defaults={})
    config = cluster.on("pve1").root / f"etc/pve/lxc/{made.guests[0]['vmid']}.conf"
    assert "hwaddr=" in config.read_text(encoding="utf-8")
    assert mac not in config.read_text(encoding="utf-8")
    for path in (Path(copy), dump):
        path.unlink()


def test_guests_come_after_those_of_other_nodes(cluster: Cluster) -> None:
    cluster.nodes[1].fault("fail_create", nth=1)
    answer = cluster.run(guest("app1", after=["db1"]), guest("db1", node="pve2"))
    cluster.nodes[1].clear_faults()
    assert answer.failed
    entries = {entry["name"]: entry for entry in answer.guests}
    assert entries["db1"]["failed"]
    assert entries["app1"]["skipped"] == "comes after db1, which failed"


@pytest.mark.parametrize("node", ["pve9", "PVE2"])
def test_a_node_that_is_none_of_the_cluster_is_found(cluster: Cluster, node: str) -> None:
    (finding,) = cluster.bad(guest("web1", node=node))
    assert finding["option"] == "web1: node"
    assert finding["problem"] == "is not a node of this cluster"
    assert finding["remedy"] == "There are: pve1, pve2, pve3."


def test_a_word_that_is_no_tag_is_found(cluster: Cluster) -> None:
    (finding,) = cluster.bad(guest("web1", node="auto", anti_affinity="web server"))
    assert finding["option"] == "web1: anti_affinity"


def test_without_a_node_in_the_connection_each_new_guest_has_to_name_its_own(cluster: Cluster) -> None:
    cluster.make("pve3", "old1", 101)
    (finding,) = cluster.bad(guest("web1"), guest("old1"), guest("web2", node="pve2"), via=None)
    assert (finding["option"], finding["problem"]) == ("web1: node", "has to be named")
    cluster.good(guest("old1", memory=128), guest("web2", node="pve2"), via=None)
    assert cluster.places() == {"old1": "pve3", "web2": "pve2"}


# -- guests that are there -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [{}, {"vmid": 101}, {"node": "auto"}, {"node": "pve2"}])
def test_a_guest_that_is_anywhere_is_found_and_changed_there(cluster: Cluster, declared: Params) -> None:
    cluster.make("pve2", "web1", 101, "--memory", "512")
    changed = cluster.good(guest("web1", memory=256, **declared))
    assert told(changed) == {"web1": (101, "pve2")}
    assert "~ change web1 (101) on pve2" in changed.plan
    assert cluster.places() == {"web1": "pve2"}
    assert "memory: 256" in (cluster.on("pve2").root / "etc/pve/lxc/101.conf").read_text(encoding="utf-8")
    assert not cluster.good(guest("web1", memory=256, **declared)).changed


@pytest.mark.parametrize("declared", [{}, {"vmid": 101}])
def test_an_absent_guest_is_removed_where_it_is(cluster: Cluster, declared: Params) -> None:
    cluster.make("pve3", "web1", 101)
    removed = cluster.good({"name": "web1", "state": "absent", **declared})
    assert removed.guests[0]["status"] == "absent"
    assert removed.changed
    assert cluster.places() == {}
    assert not cluster.good({"name": "web1", "state": "absent", **declared}).changed


def test_of_two_guests_of_a_name_the_one_on_the_declared_node_is_meant(cluster: Cluster) -> None:
    cluster.make("pve2", "web1", 101)
    cluster.make("pve3", "web1", 102)
    refused = cluster.run(guest("web1", node="auto"), check=True)
    told_of = "is the name of several guests: 101 on node pve2, 102 on node pve3"
    assert [finding["problem"] for finding in refused.findings] == [told_of]
    assert told(cluster.good(guest("web1", node="pve3"), check=True)) == {"web1": (102, "pve3")}


def test_each_list_is_read_once(cluster: Cluster) -> None:
    for n, node in enumerate(("pve1", "pve2", "pve2", "pve2"), start=1):
        cluster.make(node, f"web{n}", 100 + n, "--memory", "128")
    declared = [guest(f"web{n}") for n in range(1, 5)]
    cluster.nodes[0].forget()
    assert not cluster.good(*declared).changed
    asked = collections.Counter(cluster.requests())
    asked["GET /api2/json/cluster/resources"] -= 1  # all of it, and the guests alone
    assert {path: count for path, count in asked.items() if count > 1} == {}
    assert not [path for path in asked if "/pve3/" in path], "no declared guest is there"


def test_prune_removes_what_carries_the_mark_on_all_nodes(cluster: Cluster) -> None:
    for n, node in enumerate(("pve1", "pve2", "pve3"), start=1):
        cluster.make(node, f"old{n}", 100 + n, *(("--tags", "ours") if n > 1 else ()))
    pruned = cluster.good(guest("old2"), owner_tag="ours", prune=True)
    assert cluster.places() == {"old1": "pve1", "old2": "pve2"}
    assert "- destroy old3 (103) on pve3" in pruned.plan


@pytest.fixture
def down(cluster: Cluster) -> Cluster:
    """Node pve7 has container 107, far1, and is down: the cluster's list tells no name of it."""
    folder = cluster.nodes[0].root / "etc/pve/nodes/pve7"
    (folder / "lxc").mkdir(parents=True)
    (folder / "lxc/107.conf").write_text("hostname: far1\nmemory: 64\n", encoding="utf-8")
    listed = cluster.nodes[0].root / "etc/pve/.vmlist"
    before = listed.read_text(encoding="utf-8")
    ids = json.loads(before)
    ids["ids"]["107"] = {"node": "pve7", "type": "lxc", "version": 1}
    listed.write_text(json.dumps(ids), encoding="utf-8")
    return cluster


def test_a_guest_on_a_node_that_is_down_is_not_made_again(down: Cluster) -> None:
    (finding,) = down.bad(guest("far1", vmid=107))
    assert finding["problem"] == "is container 107 on node pve7, which is offline"


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("placed", [{}, {"node": "pve2"}, {"node": "auto"}])
def test_nor_where_it_is_declared_by_its_name_alone(down: Cluster, check: bool, placed: Params) -> None:
    down.make("pve2", "web1", 101)
    (finding,) = down.bad(guest("far1", **placed), guest("web1"), check=check)
    assert (finding["option"], finding["value"]) == ("far1: name", "far1")
    assert "may be container 107 on node pve7, whose name is not known" in finding["problem"]
    assert "give a new guest a vmid" in finding["remedy"]
    down.good(guest("new1", vmid=120, **placed), guest("web1", memory=256))
    assert set(down.places()) == {"new1", "web1"}


@pytest.mark.parametrize("check", [True, False])
def test_nor_does_it_count_as_gone(down: Cluster, check: bool) -> None:
    (finding,) = down.bad(guest("far1", vmid=107, state="absent"), check=check)
    assert finding["problem"] == "is container 107 on node pve7, which is offline"
    told = down.good(guest("far1", state="absent"), guest("web1", vmid=120), check=check)
    assert "far1: it may be container 107 on node pve7, whose name is not known" in str(told.warnings)


@pytest.mark.parametrize("check", [True, False])
def test_nor_by_a_module_for_one_guest(down: Cluster, check: bool) -> None:
    login = {key: down.nodes[0].api[key] for key in LOGIN} | {"node": "pve1"}
    declared = {key: value for key, value in DEFAULTS.items() if key != "type"}
    refused = call("lxc_create", {**login, **declared, "hostname": "far1"}, check=check)
    assert refused.failed
    assert "far1 may be container 107 on node pve7" in refused.msg
    assert down.places() == {}
    assert not call("lxc_create", {**login, **declared, "hostname": "new1", "vmid": 120}, check=check).failed


# -- migration -------------------------------------------------------------------------------------------------------


def test_a_guest_that_is_to_be_elsewhere_is_not_moved_unasked(cluster: Cluster) -> None:
    cluster.make("pve2", "web1", 101)
    (finding,) = cluster.bad(guest("web1", node="pve3"))
    assert finding["option"] == "web1: node"
    assert finding["problem"] == "is not the node of the guest: container 101 on node pve2"
    assert finding["remedy"] == "Set migrate: true to move it, or declare node: pve2."


@pytest.mark.parametrize(("running", "mode"), [(False, "offline"), (True, "restart")])
def test_it_is_moved_as_planned_and_then_gets_the_rest(cluster: Cluster, running: bool, mode: str) -> None:
    cluster.make("pve2", "web1", 101, "--memory", "512", "--start", str(int(running)))
    declared = guest("web1", node="pve3", migrate=True, memory=256)
    predicted = cluster.good(declared, check=True)
    assert cluster.places() == {"web1": "pve2"}
    moved = cluster.good(declared)
    assert cluster.places() == {"web1": "pve3"}
    assert predicted.plan == moved.plan
    assert predicted.guests[0]["plan"] == moved.guests[0]["plan"]
    migrate, change = moved.guests[0]["plan"]
    volumes = ["local-lvm:vm-101-disk-0"]
    assert migrate == {"step": "migrate", "from": "pve2", "to": "pve3", "mode": mode, "local_volumes": volumes}
    assert change["step"] == "set"
    assert moved.guests[0]["node"] == "pve3"
    assert moved.guests[0]["status"] == ("running" if running else "stopped")
    assert "    node: pve2 -> pve3" in moved.plan
    assert f"status: {'running' if running else 'stopped'}" in cluster.command("pve3", "pct", "status", "101")
    assert not cluster.good(declared).changed


@pytest.mark.parametrize(("running", "mode"), [(False, "offline"), (True, "online")])
def test_a_vm_moves_as_it_runs(cluster: Cluster, running: bool, mode: str) -> None:
    cluster.command("pve2", "qm", "create", "201", "--name", "vm1", "--memory", "512", "--scsi0", "local-lvm:1")
    if running:
        cluster.command("pve2", "qm", "start", "201")
    declared = {"name": "vm1", "type": "vm", "node": "pve3", "migrate": True, "description": "moved"}
    predicted = cluster.good(declared, check=True, defaults={})
    assert cluster.places() == {"vm1": "pve2"}
    moved = cluster.good(declared, defaults={})
    assert cluster.places() == {"vm1": "pve3"}
    assert predicted.plan == moved.plan
    assert predicted.guests[0]["plan"] == moved.guests[0]["plan"]
    migrate, change = moved.guests[0]["plan"]
    volumes = ["local-lvm:vm-201-disk-0"]
    assert migrate == {"step": "migrate", "from": "pve2", "to": "pve3", "mode": mode, "local_volumes": volumes}
    assert change["step"] == "set"
    status = "running" if running else "stopped"
    assert (moved.guests[0]["node"], moved.guests[0]["status"]) == ("pve3", status)
    assert f"status: {status}" in cluster.command("pve3", "qm", "status", "201")
    assert not cluster.good(declared, defaults={}).changed


def test_that_a_guest_was_moved_is_told_where_the_rest_fails(cluster: Cluster) -> None:
    cluster.make("pve1", "web1", 101)
    cluster.nodes[0].fault("http_error", path="/nodes/pve2/lxc/101/pending", status=500)
    failed = cluster.run(guest("web1", node="pve2", migrate=True, memory=256))
    assert failed.failed
    assert "web1: it was moved to node pve2, and then: GET /nodes/pve2/lxc/101/pending: 500" in failed.msg
    assert cluster.places() == {"web1": "pve2"}
    cluster.nodes[0].clear_faults()
    assert cluster.good(guest("web1", node="pve2", migrate=True, memory=256)).changed


def test_what_holds_it_on_its_node_is_a_finding(cluster: Cluster) -> None:
    cluster.make("pve2", "web1", 101)
    cluster.command("pve2", "pct", "set", "101", "--mp0", "/srv,mp=/srv")
    (finding,) = cluster.bad(guest("web1", node="pve3", migrate=True))
    assert (finding["option"], finding["value"]) == ("web1: mp0", "/srv")
    assert finding["problem"] == "is of node pve2 alone, and cannot move to pve3"
    assert cluster.places() == {"web1": "pve2"}


def test_a_guest_that_ha_manages_is_left_to_it(cluster: Cluster) -> None:
    cluster.make("pve2", "web1", 101)
    ha = cluster.nodes[0].root / "etc/pve/ha/resources.cfg"
    ha.write_text("ct: 101\n\tstate started\n", encoding="utf-8")
    answer = cluster.good(guest("web1", node="pve3", migrate=True, memory=512), check=True)
    assert told(answer) == {"web1": (101, "pve2")}
    assert "HA manages it and decides its node: it stays on pve2" in str(answer.warnings)


def test_a_directory_of_its_node_holds_a_guest_back_before_anything_is_written(cluster: Cluster) -> None:
    cluster.make("pve2", "web1", 101, "--mp0", "/srv,mp=/srv")
    (finding,) = cluster.bad(guest("web1", node="pve3", migrate=True), guest("web2"))
    assert (finding["option"], finding["value"]) == ("web1: mp0", "/srv")
    assert finding["problem"] == "is of node pve2 alone, and cannot move to pve3"
    cluster.command("pve2", "pct", "set", "101", "--mp0", "/srv,mp=/srv,shared=1")
    cluster.good(guest("web1", node="pve3", migrate=True))
    assert cluster.places() == {"web1": "pve3"}


def test_each_node_has_a_golden_template_of_its_own(cluster: Cluster) -> None:
    """The disks of one are on the storages of its node."""
    for node in cluster.nodes[:2]:
        path = node.root / "var/lib/vz/import/own.raw"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1 << 20))
        os.utime(path, (1_750_000_000, 1_750_000_000))
    disk = {"storage": "local-lvm", "image": {"file": "local:import/own.raw"}}
    machines = [
        {"type": "vm", "name": f"m{number}", "node": f"pve{number}", "golden": True, "disks": [disk]}
        for number in (1, 2)
    ]
    for machine in machines:
        cluster.good(machine, defaults={})
    assert not any(entry["changed"] for entry in cluster.good(*machines, defaults={}).guests)
    places = cluster.places()
    assert (places["m1"], places["m2"]) == ("pve1", "pve2")
    assert sorted(place for name, place in places.items() if name.startswith("golden-")) == ["pve1", "pve2"]


def test_the_guests_of_all_nodes_are_adopted_over_one_connection(cluster: Cluster) -> None:
    cluster.make("pve1", "web1", 801)
    cluster.make("pve2", "db1", 802)
    login = {key: cluster.nodes[0].api[key] for key in LOGIN}
    found = call("node_info", {**login, "node": "pve1", "gather": [], "declare": True}).values["declaration"]
    assert sorted(found["nodes"]) == ["pve1", "pve2", "pve3"]
    assert {each["name"]: each["node"] for each in found["provision_guests"]} == {"web1": "pve1", "db1": "pve2"}
    answer = cluster.run(*found["provision_guests"])
    assert (answer.failed, answer.changed) == (False, False)
