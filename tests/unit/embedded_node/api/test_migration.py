# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two embedded nodes of one cluster, asked over HTTPS and by commands."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node
from embedded_node import EmbeddedNode

TEMPLATE = "local:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz"
Run = t.Callable[..., str]


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[EmbeddedNode, EmbeddedNode]]:
    with EmbeddedNode(ha_delay=0.1) as one, EmbeddedNode(node="pve2", joins=one) as two:
        yield one, two


@pytest.fixture
def one(nodes: tuple[EmbeddedNode, EmbeddedNode]) -> Iterator[EmbeddedNode]:
    yield nodes[0]
    for member in nodes:
        for folder, program in (("lxc", "pct"), ("qemu-server", "qm")):
            for config in (member.root / f"etc/pve/{folder}").glob("*.conf"):
                run(member, program, "stop", config.stem, check=False)
                run(member, program, "destroy", config.stem, "--purge")
    (nodes[0].root / "etc/pve/ha/resources.cfg").unlink(missing_ok=True)


@pytest.fixture
def two(nodes: tuple[EmbeddedNode, EmbeddedNode]) -> EmbeddedNode:
    return nodes[1]


@pytest.fixture(params=["cli", "api"])
def node(request: pytest.FixtureRequest, one: EmbeddedNode, monkeypatch: pytest.MonkeyPatch) -> Node:
    """The first node, by its commands and over the API."""
    for name, value in one.env.items():
        monkeypatch.setenv(name, value)
    return open_node({**(one.api if request.param == "api" else {}), "node": "pve1", "timeout": 60})


def run(member: EmbeddedNode, *argv: str, check: bool = True) -> str:
    """A command on a node."""
    done = subprocess.run(argv, env={**os.environ, **member.env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, (argv, done.stderr)
    return done.stdout


def container(member: EmbeddedNode, *more: str) -> None:
    run(member, "pct", "create", "101", TEMPLATE, "--hostname", "web1", "--rootfs", "local-lvm:1", *more)


def volumes(member: EmbeddedNode) -> list[str]:
    return [line.split()[0] for line in run(member, "pvesm", "list", "local-lvm").splitlines()[1:]]


def test_the_nodes_of_a_cluster_are_reported_with_what_they_have(node: Node) -> None:
    found = node.nodes()
    assert [(each.name, each.online, each.cpus) for each in found] == [("pve1", True, 2), ("pve2", True, 2)]
    for each in found:
        assert {"local", "local-lvm"} == each.storages.keys()
        assert each.storages["local-lvm"].content == {"rootdir", "images"}
        assert 0 < t.cast("int", each.memory_used) < t.cast("int", each.memory)


def test_a_cluster_reports_its_nodes_at_each_of_them(one: EmbeddedNode, two: EmbeddedNode) -> None:
    for member in (one, two):
        told = json.loads(run(member, "pvesh", "get", "/cluster/status", "--output-format", "json"))
        assert [(row["type"], row["name"]) for row in told] == [
            ("cluster", "embedded"), ("node", "pve1"), ("node", "pve2"),
        ]  # fmt: skip


def test_a_vmid_is_taken_in_the_whole_cluster(one: EmbeddedNode, two: EmbeddedNode, node: Node) -> None:
    container(two)
    assert node.next_vmid() == 100
    there = node.locate(101)
    assert there is not None
    assert (there.node, there.kind) == ("pve2", "lxc")
    assert node.guests() == []
    assert [(guest.vmid, guest.node) for guest in node.named("lxc", "web1")] == [(101, "pve2")]


def test_what_is_asked_of_another_node_is_passed_on_to_it(one: EmbeddedNode, two: EmbeddedNode) -> None:
    far = open_node({**one.api, "node": "pve2", "timeout": 60})
    far.create("lxc", 101, {"ostemplate": TEMPLATE, "hostname": "web1", "rootfs": "local-lvm:1"}, timeout=60)
    assert (volumes(one), volumes(two)) == ([], ["local-lvm:vm-101-disk-0"])
    assert "web1" in run(two, "pct", "list")
    far.start("lxc", 101, timeout=60)
    assert run(two, "pct", "status", "101") == "status: running\n"


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_a_container_takes_its_local_volumes_along(
    node: Node, one: EmbeddedNode, two: EmbeddedNode, running: bool
) -> None:
    container(one, "--start", str(int(running)))
    node.migrate("lxc", 101, "pve2", running=running, timeout=60)
    assert (volumes(one), volumes(two)) == ([], ["local-lvm:vm-101-disk-0"])
    assert run(two, "pct", "status", "101") == f"status: {'running' if running else 'stopped'}\n"
    assert "Alpine" in run(two, "pct", "exec", "101", "cat", "/etc/os-release") if running else True
    assert node.config("lxc", 101) is None


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_so_does_a_vm(node: Node, one: EmbeddedNode, two: EmbeddedNode, running: bool) -> None:
    run(one, "qm", "create", "102", "--name", "gw", "--scsi0", "local-lvm:1", "--memory", "128")
    if running:
        run(one, "qm", "start", "102")
    node.migrate("qemu", 102, "pve2", running=running, local_disks=running, timeout=60)
    assert (volumes(one), volumes(two)) == ([], ["local-lvm:vm-102-disk-0"])
    assert run(two, "qm", "status", "102") == f"status: {'running' if running else 'stopped'}\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"running": False}, "without --online"),
        ({"running": True}, "without with-local-disks option"),
    ],
)
def test_a_running_vm_with_local_disks_goes_only_when_it_is_said(
    node: Node, one: EmbeddedNode, options: dict[str, t.Any], words: str
) -> None:
    run(one, "qm", "create", "102", "--name", "gw", "--scsi0", "local-lvm:1", "--memory", "128")
    run(one, "qm", "start", "102")
    with pytest.raises(PveError, match=words):
        node.migrate("qemu", 102, "pve2", timeout=60, **options)
    assert node.status("qemu", 102) == "running"


@pytest.mark.parametrize(
    ("target", "words"),
    [("pve1", "target is local node"), ("pve9", "no such cluster node 'pve9'")],
)
def test_nobody_goes_where_there_is_nothing(node: Node, one: EmbeddedNode, target: str, words: str) -> None:
    container(one)
    with pytest.raises(PveError, match=words):
        node.migrate("lxc", 101, target, running=False, timeout=60)


def test_a_running_container_goes_by_a_restart_or_not_at_all(node: Node, one: EmbeddedNode) -> None:
    container(one, "--start", "1")
    with pytest.raises(PveError, match="Can't migrate running container without --online or --restart"):
        node.migrate("lxc", 101, "pve2", running=False, timeout=60)


def test_a_storage_that_the_other_node_does_not_have_stops_it_before_anything_happened(
    node: Node, one: EmbeddedNode, two: EmbeddedNode
) -> None:
    container(one, "--start", "1")
    config: Path = two.root / "etc/pve/storage.cfg"
    before = config.read_text()
    config.write_text(before.replace("lvmthin: local-lvm\n", "lvmthin: local-lvm\n\tnodes pve1\n"))
    try:
        with pytest.raises(PveError, match="storage 'local-lvm' is not available on node 'pve2'"):
            node.migrate("lxc", 101, "pve2", running=True, timeout=60)
    finally:
        config.write_text(before)
    assert node.status("lxc", 101) == "running"


def test_what_ha_manages_is_reported_and_moved_by_the_manager(node: Node, one: EmbeddedNode, two: EmbeddedNode) -> None:
    container(one)
    assert node.ha_managed() == frozenset()
    (one.root / "etc/pve/ha/resources.cfg").write_text("ct: 101\n\tstate stopped\n")
    assert node.ha_managed() == {101}
    node.migrate("lxc", 101, "pve2", running=False, timeout=60)
    assert (two.root / "etc/pve/lxc/101.conf").exists()


def test_another_node_is_reached_over_the_api_alone(node: Node) -> None:
    other = node.on("pve2")
    assert (other is None) == (node.files is not None)
    assert other is None or (other.name, other.guests()) == ("pve2", [])
