# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m conformance``: run a folder of transcripts against the embedded node, print how many came out alike.

The floor file remembers the best shares so far, a folder and a group at a time; ``--update-floor`` raises it,
nothing lowers it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .compare import Driver, Verdict, run_one
from .transcript import load
from .world import World

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1].parent / "shared"
FOLDERS = (SHARED / "pve-transcripts", SHARED / "pve-transcripts-9.1.9")
FLOOR = HERE / "floor.json"
Floor = dict[str, dict[str, float]]


def measure(folder: Path, driver: Driver, only: str = "") -> list[Verdict]:
    """The verdicts over a folder; ``only`` keeps the scenarios whose name or command begins so."""
    transcripts = load(folder)
    world = World(transcripts)
    return [run_one(t, world, driver) for t in transcripts if t.scenario.startswith(only) or t.command.startswith(only)]


def counted(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Without those that owe their answer to the machine they were recorded on."""
    return [verdict for verdict in verdicts if not verdict.env_artifact]


def shares(verdicts: Iterable[Verdict]) -> Floor:
    """Percent of right outcomes and of full matches for each group, rounded down to a tenth."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in counted(verdicts):
        groups.setdefault(verdict.group, []).append(verdict)
    return {
        group: {
            "rc": _percent(sum(v.rc_ok for v in found), len(found)),
            "full": _percent(sum(v.full_ok for v in found), len(found)),
        }
        for group, found in sorted(groups.items())
    }


def _percent(part: int, whole: int) -> float:
    return 1000 * part // whole / 10


def table(verdicts: Iterable[Verdict]) -> str:
    """Right outcomes, full matches and totals, a line for each command and one for all."""
    rows: dict[str, list[int]] = {}
    for verdict in counted(verdicts):
        for name in (verdict.command, "TOTAL"):
            row = rows.setdefault(name, [0, 0, 0])
            row[0] += verdict.rc_ok
            row[1] += verdict.full_ok
            row[2] += 1
    lines = [f"{'command':24} {'rc ok':>6} {'full ok':>8} {'total':>6}"]
    for name in sorted(rows, key=lambda key: (key == "TOTAL", key)):
        right, full, total = rows[name]
        lines.append(f"{name:24} {right:6} {full:8} {total:6}")
    return "\n".join(lines)


def below_floor(now: Floor, floor: Floor) -> list[str]:
    """What fell below the floor, in words. Groups that were not measured are not judged."""
    return [
        f"{group}: {kind} {now[group][kind]}% is below the floor of {value}%"
        for group, values in floor.items()
        if group in now
        for kind, value in values.items()
        if now[group][kind] < value
    ]


def raised(now: Floor, floor: Floor) -> Floor:
    """The floor with every share that got better."""
    groups = sorted({*now, *floor})
    return {
        group: {
            kind: max(now.get(group, {}).get(kind, 0.0), floor.get(group, {}).get(kind, 0.0)) for kind in ("rc", "full")
        }
        for group in groups
    }


def read_floor() -> dict[str, Floor]:
    """The floors kept in the repository, by the folder's name."""
    found: dict[str, Floor] = json.loads(FLOOR.read_text(encoding="utf-8")) if FLOOR.exists() else {}
    return found


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__.splitlines()[0])
    parser.add_argument("--transcripts", type=Path, action="append", help="folder of transcripts (repeatable)")
    parser.add_argument("--report", type=Path, help="write the verdicts there, as JSON")
    parser.add_argument("--only", default="", help="scenarios or commands that begin so")
    parser.add_argument("--quiet", action="store_true", help="do not list the misses")
    parser.add_argument("--update-floor", action="store_true", help="raise the floor to what was measured now")
    args = parser.parse_args(argv)
    from .driver import EmbeddedDriver

    verdicts: list[Verdict] = []
    failed = 0
    for folder in args.transcripts or FOLDERS:
        if not folder.is_dir():
            print(f"no transcripts at {folder}: nothing to compare with")
            continue
        found = measure(folder, EmbeddedDriver(), args.only)
        verdicts += found
        print(f"{folder}:")
        _show(found, args.quiet)
        if args.update_floor:
            failed |= _update_floor(folder.name, shares(found))
    if args.report:
        args.report.write_text(json.dumps([verdict.row() for verdict in verdicts], indent=1) + "\n", encoding="utf-8")
    return failed


def _show(verdicts: list[Verdict], quiet: bool) -> None:
    for verdict in verdicts if not quiet else ():
        if not verdict.full_ok:
            mark = "env " if verdict.env_artifact else "miss" if verdict.rc_ok else "RC  "
            print(f"{mark} {verdict.scenario}: {verdict.why}")
    print(table(verdicts))


def _update_floor(name: str, now: Floor) -> int:
    floors = read_floor()
    lower = below_floor(now, floors.get(name, {}))
    if lower:
        print("\n".join(("the floor only rises:", *lower)), file=sys.stderr)
        return 1
    floors[name] = raised(now, floors.get(name, {}))
    FLOOR.write_text(json.dumps(floors, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
