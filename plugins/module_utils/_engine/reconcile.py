# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: one guest made to match its declaration: read, plan, check, act, read again."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.apply import carry_out, finish
from ansible_collections.pve.provision.plugins.module_utils._engine.creation import MadeTwice, TakenMeanwhile
from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Result, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.plan import make_plan, with_growth, with_pool
from ansible_collections.pve.provision.plugins.module_utils._engine.preflight import preflight, removal_findings
from ansible_collections.pve.provision.plugins.module_utils._engine.read import (
    find_here,
    is_declared_guest,
    read_if_allowed,
    with_current_spelling,
    with_outdated,
    without_lock,
)
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import CleanUp
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    Finding,
    InvalidInput,
    ProvisionError,
)

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node


def reconcile(
    node: Node, wanted: Wanted, *, check_mode: bool, parts: t.Sequence[Part] = (), facts: Facts | None = None
) -> Result:
    """Make the node match ``wanted``, or tell what that would do. The parts of the guest add to that. When a vmid that
    was free is found to be taken, whoever has taken it is looked at, once."""
    warnings: list[str] = []
    looked_again = False
    with contextlib.nullcontext() if check_mode else _alone(node, wanted):
        while True:
            one = Reconciliation(node, wanted, [copy.copy(part) for part in parts], facts or Facts(node))
            try:
                result = one.predict() if check_mode else one.act()
            except MadeTwice as twice:
                warnings.append(str(twice))
                continue
            except TakenMeanwhile as taken:
                if looked_again:
                    raise
                looked_again = True
                if taken.note is not None:  # it holds again: what it is about was at work still
                    node.journal.setdefault(taken.vmid, taken.note)
                continue
            result.warnings[:0] = warnings
            return result


@contextlib.contextmanager
def _alone(node: Node, wanted: Wanted) -> t.Iterator[None]:
    """Hold off other runs over the same guest, whether they call it by its name or by its number."""
    with node.lock(f"{wanted.type.kind}-{(wanted.name or str(wanted.vmid)).lower()}"):
        # Over the API nothing is held, so nobody is asked.
        number, config = find_here(node, wanted) if node.files is not None else (None, None)
        with contextlib.nullcontext() if config is None else node.lock(f"guest-{number}"):
            yield


def look(node: Node, wanted: Wanted, parts: t.Sequence[Part]) -> None:
    """Have the parts ask a guest that runs what its plan will need. Writes nothing."""
    if wanted.findings or wanted.state == "absent":
        return
    with contextlib.suppress(ProvisionError):  # it is told when the guest is planned
        actual = read_if_allowed(node, wanted, wait=False)
        if actual.config is not None and actual.status == "running" and is_declared_guest(wanted, actual):
            for part in parts:
                part.look(node, actual)


@dataclass
class Reconciliation:
    """One attempt at it. ``recovered`` are the steps that parts took, or take, for what killed runs have left."""

    node: Node
    wanted: Wanted
    parts: t.Sequence[Part]
    facts: Facts
    recovered: list[Step] = field(default_factory=list)
    privilege: str = ""

    def __post_init__(self) -> None:
        for part in self.parts:
            part.facts = self.facts

    def predict(self) -> Result:
        """What a run would do. Writes nothing."""
        actual = self._read(act=False)
        plan = self._plan(actual)
        result = self._check(actual, plan)
        if result.changed:
            return self._foretell(actual, plan, result)
        if self.facts.common.later is not None:
            self.facts.common.later.append((result, functools.partial(self._carry_out, actual, plan, result)))
            return result
        return self._carry_out(actual, plan, result)

    def act(self) -> Result:
        actual = self._read(act=True)
        plan = self._plan(actual)
        done = self._carry_out(actual, plan, self._check(actual, plan))
        if done.vmid is not None:
            cleanup.forget(self.node, done.vmid)
        return done

    def observe(self) -> tuple[Run, Plan]:
        """The guest as it is, with what parts tell of it, and what a run would do to it. Writes nothing."""
        actual = self._read(act=False)
        if actual.forbidden:
            raise actual.forbidden
        if not is_declared_guest(self.wanted, actual):
            has = actual.config.options.get(self.wanted.type.name_key) if actual.config else None
            raise Conflict(f"{self.wanted.type.noun} {actual.vmid} is called {has}.", remedy="Declare what it is.")
        plan = self._plan(actual) if actual.config is not None else Plan()
        result = Result(False, actual.vmid, self.node.name, actual.status, [], {}, table=self.wanted.type.table)
        run = Run(self.node, self.wanted, actual, Plan(), result, self.facts)
        if actual.config is not None and self.wanted.state != "absent":
            finish(run, self.parts)
        return run, dataclasses.replace(plan, steps=(*self.recovered, *plan.steps))

    def _read(self, *, act: bool) -> Actual:
        """What is there, and what is wanted of that. Without ``act`` nothing is written or waited for."""
        node, wanted = self.node, self.wanted
        if wanted.state == "absent":  # first of all, for what is refused changes nothing
            _refuse(wanted, removal_findings(wanted, read_if_allowed(node, wanted, wait=False)))
        for part in self.parts:
            self.recovered += part.recover(node, wanted, act=act)
        actual = with_outdated(node, wanted, read_if_allowed(node, wanted, wait=act))
        if not act and any(isinstance(step, CleanUp) and step.unlocks for step in self.recovered):
            actual = without_lock(actual)
        wanted = with_current_spelling(wanted, actual)
        if wanted.policy.rename or is_declared_guest(wanted, actual):
            for part in self.parts:
                wanted = part.resolve(node, wanted, actual, act=act)
        self.wanted = wanted
        return actual

    def _plan(self, actual: Actual) -> Plan:
        """The steps; of what is new it is decided first what the declaration leaves open."""
        plan = make_plan(self.wanted, actual)
        if (plan or plan.change.findings) and actual.config is not None and self.wanted.state != "absent":
            # What a change takes in, such as a disk that moves, is no reason to recreate the guest.
            changed = self.wanted.type.complete_change(self.facts, self.wanted, actual)
            plan = make_plan(changed, actual)
            self.wanted = self.wanted if plan.creating else changed
        if plan.creating:
            self.privilege = self.wanted.type.privilege(self.wanted.declaration)
            for part in self.parts:
                self.wanted = part.prepare(self.node, self.wanted)
            self.wanted = self.wanted.type.complete(self.facts, self.wanted)
            plan = make_plan(self.wanted, actual)
        plan = with_growth(self.node, actual, plan)
        for part in self.parts:
            plan = part.extend(self.node, self.wanted, actual, plan)
        return with_pool(self.facts, self.wanted, actual, plan)

    def _check(self, actual: Actual, plan: Plan) -> Result:
        """The result as far as it is known before anything is written. Raises all that stands against the plan."""
        wanted = self.wanted
        uploads = [storage for part in self.parts for storage in part.uploads(self.node, plan)]
        report = preflight(self.facts, wanted, actual, plan, uploads)
        _refuse(wanted, report.findings)
        if actual.forbidden:
            raise actual.forbidden
        source = {wanted.type.source_option: wanted.source} if plan.creating and wanted.source else {}
        return Result(
            changed=bool(self.recovered or plan),
            vmid=actual.vmid,
            node=self.node.name,
            status=actual.status,
            plan=[step.view() for step in (*self.recovered, *plan.steps)],
            diff={"before": plan.before, "after": plan.after},
            warnings=[*wanted.notes, *report.warnings, *plan.warnings] if plan else [],
            privilege=self.privilege,
            table=wanted.type.table,
            more={**wanted.told, **source},
        )

    def _carry_out(self, actual: Actual, plan: Plan, result: Result) -> Result:
        return carry_out(Run(self.node, self.wanted, actual, plan, result, self.facts), self.parts)

    def _foretell(self, actual: Actual, plan: Plan, result: Result) -> Result:
        """The result of a run that changes something, without that."""
        wanted, config = self.wanted, actual.config
        result.status = plan.after.get("status", "absent" if wanted.state == "absent" else actual.status)
        if wanted.state == "absent":
            return result
        if result.vmid is None:
            result.vmid = self.node.next_vmid(skip=self.node.journal)
        options = wanted.options if plan.creating else config.options if config else {}
        result.options = plan.change.applied(options, config.live if config else {})
        result.addresses = wanted.type.declared_addresses(result.options)
        return result


def _refuse(wanted: Wanted, findings: t.Sequence[Finding]) -> None:
    if findings:
        raise InvalidInput(findings, about=wanted.label)
