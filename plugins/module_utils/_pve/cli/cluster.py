# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the cluster as this node of it tells, and guests that go from here to another node."""

from __future__ import annotations

import re

from ansible_collections.pve.provision.plugins.module_utils._pve import config_text
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import COMMAND, Commands
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.guests import CliGuests
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.cluster import await_arrival, migrate_options, nodes_of
from ansible_collections.pve.provision.plugins.module_utils._pve.types import ClusterNode, Kind, Membership, Outcome


class CliCluster:
    """The cluster of the node."""

    def __init__(self, root: Root, commands: Commands, guests: CliGuests) -> None:
        self._root = root
        self._commands = commands
        self._guests = guests

    def nodes(self) -> list[ClusterNode]:
        return nodes_of(self._commands.json(["pvesh", "get", "/cluster/resources"]) or [])

    def membership(self) -> Membership:
        """From corosync's configuration, which a node that is alone does not have. Whether there is a quorum is seen as
        PVE does it: without one nothing in /etc/pve has a bit for writing, not even this link."""
        name = re.search(r"(?m)^\s*cluster_name:\s*(\S+)", self._root.text("etc/pve/corosync.conf"))
        if name is None:
            return Membership("", (self._root.node,))
        nodes = tuple(sorted(self._root.names("etc/pve/nodes")))
        return Membership(name[1], nodes, self._root.is_writable("etc/pve/local"))

    def ha_managed(self) -> frozenset[int]:
        sections = config_text.parse_section_config(self._root.text("etc/pve/ha/resources.cfg"))
        return frozenset(int(section.name) for section in sections)

    def replicated(self) -> frozenset[int]:
        """From the names of the jobs: that of the guest, and a number."""
        jobs = config_text.parse_section_config(self._root.text("etc/pve/replication.cfg"))
        return frozenset(int(job.name.partition("-")[0]) for job in jobs)

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
        clock = self._commands.clock
        deadline = clock.now() + timeout
        options = migrate_options(kind, running=running, local_disks=local_disks, shutdown_timeout=shutdown_timeout)
        outcome = self._commands.write([COMMAND[kind], "migrate", str(vmid), target], options, timeout=timeout)
        await_arrival(self._guests.locate, vmid, target, timeout=deadline - clock.now(), clock=clock)
        return outcome
