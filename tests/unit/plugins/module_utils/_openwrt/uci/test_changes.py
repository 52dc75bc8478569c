# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences between UCI packages. What ``uci`` itself answers was recorded in a 24.10.4 container."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.changes import (
    apply,
    batch,
    changes,
    diff,
    diff_config,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Package, Section, UciError
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.merge import overlay
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_export, render
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._openwrt.uci.samples import (
    GOLDEN,
    bounded,
    firewall,
    packages,
)

if t.TYPE_CHECKING:
    from random import Random


def changed(package: Package, edit: dict[str, object]) -> list[str]:
    return changes(diff(package, overlay({package.name: package}, {package.name: edit})[package.name]))


def test_changes_are_reported_as_uci_reports_them() -> None:
    """These words are the recorded ones, down to the generated names."""
    config = parse_export((GOLDEN / "recorded" / "export.txt").read_text())
    device = config["network"].of_type("device")[0]
    assert config["network"].ref(device) == "@device[0]"
    assert changed(
        config["network"],
        {"@device[name=br-lan]": None, "lan": {"device": "eth0", "proto": "dhcp", "ipaddr": None, "netmask": None}},
    ) == [
        "-network.cfg030f15",
        "-network.lan.ipaddr",
        "-network.lan.netmask",
        "network.lan.device='eth0'",
        "network.lan.proto='dhcp'",
    ]
    assert changed(config["system"], {"@system[0]": {"hostname": "rec3"}}) == ["system.cfg01e48a.hostname='rec3'"]
    assert changed(config["network"], {"guest": {".type": "interface", "descr": "it's"}}) == [
        "network.guest='interface'",
        "network.guest.descr='it'\\''s'",
    ]
    assert changed(config["firewall"], {"@rule": [{}]}) == ["firewall.cfg0e92bd='rule'"]
    ntp = config["system"].find("ntp")
    assert ntp is not None
    servers = ntp.items("server")
    assert changed(config["system"], {"ntp": {"server": [*servers, "time.example"]}}) == [
        "system.ntp.server+='time.example'"
    ]
    assert changed(config["system"], {"ntp": {"server": servers[1:]}}) == [
        "system.ntp.server-='0.openwrt.pool.ntp.org'"
    ]


def test_a_rule_between_others_is_the_only_change() -> None:
    old, new = firewall(), firewall()
    new.sections.insert(5, Section("rule", None, {"name": "Mine", "target": "ACCEPT"}))
    assert batch(diff(old, new)).splitlines() == [
        "add firewall rule",
        "set firewall.@rule[9].name='Mine'",
        "set firewall.@rule[9].target='ACCEPT'",
        "reorder firewall.@rule[9]='5'",
    ]
    assert [op.verb for op in diff(old=new, new=old)] == ["delete"]


def test_rules_are_known_by_their_names_when_one_before_goes() -> None:
    old, new = firewall(), firewall()
    del new.sections[4]
    assert batch(diff(old, new)) == "delete firewall.@rule[0]\n"


def test_several_deletions_do_not_shift_each_other() -> None:
    old, new = firewall(), firewall()
    del new.sections[4], new.sections[6], new.sections[8]
    assert batch(diff(old, new)).splitlines() == [f"delete firewall.@rule[{n}]" for n in (6, 3, 0)]


def test_a_section_that_only_gets_a_name_is_renamed() -> None:
    old = Package("p", [Section("rule", None, {"x": "1"})])
    assert batch(diff(old, Package("p", [Section("rule", "first", {"x": "1"})]))) == "rename p.@rule[0]='first'\n"


def test_moving_one_section_is_one_reorder() -> None:
    old = Package("p", [Section("s", name) for name in "abcd"])
    assert batch(diff(old, Package("p", [Section("s", name) for name in "bcda"]))) == "reorder p.a='3'\n"


def test_a_string_that_becomes_a_list_is_recreated() -> None:
    old, new = Package("p", [Section("s", "n", {"x": "a"})]), Package("p", [Section("s", "n", {"x": ["a", "b"]})])
    assert batch(diff(old, new)).splitlines() == ["delete p.n.x", "add_list p.n.x='a'", "add_list p.n.x='b'"]


def test_control_characters_are_refused_before_uci_sees_them() -> None:
    with pytest.raises(UciError, match="control character"):
        render(Package("p", [Section("s", "n", {"x": "a\x01"})]))


@bounded
@given(packages(), packages())
def test_applying_the_difference_gives_the_other(old: Package, new: Package) -> None:
    assert diff(old, old) == []
    assert apply(diff(old, new), old) == new
    assert diff_config({"test": old}, {"test": new, "more": Package("more")}) == diff(old, new)


@bounded
@given(packages(), st.randoms(use_true_random=False))
def test_any_shuffle_is_put_in_order(package: Package, random: Random) -> None:
    shuffled = Package(package.name, list(package.sections))
    random.shuffle(shuffled.sections)
    assert apply(diff(shuffled, package), shuffled) == package
