# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the hosts of a play that each serve a node, and what they know in common.

Each host does its own part of one declaration, at the same time as the others. So that all of them come to the same
parts, they decide by the same data: what one host of each cluster saw before the first of them began.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._pve.types import ClusterNode, GuestRef, Storage

Row = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Peers:
    """``served``: the nodes of the play's hosts in their order, each with its cluster, which is the node itself where
    that is alone. ``guests`` and ``nodes`` are what all of them know; ``clusters`` has the cluster of each node."""

    served: t.Mapping[str, str]
    guests: tuple[GuestRef, ...]
    nodes: tuple[ClusterNode, ...]
    clusters: t.Mapping[str, str]
    findings: tuple[Finding, ...] = ()

    @classmethod
    def read(cls, rows: t.Sequence[Row], own: str) -> Peers:
        """From the module's option; ``own`` is the node of this host."""
        served = {row["node"]: row.get("cluster") or row["node"] for row in rows}
        clusters, guests, nodes = dict(served), [], []
        for row in rows:
            guests += [guest_of(each) for each in row.get("guests") or ()]
            nodes += [node_of(each) for each in row.get("nodes") or ()]
            seen = [*(each["node"] for each in row.get("guests") or ()), *(n["name"] for n in row.get("nodes") or ())]
            clusters = {**dict.fromkeys(seen, served[row["node"]]), **clusters}
        return cls(served, tuple(guests), tuple(nodes), clusters, tuple(_wrong(rows, own)))

    @property
    def first(self) -> str | None:
        """The node that takes what names none: the first one, if all are one cluster."""
        return next(iter(self.served)) if len(set(self.served.values())) == 1 else None


def _wrong(rows: t.Sequence[Row], own: str) -> t.Iterator[Finding]:
    names = [row["node"] for row in rows]
    for name in sorted({name for name in names if names.count(name) > 1}):
        remedy = "Let one host of the play serve each node; over the API one host serves the whole cluster."
        yield Finding("peers", name, "is the node of several hosts of this play", remedy)
    if own not in names:
        yield Finding(
            "peers", names, f"do not hold the node of this host, which is {own}", "Name all nodes of the play."
        )


def guest_of(row: Row) -> GuestRef:
    """A guest as another host told it."""
    return GuestRef(int(row["vmid"]), row["kind"], row["node"], row.get("name"), tags=tuple(row.get("tags") or ()))


def node_of(row: Row) -> ClusterNode:
    """A node as another host told it."""
    storages = [Storage(**{**each, "content": frozenset(each["content"])}) for each in row["storages"].values()]
    return ClusterNode(**{**row, "storages": {storage.name: storage for storage in storages}})
