# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what came of checks, for people. Pure."""

from __future__ import annotations

import collections
import textwrap
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Outcome

Entry = t.Mapping[str, t.Any]

OUTCOMES: t.Final[dict[str, str]] = {"passed": "ok", "failed": "FAILED", "not_verified": "not verified"}
"""The word for each outcome in a table for people."""
_HEADER: t.Final = ("guest", "check", "outcome", "what was found")
_GAP: t.Final = "  "
_NARROW: t.Final = 24


def told(checks: t.Iterable[Entry], outcome: Outcome) -> list[str]:
    """The checks with an outcome, in a text each."""
    return [words(each) for each in checks if each["outcome"] == outcome]


def words(check: Entry) -> str:
    asked = "" if check["asked"] == check["name"] else f"{check['asked']}: "
    return f"{check['name']}: {asked}{check['detail']}"


def summary(checks: t.Iterable[Entry]) -> dict[str, int]:
    """How many checks have each outcome."""
    counts = collections.Counter(each["outcome"] for each in checks)
    return {outcome: counts[outcome] for outcome in OUTCOMES}


def overall(checks: t.Sequence[Entry]) -> Outcome:
    """The worst outcome. Without a check nothing is verified."""
    counts = summary(checks)
    return "failed" if counts["failed"] else "passed" if checks and not counts["not_verified"] else "not_verified"


def table(guests: t.Sequence[Entry], width: int) -> list[str]:
    """All checks of all guests as aligned lines for people."""
    rows = [_HEADER]
    for guest in guests:
        for check in guest["checks"]:
            by = f" ({check['by']})" if check["by"] else ""
            rows.append((guest["name"], check["name"], OUTCOMES[check["outcome"]], f"{check['detail']}{by}"))
    sizes = [max(len(row[column]) for row in rows) for column in range(3)]
    room = max(width - sum(sizes) - 3 * len(_GAP), _NARROW)
    lines = []
    for row in rows:
        wrapped = textwrap.wrap(row[3], room) or [""]
        first = [*(text.ljust(size) for text, size in zip(row, sizes, strict=False)), wrapped[0]]
        lines.append(_GAP.join(first).rstrip())
        lines += [" " * (sum(sizes) + 3 * len(_GAP)) + line for line in wrapped[1:]]
    return lines
