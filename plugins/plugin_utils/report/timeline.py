# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: when a run did what: a lane for each guest, a bar for each of its steps; and how full
storages are, before and after."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.plugin_utils.report.svg import Markup, box, drawing, element, line, text

Moment = t.Mapping[str, t.Any]

_NAME: t.Final = 170  # px
_LANE: t.Final = 30
_WIDTH: t.Final = 620
_TICKS: t.Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)


def picture(moments: t.Sequence[Moment]) -> Markup:
    """The steps of a run: ``guest``, ``step``, ``began`` and ``seconds`` (s), ``failed``."""
    if not moments:
        return Markup("")
    lanes: dict[str, list[Moment]] = {}
    for moment in moments:
        lanes.setdefault(str(moment["guest"]) or "all guests", []).append(moment)
    end = max(float(each["began"]) + float(each["seconds"]) for each in moments) or 1.0
    scale = _WIDTH / end
    height = _LANE * len(lanes) + 34
    parts = [_tick(second, scale, height) for second in _ticks(end)]
    for number, (name, steps) in enumerate(lanes.items()):
        y = _LANE * number + 4
        parts.append(text(_NAME - 10, y + 16, name[:22], "strong", "end"))
        parts += [_bar(step, y, scale) for step in steps]
    return drawing(_NAME + _WIDTH + 20, height, f"{len(moments)} steps in {end:.1f} seconds", *parts)


def _ticks(end: float) -> list[float]:
    every = next((each for each in _TICKS if end / each <= 8), _TICKS[-1])
    return [every * number for number in range(int(end / every) + 1)]


def _tick(second: float, scale: float, height: float) -> Markup:
    x = _NAME + second * scale
    return element("g", line(x, 0, x, height - 26, "tick"), text(x, height - 10, f"{second:g} s", "quiet", "middle"))


def _bar(step: Moment, y: float, scale: float) -> Markup:
    width = max(float(step["seconds"]) * scale, 2)
    x = _NAME + float(step["began"]) * scale
    told = element("title", f"{step['guest']}: {step['step']}, {float(step['seconds']):.1f} s")
    word = str(step["step"]).replace("_", " ")
    parts = [box(x, y, width, _LANE - 8, "bar failed" if step.get("failed") else "bar", told)]
    if width > 8 * len(word):
        parts.append(text(x + 5, y + 15, word, "on-bar"))
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
    bars.append(box(300 * then / total, 2, max(300 * (now - then) / total, 0), 14, "added"))
    return drawing(300, 18, label, *bars)
