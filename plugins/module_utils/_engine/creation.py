# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the steps that make a guest, each under one vmid and only once."""

from __future__ import annotations

import contextlib
import threading
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import BackupSource, CloneSource
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, PveError
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome

Options = t.Mapping[str, str]


class MadeTwice(Exception):
    """Another run has made the guest at the same time; ours is gone again."""


class TakenMeanwhile(Conflict):
    """The vmid was free when the guest was planned, and somebody has it by now: for instance the command of a killed
    run of ours, which went on by itself. ``note`` is what that run had noted, if there was one."""

    def __init__(self, error: Conflict, vmid: int, note: cleanup.Note | None) -> None:
        super().__init__(error.message, remedy=error.remedy, **error.details)
        self.vmid = vmid
        self.note = note


@dataclass(frozen=True)
class NewGuest(Step):
    """Whatever makes a guest: under the declared vmid, or under a free one."""

    phase = Phase.CREATE
    privilege = "VM.Allocate"
    makes_guest = True

    def undo(self, run: Run) -> list[str]:
        """Remove the guest, unless the user wants to see what is left of it."""
        if not run.made:
            noted = run.result.vmid is not None and run.result.vmid in run.node.journal
            return cleanup.undo(run.node, run.wanted, run.vmid, made=False) if noted else []
        if not run.wanted.policy.cleanup_on_failure:
            return []
        left = cleanup.undo(run.node, run.wanted, run.vmid, made=True)
        return left or [f"{run.wanted.type.noun} {run.vmid}, which this run had created, was removed again"]


def make(
    run: Run,
    options: Options,
    act: t.Callable[[int, int], Outcome],
    *,
    by: t.Literal["create", "clone", "restore"],
    storage: str | None = None,
) -> Outcome:
    """Make a guest by a call that takes a vmid and a timeout. ``options`` and ``storage`` tell which storages it gets
    volumes on."""

    def numbered(vmid: int) -> Outcome:
        run.result.vmid = vmid
        if number is None and _was_taken_meanwhile(run, vmid):
            raise Conflict(f"{vmid} is another guest of this run.", reason=cleanup.VMID_TAKEN)
        with run.facts.turn_on(cleanup.storages_of(run.wanted, options, storage)):
            return act(vmid, run.wanted.policy.create_timeout)

    number = run.wanted.vmid or run.actual.vmid
    try:
        outcome = cleanup.claim(run.node, run.wanted, options, numbered, vmid=number, by=by, storage=storage)
    except Conflict as error:
        if error.details.get("reason") != cleanup.VMID_TAKEN:
            raise
        raise TakenMeanwhile(error, t.cast("int", number), run.actual.leftover) from error
    run.made = True
    if run.wanted.vmid is None and run.wanted.name is not None:
        _give_way(run, run.wanted.name)
    return outcome


def _was_taken_meanwhile(run: Run, vmid: int) -> bool:
    """Whether another guest of this run was made under a vmid since that was seen to be free, and is whole by now, so
    that no note tells. Only the notes of a node are waited for so long."""
    return run.node.leftovers is not None and run.node.locate(vmid) is not None


def _give_way(run: Run, name: str) -> None:
    """Another run, on another controller or node, may have made a guest of this name at the same time. Before it is
    started the one with the lower vmid stays, and the run that made the other takes it back."""
    kind = run.wanted.type.kind
    for vmid in run.node.being_made(kind):
        if vmid < run.vmid:
            with contextlib.suppress(Conflict):
                cleanup.await_creator(run.node, kind, vmid, run.wanted.policy.create_timeout)
    named = run.node.named(kind, name, everywhere=True)
    first = min(named, key=lambda guest: guest.vmid, default=None)
    if first is None or first.vmid >= run.vmid:
        return
    told = f"{first.vmid} on node {first.node} was made at the same time by another run; it stays"
    failed = cleanup.undo(run.node, run.wanted, run.vmid, made=True)
    if failed:
        raise Conflict(f"{name} exists twice: {told}, and {'; '.join(failed)}", remedy="Remove the second one.")
    raise MadeTwice(f"{told}, and {run.vmid}, which this run had created, was removed again")


@dataclass(frozen=True)
class Create(NewGuest):
    """Make a guest with all its options. ``source`` tells what from, ``options`` are the options as they are shown."""

    action = "create"

    source: t.Mapping[str, str]
    options: Options

    def details(self) -> dict[str, t.Any]:
        return {**self.source, "options": dict(self.options)}

    def run(self, run: Run) -> Outcome:
        wanted = run.wanted
        options = {**wanted.create_options(), **wanted.secrets, **self.source}
        if wanted.pool:
            options["pool"] = wanted.pool

        def create(vmid: int, timeout: int) -> Outcome:
            return run.node.create(wanted.type.kind, vmid, options, timeout=timeout)

        return make(run, options, create, by="create")


def turn_at(run: Run, source: int) -> contextlib.AbstractContextManager[object]:
    """PVE locks what is being cloned, so that clones of it come one after the other; but VMs that do not run are locked
    so that others may clone them too (pve-container, API2/LXC.pm; qemu-server, API2/Qemu.pm)."""
    kind = run.wanted.type.kind
    if KINDS[kind].clones_at_once and run.node.status(kind, source) == "stopped":
        return contextlib.nullcontext()
    return run.facts.keep(f"clone {source}", threading.Lock)


@dataclass(frozen=True)
class Clone(NewGuest):
    """Clone a guest; its own options are set afterwards."""

    action = "clone"

    source: int | str | None

    def run(self, run: Run) -> Outcome:
        wanted, source = run.wanted, run.wanted.clone or CloneSource()
        options = {wanted.type.name_key: wanted.name, "snapname": source.snapname, "storage": source.storage}
        options |= {"pool": wanted.pool, "full": None if source.full is None else str(int(source.full))}
        given = {**source.more, **{key: value for key, value in options.items() if value is not None}}

        kind = wanted.type.kind
        number = source.vmid or run.facts.planned[kind, str(source.name)].vmid

        def clone(vmid: int, timeout: int) -> Outcome:
            with turn_at(run, number):
                return clone_alone(vmid, timeout)

        def clone_alone(vmid: int, timeout: int) -> Outcome:
            try:
                return run.node.clone(kind, number, vmid, given, timeout=timeout)
            except PveError as error:
                if source.full is not None or "Linked clone feature" not in error.message:
                    raise
                full = {**given, "full": "1"}
                return run.node.clone(kind, number, vmid, full, timeout=timeout)

        return make(run, source.options, clone, by="clone", storage=source.storage)


@dataclass(frozen=True)
class Restore(NewGuest):
    """Restore a guest from a backup; its own options are set afterwards."""

    action = "restore"

    backup: str

    def run(self, run: Run) -> Outcome:
        wanted = run.wanted
        source = wanted.backup or BackupSource(self.backup)
        more = {wanted.type.name_key: wanted.name, "pool": wanted.pool}
        options = {**source.create, **wanted.create, **{key: value for key, value in more.items() if value}}

        def restore(vmid: int, timeout: int) -> Outcome:
            return run.node.create(wanted.type.kind, vmid, options, timeout=timeout)

        return make(run, source.options, restore, by="restore", storage=source.target)


MAKING: t.Final = frozenset(step.action for step in (Create, Clone, Restore))
"""The steps that make a guest, by their names in plans."""
