# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report tells of a run over one node or several, that ended well or not."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.filter.reports import run_report

WEB = {"name": "web1", "type": "lxc", "state": "started"}
CHECK = {"name": "HTTP port 80", "type": "http", "outcome": "passed", "detail": "200"}
FOUND = {"name": "web1", "type": "lxc", "vmid": 100, "status": "running", "changed": True, "checks": [CHECK]}
STEP = {"guest": "web1", "step": "create", "began": 0.0, "seconds": 1.0, "failed": False}


def storage(name: str, **more: t.Any) -> dict[str, t.Any]:
    return {"name": name, "type": "dir", "total": 100, "available": 50, **more}


def test_a_guest_has_its_evidence_beside_the_judgement() -> None:
    told = run_report([{"guests": [FOUND], "plan": ["+ create web1"], "timeline": [STEP]}], [WEB], [])
    (row,) = told["guests"]
    assert (row["checks"], row["evidence"], row["changed"]) == ("state ok", [CHECK], True)
    assert (told["plan"], told["timeline"], told["failed"], told["messages"]) == (["+ create web1"], [STEP], False, [])


def test_what_a_failed_run_has_told_is_reported() -> None:
    broken = {"name": "web1", "type": "lxc", "failed": True, "msg": "no space", "changed": False}
    runs = [{"failed": True, "msg": "1 of 1 guests failed.", "guests": [broken], "plan": ["+ create web1"]}]
    told = run_report(runs, [WEB], [])
    assert (told["failed"], told["messages"], told["plan"]) == (True, ["1 of 1 guests failed."], ["+ create web1"])
    assert (told["guests"][0]["msg"], told["guests"][0]["failed_checks"]) == ("no space", ["state"])
    assert run_report([{"failed": True, "msg": "web1: no such bridge"}], [WEB], [])["guests"] == []


def test_in_check_mode_nobody_is_judged() -> None:
    planned = {"name": "web1", "type": "lxc", "status": "absent", "changed": True}
    (row,) = run_report([{"guests": [planned]}], [WEB], [], check_mode=True)["guests"]
    assert (row["failed_checks"], row["checks"]) == ([], "")


def test_storages_of_several_nodes_are_distinguished_and_shared_ones_once() -> None:
    there = [
        {"node": "pve1", "storages": [storage("local"), storage("nas", shared=True)]},
        {"node": "pve2", "storages": [storage("local"), storage("nas", shared=True)]},
    ]
    told = run_report(there, [], there[:1])
    assert [each["name"] for each in told["storages_before"]] == ["pve1: local", "nas", "pve2: local"]
    assert [each["name"] for each in told["storages"]] == ["local", "nas"]
