# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet costs: one that is as declared, and one to be made, against ``pct`` alone and against the neighbour.

    make bench

The tables go into ``docs/benchmarks.md``. Times depend on the machine, ratios hardly do: what is compared is measured
in turns, in the same run. Commands on the node and requests to its API are counted.
"""

from __future__ import annotations

import functools
import statistics
import subprocess
from collections.abc import Callable
from concurrent import futures
from pathlib import Path

import pytest

from embedded_node import EmbeddedNode
from tests.bench import fleet, neighbour
from tests.bench.results import Took, fastest, publish, took, verdict
from tests.integration.conftest import Played, Site

SIZES = (10, 100, 1000)
TURNS = 2
# More than this many guests would take the neighbour too long.
NEIGHBOURS = 50
CREATES = 20
NEIGHBOUR_CREATES = 10
CONCURRENCY = 4

PING: fleet.Declared = {"ansible.builtin.ping": {}}


def unchanged(played: Played, count: int) -> None:
    assert played.results[0]["result"]["plan"] == [f"{count} unchanged"]


def beyond(site: Site, count: int) -> Took:
    """What a task for a fleet that is as declared takes beyond a task that does nothing, in a play of the same
    variables."""
    declared = fleet.fleet(count)
    variables = {"declared": declared}
    nothing, whole = fastest(
        [
            lambda: fleet.play(site, [PING], **variables),
            lambda: unchanged(fleet.ours(site, declared, variables), count),
        ],
        TURNS,
    )
    return whole - nothing


@pytest.mark.parametrize("way", ["node", "token"])
def test_a_fleet_that_is_as_declared(way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, busy, requests = [], [], []
    with EmbeddedNode(latency="realistic") as node:
        site = Site(node, way, tmp_path)
        fleet.ours(site, [], {})  # the first play of all packs the module, which is kept
        without, ping = fastest([lambda: fleet.play(site, []), lambda: fleet.play(site, [PING])], TURNS)
        nothing = (ping - without).cpu
        for count in SIZES:
            fleet.stock(site, count)
            more = beyond(site, count)
            node.forget()
            fleet.ours(site, fleet.fleet(count), {"declared": fleet.fleet(count)})
            started, asked = len(node.commands()), len(site.requests())
            in_pings = f"{1 + more.cpu / nothing:.1f}"
            rows.append((str(count), f"{more.wall:.2f} s", f"{more.cpu:.2f} s", in_pings, str(started), str(asked)))
            busy.append(more.cpu)
            requests.append(asked - count)
            assert started == 0
    each = statistics.linear_regression(SIZES, busy).slope
    share = f"{each / nothing:.4f}"
    told = verdict(each * 1000, 2, " ms") if way == "node" else f"{each * 1000:.2f} ms"
    rows.append(("each guest more", "", told, share, "0", "0" if way == "node" else "1"))
    head = ("guests", "by the clock", "a core busy", "in no-op tasks", "commands started", "requests")
    publish(capsys, f"unchanged, {'on the node' if way == 'node' else 'over the API'}", head, rows)
    if way == "token":
        assert len(set(requests)) == 1, "a constant number of lists, and one request for each guest"


def test_a_fleet_that_is_as_declared_against_the_neighbour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if neighbour.programs() is None:
        pytest.skip("PyPI cannot be reached, so the neighbour community.proxmox is not here")
    rows = []
    with EmbeddedNode(latency="realistic") as node:
        site, other = Site(node, "node", tmp_path), fleet.NeighbourSite(node, "password", tmp_path)
        fleet.ours(site, [], {})
        for count, goal in ((NEIGHBOURS, 20), (SIZES[-1], 100)):
            fleet.stock(site, count)
            declared = fleet.fleet(count)
            start, *measured = fastest(
                [
                    lambda: fleet.play(site, []),
                    lambda declared=declared: fleet.ours(site, declared, {"declared": declared}),
                    lambda declared=declared: fleet.theirs(other, declared[:NEIGHBOURS]),
                ],
                1,
            )
            ours, theirs = ((each - start).wall for each in measured)
            whole = theirs * count / NEIGHBOURS
            told = f"{whole:.0f} s" if count == NEIGHBOURS else f"{whole:.0f} s (from {NEIGHBOURS} of them)"
            rows.append((str(count), f"{ours:.2f} s", told, verdict(whole / ours, goal, " times", at_least=True)))
    head = ("guests", "`guests`", f"`community.proxmox` {neighbour.version()}", "faster")
    publish(capsys, "unchanged, against the neighbour", head, rows)


# -- creating ------------------------------------------------------------------------------------------------------


def pct(node: EmbeddedNode, argv: list[str]) -> None:
    done = subprocess.run(argv, env=node.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def by_pct(site: Site, count: int) -> None:
    """The same creations by the command alone, several at once."""
    template = fleet.template_of(site)
    lines = [fleet.creation(template, number) for number in range(1, count + 1)]
    with futures.ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(functools.partial(pct, site.node), lines))


def created(played: Played, count: int) -> None:
    assert played.results[0]["result"]["plan"][-1] == f"{count} to create, 0 unchanged"


def by_us(site: Site, count: int, **options: object) -> None:
    declared = fleet.fleet(count)
    created(fleet.ours(site, declared, {"declared": declared}, **options), count)


def fresh(work: Path, way: str, action: Callable[[Site], object], kind: type[Site] = Site, turns: int = TURNS) -> float:
    """How long something takes that makes guests, on a node that has none: by the clock, for PVE is waited for."""
    times = []
    for _turn in range(turns):
        with EmbeddedNode(latency="realistic") as node:
            site = kind(node, way, work)
            times.append(took(functools.partial(action, site)).wall)
    return min(times)


def test_a_fleet_that_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = fresh(tmp_path, "node", lambda site: by_pct(site, CREATES))
    task = fresh(tmp_path, "node", lambda site: fleet.ours(site, [], {}))
    whole = fresh(tmp_path, "node", lambda site: by_us(site, CREATES, concurrency=str(CONCURRENCY)))
    rows = [
        (f"`pct create`, {CREATES} guests, {CONCURRENCY} at once", f"{alone:.2f} s", ""),
        ("`guests` with an empty list", f"{task:.2f} s", ""),
        (
            f"`guests`, {CREATES} guests, {CONCURRENCY} at once",
            f"{whole:.2f} s",
            f"beyond the empty list {verdict((whole - task) / alone, 1.1, ' times the commands')}",
        ),
    ]
    head = ("what", "by the clock", "ratio")
    publish(capsys, "made, against the commands alone", head, rows)


def test_a_fleet_that_is_made_against_the_neighbour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if neighbour.programs() is None:
        pytest.skip("PyPI cannot be reached, so the neighbour community.proxmox is not here")
    declared = fleet.fleet(NEIGHBOUR_CREATES)
    theirs = fresh(tmp_path, "password", lambda site: fleet.theirs(site, declared), fleet.NeighbourSite, turns=1)
    rows = [(f"`community.proxmox` {neighbour.version()}", f"{theirs:.2f} s", "")]
    for way, words in (("node", "on the node"), ("password", "over the API")):
        whole = fresh(tmp_path, way, lambda site: by_us(site, NEIGHBOUR_CREATES, concurrency=str(CONCURRENCY)))
        faster = verdict(theirs / whole, 2.5, " times faster", at_least=True)
        rows.append((f"`guests`, {words}, {CONCURRENCY} at once", f"{whole:.2f} s", faster))
    head = (f"{NEIGHBOUR_CREATES} guests", "by the clock", "ratio")
    publish(capsys, "made, against the neighbour", head, rows)
