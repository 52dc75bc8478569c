# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.segments import addresses_on, make_link

OWN = "198.51.100.2/24"
BRIDGES: dict[str, dict[str, t.Any]] = {
    "eno1": {}, "eno2": {}, "eno3": {},
    "bond0": {"bond-slaves": "eno1 eno2"},
    "vmbr0": {"bridge-ports": "bond0", "bridge-vlan-aware": "yes"},
    "vmbr1": {"bridge-ports": "none"},
    "vmbr30": {"bridge-ports": "bond0.30"}, "bond0.30": {},
    "vmbr3": {"bridge_ports": "eno3"},
    "vmbr4": {"ovs_type": "OVSBridge", "ovs_ports": "mgmt"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("device", "options", "bridge", "tag"),
    [
        ("vmbr0", BRIDGES["vmbr0"], "vmbr0", None),
        ("vmbr0.20", {}, "vmbr0", 20),
        ("vlan20", {"vlan-raw-device": "vmbr0"}, "vmbr0", 20),
        ("mgmt20", {"vlan_raw_device": "vmbr0", "vlan_id": "20"}, "vmbr0", 20),
        ("bond0.20", {}, "vmbr0", 20),
        ("vlan20", {"vlan-raw-device": "bond0"}, "vmbr0", 20),
        ("bond0", BRIDGES["bond0"], "vmbr0", None),
        ("eno1", {}, "vmbr0", None),
        ("eno3.7", {}, "vmbr3", 7),
        ("vmbr30", BRIDGES["vmbr30"], "vmbr0", 30),
        ("vmbr0.30", {}, "vmbr30", None),
        ("mgmt", {"ovs_type": "OVSIntPort", "ovs_bridge": "vmbr4", "ovs_options": "tag=50"}, "vmbr4", 50),
        ("mgmt", {"type": "OVSIntPort", "ovs_bridge": "vmbr4", "ovs_tag": 50}, "vmbr4", 50),
    ],
)
def test_the_node_is_where_its_address_leads(device: str, options: dict[str, t.Any], bridge: str, tag: int | None):
    links = [make_link(name, (), each) for name, each in BRIDGES.items() if name != device]
    links.append(make_link(device, [OWN], options))
    assert addresses_on(links, bridge, tag) == [OWN]
    assert addresses_on(links, "vmbr1", tag) == []
    assert addresses_on(links, bridge, 99) == []


def test_devices_that_lead_to_each_other_end_somewhere():
    links = [make_link("a", [OWN], {"bridge-ports": "b"}), make_link("b", (), {"bridge-ports": "a"})]
    assert addresses_on(links, "a", None) in ([OWN], [])
