# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the cluster behind the API, and guests that go from one node of it to another."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._pve.api.guests import ApiGuests
from ansible_collections.pve.provision.plugins.module_utils._pve.api.requests import Requests
from ansible_collections.pve.provision.plugins.module_utils._pve.cluster import (
    await_arrival,
    managed_of,
    migrate_options,
    nodes_of,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.types import ClusterNode, Kind, Membership, Outcome


class ApiCluster:
    """The cluster of the node."""

    def __init__(self, requests: Requests, guests: ApiGuests) -> None:
        self._requests = requests
        self._guests = guests

    def nodes(self) -> list[ClusterNode]:
        return nodes_of(self._requests.ask("GET", "/cluster/resources") or [])

    def membership(self) -> Membership:
        entries = self._requests.ask("GET", "/cluster/status") or []
        alone: dict[str, t.Any] = {}
        cluster = next((entry for entry in entries if entry["type"] == "cluster"), alone)
        nodes = tuple(sorted(entry["name"] for entry in entries if entry["type"] == "node"))
        return Membership(cluster.get("name", ""), nodes, bool(cluster.get("quorate", 1)))

    def ha_managed(self) -> frozenset[int]:
        """Who may not read the manager's list is told by the guests' own entries, as far as those may be seen."""
        try:
            entries = self._requests.ask("GET", "/cluster/ha/resources") or []
        except PveError as error:
            if error.details.get("reason") != "permission":
                raise
            return managed_of(self._requests.ask("GET", "/cluster/resources", {"type": "vm"}) or [])
        return frozenset(int(entry["sid"].partition(":")[2]) for entry in entries)

    def replicated(self) -> frozenset[int]:
        jobs = self._requests.ask("GET", "/cluster/replication") or []
        return frozenset(int(job["guest"]) for job in jobs)

    def migrate(
        self,
        kind: Kind,
        vmid: int,
        target: str,
        *,
        running: bool,
        local_disks: bool = False,
        shutdown_timeout: int = 180,
        timeout: int,
    ) -> Outcome:
        clock = self._requests.clock
        deadline = clock.now() + timeout
        options = migrate_options(kind, running=running, local_disks=local_disks, shutdown_timeout=shutdown_timeout)
        path = self._requests.path(kind, vmid, "migrate")
        values = {"target": target, **options}
        outcome = self._requests.act(f"migrate {kind} {vmid} to {target}", "POST", path, values, timeout=timeout)
        await_arrival(self._guests.listed, vmid, target, timeout=deadline - clock.now(), clock=clock)
        return outcome
