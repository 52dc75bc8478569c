# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recording shows the lines of a run one after the other, and is the same each time for the same run."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import recording

RUN = [
    (0.0, "$ make demo"),
    (0.1, "==> first run"),
    (0.1, "pve: web1: create: 0.2 s"),
    (60.0, "changed: [pve]  =>  <a & b>"),
    (60.5, ""),
    (61.0, "ok: [pve]"),
]
SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    shown = ElementTree.fromstring(picture).iter(f"{SVG}text")
    return [str(element.text).replace("\N{NO-BREAK SPACE}", " ") for element in shown]


def places(picture: str, name: str) -> list[tuple[float, int]]:
    """The percentages of an animation, and where its element is then, in lines."""
    (steps,) = re.findall(rf"@keyframes {name}{{(.*)}}$", picture, re.MULTILINE)
    found = re.findall(r"([\d.]+)%{transform:translateY\((-?\d+)px\)}", steps)
    return [(float(percent), int(pixels) // recording.LINE) for percent, pixels in found]


def test_the_same_run_is_the_same_picture_with_its_lines_as_they_are() -> None:
    picture = recording.render(RUN)
    assert picture == recording.render(list(RUN))
    assert texts(picture) == [text for _seconds, text in RUN if text]


def test_long_pauses_are_shortened_and_lines_of_one_moment_come_together() -> None:
    assert recording.moments(RUN) == [(0.0, 1), (0.1, 3), (0.7, 4), (1.2, 5), (1.7, 6)]


def test_the_lines_come_in_order_and_the_end_is_shown_where_nothing_moves() -> None:
    lines = [(float(number), f"line {number}") for number in range(recording.ROWS + 10)]
    picture = recording.render(lines)
    cover, scroll = places(picture, "cover"), places(picture, "scroll")
    assert [count for _percent, count in cover] == list(range(1, len(lines) + 1))
    assert [percent for percent, _count in cover] == sorted({percent for percent, _count in cover})
    assert cover[-1][0] < 100
    assert scroll[recording.ROWS - 1][1] == 0
    assert scroll[-1][1] == -10
    assert f"#scroll{{transform:translateY({-10 * recording.LINE}px)" in picture
    assert "prefers-reduced-motion:reduce" in picture


def test_what_is_wider_than_the_terminal_is_cut() -> None:
    (shown,) = texts(recording.render([(0.0, "x" * 500)]))
    assert shown == "x" * (recording.COLUMNS - 1) + "…"


def test_the_stars_that_fill_a_line_are_left_out() -> None:
    assert texts(recording.render([(0.0, f"PLAY [Make guests] {'*' * 60}")])) == ["PLAY [Make guests]"]


def test_each_line_has_its_colour() -> None:
    assert [recording.colour(text) for _seconds, text in RUN] == ["prompt", "title", "step", "changed", "plain", "ok"]


def test_the_recording_that_is_kept_shows_that_the_second_run_changes_nothing() -> None:
    shown = texts(recording.TARGET.read_text(encoding="utf-8"))
    assert shown[0] == "$ make demo"
    second = shown[shown.index("==> second run, nothing to do") :]
    assert any("4 unchanged" in text for text in second)
    assert [text for text in second if re.search(r"\bchanged=[1-9]", text)] == []
