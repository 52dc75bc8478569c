# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports are files on the controller, whatever came of the checks."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path
from xml.etree import ElementTree

import pytest
from check_results import GW, WEB, check
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.plugin_utils.report_files import as_json, as_junit, write_reports

RESULT = {"guests": [], "summary": {"passed": 0, "failed": 0, "not_verified": 0}}


def test_a_report_is_written_where_the_task_says_also_of_a_task_that_failed(tmp_path: Path) -> None:
    args = {"report": {"junit": "new/a.xml", "json": "b.json"}}
    told = write_reports({**RESULT, "failed": True, "msg": "x"}, args, lambda path: str(tmp_path / path))
    assert (told["failed"], told["msg"]) == (True, "x")
    assert (tmp_path / "new/a.xml").read_text().startswith("<testsuites")
    assert json.loads((tmp_path / "b.json").read_text())["guests"] == []


@pytest.mark.parametrize(
    ("result", "args"),
    [
        (RESULT, {}),
        (RESULT, {"report": {"junit": "", "json": None}}),
        ({"guests": []}, {"report": {"junit": "a.xml"}}),
        ({"failed": True, "msg": "no node"}, {"report": {"junit": "a.xml"}}),
    ],
)
def test_without_a_name_or_a_result_nothing_is_written(
    result: dict[str, t.Any], args: dict[str, t.Any], tmp_path: Path
) -> None:
    assert write_reports(dict(result), args, lambda path: str(tmp_path / path)) == result
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_fails_the_task(tmp_path: Path) -> None:
    told = write_reports(dict(RESULT), {"report": {"json": "."}}, lambda path: str(tmp_path / path))
    assert told["failed"]
    assert "The report cannot be written" in told["msg"]


def test_junit_counts_and_reports_each_check() -> None:
    root = ElementTree.fromstring(as_junit([WEB, GW]))
    counts = {name: root.get(name) for name in ("tests", "failures", "errors", "skipped", "time")}
    assert counts == {"tests": "3", "failures": "1", "errors": "0", "skipped": "1", "time": "0.8"}
    web, router = root.findall("testsuite")
    assert (web.get("name"), web.get("hostname"), web.get("timestamp")) == ("web1", "pve1", "2026-03-01T09:00:00")
    green, red = web.findall("testcase")
    assert (green.get("classname"), green.get("name"), green.find("failure")) == ("lxc.web1", "80", None)
    assert [mark.get("message") for mark in red.findall("failure")] == ["connection refused"]
    assert [mark.get("message") for mark in router.iter("skipped")] == ["no way in"]
    assert "asked: tcp 443" in str(red.findtext("failure"))


@given(st.text(), st.text())
def test_junit_is_xml_whatever_a_guest_says(name: str, detail: str) -> None:
    guest = {**WEB, "checks": [check(name, "failed", detail)]}
    (mark,) = ElementTree.fromstring(as_junit([guest])).iter("failure")
    assert mark.get("message") is not None


def test_json_is_what_programs_read() -> None:
    told = json.loads(as_json([WEB, GW]))
    assert told["summary"] == {"passed": 1, "failed": 1, "not_verified": 1}
    assert told["guests"] == [WEB, GW]
