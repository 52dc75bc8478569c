# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the results of a run as a table for people, in plain text."""

from __future__ import annotations

import textwrap
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._guests.verify.report import OUTCOMES
from ansible_collections.pve.provision.plugins.module_utils._guests.verify.report import table as verify_table

HEADER: t.Final = ("name", "type", "vmid", "node", "address", "changed", "seconds")
#: Which column takes the room that the others leave, and how little of it will do.
_WRAPPED: t.Final = HEADER.index("changed")
_NARROW: t.Final = 16
#: With more guests than this, those that are as declared are counted instead of listed.
LISTED: t.Final = 40
_GAP: t.Final = "  "

Entry = t.Mapping[str, t.Any]


def table(result: Entry, name: str, seconds: float, width: int) -> str:
    """How it went with each guest of a result, in lines of ``width`` where they fit. That of a module for one guest,
    which is called ``name``, is one line, and none where nothing was changed. Empty for a result without guests."""
    if "summary" in result:
        return "\n".join([_counted(result["summary"], seconds), *verify_table(result["guests"], width)])
    if isinstance(result.get("guests"), list):
        return _of_many(result["guests"], seconds, width)
    if "vmid" in result and "plan" in result and result.get("changed") and not result.get("failed"):
        addresses = ", ".join(addresses_of(result))
        told = [f"{name or 'guest'} ({result['vmid']}) on {result.get('node')}", addresses, what_changed(result)]
        return ", ".join([*filter(None, told), f"{seconds:.1f} s"])
    return ""


def _counted(summary: Entry, seconds: float) -> str:
    """How many checks have which outcome."""
    told = ", ".join(f"{count} {OUTCOMES[outcome]}" for outcome, count in summary.items() if count)
    return f"{told or 'no checks'}, {seconds:.1f} s"


def _of_many(entries: t.Sequence[Entry], seconds: float, width: int) -> str:
    busy = [entry for entry in entries if what_changed(entry)]
    listed = entries if len(entries) <= LISTED else busy
    lines = aligned([HEADER, *(_cells(entry) for entry in listed)], width) if listed else []
    return "\n".join([_summary(entries, seconds), *lines])


def _summary(entries: t.Sequence[Entry], seconds: float) -> str:
    counts = {
        "changed": sum(bool(entry.get("changed")) for entry in entries),
        "unchanged": sum(not any(map(entry.get, ("changed", "failed", "skipped"))) for entry in entries),
        "failed": sum(bool(entry.get("failed")) for entry in entries),
        "not started": sum(bool(entry.get("skipped")) for entry in entries),
    }
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{told or 'no guests'}, {seconds:.1f} s"


def _cells(entry: Entry) -> tuple[str, ...]:
    told = {name: str(entry[name]) for name in HEADER if entry.get(name) is not None}
    if "seconds" in entry:
        told["seconds"] = f"{entry['seconds']:.1f}"
    told |= {"address": "\n".join(addresses_of(entry)), "changed": what_changed(entry)}
    return tuple(told.get(name) or "-" for name in HEADER)


def addresses_of(entry: Entry) -> list[str]:
    """The addresses of a guest, each with who told it: declared ones that nobody has seen are told as that."""
    return [f"{each['address']} ({each['source']})" for each in entry.get("addresses") or ()]


def what_changed(entry: Entry) -> str:
    """What a run did with a guest, in a few words; empty when all is as declared."""
    if entry.get("failed"):
        failed = f"failed: {entry['step']}" if entry.get("step") else "failed"
        return f"{failed}, rolled back" if entry.get("rolled_back") else failed
    if entry.get("skipped"):
        return "not started"
    pending = entry.get("pending")
    waiting = f"waits for a restart: {', '.join(sorted(pending))}" if pending else ""
    if not entry.get("changed"):
        return waiting
    steps = [str(step["step"]) for step in entry.get("plan") or ()]
    return ", ".join(filter(None, [_done(steps, entry.get("diff") or {}), waiting]))


def _done(steps: t.Sequence[str], diff: Entry) -> str:
    made, gone = {"create", "clone", "restore"} & set(steps), "destroy" in steps
    if made or gone:
        return "recreated" if made and gone else "created" if made else "destroyed"
    before, after = ({**(diff.get(side) or {})} for side in ("before", "after"))
    keys = sorted(key for key in {**before, **after} if before.get(key) != after.get(key) and key != "status")
    power = [step for step in ("shutdown", "start") if step in steps]
    ends = {"shutdown": "stopped", "start": "started"}
    powered = "restarted" if len(power) > 1 else "".join(ends[step] for step in power)
    others = [] if keys or powered else list(dict.fromkeys(steps))
    return ", ".join(filter(None, [*keys, powered, *others])) or "changed"


def aligned(rows: t.Sequence[t.Sequence[str]], width: int) -> list[str]:
    """Rows of the table as aligned lines; a cell may take several of them."""
    split = [[cell.splitlines() for cell in row] for row in rows]
    widths = [max(len(line) for row in split for line in row[column]) for column in range(len(HEADER))]
    others = sum(widths) - widths[_WRAPPED] + len(_GAP) * (len(HEADER) - 1)
    widths[_WRAPPED] = min(widths[_WRAPPED], max(width - others, _NARROW))
    lines = []
    for row in split:
        row[_WRAPPED] = textwrap.wrap(" ".join(row[_WRAPPED]), widths[_WRAPPED], break_long_words=False)
        for number in range(max(map(len, row))):
            cells = [cell[number] if number < len(cell) else "" for cell in row]
            lines.append(_GAP.join(text.ljust(size) for text, size in zip(cells, widths, strict=True)).rstrip())
    return lines
