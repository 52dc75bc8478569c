# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which node of a cluster takes a new guest. Pure.

A node that cannot take the guest is out, for a reason that is told. Of the others the one wins that has the fewest
guests of the same anti-affinity word, and then the one with the most room: what is left of its memory once it has the
guest counts half, its idle CPU and what is left of the storages a quarter each. What earlier guests of the run are
going to take counts as taken.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import WORDS, gib, usable

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import ClusterNode, Storage

_MIB: t.Final = 1024**2


@dataclass(frozen=True)
class Volumes:
    """New volumes that go on one storage together: ``size`` in bytes; ``storage`` None: any that takes ``content``."""

    size: int
    content: str
    storage: str | None = None


@dataclass(frozen=True)
class Needs:
    """What a new guest takes of a node. ``memory`` in MiB; ``apart`` is its anti-affinity word."""

    memory: int = 0
    cores: int = 1
    volumes: tuple[Volumes, ...] = ()
    apart: str = ""


@dataclass
class Load:
    """What earlier guests of a run are going to take of a node: memory in MiB, bytes by storage, and how many guests
    of each anti-affinity word are there or coming. ``shared`` are the bytes by storage that all nodes see, and one
    object for all of them."""

    memory: int = 0
    cores: int = 0
    volumes: dict[str, int] = field(default_factory=dict)
    apart: dict[str, int] = field(default_factory=dict)
    shared: dict[str, int] = field(default_factory=dict)

    def add(self, needs: Needs, node: ClusterNode) -> None:
        """Count a guest in that was placed on this node."""
        self.memory += needs.memory
        self.cores += needs.cores
        for volumes in needs.volumes:
            if storage := _storage_for(node, volumes, self):
                taken = self.on(storage)
                taken[storage.name] = taken.get(storage.name, 0) + volumes.size
        if needs.apart:
            self.apart[needs.apart] = self.apart.get(needs.apart, 0) + 1

    def on(self, storage: Storage) -> dict[str, int]:
        """Where the bytes that go on a storage are counted."""
        return self.shared if storage.shared else self.volumes


Loads = t.Mapping[str, Load]


@dataclass(frozen=True)
class Placement:
    """The node that takes a guest (None: no node can), and why the others cannot, by their names."""

    node: str | None
    refused: t.Mapping[str, str] = field(default_factory=dict)

    def finding(self, option: str) -> Finding:
        """That no node can take the guest."""
        why = "; ".join(f"{name} {reason}" for name, reason in self.refused.items()) or "the cluster reports no node"
        return Finding(option, "auto", f"finds no node that can take the guest: {why}", "Make room, or name a node.")


def place(
    needs: Needs, nodes: t.Iterable[ClusterNode], loads: Loads | None = None, barred: t.Mapping[str, str] | None = None
) -> Placement:
    """Choose a node for a new guest. Between nodes that are alike the name decides. ``barred``: nodes that are out of
    the question, and why."""
    loads = loads or {}
    refused: dict[str, str] = {}
    fitting: list[tuple[int, float, str]] = []
    for node in nodes:
        load = loads.get(node.name) or Load()
        reason = (barred or {}).get(node.name) or _reason_against(node, needs, load)
        if reason:
            refused[node.name] = reason
        else:
            fitting.append((load.apart.get(needs.apart, 0) if needs.apart else 0, -_room(node, needs, load), node.name))
    return Placement(min(fitting)[2] if fitting else None, refused)


def _reason_against(node: ClusterNode, needs: Needs, load: Load) -> str:
    """Why a node cannot take the guest; empty when it can."""
    if not node.online:
        return "is offline"
    if node.cpus is not None and needs.cores > node.cpus:
        return f"has {node.cpus} CPUs, {needs.cores} are needed"
    if node.memory is not None and needs.memory * _MIB > node.memory:
        return f"has {gib(node.memory)} GiB of memory, {gib(needs.memory * _MIB)} GiB are needed"
    for volumes in needs.volumes:
        if _storage_for(node, volumes, load) is None:
            return _why_no_storage(node, volumes, load)
    return ""


def _storage_for(node: ClusterNode, volumes: Volumes, load: Load) -> Storage | None:
    """The storage that volumes go on: the one that is named, else the one with the most room."""
    fitting = usable(node.storages.values(), volumes.content)
    named = [storage for storage in fitting if volumes.storage in (None, storage.name)]
    return next((storage for storage in named if _left(storage, load) is None or _fits(storage, volumes, load)), None)


def _left(storage: Storage, load: Load) -> int | None:
    return None if storage.available is None else storage.available - load.on(storage).get(storage.name, 0)


def _fits(storage: Storage, volumes: Volumes, load: Load) -> bool:
    left = _left(storage, load)
    return left is None or volumes.size <= left or (storage.thin and left > 0)


def _why_no_storage(node: ClusterNode, volumes: Volumes, load: Load) -> str:
    what = WORDS.get(volumes.content, volumes.content)
    if volumes.storage is None:
        return f"has no storage with {gib(volumes.size)} GiB for {what}"
    storage = node.storages.get(volumes.storage)
    if storage is None:
        return f"has no storage {volumes.storage}"
    if volumes.content not in storage.content:
        return f"takes no {what} on {volumes.storage}"
    left = max(_left(storage, load) or 0, 0)
    return f"has {gib(left)} GiB free on {volumes.storage}, {gib(volumes.size)} GiB are needed"


def _room(node: ClusterNode, needs: Needs, load: Load) -> float:
    """How much room is left with the guest: 1 all of the node, 0 none, less where it is overcommitted. What PVE does
    not tell counts as half."""
    memory = _share(node.memory, (node.memory_used or 0) + (load.memory + needs.memory) * _MIB)
    idle = 0.5 if node.cpu_used is None else 1 - node.cpu_used
    if node.cpus:
        idle -= (load.cores + needs.cores) / node.cpus / 4  # a new guest is seldom at work all the time
    return memory / 2 + idle / 4 + _storage_room(node, needs, load) / 4


def _storage_room(node: ClusterNode, needs: Needs, load: Load) -> float:
    shares = []
    for volumes in needs.volumes:
        storage = _storage_for(node, volumes, load)
        if storage is not None:
            taken = load.on(storage).get(storage.name, 0) + volumes.size
            shares.append(_share(storage.total, (storage.used or 0) + taken))
    return min(shares, default=0.5)


def _share(total: int | None, taken: int) -> float:
    return 0.5 if not total else 1 - taken / total
