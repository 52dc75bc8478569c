# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how cloud-init says it has fared in a guest. Pure."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

COMMAND: t.Final = ("cloud-init", "status", "--wait", "--format", "json")
PLAIN_COMMAND: t.Final = ("cloud-init", "status", "--wait", "--long")
"""For a cloud-init that knows no JSON (before 23.1)."""
_WORDS = re.compile(r"^(?P<name>status|detail|errors):[ \t]*(?P<value>.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Status:
    """``state``: done, error, running, disabled or what cloud-init called it. ``errors`` made it fail, ``warnings`` are
    what it got over."""

    state: str
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        return self.state == "error"


def read_status(text: str) -> Status | None:
    """The answer of either command; None when it is none."""
    start = text.find("{")
    if start >= 0 and not _WORDS.search(text):
        try:
            told = json.loads(text[start:])
        except ValueError:
            return None
        return _from_json(told) if isinstance(told, dict) and told.get("status") else None
    words = {match["name"]: match["value"].strip() for match in _WORDS.finditer(text)}
    if not words.get("status"):
        return None
    state = words["status"].rpartition(" ")[2]
    listed = [line.strip()[1:].strip() for line in text.splitlines() if re.match(r"\s+- ", line)]
    told_errors = tuple(listed) or tuple(filter(None, [words.get("detail", "")]))
    return Status(state, told_errors) if state == "error" else Status(state, (), tuple(listed))


def _from_json(told: t.Mapping[str, t.Any]) -> Status:
    """``recoverable_errors`` are lists of texts by how serious they are."""
    recovered = told.get("recoverable_errors")
    lists = recovered.values() if isinstance(recovered, dict) else ()
    warnings = tuple(dict.fromkeys(str(text) for each in lists if isinstance(each, list) for text in each))
    errors = told.get("errors")
    listed = tuple(map(str, errors)) if isinstance(errors, list) else ()
    state = str(told["status"])
    if state == "error" and not listed:
        listed = tuple(filter(None, [str(told.get("detail") or "")]))
    return Status(state, listed, warnings)
