# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which interface is at which port of the guest."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Port, place
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._openwrt.description.declared import LAN

NET0, NET1 = Port(0, "eth0", "BC:24:11:00:00:01", "vmbr0.10"), Port(1, "eth1", "BC:24:11:00:00:02", "vmbr1.20")

WAN = {"bridge": "vmbr0", "tag": 10}
TRUNK = {**LAN, "bridge": "vmbr1", "tag": 20}
DMZ = {"bridge": "vmbr1", "tag": 50}
MOVED = {**TRUNK, "tag": 21}
INSIDE = {"wan": "eth0", "lan": "eth1"}


@pytest.mark.parametrize(
    ("interfaces", "told", "placed"),
    [
        ({"wan": WAN, "lan": TRUNK}, INSIDE, "wan=0:eth0 lan=1:eth1"),
        ({"lan": TRUNK, "wan": WAN}, INSIDE, "lan=1:eth1 wan=0:eth0"),
        ({"lan": TRUNK, "wan": WAN}, {}, "lan=1:eth1 wan=0:eth0"),
        ({"lan": TRUNK, "dmz": DMZ, "wan": WAN}, INSIDE, "lan=1:eth1 dmz=2:eth2 wan=0:eth0"),
        ({"lan": TRUNK, "dmz": DMZ, "wan": WAN}, {}, "lan=1:eth1 dmz=2:eth2 wan=0:eth0"),
        # The router says which is which, wherever a port is plugged now.
        ({"lan": MOVED, "wan": WAN}, INSIDE, "lan=1:eth1 wan=0:eth0"),
        ({"lan": WAN, "wan": TRUNK}, INSIDE, "lan=1:eth1 wan=0:eth0"),
        # Nobody can look inside: by MAC address, by segment, and what is left by order.
        ({"lan": {**MOVED, "hwaddr": "bc:24:11:00:00:02"}, "wan": WAN}, {}, "lan=1:eth1 wan=0:eth0"),
        ({"lan": MOVED, "wan": WAN}, {}, "lan=1:eth1 wan=0:eth0"),
        # One goes, another comes: on the same segment it is the same port, else a new one.
        ({"wan": WAN, "office": TRUNK}, INSIDE, "wan=0:eth0 office=1:eth1"),
        ({"wan": WAN, "dmz": DMZ}, INSIDE, "wan=0:eth0 dmz=2:eth2"),
        ({"lan": TRUNK}, INSIDE, "lan=1:eth1"),
    ],
)
def test_an_interface_keeps_its_port_whatever_the_order(interfaces: t.Any, told: dict[str, str], placed: str) -> None:
    found = place(parse({"interfaces": interfaces}), [NET0, NET1], told)
    assert " ".join(f"{each.name}={each.number}:{each.device}" for each in found.interfaces) == placed


def test_a_new_port_takes_the_next_free_number_of_a_container_and_the_last_of_a_vm() -> None:
    """Linux names a VM's network cards by their order: one in between would take another's name at the next boot."""
    description = parse({"interfaces": {"wan": WAN, "lan": TRUNK, "dmz": DMZ}})
    ports = [NET0, Port(2, "eth2", "", "vmbr1.20")]
    assert place(description, ports, {}).interfaces[2].number == 1
    ports = [NET0, Port(2, "eth1", "", "vmbr1.20")]
    last = place(description, ports, {}, append=True).interfaces[2]
    assert (last.number, last.device) == (3, "eth2")
