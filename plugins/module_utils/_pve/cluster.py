# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the cluster, out of what ``/cluster/resources`` tells, and how guests go from one node
to another."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Timeout
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock, poll
from ansible_collections.pve.provision.plugins.module_utils._pve.types import ClusterNode, GuestRef, Kind, Storage
from ansible_collections.pve.provision.plugins.module_utils._pve.values import content_types, flag, whole_number

Entry = t.Mapping[str, t.Any]


def nodes_of(entries: t.Iterable[Entry]) -> list[ClusterNode]:
    """The nodes of the cluster by name, with their storages."""
    rows = list(entries)
    return [
        ClusterNode(
            name=row["node"],
            online=row.get("status") == "online",
            cpus=whole_number(row.get("maxcpu")),
            cpu_used=None if row.get("cpu") is None else float(row["cpu"]),
            memory=whole_number(row.get("maxmem")),
            memory_used=whole_number(row.get("mem")),
            storages={each.name: each for each in _storages_of(rows, row["node"])},
        )
        for row in sorted(rows, key=lambda row: str(row.get("node")))
        if row.get("type") == "node"
    ]


def _storages_of(rows: t.Iterable[Entry], node: str) -> t.Iterator[Storage]:
    """The storages that a node can use now."""
    for row in rows:
        if (row.get("type"), row.get("node"), row.get("status")) == ("storage", node, "available"):
            total, used = whole_number(row.get("maxdisk")), whole_number(row.get("disk"))
            yield Storage(
                name=row["storage"],
                type=row.get("plugintype", ""),
                content=content_types(row.get("content")),
                shared=flag(row.get("shared")),
                total=total,
                used=used,
                available=None if total is None or used is None else total - used,
            )


def managed_of(entries: t.Iterable[Entry]) -> frozenset[int]:
    """The vmids of guests whose place is the business of PVE's HA manager."""
    return frozenset(int(row["vmid"]) for row in entries if row.get("hastate"))


def migrate_options(kind: Kind, *, running: bool, local_disks: bool, shutdown_timeout: int) -> dict[str, str]:
    """How a guest goes to another node: a running VM as it runs, a running container by a restart. A container's local
    volumes go along by themselves, and so do a stopped VM's."""
    if kind == "lxc":
        return {"restart": "1", "timeout": str(shutdown_timeout)} if running else {}
    return {**({"online": "1"} if running else {}), **({"with-local-disks": "1"} if local_disks else {})}


def await_arrival(
    locate: t.Callable[[int], GuestRef | None], vmid: int, target: str, *, timeout: float, clock: Clock
) -> None:
    """Wait until a guest is on its new node: the HA manager moves what is its own after PVE's task has ended."""
    guest = poll(
        lambda: locate(vmid), lambda guest: guest is not None and guest.node == target, timeout=timeout, clock=clock
    )
    if guest is None or guest.node != target:
        where = f"on node {guest.node}" if guest else "nowhere"
        raise Timeout(
            f"migrate {vmid} to {target}: PVE's task has ended, and the guest is {where}.",
            remedy="Look at the task logs of both nodes, and at the state of HA if it manages this guest.",
        )
