# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: taking back what a run made, and nothing else.

A ``pct create`` that is killed leaves a config that holds only ``lock: create``, and volumes that no config names. PVE
lets nobody write into that config, so our mark is a note in the node's journal, written before the creation starts and
removed when it has ended: vmid, name, storages, the time in which the creation can have been at work, and the stage
that the run came to.

A note proves nothing by itself, since it may outlive its guest, and somebody else may have got the vmid. What it tells
is acted upon only where all that can be seen agrees with it (:func:`is_ours`); otherwise it is dropped.
"""

from __future__ import annotations

import hashlib
import time
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._io.clock import await_end, retry
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import split
from ansible_collections.pve.provision.plugins.module_utils._model.volume import storage_of
from ansible_collections.pve.provision.plugins.module_utils._pve.journal import identity, is_alive
from ansible_collections.pve.provision.plugins.module_utils._pve.types import PROTECTION, Window, same_name

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Kind

Note = dict[str, t.Any]
Stage = t.Literal["creating", "created", "seeding", "seeded", "started"]

# The locks that PVE puts on a guest that is not whole yet.
MAKING: t.Final = ("create", "clone")
# The stages in which a guest was never started, and the locks that the run itself may have left in each.
UNFINISHED: t.Final[dict[str, tuple[str, ...]]] = {"creating": MAKING, "created": (), "seeding": ("mounted",)}
# How often another run may take a free vmid before us until we give up.
VMID_RACES = 20
# Why a creation failed where somebody else has the vmid.
VMID_TAKEN: t.Final = "vmid_taken"
# How many seconds after its time was up a creation may still have started.
MARGIN = 60
Made = t.TypeVar("Made")


# -- notes ---------------------------------------------------------------------------------------------------------


def storages_of(wanted: Wanted, options: t.Mapping[str, str], storage: str | None = None) -> list[str]:
    """The storages that a new guest has its volumes on: those of its ``options``, and ``storage``."""
    volumes = [split(text, "volume") for key, text in options.items() if wanted.type.is_volume(key)]
    named = {storage, *(storage_of(volume["volume"]) for volume in volumes)}
    return sorted(name for name in named if name)


def make_note(
    wanted: Wanted, options: t.Mapping[str, str], *, by: str = "create", storage: str | None = None, **more: t.Any
) -> Note:
    """What a run that is about to create a guest notes. ``options`` and ``storage`` tell where its volumes will be;
    ``more`` adds to it, or says otherwise than ``wanted``."""
    return {
        "kind": wanted.type.kind,
        "name": wanted.name,
        "storages": storages_of(wanted, options, storage),
        **window(wanted),
        "task": KINDS[wanted.type.kind].tasks[by],
        "stage": "creating",
        "whole": wanted.recreate_if_unfinished,
        PROTECTION: {**options, **wanted.create_options()}.get(PROTECTION) == "1",
        "owner": identity(),
        **more,
    }


def window(wanted: Wanted) -> dict[str, float]:
    """When a creation that starts now can be at work."""
    now = time.time()
    return {"since": now, "until": now + wanted.policy.create_timeout + MARGIN}


def begin(node: Node, note: Note, vmid: int, *, declared: bool) -> bool:
    """Note that this run is about to create a guest; False when another run has noted the same vmid before.

    What a run that is no more has noted about a ``declared`` vmid does not block it for ever, unless it tells where
    the backup of a router is that has no container any more.
    """
    there = node.journal.setdefault(vmid, note)
    if there == note:
        return True
    if not declared or "archive" in there or is_at_work(node, vmid, there):
        return False
    node.journal[vmid] = note
    return True


def advance(node: Node, vmid: int, stage: Stage) -> None:
    """Note how far the making of a guest has come, if this is a guest that is being made."""
    note = node.journal.get(vmid)
    if note is not None:
        node.journal[vmid] = {**note, "stage": stage}


def _note_made(node: Node, kind: Kind, vmid: int) -> None:
    """Note that a guest was made, and how: whoever changes it later has use for it."""
    note, config = node.journal.get(vmid), node.config(kind, vmid) if node.leftovers is not None else None
    if note is not None and config is not None:
        node.journal[vmid] = {**note, "made": _fingerprint(config)}
    advance(node, vmid, "created")


def _fingerprint(config: GuestConfig) -> str:
    """What a config says of its guest, whoever holds a lock on it."""
    said = [sorted((key, text) for key, text in config.options.items() if key != "lock"), config.raw]
    return hashlib.sha256(repr(said).encode()).hexdigest()


def forget(node: Node, vmid: int) -> None:
    """Remove the note about a guest that is whole, or gone. One of an upgrade ends with the upgrade."""
    if "upgrade_of" not in node.journal.get(vmid, {}):
        node.journal.pop(vmid, None)


def claim(
    node: Node,
    wanted: Wanted,
    options: t.Mapping[str, str],
    make: t.Callable[[int], Made],
    *,
    vmid: int | None = None,
    by: str = "create",
    storage: str | None = None,
    **more: t.Any,
) -> Made:
    """Make a guest under this vmid, or under a free one: when another run takes that first, under the next.

    What is noted stays noted until somebody says that the guest is whole, or it is removed."""
    for attempt in range(VMID_RACES):
        planned = wanted.planned_vmid if attempt == 0 and _is_free(node, wanted.planned_vmid) else None
        number = vmid or planned or node.next_vmid(skip=node.journal)
        note = make_note(wanted, options, by=by, storage=storage, **more)
        if not begin(node, note, number, declared=vmid is not None):
            if vmid is not None:
                raise Conflict(f"Another run is making {vmid}.", remedy="Wait until it has ended.", reason=VMID_TAKEN)
            continue
        try:
            made = make(number)
        except Conflict as error:
            if error.details.get("reason") != VMID_TAKEN:
                raise
            node.journal.pop(number, None)
            if vmid is not None:
                raise
        else:
            _note_made(node, wanted.type.kind, number)
            return made
    raise Conflict(f"{VMID_RACES} free vmids in a row were taken by others.", remedy="Give the guest a vmid.")


def _is_free(node: Node, vmid: int | None) -> bool:
    return vmid is not None and vmid not in node.journal and node.locate(vmid) is None


def notes(node: Node) -> t.Iterator[tuple[int, Note]]:
    """The notes of all runs by vmid; another run may write and remove some meanwhile."""
    for vmid in list(node.journal):
        note = node.journal.get(vmid)
        if note is not None:
            yield vmid, note


def leftover(node: Node, wanted: Wanted, vmid: int | None) -> tuple[int, Note] | None:
    """A note about a killed creation of this guest, by vmid or by name, if there is one. Whose it is is not said."""
    for number, note in notes(node):
        if "upgrade_of" in note or "copy_of" in note:
            continue
        named = wanted.name is None or note.get("name") == wanted.name
        if number == vmid and (named or wanted.state != "absent"):
            return number, note
        if vmid is None and wanted.name is not None and named and note.get("kind") == wanted.type.kind:
            return number, note
    return None


# -- whose is it ---------------------------------------------------------------------------------------------------


def is_at_work(node: Node, vmid: int, note: Note) -> bool:
    """Whether the run that wrote a note, or the command that it started, still is."""
    owner = str(note.get("owner"))
    return (owner != identity() and is_alive(owner)) or any(node.busy(kind, vmid) for kind in KINDS)


def is_ours(node: Node, vmid: int, note: Note) -> bool:
    """Whether all that the cluster has under a noted vmid is what the note's run left: nothing, half a guest, or a
    whole one of the noted name, to which nothing was done since."""
    span = window_of(note)
    if node.leftovers is None or span is None or note.get("stage") not in UNFINISHED or is_at_work(node, vmid, note):
        return False
    guest = node.locate(vmid)
    if guest is None:
        return True
    config = node.config(guest.kind, vmid)
    if (guest.kind, guest.node) != (note.get("kind"), node.name) or config is None:
        return False
    return (
        node.leftovers.written(guest.kind, vmid) in span
        and config.lock in (None, *UNFINISHED[note["stage"]])
        and _is_as_made(guest.kind, vmid, note, config)
        and node.status(guest.kind, vmid) != "running"
        and node.leftovers.only_made(vmid, str(note.get("task")), span)
    )


def window_of(note: Note) -> Window | None:
    """When the creation that a note is about can have been at work, if it says that."""
    since, until = note.get("since"), note.get("until")
    return Window(since, until) if isinstance(since, int | float) and isinstance(until, int | float) else None


def _is_as_made(kind: Kind, vmid: int, note: Note, config: GuestConfig) -> bool:
    """Whether a guest is called as its maker called it, and nobody has made a template of it, protected or changed it
    since."""
    return (
        _has_name(kind, vmid, note, config)
        and not config.template
        and (not config.protected or note.get(PROTECTION) is True)
        and note.get("made") in (None, _fingerprint(config))
    )


def _has_name(kind: Kind, vmid: int, note: Note, config: GuestConfig) -> bool:
    """Whether a config has the noted name, or none yet."""
    name = config.options.get(KINDS[kind].name_option)
    if name is None:
        return config.lock in MAKING or (KINDS[kind].name_of(vmid) is None and not note.get("name"))
    return same_name(name, note.get("name") or KINDS[kind].name_of(vmid))


def await_creator(node: Node, kind: Kind, vmid: int, timeout: int) -> None:
    """Wait while somebody is creating the guest: a module may be killed and its ``pct create`` live on."""
    await_end(lambda: node.busy(kind, vmid), f"{vmid} is still being created", timeout=timeout, clock=node.clock)


def creations(node: Node) -> dict[int, Note]:
    """The noted creations that go on, be it of a run beside this one or of a command that outlived its run."""
    return {vmid: note for vmid, note in notes(node) if is_at_work(node, vmid, note)}


def drop(node: Node, vmid: int, note: Note) -> None:
    """Forget a note that says nothing any more."""
    if not is_at_work(node, vmid, note):
        node.journal.pop(vmid, None)


# -- taking back ---------------------------------------------------------------------------------------------------


def recover(node: Node, wanted: Wanted, actual: Actual, *, sure: bool = False) -> list[str]:
    """Remove what a killed creation of ours left: the guest and the volumes made since. Returns warnings.

    ``sure``: this very run made the guest, so that nobody has to look whose it is.
    """
    vmid, note = t.cast("int", actual.vmid), actual.leftover or {}
    if not sure and not is_ours(node, vmid, note):
        drop(node, vmid, note)
        return []

    def was_started(error: ProvisionError) -> bool:  # by a start of this run whose answer was lost
        return sure and error.details.get("reason") == "running"

    retry(lambda _left: remove(node, wanted, vmid, note), was_started, timeout=wanted.policy.timeout, clock=node.clock)
    warnings = free_orphans(node, vmid, note)
    node.journal.pop(vmid, None)
    return warnings


def remove(node: Node, wanted: Wanted, vmid: int, note: Note) -> None:
    """Remove a guest that is ours, with the one lock that its maker may have left."""
    kind: Kind = note.get("kind", wanted.type.kind)
    config = node.config(kind, vmid)
    if config is not None:
        lock = config.lock
        if lock is not None and lock in UNFINISHED.get(note.get("stage", ""), ()):
            _unlock(node, kind, vmid, lock)
        elif lock is None and node.status(kind, vmid) != "stopped":
            node.stop(kind, vmid, timeout=wanted.policy.shutdown_timeout)
        if config.protected and note.get(PROTECTION) is True:
            node.set_config(kind, vmid, {PROTECTION: "0"})  # as its maker declared it
    if node.leftovers is not None and KINDS[kind].has_filesystems:
        node.leftovers.release(vmid)
    if config is not None:
        node.destroy(kind, vmid, purge=False, timeout=wanted.policy.timeout)


def is_gone(node: Node, kind: Kind, vmid: int) -> bool:
    """Whether a guest that was destroyed is. The privileges of a login may have come by its pool, and ended with it."""
    try:
        return node.config(kind, vmid) is None
    except ProvisionError as error:
        if error.details.get("reason") != "permission":
            raise
        return True


def _unlock(node: Node, kind: Kind, vmid: int, lock: str) -> None:
    """Free a guest of the lock that its killed maker left; over the API nobody is killed on the node."""
    if lock == "mounted" and node.containers is not None:
        node.containers.unmount(vmid)
    elif node.leftovers is not None:
        node.leftovers.unlock(kind, vmid)


def free_orphans(node: Node, vmid: int, note: Note) -> list[str]:
    """Remove the volumes that a noted creation made and that no guest of the cluster names. Returns warnings."""
    span = window_of(note)
    if node.leftovers is None or span is None:
        return []
    ours, others = node.leftovers.orphans(vmid, note.get("storages") or (), str(note.get("task")), span)
    for volid in ours:
        node.free(volid)
    return [f"{volid} belongs to no guest; it is left alone, for nothing shows that a run made it" for volid in others]


def undo(node: Node, wanted: Wanted, vmid: int, *, made: bool) -> list[str]:
    """After a failed creation: remove the guest this run made. Returns what could not be removed, in words.

    A creation that failed (``made`` False) never leaves a whole guest, so a whole one is somebody else's.
    """
    note = node.journal.get(vmid)
    if note is None:
        return []
    try:
        config = node.config(wanted.type.kind, vmid)
        if not made and config is not None and config.lock not in MAKING:
            node.journal.pop(vmid, None)
            return [f"{wanted.type.noun} {vmid} exists by now, and is kept: nothing shows that this run created it"]
        return recover(node, wanted, Actual(vmid, leftover=note), sure=made)
    except ProvisionError as error:
        left = "could not be removed again" if made else "may be left in part, and could not be looked at"
        return [f"{wanted.type.noun} {vmid} {left}: {error}"]
