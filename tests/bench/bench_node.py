# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What guests cost: twenty that are as declared, and ten to be made, against tasks of Ansible that do nothing.

    make bench

Times depend on the machine, so each is told as a ratio to ``ansible.builtin.ping``, measured in turns in the same run.
Commands on the node and requests to its API are counted; those do not depend on the machine.
"""

from __future__ import annotations

import time
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest

from embedded_node import EmbeddedNode, commands
from tests.integration.conftest import Site

GUESTS = 20
CREATES = 10
TURNS = 3

Task = dict[str, t.Any]

PING: Task = {"ansible.builtin.ping": {}}
CONTAINER: Task = {
    "pve.provision.lxc_create": {
        "vmid": "{{ 200 + item }}",
        "hostname": "guest{{ item }}",
        "ostemplate": "alpine-3.22-default",
        "memory": 256,
        "rootfs": {"storage": "local-lvm", "size": 1},
        "networks": [{"bridge": "vmbr0", "ip": "10.0.1.{{ item + 1 }}/24"}],
        "state": "started",
    }
}


def loop(task: Task, count: int) -> list[Task]:
    """A play that runs a task this many times."""
    return [{"hosts": "pve", "gather_facts": False, "tasks": [{**task, "loop": list(range(count))}]}]


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def run(site: Site, task: Task, count: int, changed: int = 0) -> None:
    task = {name: {**site.connection, "node": site.node.name, **o} if "pve." in name else o for name, o in task.items()}
    played = site.play(loop(task, count))
    assert played.rc == 0, played.output
    assert played.count("changed") == changed, played.output


def each(site: Site, tasks: list[Task], count: int) -> list[float]:
    """What one run of each unchanged task costs in a loop, without the play around it, in seconds; measured in turns.

    Of several turns the fastest counts: what else the machine does only ever adds.
    """
    turns = [
        [seconds(lambda job=job: run(site, job, count)) - seconds(lambda job=job: run(site, job, 0)) for job in tasks]
        for _turn in range(TURNS)
    ]
    return [min(times) / count for times in zip(*turns, strict=True)]


def direct(site: Site) -> float:
    """The same creation and start by the commands alone, run in this process, in seconds."""
    template = next((site.node.root / "var/lib/vz/template/cache").glob("alpine*.xz")).name
    create = f"pct create 900 local:vztmpl/{template} --rootfs local-lvm:1 --net0 name=eth0,bridge=vmbr0,ip=manual"
    lines = [create, "pct start 900", "pct stop 900", "pct destroy 900"]
    times = [seconds(lambda line=line: commands.run(line.split(), site.node.root)) for line in lines]
    return sum(times[:2])


@pytest.mark.parametrize("way", ["node", "token"])
def test_guests(way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedNode() as node:
        site = Site(node, way, tmp_path)
        made = seconds(lambda: run(site, CONTAINER, CREATES, changed=1)) / CREATES
        writes = len(site.commands("pct", "pvesm"))
        alone = direct(site)
        run(site, CONTAINER, GUESTS, changed=1)
        node.forget()
        run(site, CONTAINER, GUESTS)
        started, asked = len(node.commands()), len(site.requests())
        nothing, unchanged = each(site, [PING, CONTAINER], GUESTS)
    rows = [
        ("a task that does nothing", nothing, ""),
        (f"a guest as declared, of {GUESTS}", unchanged, f"{started} commands, {asked / GUESTS:.2f} requests each"),
        (f"a guest made and started, of {CREATES}", made, f"{writes / CREATES:.1f} commands each"),
        ("its two commands alone", alone, ""),
    ]
    with capsys.disabled():
        print(f"\n{way:<40}{'ms':>8}{'ratio':>8}")
        for name, took, more in rows:
            print(f"  {name:<38}{took * 1000:>8.0f}{took / nothing:>8.2f}  {more}".rstrip())
    assert started == 0
    assert asked <= 2 * GUESTS
    assert unchanged < 3 * nothing
