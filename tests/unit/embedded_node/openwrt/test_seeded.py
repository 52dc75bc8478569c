# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection seeds, started as a guest: ``uci`` takes it, netifd runs it, nothing undeclared is ever heard."""

from __future__ import annotations

import time
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse
from ansible_collections.pve.provision.plugins.module_utils._openwrt.live import EXPORT, drift
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import seed

from .support import Box, box

if t.TYPE_CHECKING:
    from pathlib import Path

VERSIONS = ("23.05.6", "24.10.4", "25.12.0")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKy3Zb1jvX8r7mJ0m2m0m2m0m2m0m2m0m2m0m2m0m2m0 admin"
CONF = """\
arch: amd64
hostname: owrt
memory: 256
ostype: unmanaged
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:AA:01,type=veth
net1: name=eth1,bridge=vmbr1,hwaddr=BC:24:11:00:AA:02,tag=20,type=veth
net2: name=eth2,bridge=vmbr1,hwaddr=BC:24:11:00:AA:03,tag=30,type=veth
"""
ROUTER = {
    "interfaces": {
        "wan": {"bridge": "vmbr0", "proto": "dhcp"},
        "lan": {
            "bridge": "vmbr1",
            "tag": 20,
            "proto": "static",
            "address": "192.168.20.1/24",
            "dhcp_server": {"start": 100, "limit": 150},
        },
        "iot": {
            "bridge": "vmbr1",
            "tag": 30,
            "proto": "static",
            "address": "192.168.30.1/24",
            "forward_to": ["wan"],
        },
    },
    "management": {"from": ["lan"], "ssh_keys": [KEY]},
}
APPLIANCE = {
    "interfaces": {"lan": {"bridge": "vmbr0", "proto": "dhcp"}},
    "management": {"from": ["lan"], "ssh_keys": [KEY]},
}


def started(folder: Path, declared: dict[str, t.Any], version: str) -> Box:
    """A guest that was seeded before its first start."""
    made = box(folder, version, CONF)

    def read(name: str) -> bytes | None:
        path = made.root / name
        return path.read_bytes() if path.is_file() else None

    for name, (mode, content) in seed(read, parse(declared), version).items():
        made.write(name, content.decode(), mode)
    made.start()
    time.sleep(0.4)
    return made


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("declared", [ROUTER, APPLIANCE], ids=["router", "appliance"])
def test_uci_takes_every_seed_and_sees_no_drift(tmp_path: Path, declared: dict[str, t.Any], version: str) -> None:
    guest = started(tmp_path, declared, version)
    rc, export, err = guest.run(*EXPORT)
    assert (rc, err) == (0, "")
    assert drift(export, parse(declared), version).words == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_router_is_heard_where_it_was_declared_and_nowhere_else(tmp_path: Path, version: str) -> None:
    guest = started(tmp_path, ROUTER, version)
    v4 = {(bridge, tag, value) for bridge, tag, value in guest.heard("address") if ":" not in value}
    assert {one for one in v4 if one[0] == "vmbr1"} == {
        ("vmbr1", 20, "192.168.20.1/24"),
        ("vmbr1", 30, "192.168.30.1/24"),
    }
    assert [value.startswith("203.0.113.") for bridge, _tag, value in v4 if bridge == "vmbr0"] == [True]
    assert guest.heard("dhcp_server") == [("vmbr1", 20, "192.168.20.1/24")]
    assert {(bridge, tag) for bridge, tag, _mode in guest.heard("ra")} <= {("vmbr1", 20)}
    assert guest.run("ip", "-4", "-o", "addr")[1].count("inet ") == 4


@pytest.mark.parametrize("version", VERSIONS)
def test_an_appliance_serves_nobody(tmp_path: Path, version: str) -> None:
    guest = started(tmp_path, APPLIANCE, version)
    assert guest.heard("dhcp_server") == guest.heard("ra") == []
    assert [(bridge, value[:10]) for bridge, _tag, value in guest.heard("address")] == [("vmbr0", "203.0.113.")]
