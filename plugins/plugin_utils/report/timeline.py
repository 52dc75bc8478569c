# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: when a run did what: a lane for each guest, a bar for each of its steps; and how full
storages are, before and after."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.plugin_utils.report.svg import (
    Markup,
    box,
    chart,
    drawing,
    element,
    line,
    text,
)

Moment = t.Mapping[str, t.Any]

_LANE: t.Final = 46  # px: a line for the name, and one for the bars
_BAR: t.Final = 18
_TICKS: t.Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
# How many pixels the picture has at least, on a phone and elsewhere; in a bar that is too short for it no word stands.
_PHONE: t.Final = 320
_DESK: t.Final = 680
# How many characters stand above a lane.
_ROOM: t.Final = 88
# The least width of a bar, so that it is seen (%).
_LEAST: t.Final = 0.5


def picture(moments: t.Sequence[Moment]) -> Markup:
    """The steps of a run: ``guest``, ``step``, ``began`` and ``seconds`` (s), ``failed``."""
    if not moments:
        return Markup("")
    lanes: dict[str, list[Moment]] = {}
    for moment in moments:
        lanes.setdefault(str(moment["guest"]) or "all guests", []).append(moment)
    end = max(float(each["began"]) + float(each["seconds"]) for each in moments) or 1.0
    height = _LANE * len(lanes) + 28
    parts = [_tick(second, 100 * second / end, height) for second in _ticks(end)]
    for number, (name, steps) in enumerate(lanes.items()):
        y = _LANE * number
        shown = name[:40]
        told = element("tspan", _steps(steps, _ROOM - len(shown)), class_="quiet wide", dx="10")
        parts.append(text(0, y + 16, Markup(element("tspan", shown, class_="strong") + told)))
        parts += [_bar(step, y + 22, end) for step in steps]
    return chart(height, f"{len(moments)} steps in {end:.1f} seconds", *parts)


def _steps(steps: t.Sequence[Moment], most: int) -> str:
    """The steps in words, as many characters of them as there is room for."""
    words = ", ".join(f"{str(each['step']).replace('_', ' ')} {float(each['seconds']):.1f} s" for each in steps)
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _ticks(end: float) -> list[float]:
    every = next((each for each in _TICKS if end / each <= 6), _TICKS[-1])
    return [every * number for number in range(int(end / every) + 1)]


def _tick(second: float, place: float, height: float) -> Markup:
    anchor = "start" if not second else "end" if place > 95 else "middle"
    x = f"{place:g}%"
    return element("g", line(x, 0, x, height - 24, "tick"), text(x, height - 8, f"{second:g} s", "quiet", anchor))


def _bar(step: Moment, y: float, end: float) -> Markup:
    width = max(100 * float(step["seconds"]) / end, _LEAST)
    place = min(100 * float(step["began"]) / end, 100 - width)
    told = element("title", f"{step['guest']}: {step['step']}, {float(step['seconds']):.1f} s")
    word = str(step["step"]).replace("_", " ")
    class_ = "bar failed" if step.get("failed") else "bar"
    parts = [box(f"{place:g}%", y, f"{width:g}%", _BAR, class_, told)]
    room = 7 * len(word) + 12
    if width * _DESK > 100 * room:
        fits = "on-bar" if width * _PHONE > 100 * room else "on-bar wide"
        parts.append(text(f"{place:g}%", y + 13, word, fits, dx="6"))
    return element("g", *parts)


def fill(storage: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any]) -> Markup:
    """How full a storage is: what it held before, and what has come to it."""
    total = float(storage.get("total") or 0)
    if not total:
        return Markup("")
    now = total - float(storage.get("available") or 0)
    then = min(total - float(before.get("available") or 0), now) if before.get("total") else now
    label = f"{storage['name']}: {now / total:.0%} in use, {then / total:.0%} before"
    bars = [box(0, 2, 300, 14, "room"), box(0, 2, 300 * then / total, 14, "used")]
    if now > then:  # it is seen, however little it is
        added = max(300 * (now - then) / total, 2)
        bars.append(box(min(300 * then / total, 300 - added), 2, added, 14, "added"))
    return drawing(300, 18, label, *bars, class_="meter")
