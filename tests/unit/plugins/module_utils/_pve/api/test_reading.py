# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
from scripted_requests import MISSING, Connect, Script

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    InvalidInput,
    NotFound,
    PveError,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.api.node import ApiNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    Bridge,
    GuestRef,
)


class TestReading:
    def test_guests_of_one_kind_are_one_request(self, node: ApiNode, script: Script):
        script.expect("GET", "/nodes/pve1/lxc", [{"vmid": "101", "name": "web1", "status": "running", "template": ""}])
        assert node.guests("lxc") == [GuestRef(101, "lxc", "pve1", "web1", "running")]

    def test_all_guests_are_two(self, node: ApiNode, script: Script):
        script.expect("GET", "/nodes/pve1/lxc", [{"vmid": 201, "status": "stopped", "lock": "backup"}])
        script.expect(
            "GET", "/nodes/pve1/qemu?full=1", [{"vmid": 101, "name": "vm1", "status": "stopped", "template": 1}]
        )
        assert node.guests() == [
            GuestRef(101, "qemu", "pve1", "vm1", "stopped", None, True),
            GuestRef(201, "lxc", "pve1", None, "stopped", "backup"),
        ]

    def test_a_config_that_may_not_be_read_is_left_out_and_one_that_cannot_be_is_an_error(
        self, node: ApiNode, script: Script
    ):
        guest = GuestRef(101, "lxc", "pve1")
        refused = {"status": 403, "message": "Permission check failed (/vms/101, VM.Audit)"}
        script.expect("GET", "/nodes/pve1/lxc/101/pending", **refused)
        assert node.configs([guest]) == []
        script.expect("GET", "/nodes/pve1/lxc/101/pending", status=500, message="cluster not ready - no quorum?")
        with pytest.raises(PveError, match="no quorum"):
            node.configs([guest])

    def test_only_what_says_that_a_guest_is_not_there_means_that(self, node: ApiNode, script: Script):
        script.expect("GET", "/nodes/pve1/lxc/101/pending", status=500, message=MISSING)
        assert node.config("lxc", 101) is None
        script.expect("GET", "/nodes/pve1/lxc/101/pending", status=500, message="storage 'nas' does not exist")
        with pytest.raises(NotFound, match="nas"):
            node.config("lxc", 101)

    def test_a_config_is_one_request(self, node: ApiNode, script: Script):
        script.expect(
            "GET",
            "/nodes/pve1/lxc/101/pending",
            [
                {"key": "memory", "value": 128},
                {"key": "cpulimit", "value": "0.5"},
                {"key": "description", "value": "l1\nl2\n"},
                {"key": "tty", "value": 4, "pending": 6},
                {"key": "cores", "value": 1, "delete": 1},
                {"key": "features", "pending": "nesting=1"},
                {"key": "parent", "value": "s1"},
                {"key": "digest", "value": "abc"},
            ],
        )
        config = node.config("lxc", 101)
        assert config.live["description"] == "l1\nl2"
        assert config.live["tty"] == "4"
        assert config.options["tty"] == "6"
        assert config.options["features"] == "nesting=1"
        assert "cores" not in config.options
        assert "digest" not in config.options
        assert config.pending == {"tty": "6", "cores": None, "features": "nesting=1"}
        assert (config.digest, config.snapshots) == ("abc", ("s1",))

    def test_a_guest_that_is_not_there(self, node: ApiNode, script: Script):
        script.expect("GET", "/nodes/pve1/lxc/101/pending", status=500, message=MISSING)
        assert node.config("lxc", 101) is None
        script.expect("GET", "/nodes/pve1/lxc/101/status/current", status=500, message=MISSING)
        with pytest.raises(NotFound):
            node.status("lxc", 101)

    def test_where_a_vmid_is(self, node: ApiNode, script: Script):
        resources = [
            {"vmid": 101, "node": "pve1", "type": "lxc", "status": "unknown"},
            {"vmid": 300, "node": "pve2", "type": "qemu", "status": "running"},
        ]
        script.expect("GET", "/cluster/nextid?vmid=101", **self.TAKEN)
        script.expect("GET", "/cluster/resources?type=vm", resources)
        script.expect("GET", "/nodes/pve1/lxc", [{"vmid": 101, "name": "web1", "status": "running"}])
        assert node.locate(101) == GuestRef(101, "lxc", "pve1", "web1", "running")
        script.expect("GET", "/cluster/nextid?vmid=300", **self.TAKEN)
        script.expect("GET", "/cluster/resources?type=vm", resources)
        assert node.locate(300) == GuestRef(300, "qemu", "pve2")
        script.expect("GET", "/cluster/nextid?vmid=102", "102")
        assert node.locate(102) is None

    TAKEN: t.ClassVar[dict[str, t.Any]] = {
        "status": 400,
        "message": "Parameter verification failed.",
        "errors": {"vmid": "VM 102 already exists"},
    }

    def test_a_guest_that_the_clusters_list_does_not_know_yet_is_found(self, node: ApiNode, script: Script):
        script.expect("GET", "/cluster/nextid?vmid=102", **self.TAKEN)
        script.expect("GET", "/cluster/resources?type=vm", [])
        script.expect("GET", "/nodes/pve1/lxc", [])
        script.expect("GET", "/nodes/pve1/qemu?full=1", [])
        script.expect("GET", "/cluster/resources?type=vm", [])
        nodes = [{"node": name, "status": "online"} for name in ("pve1", "pve2")]
        script.expect("GET", "/nodes", [*nodes, {"node": "pve3", "status": "offline"}])
        script.expect("GET", "/nodes/pve2/lxc", [{"vmid": 102, "name": "db", "status": "running"}])
        script.expect("GET", "/nodes/pve2/qemu?full=1", [])
        assert node.locate(102) == GuestRef(102, "lxc", "pve2", "db")

    def test_a_guest_that_may_not_be_seen_is_no_free_vmid(self, node: ApiNode, script: Script):
        script.expect("GET", "/cluster/nextid?vmid=102", **self.TAKEN)
        script.expect("GET", "/cluster/resources?type=vm", [])
        script.expect("GET", "/nodes/pve1/lxc", [])
        script.expect("GET", "/nodes/pve1/qemu?full=1", [])
        script.expect("GET", "/cluster/resources?type=vm", [])
        script.expect("GET", "/nodes", [{"node": "pve1", "status": "online"}])
        with pytest.raises(InvalidInput, match=r"VM\.Audit on /vms/102"):
            node.locate(102)

    def test_a_name_is_looked_for_on_the_other_nodes_only_where_this_one_has_it_not(
        self, node: ApiNode, script: Script
    ):
        mine = [{"vmid": 101, "name": "Web1", "status": "running"}]
        script.expect("GET", "/nodes/pve1/lxc", mine)
        assert node.named("lxc", "web1") == [GuestRef(101, "lxc", "pve1", "Web1", "running")]
        script.expect("GET", "/nodes/pve1/lxc", mine)
        script.expect("GET", "/cluster/resources?type=vm", [{"vmid": 300, "node": "pve2", "type": "lxc", "name": "db"}])
        script.expect("GET", "/nodes", [{"node": "pve1", "status": "online"}, {"node": "pve2", "status": "online"}])
        script.expect("GET", "/nodes/pve2/lxc", [{"vmid": 300, "name": "db"}, {"vmid": 301, "name": "db"}])
        assert [guest.vmid for guest in node.named("lxc", "db")] == [300, 301]

    def test_creations_by_this_login_that_are_under_way(self, connect: Connect, script: Script):
        tasks = [
            {"type": "vzcreate", "id": "105", "user": "root@pam"},
            {"type": "vzcreate", "id": "106", "user": "ops@pve"},
            {"type": "vzcreate", "id": "107", "user": "root@pam", "endtime": 5},
            {"type": "vzrestore", "id": "108", "user": "root@pam"},
            {"type": "vzcreate", "id": "109", "user": "root@pam"},
        ]
        node = connect(node="pve1", api_user="root@pam")
        node.journal[109] = {}
        script.expect("GET", "/nodes/pve1/tasks?source=active", tasks)
        assert node.being_made("lxc") == [105]

    def test_storages(self, node: ApiNode, script: Script):
        entry = {
            "storage": "local",
            "type": "dir",
            "content": "iso,vztmpl",
            "active": 1,
            "total": 9,
            "avail": 5,
            "used": 4,
        }
        script.expect("GET", "/nodes/pve1/storage", [entry, {"storage": "off", "type": "nfs", "enabled": 0}])
        local, off = node.storages()
        assert (local.content, local.active, local.total, local.available) == ({"iso", "vztmpl"}, True, 9, 5)
        assert (off.enabled, off.active, off.total) == (False, False, None)

    def test_bridges(self, node: ApiNode, script: Script):
        script.expect(
            "GET",
            "/nodes/pve1/network?type=any_bridge",
            [
                {"iface": "vmbr0", "type": "bridge", "cidr": "10.0.0.2/24", "mtu": "9000", "bridge_vlan_aware": 1},
                {"iface": "lan1", "type": "vnet"},
            ],
        )
        vmbr0 = Bridge("vmbr0", "bridge", 9000, ("10.0.0.2/24",), True)
        assert node.bridges() == [vmbr0, Bridge("lan1", "vnet", 1500, vlan_aware=None)]

    def test_pools_and_their_members(self, node: ApiNode, script: Script):
        script.expect("GET", "/pools", [{"poolid": "web"}, {"poolid": "empty"}])
        script.expect("GET", "/cluster/resources?type=vm", [{"vmid": 101, "pool": "web"}, {"vmid": 102}])
        assert node.pools() == {"web": frozenset({101}), "empty": frozenset()}

    def test_volumes_and_addresses(self, node: ApiNode, script: Script):
        script.expect("GET", "/nodes/pve1/storage/local/content?content=iso", [{"volid": "local:iso/a.iso", "size": 1}])
        assert node.volumes("local", "iso")[0].volid == "local:iso/a.iso"
        script.expect("GET", "/nodes/pve1/lxc/101/interfaces", None)
        assert node.interfaces("lxc", 101) == []

    def test_the_next_vmid_asks_again_only_for_those_to_skip(self, node: ApiNode, script: Script):
        script.expect("GET", "/cluster/nextid", "100")
        assert node.next_vmid() == 100
        script.expect("GET", "/cluster/nextid", "100")
        taken = {"vmid": "VM 101 already exists"}
        script.expect(
            "GET", "/cluster/nextid?vmid=101", status=400, message="Parameter verification failed.", errors=taken
        )
        script.expect("GET", "/cluster/nextid?vmid=102", "102")
        assert node.next_vmid(skip={100}) == 102

    @pytest.mark.parametrize(
        ("running", "expected"),
        [
            ({"type": "vzcreate", "id": "101"}, True),
            ({"type": "vzcreate", "id": "102"}, False),
            ({"type": "vzclone", "id": "7"}, True),
            ({"type": "vzstart", "id": "101"}, False),
            ({"type": "vzcreate", "id": "101", "endtime": 5}, False),
        ],
    )
    def test_who_is_creating(self, node: ApiNode, script: Script, running: dict[str, t.Any], expected: bool):
        script.expect("GET", "/nodes/pve1/tasks?source=active", [running])
        assert node.busy("lxc", 101) is expected
