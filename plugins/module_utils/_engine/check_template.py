# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what stands against turning a guest into a template."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.steps import MakeTemplate
from ansible_collections.pve.provision.plugins.module_utils._model.volume import storage_of

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual
    from ansible_collections.pve.provision.plugins.module_utils._engine.planned_guest import PlannedGuest, Report
    from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan

# Storages whose volumes cannot be what others are cloned from.
NO_BASE: t.Final = frozenset({"lvm", "iscsi", "iscsidirect"})


def check_template(report: Report, facts: Facts, planned: PlannedGuest, actual: Actual, plan: Plan) -> None:
    """Of a container all volumes become what others are cloned from; of a VM's disks some may stay as they are."""
    if not plan.has(MakeTemplate):
        return
    wanted = planned.wanted
    if actual.config and actual.config.snapshots and not plan.creating:
        problem = f"is refused: {wanted.label} has snapshots ({', '.join(actual.config.snapshots)})"
        report.add("state", "template", problem, "Delete them first.")
    if not wanted.type.whole_template:
        return
    types = {storage.name: storage.type for storage in facts.storages}
    for key, value in planned.values(planned.after).items():
        if not wanted.type.is_volume(key):
            continue
        source = str(value.get("volume") or "")
        if source.startswith("/"):
            remedy = "Leave it out, and declare it for the clones."
            report.add(planned.path(key), source, "cannot be in a template: it is not a volume of a storage", remedy)
        elif (storage := storage_of(source) or "") and types.get(storage) in NO_BASE:
            problem = f"cannot be in a template: storage {storage} is of type {types[storage]}"
            report.add(planned.path(key), source, problem, "Use a storage that can clone, such as lvmthin or zfspool.")
