# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a command, ``make demo`` unless told otherwise, and writes ``docs/demo.svg``: a terminal that shows the run.

The picture is moved by its own style sheet, without scripts. Where it may not move, it shows the end. Pauses are
shortened; what the command writes is shown as it is, cut at the width of the terminal, and without the stars with which
Ansible fills its lines.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import typing as t
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "demo.svg"
COLUMNS, ROWS = 72, 24
LINE, LETTER, MARGIN, TITLE = 18, 7.83, 14, 30  # pixels
PAUSE, REST = 0.6, 6.0  # seconds: the longest between two lines, and how long the end stays

# How a line looks, by the first pattern that it has.
COLOURS: dict[str, tuple[str, str]] = {
    "prompt": (r"^\$ ", "fill:#fff;font-weight:bold"),
    "title": (r"^==> ", "fill:#7dcfff;font-weight:bold"),
    "task": (r"^(PLAY|TASK) ", "fill:#c0caf5;font-weight:bold"),
    "changed": (r"^changed:|\bchanged=[1-9]", "fill:#e0af68"),
    "ok": (r"^ok:|\bchanged=0\b|\bunchanged\b", "fill:#9ece6a"),
    "skipped": (r"^skipping:", "fill:#787c99"),
    "step": (r"^pve: ", "fill:#bb9af7"),
    "plain": ("", "fill:#a9b1d6"),
}
Line = tuple[float, str]


def colour(text: str) -> str:
    return next(name for name, (pattern, _style) in COLOURS.items() if re.search(pattern, text))


def cut(text: str) -> str:
    """A line as wide as the terminal, with spaces that stay as many as they are."""
    text = re.sub(r" \*+$", "", text)
    return (text if len(text) <= COLUMNS else text[: COLUMNS - 1] + "…").replace(" ", "\N{NO-BREAK SPACE}")


def moments(lines: t.Sequence[Line]) -> list[tuple[float, int]]:
    """When the picture changes, and how many lines are there from then on. Pauses are shortened."""
    shown: list[tuple[float, int]] = []
    now, before = 0.0, 0.0
    for count, (seconds, _text) in enumerate(lines, start=1):
        now += min(max(seconds - before, 0.0), PAUSE)
        before = seconds
        moment = round(now, 1)
        if shown and shown[-1][0] == moment:
            shown.pop()
        shown.append((moment, count))
    return shown


def keyframes(name: str, shown: t.Sequence[tuple[float, int]], length: float, place: t.Callable[[int], int]) -> str:
    steps = "".join(
        f"{100 * moment / length:.2f}%{{transform:translateY({place(count)}px)}}" for moment, count in shown
    )
    return f"@keyframes {name}{{{steps}}}\n"


def render(lines: t.Sequence[Line]) -> str:
    """A terminal in which these lines come one after the other, each at its second."""
    shown = moments(lines)
    length = shown[-1][0] + REST
    width, height = round(COLUMNS * LETTER + 2 * MARGIN), ROWS * LINE + TITLE + MARGIN

    def scrolled(count: int) -> int:
        return -LINE * max(count - ROWS, 0)

    def covered(count: int) -> int:
        return LINE * count

    style = "".join(f".{name}{{{css}}}\n" for name, (_pattern, css) in COLOURS.items())
    style += keyframes("scroll", shown, length, scrolled) + keyframes("cover", shown, length, covered)
    style += "".join(
        f"#{name}{{transform:translateY({place(len(lines))}px);animation:{name} {length:.1f}s step-end infinite}}\n"
        for name, place in (("scroll", scrolled), ("cover", covered))
    )
    style += "@media (prefers-reduced-motion:reduce){#scroll,#cover{animation:none}}"
    texts = "\n".join(
        f'<text class="{colour(text)}" y="{LINE * number - 5}">{escape(cut(text))}</text>'
        for number, (_seconds, text) in enumerate(lines, start=1)
        if text
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" role="img" aria-label="{escape(lines[0][1], {'"': "&quot;"})}, in a terminal" font-size="13" \
font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace">
<style>
{style}
</style>
<rect width="{width}" height="{height}" rx="8" fill="#1a1b26"/>
<circle cx="18" cy="15" r="5" fill="#f7768e"/><circle cx="36" cy="15" r="5" fill="#e0af68"/>\
<circle cx="54" cy="15" r="5" fill="#9ece6a"/>
<svg x="{MARGIN}" y="{TITLE}" width="{width - MARGIN}" height="{ROWS * LINE}">
<g id="scroll">
{texts}
<rect id="cover" width="100%" height="{LINE * len(lines)}" fill="#1a1b26"/>
</g>
</svg>
</svg>
"""


def record(command: t.Sequence[str]) -> list[Line]:
    """What a command writes, line by line, with the seconds since it began."""
    lines: list[Line] = [(0.0, f"$ {' '.join(command)}")]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    started = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append((time.monotonic() - started, line.rstrip()))
    if process.returncode:
        raise SystemExit(process.returncode)
    return lines


def main() -> int:
    TARGET.write_text(render(record(sys.argv[1:] or ["make", "demo"])), encoding="utf-8")
    print(f"The recording is in {TARGET.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
