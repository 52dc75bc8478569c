# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first configuration of an OPNsense says what is declared, in the forms of its release, and fits its image."""

from __future__ import annotations

import base64
import typing as t
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.config_xml import (
    config_xml,
    fill_up,
    interface_keys,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.description import read_description
from embedded_node.mirror.opnsense_image import default_config

RELEASES = ("25.1", "25.7", "26.1", "26.7")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE9ubHlBbkV4YW1wbGVPZkFLZXlUaGF0SXNOb3RPbmU admin@example.org"
HASH = "$6$saltsaltsaltsalt$" + "h" * 86
WAN: dict[str, t.Any] = {"bridge": "vmbr0"}
LAN: dict[str, t.Any] = {"bridge": "vmbr1", "address": ["192.168.1.1/24"], "dhcp_server": True}
GUEST: dict[str, t.Any] = {"bridge": "vmbr1", "tag": 20, "address": ["192.168.20.1/24"], "dhcp_server": True}
MANAGEMENT = {"from": ["lan"], "ssh_keys": [KEY], "password_hash": HASH}


def rendered(interfaces: t.Mapping[str, t.Any], version: str = "26.7", web: bool = True, **more: t.Any) -> ET.Element:
    declared = {"interfaces": interfaces, "management": MANAGEMENT, "hostname": "fw1", **more}
    return ET.fromstring(config_xml(default_config(version), read_description(declared), web=web))


def as_dict(element: ET.Element | None) -> dict[str, str]:
    assert element is not None
    return {child.tag: child.text or "" for child in element}


# -- system ------------------------------------------------------------------------------------------------------------
def test_host_name_domain_and_time_zone_are_those_declared() -> None:
    system = as_dict(rendered({"lan": LAN}, hostname="fw1.example.org", zonename="Europe/Berlin").find("system"))
    assert (system["hostname"], system["domain"], system["timezone"]) == ("fw1", "example.org", "Europe/Berlin")


def test_what_is_not_declared_is_as_the_release_begins() -> None:
    system = as_dict(rendered({"lan": LAN}).find("system"))
    assert (system["domain"], system["timezone"], system["primaryconsole"]) == ("internal", "Etc/UTC", "serial")
    assert system["dnsallowoverride"] == "1"


def test_root_has_the_declared_keys_and_password_and_may_log_in_by_ssh() -> None:
    found = rendered({"lan": LAN})
    user = as_dict(found.find("system/user"))
    assert user["password"] == HASH
    assert base64.b64decode(user["authorizedkeys"]).decode() == KEY
    assert as_dict(found.find("system/ssh")) == {
        "group": "admins", "enabled": "enabled", "permitrootlogin": "1", "passwordauth": "1",
    }  # fmt: skip


def test_without_a_hash_the_password_that_everybody_knows_is_locked() -> None:
    found = rendered({"lan": LAN}, management={"from": ["lan"], "ssh_keys": [KEY]})
    assert found.findtext("system/user/password") == "*"
    assert found.find("system/ssh/enabled") is not None
    assert found.find("system/ssh/passwordauth") is None


@pytest.mark.parametrize("management", [{"from": [], "ssh_keys": [KEY]}, {"from": ["lan"]}])
def test_where_nobody_can_log_in_ssh_does_not_run(management: dict[str, t.Any]) -> None:
    assert as_dict(rendered({"lan": LAN}, management=management).find("system/ssh")) == {
        "group": "admins", "noauto": "1",
    }  # fmt: skip


def test_declared_name_servers_take_the_place_of_those_of_the_provider() -> None:
    system = rendered({"wan": {**WAN, "dns": ["9.9.9.9", "2620:fe::fe"]}, "lan": LAN}).find("system")
    assert system is not None
    assert [each.text for each in system.findall("dnsserver")] == ["9.9.9.9", "2620:fe::fe"]
    assert system.find("dnsallowoverride") is None


def test_no_wizard_waits_and_no_door_is_open_by_itself() -> None:
    found = rendered({"lan": LAN})
    assert found.find("trigger_initial_wizard") is None
    assert found.findtext("system/webgui/noantilockout") == "1"


# -- interfaces --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("interface", "expected"),
    [
        (WAN, {"ipaddr": "dhcp"}),
        ({**WAN, "ip6": "pd"}, {"ipaddr": "dhcp", "ipaddrv6": "dhcp6", "dhcp6-ia-pd-len": "0"}),
        ({**WAN, "ip6": "auto"}, {"ipaddr": "dhcp", "ipaddrv6": "dhcp6", "dhcp6-ia-pd-len": "none"}),
        ({**WAN, "proto": "dhcpv6"}, {"ipaddrv6": "dhcp6", "dhcp6-ia-pd-len": "0"}),
        ({**WAN, "proto": "none"}, {}),
        ({**WAN, "mtu": 1400}, {"mtu": "1400", "ipaddr": "dhcp"}),
        (
            {**WAN, "address": "192.0.2.2/30", "gateway": "192.0.2.1"},
            {"ipaddr": "192.0.2.2", "subnet": "30", "gateway": "WAN_GW"},
        ),
        (
            {**WAN, "address": ["2001:db8::2/64"], "gateway": ["fe80::1"]},
            {"ipaddrv6": "2001:db8::2", "subnetv6": "64", "gatewayv6": "WAN_GW6"},
        ),
    ],
)
def test_an_interface_speaks_what_is_declared(interface: dict[str, t.Any], expected: dict[str, str]) -> None:
    found = rendered({"wan": interface}, management={"from": ["wan"], "ssh_keys": [KEY]})
    assert as_dict(found.find("interfaces/wan")) == {"enable": "1", "if": "vtnet0", **expected}


def test_a_gateway_is_one_of_its_own_with_its_priority() -> None:
    wan = {**WAN, "address": ["192.0.2.2/30", "2001:db8::2/64"], "gateway": ["192.0.2.1", "2001:db8::1"], "metric": 10}
    found = rendered({"wan": wan, "lan": LAN}).findall("OPNsense/Gateways/gateway_item")
    common = {"interface": "wan", "defaultgw": "1", "priority": "10"}
    assert [as_dict(each) for each in found] == [
        {"name": "WAN_GW", "gateway": "192.0.2.1", **common},
        {"name": "WAN_GW6", "ipprotocol": "inet6", "gateway": "2001:db8::1", **common},
    ]


def test_cards_go_by_the_declared_order_and_names_by_role() -> None:
    interfaces = {"guest": GUEST, "dsl": {**WAN, "role": "wan"}, "inside": {**LAN, "role": "lan"}, "dmz": WAN}
    interfaces["dmz"] = {"bridge": "vmbr3", "role": "isolated"}
    declared = {"interfaces": interfaces, "management": {**MANAGEMENT, "from": ["inside"]}}
    assert interface_keys(read_description(declared)) == {"dsl": "wan", "inside": "lan", "guest": "opt1", "dmz": "opt2"}
    found = rendered(interfaces, management=declared["management"]).find("interfaces")
    assert found is not None
    assert {each.tag: (each.findtext("if"), each.findtext("descr")) for each in found} == {
        "opt1": ("vtnet0", "guest"),
        "wan": ("vtnet1", "dsl"),
        "lan": ("vtnet2", "inside"),
        "opt2": ("vtnet3", "dmz"),
    }


@pytest.mark.parametrize(("version", "tracking"), [("25.7", "track6"), ("26.1", "idassoc6"), ("26.7", "idassoc6")])
def test_networks_take_part_in_a_prefix_each_with_a_number_of_its_own(version: str, tracking: str) -> None:
    silent = {**GUEST, "ip6": "pd", "dhcp_server": None}
    found = rendered({"wan": {**WAN, "ip6": "pd"}, "lan": {**LAN, "ip6": "pd"}, "guest": silent}, version)
    assert found.findtext("interfaces/wan/dhcp6-ia-pd-len") == "8"
    for number, key in enumerate(("lan", "opt1")):
        interface = as_dict(found.find(f"interfaces/{key}"))
        assert (interface["ipaddrv6"], interface["track6-interface"]) == (tracking, "wan")
        assert interface["track6-prefix-id"] == str(number)
    # Who tracks a prefix announces it, unless it is told not to.
    assert (found.find("interfaces/opt1/dhcpd6track6allowoverride") is not None) == (tracking == "track6")
    assert found.find("interfaces/lan/dhcpd6track6allowoverride") is None


# -- what is served ----------------------------------------------------------------------------------------------------
POOL = {"start": 10, "limit": 20, "leasetime": "1h"}


def test_a_release_with_dnsmasq_serves_by_it() -> None:
    found = rendered({"lan": {**LAN, "dhcp_server": POOL}, "guest": GUEST}, "25.7")
    assert (found.findtext("dnsmasq/interface"), found.findtext("dnsmasq/port")) == ("lan,opt1", "0")
    assert [as_dict(each) for each in found.findall("dnsmasq/dhcp_ranges")] == [
        {"interface": "lan", "start_addr": "192.168.1.10", "end_addr": "192.168.1.29", "lease_time": "3600"},
        {"interface": "opt1", "start_addr": "192.168.20.100", "end_addr": "192.168.20.249", "lease_time": "43200"},
    ]
    assert found.find("dhcpd") is None


def test_an_older_release_serves_by_iscs_server() -> None:
    found = rendered({"lan": {**LAN, "dhcp_server": POOL}}, "25.1")
    assert as_dict(found.find("dhcpd/lan/range")) == {"from": "192.168.1.10", "to": "192.168.1.29"}
    assert found.findtext("dhcpd/lan/defaultleasetime") == "3600"
    assert found.find("dnsmasq") is None


@pytest.mark.parametrize("version", RELEASES)
def test_nothing_is_served_that_is_not_declared(version: str) -> None:
    found = rendered({"wan": WAN, "lan": {**LAN, "dhcp_server": False}}, version)
    assert [found.find(tag) for tag in ("dnsmasq", "dhcpd", "dhcpdv6")] == [None, None, None]


def test_ipv6_is_announced_by_what_the_release_has_for_it() -> None:
    lan = {**LAN, "address": ["192.168.1.1/24", "fd12::1/64"]}
    assert rendered({"lan": lan}, "25.7").findtext("dhcpdv6/lan/ramode") == "unmanaged"
    by_dnsmasq = rendered({"lan": lan}, "26.1")
    assert by_dnsmasq.findtext("dnsmasq/dhcp/enable_ra") == "1"
    assert as_dict(by_dnsmasq.findall("dnsmasq/dhcp_ranges")[1])["ra_mode"] == "slaac"
    assert by_dnsmasq.find("dhcpdv6") is None
    assert rendered({"lan": LAN}, "26.1").find("dnsmasq/dhcp") is None


# -- firewall ----------------------------------------------------------------------------------------------------------
def rules(found: ET.Element) -> list[tuple[str, ...]]:
    """Of either form: interface, action, protocol, source, destination, port."""
    told = []
    for rule in found.findall("filter/rule"):
        ends = [rule.find(tag) for tag in ("source", "destination")]
        source, destination = (end.findtext("network") or "any" for end in ends if end is not None)
        said = as_dict(rule)
        port = rule.findtext("destination/port") or ""
        told.append((said["interface"], said["type"], said.get("protocol", ""), source, destination, port))
    for rule in found.findall("OPNsense/Firewall/Filter/rules/rule"):
        said = as_dict(rule)
        source, destination = (said.get(f"{end}_net", "any") for end in ("source", "destination"))
        action, protocol = said.get("action", "pass"), said.get("protocol", "").lower()
        told.append((said["interface"], action, protocol, source, destination, said.get("destination_port", "")))
        assert said["sequence"] == str(len(told))
    return told


@pytest.mark.parametrize("version", RELEASES)
@pytest.mark.parametrize(
    ("interfaces", "management", "web", "expected"),
    [
        ({"wan": WAN, "lan": LAN}, ["lan"], True, [("lan", "pass", "", "lan", "any", "")]),
        (
            {"wan": WAN, "lan": LAN},
            ["wan"],
            True,
            [
                ("wan", "pass", "tcp", "any", "(self)", "22"),
                ("wan", "pass", "tcp", "any", "(self)", "443"),
                ("lan", "block", "tcp", "any", "(self)", "22"),
                ("lan", "block", "tcp", "any", "(self)", "443"),
                ("lan", "pass", "", "lan", "any", ""),
            ],
        ),
        (
            {"wan": WAN, "lan": LAN},
            ["lan"],
            False,
            [("lan", "block", "tcp", "any", "(self)", "443"), ("lan", "pass", "", "lan", "any", "")],
        ),
        ({"lan": LAN}, ["lan"], True, [("lan", "pass", "", "lan", "(self)", "")]),
        (
            {"wan": WAN, "lan": LAN, "guest": {**GUEST, "forward_to": ["wan"]}},
            ["lan"],
            True,
            [
                ("lan", "block", "", "lan", "opt1", ""),
                ("lan", "pass", "", "lan", "any", ""),
                ("opt1", "pass", "tcp/udp", "opt1", "(self)", "53"),
                ("opt1", "block", "", "opt1", "(self),lan", ""),
                ("opt1", "pass", "", "opt1", "any", ""),
            ],
        ),
        (
            {"wan": {**WAN, "forward_to": ["dmz"]}, "lan": {**LAN, "forward_to": ["wan", "dmz"]},
             "dmz": {"bridge": "vmbr2", "address": "10.0.0.1/24", "forward_to": ["lan"]}},
            ["dmz"],
            False,
            [
                ("wan", "pass", "", "any", "opt1", ""),
                ("lan", "block", "tcp", "any", "(self)", "22"),
                ("lan", "block", "tcp", "any", "(self)", "443"),
                ("lan", "pass", "", "lan", "any", ""),
                ("opt1", "pass", "tcp", "any", "(self)", "22"),
                ("opt1", "pass", "", "opt1", "lan", ""),
            ],
        ),
    ],
    ids=["lan", "by the wan", "no web", "alone", "guest", "dmz"],
)  # fmt: skip
def test_rules_let_in_what_is_declared_and_nothing_else(
    version: str,
    interfaces: dict[str, t.Any],
    management: list[str],
    web: bool,
    expected: list[tuple[str, ...]],
) -> None:
    found = rendered(interfaces, version, web, management={**MANAGEMENT, "from": management})
    assert rules(found) == expected
    forms = ("OPNsense/Firewall/Filter/rules/rule", "filter/rule")
    assert [bool(found.findall(form)) for form in forms] == [version == "26.7", version != "26.7"]


# -- its length --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("version", RELEASES)
def test_a_wan_a_lan_and_a_guest_network_fit_into_every_release(version: str) -> None:
    default = default_config(version)
    interfaces = {"wan": {**WAN, "ip6": "pd"}, "lan": {**LAN, "ip6": "pd"}, "guest": {**GUEST, "forward_to": ["wan"]}}
    declared = {"interfaces": interfaces, "management": MANAGEMENT, "hostname": "fw1.example.org"}
    filled = fill_up(config_xml(default, read_description(declared)), len(default))
    assert len(filled) == len(default)
    assert ET.fromstring(filled).findtext("interfaces/opt1/if") == "vtnet2"
    assert filled.endswith(b"</opnsense>\n" + b"\n" * (len(default) - len(filled.rstrip()) - 1))


def test_what_is_too_long_says_by_how_much_and_what_to_do() -> None:
    keys = [f"ssh-rsa {'A' * 720} user{number}" for number in range(5)]
    declared = {"interfaces": {"lan": LAN}, "management": {"ssh_keys": keys}}
    config = config_xml(default_config("25.7"), read_description(declared))
    with pytest.raises(ImageError, match=f"has {len(config)} bytes, and the image has room for 3877") as raised:
        fill_up(config, 3877)
    assert "management.ssh_keys" in raised.value.remedy


@given(st.binary(max_size=200), st.integers(0, 300))
def test_filling_up_adds_blank_lines_alone(config: bytes, more: int) -> None:
    assert fill_up(config, len(config) + more) == config + b"\n" * more


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
        st.fixed_dictionaries(
            {"bridge": st.just("vmbr9")},
            optional={
                "role": st.sampled_from(["wan", "lan", "isolated"]),
                "proto": st.sampled_from(["dhcp", "none"]),
                "ip6": st.just(False),
            },
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(RELEASES),
)
def test_every_interface_has_a_key_of_its_own(interfaces: dict[str, dict[str, t.Any]], version: str) -> None:
    each = {name: {**said, "tag": n + 1} for n, (name, said) in enumerate(interfaces.items())}
    found = rendered(each, version, management={"from": [next(iter(each))], "ssh_keys": [KEY]}).find("interfaces")
    assert found is not None
    assert [child.findtext("if") for child in found] == [f"vtnet{n}" for n in range(len(each))]
    assert len({child.tag for child in found}) == len(each)


# -- what is no configuration ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("default", "words"),
    [
        (b"", "is not XML"),
        (b"<pfsense/>", "one of pfsense"),
        (b"<opnsense><system/></opnsense>", "no user root"),
    ],
)
def test_an_image_of_something_else_is_reported(default: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        config_xml(default, read_description({"interfaces": {"lan": LAN}}))
