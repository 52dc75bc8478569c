# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: many guests in one run: all are planned and checked before the first is changed.

Planning reads one view of the node, so that an unchanged guest costs next to nothing. Each guest that has something to
do is then made to match by itself, as a module for one guest does it, several at once and in their order.
"""

from __future__ import annotations

import dataclasses
import typing as t
from concurrent import futures
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.apply import take_steps
from ansible_collections.pve.provision.plugins.module_utils._engine.creation import MAKING
from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Common, Facts, Planned
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Result, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.linked import clones_first
from ansible_collections.pve.provision.plugins.module_utils._engine.migration import Migrate, Moved, migration
from ansible_collections.pve.provision.plugins.module_utils._engine.order import in_order, unordered, with_sources
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.reconcile import look, reconcile
from ansible_collections.pve.provision.plugins.module_utils._engine.schedule import OnFailure, Schedule
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Destroy
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    ChecksFailed,
    Conflict,
    Finding,
    Interrupted,
    InvalidInput,
    ProvisionError,
)
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._pve.view import ClusterView, NodeView

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, GuestRef

AUTO: t.Final = "auto"
"""What leaves it open how many guests are worked on at once."""
Read = t.Callable[[], tuple[Wanted, t.Sequence[Part]]]


@dataclass(frozen=True)
class Member:
    """One guest of a run. ``read`` gives what is wanted, afresh each time; ``after`` are the names of the guests that
    come before it, ``order`` its place in PVE's startup order, ``up`` the seconds that those behind it wait then.
    ``source`` is the guest of the list that it is cloned from. ``node``: where in the cluster it is, or comes to be;
    empty: on the node of the run. ``moves``: it is on another one, and goes to ``node`` first. ``new``: it is to be
    made, as far as names tell."""

    name: str
    type: str
    read: Read
    after: frozenset[str] = frozenset()
    order: int | None = None
    up: int = 0
    source: str = ""
    node: str = ""
    moves: GuestRef | None = None
    new: bool = False


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
    def destroys_guest(self) -> bool:
        return any(step["step"] == Destroy.action for step in self.steps)

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
    _clones_first: t.Mapping[str, frozenset[str]] = field(init=False, default_factory=dict)

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
        that there are already; nothing is written. A guest that is as declared and fails its checks holds up no
        other. Of guests outside the limit counts only what is wrong with them by themselves."""
        self.common.later = []
        reached = with_sources(self.members, self.limit)
        read = self._read([member for member in self.members if member.name in reached])
        by_name = {
            member.name: self._plan_one(member, *read[member.name]) if member.name in reached else _unplanned(member)
            for member in in_order(self.members)
        }
        planned = [by_name[member.name] for member in self.members]
        self.common.reserved = None
        findings = [*findings, *unordered(self.members, self.known), *self._unmade_sources(by_name)]
        for ended in planned:
            if isinstance(ended.error, InvalidInput):
                findings += [finding.of(ended.member.name) for finding in ended.error.findings]
        findings += _lost_sources(planned)
        self._clones_first, needed = clones_first(planned, lambda ended: self._site_of(ended.member).view)
        findings += needed
        if findings:
            raise InvalidInput(findings)
        self._end_unchanged(planned)
        for ended in planned:
            if ended.error is not None and not isinstance(ended.error, ChecksFailed):
                ended.error.message = f"{ended.member.name}: {ended.error.message}"
                raise ended.error
        return planned

    def _end_unchanged(self, planned: t.Sequence[Ended]) -> None:
        """What guests that are as declared tell, several at once: they are asked for their addresses and checks."""
        later, self.common.later = self.common.later or [], None
        limited = [each for each in planned if self.limit is None or each.member.name in self.limit]
        of_result = {id(each.result): each for each in limited if each.result is not None}
        with futures.ThreadPoolExecutor(max(self.concurrency, 1)) as pool:
            ends = [(of_result[id(result)], pool.submit(end)) for result, end in later if id(result) in of_result]
        for ended, end in ends:
            try:
                end.result()
            except ProvisionError as error:
                ended.result, ended.error = None, error

    def _read(self, members: t.Sequence[Member]) -> dict[str, tuple[Wanted, t.Sequence[Part]]]:
        """What is wanted of each guest. The nodes of new ones are asked for their storages meanwhile: either takes half
        a second. Then the guests are asked several at once what the plan needs of their inside."""
        homes = [self.site(name) for name in {member.node for member in members if member.new}]
        with futures.ThreadPoolExecutor(max(self.concurrency, 1)) as pool:
            for home in homes:
                if home is not None:
                    pool.submit(home.view.storages)  # an error is met again by whoever needs them
            read = {member.name: member.read() for member in members}
            asked = [member for member in members if any(part.looks for part in read[member.name][1])]
            sites = {member.name: None if member.moves else self.site(member.node) for member in asked}
            looks = [pool.submit(look, site.facts.node, *read[name]) for name, site in sites.items() if site]
        for each in looks:
            each.result()
        return read

    def _plan_one(self, member: Member, wanted: Wanted, parts: t.Sequence[Part]) -> Ended:
        try:
            result = self._predict(member, wanted, parts)
        except ProvisionError as error:
            return Ended(member, error=error)
        if result.changed and result.vmid is not None:
            made = {**wanted.options, **({"template": "1"} if wanted.state == "template" else {})}
            self._remember(member, wanted, result.vmid, made)
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
        """Carry the plans out, each as soon as the schedule says."""
        done = {ended.member.name: ended for ended in planned if not self._has_work(ended)}
        waiting = [self._after_clones(ended.member) for ended in planned if ended.member.name not in done]
        vmids = {ended.member.name: ended.result.vmid for ended in planned if ended.result}
        schedule, now = Schedule(waiting, done, self.on_failure), self.node.clock.now
        with futures.ThreadPoolExecutor(max(self.concurrency, 1)) as pool:
            running: set[futures.Future[Ended]] = set()
            while schedule.waiting or running:
                for member, reason in schedule.blocked(interrupt.reason()):
                    schedule.end(Ended(member, skipped=reason), now())
                while len(running) < self.concurrency and (begun := schedule.next(now())):
                    running.add(pool.submit(self._act, begun, vmids.get(begun.name)))
                if not running:
                    interrupt.pause(schedule.pause(now()) or 0.0)
                full = len(running) >= self.concurrency
                pause = None if full else schedule.pause(now())
                for future in futures.wait(running, pause, futures.FIRST_COMPLETED).done:
                    running.remove(future)
                    schedule.end(future.result(), now())
        return [done[ended.member.name] for ended in planned]

    def _after_clones(self, member: Member) -> Member:
        return dataclasses.replace(member, after=member.after | self._clones_first.get(member.name, frozenset()))

    def _has_work(self, ended: Ended) -> bool:
        """Whether a guest is to be reconciled: also one that is as declared and of which there is a note still, from a
        run that was killed or is at work. Under the guest's lock it is dropped when the guest is whole."""
        result = ended.result
        return result is not None and (result.changed or result.vmid in self._site_of(ended.member).view.journal)

    def _act(self, member: Member, vmid: int | None) -> Ended:
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
        try:
            result = reconcile(site.node, wanted, check_mode=False, parts=parts, facts=site.facts)
        except ProvisionError as error:
            if moved is not None:
                error.message = f"it was moved to node {member.node}, and then: {error.message}"
            raise
        made = site.node.config(wanted.type.kind, result.vmid) if result.vmid else None
        if made is not None and result.vmid:
            self._remember(member, wanted, result.vmid, made.options)
        return result if moved is None else _after_migration(moved, result)


def _unplanned(member: Member) -> Ended:
    """A guest that the node is not asked about."""
    wanted, _parts = member.read()
    return Ended(member, error=InvalidInput(wanted.findings) if wanted.findings else None)


def _after_migration(moved: Result, result: Result) -> Result:
    """What came of a guest that was moved first, as it was planned."""
    diff = {side: {**result.diff.get(side, {}), **moved.diff[side]} for side in ("before", "after")}
    return dataclasses.replace(result, changed=True, plan=[*moved.plan, *result.plan], diff=diff)


def _lost_sources(planned: t.Sequence[Ended]) -> t.Iterator[Finding]:
    """Guests that others are to be cloned from, and that the same run destroys."""
    removed = (ended.result for ended in planned if ended.destroys_guest)
    gone = {result.vmid for result in removed if result and result.status == "absent"}
    for ended in planned:
        for step in ended.steps:
            if step["step"] == "clone" and step["source"] in gone:
                remedy = "Keep it until the clone is made, and remove it in a later run."
                yield Finding("clone_from", step["source"], "is destroyed by this run", remedy).of(ended.member.name)


def workers(concurrency: str, cores: int) -> int:
    """How many guests are worked on at once. Each PVE command keeps a core busy for half a second."""
    return max(int(concurrency), 1) if concurrency.isdecimal() else min(max(cores, 2), 8)
