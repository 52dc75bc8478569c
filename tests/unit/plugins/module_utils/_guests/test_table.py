# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the end of a run reads."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine.creation import MAKING
from ansible_collections.pve.provision.plugins.module_utils._guests.table import LISTED, table, what_changed


def entry(name: str, **more: t.Any) -> dict[str, t.Any]:
    return {"name": name, "type": "lxc", "changed": False, "vmid": 101, "node": "pve1", "status": "running", **more}


def address(text: str, source: str = "guest") -> dict[str, t.Any]:
    return {"interface": "eth0", "address": text, "source": source}


def plan(*steps: str) -> list[dict[str, t.Any]]:
    return [{"step": step} for step in steps]


CREATED = entry(
    "web1", changed=True, plan=plan("create", "start"), seconds=4.2, addresses=[address("192.168.20.10", "guest")]
)
CHANGED = entry(
    "db1",
    vmid=102,
    changed=True,
    plan=plan("set", "shutdown", "start"),
    diff={"before": {"memory": 512, "cores": 2}, "after": {"memory": 1024, "cores": 4}},
    seconds=61.04,
    addresses=[address("10.0.0.7", "declared"), address("fd00::7", "neighbour")],
)
FAILED = {"name": "gw", "type": "openwrt_lxc", "changed": False, "failed": True, "step": "create", "vmid": 103}
SKIPPED = {"name": "app", "type": "lxc", "changed": False, "skipped": "comes after gw, which failed"}


@pytest.mark.parametrize("making", sorted(MAKING))
def test_whatever_makes_a_guest_is_reported_as_that(making: str) -> None:
    assert what_changed(entry("web1", changed=True, plan=plan(making, "start"))) == "created"
    assert what_changed(entry("web1", changed=True, plan=plan("destroy", making))) == "recreated"


def test_the_table_of_a_run() -> None:
    result = {"guests": [CREATED, CHANGED, entry("dns1", vmid=104), FAILED, SKIPPED]}
    assert table(result, "", 65.26, 120).splitlines() == [
        "2 changed, 1 unchanged, 1 failed, 1 not started, 65.3 s",
        "name  type         vmid  node  address                changed                   seconds",
        "web1  lxc          101   pve1  192.168.20.10 (guest)  created                   4.2",
        "db1   lxc          102   pve1  10.0.0.7 (declared)    cores, memory, restarted  61.0",
        "                               fd00::7 (neighbour)",
        "dns1  lxc          104   pve1  -                      -                         -",
        "gw    openwrt_lxc  103   -     -                      failed: create            -",
        "app   lxc          -     -     -                      not started               -",
    ]


def test_a_failure_reports_where_it_was_and_whether_the_guest_is_what_it_was() -> None:
    assert what_changed(entry("web1", failed=True, step="start")) == "failed: start"
    assert what_changed(entry("web1", failed=True, step="start", rolled_back=True)) == "failed: start, rolled back"


def test_a_narrow_terminal_wraps_what_changed_and_loses_nothing() -> None:
    lines = table({"guests": [CHANGED]}, "", 1.0, 70).splitlines()
    assert lines[2:] == [
        "db1   lxc   102   pve1  10.0.0.7 (declared)  cores, memory,    61.0",
        "                        fd00::7 (neighbour)  restarted",
    ]


def test_of_very_many_guests_those_as_declared_are_counted_only() -> None:
    many = [entry(f"web{number}") for number in range(LISTED)]
    assert len(table({"guests": many}, "", 1.0, 79).splitlines()) == LISTED + 2
    waiting = entry("db9", pending={"cores": 4})
    lines = table({"guests": [*many, CREATED, waiting]}, "", 1.0, 120).splitlines()
    assert lines[0] == f"1 changed, {LISTED + 1} unchanged, 1.0 s"
    assert [line.split()[0] for line in lines[1:]] == ["name", "web1", "db9"]
    assert table({"guests": [*many, entry("one more")]}, "", 1.0, 79) == f"{LISTED + 1} unchanged, 1.0 s"
    assert table({"guests": []}, "", 1.0, 79) == "no guests, 1.0 s"


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (CREATED, "web1 (101) on pve1, 192.168.20.10 (guest), created, 3.0 s"),
        (entry("web1", plan=[]), ""),
        ({**CREATED, "failed": True}, ""),
        ({"failed": True, "msg": "memory is not a number"}, ""),
        ({"changed": True, "volids": ["local:vztmpl/a.tar.gz"], "plan": plan("upload")}, ""),
    ],
    ids=["created", "as declared", "failed", "refused", "a template"],
)
def test_a_module_for_one_guest_says_one_line_when_it_changed_it(result: dict[str, t.Any], line: str) -> None:
    assert table(result, "web1", 3.0, 79) == line


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"plan": plan("destroy", "create", "start")}, "recreated"),
        ({"plan": plan("clone", "set")}, "created"),
        ({"plan": plan("shutdown", "destroy")}, "destroyed"),
        ({"plan": plan("start"), "diff": {"before": {"status": "stopped"}, "after": {"status": "running"}}}, "started"),
        ({"plan": plan("shutdown")}, "stopped"),
        ({"plan": plan("configure", "configure")}, "configure"),
        ({"plan": plan("set"), "diff": {"after": {"onboot": True}}}, "onboot"),
        (
            {"plan": plan("set"), "diff": {"after": {"cores": 2}}, "pending": {"cores": 2}},
            "cores, waits for a restart: cores",
        ),
    ],
)
def test_what_was_done_with_a_guest(more: dict[str, t.Any], words: str) -> None:
    assert what_changed(entry("web1", changed=True, **more)) == words
