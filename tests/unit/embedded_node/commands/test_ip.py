# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``ip -j`` tells the node's own network in the shape of iproute2."""

from __future__ import annotations

import json
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest

from embedded_node import bootstrap, commands

Links = list[dict[str, t.Any]]
NETS = {
    201: "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:01,ip=10.10.10.201/24",
    202: "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:02,ip=dhcp",
    203: "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:03,tag=20,ip=10.10.10.203/24",  # in another VLAN
    204: "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:04,ip=192.168.7.4/24",  # in a network that is not the node's
    205: "name=eth0,bridge=vmbr1,hwaddr=BC:24:11:00:02:05,ip=10.10.10.205/24",  # where the node has no address
    206: "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:06,ip=10.10.10.206/24",  # does not run
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    bootstrap.prepare(tmp_path, "pve1", {}, "secret", ("demo", "0"))
    return tmp_path


def ip(root: Path, *words: str) -> Links:
    code, out, err = commands.run(["ip", "-j", *words], root)
    assert (code, err) == (0, "")
    return t.cast("Links", json.loads(out))


def test_addresses_are_those_of_the_nodes_bridges(root: Path) -> None:
    links = {link["ifname"]: link for link in ip(root, "addr", "show")}
    assert links.keys() == {"eno1", "vmbr0", "vmbr1"}
    own, linked = links["vmbr0"]["addr_info"]
    assert (own["family"], own["local"], own["prefixlen"], own["scope"]) == ("inet", "10.10.10.2", 24, "global")
    assert (linked["local"].startswith("fe80::"), linked["scope"]) == (True, "link")
    assert [address["scope"] for address in links["vmbr1"]["addr_info"]] == ["link"]


def test_neighbours_are_the_running_guests_in_the_nodes_own_networks(root: Path) -> None:
    assert ip(root, "neigh", "show") == []
    for vmid, net in NETS.items():
        argv = ["pct", "create", str(vmid), "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst", "--net0", net]
        for line in (argv, ["pct", "start", str(vmid)])[: 1 if vmid == 206 else 2]:
            code, _out, err = commands.run([*line, *(["--rootfs", "local-lvm:1"] if line == argv else [])], root)
            assert code == 0, err
    first, leased = ip(root, "neigh")
    assert first == {"dst": "10.10.10.201", "dev": "vmbr0", "lladdr": "bc:24:11:00:02:01", "state": ["REACHABLE"]}
    assert (leased["lladdr"], leased["dst"].startswith("10.10.10.")) == ("bc:24:11:00:02:02", True)


@pytest.mark.parametrize("words", [["-j", "route"], ["addr"], ["-j", "neigh", "flush"], []])
def test_what_it_does_not_know_fails_loudly(root: Path, words: list[str]) -> None:
    code, out, err = commands.run(["ip", *words], root)
    assert (code, out) == (1, "")
    assert "knows only" in err


@pytest.mark.skipif(shutil.which("ip") is None, reason="iproute2 is not here")
def test_the_real_one_has_the_same_keys(root: Path) -> None:
    real = json.loads(subprocess.run(["ip", "-j", "addr", "show"], capture_output=True, check=True).stdout)
    for link in ip(root, "addr"):
        assert link.keys() <= {key for each in real for key in each}
        known = {key for each in real for own in each.get("addr_info", []) for key in own}
        assert all(own.keys() <= known for own in link["addr_info"])
