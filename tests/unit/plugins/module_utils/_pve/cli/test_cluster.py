# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from scripted_commands import Script, write

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    PveError,
    Timeout,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    ClusterNode,
    Kind,
)


class TestCluster:
    def test_its_nodes_take_one_command(self, node: CliNode, script: Script):
        told = [{"type": "node", "node": "pve1", "status": "online", "maxcpu": 2, "cpu": 0.5, "maxmem": 9, "mem": 4}]
        script.expect("pvesh get /cluster/resources --output-format json", out=json.dumps(told))
        assert node.nodes() == [ClusterNode("pve1", True, 2, 0.5, 9, 4)]

    def test_what_ha_manages_is_in_a_file(self, node: CliNode, root: Path):
        assert node.ha_managed() == frozenset()
        write(root, "etc/pve/ha/resources.cfg", "ct: 101\n\tstate started\n\nvm: 200\n\tgroup a\n")
        assert node.ha_managed() == {101, 200}

    def test_replication_jobs_are_called_after_their_guests(self, node: CliNode, root: Path):
        assert node.replicated() == frozenset()
        write(root, "etc/pve/replication.cfg", "local: 101-0\n\ttarget pve2\n\nlocal: 101-1\n\ttarget pve3\n")
        assert node.replicated() == {101}

    def test_a_node_reaches_no_other_by_its_commands(self, node: CliNode):
        assert node.on("pve1") is node
        assert node.on("pve2") is None

    @pytest.mark.parametrize(
        ("kind", "options", "command"),
        [
            ("lxc", {"running": False}, "pct migrate 101 pve2"),
            ("lxc", {"running": True, "shutdown_timeout": 30}, "pct migrate 101 pve2 --restart 1 --timeout 30"),
            (
                "qemu",
                {"running": True, "local_disks": True},
                "qm migrate 101 pve2 --online 1 --with-local-disks 1",
            ),
        ],
    )
    def test_a_guest_goes_by_one_command(
        self, node: CliNode, root: Path, script: Script, kind: Kind, options: dict[str, t.Any], command: str
    ):
        folder = {"lxc": "lxc", "qemu": "qemu-server"}[kind]
        there = root / f"etc/pve/nodes/pve2/{folder}/101.conf"
        there.parent.mkdir(parents=True)
        here = root / "etc/pve/nodes/pve1/lxc/101.conf"
        script.expect(command, out="migration finished\n", effect=lambda: here.rename(there))
        assert node.migrate(kind, 101, "pve2", timeout=60, **options).log == ("migration finished",)

    def test_one_that_cannot_go_is_reported_in_the_words_of_pve(self, node: CliNode, script: Script):
        script.expect("pct migrate 101 pve9", rc=255, err="no such cluster node 'pve9'\n")
        with pytest.raises(PveError, match="no such cluster node 'pve9'"):
            node.migrate("lxc", 101, "pve9", running=False, timeout=60)

    def test_one_that_pve_leaves_where_it_is_has_not_gone(self, node: CliNode, script: Script):
        script.expect("pct migrate 101 pve2")
        with pytest.raises(Timeout, match="the guest is on node pve1"):
            node.migrate("lxc", 101, "pve2", running=False, timeout=60)
