# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a plan carried out, and what came of it."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Start
from ansible_collections.pve.provision.plugins.module_utils._errors import Interrupted, ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt, progress

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Result
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Outcome

Parts = t.Sequence[Part]


def carry_out(run: Run, parts: Parts) -> Result:
    """Carry out the plan of a run, step by step. What a step that fails leaves is taken back, and then the error is
    raised."""
    take_steps(run, parts)
    return _finish(run, parts)


def take_steps(run: Run, parts: Parts = ()) -> None:
    """The steps alone."""
    begun: list[Step] = []
    try:
        for step in run.plan.steps:
            try:
                interrupt.check()
                begun.append(step)
                with progress.step(_name(run), step.action):
                    outcome = _act(run, step)
            except ProvisionError as error:
                raise _failed(run, step, begun, error) from error
            if outcome is not None:
                run.result.warnings += outcome.warnings
    finally:
        for part in parts:
            part.tidy(run)


def _name(run: Run) -> str:
    """How progress calls the guest."""
    return run.wanted.name or run.wanted.label


def _act(run: Run, step: Step) -> Outcome | None:
    """Carry out a step; one that other guests of the run share only when none of them has."""
    if not step.shared:
        return step.run(run)
    storage = step.file.storage if step.file else ""
    return run.facts.once(step.shared, storage, functools.partial(step.run, run))


def _failed(run: Run, step: Step, begun: t.Sequence[Step], error: ProvisionError) -> ProvisionError:
    """The error of a failed step, told with guest and step; what the run has done is taken back first."""
    words = [word for each in reversed(begun) for word in each.undo(run)]
    how = "failed:"
    if isinstance(error, Interrupted):
        how = "was not finished." if step in begun else "was not begun."
        error.begun = bool(begun)
    error.message = f"{run.wanted.label}: {step.action} {how} {error.message}"
    error.remedy = ". ".join(part.rstrip(".") for part in (error.remedy, *words) if part)
    error.details.update(step=step.action, vmid=run.result.vmid, plan=run.result.plan)
    return error


# -- afterwards -----------------------------------------------------------------------------------------------------


def _finish(run: Run, parts: Parts) -> Result:
    """The result, from what the node has now; an unchanged guest is not read twice."""
    result, plan, kind = run.result, run.plan, run.wanted.type
    if run.wanted.state == "absent":
        result.status = "absent"
        return result
    config = run.config() if plan else t.cast("GuestConfig", run.actual.config)
    result.status = run.node.status(kind.kind, run.vmid) if plan else run.actual.status
    result.options = config.options
    result.pending = {**config.pending, **_outdated(run, config)}
    if result.pending:
        waiting = ", ".join(sorted(result.pending))
        result.warnings.append(f"waits for a restart: {waiting} (restart=when_needed does it)")
    with progress.step(_name(run), "verify") if plan and result.status == "running" else contextlib.nullcontext():
        _verify(run, config)
        for part in parts:
            part.finish(run)
    return result


def _verify(run: Run, config: GuestConfig) -> None:
    """Which addresses the guest has, and who says so."""
    result, waits = run.result, bool(run.plan)
    timeout = run.wanted.policy.ip_timeout if result.status == "running" else 0
    result.addresses, lacking = run.wanted.type.await_addresses(run.node, run.vmid, config.options, timeout, wait=waits)
    if lacking and waits:
        result.warnings.append(f"no address, or not the declared one, on {', '.join(lacking)} after {timeout} s")


def _outdated(run: Run, config: GuestConfig) -> dict[str, str]:
    """What the running guest does not have yet, although PVE does not say so."""
    if run.result.status != "running":
        return {}
    if not run.plan:
        return dict(run.actual.outdated)
    told = run.node.outdated(run.wanted.type.kind, run.vmid, config)
    restarted = run.made or run.plan.has(Start)
    waiting = () if restarted else run.plan.change.restart
    return {**{key: config.options[key] for key in waiting if key in config.options}, **told}
