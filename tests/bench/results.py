# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where measured figures go: on the terminal, and into their place in ``docs/benchmarks.md``."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"

Row = Sequence[str]


@dataclass(frozen=True)
class Took:
    """What something took: seconds on the clock, and seconds that its processes kept a core busy.

    The second does not count what else the machine does, nor the embedded node, which is nobody's child here.
    """

    wall: float
    cpu: float

    def __sub__(self, other: Took) -> Took:
        return Took(self.wall - other.wall, self.cpu - other.cpu)


def took(action: Callable[[], object]) -> Took:
    """Do something by processes that have ended when it returns."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    action()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def fastest(actions: Sequence[Callable[[], object]], turns: int) -> list[Took]:
    """Do several things in turns. Of several turns the fastest counts: what else the machine does only ever adds."""
    measured = [[took(action) for action in actions] for _turn in range(turns)]
    return [
        Took(min(each.wall for each in times), min(each.cpu for each in times)) for times in zip(*measured, strict=True)
    ]


def publish(capsys: pytest.CaptureFixture[str], name: str, head: Row, rows: Sequence[Row]) -> None:
    """Print a table, and put it between its two marks in the document."""
    machine = f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.0f}"
    table = [_line(head), _line(["---", *["---:"] * (len(head) - 1)]), *map(_line, rows)]
    text = "\n".join([*table, "", f"Measured on a machine of {machine}."])
    with capsys.disabled():
        print(f"\n\n{name}\n{text}")
    begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    before, _begin, rest = DOCUMENT.read_text(encoding="utf-8").partition(begin)
    _old, found, after = rest.partition(end)
    assert found, f"{DOCUMENT} has no place for {name}"
    DOCUMENT.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


def _line(cells: Row) -> str:
    return f"| {' | '.join(cells)} |"


def verdict(value: float, limit: float, unit: str, *, at_least: bool = False) -> str:
    """A figure with its goal and whether it is met."""
    met = value >= limit if at_least else value <= limit
    sign = "at least" if at_least else "at most"
    return f"{value:.3g}{unit} (goal: {sign} {limit:g}{unit}, {'met' if met else 'missed'})"
