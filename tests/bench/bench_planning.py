# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan for a large cluster takes: seconds, and memory.

    make bench

In a process of its own, as a module is, the module ``guests`` plans one list for the whole cluster, as over the API.
The code is that of every run; only the nodes are in memory, as texts of configs.
"""

from __future__ import annotations

import contextlib
import functools
import json
import resource
import subprocess
import sys
import time
import typing as t
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest import mock

import pytest

ROOT = Path(__file__).resolve().parents[2]
SIZES = (2500, 5000, 10_000)
NODES = 32
TURNS = 2
GOAL_SECONDS, GOAL_MEMORY = 5, 500
# Of a hundred guests so many are to be made, and so many are to be changed.
NEW, CHANGED = 5, 5

DEFAULTS = {
    "type": "lxc",
    "ostemplate": "alpine-3.22-default",
    "cores": 1,
    "memory": 256,
    "rootfs": {"storage": "local-lvm", "size": 1},
    "features": {"nesting": True},
    "state": "started",
}
CONFIG = """arch: amd64
cores: 1
features: nesting=1
hostname: guest{number}
memory: {memory}
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:{high:02X}:{middle:02X}:{low:02X},ip=10.{high}.{middle}.{low}/8,type=veth
ostype: alpine
rootfs: local-lvm:vm-{vmid}-disk-0,size=1G
swap: 512
unprivileged: 1
"""


def measure(count: int, nodes: int) -> dict[str, t.Any]:
    """Plan for so many guests on so many nodes, in this process."""
    from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION, GUESTS
    from ansible_collections.pve.provision.plugins.module_utils._guests import run

    homes = {f"pve{place}": MemoryNode(f"pve{place}") for place in range(1, nodes + 1)}
    declared: list[dict[str, t.Any]] = []
    for number in range(1, count + 1):
        home = f"pve{number % nodes + 1}"
        high, middle, low = number >> 16, number >> 8 & 255, number & 255
        networks = [{"bridge": "vmbr0", "ip": f"10.{high}.{middle}.{low}/8"}]
        declared.append({"name": f"guest{number}", "node": home, "networks": networks})
        if number % 100 >= NEW:
            memory = 128 if number % 100 < NEW + CHANGED else 256
            vmid = 1_000_000 - count + number
            values = {"number": number, "vmid": vmid, "memory": memory, "high": high, "middle": middle, "low": low}
            homes[home].texts[vmid] = CONFIG.format(**values).encode()
    for node in homes.values():
        node.others = [other for other in homes.values() if other is not node]
    spec = CONNECTION.merge(GUESTS).options
    options = {name: each.get("default") for name, each in spec.items()}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, busy = time.perf_counter(), time.process_time()
    with mock.patch.object(run, "open_node", lambda params, any_node: homes["pve1"]):
        params = {**options, "guests": declared, "defaults": DEFAULTS}
        result = run.run_guests(params, check_mode=True)
    return {
        "wall": time.perf_counter() - started,
        "cpu": time.process_time() - busy,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "before": before / 1024,
        "plan": result["plan"][-1],
    }


class MemoryNode:
    """A node as far as planning reads it: containers by their texts, and one of everything else."""

    root_login = lists_suspended = True
    agent = containers = backups = files = leftovers = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.texts: dict[int, bytes] = {}
        self.others: list[MemoryNode] = []
        self.journal: dict[int, dict[str, t.Any]] = {}
        self.ungrown: dict[int, dict[str, t.Any]] = {}

    @functools.cached_property
    def listed(self) -> list[t.Any]:
        from ansible_collections.pve.provision.plugins.module_utils._pve import config_text
        from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef

        heads = ((vmid, config_text.guest_head(text.decode())) for vmid, text in self.texts.items())
        return [GuestRef(vmid, "lxc", self.name, head["hostname"], "running") for vmid, head in heads]

    def guests(self, kind: str | None = None) -> list[t.Any]:
        return [] if kind == "qemu" else self.listed

    def on(self, name: str) -> MemoryNode | None:
        return next((node for node in (self, *self.others) if node.name == name), None)

    def nodes(self) -> list[t.Any]:
        from ansible_collections.pve.provision.plugins.module_utils._pve.types import ClusterNode

        room = {"cpus": 64, "cpu_used": 0.1, "memory": 1 << 40, "memory_used": 0}
        return [ClusterNode(node.name, online=True, **room) for node in (self, *self.others)]

    def cluster_guests(self) -> list[t.Any]:
        return [guest for node in (self, *self.others) for guest in node.listed]

    def elsewhere(self, kind: str) -> list[t.Any]:
        return [guest for other in self.others for guest in other.guests(kind)]

    def locate(self, vmid: int) -> t.Any:
        return next((guest for guest in [*self.guests(), *self.elsewhere("lxc")] if guest.vmid == vmid), None)

    def config(self, kind: str, vmid: int) -> t.Any:
        from ansible_collections.pve.provision.plugins.module_utils._pve import config_text

        text = self.texts.get(vmid) if kind == "lxc" else None
        return None if text is None else config_text.parse_guest_config(text)

    def configs(self, guests: Iterable[t.Any]) -> list[tuple[t.Any, t.Any]]:
        return [(guest, self.config(guest.kind, guest.vmid)) for guest in guests]

    def storages(self) -> list[t.Any]:
        from ansible_collections.pve.provision.plugins.module_utils._pve.types import Storage

        space = {"total": 1 << 50, "used": 0, "available": 1 << 50}
        return [
            Storage("local", "dir", frozenset({"vztmpl"}), path="/var/lib/vz", **space),
            Storage("local-lvm", "lvmthin", frozenset({"rootdir", "images"}), **space),
        ]

    def volumes(self, storage: str, content: str | None = None) -> list[t.Any]:
        from ansible_collections.pve.provision.plugins.module_utils._pve.types import Volume

        name = "local:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz"
        return [Volume(name, "vztmpl", 3_000_000, "txz")] if storage == "local" else []

    def bridges(self) -> list[t.Any]:
        from ansible_collections.pve.provision.plugins.module_utils._pve.types import Bridge

        return [Bridge("vmbr0", mtu=1500, addresses=("10.255.0.1/8",))]

    def links(self) -> list[t.Any]:
        return []

    def pools(self) -> dict[str, frozenset[int]]:
        return {}

    def access(self) -> None:
        """Everything is allowed."""

    def being_made(self, kind: str) -> list[int]:
        return []

    def outdated(self, kind: str, vmid: int, config: t.Any) -> dict[str, str]:
        return {}

    def neighbours(self) -> dict[str, list[str]]:
        return {}

    def lock(self, key: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def free_vmids(self) -> Iterator[int]:
        return (vmid for vmid in range(100, 1_000_000) if vmid not in self.texts)


def planned(count: int, nodes: int) -> dict[str, t.Any]:
    """The best of several runs, each in a process of its own."""
    runs = []
    for _turn in range(TURNS):
        command = [sys.executable, __file__, str(count), str(nodes)]
        runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    for run in runs:
        assert _count(run["plan"], "unchanged") == count * (100 - NEW - CHANGED) // 100
        assert _count(run["plan"], "to create") == count * NEW // 100
    return min(runs, key=lambda run: run["cpu"])


def _count(plan: str, word: str) -> int:
    return sum(int(part.split()[0]) for part in plan.split(", ") if part.endswith(word))


@pytest.mark.parametrize("nodes", [NODES, 1])
def test_a_plan_for_a_cluster(nodes: int, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.bench.results import publish, verdict

    rows = []
    for count in SIZES:
        run = planned(count, nodes)
        rows.append(
            (
                f"{count:,}",
                f"{run['wall']:.2f} s",
                verdict(run["cpu"], GOAL_SECONDS, " s") if count == SIZES[-1] else f"{run['cpu']:.2f} s",
                f"{run['cpu'] / count * 1000:.2f} ms",
                verdict(run["memory"], GOAL_MEMORY, " MiB") if count == SIZES[-1] else f"{run['memory']:.0f} MiB",
            )
        )
    head = ("guests", "by the clock", "a core busy", "each", "memory")
    name = f"planned, {nodes} nodes" if nodes > 1 else "planned, one node"
    publish(capsys, name, head, rows)


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / ".build")]
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
