# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a declaration in UCI's terms, told before there is a router."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.form import check_form


@pytest.mark.parametrize(("sections", "option", "problem"), [
    ({"my-vpn": {".type": "interface"}}, "uci.p.my-vpn", "is not a valid section name"),
    ({"@zone[name=": {"a": 1}}, "uci.p.@zone[name=", "is not a valid section name"),
    ({"@rule": [{".name": "a-b"}]}, "uci.p.@rule.name", "is not a valid section name"),
    ({"vpn": {".type": "a b"}}, "uci.p.vpn.type", "is not a valid section type"),
    ({"vpn": {"a-b": 1}}, "uci.p.vpn", "is not a valid option name"),
    ({"@rule": [{"name": "x"}, {"a b": 1}]}, "uci.p.@rule", "is not a valid option name"),
    ({"vpn": {"a": {"b": 1}}}, "uci.p.vpn.a", "is neither a value nor a list of values"),
    ({"vpn": {"a": [["b"]]}}, "uci.p.vpn.a", "is neither a value nor a list of values"),
    ({"vpn": {"a": "x\0"}}, "uci.p.vpn.a", "holds a control character"),
    ({"vpn": {"a": ["x", "one\r\ntwo"]}}, "uci.p.vpn.a", "holds a control character"),
    ({"vpn": 7}, "uci.p.vpn", "is not a mapping of options"),
    ({"@rule[0]": None}, "uci.p.@rule[0]", "deletes whatever section is there by then, one a run"),
    (None, "uci", "is not a package with sections"),
])  # fmt: skip
def test_each_fault_is_reported_by_its_place(sections: t.Any, option: str, problem: str) -> None:
    assert [(found.option, found.problem) for found in check_form({"p": sections})] == [(option, problem)]


def test_what_can_be_a_declaration_is_none() -> None:
    assert check_form({"firewall": {
        "@rule": [{"name": "x", "proto": ["tcp", "udp"], "notes": "one\ntwo\tthree"}],
        "@zone[name=lan]": {"mtu_fix": True}, "@zone[name='wan']": None, "@defaults[0]": {"input": None},
        "mine": {".type": "include", "path": "/x", "none": []}, "cfg01e63d": {"a": 1.5},
    }}) == []  # fmt: skip


def test_all_of_it_is_told_when_a_router_is_declared() -> None:
    uci = {"network": None, "system": {"@system[0]": {"a-b": 1}, "x y": {}}}
    with pytest.raises(InvalidInput) as caught:
        parse({"uci": uci, "interfaces": {"lan": {"address": "fe80::1%eth0/64"}}})
    told = [finding.option for finding in caught.value.findings]
    assert set(told) >= {"uci", "uci.system.@system[0]", "uci.system.x y", "interfaces.lan.address"}
