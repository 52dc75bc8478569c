# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a run as one page that needs nothing else: networks, storages, time, checks, the plan."""

from __future__ import annotations

import collections
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._pve.storages import gib
from ansible_collections.pve.provision.plugins.plugin_utils.report import network, timeline
from ansible_collections.pve.provision.plugins.plugin_utils.report.style import STYLE
from ansible_collections.pve.provision.plugins.plugin_utils.report.svg import Markup, element

Data = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class _Cell:
    """A value of a table, and what marks it."""

    value: t.Any
    class_: str = ""


_OUTCOMES: t.Final = {"passed": "passed", "failed": "FAILED", "not_verified": "not verified"}


def page(data: Data) -> str:
    """The page. ``data``: title, at, messages (why it failed), guests (declared), results (one entry for each guest),
    plan (lines), timeline, and of the node before and after: storages_before, storages. What is missing has no
    section."""
    title = str(data.get("title") or "Guests of Proxmox VE")
    results = {str(each.get("name")): each for each in data.get("results") or ()}
    sections = [
        _section("What has failed", _lines(list(data.get("messages") or ()))),
        _section("Networks", network.picture(list(data.get("guests") or ()), results)),
        _section("Guests", _guests(list(results.values()))),
        _section("Checks", _checks(list(results.values()))),
        _section("Remarks", _remarks(list(results.values()))),
        _section("Storages", _storages(data)),
        _section("Time", timeline.picture(list(data.get("timeline") or ()))),
        _section("Plan", _lines(list(data.get("plan") or ()))),
    ]
    head = (
        element("title", title)
        + '<meta name="viewport" content="width=device-width, initial-scale=1">'
        + f"<style>{STYLE}</style>"
    )
    summary = element(
        "header", element("h1", title), element("p", data.get("at") or "", class_="quiet"), _counts(results)
    )
    body = element("body", summary, element("main", *sections))
    return f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{head}</head>{body}</html>\n'


def _section(heading: str, content: Markup) -> Markup:
    if not content:
        return Markup("")
    # What is wider than the page is scrolled, also by the keyboard.
    inner = element("div", content, class_="scroll", tabindex="0", role="region", aria_label=heading)
    return element("section", element("h2", heading), inner)


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _counts(results: t.Mapping[str, Data]) -> Markup:
    counts: dict[str, int] = {"guest" if len(results) == 1 else "guests": len(results)}
    counts["changed"] = sum(bool(each.get("changed")) for each in results.values())
    counts["failed"] = sum(bool(_wrong(each)) for each in results.values())
    outcomes = collections.Counter(check["outcome"] for each in results.values() for check in _evidence(each))
    for outcome in filter(outcomes.get, _OUTCOMES):
        checks = "check" if outcomes[outcome] == 1 else "checks"
        counts[f"{checks} {_OUTCOMES[outcome].lower()}"] = outcomes[outcome]
    return element("ul", *(element("li", element("b", count), word) for word, count in counts.items()), class_="counts")


def _evidence(result: Data) -> t.Sequence[Data]:
    """The checks of a guest: a row of the role has them beside the words that sum them up."""
    return result.get("evidence", result.get("checks")) or ()


def _wrong(result: Data) -> str:
    """Why a guest is not as declared; empty where it is, or nobody has found anything else."""
    if result.get("failed"):
        return str(result.get("msg") or "failed")
    unmet = result.get("failed_checks") or ()
    return f"not as declared: {', '.join(unmet)}" if unmet else ""


def _table(caption: str, heads: t.Sequence[str], rows: t.Iterable[t.Sequence[_Cell]]) -> Markup:
    """On a phone each row is a block of its own, where its heads stand beside its values."""
    found = list(rows)
    if not found:
        return Markup("")
    top = element("tr", *(element("th", head, scope="col") for head in heads))
    lines = [element("tr", *(_told(*pair) for pair in zip(heads, cells, strict=True))) for cells in found]
    return element(
        "table", element("caption", caption, class_="quiet"), element("thead", top), element("tbody", *lines)
    )


def _told(head: str, cell: _Cell) -> Markup:
    return element("td", cell.value, data_head=head, class_=cell.class_ or None)


def _guests(results: t.Sequence[Data]) -> Markup:
    def row(each: Data) -> list[_Cell]:
        where = ", ".join(f"{one['address']} ({one['source']})" for one in each.get("addresses") or ())
        wrong = _wrong(each)
        state = "failed" if each.get("failed") else each.get("status") or ("skipped" if each.get("skipped") else "")
        did = "changed" if each.get("changed") else "as declared"
        last = _Cell(wrong or each.get("skipped") or did, "failed" if wrong else "")
        told = (each.get("name"), each.get("type"), each.get("vmid") or "", each.get("node") or "", state, where)
        return [*map(_Cell, told), last]

    heads = ("name", "type", "vmid", "node", "status", "addresses (source)", "result")
    return _table(_number(len(results), "guest"), heads, map(row, results))


def _checks(results: t.Sequence[Data]) -> Markup:
    rows: list[list[_Cell]] = []
    for each in results:
        for check in _evidence(each):
            outcome = str(check["outcome"])
            found = _Cell(_OUTCOMES.get(outcome, outcome), outcome)
            evidence = [check.get(name) or "" for name in ("detail", "asked", "by", "at")]
            rows.append([_Cell(each.get("name")), _Cell(check.get("name")), found, *map(_Cell, evidence)])
    rows.sort(key=lambda cells: cells[2].class_ != "failed")
    heads = ("guest", "check", "outcome", "what was found", "what was asked", "who answered", "when")
    return _table("Checks, those that failed first", heads, rows)


def _remarks(results: t.Sequence[Data]) -> Markup:
    told: list[tuple[Data, str]] = []
    for each in results:
        pending = [f"pending: {name}" for name in each.get("pending") or ()]
        told += [(each, words) for words in (*each.get("notes", pending), *(each.get("warnings") or ()))]
        told += [
            (each, f"{one.get('what')}: {one.get('instead')}, because {one.get('because')}")
            for one in each.get("degraded") or ()
        ]
    rows = [[_Cell(each.get("name")), _Cell(words)] for each, words in told]
    return _table("What is pending, not verified, or done in another way", ("guest", "remark"), rows)


def _storages(data: Data) -> Markup:
    before = {each["name"]: each for each in data.get("storages_before") or ()}
    rows = []
    for each in data.get("storages") or ():
        if not each.get("total"):
            continue
        free = f"{gib(each['available'])} of {gib(each['total'])} GiB free"
        in_use = timeline.fill(each, before.get(each["name"], {}))
        rows.append([_Cell(value) for value in (each["name"], each.get("type", ""), free, in_use)])
    return _table("In use before the run (grey) and added by it (violet)", ("storage", "type", "room", "in use"), rows)


def _lines(lines: t.Sequence[str]) -> Markup:
    return element("pre", "\n".join(lines)) if lines else Markup("")
