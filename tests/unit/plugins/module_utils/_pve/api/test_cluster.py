# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
from scripted_requests import UPID, Script, task

from ansible_collections.pve.provision.plugins.module_utils._pve.api.node import ApiNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    ClusterNode,
    Kind,
)


class TestCluster:
    def test_its_nodes_take_one_request(self, node: ApiNode, script: Script):
        told = [{"type": "node", "node": "pve1", "status": "online", "maxcpu": 2, "cpu": 0.5, "maxmem": 9, "mem": 4}]
        script.expect("GET", "/cluster/resources", told)
        assert node.nodes() == [ClusterNode("pve1", True, 2, 0.5, 9, 4)]

    def test_what_ha_manages(self, node: ApiNode, script: Script):
        script.expect("GET", "/cluster/ha/resources", [{"sid": "ct:101", "state": "started"}, {"sid": "vm:200"}])
        assert node.ha_managed() == {101, 200}

    def test_what_is_replicated(self, node: ApiNode, script: Script):
        script.expect("GET", "/cluster/replication", [{"id": "101-0", "guest": 101, "target": "pve2"}])
        assert node.replicated() == {101}

    def test_who_may_not_ask_the_manager_learns_it_from_the_guests(self, node: ApiNode, script: Script):
        script.expect("GET", "/cluster/ha/resources", status=403, message="Permission check failed (/, Sys.Audit)")
        script.expect("GET", "/cluster/resources?type=vm", [{"vmid": 101, "hastate": "started"}, {"vmid": 102}])
        assert node.ha_managed() == {101}

    def test_another_node_is_reached_by_the_same_connection(self, node: ApiNode, script: Script):
        other = node.on("pve2")
        script.expect("GET", "/nodes/pve2/lxc", [])
        assert (other.name, other.guests("lxc"), node.on("pve1")) == ("pve2", [], node)

    @pytest.mark.parametrize(
        ("kind", "options", "body"),
        [
            ("lxc", {"running": False}, {}),
            ("lxc", {"running": True, "shutdown_timeout": 30}, {"restart": "1", "timeout": "30"}),
            ("qemu", {"running": True, "local_disks": True}, {"online": "1", "with-local-disks": "1"}),
        ],
    )
    def test_a_guest_goes_by_a_task_and_is_looked_for_afterwards(
        self, node: ApiNode, script: Script, kind: Kind, options: dict[str, t.Any], body: dict[str, str]
    ):
        script.expect("POST", f"/nodes/pve1/{kind}/101/migrate", UPID)
        task(script)
        script.expect("GET", "/cluster/resources?type=vm", [{"vmid": 101, "node": "pve2", "type": kind}])
        node.migrate(kind, 101, "pve2", timeout=60, **options)
        assert script.bodies[0] == {"target": "pve2", **body}
