# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what keeps a guest as it is before it gets what is newer."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan
from ansible_collections.pve.provision.plugins.module_utils._errors import Degradation, Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot.backup import (
    Backup,
    DropBackup,
    Place,
    against_backup,
    backup_needs,
    has_old_backup,
    place_for,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot.part import (
    before_changes,
    lost_with_it,
    refusals,
    with_snapshot,
    without_snapshots,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot.steps import PruneSnapshots

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

_REMEDY: t.Final = "A rollback would not be possible. Fix that, or declare state=started and upgrade it by hand."


def with_way_back(node: Node, facts: Facts, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
    """The plan with a snapshot before what it changes, or a backup where PVE takes none; and what stands against it."""
    config = t.cast("GuestConfig", actual.config)
    lacking = list(without_snapshots(node, wanted, actual, plan))
    found: list[Finding]
    if lacking:
        place = place_for(facts, wanted, config) or Place("", ())
        against = list(against_backup(node, wanted, t.cast("int", actual.vmid), config))
        against += [] if place.storage else ["no storage of this node takes backups, as far as this login sees them"]
        found = [Finding("state", wanted.state, f"is not possible: {lacking[0]}, and {words}") for words in against]
        found += lost_with_it(wanted, config)
        needed = backup_needs(facts, wanted, actual, place.storage)
        plan = before_changes(plan, Backup(place.storage, needed)).append(DropBackup())
        told = _told(wanted, actual, lacking[0], place.storage)
        plan = dataclasses.replace(plan, warnings=(*plan.warnings, told, *place.warnings))
    else:
        found = list(refusals(node, wanted, actual, plan))
        plan = with_snapshot(node, wanted, actual, plan).append(PruneSnapshots(0))
    return plan.against(dataclasses.replace(each, option="state", value=wanted.state, remedy=_REMEDY) for each in found)


def _told(wanted: Wanted, actual: Actual, because: str, place: str) -> Degradation:
    stops = wanted.type.kind == "lxc" and actual.running
    meanwhile = ", for which it is shut down," if stops else ""
    return Degradation(f"a snapshot of {wanted.label}", because, f"a backup on {place}{meanwhile}")


def without_old_backup(node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
    """The plan that removes a backup which a killed run has left, once the guest passes its checks."""
    left = has_old_backup(node, wanted, t.cast("int", actual.vmid))
    return plan.append(DropBackup()) if left else plan
