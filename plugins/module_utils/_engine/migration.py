# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a guest that goes to another node of its cluster before the rest of its plan."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import split
from ansible_collections.pve.provision.plugins.module_utils._model.volume import storage_of

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Outcome

Mode = t.Literal["online", "restart", "offline"]


@dataclass(frozen=True)
class Migrate(Step):
    """Move the guest from the node of the run to another one. ``local_volumes`` are copied, for only the first node
    sees their storages."""

    action = "migrate"
    phase = Phase.CREATE
    privilege = "VM.Migrate"

    source: str
    target: str
    mode: Mode
    local_volumes: tuple[str, ...] = ()

    def details(self) -> dict[str, t.Any]:
        told = {"from": self.source, "to": self.target, "mode": self.mode}
        return {**told, **({"local_volumes": list(self.local_volumes)} if self.local_volumes else {})}

    def run(self, run: Run) -> Outcome:
        policy = run.wanted.policy
        return run.node.migrate(
            run.wanted.type.kind,
            run.vmid,
            self.target,
            running=self.mode != "offline",
            local_disks=bool(self.local_volumes),
            shutdown_timeout=policy.shutdown_timeout,
            timeout=policy.timeout,
        )


def migration(facts: Facts, wanted: Wanted, config: GuestConfig, status: str, target: str) -> Migrate:
    """How a guest goes to another node: a VM as it runs, a running container by a restart."""
    runs: Mode = "online" if KINDS[wanted.type.kind].moves_running else "restart"
    mode: Mode = runs if status == "running" else "offline"
    return Migrate(facts.node.name, target, mode, tuple(_local_volumes(facts, wanted, config)))


def _local_volumes(facts: Facts, wanted: Wanted, config: GuestConfig) -> t.Iterator[str]:
    shared = {storage.name for storage in facts.storages if storage.shared}
    for key, text in sorted(config.options.items()):
        volid = split(text, "volume").get("volume", "") if wanted.type.is_volume(key) else ""
        if ":" in volid and storage_of(volid) not in (None, "none", *shared):
            yield volid


@dataclass
class Moved(Part):
    """The guest is planned as it will be on its new node; this adds that it comes there first."""

    step: Migrate

    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        return dataclasses.replace(
            plan.against(self._held_back(wanted, actual)),
            steps=(self.step, *plan.steps),
            before={**plan.before, "node": self.step.source},
            after={**plan.after, "node": self.step.target},
        )

    def _held_back(self, wanted: Wanted, actual: Actual) -> t.Iterator[Finding]:
        """The directories and devices of its node that it has; PVE refuses to move those."""
        for key, text in sorted(actual.config.options.items() if actual.config else ()):
            mount = split(text, "volume") if wanted.type.is_volume(key) else {}
            if mount.get("volume", "").startswith("/") and mount.get("shared") != "1":
                problem = f"is of node {self.step.source} alone, and cannot move to {self.step.target}"
                remedy = "Remove it first; or set shared=1, if every node has the same there."
                yield Finding(wanted.declaration.paths.get(key, key), mount["volume"], problem, remedy)
