# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from scripted_commands import Script, run_container, write

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    NotFound,
    PveError,
    Unreachable,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.cli import root as cli_root
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    Bridge,
    GuestRef,
)


class TestReadingStartsNoCommand:
    """The fixture ``script`` expects nothing: a command would fail the test."""

    def test_a_guest(self, node: CliNode, root: Path):
        config = node.config("lxc", 101)
        assert config.options["hostname"] == "web1"
        assert node.status("lxc", 101) == "stopped"
        run_container(root)
        assert node.status("lxc", 101) == "running"

    def test_a_guest_that_is_not_there(self, node: CliNode):
        assert node.config("lxc", 999) is None
        with pytest.raises(NotFound, match=r"nodes/pve1/lxc/999\.conf"):
            node.status("lxc", 999)

    def test_all_guests(self, node: CliNode, root: Path):
        write(root, "etc/pve/nodes/pve1/lxc/7.conf", "arch: amd64\nlock: create\n")
        write(root, "etc/pve/nodes/pve1/qemu-server/200.conf", "#x\nname: vm1\ntemplate: 1\n\n[s1]\nname: old\n")
        write(root, "run/qemu-server/200.pid", "123\n")
        run_container(root)
        assert node.guests() == [
            GuestRef(7, "lxc", "pve1", "CT7", "stopped", "create"),
            GuestRef(101, "lxc", "pve1", "web1", "running"),
            GuestRef(200, "qemu", "pve1", "vm1", "running", None, True),
        ]
        assert [guest.vmid for guest in node.guests("qemu")] == [200]

    def test_where_a_vmid_is(self, node: CliNode, root: Path):
        ids = {"101": {"node": "pve1", "type": "lxc"}, "300": {"node": "pve2", "type": "qemu"}}
        write(root, "etc/pve/.vmlist", json.dumps({"version": 1, "ids": ids}))
        assert node.locate(101) == GuestRef(101, "lxc", "pve1", "web1", "stopped")
        assert node.locate(300) == GuestRef(300, "qemu", "pve2")
        assert node.locate(102) is None

    def test_the_next_vmid_is_the_lowest_free_one_in_bounds(self, node: CliNode, root: Path):
        ids = {str(vmid): {"node": "pve1", "type": "lxc"} for vmid in (100, 101, 103)}
        write(root, "etc/pve/.vmlist", json.dumps({"ids": ids}))
        assert node.next_vmid() == 102
        assert node.next_vmid(skip={102}) == 104
        write(root, "etc/pve/datacenter.cfg", "next-id: lower=103,upper=105\n")
        assert node.next_vmid() == 104
        with pytest.raises(PveError, match="103 to 104"):
            node.next_vmid(skip={104})

    def test_volumes_of_a_directory(self, node: CliNode, root: Path):
        write(root, "store/template/cache/a.tar.gz", "x")
        write(root, "etc/pve/storage.cfg", f"dir: store\n\tpath {root}/store\n\tcontent vztmpl\n")
        assert [volume.volid for volume in node.volumes("store")] == ["store:vztmpl/a.tar.gz"]
        assert node.files.volume_path("store:vztmpl/a.tar.gz") == root / "store/template/cache/a.tar.gz"
        with pytest.raises(NotFound, match="'nope'"):
            node.volumes("nope")

    def test_pools_and_paths(self, node: CliNode, root: Path):
        write(root, "etc/pve/user.cfg", "pool:web:c:101:local:\n")
        write(root, "srv/data/x", "")
        assert node.pools() == {"web": frozenset({101})}
        assert node.files.has("/srv/data")
        assert node.files.has(f"{root}/srv/data")
        assert not node.files.has("/srv/nothing")

    def test_starting_what_runs_and_stopping_what_does_not(self, node: CliNode, root: Path):
        node.stop("lxc", 101, timeout=5)
        node.shutdown("lxc", 101, timeout=5, force=True)
        run_container(root)
        node.start("lxc", 101, timeout=5)

    def test_resizing_to_the_size_it_has(self, node: CliNode):
        node.resize("lxc", 101, "rootfs", "3072M", timeout=5)


def test_who_may_not_read_is_told_to_become_root(node: CliNode, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str | Path, _mode: str = "") -> t.NoReturn:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    monkeypatch.setattr(cli_root, "open", refuse, raising=False)
    for verb in (node.guests, node.storages, lambda: node.config("lxc", 101)):
        with pytest.raises(Unreachable, match="No permission to read") as caught:
            verb()
        assert "become" in caught.value.remedy


def test_where_the_file_system_of_the_cluster_is_down_that_is_reported(node: CliNode, root: Path) -> None:
    for name in ("nodes/pve1/lxc/101.conf", "storage.cfg"):
        path = root / "etc/pve" / name
        path.unlink(missing_ok=True)
        path.symlink_to(path)
    for verb in (node.guests, node.storages, lambda: node.config("lxc", 101), lambda: list(node.files.guest_configs())):
        with pytest.raises(Unreachable, match="cannot be read: Too many levels") as caught:
            verb()
        assert "pve-cluster" in caught.value.remedy


class TestReadingThatTakesACommand:
    def test_bridges_and_vnets(self, node: CliNode, root: Path, script: Script):
        for name in ("vmbr0", "vmbr1", "eno1", "lan1"):
            write(root, f"sys/class/net/{name}/mtu", "9000\n" if name == "vmbr0" else "1500\n")
        for name in ("vmbr0", "lan1"):
            write(root, f"sys/class/net/{name}/bridge/vlan_filtering", "1\n" if name == "vmbr0" else "0\n")
        write(
            root,
            "etc/network/interfaces",
            "iface vmbr0 inet static\n\taddress 10.0.0.2/24\niface vmbr1 inet manual\n\tovs_type OVSBridge\n",
        )
        write(root, "etc/pve/sdn/vnets.cfg", "vnet: lan1\n\tzone z\n\nvnet: far\n\tzone elsewhere\n")
        write(root, "etc/pve/sdn/zones.cfg", "simple: z\n\nsimple: elsewhere\n\tnodes pve2\n")
        own = [{"family": "inet", "local": "10.0.0.3", "prefixlen": 24}, {"local": "fd00::3", "prefixlen": 64}]
        links = [{"ifname": "lo", "addr_info": []}, {"ifname": "vmbr0", "addr_info": own}]
        script.expect("ip -j addr show", out=json.dumps(links))
        assert node.bridges() == [
            Bridge("lan1", "vnet", 1500),
            Bridge("vmbr0", "bridge", 9000, ("10.0.0.3/24", "fd00::3/64"), True),
            Bridge("vmbr1", "OVSBridge", 1500, (), True),
        ]

    def test_storages_with_their_capacity(self, node: CliNode, root: Path, script: Script):
        write(root, "etc/pve/storage.cfg", "dir: local\n\tpath /x\n\tcontent iso\n\nlvmthin: thin\n\tdisable\n")
        script.expect(
            "pvesm status",
            out="Name Type Status Total (KiB) Used (KiB) Available (KiB) %\n"
            "local dir active 1000 400 500 40.00%\nthin lvmthin disabled 0 0 0 N/A\n",
        )
        local, thin = node.storages()
        assert (local.total, local.used, local.available, local.active) == (1024000, 409600, 512000, True)
        assert (thin.enabled, thin.active, thin.total) == (False, False, None)

    def test_volumes_of_what_is_no_directory(self, node: CliNode, root: Path, script: Script):
        write(root, "etc/pve/storage.cfg", "lvmthin: thin\n\tvgname pve\n")
        answer = [{"volid": "thin:vm-101-disk-0", "content": "rootdir", "size": 5, "vmid": 101, "ctime": 9}]
        path = "/nodes/pve1/storage/thin/content"
        script.expect(f"pvesh get {path} --content rootdir --output-format json", out=json.dumps(answer))
        assert node.volumes("thin", "rootdir")[0].ctime == 9

    def test_addresses(self, node: CliNode, script: Script):
        script.expect("pvesh get /nodes/pve1/lxc/101/interfaces --output-format json", out="null\n")
        script.expect("pvesh get /nodes/pve1/qemu/200/agent/network-get-interfaces --output-format json", out="{}")
        assert node.interfaces("lxc", 101) == []
        assert node.interfaces("qemu", 200) == []

    @pytest.mark.parametrize(
        ("entry", "heard"),
        [
            ({"dst": "10.0.0.5", "dev": "vmbr0", "lladdr": "bc:24:11:00:00:0a", "state": ["REACHABLE"]}, True),
            ({"dst": "10.0.0.5", "dev": "vmbr0", "lladdr": "bc:24:11:00:00:0a", "state": ["STALE"]}, True),
            ({"dst": "10.0.0.5", "dev": "vmbr0", "lladdr": "bc:24:11:00:00:0a", "state": ["DELAY"]}, True),
            ({"dst": "10.0.0.5", "dev": "vmbr0", "lladdr": "bc:24:11:00:00:0a", "state": ["PERMANENT"]}, True),
            ({"dst": "fd00::5", "lladdr": "bc:24:11:00:00:0a", "router": None, "state": ["STALE"]}, True),
            ({"dst": "fe80::be24:11ff:fe00:a", "lladdr": "bc:24:11:00:00:0a", "state": ["REACHABLE"]}, False),
            ({"dst": "169.254.0.5", "lladdr": "bc:24:11:00:00:0a", "state": ["REACHABLE"]}, False),
            ({"dst": "10.0.0.5", "dev": "vmbr0", "lladdr": "bc:24:11:00:00:0a", "state": ["FAILED"]}, False),
            ({"dst": "10.0.0.5", "dev": "vmbr0", "state": ["FAILED"]}, False),
            ({"dst": "10.0.0.5", "dev": "vmbr0", "state": ["INCOMPLETE"]}, False),
        ],
        ids=lambda value: "".join(value["state"]) + value["dst"] if isinstance(value, dict) else "",
    )
    def test_a_neighbour(self, node: CliNode, script: Script, entry: dict[str, t.Any], heard: bool):
        script.expect("ip -j neigh show", out=json.dumps([entry]))
        assert node.neighbours() == ({"BC:24:11:00:00:0A": [entry["dst"]]} if heard else {})

    def test_the_address_a_neighbour_was_seen_at_last_comes_first(self, node: CliNode, script: Script):
        states = {"10.0.0.7": "STALE", "10.0.0.5": "REACHABLE", "10.0.0.6": "STALE"}
        entries = [{"dst": dst, "lladdr": "bc:24:11:00:00:0a", "state": [state]} for dst, state in states.items()]
        script.expect("ip -j neigh show", out=json.dumps(entries))
        assert node.neighbours() == {"BC:24:11:00:00:0A": ["10.0.0.5", "10.0.0.7", "10.0.0.6"]}

    @pytest.mark.parametrize("verb", ["bridges", "neighbours"])
    @pytest.mark.parametrize(
        ("answer", "words"),
        [({"out": "Object?\n"}, "something else than JSON: Object"), ({"rc": 1, "err": "no netlink\n"}, "no netlink")],
    )
    def test_a_kernel_that_tells_nothing(
        self, node: CliNode, script: Script, verb: str, answer: dict[str, t.Any], words: str
    ):
        script.expect(f"ip -j {'addr' if verb == 'bridges' else 'neigh'} show", **answer)
        with pytest.raises(PveError, match=words):
            getattr(node, verb)()

    def test_nobody_near(self, node: CliNode, script: Script):
        script.expect("ip -j neigh show", out="")
        assert node.neighbours() == {}
