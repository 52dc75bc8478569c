# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be declared, what is meant where nothing is said, and what is refused."""

from __future__ import annotations

import contextlib
import typing as t

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.doc_fragments.router import ModuleDocFragment
from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import (
    DESCRIPTION_KEYS,
    DHCP_KEYS,
    INTERFACE_KEYS,
    IP6,
    PROTOS,
    ROLES,
    DhcpServer,
    devices,
    forwardings,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._openwrt.description.declared import (
    HASH,
    KEY,
    LAN,
    findings,
    lan,
)


@pytest.mark.parametrize(
    ("name", "declared", "role", "proto"),
    [
        ("wan", {}, "wan", "dhcp"),
        ("wan2", {}, "isolated", "dhcp"),
        ("wan2", {"role": "wan"}, "wan", "dhcp"),
        ("wan_mgmt", {}, "isolated", "dhcp"),
        ("lan", {"address": "10.0.0.1/24"}, "lan", "static"),
        ("lan_guest", {}, "isolated", "dhcp"),
        ("lan_office", {"role": "lan"}, "lan", "dhcp"),
        ("iot", {"address": "10.0.0.1/24"}, "isolated", "static"),
        ("uplink", {"role": "wan"}, "wan", "dhcp"),
        ("wan", {"role": "isolated", "proto": "none"}, "isolated", "none"),
    ],
)
def test_the_name_says_the_role_and_the_address_the_protocol(name: str, declared: t.Any, role: str, proto: str) -> None:
    interface = parse({"interfaces": {name: {"bridge": "vmbr0", **declared}}}).interfaces[0]
    assert (interface.role, interface.proto) == (role, proto)


def test_ports_are_named_in_the_declared_order() -> None:
    description = parse(
        {
            "interfaces": {
                "lan": {"bridge": "vmbr1", "tag": 20, "mtu": 1400, "hwaddr": "bc:24:11:00:00:01", "proto": "none"},
                "wan": {"bridge": "vmbr0"},
            }
        }
    )
    assert devices(description, "lxc") == [
        {"name": "eth0", "bridge": "vmbr1", "tag": 20, "mtu": 1400, "hwaddr": "BC:24:11:00:00:01"},
        {"name": "eth1", "bridge": "vmbr0"},
    ]
    assert [device["model"] for device in devices(description, "qemu")] == ["virtio", "virtio"]


def test_a_lan_reaches_every_wan_and_others_reach_what_they_say() -> None:
    net = {"bridge": "vmbr1", "proto": "none"}
    description = parse(
        {
            "interfaces": {
                "wan": {"bridge": "vmbr0"},
                "lan": {**net, "tag": 1},
                "lan2": {**net, "tag": 2, "role": "lan", "forward_to": []},
                "iot": {**net, "tag": 3},
                "guest": {**net, "tag": 4, "forward_to": ["wan", "iot"]},
            }
        }
    )
    assert forwardings(description) == [("lan", "wan"), ("guest", "wan"), ("guest", "iot")]


@pytest.mark.parametrize(
    ("declared", "meant"),
    [
        (True, DhcpServer(100, 150, "12h")),
        ({"start": 10}, DhcpServer(10, 150, "12h")),
        ({"start": "10", "limit": 20, "leasetime": "1h"}, DhcpServer(10, 20, "1h")),
        (False, None),
        (None, None),
    ],
)
def test_a_dhcp_server_is_there_when_declared(declared: object, meant: DhcpServer | None) -> None:
    assert parse(lan(dhcp_server=declared)).interfaces[0].dhcp == meant


@pytest.mark.parametrize(
    ("options", "ip6", "serves"),
    [
        ({"dhcp_server": True}, "", False),
        ({"dhcp_server": True, "ip6": "pd"}, "pd", True),
        ({"ip6": "ula"}, "ula", False),
        ({"address": ["10.0.0.1/24", "fd00::1/64"], "dhcp_server": True}, "static", True),
        ({"address": ["10.0.0.1/24", "fd00::1/64"], "dhcp_server": True, "ip6": False}, "", False),
    ],
)
def test_router_advertisements_need_both_ip6_and_a_dhcp_server(options: t.Any, ip6: str, serves: bool) -> None:
    interface = parse(lan(**options)).interfaces[0]
    assert (interface.ip6, interface.serves_ip6) == (ip6, serves)


def test_management_comes_from_every_lan_unless_it_says_otherwise() -> None:
    interfaces = {"wan": {"bridge": "vmbr0"}, "lan": LAN, "lan2": {"bridge": "vmbr2", "proto": "none", "role": "lan"}}
    assert parse({"interfaces": interfaces}).management.sources == ("lan", "lan2")
    assert parse({"interfaces": interfaces, "management": {"from": "wan"}}).management.sources == ("wan",)


@pytest.mark.parametrize(
    ("management", "said"),
    [
        ({"ssh_keys": [KEY]}, []),
        ({"password_hash": HASH}, []),
        ({}, ["nobody can log in"]),
        ({"allow_empty_password": True}, ["password is empty"]),
        ({"from": [], "ssh_keys": [KEY]}, ["console and the node only"]),
    ],
)
def test_a_router_that_nobody_can_administer_is_warned_of(management: t.Any, said: list[str]) -> None:
    warnings = parse({**lan(), "management": management}).warnings
    assert len(warnings) == len(said) and all(part in text for part, text in zip(said, warnings, strict=True))


def test_a_zonename_without_its_timezone_is_warned_of() -> None:
    declared = {**lan(), "management": {"ssh_keys": [KEY]}, "zonename": "Europe/Berlin"}
    assert len(parse(declared).warnings) == 1
    assert parse({**declared, "timezone": "CET-1CEST"}).warnings == ()


def test_secrets_are_not_in_the_representation() -> None:
    description = parse({**lan(), "management": {"password_hash": HASH}})
    assert HASH not in repr(description)


@pytest.mark.parametrize(
    ("declared", "option", "problem"),
    [
        ({}, "interfaces", "declares no interface"),
        ({"interfaces": []}, "interfaces", "declares no interface"),
        ({"interfaces": {"lan": {}}}, "interfaces.lan.bridge", "no bridge"),
        ({"interfaces": {"my-lan": LAN}}, "interfaces.my-lan", "is not a valid interface name"),
        ({"interfaces": {"a" * 16: LAN}}, "interfaces." + "a" * 16, "is not a valid interface name"),
        ({"interfaces": {"loopback": LAN}}, "interfaces.loopback", "is not a valid interface name"),
        ({**lan(), "extra": 1}, "extra", "is not known"),
        (lan(adress="1.2.3.4/24"), "interfaces.lan.adress", "is not known"),
        (lan(address="192.168.20.1"), "interfaces.lan.address", "not an address with prefix"),
        (lan(address="192.168.20.0/24"), "interfaces.lan.address", "network's own"),
        (lan(address="192.168.20.255/24"), "interfaces.lan.address", "broadcast"),
        (lan(address="192.168.20.300/24"), "interfaces.lan.address", "not an address"),
        (lan(tag=4095), "interfaces.lan.tag", "number from 1 to 4094"),
        (lan(tag=True), "interfaces.lan.tag", "number"),
        (lan(mtu=100), "interfaces.lan.mtu", "number from 576"),
        (lan(queues=65), "interfaces.lan.queues", "number from 1 to 64"),
        (lan(hwaddr="01:00:5E:00:00:01"), "interfaces.lan.hwaddr", "is not possible"),
        (lan(proto="dhcpv4"), "interfaces.lan.proto", "is not possible"),
        (lan(proto="dhcp"), "interfaces.lan.proto", "takes no address"),
        ({"interfaces": {"lan": {"bridge": "b", "proto": "static"}}}, "interfaces.lan.address", "is missing"),
        (lan(gateway="10.0.0.1"), "interfaces.lan.gateway", "in none of this interface's networks"),
        ({"interfaces": {"wan": {"bridge": "b", "gateway": "10.0.0.1"}}}, "interfaces.wan.gateway", "says dhcp itself"),
        (lan(dns="dns.example"), "interfaces.lan.dns", "is not an IP address"),
        ({"interfaces": {"wan": {"bridge": "b", "proto": "pppoe"}}}, "interfaces.wan.username", "cannot log in"),
        (lan(username="me"), "interfaces.lan.username", "does not log in"),
        (lan(role="guest"), "interfaces.lan.role", "is not possible"),
        (lan(forward_to="wan"), "interfaces.lan.forward_to", "is not a declared interface"),
        (lan(forward_to=["lan"]), "interfaces.lan.forward_to", "is the interface itself"),
        (lan(ip6="auto"), "interfaces.lan.ip6", "is not possible"),
        (lan(ip6="static"), "interfaces.lan.ip6", "needs an IPv6 address"),
        (lan(dhcp_server="yes"), "interfaces.lan.dhcp_server", "is not a mapping"),
        (lan(dhcp_server={"begin": 1}), "interfaces.lan.dhcp_server.begin", "is not known"),
        (lan(dhcp_server={"start": 100, "limit": 156}), "interfaces.lan.dhcp_server", "goes beyond 192.168.20.0/24"),
        (lan(dhcp_server={"start": 0}), "interfaces.lan.dhcp_server.start", "number from 1"),
        (lan(dhcp_server={"leasetime": "long"}), "interfaces.lan.dhcp_server.leasetime", "is not possible"),
        (lan(role="wan", dhcp_server=True), "interfaces.lan.dhcp_server", "would serve DHCP upstream"),
        (
            {"interfaces": {"lan": {"bridge": "b", "dhcp_server": True}}},
            "interfaces.lan.dhcp_server",
            "no static IPv4 address",
        ),
        ({**lan(), "management": {"from": ["office"]}}, "management.from", "is not a declared interface"),
        ({**lan(), "management": {"ssh_keys": ["secret"]}}, "management.ssh_keys", "is not possible"),
        ({**lan(), "management": {"ssh_keys": [KEY + "\n" + KEY]}}, "management.ssh_keys", "is not possible"),
        ({**lan(), "management": {"password_hash": "plain"}}, "management.password_hash", "is not a password hash"),
        (
            {**lan(), "management": {"password_hash": "$y$j9T$a$b"}},
            "management.password_hash",
            "is not a password hash",
        ),
        ({**lan(), "management": {"luci": "yes"}}, "management.luci", "neither true nor false"),
        ({**lan(), "hostname": "my_host"}, "hostname", "is not possible"),
        ({**lan(), "timezone": "Central Europe"}, "timezone", "is not possible"),
        ({**lan(), "packages": ["luci; reboot"]}, "packages", "is not possible"),
        ({**lan(), "uci": ["x"]}, "uci", "is not a mapping"),
        (
            {"interfaces": {"wan": {"bridge": "a", "ip6": "pd"}, "wan6": {"bridge": "b"}}},
            "interfaces.wan6",
            "is what IPv6 on wan is called",
        ),
        (
            {"interfaces": {"lan": LAN, "iot": {"bridge": "b", "address": "192.168.20.129/25"}}},
            "interfaces.iot.address",
            "overlaps",
        ),
    ],
)
def test_this_is_refused_before_anything_is_written(declared: t.Any, option: str, problem: str) -> None:
    found = findings(declared)
    assert option in found and problem in found[option], found


def test_everything_wrong_is_reported_at_once() -> None:
    found = findings(
        {"interfaces": {"lan": {"tag": 0, "address": "x"}, "b-d": {"bridge": "v"}}, "management": {"from": "y"}}
    )
    assert set(found) >= {"interfaces.lan.bridge", "interfaces.lan.tag", "interfaces.lan.address"}
    assert set(found) >= {"interfaces.b-d", "management.from"}


def test_what_is_wrong_is_reported_once() -> None:
    assert findings({"interfaces": {"lan": {}, "wan": {}}}).keys() == {"interfaces.lan.bridge", "interfaces.wan.bridge"}
    assert list(findings(lan(address="x"))) == ["interfaces.lan.address"]


def test_a_refused_password_hash_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse({**lan(), "management": {"password_hash": "hunter2"}})
    assert "hunter2" not in str(caught.value) and "hunter2" not in str(caught.value.details)


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.just("10.0.0.1/24")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(["bridge", "tag", "address", "dhcp_server", "ip6", "from", "x"]), inner, max_size=4
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["interfaces", "management", "uci", "packages", "hostname"]), anything),
    st.dictionaries(st.sampled_from(["wan", "lan"]), anything),
)
def test_any_declaration_is_taken_or_refused_with_reasons(declared: t.Any, interfaces: t.Any) -> None:
    try:
        parse({**declared, "interfaces": interfaces})
    except InvalidInput as error:
        assert error.findings


def test_a_section_that_only_its_position_tells_is_not_deleted() -> None:
    assert findings({"interfaces": {"lan": LAN}, "uci": {"dhcp": {"@host[1]": None, "@host[name=tv]": None}}}) == {
        "uci.dhcp.@host[1]": "deletes whatever section is there by then, one a run"
    }


OPTIONS = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]


def test_every_key_of_an_interface_is_documented_and_no_other() -> None:
    documented = OPTIONS["interfaces"]["suboptions"]
    assert set(documented) == {*INTERFACE_KEYS}
    assert set(documented["dhcp_server"]["suboptions"]) == {*DHCP_KEYS}
    assert documented["proto"]["choices"] == [*PROTOS]
    assert documented["role"]["choices"] == [*ROLES]
    assert {*documented["ip6"]["choices"]} == {choice for choices in IP6.values() for choice in choices}
    assert {"interfaces", "management", "uci", "secret_names"} <= {*OPTIONS} & {*DESCRIPTION_KEYS}


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INTERFACE_KEYS) | st.text(max_size=3), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["wan", "lan", "x y", ""]), odd, max_size=3) | odd, odd, odd)
def test_whatever_is_declared_is_read_or_told(interfaces: t.Any, uci: t.Any, management: t.Any) -> None:
    with contextlib.suppress(InvalidInput):
        parse({"interfaces": interfaces, "uci": uci, "management": management})
