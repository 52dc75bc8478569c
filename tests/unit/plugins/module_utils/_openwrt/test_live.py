# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running router differs in, and that mending it touches nothing else."""

from __future__ import annotations

import itertools
import typing as t
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._openwrt.addresses import parse_addr, parse_status
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse
from ansible_collections.pve.provision.plugins.module_utils._openwrt.live import UciChange, drift, target
from ansible_collections.pve.provision.plugins.module_utils._openwrt.router import complete
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import account_drift
from ansible_collections.pve.provision.plugins.module_utils._openwrt.series import SERIES
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.changes import apply
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Config, Package, Section
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.merge import overlay
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_export, render_export

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = sorted(path.parent.name for path in GOLDEN.glob("*/declared.yml"))
PREFIX = {"network": {"globals": {".type": "globals", "ula_prefix": "fd28:e6d9:a21f::/48"}}}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample admin"


def declared(example: str) -> dict[str, t.Any]:
    return dict(yaml.safe_load((GOLDEN / example / "declared.yml").read_text()))


def booted(description: Description, version: str = "24.10") -> Config:
    """A router after its first boot, which has drawn its local prefix."""
    config = complete(description, next(line for line in SERIES if line.name == version))
    return overlay(config, PREFIX) if config["network"].find("globals") else config


def mended(config: Config, change: UciChange) -> Config:
    result = dict(config)
    for op in change.ops:
        result[op.package] = apply([op], result.get(op.package, Package(op.package)))
    return result


def change(config: Config, description: Description, version: str = "24.10.4") -> UciChange:
    return drift(render_export(config), description, version)


def content(section: Section) -> str:
    return f"{section.type} {section.name} {sorted(section.options.items())}"


# --- the second run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("version", [line.name for line in SERIES])
def test_a_router_that_came_up_from_its_seed_has_no_drift(example: str, version: str) -> None:
    description = parse(declared(example))
    found = change(booted(description, version), description, version)
    assert not found and found.words == []


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(EXAMPLES, 2)))
def test_any_router_becomes_any_other_in_one_change(before: str, after: str) -> None:
    wanted = parse(declared(after))
    config = booted(parse(declared(before)))
    found = change(config, wanted)
    result = mended(config, found)
    assert change(result, wanted).words == []
    fresh = booted(wanted)
    for kind in ("zone", "forwarding"):
        ours = sorted(str(section.options) for section in fresh["firewall"].of_type(kind))
        assert sorted(str(section.options) for section in result["firewall"].of_type(kind)) == ours
    rules = [rule.get("name") for rule in result["firewall"].of_type("rule") if rule.get("name") != "Lan-To-Printer"]
    assert rules == [rule.get("name") for rule in fresh["firewall"].of_type("rule") if rule.get("name") in rules]
    assert {*rules} == {rule.get("name") for rule in fresh["firewall"].of_type("rule")} - {"Lan-To-Printer"}
    names = {section.name for section in fresh["network"].sections} | {"globals"}
    assert {section.name for section in result["network"].sections} <= names


@st.composite
def declarations(draw: st.DrawFn) -> dict[str, t.Any]:
    """Sound declarations of every kind."""
    names = draw(st.lists(st.sampled_from(["wan", "wan2", "lan", "lan2", "iot", "guest"]), min_size=1, unique=True))
    interfaces: dict[str, t.Any] = {}
    for number, name in enumerate(names):
        port: dict[str, t.Any] = {
            "bridge": f"vmbr{number}",
            "forward_to": draw(st.sampled_from([None, [], *[[n] for n in names if n != name]])),
        }
        kind = draw(st.sampled_from(["dhcp", "static", "static6", "none", "dhcpv6", "pppoe"]))
        if kind.startswith("static"):
            four = f"10.{10 * draw(st.integers(0, 3)) + number}.0.1/24"
            port["address"] = [four, f"fd00:{number}::1/64"] if kind == "static6" else [four]
            port["dhcp_server"] = not name.startswith("wan") and draw(
                st.sampled_from([False, True, {"start": 5, "limit": 9}])
            )
            port["ip6"] = draw(st.sampled_from([None, "pd", "ula", False]))
        else:
            port["proto"] = kind
            port["ip6"] = draw(st.sampled_from([None, False] + (["pd", "auto"] if kind != "none" else [])))
        port |= {"username": "u", "password": "p"} if kind == "pppoe" else {}
        interfaces[name] = port
    sources = draw(st.lists(st.sampled_from(names), unique=True))
    return {"interfaces": interfaces, "management": {"from": sources, "luci": draw(st.booleans())}}


@settings(max_examples=60, deadline=None)
@given(declarations(), declarations(), st.sampled_from([line.name for line in SERIES]))
def test_whatever_is_declared_comes_about_in_one_change_and_stays(before: t.Any, after: t.Any, version: str) -> None:
    old, new = parse(before), parse(after)
    config = booted(old, version)
    assert change(config, old, version).words == []
    result = mended(config, change(config, new, version))
    assert change(result, new, version).words == []
    for name in ("dropbear", "firewall", "dhcp"):
        fresh = complete(new, next(line for line in SERIES if line.name == version))[name]
        assert sorted(map(content, result[name].sections)) == sorted(map(content, fresh.sections))
    interfaces = [
        {section.name for section in c["network"].of_type("interface")} for c in (result, booted(new, version))
    ]
    assert interfaces[0] == interfaces[1]


def test_a_factory_default_router_is_brought_in_line() -> None:
    """The recorded one: LAN on a bridge over eth0 with DHCP and router advertisements, wan on eth1."""
    description = parse({"interfaces": {"lan": {"bridge": "vmbr0"}}, "management": {"ssh_keys": [KEY]}})
    config = parse_export((GOLDEN / "recorded" / "export.txt").read_text())
    found = change(config, description)
    assert [word for word in found.words if "network." in word] == [
        "-network.cfg030f15.ports",
        "-network.lan.ipaddr",
        "-network.lan.netmask",
        "-network.lan.ip6assign",
        "network.lan.device='eth0'",
        "network.lan.proto='dhcp'",
    ]
    assert {"dhcp.lan.ignore='1'", "dhcp.lan.ra='disabled'", "dropbear.main.PasswordAuth='off'"} <= {*found.words}
    result = mended(config, found)
    assert not change(result, description)
    # Nobody declares a wan, and no run of ours made it.
    assert [zone.get("name") for zone in result["firewall"].of_type("zone")] == ["lan", "wan"]
    assert result["firewall"].of_type("rule") == config["firewall"].of_type("rule")
    assert result["rpcd"] == config["rpcd"]
    assert found.packages == ("dhcp", "dropbear", "network", "uhttpd", "pve_provision")
    assert found.services == ("network", "dnsmasq", "odhcpd", "dropbear", "uhttpd")


# --- the least change ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "words", "services", "cutting"),
    [
        ({"hostname": "other"}, ["system.cfg01e48a.hostname='other'"], ("system", "sysntpd"), False),
        (
            {"interfaces": {"lan": {"address": "192.168.21.1/24"}}},
            ["network.lan.ipaddr='192.168.21.1'"],
            ("network",),
            True,
        ),
        (
            {"interfaces": {"lan": {"dhcp_server": {"start": 50, "limit": 150}}}},
            ["dhcp.lan.start='50'"],
            ("dnsmasq", "odhcpd"),
            False,
        ),
        (
            {"interfaces": {"lan": {"dns": ["9.9.9.9"]}}},
            ["network.lan.dns+='9.9.9.9'"],
            ("network",),
            True,
        ),
        (
            {"management": {"from": ["lan", "wan"]}},
            [
                "dropbear.ssh_wan='dropbear'",
                "dropbear.ssh_wan.enable='1'",
                "dropbear.ssh_wan.PasswordAuth='off'",
                "dropbear.ssh_wan.RootPasswordAuth='off'",
                "dropbear.ssh_wan.Port='22'",
                "dropbear.ssh_wan.Interface='wan'",
                "firewall.cfg0c92bd='rule'",
                "firewall.cfg0c92bd.name='Allow-SSH-wan'",
                "firewall.cfg0c92bd.src='wan'",
                "firewall.cfg0c92bd.proto='tcp'",
                "firewall.cfg0c92bd.dest_port='22'",
                "firewall.cfg0c92bd.target='ACCEPT'",
                "firewall.cfg0d92bd='rule'",
            ],
            ("firewall", "dropbear"),
            True,
        ),
    ],
)
def test_one_edit_is_one_small_change(
    edit: dict[str, t.Any], words: list[str], services: tuple[str, ...], cutting: bool
) -> None:
    before = declared("wan-lan")
    after = {**before, **edit}
    if "interfaces" in edit:
        after["interfaces"] = {
            **before["interfaces"],
            "lan": {**before["interfaces"]["lan"], **edit["interfaces"]["lan"]},
        }
    if "management" in edit:
        after["management"] = {**before["management"], **edit["management"]}
    found = change(booted(parse(before)), parse(after))
    assert found.words[: len(words)] == words
    assert (found.services, found.touches_network) == (services, cutting)
    if len(words) == 1:
        assert len(found.ops) == 1


def test_what_the_user_added_stays() -> None:
    description = parse(declared("wan-lan"))
    added = {
        "network": {
            "wg0": {".type": "interface", "proto": "wireguard", "private_key": "x"},
            "modem": {".type": "interface", "device": "eth0", "proto": "static", "ipaddr": "192.168.100.2"},
            "vlan": {".type": "interface", "device": "eth0.7", "proto": "none"},
            "lan": {"delegate": "0"},
            "@route": [{"interface": "lan", "target": "10.9.0.0/16"}],
        },
        "dhcp": {
            "tv": {".type": "host", "mac": "BC:24:11:00:00:01"},
            "guest": {".type": "dhcp", "interface": "guest"},
            "@dnsmasq[0]": {"cachesize": "9"},
        },
        "dropbear": {"open": {".type": "dropbear", "Port": "2222"}},
        "firewall": {
            "@zone": [{"name": "vpn", "network": ["wg0"], "input": "ACCEPT"}],
            "@forwarding": [{"src": "vpn", "dest": "lan"}, {"src": "wan", "dest": "lan"}],
            "@rule": [{"name": "Mine", "src": "wan", "dest_port": "51820", "target": "ACCEPT"}],
        },
        "wireless": {"radio0": {".type": "wifi-device"}},
    }
    assert not change(overlay(booted(description), added), description)


def test_what_the_user_broke_is_mended() -> None:
    description = parse(declared("wan-lan"))
    broken = overlay(
        booted(description),
        {
            "network": {
                "lan": {"ipaddr": "192.168.1.1"},
            },
            "firewall": {
                "@zone[0]": {"input": "ACCEPT"},
                "@rule[0]": {"enabled": "0"},
            },
            "dhcp": {"lan": {"ra": "server"}},
        },
    )
    assert change(broken, description).words == [
        "dhcp.lan.ra='disabled'",
        "firewall.cfg02dc81.input='REJECT'",
        "-firewall.cfg0592bd.enabled",
        "network.lan.ipaddr='192.168.20.1'",
    ]


def test_what_uci_declares_itself_stays_though_it_looks_stale() -> None:
    """A bridge over our port, an interface and a forwarding of the user's own."""
    before = declared("wan-lan")
    before["uci"] = {
        "network": {
            "@device": [{"name": "br-lan", "type": "bridge", "ports": ["eth1"]}],
            "lan": {"device": "br-lan"},
            "modem": {".type": "interface", "device": "eth0", "proto": "static", "ipaddr": "192.168.100.2/24"},
        },
        "firewall": {"@forwarding": [{"src": "wan", "dest": "lan"}]},
        "dropbear": {"extra": {".type": "dropbear", "Port": 2222, "Interface": "lan"}},
    }
    description = parse(before)
    config = booted(description)
    assert config["network"].find("lan") is not None and not change(config, description)


def test_what_uci_deletes_stays_deleted() -> None:
    """Addressed by what it is, among others of its type that stay."""
    before = declared("two-uplinks")
    before["uci"] = {
        "firewall": {"@forwarding[src=lan]": None, "@rule[name=Allow-IGMP]": None},
        "network": {"wan2": {"metric": None}},
    }
    description = parse(before)
    config = booted(description)
    assert len(config["firewall"].of_type("forwarding")) == 3
    assert not change(config, description)


def test_a_package_that_is_not_there_yet_is_made_unless_it_is_the_web_servers() -> None:
    description = parse({**declared("wan-lan"), "uci": {"sqm": {"wan": {".type": "queue", "enabled": True}}}})
    config = {name: package for name, package in booted(description).items() if name not in ("uhttpd", "sqm")}
    found = change(config, description)
    assert (found.packages, found.made, found.services) == (("sqm", "pve_provision"), ("sqm",), ("sqm",))


def test_secrets_are_in_the_batch_and_in_nothing_that_is_reported() -> None:
    before = declared("two-uplinks")
    config = booted(parse(before))
    before["interfaces"]["wan"]["password"] = "another-secret"
    found = change(config, parse(before))
    assert found.words == ["network.wan.password='(hidden)'"]
    assert "another-secret" in found.batch


def test_the_local_prefix_is_drawn_once_and_kept() -> None:
    plain, local = parse(declared("wan-lan")), parse(declared("ipv6-pd"))
    config = booted(plain)
    first = target(config, local, "24.10")["network"].find("globals")
    assert first is not None and first.get("ula_prefix").startswith("fd")
    assert target(config, local, "24.10")["network"].find("globals") == first
    mine = overlay(config, PREFIX)
    assert target(mine, local, "24.10")["network"].find("globals") == Section(
        "globals", "globals", {"ula_prefix": "fd28:e6d9:a21f::/48"}
    )


# --- accounts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("management", "password", "keys", "changed"),
    [
        ({"ssh_keys": [KEY]}, "*", KEY + "\n", {}),
        ({"ssh_keys": [KEY]}, "$6$own$x", KEY + "\n", {}),
        ({"ssh_keys": [KEY]}, "", KEY + "\n", {"etc/shadow": "root:*:"}),
        ({"ssh_keys": [KEY]}, "*", None, {"etc/dropbear/authorized_keys": KEY}),
        ({}, "*", "somebody's key\n", {}),
        ({"allow_empty_password": True}, "", None, {}),
        ({"password_hash": "$6$new$y"}, "$6$own$x", None, {"etc/shadow": "root:$6$new$y:"}),
        ({"password_hash": "$6$own$x"}, "$6$own$x", None, {}),
    ],
)
def test_keys_and_password_are_brought_in_line(
    management: t.Any, password: str, keys: str | None, changed: dict[str, str]
) -> None:
    there = {
        "etc/shadow": f"root:{password}:20780:0:99999:7:::\nftp:*:0:0:99999:7:::\n",
        "etc/dropbear/authorized_keys": keys,
    }
    declared_management = parse({"interfaces": {"lan": {"bridge": "b"}}, "management": management}).management
    files = account_drift(
        lambda path: text.encode() if (text := there[path]) is not None else None, declared_management
    )
    assert {path: content.decode()[: len(changed.get(path, ""))] for path, (_mode, content) in files.items()} == changed


# --- addresses -----------------------------------------------------------------------------------------------------

STATUS = """{"up": true, "pending": false, "l3_device": "br-lan", "proto": "static", "device": "br-lan",
 "ipv4-address": [{"address": "192.168.1.1", "mask": 24}], "ipv6-address": [],
 "ipv6-prefix-assignment": [{"address": "fd28:e6d9:a21f::", "mask": 60,
                             "local-address": {"address": "fd28:e6d9:a21f::1", "mask": 60}}]}"""


def test_netifd_says_the_addresses_of_an_interface() -> None:
    status = parse_status(STATUS)
    assert status is not None and status.up and status.device == "br-lan"
    assert status.addresses == ("192.168.1.1/24", "fd28:e6d9:a21f::1/60")


@pytest.mark.parametrize("text", ["", "Command failed: Not found", "[]", "3"])
def test_anything_else_is_no_status(text: str) -> None:
    assert parse_status(text) is None


def test_an_interface_that_waits_for_its_lease_has_no_address() -> None:
    status = parse_status('{"up": false, "pending": true, "proto": "dhcp", "device": "eth0", "data": {}}')
    assert status is not None and (status.up, status.pending, status.addresses) == (False, True, ())


def test_busybox_ip_says_the_addresses_of_each_device() -> None:
    four = (
        "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n"
        "3: eth1    inet 192.168.1.159/24 brd 192.168.1.255 scope global eth1\\       valid_lft forever\n"
    )
    six = (
        "1: lo    inet6 ::1/128 scope host \\       valid_lft forever preferred_lft forever\n"
        "4: br-lan    inet6 fd28:e6d9:a21f:1::1/64 scope global dynamic noprefixroute \\       valid_lft 43152sec\n"
        "4: br-lan    inet6 fd28:e6d9:a21f:5::1/64 scope global deprecated dynamic \\       valid_lft 5350sec\n"
        "4: br-lan    inet6 fe80::be24:11ff:fe00:aa01/64 scope link \\       valid_lft forever\n"
    )
    assert parse_addr(four) == {"eth1": ["192.168.1.159/24"]}
    assert parse_addr(six) == {"br-lan": ["fd28:e6d9:a21f:1::1/64"]}


# --- what we made, and nobody declares any more ---------------------------------------------------------------------


def steps(*uci: t.Any) -> list[Config]:
    """A router that was declared with one ``uci`` after the other; each is in line after one change."""
    config = booted(parse({**declared("wan-lan"), "uci": uci[0]}))
    seen = [config]
    for each in uci[1:]:
        description = parse({**declared("wan-lan"), "uci": each})
        config = mended(config, change(config, description))
        assert not change(config, description)
        seen.append(config)
    return seen


FORWARD = {"name": "web", "src": "wan", "src_dport": "443", "dest": "lan", "dest_ip": "192.168.20.5", "target": "DNAT"}


@pytest.mark.parametrize(
    ("package", "ref", "entry"),
    [
        ("firewall", "@redirect", [FORWARD]),
        ("firewall", "@redirect", [FORWARD, FORWARD]),
        ("firewall", "@redirect", [{**FORWARD, "name": "a name with (odd) signs = ]"}]),
        ("firewall", "@rule", [{"src": "wan", "proto": "tcp", "dest_port": "99", "target": "ACCEPT"}]),
        ("dhcp", "@host", [{"mac": "00:11:22:33:44:55", "ip": "192.168.20.5"}]),
        ("dhcp", "printer", {".type": "host", "mac": "00:11:22:33:44:55"}),
        ("network", "modem", {".type": "interface", "device": "eth0", "proto": "none"}),
        ("my-package", "main", {".type": "main", "on": "1"}),
    ],
)
def test_what_uci_once_declared_goes_when_it_does_no_more(package: str, ref: str, entry: t.Any) -> None:
    never, with_it, without = steps({}, {package: {ref: entry}}, {})
    assert with_it[package] != never.get(package)
    assert without.get(package, Package(package)).sections == never.get(package, Package(package)).sections


def test_what_the_first_boot_brought_goes_too_and_that_is_reported() -> None:
    description = parse({**declared("wan-lan"), "uci": {"firewall": {"@redirect": [FORWARD]}}})
    found = change(booted(description), parse(declared("wan-lan")))
    assert len(found.words) == 1 and found.words[0].startswith("-firewall.cfg")


def test_what_somebody_made_by_hand_stays_though_it_is_called_the_same() -> None:
    by_hand = overlay(booted(parse(declared("wan-lan"))), {"firewall": {"@redirect": [FORWARD]}})
    both = parse(
        {**declared("wan-lan"), "uci": {"firewall": {"@redirect": [FORWARD, {**FORWARD, "dest_ip": "192.168.20.6"}]}}}
    )
    config = mended(by_hand, change(by_hand, both))
    assert len(config["firewall"].of_type("redirect")) == 2
    plain = parse(declared("wan-lan"))
    config = mended(config, change(config, plain))
    assert [each.get("dest_ip") for each in config["firewall"].of_type("redirect")] == ["192.168.20.5"]


def test_an_option_goes_back_to_what_the_release_begins_with() -> None:
    first, second, third = steps(
        {},
        {"dhcp": {"@dnsmasq[0]": {"cachesize": 9, "server": ["9.9.9.9"]}}, "network": {"lan": {"delegate": "0"}}},
        {},
    )
    assert second["dhcp"].of_type("dnsmasq")[0].get("cachesize") == "9"
    assert third["dhcp"].of_type("dnsmasq")[0].options == first["dhcp"].of_type("dnsmasq")[0].options
    assert third["network"].sections == first["network"].sections


def test_an_option_that_somebody_set_to_the_declared_value_is_not_ours() -> None:
    plain, same = parse(declared("wan-lan")), parse({**declared("wan-lan"), "uci": {"network": {"lan": {"mtu": 1400}}}})
    by_hand = overlay(booted(plain), {"network": {"lan": {"mtu": "1400"}}})
    config = mended(by_hand, change(by_hand, same))
    assert not change(config, plain)


def test_a_router_without_a_note_loses_nothing() -> None:
    """Made before there were notes, or by others."""
    old = booted(parse({**declared("wan-lan-iot"), "uci": {"firewall": {"@redirect": [FORWARD]}}}))
    del old["pve_provision"]
    description = parse(declared("wan-lan"))
    config = mended(old, change(old, description))
    assert config["network"].find("iot") and len(config["firewall"].of_type("redirect")) == 1
    assert config["pve_provision"].sections


def test_a_lease_whose_address_changes_is_the_same_lease() -> None:
    lease = {"mac": "00:11:22:33:44:55", "ip": "192.168.20.5"}
    _first, second = steps({"dhcp": {"@host": [lease]}}, {"dhcp": {"@host": [{**lease, "ip": "192.168.20.50"}]}})
    assert [each.options for each in second["dhcp"].of_type("host")] == [{**lease, "ip": "192.168.20.50"}]


def test_a_rule_without_a_name_changes_in_its_place() -> None:
    rule = {"src": "wan", "proto": "tcp", "dest_port": "99", "target": "ACCEPT"}
    first, second = steps({"firewall": {"@rule": [rule]}}, {"firewall": {"@rule": [{**rule, "dest_port": "98"}]}})
    ports = [[each.get("dest_port") for each in config["firewall"].of_type("rule")] for config in (first, second)]
    assert ports[0][-1] == "99" and ports[1] == [*ports[0][:-1], "98"]
