# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The volume CONFIG, as Home Assistant OS imports it."""

from __future__ import annotations

import configparser
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.haos_config import (
    check_config,
    config_files,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA admin@example.org"
MAC = "BC:24:11:00:00:01"


def connection(interface: dict[str, t.Any], mac: str | None = None) -> configparser.ConfigParser:
    """The connection that NetworkManager would read."""
    (text,) = config_files({"network": [interface]}, "ha", [mac]).values()
    parsed = configparser.ConfigParser()
    parsed.read_string(text.decode())
    return parsed


def test_keys_lie_in_one_file_with_unix_lines() -> None:
    assert config_files({"ssh_keys": [KEY, f" {KEY}2\n"]}, "ha", []) == {"authorized_keys": f"{KEY}\n{KEY}2\n".encode()}


def test_nothing_declared_is_nothing_to_import() -> None:
    assert config_files({"ssh_keys": [], "network": None}, "ha", [None]) == {}


def test_a_connection_is_as_network_manager_keeps_it() -> None:
    declared = {
        "ip": "192.0.2.5/24",
        "gateway": "192.0.2.1",
        "nameservers": ["192.0.2.1", "2001:db8::53", "1.1.1.1"],
        "searchdomains": ["example.org"],
        "ip6": "2001:db8::5/64",
        "gateway6": "2001:db8::1",
    }
    assert (
        config_files({"network": [declared]}, "ha", [MAC])["network/net0"].decode()
        == """\
[connection]
id=net0
uuid=361e2619-c8bc-5780-a2a8-1a38f52a6cfa
type=ethernet

[ethernet]
mac-address=BC:24:11:00:00:01

[ipv4]
method=manual
address1=192.0.2.5/24,192.0.2.1
dns=192.0.2.1;1.1.1.1;
dns-search=example.org;

[ipv6]
addr-gen-mode=stable-privacy
method=manual
address1=2001:db8::5/64,2001:db8::1
dns=2001:db8::53;
"""
    )


@pytest.mark.parametrize(
    ("interface", "section", "method"),
    [
        ({}, "ipv4", "auto"),
        ({"ip": "dhcp"}, "ipv4", "auto"),
        ({"ip": "manual"}, "ipv4", "disabled"),
        ({"ip": "192.0.2.5/24"}, "ipv4", "manual"),
        ({}, "ipv6", "auto"),
        ({"ip6": "dhcp"}, "ipv6", "dhcp"),
        ({"ip6": "manual"}, "ipv6", "disabled"),
    ],
)
def test_how_an_interface_gets_its_addresses(interface: dict[str, t.Any], section: str, method: str) -> None:
    assert connection(interface)[section]["method"] == method


def test_a_connection_keeps_its_uuid_and_differs_from_others() -> None:
    one, two = (config_files({"network": [{}, {}]}, name, [MAC, MAC]) for name in ("ha", "ha2"))
    assert one == config_files({"network": [{}, {}]}, "ha", [MAC, MAC])
    assert len({*one.values(), *two.values()}) == 4


def test_without_a_mac_address_it_is_for_any_device() -> None:
    assert "ethernet" not in connection({})
    assert connection({}, MAC)["ethernet"]["mac-address"] == MAC


@pytest.mark.parametrize(
    ("network", "macs", "found"),
    [
        ([{}], [None], []),
        ([{"ip": "192.0.2.5/24", "gateway": "192.0.2.1", "ip6": "auto"}], [None], []),
        ([{}, {}], [MAC, MAC], []),
        ([{}, {}], [MAC], ["haos.network[1]"]),
        ([{}], [None, MAC], ["networks[0].hwaddr"]),
        ([{"ip": "192.0.2.5"}], [None], ["haos.network[0].ip"]),
        ([{"ip": "slaac"}], [None], ["haos.network[0].ip"]),
        ([{"ip": "2001:db8::1/64"}], [None], ["haos.network[0].ip"]),
        ([{"ip6": "192.0.2.5/24"}], [None], ["haos.network[0].ip6"]),
        ([{"gateway": "192.0.2.1"}], [None], ["haos.network[0].gateway"]),
        ([{"ip": "192.0.2.5/24", "gateway": "x"}], [None], ["haos.network[0].gateway"]),
        ([{"nameservers": ["1.1.1.1", "dns.example"]}], [None], ["haos.network[0].nameservers[1]"]),
    ],
)
def test_what_is_wrong_is_found(network: list[dict[str, t.Any]], macs: list[str | None], found: list[str]) -> None:
    assert [finding.option for finding in check_config({"network": network}, macs)] == found
