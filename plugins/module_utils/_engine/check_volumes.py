# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the volumes of a guest, and the storages that they go on."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import render_size
from ansible_collections.pve.provision.plugins.module_utils._model.volume import DEFAULT_SIZE, storage_of
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import check_storage

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import CloneSource
    from ansible_collections.pve.provision.plugins.module_utils._engine.planned_guest import PlannedGuest, Report
    from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan
    from ansible_collections.pve.provision.plugins.module_utils._pve.storages import Limits


def check_volumes(report: Report, facts: Facts, planned: PlannedGuest, touched: t.Mapping[str, t.Any]) -> None:
    """Each volume says what it is; each storage must be there, take volumes of such guests, and have room for all that
    goes on it."""
    there = planned.values(planned.before)
    needs = _copied(planned, there)
    for key, value in touched.items():
        if not planned.wanted.type.is_volume(key):
            continue
        path = planned.path(key)
        planned.wanted.type.check_volume(report, facts, planned, key, value)
        _check_growth(report, planned, key)
        storage, more = _more_room(value, there.get(key, {}) if key in planned.before else None)
        content = planned.wanted.type.content_of(value)
        if storage and content:
            size, first = needs.get((storage, content), (0, f"{path}.storage"))
            needs[storage, content] = (size + more, first)
    for (storage, content), (size, path) in needs.items():
        size += facts.reserve(storage, size)
        limits = planned.wanted.policy.storage_limits
        findings, warnings = check_storage(facts.storages, storage, content, size, path, limits=limits)
        report.findings += findings
        report.warnings += warnings


def _check_growth(report: Report, planned: PlannedGuest, key: str) -> None:
    """What the running guest does not have yet does not grow."""
    size = planned.change.resize.get(key) if key not in planned.live else None
    size = planned.wanted.grow.get(key) if key in planned.change.restart else size
    if planned.live and size:
        remedy = "Allow a restart (restart=when_needed), or leave it out until then."
        problem = "cannot be yet: the volume itself waits for the next start"
        report.add(f"{planned.path(key)}.size", render_size(size), problem, remedy)


def check_files(report: Report, facts: Facts, plan: Plan, limits: Limits) -> None:
    """Each storage that gets a file must be there, take such files, and have room; what guests share counts once."""
    for step in plan.steps:
        if file := step.file:
            size = facts.reserve_once(step.shared or repr(step), file.storage, file.size or 0)
            findings, warnings = check_storage(
                facts.storages, file.storage, file.content, size, file.option, written=True, limits=limits
            )
            report.findings += findings
            report.warnings += warnings


def is_full(clone: CloneSource, source: t.Mapping[str, str]) -> bool:
    """Whether PVE copies the volumes of a source with these options; those of a linked clone stand on them."""
    return source.get("template") != "1" if clone.full is None else clone.full


def _copied(planned: PlannedGuest, there: t.Mapping[str, SubValues]) -> dict[tuple[str, str], tuple[int, str]]:
    """The room that the volumes of a backup take on each storage, or those of the guest that is cloned."""
    kind, backup, clone = planned.wanted.type, planned.wanted.backup, planned.wanted.clone
    needs: dict[tuple[str, str], tuple[int, str]] = {}
    if not planned.new or not (backup or (clone and is_full(clone, clone.options))):
        return needs
    option = backup.target_option if backup else "clone_from.storage" if clone and clone.storage else "clone_from"
    for key, value in there.items():
        volume = str(value.get("volume") or "") if kind.is_volume(key) else ""
        comes = volume.endswith(":0") if backup else bool(volume) and kind.is_copied(planned.before[key])
        if comes and (storage := storage_of(volume)):
            kept = (storage, kind.content)
            needs[kept] = (needs.get(kept, (0, ""))[0] + (value.get("size") or 0), option)
    return needs


def _more_room(value: SubValues, now: SubValues | None) -> tuple[str | None, int]:
    """Which storage a volume takes more room on, and how much: all of a new one, the growth of one that is there."""
    volume = value.get("volume")
    if now is None:
        storage = value.get("storage") or (storage_of(volume) if volume else None)
        return storage, 0 if volume else value.get("size") or DEFAULT_SIZE
    grown = (value.get("size") or 0) - (now.get("size") or 0)
    return (storage_of(now["volume"]), grown) if grown > 0 and now.get("volume") else (None, 0)
