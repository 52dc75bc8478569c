# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network part of cloud-init's data: each of its forms gives the cards what it says."""

from __future__ import annotations

import typing as t

import pytest

from embedded_node.cloud import network
from embedded_node.guest.runtime import Configured
from embedded_node.state.rootfs import GuestFiles

if t.TYPE_CHECKING:
    from pathlib import Path

MACS = ("bc:24:11:00:00:01", "bc:24:11:00:00:02")
OF_PVE = """version: 1
config:
    - type: physical
      name: eth0
      mac_address: 'bc:24:11:00:00:01'
      subnets:
      - type: static
        address: '10.0.0.5'
        netmask: '255.255.255.0'
        gateway: '10.0.0.1'
      - type: static6
        address: '2001:db8::5/64'
        gateway: '2001:db8::1'
    - type: physical
      name: eth1
      mac_address: 'BC:24:11:00:00:02'
      subnets:
      - type: dhcp4
    - type: nameserver
      address:
      - '10.0.0.53'
"""
NETPLAN = """network:
  version: 2
  ethernets:
    uplink:
      match: {macaddress: "BC:24:11:00:00:02"}
      set-name: wan0
      addresses: [192.0.2.7/28, "2001:db8:1::7/64"]
      routes: [{to: default, via: 192.0.2.1}]
    eth0: {dhcp4: true}
"""
DEBIAN = """auto lo
iface lo inet loopback

        dns_nameservers 10.0.0.53
auto eth0
iface eth0 inet static
        address 10.0.0.5
        netmask 255.255.255.0
        gateway 10.0.0.1
iface eth0 inet6 static
        address 2001:db8::5
        netmask 64
auto eth1
iface eth1 inet dhcp
"""


@pytest.mark.parametrize(("text", "first", "second"), [
    (OF_PVE, Configured("eth0", ("10.0.0.5/24", "2001:db8::5/64"), "10.0.0.1", "2001:db8::1"),
     Configured("eth1", dhcp=True)),
    (NETPLAN, Configured("eth0", dhcp=True), Configured("wan0", ("192.0.2.7/28", "2001:db8:1::7/64"), "192.0.2.1")),
    (DEBIAN, Configured("eth0", ("10.0.0.5/24", "2001:db8::5/64"), "10.0.0.1"), Configured("eth1", dhcp=True)),
    ("version: 1\nconfig:\n    - type: nameserver\n", None, None),
    ("version: 2\nethernets: {ens18: {match: {name: 'eth*'}, dhcp4: true}}\n",
     Configured("eth0", dhcp=True), Configured("eth1", dhcp=True)),
    ("version: 1\nconfig: [{type: physical, name: eth0, subnets: [{type: static, address: 10.1.0.2/16}]}]\n",
     Configured("eth0", ("10.1.0.2/16",)), None),
])  # fmt: skip
def test_every_form_is_understood(
    tmp_path: Path, text: str, first: Configured | None, second: Configured | None
) -> None:
    files = GuestFiles(tmp_path)
    network.write(files, network.read(text))
    assert [network.configured(files, MACS).get(mac) for mac in MACS] == [first, second]


@pytest.mark.parametrize("text", ["", "- a list\n", "version: 3\n", "just words\n"])
def test_what_is_no_network_part_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither version 1 nor version 2"):
        network.read(text)


def test_a_guest_without_netplan_has_nothing(tmp_path: Path) -> None:
    assert network.configured(GuestFiles(tmp_path), MACS) == {}
