# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a guest that a run takes back where it does not stand a change."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.read import find_here, is_declared_guest
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Plan, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import CleanUp, Destroy, Start
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot.backup import refuse_half_restored
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot.steps import (
    PruneSnapshots,
    Snapshot,
    clear,
    finish,
    is_at_work,
    is_left_by_us,
    is_our_name,
    may_be_ours,
    name_now,
    ours,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import await_end
from ansible_collections.pve.provision.plugins.module_utils._model.volume import storage_of
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need
from ansible_collections.pve.provision.plugins.module_utils._pve.snapshots import format_of, has_snapshots

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

_LATER: t.Final = "Leave rollback out for this run."
# The state of a TPM, which a process beside QEMU holds while the VM runs: where snapshots are chains of volumes, PVE
# takes none of it before 9.1.9, and does not delete the newest since then (qemu-server, API2/Qemu.pm).
_TPM: t.Final = "tpmstate"


class WayBack(Part):
    """What keeps what a guest was before it is changed."""

    def recover(self, node: Node, wanted: Wanted, *, act: bool) -> list[Step]:
        """Put right what a killed run left. Over the API nothing is: the tasks of PVE go on by themselves."""
        if wanted.findings or node.leftovers is None:
            return []
        refuse_half_restored(node, wanted)
        kind = wanted.type.kind
        vmid, config = find_here(node, wanted)
        if vmid is None or config is None or not is_declared_guest(wanted, Actual(vmid, config)):
            return []
        if not may_be_ours(node, vmid, config.lock):
            return [CleanUp(vmid)] if act and finish(node, vmid, wanted.policy.timeout) else []
        if act:
            goes_on = f"a snapshot of {vmid} is still being worked on"
            timeout = wanted.policy.timeout
            await_end(lambda: is_at_work(node, kind, vmid), goes_on, timeout=timeout, clock=node.clock)
            return [CleanUp(vmid)] if clear(node, kind, vmid, wanted.policy.timeout) else []
        return [CleanUp(vmid, unlocks=True)] if is_left_by_us(node, kind, vmid) else []


@dataclass
class RollbackPart(WayBack):
    """The last part of a guest, so that it sees the whole plan. ``keep``: how many snapshots stay when it has passed
    its checks."""

    keep: int = 0

    # -- the plan --------------------------------------------------------------------------------------------------
    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        """A snapshot before the first change, unless one of the steps keeps what was before; and at the end none is
        left but those that are to be kept."""
        config = actual.config
        if config is None or actual.vmid is None or plan.creating or plan.has(Destroy) or wanted.state == "absent":
            return plan
        safe = any(step.until_verified or step.goes_back for step in plan.steps)
        if safe or not any(step.phase in (Phase.CHANGE, Phase.INSIDE) for step in plan.steps):
            known = ours(node, wanted.type.kind, actual.vmid) if any(map(is_our_name, config.snapshots)) else []
            return plan.append(PruneSnapshots(self.keep)) if len(known) > self.keep else plan
        guarded = with_snapshot(node, wanted, actual, plan).append(PruneSnapshots(self.keep))
        return guarded.against(refusals(node, wanted, actual, plan))


def with_snapshot(node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
    """The plan with a snapshot before whatever it changes of a guest that is there, so that going back to it takes back
    all of that."""
    config, vmid = t.cast("GuestConfig", actual.config), t.cast("int", actual.vmid)
    there = node.snapshots.of(wanted.type.kind, vmid) if config.snapshots else []
    starts = (Need((f"/vms/{vmid}",), ("VM.PowerMgmt",), Snapshot.action),) if actual.running else ()
    return before_changes(plan, Snapshot(name_now(node, [each.name for each in there]), starts))


def before_changes(plan: Plan, step: Step) -> Plan:
    """The plan with a step before whatever it changes of a guest that is there."""
    first = next(number for number, each in enumerate(plan.steps) if each.phase > Phase.IMAGE)
    return dataclasses.replace(plan, steps=(*plan.steps[:first], step, *plan.steps[first:]))


def refusals(node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> t.Iterator[Finding]:
    """What PVE refuses to a guest that is to have a snapshot, and what would be lost if it went back to it."""
    config = t.cast("GuestConfig", actual.config)
    if config.template:
        yield Finding("rollback", "snapshot", "is refused: PVE takes no snapshot of a template", _LATER)
    for step in plan.steps:
        if step.with_snapshots:
            yield Finding(
                "rollback", "snapshot", f"cannot be combined with {step.action}: {step.with_snapshots}", _LATER
            )
    for words in without_snapshots(node, wanted, actual, plan):
        yield Finding("rollback", "snapshot", f"is not possible: {words}", "Leave rollback out, or move the volume.")
    yield from lost_with_it(wanted, config)


def without_snapshots(node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> t.Iterator[str]:
    """The volumes of a guest of which PVE takes no snapshot, or deletes none, in words."""
    storages = {storage.name: storage for storage in node.storages()}
    runs = actual.running or plan.has(Start)
    for key, text in sorted(t.cast("GuestConfig", actual.config).live.items()):
        volume = text.partition(",")[0]
        if not wanted.type.is_volume(key) or key.startswith("unused") or "media=cdrom" in text.split(","):
            continue
        home = storage_of(volume)
        storage = storages.get(home or "")
        if home is None or (storage and not has_snapshots(storage.type, volume)):
            where = f"on {home}, of type {storage.type}" if storage else "of the node itself"
            yield f"PVE takes no snapshot of {key} ({volume}), which is {where}"
        elif storage and storage.chains and runs and key.startswith(_TPM) and format_of(volume) == "qcow2":
            yield (
                f"while a VM runs, PVE takes no snapshot of {key} ({volume}), or does not delete the newest again, as"
                f" {home} keeps snapshots as chains of volumes"
            )


def lost_with_it(wanted: Wanted, config: GuestConfig) -> t.Iterator[Finding]:
    """What a guest would not have any more once it went back."""
    lost = sorted(key for key in config.pending if key not in wanted.declaration.values)
    if lost:
        problem = f"would drop what waits for a restart and is not declared: {', '.join(lost)}"
        yield Finding("rollback", "snapshot", problem, "Restart the guest, or revert that, first.")
