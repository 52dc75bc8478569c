# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: one guest made to match its declaration: read, plan, check, act, read again."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine import addresses as health
from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import (
    Actual,
    CloneSource,
    Part,
    Plan,
    Result,
    Step,
    Wanted,
)
from ansible_collections.pve.provision.plugins.module_utils._engine.plan import create_options, difference, make_plan
from ansible_collections.pve.provision.plugins.module_utils._engine.preflight import (
    Facts,
    creating,
    is_declared_guest,
    preflight,
    removal_findings,
)
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    Finding,
    Interrupted,
    InvalidInput,
    ProvisionError,
    PveError,
    Timeout,
)
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt, progress
from ansible_collections.pve.provision.plugins.module_utils._model import diff
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import parse_size
from ansible_collections.pve.provision.plugins.module_utils._pve.config_text import disk_size
from ansible_collections.pve.provision.plugins.module_utils._pve.node import same_name

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import GuestConfig, Node, Outcome


def reconcile(
    node: Node, wanted: Wanted, *, check_mode: bool, part: Part | None = None, facts: Facts | None = None
) -> Result:
    """Make the node match ``wanted``, or tell what that would do. ``part`` adds steps of its own."""
    part = part or Part()
    key = (wanted.name or str(wanted.vmid)).lower()
    warnings: list[str] = []
    with contextlib.nullcontext() if check_mode else node.lock(f"{wanted.type.kind}-{key}"):
        while True:
            try:
                result = _reconcile(node, wanted, check_mode, copy.copy(part), facts)
            except _MadeTwice as twice:
                warnings.append(str(twice))
                continue
            result.warnings[:0] = warnings
            return result


def _reconcile(node: Node, wanted: Wanted, check_mode: bool, part: Part, facts: Facts | None) -> Result:
    if wanted.state == "absent":  # first of all, for what is refused changes nothing
        _refuse(wanted, removal_findings(wanted, _read_if_allowed(node, wanted, wait=False)))
    recovered = part.recover(node, wanted, act=not check_mode)
    actual = _with_outdated(node, wanted, _read_if_allowed(node, wanted, wait=not check_mode))
    wanted = _with_current_spelling(wanted, actual)
    if is_declared_guest(wanted, actual):
        wanted = part.resolve(node, wanted, actual, act=not check_mode)
    facts = facts or Facts(node)
    plan = make_plan(wanted, actual)
    making, privilege = creating(plan), ""
    if making:
        privilege = wanted.type.privilege(wanted.declaration)
        wanted = part.prepare(node, wanted)
        wanted = wanted.type.complete(facts, wanted)
        plan = make_plan(wanted, actual)
    plan = part.extend(node, wanted, actual, _with_growth(node, actual, plan))
    plan = _with_pool(facts, wanted, actual, plan)
    report = preflight(facts, wanted, actual, plan, part.uploads(node, plan))
    _refuse(wanted, report.findings)
    if actual.forbidden:
        raise actual.forbidden
    result = Result(
        changed=bool(recovered or plan),
        vmid=actual.vmid,
        node=node.name,
        status=actual.status,
        plan=[step.view() for step in (*recovered, *plan.steps)],
        diff={"before": plan.before, "after": plan.after},
        warnings=[*wanted.notes, *report.warnings, *plan.warnings] if plan else [],
        privilege=privilege,
        ostemplate=wanted.source if making else None,
    )
    if check_mode and result.changed:
        return _predict(node, wanted, actual, plan, result)
    done = _Run(node, wanted, actual, plan, result, part).carry_out()
    if done.vmid is not None and not check_mode:
        cleanup.forget(node, done.vmid)
    return done


def _refuse(wanted: Wanted, findings: t.Sequence[Finding]) -> None:
    if findings:
        raise InvalidInput(findings, about=wanted.label)


def _with_current_spelling(wanted: Wanted, actual: Actual) -> Wanted:
    """What is wanted, with the guest's own spelling of its name: only ``rename`` changes that."""
    key = wanted.type.name_key
    has = actual.config.options.get(key) if actual.config else None
    if wanted.policy.rename or not same_name(has, wanted.name):
        return wanted
    declaration = dataclasses.replace(wanted.declaration, values={**wanted.declaration.values, key: has})
    return dataclasses.replace(wanted, declaration=declaration)


class _MadeTwice(Exception):
    """Another run has made the guest at the same time; ours is gone again."""


# -- reading -------------------------------------------------------------------------------------------------------


def read(node: Node, wanted: Wanted, *, wait: bool) -> Actual:
    """What the node has of the wanted guest; waits for a creation that is under way."""
    if any(problem.option in {"vmid", wanted.type.name_key} for problem in wanted.findings):
        return Actual(wanted.vmid)
    actual = _find(node, wanted)
    if wait and actual.vmid is None and wanted.state != "absent" and _await_others(node, wanted):
        actual = _find(node, wanted)
    found = cleanup.leftover(node, wanted, actual.vmid)
    vmid = found[0] if found else actual.vmid
    if wait and vmid is not None and (found or _half_made(actual)):
        cleanup.await_creator(node, wanted.type.kind, vmid, wanted.policy.timeout)
        actual = _find(node, wanted)
    return _with_leftover(node, wanted, actual, found, act=wait)


def _await_others(node: Node, wanted: Wanted) -> bool:
    """Wait for the guests that somebody else is creating by this login: one may get the wanted name when it is whole,
    for instance after a run that was killed while PVE goes on. Whether there were any."""
    others = node.being_made(wanted.type.kind)
    for vmid in others:
        with contextlib.suppress(Conflict):  # whatever takes so long, it will be looked at once more
            cleanup.await_creator(node, wanted.type.kind, vmid, wanted.policy.timeout)
    return bool(others)


def _with_leftover(
    node: Node, wanted: Wanted, actual: Actual, found: tuple[int, cleanup.Note] | None, *, act: bool
) -> Actual:
    """What the node has, without what a killed run of ours left half-made: that is made anew.

    So is the declared guest, where it has to be whole before its first start and its maker was killed before that.
    """
    if found is None:
        return actual
    vmid, note = found
    kept = wanted.state == "absent" and actual.config is not None and actual.config.options.get("protection") == "1"
    unfinished = wanted.recreate_if_unfinished and note.get("whole") is True and not kept
    anew = actual.config is None or _half_made(actual) or (unfinished and is_declared_guest(wanted, actual))
    if anew and cleanup.is_ours(node, vmid, note):
        return Actual(vmid, leftover=note)
    if act and (actual.config is None or _half_made(actual)):
        cleanup.drop(node, vmid, note)
    return actual


def _half_made(actual: Actual) -> bool:
    return actual.config is not None and actual.config.options.get("lock") == "create"


def _find(node: Node, wanted: Wanted) -> Actual:
    kind = wanted.type.kind
    if wanted.vmid is not None:
        config = node.config(kind, wanted.vmid)
        if config is not None:
            return Actual(wanted.vmid, config, node.status(kind, wanted.vmid))
        return Actual(wanted.vmid, taken=node.locate(wanted.vmid))
    named = node.named(kind, t.cast("str", wanted.name))
    exact = [guest for guest in named if guest.name == wanted.name]
    if len(named) > 1 and len(exact) != 1:
        others = {guest.vmid: "" if guest.name == wanted.name else f" ({guest.name})" for guest in named}
        vmids = ", ".join(f"{vmid}{spelled}" for vmid, spelled in others.items())
        problem = f"is the name of several guests: {vmids}"
        raise InvalidInput([Finding(wanted.type.name_key, wanted.name, problem, "Say which one with vmid.")])
    for guest in exact or named:
        if guest.node != node.name:
            return Actual(guest.vmid, taken=guest)
        return Actual(guest.vmid, node.config(kind, guest.vmid), guest.status or node.status(kind, guest.vmid))
    return Actual(None)


def _read_if_allowed(node: Node, wanted: Wanted, *, wait: bool) -> Actual:
    """What the node has. Where this login may not even look, all that it lacks for a new guest is found and told."""
    try:
        return read(node, wanted, wait=wait)
    except PveError as error:
        if error.details.get("reason") != "permission":
            raise
        return Actual(wanted.vmid, forbidden=error)


def _with_outdated(node: Node, wanted: Wanted, actual: Actual) -> Actual:
    if actual.config is None or actual.vmid is None or not actual.running or wanted.state == "absent":
        return actual
    return dataclasses.replace(actual, outdated=node.outdated(wanted.type.kind, actual.vmid, actual.config))


def _with_growth(node: Node, actual: Actual, plan: Plan) -> Plan:
    """The plan, and first what an earlier run's resize left undone: the file systems of volumes that have grown."""
    if actual.vmid is None or actual.config is None or creating(plan) or any(s.action == "destroy" for s in plan.steps):
        return plan
    live = actual.config.live
    steps = [
        Step("grow_filesystem", {"disk": disk, "size": size})
        for disk, size in node.ungrown.get(actual.vmid, {}).items()
        if disk_size(live.get(disk, "")) == parse_size(size, unit=1) and disk not in plan.change.resize
    ]
    return dataclasses.replace(plan, steps=(*steps, *plan.steps)) if steps else plan


def _with_pool(facts: Facts, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
    """The plan, and the step into the declared pool where an existing guest is not in it."""
    if wanted.pool is None or actual.config is None or wanted.state == "absent" or creating(plan):
        return plan
    if actual.vmid in facts.pools.get(wanted.pool, frozenset()):
        return plan
    step = Step("join_pool", {"pool": wanted.pool})
    return dataclasses.replace(plan, steps=(*plan.steps, step), after={**plan.after, "pool": wanted.pool})


# -- check mode ----------------------------------------------------------------------------------------------------


def _predict(node: Node, wanted: Wanted, actual: Actual, plan: Plan, result: Result) -> Result:
    result.status = plan.after.get("status", "absent" if wanted.state == "absent" else actual.status)
    options = {} if actual.config is None else dict(actual.config.options)
    if wanted.state == "absent":
        return result
    if result.vmid is None:
        result.vmid = node.next_vmid(skip=node.journal)
    if creating(plan):
        options = diff.render(wanted.type.table, wanted.declaration)
    change = plan.change
    live = {} if actual.config is None else {key: actual.config.live.get(key) for key in change.revert}
    after = {**options, **live, **change.set, **dict.fromkeys(change.delete)}
    options = {key: value for key, value in after.items() if value is not None}
    result.config = diff.typed(wanted.type.table, options)
    result.addresses = health.declared_addresses(options, wanted.type.network)
    return result


# -- acting --------------------------------------------------------------------------------------------------------


class _Run:
    """Carries out one plan and remembers what it made."""

    def __init__(
        self, node: Node, wanted: Wanted, actual: Actual, plan: Plan, result: Result, part: Part
    ) -> None:
        self.node = node
        self.wanted = wanted
        self.actual = actual
        self.plan = plan
        self.result = result
        self.part = part
        self.kind = wanted.type.kind
        self.made = False

    @property
    def vmid(self) -> int:
        return t.cast("int", self.result.vmid)

    def carry_out(self) -> Result:
        try:
            for step in self.plan.steps:
                try:
                    interrupt.check()
                    with progress.step(self.wanted.name or self.wanted.label, step.action):
                        self.note(self.act(step))
                except ProvisionError as error:
                    raise self.failed(step, error) from error
        finally:
            self.part.tidy(self)
        return self.finish()

    def act(self, step: Step) -> Outcome | None:
        ours = getattr(self, f"do_{step.action}", None)
        outcome: Outcome | None = ours(step) if ours else getattr(self.part, f"do_{step.action}")(step, self)
        return outcome

    def note(self, outcome: Outcome | None) -> None:
        if outcome is not None:
            self.result.warnings += outcome.warnings

    def failed(self, step: Step, error: ProvisionError) -> ProvisionError:
        """The error of a failed step, told with guest and step; what this run made is taken back first."""
        after = []
        if self.made and self.wanted.policy.cleanup_on_failure:
            after = cleanup.undo(self.node, self.wanted, self.vmid, made=True)
            after = after or [f"{self.wanted.type.noun} {self.vmid}, which this run had made, was removed again"]
        elif not self.made and self.result.vmid in self.node.journal:
            after = cleanup.undo(self.node, self.wanted, self.vmid, made=False)
        how = "was not begun" if isinstance(error, Interrupted) else "failed"
        error.message = f"{self.wanted.label}: {step.action} {how}: {error.message}"
        error.remedy = ". ".join(part.rstrip(".") for part in (error.remedy, *after) if part)
        error.details.update(step=step.action, vmid=self.result.vmid, plan=self.result.plan)
        return error

    # -- steps, by the names that plans use ------------------------------------------------------------------------
    def do_clean_up(self, step: Step) -> None:
        self.result.warnings += cleanup.recover(self.node, self.wanted, self.actual)

    def do_create(self, step: Step) -> Outcome:
        options = {**create_options(self.wanted), **self.wanted.secrets}
        made_from = {"ostemplate": self.wanted.source, "pool": self.wanted.pool}
        options |= {key: value for key, value in made_from.items() if value}

        def make(vmid: int, timeout: int) -> Outcome:
            return self.node.create(self.kind, vmid, options, timeout=timeout)

        return self.with_vmid(options, make)

    def do_clone(self, step: Step) -> Outcome:
        source = self.wanted.clone or CloneSource()
        number = t.cast("int", source.vmid)
        options = {self.wanted.type.name_key: self.wanted.name, "snapname": source.snapname, "storage": source.storage}
        options |= {"pool": self.wanted.pool, "full": None if source.full is None else str(int(source.full))}
        given = {key: value for key, value in options.items() if value is not None}

        def clone(vmid: int, timeout: int) -> Outcome:
            try:
                return self.node.clone(self.kind, number, vmid, given, timeout=timeout)
            except PveError as error:
                if source.full is not None or "Linked clone feature" not in error.message:
                    raise
                return self.node.clone(self.kind, number, vmid, {**given, "full": "1"}, timeout=timeout)

        moved = {"rootfs": f"{source.storage}:0"} if source.storage else {}
        return self.with_vmid({**source.options, **moved}, clone, by="clone")

    def with_vmid(
        self, options: t.Mapping[str, str], act: t.Callable[[int, int], Outcome], *, by: str = "create"
    ) -> Outcome:
        """Create under the declared vmid, or under a free one."""

        def make(vmid: int) -> Outcome:
            self.result.vmid = vmid
            return act(vmid, self.wanted.policy.timeout)

        number = self.wanted.vmid or self.actual.vmid
        outcome = cleanup.claim(self.node, self.wanted, options, make, vmid=number, by=by)
        self.made = True
        if self.wanted.vmid is None and self.wanted.name is not None:
            self.give_way(self.wanted.name)
        return outcome

    def give_way(self, name: str) -> None:
        """Another run, on another controller or node, may have made a guest of this name at the same time. Before it is
        started the one with the lower vmid stays, and the run that made the other takes it back."""
        for vmid in self.node.being_made(self.kind):
            if vmid < self.vmid:
                with contextlib.suppress(Conflict):
                    cleanup.await_creator(self.node, self.kind, vmid, self.wanted.policy.timeout)
        named = self.node.named(self.kind, name, everywhere=True)
        first = min(named, key=lambda guest: guest.vmid, default=None)
        if first is None or first.vmid >= self.vmid:
            return
        told = f"{first.vmid} on node {first.node} was made at the same time by another run; it stays"
        failed = cleanup.undo(self.node, self.wanted, self.vmid, made=True)
        if failed:
            raise Conflict(f"{name} is there twice: {told}, and {'; '.join(failed)}", remedy="Remove the second one.")
        raise _MadeTwice(f"{told}, and {self.vmid}, which this run had made, was removed again")

    def do_set(self, step: Step) -> Outcome | None:
        """One call that holds only what differs, and PVE's digest, so nobody's concurrent edit is lost."""
        before = self.config() if self.made else self.known()
        change = self.difference(before) if self.made else self.plan.change
        outcome = None
        if change.revert:  # PVE refuses to take back and delete the same option in one call
            outcome = self.node.set_config(self.kind, self.vmid, {}, digest=before.digest, revert=change.revert)
            before = self.config()
        if change.set or change.delete:
            try:
                outcome = self.node.set_config(self.kind, self.vmid, change.set, change.delete, before.digest)
            except PveError:
                self.revert_change(before, change)
                raise
        self.check_effect(before)
        return outcome

    def revert_change(self, before: GuestConfig, change: diff.Change) -> None:
        """A change that a running guest refuses stays pending, and its next start would apply it. A network card whose
        new bridge fails is even unplugged, and gone from the config: it gets back what it had."""
        now = self.node.config(self.kind, self.vmid)
        if now is None:
            return
        lost = {key: before.live[key] for key in change.set if key in before.live and key not in now.live}
        pending = now.pending.items() - before.pending.items()
        stuck = sorted(key for key, _value in pending if key in change.set or key in change.delete)
        with contextlib.suppress(ProvisionError):
            if stuck:
                self.node.set_config(self.kind, self.vmid, {}, revert=stuck)
            if lost:
                self.node.set_config(self.kind, self.vmid, lost)

    def known(self) -> GuestConfig:
        """The config that the plan was made from; after a resize of ours the same with its new digest."""
        config = t.cast("GuestConfig", self.actual.config)
        if not self.plan.change.resize:
            return config
        now, disks = self.config(), self.plan.change.resize.keys()
        if {**now.options, **dict.fromkeys(disks)} != {**config.options, **dict.fromkeys(disks)}:
            raise Conflict(f"{self.wanted.label} was changed by somebody else meanwhile.", remedy="Run again.")
        return now

    def difference(self, config: GuestConfig) -> diff.Change:
        purge = self.wanted.policy.purge_options and not self.made
        return difference(self.wanted, self.vmid, config, purge=purge)

    def check_effect(self, before: GuestConfig) -> None:
        """PVE may accept an option and do nothing: that is a failure; what it spells otherwise is told."""
        now = self.config()
        for key, value in self.difference(now).set.items():
            if now.options.get(key) == before.options.get(key):
                raise PveError(f"PVE accepted {key}={value} and did nothing.", option=key)
            self.result.warnings.append(f"{key}: asked for {value}, PVE made it {now.options.get(key)}")

    def do_resize(self, step: Step) -> Outcome:
        """Noted before: PVE writes the new size first, and grows the file system of a container's volume then."""
        disk, size = step.details["disk"], step.details["size"]
        if self.kind == "lxc":
            self.node.ungrown[self.vmid] = {**self.node.ungrown.get(self.vmid, {}), disk: size}
        outcome = self.node.resize(self.kind, self.vmid, disk, size, timeout=self.wanted.policy.timeout)
        self.has_grown(disk)
        return outcome

    def do_grow_filesystem(self, step: Step) -> Outcome:
        disk = step.details["disk"]
        outcome = self.node.grow_filesystem(self.vmid, disk, timeout=self.wanted.policy.timeout)
        self.has_grown(disk)
        return outcome

    def has_grown(self, disk: str) -> None:
        left = {name: size for name, size in self.node.ungrown.get(self.vmid, {}).items() if name != disk}
        if left:
            self.node.ungrown[self.vmid] = left
        else:
            self.node.ungrown.pop(self.vmid, None)

    def do_start(self, step: Step) -> Outcome:
        timeout = self.wanted.policy.start_timeout
        cleanup.advance(self.node, self.vmid, "started")  # from now on it may hold what somebody needs
        outcome = self.node.start(self.kind, self.vmid, timeout=timeout)
        self.await_status("running", timeout)
        return outcome

    def await_status(self, status: str, timeout: int) -> None:
        """Wait for what PVE said it did: of a guest under HA it only takes note, and the HA manager does it later."""
        if self.node.status(self.kind, self.vmid) == status:
            return
        found = health.ask_until(
            lambda _last: self.node.status(self.kind, self.vmid), lambda found: found == status, timeout
        )
        if found != status:
            raise Timeout(
                f"PVE took note, and after {timeout} s the guest is still not {status}.",
                remedy="If HA manages it, see what 'ha-manager status' says of it; else see the log of its last task.",
            )

    def do_join_pool(self, step: Step) -> None:
        self.node.join_pool(self.vmid, step.details["pool"])

    def do_shutdown(self, step: Step) -> Outcome:
        policy = self.wanted.policy
        try:
            outcome = self.node.shutdown(self.kind, self.vmid, timeout=policy.shutdown_timeout, force=policy.force)
            self.await_status("stopped", policy.shutdown_timeout)
            return outcome
        except (PveError, Timeout) as error:
            if self.node.status(self.kind, self.vmid) != "running":
                raise
            error.remedy = error.remedy or "Raise shutdown_timeout, or set force=true to stop it hard after that."
            raise

    def do_destroy(self, step: Step) -> Outcome:
        policy = self.wanted.policy
        outcome = self.node.destroy(self.kind, self.vmid, purge=policy.purge, timeout=policy.timeout)
        if self.node.config(self.kind, self.vmid) is not None:
            raise PveError("PVE said nothing, and the guest is still there.")
        cleanup.forget(self.node, self.vmid)
        self.node.ungrown.pop(self.vmid, None)
        return outcome

    # -- afterwards ------------------------------------------------------------------------------------------------
    def config(self) -> GuestConfig:
        config = self.node.config(self.kind, self.vmid)
        if config is None:
            raise Conflict(f"{self.wanted.label} vanished meanwhile.", remedy="Run again to create it anew.")
        return config

    def outdated(self, config: GuestConfig) -> dict[str, str]:
        """What the running guest does not have yet, although PVE does not say so."""
        if self.result.status != "running":
            return {}
        if not self.plan:
            return dict(self.actual.outdated)
        told = self.node.outdated(self.kind, self.vmid, config)
        restarted = self.made or any(step.action == "start" for step in self.plan.steps)
        waiting = () if restarted else self.plan.change.restart
        return {**{key: config.options[key] for key in waiting if key in config.options}, **told}

    def finish(self) -> Result:
        """The result, from what the node has now; an unchanged guest is not read twice."""
        result = self.result
        if self.wanted.state == "absent":
            result.status = "absent"
            return result
        config = self.actual.config if not self.plan else self.config()
        config = t.cast("GuestConfig", config)
        result.status = self.node.status(self.kind, self.vmid) if self.plan else self.actual.status
        result.config = diff.typed(self.wanted.type.table, config.options)
        result.other_options = diff.unmanaged(self.wanted.type.table, config.options)
        result.pending = {**config.pending, **self.outdated(config)}
        if result.pending:
            waiting = ", ".join(sorted(result.pending))
            result.warnings.append(f"waits for a restart: {waiting} (restart=when_needed does it)")
        timeout = self.wanted.policy.ip_timeout if result.status == "running" else 0
        network = self.wanted.type.network
        result.addresses, lacking = health.await_addresses(
            self.node, self.vmid, config.options, network, timeout, wait=bool(self.plan)
        )
        if lacking and self.plan:
            result.warnings.append(f"no address, or not the declared one, on {', '.join(lacking)} after {timeout} s")
        self.part.finish(self)
        return result
