# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from what is wanted and what is there to the steps of a run. Pure.

Check mode and the real run both get their plan here, so what the one predicts is what the other does.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.creation import Clone, Create, Restore
from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import (
    CleanUp,
    Destroy,
    GrowFilesystem,
    JoinPool,
    MakeTemplate,
    Resize,
    Resume,
    Set,
    Shutdown,
    Start,
    Suspend,
)
from ansible_collections.pve.provision.plugins.module_utils._model.compare import compare, shown, typed
from ansible_collections.pve.provision.plugins.module_utils._model.option import HIDDEN, Change
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import parse_size, render_size
from ansible_collections.pve.provision.plugins.module_utils._pve.config_text import disk_size

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

RUNNING_AFTER = {
    "present": None, "started": True, "latest": True, "stopped": False, "restarted": True, "suspended": True,
    "template": False,
}  # fmt: skip


def make_plan(wanted: Wanted, actual: Actual) -> Plan:
    """The steps that lead from ``actual`` to ``wanted``; none when all is as declared."""
    if wanted.state == "absent":
        return _absent(wanted, actual)
    if actual.config is None:
        return _create(wanted, actual)
    change = wanted.difference(actual.vmid, actual.config, purge=wanted.policy.purge_options)
    if more := tuple(wanted.type.check_existing(wanted, actual)):
        change = dataclasses.replace(change, findings=(*change.findings, *more))
    if change.findings and wanted.policy.recreate:
        return _recreate(wanted, actual)
    return _update(wanted, actual, change)


def _absent(wanted: Wanted, actual: Actual) -> Plan:
    steps = _clean_up(actual)
    if actual.config is not None:
        steps += [*_stop(wanted, actual), Destroy(wanted.policy.purge)]
    before = {} if actual.config is None else _state(wanted, actual)
    return Plan(tuple(steps), before=before)


def _clean_up(actual: Actual) -> list[Step]:
    return [] if actual.leftover is None else [CleanUp(actual.vmid)]


def _stop(wanted: Wanted, actual: Actual) -> list[Step]:
    """What stands still does not hear that it is to shut down."""
    first: list[Step] = [Resume()] if actual.suspended else []
    return [*first, Shutdown(wanted.policy.shutdown_timeout, wanted.policy.force)] if actual.running else []


def _create(wanted: Wanted, actual: Actual) -> Plan:
    change = Change()
    if wanted.copied:
        change = compare(wanted.type.table, wanted.copied.options, wanted.declaration)
        steps: list[Step] = [_copy(wanted), *_growing(wanted), *_changing(wanted, change)]
    else:
        source = {} if wanted.source is None else {wanted.type.source_option: wanted.source}
        options = {**_shown(wanted, wanted.create_options()), **dict.fromkeys(wanted.secrets, HIDDEN)}
        steps = [Create(source, options), *_growing(wanted)]
    steps = [*wanted.obtain, *steps]
    runs = RUNNING_AFTER[wanted.state]
    power = _start(wanted) if runs else []
    steps += power
    after = {**_declared(wanted, change), "status": _status_after(Actual(None, status="stopped"), power)}
    if wanted.state == "template":
        steps.append(MakeTemplate())
        after["template"] = True
    return Plan(tuple(_clean_up(actual) + steps), change, after=after)


def _copy(wanted: Wanted) -> Step:
    if wanted.backup:
        return Restore(wanted.backup.backup)
    return Clone((wanted.clone.vmid or wanted.clone.name) if wanted.clone else None)


def _recreate(wanted: Wanted, actual: Actual) -> Plan:
    """What the new one is made from is fetched first: the old one is not destroyed for something that cannot be had."""
    gone = _absent(wanted, actual)
    new = _create(dataclasses.replace(wanted, obtain=()), Actual(actual.vmid))
    return Plan((*wanted.obtain, *gone.steps, *new.steps), new.change, before=gone.before, after=new.after)


def _shown(wanted: Wanted, options: t.Mapping[str, str]) -> dict[str, str]:
    """Options as a plan shows them."""
    return {key: shown(wanted.type.table, key, value) for key, value in options.items()}


def _declared(wanted: Wanted, change: Change) -> dict[str, t.Any]:
    """What is declared of a new guest; the volumes that it is copied with are what they are, or grow."""
    copied = wanted.copied.options if wanted.copied else {}
    volumes = {key: copied[key] for key in wanted.options if key in copied and wanted.type.is_volume(key)}
    grown = {key: value for key, value in change.after.items() if key.endswith(".size")}
    return {**typed(wanted.type.table, {**wanted.options, **volumes}), **grown}


def _state(wanted: Wanted, actual: Actual) -> dict[str, t.Any]:
    options = {} if actual.config is None else actual.config.options
    return {**typed(wanted.type.table, options), "status": actual.status}


def _update(wanted: Wanted, actual: Actual, change: Change) -> Plan:
    power = _power(wanted, actual, change)
    ends = _status_after(actual, power)
    stopped = _shut_down(power) if _is_better_cold(wanted, actual, change, ends) else 0
    if stopped and actual.config:  # nothing waits any more by then
        cold = dataclasses.replace(actual.config, live=actual.config.options, pending={})
        change = wanted.difference(actual.vmid, cold, purge=wanted.policy.purge_options)
    before, after = dict(change.before), dict(change.after)
    if power and ends != actual.status:
        before["status"], after["status"] = actual.status, ends
    changing = [*_changing(wanted, change), *_growing(wanted)]
    steps = [*wanted.obtain, *power[:stopped], *changing, *power[stopped:]]
    if wanted.state == "template" and actual.config and actual.config.options.get("template") != "1":
        steps.append(MakeTemplate())
        before["template"], after["template"] = False, True
    return Plan(tuple(steps), change, before, after)


def _is_better_cold(wanted: Wanted, actual: Actual, change: Change, ends: str) -> bool:
    """Whether a guest is changed once it is shut down, if it is: what a running one may refuse, or would leave waiting,
    is done to one that is to stop, and a disk that waits itself grows when it is there. Else a disk grows online."""
    live = actual.config.live if actual.config else {}
    waits = any(key not in live for key in change.resize) or any(key in change.restart for key in wanted.grow)
    return waits or (ends == "stopped" and bool(change.set or change.delete))


def _shut_down(power: t.Sequence[Step]) -> int:
    """After how many of these steps the guest has shut down; 0 where it does not."""
    return next((place + 1 for place, step in enumerate(power) if isinstance(step, Shutdown)), 0)


def _changing(wanted: Wanted, change: Change) -> list[Step]:
    """A disk grows first: an option of its that waits for a restart must not bring the old size back."""
    steps: list[Step] = [Resize(disk, render_size(size)) for disk, size in change.resize.items()]
    if change.set or change.delete or change.revert:
        steps.append(Set(_shown(wanted, change.set), tuple(change.delete), tuple(change.revert)))
    return steps


def _growing(wanted: Wanted) -> list[Step]:
    """What was made from something smaller grows to its size."""
    return [Resize(disk, render_size(size)) for disk, size in wanted.grow.items()]


def _power(wanted: Wanted, actual: Actual, change: Change) -> list[Step]:
    """The steps that bring the guest to its state, and let it take what waits for a restart."""
    runs = RUNNING_AFTER[wanted.state]
    start = _start(wanted)
    if not actual.running:
        return start if runs else []
    if runs is False:
        return _stop(wanted, actual)
    pending = actual.config.pending if actual.config else {}
    waiting = bool(change.restart or actual.outdated or any(key not in change.revert for key in pending))
    if wanted.state == "restarted" or (waiting and wanted.policy.restart == "when_needed"):
        return _stop(wanted, actual) + start
    if wanted.state == "suspended" and not actual.suspended:
        return [Suspend()]
    return [Resume()] if wanted.state in ("started", "latest") and actual.suspended else []


def _start(wanted: Wanted) -> list[Step]:
    return [Start(), Suspend()] if wanted.state == "suspended" else [Start()]


def _status_after(actual: Actual, power: list[Step]) -> str:
    return power[-1].leaves if power else actual.status


# -- what only the node tells ----------------------------------------------------------------------------------------


def with_growth(node: Node, actual: Actual, plan: Plan) -> Plan:
    """The plan, and first what an earlier run's resize left undone: the file systems of volumes that have grown."""
    if actual.vmid is None or actual.config is None or plan.creating or plan.has(Destroy):
        return plan
    live = actual.config.live
    steps = [
        GrowFilesystem(disk, size)
        for disk, size in node.ungrown.get(actual.vmid, {}).items()
        if disk_size(live.get(disk, "")) == parse_size(size, unit=1) and disk not in plan.change.resize
    ]
    return dataclasses.replace(plan, steps=(*steps, *plan.steps)) if steps else plan


def with_pool(facts: Facts, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
    """The plan, and the step into the declared pool where an existing guest is not in it."""
    if wanted.pool is None or actual.config is None or wanted.state == "absent" or plan.creating:
        return plan
    if actual.vmid in facts.pools.get(wanted.pool, frozenset()):
        return plan
    plan = plan.append(JoinPool(wanted.pool))
    return dataclasses.replace(plan, after={**plan.after, "pool": wanted.pool})
