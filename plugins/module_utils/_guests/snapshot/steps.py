# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the snapshot that a run takes of a guest before it changes it, and goes back to where the
change fails.

``Snapshot`` stands before the first step that changes something; where a later step fails, or the guest does not pass
its checks, the engine lets it take the guest back. ``PruneSnapshots`` stands at the end: it is carried out when the
guest has passed. Both serve whatever changes a guest::

    plan.insert(Snapshot(name_now(node)), before=SomeStep).append(PruneSnapshots(0))

A snapshot is ours by its name and its description together, so that one whose description somebody changes is theirs.
"""

from __future__ import annotations

import itertools
import re
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError, PveError
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._pve import snapshots
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need
from ansible_collections.pve.provision.plugins.module_utils._pve.snapshots import LOCKS
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind, Outcome

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

Note = dict[str, t.Any]
DESCRIPTION: t.Final = "taken by pve.provision before a change"
#: The lock that PVE puts on a guest while it backs it up.
BACKUP: t.Final = "backup"
#: In a note: the backup of a guest that has not passed its checks since.
KEPT: t.Final = "kept"
_NAME: t.Final = re.compile(r"provision_\d{8}_\d{6}")


def name_now(node: Node, taken: t.Collection[str] = ()) -> str:
    """The name of a snapshot that is taken now, in UTC; of the next second where it is ``taken``."""
    names = (time.strftime("provision_%Y%m%d_%H%M%S", time.gmtime(at)) for at in itertools.count(node.clock.wall()))
    return next(name for name in names if name not in taken)


def is_our_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def ours(node: Node, kind: Kind, vmid: int) -> list[snapshots.Snapshot]:
    """The snapshots of a guest that runs like this one have taken, the oldest first."""
    there = node.snapshots.of(kind, vmid)
    return [each for each in there if is_our_name(each.name) and each.description == DESCRIPTION]


@dataclass(frozen=True)
class Snapshot(Step):
    """Keep what the guest is, without a VM's memory, until it has been changed and has passed its checks."""

    action = "snapshot"
    phase = Phase.CHANGE
    privilege = "VM.Snapshot"
    until_verified = True

    name: str = field(repr=False)
    needed: tuple[Need, ...] = field(default=(), repr=False)

    def needs(self) -> t.Sequence[Need]:
        return self.needed

    @property
    def volumes(self) -> t.Sequence[str]:
        """PVE notes in the guest's config which snapshot it stands on."""
        return ("parent",)

    def run(self, run: Run) -> Outcome:
        kind, timeout = run.wanted.type.kind, run.wanted.policy.timeout
        outcome = run.node.snapshots.make(kind, run.vmid, self.name, description=DESCRIPTION, timeout=timeout)
        run.saved = self.name
        return outcome

    def undo(self, run: Run) -> list[str]:
        """Take the guest back to what it was, unless there is no snapshot, for then nothing was changed either."""
        if run.saved:
            return take_back(run)
        try:
            clear(run.node, run.wanted.type.kind, run.vmid, run.wanted.policy.timeout)
        except ProvisionError as error:
            return [f"What is left of the snapshot could not be removed: {error.message}"]
        return []


def take_back(run: Run) -> list[str]:
    """Take a guest back to the snapshot of this run. What came of it, in words."""
    kind, vmid, name = run.wanted.type.kind, run.vmid, run.saved
    timeout = run.wanted.policy.timeout
    note = {"kind": kind, "snapshot": name, "start": run.actual.running}
    way = f"'{KINDS[kind].command} rollback {vmid} {name}'"
    words = went_back(run, lambda: _roll_back(run.node, vmid, note, timeout), way)
    if not run.rolled_back:
        return words
    try:
        _start_again(run.node, vmid, note, timeout)
    except ProvisionError as error:
        return [*words, f"It does not start again, and the snapshot {name} stays: {error.message}"]
    try:
        _delete(run.node, kind, vmid, name, timeout)
    except ProvisionError as error:
        words.append(f"The snapshot {name} could not be deleted: {error.message}")
    return words


def went_back(run: Run, act: t.Callable[[], None], way: str) -> list[str]:
    """Take a guest back by whatever keeps what it was; ``way``: how a person does it. What came of it, in words."""
    try:
        act()
    except ProvisionError as error:
        return [f"It could not be rolled back to its state before this run: {error.message} To do so: {way}"]
    run.rolled_back = True
    return ["It was rolled back to its state before this run"]


def _roll_back(node: Node, vmid: int, note: Note, timeout: int) -> None:
    """Take a guest back; noted before, so that the next run can go on where this one is killed. Where only the command
    was, this one goes on."""
    kind, name = note["kind"], note["snapshot"]
    node.snapshots.rollbacks[vmid] = note
    try:
        node.snapshots.rollback(kind, vmid, name, timeout=timeout)
    except PveError:
        if not _unlock(node, kind, vmid):
            raise
        node.snapshots.rollback(kind, vmid, name, timeout=timeout)
    node.snapshots.rollbacks[vmid] = {**note, "done": True}


def _start_again(node: Node, vmid: int, note: Note, timeout: int) -> None:
    """Start a guest that ran before it was taken back. A rollback that starts it does not tell what came of that, and
    over the API does not wait for it either."""
    node.snapshots.rollbacks.pop(vmid, None)
    kind = note["kind"]
    if note["start"]:
        node.start(kind, vmid, timeout=timeout)
        if node.status(kind, vmid) != "running":
            raise PveError("it was started, and has stopped again.")


def finish(node: Node, vmid: int, timeout: int) -> bool:
    """Start a guest that a killed run had taken back, and delete its snapshot. False where there is none."""
    note = node.snapshots.rollbacks.get(vmid, {})
    if not note.get("done"):  # of a rollback that was not started, or has ended
        if "archive" in note:  # somebody has restored it
            node.snapshots.rollbacks[vmid] = {"kind": note["kind"], KEPT: note["archive"]}
        elif KEPT not in note:
            _drop_backup(node, vmid, note)
            node.snapshots.rollbacks.pop(vmid, None)
        return False
    _start_again(node, vmid, note, timeout)
    for each in ours(node, note["kind"], vmid):
        if each.name == note["snapshot"]:
            _delete(node, note["kind"], vmid, each.name, timeout)
    return True


def _delete(node: Node, kind: Kind, vmid: int, name: str, timeout: int, *, force: bool = False) -> None:
    """Delete a snapshot, once more where the command was killed."""
    try:
        node.snapshots.delete(kind, vmid, name, force=force, timeout=timeout)
    except PveError:
        if not _unlock(node, kind, vmid):
            raise
        node.snapshots.delete(kind, vmid, name, force=True, timeout=timeout)


# -- what was killed -------------------------------------------------------------------------------------------------


def is_at_work(node: Node, kind: Kind, vmid: int) -> bool:
    """Whether somebody is doing right now what the steps here do."""
    return node.snapshots.busy(kind, vmid) or node.busy(kind, vmid)


def may_be_ours(node: Node, vmid: int, lock: str | None) -> bool:
    """Whether the lock of a guest is one that a step of ours has PVE put on it."""
    return lock in LOCKS or (lock == BACKUP and "backing_up" in node.snapshots.rollbacks.get(vmid, {}))


def is_left_by_us(node: Node, kind: Kind, vmid: int) -> bool:
    """Whether a guest is locked by one of these steps that was killed in its midst, and by nothing else."""
    config = node.config(kind, vmid)
    if node.leftovers is None or config is None or is_at_work(node, kind, vmid):
        return False
    if not may_be_ours(node, vmid, config.lock):
        return False
    if config.lock == BACKUP:
        return True
    known = ours(node, kind, vmid)
    if config.lock == "rollback":
        note = node.snapshots.rollbacks.get(vmid, {})
        return any(each.name == note.get("snapshot") and not each.unfinished for each in known)
    unfinished = [each for each in node.snapshots.of(kind, vmid) if each.unfinished]
    return bool(unfinished) and all(each in known for each in unfinished)


def _unlock(node: Node, kind: Kind, vmid: int) -> bool:
    """Free a guest of the lock that a killed step of ours left; False where nothing shows that it is that."""
    if node.leftovers is None or not is_left_by_us(node, kind, vmid):
        return False
    node.leftovers.unlock(kind, vmid)
    node.snapshots.release(kind, vmid)
    return True


def clear(node: Node, kind: Kind, vmid: int, timeout: int) -> bool:
    """Put right what a killed step of ours left: a snapshot half made or half deleted, a rollback half done, a backup
    not made. False, and nothing was done, where there is nothing of the sort."""
    if not _unlock(node, kind, vmid):
        return False
    note = node.snapshots.rollbacks.get(vmid)
    if note is not None and "backing_up" in note:
        _drop_backup(node, vmid, note)
        if note["start"]:
            node.start(kind, vmid, timeout=timeout)
        node.snapshots.rollbacks.pop(vmid, None)
        return True
    if note is not None and "snapshot" in note:
        _roll_back(node, vmid, note, timeout)
        _start_again(node, vmid, note, timeout)
    for each in ours(node, kind, vmid):
        if each.unfinished or (note is not None and each.name == note.get("snapshot")):
            _delete(node, kind, vmid, each.name, timeout, force=each.unfinished)
    return True


def _drop_backup(node: Node, vmid: int, note: Note) -> None:
    """Remove what a killed run had backed up of a guest that it had not started to change."""
    if "backing_up" in note:
        node.backups.discard(vmid)


@dataclass(frozen=True)
class PruneSnapshots(Step):
    """Delete the snapshots of ours but for the newest ``keep``."""

    action = "prune_snapshots"
    phase = Phase.CLOSE
    privilege = "VM.Snapshot"

    keep: int

    def run(self, run: Run) -> Outcome:
        """What is left of them does no harm to a guest that is as it should be: that is a warning."""
        kind, warnings = run.wanted.type.kind, list[str]()
        known = ours(run.node, kind, run.vmid)
        for each in known[: max(len(known) - self.keep, 0)]:
            try:
                _delete(run.node, kind, run.vmid, each.name, run.wanted.policy.timeout)
            except ProvisionError as error:
                warnings.append(f"the snapshot {each.name} could not be deleted: {error.message}")
        return Outcome(warnings=tuple(warnings))


STEPS: t.Final[tuple[type[Step], ...]] = (Snapshot, PruneSnapshots)
