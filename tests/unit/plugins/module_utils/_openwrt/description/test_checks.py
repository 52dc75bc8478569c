# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one declaration says twice, or beside the node, and names that are too long for Linux."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._openwrt.description.declared import (
    LAN,
    findings,
)


def two(first: dict[str, t.Any], second: dict[str, t.Any]) -> dict[str, t.Any]:
    return {"interfaces": {"wan": first, "lan": {**second, "proto": "none"}}}


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ({"bridge": "vmbr0"}, {"bridge": "vmbr0"}, True),
        ({"bridge": "vmbr0", "tag": 5}, {"bridge": "vmbr0", "tag": 5}, True),
        ({"bridge": "vmbr0"}, {"bridge": "vmbr0", "tag": 5}, False),
        ({"bridge": "vmbr0"}, {"bridge": "vmbr1"}, False),
    ],
)
def test_two_interfaces_in_one_segment_are_refused(first: t.Any, second: t.Any, refused: bool) -> None:
    if refused:
        assert "already used by wan" in findings(two(first, second))["interfaces.lan.bridge"]
    else:
        parse(two(first, second))
    parse({**two(first, second), "allow_shared_segment": True})


NODE = {"vmbr0": ["192.168.1.10/24"], "vmbr1.20": ["10.0.0.5/24"]}


@pytest.mark.parametrize(
    ("port", "refused"),
    [
        ({"bridge": "vmbr0"}, True),
        ({"bridge": "vmbr0", "tag": 20}, False),
        ({"bridge": "vmbr1"}, False),
        ({"bridge": "vmbr1", "tag": 20}, True),
    ],
)
def test_a_dhcp_server_beside_the_node_itself_is_refused(port: t.Any, refused: bool) -> None:
    declared = {"interfaces": {"lan": {**LAN, **port, "dhcp_server": True}}}
    if refused:
        found = findings(declared, node_addresses=NODE)
        assert "carries the node's own address" in found["interfaces.lan.dhcp_server"]
        parse({**declared, "allow_shared_segment": True}, NODE)
    else:
        parse(declared, NODE)
    parse({"interfaces": {"lan": {**LAN, **port}}}, NODE)


def test_the_nodes_own_address_is_taken() -> None:
    found = findings({"interfaces": {"lan": {"bridge": "vmbr0", "address": "192.168.1.10/24"}}}, node_addresses=NODE)
    assert "node's own" in found["interfaces.lan.address"]


PPPOE = {"bridge": "vmbr0", "proto": "pppoe", "username": "me", "password": "hunter2"}


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"interfaces": {"wan_fibre": PPPOE}}, {}),
        ({"interfaces": {"wan_fibre1": PPPOE}}, {"interfaces.wan_fibre1": "pppoe-wan_fibre1"}),
        ({"uci": {"network": {"wan_fibre1": {".type": "interface", "proto": "pppoe"}}}}, "pppoe-wan_fibre1"),
        ({"uci": {"network": {"a_long_network": {".type": "interface", "type": "bridge"}}}}, "br-a_long_network"),
        ({"uci": {"network": {"wg_of_the_office": {".type": "interface", "proto": "wireguard"}}}}, "wg_of_the_office"),
        ({"uci": {"network": {"x": {".type": "device", "name": "br-of_the_guests"}}}}, "br-of_the_guests"),
        ({"uci": {"network": {"@device": [{"name": "br-of_the_guests"}]}}}, "br-of_the_guests"),
        ({"uci": {"network": {"a_very_long_but_good_name": {".type": "interface", "proto": "static"}}}}, {}),
        ({"uci": {"network": {"wg0": None}}}, {}),
    ],
)
def test_a_device_has_15_characters_for_its_name(declared: t.Any, told: t.Any) -> None:
    whole = {"interfaces": {"lan": LAN}, **declared}
    if not told:
        parse(whole)
        return
    (problem,) = findings(whole).values()
    device = told if isinstance(told, str) else next(iter(told.values()))
    assert problem == f"makes a device called {device}, longer than the 15 characters that Linux takes"
