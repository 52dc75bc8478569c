# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What OPNsense cannot be given is told with its option and what to do instead."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.description import (
    opens_web,
    read_description,
    warnings,
)

LAN: dict[str, t.Any] = {"bridge": "vmbr1", "address": ["192.168.1.1/24"]}
KEYS = {"ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE9ubHlBbkV4YW1wbGVPZkFLZXlUaGF0SXNOb3RPbmU"]}


def found(interfaces: t.Mapping[str, t.Any], **more: t.Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as raised:
        read_description({"interfaces": interfaces, **more})
    assert all(finding.remedy for finding in raised.value.findings)
    return [(finding.option, finding.problem) for finding in raised.value.findings]


@pytest.mark.parametrize(
    ("interfaces", "option", "problem"),
    [
        (
            {"wan": {"bridge": "vmbr0", "proto": "pppoe", "username": "u", "password": "p"}},
            "interfaces.wan.proto",
            "cannot be given to a new OPNsense",
        ),
        (
            {"lan": {**LAN, "address": ["192.168.1.1/24", "192.168.2.1/24"]}},
            "interfaces.lan.address",
            "has 2 IPv4 addresses",
        ),
        ({"lan": {**LAN, "ip6": "ula"}}, "interfaces.lan.ip6", "a local prefix"),
        ({"lan": {**LAN, "ip6": "pd"}}, "interfaces.lan.ip6", "a prefix that no interface asks for"),
        ({"wan": {"bridge": "vmbr0", "metric": 5}}, "interfaces.wan.metric", "is for a declared gateway"),
        (
            {"wan": {"bridge": "vmbr0", "address": "192.0.2.2/24", "gateway": "192.0.2.1", "metric": 1000}},
            "interfaces.wan.metric",
            "is more than 255",
        ),
        (
            {"lan": {**LAN, "dhcp_server": {"leasetime": "infinite"}}},
            "interfaces.lan.dhcp_server.leasetime",
            "is not a valid lease time",
        ),
        (
            {
                "wan": {"bridge": "vmbr0"},
                "wan2": {"bridge": "vmbr2", "role": "wan"},
                "lan": {**LAN, "forward_to": ["wan"]},
            },
            "interfaces.lan.forward_to",
            "leaves out a wan",
        ),
    ],
)
def test_what_it_cannot_be_given_is_a_finding(interfaces: dict[str, t.Any], option: str, problem: str) -> None:
    ((where, words),) = found(interfaces)
    assert where == option
    assert problem in words


@pytest.mark.parametrize(
    ("more", "option"),
    [
        ({"management": {"password_hash": "$2b$10$abcdefghijklmnopqrstuv"}}, "management.password_hash"),
        ({"management": {"password_hash": "$1$salt$hash"}}, "management.password_hash"),
        ({"management": {**KEYS, "allow_empty_password": True}}, "management.allow_empty_password"),
        ({"zonename": "Europe/Berlin;reboot"}, "zonename"),
    ],
)
def test_so_is_who_could_not_log_in_and_what_is_no_time_zone(more: dict[str, t.Any], option: str) -> None:
    assert [where for where, _words in found({"lan": LAN}, **more)] == [option]


def test_everything_is_reported_at_once_and_no_hash_is_shown() -> None:
    with pytest.raises(InvalidInput) as raised:
        read_description(
            {
                "interfaces": {"lan": {**LAN, "ip6": "ula"}, "wan": {"bridge": "vmbr0", "metric": 5}},
                "management": {"password_hash": "$1$salt$secret"},
            }
        )
    assert len(raised.value.findings) == 3
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("kind", ["$2y$10$", "$2a$10$", "$5$salt$", "$6$salt$"])
def test_hashes_that_it_checks_are_taken(kind: str) -> None:
    declared = {"interfaces": {"lan": LAN}, "management": {"password_hash": kind + "abc"}}
    assert read_description(declared).management.password_hash == kind + "abc"


@pytest.mark.parametrize(
    ("management", "web"), [(None, True), ({}, True), ({"luci": True}, True), ({"luci": False}, False)]
)
def test_the_web_interface_is_open_unless_declared_otherwise(management: dict[str, t.Any] | None, web: bool) -> None:
    assert opens_web({"management": management}) is web


def test_a_web_interface_without_a_password_is_reported() -> None:
    described = read_description({"interfaces": {"lan": LAN}, "management": KEYS})
    assert any("web interface" in each for each in warnings(described, web=True))
    assert not any("web interface" in each for each in warnings(described, web=False))
