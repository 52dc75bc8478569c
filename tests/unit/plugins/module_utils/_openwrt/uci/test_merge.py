# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UCI that the user declares, merged into what there is."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Config, Section
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.merge import overlay
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_config
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._openwrt.uci.samples import firewall

if t.TYPE_CHECKING:
    pass


def test_declared_options_are_merged_last() -> None:
    config: Config = {"system": parse_config("config system\n\toption hostname 'a'\n\toption x '1'\n", "system")}
    merged = overlay(
        config,
        {
            "system": {"@system[0]": {"timezone": "CET-1CEST", "x": None, "flag": True, "n": 5, "l": ["a", 1]}},
            "new": {"m": {".type": "main", "on": False}},
        },
    )
    assert merged["system"].sections[0].options == {
        "hostname": "a",
        "timezone": "CET-1CEST",
        "flag": "1",
        "n": "5",
        "l": ["a", "1"],
    }
    assert merged["new"].sections == [Section("main", "m", {"on": "0"})]
    assert config["system"].sections[0].options == {"hostname": "a", "x": "1"}


def test_added_sections_are_added_once() -> None:
    """The same declaration merged again, into what it made, changes nothing."""
    declared = {"firewall": {"@rule": [{"name": "Mine", "target": "ACCEPT"}], "@include": [{"path": "/x"}]}}
    once = overlay({"firewall": firewall()}, declared)
    assert len(once["firewall"].sections) == len(firewall().sections) + 2
    assert overlay(once, declared) == once


HOSTS = "".join(
    f"config host\n\toption name 'h{n}'\n\toption mac '00:11:22:33:44:0{n}'\n\toption ip '10.0.0.{n}'\n"
    for n in range(3)
)


def hosts(edit: dict[str, t.Any]) -> list[str]:
    """The names and addresses of the leases after a declaration."""
    merged = overlay({"dhcp": parse_config(HOSTS, "dhcp")}, {"dhcp": edit})
    return [f"{each.name or each.get('name')} {each.get('ip')}" for each in merged["dhcp"].of_type("host")]


@pytest.mark.parametrize(
    ("edit", "after"),
    [
        ({"@host[1]": {"ip": "10.0.0.9"}}, ["h0 10.0.0.0", "h1 10.0.0.9", "h2 10.0.0.2"]),
        ({"@host[1]": {"name": "h2", "ip": "10.0.0.9"}}, ["h0 10.0.0.0", "h1 10.0.0.1", "h2 10.0.0.9"]),
        ({"@host[9]": {"name": "h2", "ip": "10.0.0.9"}}, ["h0 10.0.0.0", "h1 10.0.0.1", "h2 10.0.0.9"]),
        ({"@host[1]": {"name": "new"}}, ["h0 10.0.0.0", "new 10.0.0.1", "h2 10.0.0.2"]),
        ({"@host[name=h1]": {"ip": "10.0.0.9"}}, ["h0 10.0.0.0", "h1 10.0.0.9", "h2 10.0.0.2"]),
        ({"@host[name=h1]": None}, ["h0 10.0.0.0", "h2 10.0.0.2"]),
        ({"@host[name=gone]": None}, ["h0 10.0.0.0", "h1 10.0.0.1", "h2 10.0.0.2"]),
        ({"@host": [{"mac": "00:11:22:33:44:01", "ip": "10.0.0.9"}]}, ["h0 10.0.0.0", "h1 10.0.0.9", "h2 10.0.0.2"]),
        ({"@host": [{"name": "h1", "ip": "10.0.0.9"}]}, ["h0 10.0.0.0", "h1 10.0.0.9", "h2 10.0.0.2"]),
        (
            {"@host": [{"name": "h1", "ip": "10.0.0.8"}, {"name": "h1", "ip": "10.0.0.9"}]},
            ["h0 10.0.0.0", "h1 10.0.0.8", "h2 10.0.0.2", "h1 10.0.0.9"],
        ),
        (
            {"@host": [{".name": "tv", "ip": "10.0.0.9"}]},
            ["h0 10.0.0.0", "h1 10.0.0.1", "h2 10.0.0.2", "tv 10.0.0.9"],
        ),
    ],
)
def test_a_section_is_reported_by_what_it_is(edit: dict[str, t.Any], after: list[str]) -> None:
    assert hosts(edit) == after


@pytest.mark.parametrize("ref", ["@host[1]", "@host[-1]", "cfg02f37d"])
def test_a_position_is_not_enough_to_delete_a_section(ref: str) -> None:
    with pytest.raises(InvalidInput, match=r"deletes whatever section is there by then.*\[name=\.\.\.\]\": null"):
        hosts({ref: None})


def test_every_section_that_is_not_there_is_reported_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        overlay({}, {"p": {"@nope[3]": {"a": 1}, "new": {"a": 1}}})
    assert [finding.option for finding in caught.value.findings] == ["uci.p.@nope[3]", "uci.p.new"]


def test_a_selector_may_quote_its_value() -> None:
    declared = {"dhcp": {"@host[name='h1']": {"ip": "10.0.0.9"}}}
    merged = overlay({"dhcp": parse_config(HOSTS, "dhcp")}, declared)
    assert [each.get("ip") for each in merged["dhcp"].of_type("host")] == ["10.0.0.0", "10.0.0.9", "10.0.0.2"]
