# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook verify: the declaration that made the guests, looked at; its reports are files on the controller."""

from __future__ import annotations

import json
import typing as t
from xml.etree import ElementTree

import pytest

from embedded_node import commands

from .conftest import ROOT, Guest, Played, Site

PLAYBOOK = ROOT / "playbooks" / "verify.yml"
WEB: Guest = {
    "name": "web1",
    "type": "lxc",
    "vmid": 120,
    "ostemplate": "alpine-3.22-default",
    "rootfs": {"storage": "local-lvm", "size": 1},
    "networks": [{"bridge": "vmbr0", "ip": "192.168.1.20/24"}],
    "state": "started",
    "checks": [{"type": "command", "command": "hostname", "expect": "web1"}],
}


def verify(site: Site, *options: str, **variables: t.Any) -> Played:
    connection = {"provision_connection": site.connection} if site.connection else {}
    return site.play(PLAYBOOK, *options, provision_guests=[WEB], **connection, **variables)


@pytest.mark.parametrize("site", ["node"], indirect=True)
def test_what_was_made_is_green_and_what_broke_is_red(site: Site) -> None:
    site.good([WEB])
    junit, told = site.work / "reports" / "verify.xml", site.work / "verify.json"
    green = verify(site, "--check", verify_junit=str(junit), verify_json=str(told))
    assert green.rc == 0, green.output
    assert green.count("changed") == 0
    assert json.loads(told.read_text())["summary"] == {"passed": 4, "failed": 0, "not_verified": 0}

    commands.run(["pct", "stop", "120"], site.node.root, b"")
    before = site.configs()
    red = verify(site, verify_junit=str(junit))
    assert red.rc != 0
    assert "web1: status: is stopped, not running" in red.failure
    assert "web1   status       FAILED        is stopped, not running (pve)" in red.output.replace(
        site.node.name, "pve"
    )
    suite = ElementTree.fromstring(junit.read_text()).find("testsuite")
    assert suite is not None
    assert {case.get("name"): [mark.tag for mark in case if mark.tag != "system-out"] for case in suite} == {
        "status": ["failure"], "address": ["skipped"], "as declared": ["failure"], "hostname": ["skipped"],
    }  # fmt: skip
    assert site.configs() == before
