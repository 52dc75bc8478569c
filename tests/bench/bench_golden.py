# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What many VMs of one image cost, against ``qm clone`` alone and against the commands for the same work.

    make bench

The table goes into ``docs/benchmarks.md``.
"""

from __future__ import annotations

import functools
import subprocess
import typing as t
from collections.abc import Callable
from concurrent import futures
from pathlib import Path

import pytest

from embedded_node import EmbeddedNode
from embedded_node.mirror import Mirror
from tests.bench import fleet
from tests.bench.results import publish, took, verdict
from tests.integration.conftest import Site

VMS = 20
CONCURRENCY = 4
TURNS = 2
IMAGE = "debian/images/cloud/trixie/20250814-2204/debian-13-genericcloud-amd64-20250814-2204.qcow2"
CONFIG = ("--cores", "2", "--memory", "2048", "--net0", "virtio,bridge=vmbr0")

Declared = dict[str, t.Any]


def declared(mirror: Mirror, first: int, count: int) -> list[Declared]:
    image = {"name": "debian-13", "mirrors": [mirror.base("debian")]}
    return [
        {
            "name": f"web{number}",
            "type": "vm",
            "golden": True,
            "cores": 2,
            "memory": 2048,
            "disks": [{"storage": "local-lvm", "image": image}],
            "networks": [{"bridge": "vmbr0"}],
        }
        for number in range(first, first + count)
    ]


def ours(site: Site, guests: list[Declared]) -> None:
    connection = {**site.connection, "node": site.node.name}
    task = {"guests": "{{ declared }}" if guests else [], "concurrency": str(CONCURRENCY), **connection}
    fleet.play(site, [{"pve.provision.guests": task}], declared=guests)


def qm(node: EmbeddedNode, *argv: str) -> None:
    done = subprocess.run(["qm", *argv], env=node.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def template(site: Site, mirror: Mirror) -> None:
    """A template of the image, made by the commands alone."""
    path = site.node.root / "root/image.qcow2"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(mirror.read(IMAGE))
    qm(site.node, "create", "900", "--scsi0", "local-lvm:0,import-from=/root/image.qcow2")
    qm(site.node, "template", "900")


def clone(site: Site, vmid: int, *, configured: bool) -> None:
    qm(site.node, "clone", "900", str(vmid), "--name", f"web{vmid}")
    if configured:
        qm(site.node, "set", str(vmid), *CONFIG)


def clones(site: Site, *, configured: bool) -> None:
    """The same clones by the commands alone, several at once."""
    with futures.ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(functools.partial(clone, site, configured=configured), range(1000, 1000 + VMS)))


def fresh(work: Path, way: str, prepare: Callable[[Site], object], action: Callable[[Site], object]) -> float:
    """How long something takes on a node that was prepared for it: by the clock, for PVE is waited for."""
    times = []
    for _turn in range(TURNS):
        with EmbeddedNode(latency="realistic") as node:
            site = Site(node, way, work)
            prepare(site)
            times.append(took(functools.partial(action, site)).wall)
    return min(times)


def test_vms_of_one_image(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Mirror(sites=("debian",)) as mirror:
        alone = fresh(tmp_path, "node", lambda s: template(s, mirror), lambda s: clones(s, configured=False))
        same = fresh(tmp_path, "node", lambda s: template(s, mirror), lambda s: clones(s, configured=True))
        rows = [
            (f"`qm clone`, {VMS} VMs, {CONCURRENCY} at once", f"{alone:.2f} s", "", ""),
            ("`qm clone` and `qm set` for each", f"{same:.2f} s", "", ""),
        ]
        for way, words in (("node", "on the node"), ("token", "over the API")):
            made = functools.partial(ours, guests=declared(mirror, 0, 1))
            empty = fresh(tmp_path, way, made, lambda s: ours(s, []))
            whole = fresh(tmp_path, way, made, lambda s: ours(s, declared(mirror, 1, VMS))) - empty
            bare, work = verdict(whole / alone, 1.2, " times"), verdict(whole / same, 1.2, " times")
            rows.append((f"`guests`, {words}", f"{whole:.2f} s", bare, work))
        with EmbeddedNode(latency="realistic") as node:
            mirror.forget()
            ours(Site(node, "node", tmp_path), declared(mirror, 0, VMS))
            sent = sum(answered.sent > 0 for answered in mirror.requests if answered.path.endswith(".qcow2"))
            imported = sum(argv[:2] == ["qm", "create"] for argv in node.commands())
            cloned = sum(argv[:2] == ["qm", "clone"] for argv in node.commands())
        rows.append(("downloads, imports and clones of such a fleet", f"{sent}, {imported}, {cloned}", "", ""))
    head = ("what", "by the clock", "to the clones alone", "to the same work")
    publish(capsys, "VMs of one image", head, rows)
    assert (sent, imported, cloned) == (1, 1, VMS)
