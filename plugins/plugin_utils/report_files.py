# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what came of checks, written into files on the controller, where reports are read."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path
from xml.etree import ElementTree

from ansible_collections.pve.provision.plugins.module_utils._guests.verify.report import Entry, summary

# What XML cannot hold, whatever a guest says.
_UNFIT: t.Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_json(guests: t.Sequence[Entry]) -> str:
    """The checks of guests as a document for programs."""
    everything = [check for guest in guests for check in guest["checks"]]
    return json.dumps({"summary": summary(everything), "guests": list(guests)}, indent=2) + "\n"


def as_junit(guests: t.Sequence[Entry]) -> str:
    """The checks of guests as JUnit XML: a suite for each guest. What is not verified is skipped, which no reader takes
    for a success."""
    everything = [check for guest in guests for check in guest["checks"]]
    root = ElementTree.Element("testsuites", {"name": "pve.provision", **_counts(everything)})
    for guest in guests:
        checks = guest["checks"]
        about = {"name": _fit(guest["name"]), "hostname": _fit(guest.get("node") or ""), **_counts(checks)}
        if checks:
            about["timestamp"] = min(check["at"] for check in checks).rstrip("Z")
        suite = ElementTree.SubElement(root, "testsuite", about)
        for check in checks:
            _add_case(suite, guest, check)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _counts(checks: t.Sequence[Entry]) -> dict[str, str]:
    counts = summary(checks)
    seconds = sum(check["seconds"] for check in checks)
    numbers = {"tests": len(checks), "failures": counts["failed"], "errors": 0, "skipped": counts["not_verified"]}
    return {**{name: str(number) for name, number in numbers.items()}, "time": f"{seconds:.1f}"}


def _add_case(suite: ElementTree.Element, guest: Entry, check: Entry) -> None:
    about = {"classname": f"{guest['type']}.{guest['name']}", "name": check["name"], "time": f"{check['seconds']:.1f}"}
    case = ElementTree.SubElement(suite, "testcase", {name: _fit(text) for name, text in about.items()})
    tags = {"failed": "failure", "not_verified": "skipped"}
    if tag := tags.get(check["outcome"]):
        said = ElementTree.SubElement(case, tag, {"message": _fit(check["detail"])})
        said.text = _fit(f"asked: {check['asked']}\nanswered by: {check['by'] or 'nobody'}\nat: {check['at']}")
    out = ElementTree.SubElement(case, "system-out")
    out.text = _fit(f"{check['asked']}: {check['detail']}")


def _fit(text: str) -> str:
    return _UNFIT.sub("\ufffd", text)


FORMS: t.Final[dict[str, t.Callable[[t.Sequence[Entry]], str]]] = {"junit": as_junit, "json": as_json}
"""What a report is written as, by the option that names its file."""


def write_reports(
    result: dict[str, t.Any], args: t.Mapping[str, t.Any], resolve: t.Callable[[str], str]
) -> dict[str, t.Any]:
    """The result of a module, whose reports are written where its arguments name files for them. ``resolve`` makes a
    path of the user's an absolute one. A report that cannot be written fails the task."""
    wanted, guests = args.get("report"), result.get("guests")
    if not isinstance(wanted, dict) or not isinstance(guests, list) or "summary" not in result:
        return result
    for name, form in FORMS.items():
        if wanted.get(name):
            path = Path(resolve(str(wanted[name])))
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(form(guests), encoding="utf-8")
            except OSError as error:
                said = [str(result["msg"])] if result.get("msg") else []
                result |= {"failed": True, "msg": "\n".join([*said, f"The report cannot be written: {error}"])}
    return result
