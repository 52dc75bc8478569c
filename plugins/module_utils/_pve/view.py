# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a node as it is when a run looks, each thing read once for all guests of the run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Timeout, Unreachable
from ansible_collections.pve.provision.plugins.module_utils._pve.by_name import check_seen
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node, list_tells
from ansible_collections.pve.provision.plugins.module_utils._pve.types import ClusterNode, GuestConfig, GuestRef, Kind

_Value = t.TypeVar("_Value")
# What is read once, whoever asks and from whatever thread. Everything else goes to the node itself.
_READ_ONCE = frozenset(
    {"storages", "bridges", "links", "pools", "access", "neighbours", "locate", "volumes", "nodes"}
    | {"ha_managed", "replicated", "membership"}
)
_ALL_VMIDS = range(1_000_000_000)


class NodeView:
    """The reading half of a node, kept; what is not kept is the node's own.

    Writes change nothing here, so a view serves for planning, and the node itself for acting.
    """

    def __init__(self, node: Node, cluster: ClusterView | None = None) -> None:
        self._node = node
        self._lock = threading.RLock()
        self._kept: dict[tuple[t.Any, ...], t.Any] = {}
        self._cluster = cluster

    @property
    def journal(self) -> t.Mapping[int, dict[str, t.Any]]:
        return self._once(("journal",), lambda: dict(self._node.journal))

    @property
    def ungrown(self) -> t.Mapping[int, dict[str, t.Any]]:
        return self._once(("ungrown",), lambda: dict(self._node.ungrown))

    def __getattr__(self, name: str) -> t.Any:
        theirs = getattr(self._node, name)
        if name not in _READ_ONCE:
            return theirs
        return lambda *args: self._once((name, *args), lambda: theirs(*args))

    def _once(self, key: tuple[t.Any, ...], read: t.Callable[[], _Value]) -> _Value:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = read()
            return t.cast("_Value", self._kept[key])

    def guests(self, kind: Kind | None = None) -> list[GuestRef]:
        found = self._once(("guests",), self._node.guests)
        return [guest for guest in found if kind in (None, guest.kind)]

    def named(self, kind: Kind, name: str, *, everywhere: bool = False, sure: bool = False) -> list[GuestRef]:
        here = self._once(("named", kind), lambda: _by_name(self.guests(kind))).get(name.lower(), [])
        if here and not everywhere:
            return here
        found = here + self._named_elsewhere(kind, name.lower())
        if sure and not found:
            check_seen(self._named_elsewhere(kind, ""), kind, name)
        return sorted(found, key=lambda guest: guest.vmid)

    def _named_elsewhere(self, kind: Kind, name: str) -> list[GuestRef]:
        if self._cluster is None:
            return self._once(("named elsewhere", kind), lambda: _by_name(self._node.elsewhere(kind))).get(name, [])
        there = self._cluster.named.get(name, [])
        return [guest for guest in there if guest.kind == kind and guest.node != self._node.name]

    def add(self, guest: GuestRef, config: GuestConfig) -> None:
        """See a guest of another node as one of this one, where it is going to be."""
        here = [*self.guests(), dataclasses.replace(guest, node=self._node.name)]
        for key in (("named", guest.kind), ("statuses",)):
            self._kept.pop(key, None)
        self._kept["guests",] = sorted(here, key=lambda each: each.vmid)
        self._kept["config", guest.kind, guest.vmid] = config

    def config(self, kind: Kind, vmid: int) -> GuestConfig | None:
        """Read without the lock: over the API many are asked for at once."""
        key = ("config", kind, vmid)
        if key not in self._kept:
            self._kept[key] = self._node.config(kind, vmid)
        return t.cast("GuestConfig | None", self._kept[key])

    def configs(self, guests: t.Iterable[GuestRef]) -> list[tuple[GuestRef, GuestConfig]]:
        wanted = {("config", guest.kind, guest.vmid): guest for guest in guests}
        missing = [guest for key, guest in wanted.items() if key not in self._kept]
        self._kept |= {("config", guest.kind, guest.vmid): config for guest, config in self._node.configs(missing)}
        return [(guest, config) for key, guest in wanted.items() if (config := self._kept.get(key)) is not None]

    def status(self, kind: Kind, vmid: int) -> str:
        by_vmid = self._once(("statuses",), lambda: {(g.kind, g.vmid): g.status for g in self.guests()})
        listed = by_vmid.get((kind, vmid))
        if listed is not None and list_tells(self._node, kind, listed):
            return listed
        return self._once(("status", kind, vmid), lambda: self._node.status(kind, vmid))

    def next_vmid(self, skip: t.Container[int] = ()) -> int:
        """A free vmid, another one each time: each new guest of a run is told its own, whichever node it is for."""
        if self._cluster is not None and self is not self._cluster.own:
            return self._cluster.own.next_vmid(skip)
        with self._lock:
            free = self._once(("free vmids",), self._node.free_vmids)
            vmid = next((vmid for vmid in free if vmid not in skip), None)
            return self._node.next_vmid(skip=_ALL_VMIDS) if vmid is None else vmid


class ClusterView:
    """The nodes of a cluster as they are when a run looks, as far as they are reached from one of them, the ``own``."""

    def __init__(self, node: Node) -> None:
        self.own = NodeView(node, self)
        self._node = node
        self._views: dict[str, NodeView | None] = {node.name: self.own}
        self._guests: list[GuestRef] | None = None

    def on(self, name: str) -> NodeView | None:
        """The view of a node; None where that one has to be reached by itself."""
        if name not in self._views:
            there = self._node.on(name)
            self._views[name] = None if there is None else NodeView(there, self)
        return self._views[name]

    def nodes(self) -> list[ClusterNode]:
        return t.cast("list[ClusterNode]", self.own.nodes())

    @functools.cached_property
    def named(self) -> dict[str, list[GuestRef]]:
        """The guests of all nodes by their names in lower case."""
        return _by_name(self.guests())

    def guests(self) -> list[GuestRef]:
        """The guests of all nodes, by the own list of each node that has some and answers."""
        if self._guests is None:
            told = self._node.cluster_guests()
            found = {guest.vmid: guest for guest in told}
            others = sorted({guest.node for guest in told} - {self.own.name})
            reached = [view for name in others if (view := self.on(name)) is not None]
            online = {node.name for node in self.nodes() if node.online} if reached else set()
            for view in [self.own, *(view for view in reached if view.name in online)]:
                with contextlib.suppress(Unreachable, Timeout):
                    found |= {guest.vmid: guest for guest in view.guests()}
            self._guests = sorted(found.values(), key=lambda guest: guest.vmid)
        return self._guests


def _by_name(guests: t.Iterable[GuestRef]) -> dict[str, list[GuestRef]]:
    found: dict[str, list[GuestRef]] = {}
    for guest in guests:
        found.setdefault((guest.name or "").lower(), []).append(guest)
    return found
