# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PVE tells cloud-init, held against a VM's options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.dump import (
    Card,
    check_network,
    check_user,
    read_network,
    read_user,
)
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.network import NET

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJk0wZrCq0S1xwT1XqvQ8m3m7n5nq3c3wYH3fYQ0C1aV me@x"
USER = f"""\
#cloud-config
hostname: web1
manage_etc_hosts: true
fqdn: web1.example.org
user: alice
password: $5$salt$sum
ssh_authorized_keys:
  - {KEY}
chpasswd:
  expire: False
users:
  - default
package_upgrade: true
"""
OPTIONS = {
    "name": "web1.example.org",
    "ciuser": "alice",
    "cipassword": "$5$salt$sum",
    "sshkeys": f"{KEY}\n",
    "net0": "virtio=BC:24:11:00:03:36,bridge=vmbr0",
    "net1": "virtio=BC:24:11:00:03:37,bridge=vmbr1",
    "net2": "virtio=BC:24:11:00:03:38,bridge=vmbr1",
    "ipconfig0": "ip=10.99.4.2/16,gw=10.99.0.1,ip6=2001:db8::2/64,gw6=2001:db8::1",
    "ipconfig1": "ip=dhcp,ip6=auto",
    "nameserver": "10.99.0.1 2001:db8::53",
    "searchdomain": "a.example.org",
}
NETWORK = """\
version: 1
config:
    - type: physical
      name: eth0
      mac_address: 'bc:24:11:00:03:36'
      subnets:
      - type: static
        address: '10.99.4.2'
        netmask: '255.255.0.0'
        gateway: '10.99.0.1'
      - type: static6
        address: '2001:db8::2/64'
        gateway: '2001:db8::1'
    - type: physical
      name: eth1
      mac_address: 'bc:24:11:00:03:37'
      subnets:
      - type: dhcp4
      - type: ipv6_slaac
    - type: nameserver
      address:
      - '10.99.0.1'
      - '2001:db8::53'
      search:
      - 'a.example.org'
"""


def test_the_settings_of_the_user_are_read():
    told = read_user(USER)
    assert told["user"] == "alice"
    assert told["ssh_authorized_keys"] == [KEY]
    assert told["users"] == ["default"]
    assert told["package_upgrade"] == "true"


def test_the_network_is_read():
    told = read_network(NETWORK)
    assert told.cards[1] == Card("eth1", "bc:24:11:00:03:37", ({"type": "dhcp4"}, {"type": "ipv6_slaac"}))
    assert (told.nameservers, told.search) == (("10.99.0.1", "2001:db8::53"), ("a.example.org",))


def test_data_that_are_as_declared_have_nothing_against_them():
    assert list(check_user(OPTIONS, USER)) == []
    assert list(check_network(OPTIONS, NETWORK, NET)) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ciuser": "bob"}, "user is alice, and bob is declared"),
        ({"name": "web2"}, "hostname is web1, and web2 is declared"),
        ({"ciupgrade": "0"}, "package_upgrade is true, and None is declared"),
        ({"cipassword": "$5$other$sum"}, "password is ********, and ******** is declared"),
        ({"sshkeys": ""}, f"ssh_authorized_keys is {[KEY]}, and None is declared"),
    ],
)
def test_settings_that_differ_are_reported_without_the_password(options: dict[str, str], told: str):
    assert list(check_user({**OPTIONS, **options}, USER)) == [told]


def test_a_password_that_a_login_may_not_see_is_not_compared():
    assert list(check_user(OPTIONS, USER.replace("$5$salt$sum", "**********"))) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"ipconfig1": "ip=dhcp"},
            "net1 has dhcp4, ipv6_slaac, and dhcp4 is declared",
        ),
        ({"ipconfig2": "ip=dhcp"}, "net2 (BC:24:11:00:03:38) is not mentioned"),
        ({"nameserver": "1.1.1.1"}, "nameserver is 10.99.0.1 2001:db8::53, and 1.1.1.1 is declared"),
        ({"ipconfig7": "ip=dhcp"}, ""),
    ],
)
def test_a_network_that_differs_is_reported(options: dict[str, str], told: str):
    assert list(check_network({**OPTIONS, **options}, NETWORK, NET)) == [told] * bool(told)


@given(st.text())
def test_whatever_is_no_such_data_is_read_as_little(text: str):
    assert isinstance(read_user(text), dict)
    assert all(isinstance(card, Card) for card in read_network(text).cards)
