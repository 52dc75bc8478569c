# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: many guests in one run: all are planned and checked before the first is changed.

Planning reads one view of the node, so that an unchanged guest costs next to nothing. Each guest that has something to
do is then made to match by itself, as a module for one guest does it, several at once and in their order.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from concurrent import futures
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.apply import take_steps
from ansible_collections.pve.provision.plugins.module_utils._engine.creation import MAKING
from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Common, Facts, Planned
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Result, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.migration import Migrate, Moved, migration
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.reconcile import reconcile
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    Finding,
    Interrupted,
    InvalidInput,
    ProvisionError,
)
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._model.compare import render
from ansible_collections.pve.provision.plugins.module_utils._pve.view import ClusterView, NodeView

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, GuestRef

OnFailure = t.Literal["continue", "stop"]
Read = t.Callable[[], tuple[Wanted, t.Sequence[Part]]]


@dataclass(frozen=True)
class Member:
    """One guest of a run. ``read`` gives what is wanted, afresh each time; ``after`` are the names of the guests that
    come before it, ``order`` its place in PVE's startup order, ``up`` the seconds that those behind it wait then.
    ``source`` is the guest of the list that it is cloned from. ``node``: where in the cluster it is, or comes to be;
    empty: on the node of the run. ``moves``: it is on another one, and goes to ``node`` first."""

    name: str
    type: str
    read: Read
    after: frozenset[str] = frozenset()
    order: int | None = None
    up: int = 0
    source: str = ""
    node: str = ""
    moves: GuestRef | None = None


@dataclass(frozen=True)
class Site:
    """A node of the run: to act on, and as it was when the run looked."""

    node: Node
    view: NodeView
    facts: Facts


@dataclass
class Ended:
    """How it went with one guest. ``skipped`` is the reason that nothing was done with it."""

    member: Member
    result: Result | None = None
    error: ProvisionError | None = None
    skipped: str = ""
    seconds: float = 0.0

    @property
    def steps(self) -> list[dict[str, t.Any]]:
        """What is done with it, as plans show it."""
        return self.result.plan if self.result else []

    @property
    def makes_guest(self) -> bool:
        return any(step["step"] in MAKING for step in self.steps)

    @property
    def well(self) -> bool:
        return self.error is None and not self.skipped


@dataclass
class Fleet:
    """A run over many guests. ``concurrency``: how many are worked on at once; ``tell`` hears of each beginning and
    end. ``known`` are the names of declared guests with which nothing is to be done, ``limit`` the only ones that are
    looked after."""

    node: Node
    members: t.Sequence[Member]
    concurrency: int = 4
    on_failure: OnFailure = "continue"
    tell: t.Callable[[Member, str], None] = lambda _member, _what: None
    known: frozenset[str] = frozenset()
    limit: frozenset[str] | None = None
    cluster: ClusterView = field(init=False)
    common: Common = field(init=False, default_factory=Common)
    _sites: dict[str, Site | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.cluster = ClusterView(self.node)

    def site(self, name: str = "") -> Site | None:
        """A node by its name, or the run's own; None where it is not reached from here."""
        name = name or self.node.name
        if name not in self._sites:
            node, view = self.node.on(name), self.cluster.on(name)
            facts = Facts(t.cast("Node", view), self.common)
            self._sites[name] = None if node is None or view is None else Site(node, view, facts)
        return self._sites[name]

    def _site_of(self, member: Member) -> Site:
        return t.cast("Site", self.site(member.node))

    # -- planning --------------------------------------------------------------------------------------------------
    def plan(self, findings: t.Iterable[Finding] = ()) -> list[Ended]:
        """What a run would do. Raises InvalidInput with all that stands against all guests, and with the ``findings``
        that there are already; nothing is written."""
        by_name = {member.name: self._plan_one(member) for member in _in_order(self.members)}
        planned = [by_name[member.name] for member in self.members]
        self.common.reserved = None
        findings = [*findings, *_unordered(self.members, self.known), *self._unmade_sources(by_name)]
        for ended in planned:
            if isinstance(ended.error, InvalidInput):
                findings += [_of(ended.member, finding) for finding in ended.error.findings]
        findings += _lost_sources(planned)
        if findings:
            raise InvalidInput(findings)
        for ended in planned:
            if ended.error is not None:
                ended.error.message = f"{ended.member.name}: {ended.error.message}"
                raise ended.error
        return planned

    def _plan_one(self, member: Member) -> Ended:
        wanted, parts = member.read()
        try:
            result = self._predict(member, wanted, parts)
        except ProvisionError as error:
            return Ended(member, error=error)
        if result.changed and result.vmid is not None:
            self._remember(member, wanted, result.vmid, render(wanted.type.table, wanted.declaration))
        return Ended(member, result)

    def _predict(self, member: Member, wanted: Wanted, parts: t.Sequence[Part]) -> Result:
        site = self.site(member.node)
        if member.moves is not None:
            run = self._migration(member, wanted, planned=True)
            config = t.cast("GuestConfig", run.actual.config)
            if site is None:
                return run.result
            site.view.add(member.moves, config)
            parts = [*parts, Moved(t.cast(Migrate, run.plan.steps[0]))]
        site = self._site_of(member)
        return reconcile(site.facts.node, wanted, check_mode=True, parts=parts, facts=site.facts)

    def _migration(self, member: Member, wanted: Wanted, *, planned: bool) -> Run:
        """The move of a guest from where it is now, by itself."""
        guest = t.cast("GuestRef", member.moves)
        site = t.cast("Site", self.site(guest.node))
        node = site.facts.node if planned else site.node
        config = node.config(guest.kind, guest.vmid)
        if config is None:
            raise Conflict(f"{wanted.label} is not on node {guest.node} any more.", remedy="Run again.")
        actual = Actual(guest.vmid, config, node.status(guest.kind, guest.vmid))
        step = migration(site.facts, wanted, config, actual.status, member.node)
        told = {"before": {"node": step.source}, "after": {"node": step.target}}
        rest = f"the rest of its declaration is for the run on node {member.node}, when it is there"
        result = Result(True, guest.vmid, member.node, actual.status, [step.view()], told, warnings=[rest])
        return Run(site.node, wanted, actual, Plan((step,)), result, site.facts)

    def _unmade_sources(self, planned: t.Mapping[str, Ended]) -> t.Iterator[Finding]:
        """Guests of the limit whose source is not there, and not among those that are made."""
        for member in self.members:
            source = planned.get(member.source)
            if self.limit is None or member.name not in self.limit or source is None or member.source in self.limit:
                continue
            if planned[member.name].makes_guest and source.makes_guest:
                remedy = f"Add {member.source} to the limit."
                yield Finding(f"{member.name}: clone_from", member.source, "is not there, and not in the limit", remedy)

    def _remember(self, member: Member, wanted: Wanted, vmid: int, options: t.Mapping[str, str]) -> None:
        """A guest that others of this run may be cloned from, as it is going to be or as it was made."""
        site = self.site(member.node)
        if site is not None:
            site.facts.planned[wanted.type.kind, str(wanted.name)] = Planned(vmid, options)

    # -- acting ----------------------------------------------------------------------------------------------------
    def carry_out(self, planned: t.Sequence[Ended]) -> list[Ended]:
        """Carry the plans out. What one guest fails at stops only those that come after it, or with ``stop`` all that
        have not begun."""
        done = {ended.member.name: ended for ended in planned if not self._has_work(ended)}
        waiting = [ended.member for ended in planned if ended.member.name not in done]
        vmids = {ended.member.name: ended.result.vmid for ended in planned if ended.result}
        befores = {member.name: self._before(member, waiting) for member in waiting}
        ready_at: dict[str, float] = {}
        with futures.ThreadPoolExecutor(max(self.concurrency, 1)) as pool:
            running: dict[futures.Future[Ended], Member] = {}
            while waiting or running:
                for member in list(waiting):
                    if len(running) >= self.concurrency:
                        break
                    reason = interrupt.reason() or self._blocker(befores[member.name], done)
                    if reason:
                        done[member.name] = Ended(member, skipped=reason)
                        waiting.remove(member)
                    elif befores[member.name] <= done.keys():
                        pause = max((ready_at.get(name, 0.0) for name in befores[member.name]), default=0.0)
                        running[pool.submit(self._act, member, vmids.get(member.name), pause)] = member
                        waiting.remove(member)
                ended, _others = futures.wait(running, return_when=futures.FIRST_COMPLETED)  # at once without any
                for future in ended:
                    member = running.pop(future)
                    done[member.name] = future.result()
                    ready_at[member.name] = self.node.clock.now() + member.up
        return [done[ended.member.name] for ended in planned]

    def _has_work(self, ended: Ended) -> bool:
        """Whether a guest is to be reconciled: also one that is as declared and of which there is a note still, from a
        run that was killed or is at work. Under the guest's lock it is dropped when the guest is whole."""
        result = ended.result
        return result is not None and (result.changed or result.vmid in self._site_of(ended.member).view.journal)

    def _act(self, member: Member, vmid: int | None, not_before: float) -> Ended:
        interrupt.pause(not_before - self.node.clock.now())
        if why := interrupt.reason():
            return Ended(member, skipped=why)
        began = self.node.clock.now()
        self.tell(member, "begins")
        wanted, parts = member.read()
        wanted = dataclasses.replace(wanted, planned_vmid=vmid)
        ended = Ended(member)
        try:
            ended.result = self._carry_out_one(member, wanted, parts)
        except ProvisionError as error:
            if isinstance(error, Interrupted) and not error.begun:
                return Ended(member, skipped=interrupt.reason())
            ended.error = error
        ended.seconds = self.node.clock.now() - began
        self.tell(member, "failed" if ended.error else "done")
        return ended

    def _carry_out_one(self, member: Member, wanted: Wanted, parts: t.Sequence[Part]) -> Result:
        """A guest that moves is reconciled where it comes to be, if that node is reached from here."""
        moved = None
        if member.moves is not None:
            run = self._migration(member, wanted, planned=False)
            take_steps(run)
            moved = run.result
            if self.site(member.node) is None:
                return moved
        site = self._site_of(member)
        result = reconcile(site.node, wanted, check_mode=False, parts=parts, facts=site.facts)
        made = site.node.config(wanted.type.kind, result.vmid) if result.vmid else None
        if made is not None and result.vmid:
            self._remember(member, wanted, result.vmid, made.options)
        return result if moved is None else _after_migration(moved, result)

    def _before(self, member: Member, changing: t.Sequence[Member]) -> frozenset[str]:
        """Which of the guests that change have to be done before this one begins."""
        names = {other.name for other in changing}
        earlier = {
            other.name
            for other in changing
            if member.order is not None and other.order is not None and other.order < member.order
        }
        return frozenset((member.after | earlier) & names)

    def _blocker(self, befores: t.Collection[str], done: t.Mapping[str, Ended]) -> str:
        """Why a guest is not to begin: the failure of another one."""
        failed = [name for name, ended in done.items() if not ended.well]
        for name in failed:
            if name in befores:
                return f"comes after {name}, which {'was not begun' if done[name].skipped else 'failed'}"
        return f"{failed[0]} failed, and on_failure is stop" if failed and self.on_failure == "stop" else ""


def _after_migration(moved: Result, result: Result) -> Result:
    """What came of a guest that was moved first, as it was planned."""
    diff = {side: {**result.diff.get(side, {}), **moved.diff[side]} for side in ("before", "after")}
    return dataclasses.replace(result, changed=True, plan=[*moved.plan, *result.plan], diff=diff)


def _of(member: Member, finding: Finding) -> Finding:
    return Finding(f"{member.name}: {finding.option}", finding.value, finding.problem, finding.remedy)


def _lost_sources(planned: t.Sequence[Ended]) -> t.Iterator[Finding]:
    """Guests that others are to be cloned from, and that the same run destroys."""
    steps = [(ended.member, ended.result, step) for ended in planned if ended.result for step in ended.result.plan]
    gone = {result.vmid for _member, result, step in steps if step["step"] == "destroy" and result.status == "absent"}
    for member, _result, step in steps:
        if step["step"] == "clone" and step["source"] in gone:
            remedy = "Keep it until the clone is made, and remove it in a later run."
            yield _of(member, Finding("clone_from", step["source"], "is destroyed by this run", remedy))


def _in_order(members: t.Sequence[Member]) -> list[Member]:
    """What others come after goes first; where they go in a circle it does not matter."""
    left, ordered = list(members), list[Member]()
    while left:
        names = {member.name for member in left}
        held = [member for member in left if member.after & names]
        if len(held) == len(left):
            return ordered + left
        ordered += [member for member in left if not member.after & names]
        left = held
    return ordered


def _unordered(members: t.Sequence[Member], known: t.AbstractSet[str]) -> t.Iterator[Finding]:
    """What is wrong with the order: guests to come after that are not declared, and circles."""
    names = {member.name for member in members}
    for member in members:
        for name in sorted(member.after - names - known):
            remedy = f"There are: {', '.join(sorted(names))}."
            yield Finding(f"{member.name}: after", name, "is no guest of this list", remedy)
    after = {member.name: member.after & names for member in members}
    while after:
        free = {name for name, others in after.items() if not others & after.keys()}
        if not free:
            circle = ", ".join(sorted(after))
            yield Finding("after", circle, "come after each other in a circle", "Take one of them out of it.")
            return
        after = {name: others for name, others in after.items() if name not in free}


def workers(concurrency: str | int, cores: int) -> int:
    """How many guests are worked on at once. Each PVE command keeps a core busy for half a second."""
    with contextlib.suppress(ValueError):
        return max(int(concurrency), 1)
    return min(max(cores, 2), 8)
