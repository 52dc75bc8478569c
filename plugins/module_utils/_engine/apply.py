# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a plan carried out, and what came of it."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import by_neighbour
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Start
from ansible_collections.pve.provision.plugins.module_utils._errors import ChecksFailed, Interrupted, ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt, progress
from ansible_collections.pve.provision.plugins.module_utils._model.compare import shown

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Result
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Outcome

Parts = t.Sequence[Part]


def carry_out(run: Run, parts: Parts) -> Result:
    """Carry out the plan of a run, step by step. What a step that fails leaves is taken back, and then the error is
    raised; so it is where the guest does not pass its checks, as far as steps wait for that."""
    begun = take_steps(run, parts)
    try:
        result = finish(run, parts)
    except ProvisionError as error:
        if isinstance(error, ChecksFailed) or run.saved:
            raise _unverified(run, begun, error) from error
        if begun:
            raise _unseen(run, error) from error
        raise
    if closing := [step for step in run.plan.steps if step.phase is Phase.CLOSE]:
        _take(run, closing, [])
        result.options = run.config().options
    return result


def take_steps(run: Run, parts: Parts = ()) -> list[Step]:
    """The steps alone, but for those that wait until the guest has passed its checks; which were taken."""
    begun: list[Step] = []
    for part in parts:
        part.begin(run)
    try:
        _take(run, [step for step in run.plan.steps if step.phase is not Phase.CLOSE], begun)
    except ProvisionError as error:
        error.details["warnings"] = run.result.warnings  # with what the parts are going to add
        raise
    finally:
        for part in parts:
            part.tidy(run)
    return begun


def _take(run: Run, steps: t.Iterable[Step], begun: list[Step]) -> None:
    for step in steps:
        try:
            interrupt.check()
            begun.append(step)
            with progress.step(_name(run), step.action):
                outcome = _act(run, step)
        except ProvisionError as error:
            raise _failed(run, step, begun, error) from error
        if outcome is not None:
            run.result.warnings += outcome.warnings


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
        how = "was not finished." if step in begun else "was not started."
        error.begun = bool(begun)
    error.message = f"{run.wanted.label}: {step.action} {how} {error.message}"
    error.remedy = ". ".join(part.rstrip(".") for part in (error.remedy, *words) if part)
    error.details.update(step=step.action, vmid=run.result.vmid, plan=run.result.plan, **_back(run))
    return error


def _unverified(run: Run, begun: t.Sequence[Step], error: ProvisionError) -> ProvisionError:
    """The error of a guest that was changed and does not pass its checks, or of which nobody can tell, since the run
    broke off there; what waits for them is taken back first."""
    words = [word for each in reversed(begun) if each.until_verified for word in each.undo(run)]
    error.remedy = ". ".join(part.rstrip(".") for part in (error.remedy, *words) if part)
    error.details.update(_back(run))
    return error


def _unseen(run: Run, error: ProvisionError) -> ProvisionError:
    """The error of a guest that was changed, and of which could not be read then what it has."""
    error.message = f"{run.wanted.label} was changed, and then not seen: {error.message}"
    error.details.update(vmid=run.result.vmid, plan=run.result.plan)
    return error


def _back(run: Run) -> dict[str, bool]:
    """What machines are told of a guest that was taken back to what it was."""
    return {"rolled_back": True} if run.rolled_back else {}


# -- afterwards -----------------------------------------------------------------------------------------------------


def finish(run: Run, parts: Parts) -> Result:
    """The result, from what the node has now; an unchanged guest is not read twice."""
    result, plan, kind = run.result, run.plan, run.wanted.type
    if run.wanted.state == "absent":
        result.status = "absent"
        return result
    config = run.config() if plan else t.cast("GuestConfig", run.actual.config)
    seen = plan.steps[-1].leaves if plan else run.actual.status
    result.status = seen or run.node.status(kind.kind, run.vmid)
    result.options = config.options
    pending = {**config.pending, **_outdated(run, config)}
    result.pending = {key: value if value is None else shown(kind.table, key, value) for key, value in pending.items()}
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
    result.warnings += by_neighbour(result.addresses, run.wanted.type.witness(config.options))
    if lacking and waits:
        result.warnings.append(f"no address, or not the declared one, on {', '.join(lacking)} after {timeout} s")


def _outdated(run: Run, config: GuestConfig) -> dict[str, str | None]:
    """What the running guest does not have yet, although PVE does not say so."""
    if run.result.status != "running":
        return {}
    if not run.plan:
        return dict(run.actual.outdated)
    told = run.node.outdated(run.wanted.type.kind, run.vmid, config)
    restarted = run.made or run.plan.has(Start)
    waiting = () if restarted else run.plan.change.restart
    return {**{key: config.options.get(key) for key in waiting}, **told}
