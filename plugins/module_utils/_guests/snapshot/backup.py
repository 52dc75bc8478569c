# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a backup of a guest before it is changed, where its storages take no snapshots, and the
way back to that.

It is a file of the node that only root can read. It stays until the guest has passed its checks; where going back
fails, it is what is left of the guest, and a note of it lets nobody make another one in its place.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    InvalidInput,
    ProvisionError,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot.steps import KEPT, clear, went_back
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import parse_size
from ansible_collections.pve.provision.plugins.module_utils._model.volume import storage_of
from ansible_collections.pve.provision.plugins.module_utils._pve.node import required
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import gib
from ansible_collections.pve.provision.plugins.module_utils._pve.types import same_name

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Kind

_WAYS: t.Final = {"lxc": "pct restore {vmid} {archive} --force 1", "qemu": "qmrestore {archive} {vmid} --force 1"}
_SIZE: t.Final = re.compile(r",size=([^,]+)")
_WHAT: t.Final = "A guest is backed up to a file of the node only"


@dataclass(frozen=True)
class Backup(Step):
    """Keep what the guest is until it has been changed and has passed its checks."""

    action = "backup"
    phase = Phase.CHANGE
    until_verified = True

    def run(self, run: Run) -> None:
        kind, vmid, notes = run.wanted.type.kind, run.vmid, run.node.snapshots.rollbacks
        notes[vmid] = {"kind": kind, "backing_up": True, "start": run.actual.running}
        backups = required(run.node.backups, _WHAT)
        run.saved = backups.archive(vmid, kind=kind, timeout=run.wanted.policy.timeout)
        notes[vmid] = {"kind": kind, KEPT: run.saved}

    def undo(self, run: Run) -> list[str]:
        """Take the guest back to what it was, unless there is no backup, for then nothing was changed either."""
        kind, vmid, archive = run.wanted.type.kind, run.vmid, run.saved
        if not archive:
            try:
                clear(run.node, kind, vmid, run.wanted.policy.timeout)
            except ProvisionError as error:
                return [f"What is left of the backup could not be removed: {error.message}"]
            return []
        words = went_back(run, lambda: _restore(run, archive), f"'{_command(run, archive)}'")
        if run.rolled_back:
            _drop(run.node, vmid)
        return words


def _restore(run: Run, archive: str) -> None:
    """Restore a guest over itself, each volume to where it was; noted before, for it is gone where that fails."""
    node, kind, vmid, policy = run.node, run.wanted.type.kind, run.vmid, run.wanted.policy
    options = run.actual.config.options if run.actual.config else {}
    name = options.get(run.wanted.type.name_key, "")
    note = {"kind": kind, "archive": archive, "name": name, "way": _command(run, archive)}
    node.snapshots.rollbacks[vmid] = note
    node.stop(kind, vmid, timeout=policy.timeout)
    backups = required(node.backups, _WHAT)
    backups.restore(vmid, archive, _restore_target(run), kind=kind, over=True, timeout=policy.create_timeout)
    if run.actual.running:
        node.start(kind, vmid, timeout=policy.start_timeout)
    node.snapshots.rollbacks.pop(vmid, None)


def _drop(node: Node, vmid: int) -> None:
    required(node.backups, _WHAT).discard(vmid)
    node.snapshots.rollbacks.pop(vmid, None)


def _restore_target(run: Run) -> dict[str, str]:
    """Where volumes are restored to, as PVE is told: it knows by itself where those of a VM were."""
    if run.wanted.type.kind == "qemu" or run.actual.config is None:
        return {}
    return {"storage": str(storage_of(run.actual.config.options["rootfs"].partition(",")[0]))}


def _command(run: Run, archive: str) -> str:
    """How a person does it."""
    way = _WAYS[run.wanted.type.kind].format(vmid=run.vmid, archive=archive)
    return way + "".join(f" --{key} {text}" for key, text in _restore_target(run).items())


@dataclass(frozen=True)
class DropBackup(Step):
    """Remove the backup, once the guest has passed its checks."""

    action = "drop_backup"
    phase = Phase.CLOSE

    def run(self, run: Run) -> None:
        _drop(run.node, run.vmid)


STEPS: t.Final[tuple[type[Step], ...]] = (Backup, DropBackup)


# -- what stands against it --------------------------------------------------------------------------------------------


def against_backup(node: Node, wanted: Wanted, vmid: int, config: GuestConfig) -> t.Iterator[str]:
    """Why a guest cannot go back to a backup, in words: PVE refuses it, or something would be lost with that."""
    if node.backups is None:
        yield "over the API there is no place for a backup that only root can read"
        return
    if not has_old_backup(node, wanted, vmid):
        for archive in node.backups.kept(vmid):
            yield f"{archive} may be all that is left of a guest: a run that did not end left it. Move it away first"
    if config.protected:
        yield "a protected guest cannot go back to a backup"
    if config.snapshots:
        yield f"a backup would lose the snapshots {', '.join(config.snapshots)}"
    if vmid in node.ha_managed():
        yield "the HA manager would start it while it goes back to a backup"
    own = {key: text for key, text in sorted(config.live.items()) if _is_own(wanted, key, text)}
    if lost := [key for key, text in own.items() if not _is_in_backup(wanted.type.kind, key, text)]:
        yield f"a backup would lose {', '.join(lost)}, which PVE does not back up"
    storages = {storage_of(text.partition(",")[0]) for text in own.values()}
    if wanted.type.restored_to_one and len(storages) > 1:
        yield "a backup would bring all of its volumes to one storage"


def short_of_room(node: Node, wanted: Wanted, config: GuestConfig) -> t.Iterator[str]:
    """A warning where the node has less room than the volumes that go into the backup. That is packed, so it may fit
    all the same."""
    own = [text for key, text in config.live.items() if _is_own(wanted, key, text)]
    size = sum(parse_size(found[1]) for text in own if (found := _SIZE.search(text)))
    room = required(node.backups, _WHAT).room()
    if room < size:
        yield (
            f"the backup of {wanted.label} takes up to {gib(size)} GiB below /var/lib/pve-provision on the node, where"
            f" {gib(room)} GiB are free"
        )


def has_old_backup(node: Node, wanted: Wanted, vmid: int) -> bool:
    """Whether a killed run has left a backup of this guest, and the guest is there all the same."""
    note = node.snapshots.rollbacks.get(vmid, {})
    restored = "archive" in note and (wanted.name is None or same_name(note.get("name"), wanted.name))
    return restored or KEPT in note


def _is_own(wanted: Wanted, key: str, text: str) -> bool:
    """Whether a volume is the guest's, so that it is replaced by that of the backup."""
    return wanted.type.is_volume(key) and wanted.type.is_copied(text) and "media=cdrom" not in text.split(",")


def _is_in_backup(kind: Kind, key: str, text: str) -> bool:
    """Whether PVE backs a volume up: of a container the root and what is marked, of a VM all but what is marked."""
    if key.startswith("unused"):
        return False
    words = text.split(",")
    return "backup=0" not in words if kind == "qemu" else key == "rootfs" or "backup=1" in words


# -- what was killed ---------------------------------------------------------------------------------------------------


def refuse_half_restored(node: Node, wanted: Wanted) -> None:
    """Raise where the wanted guest is in a backup alone: the run that went back to that did not end."""
    kind = wanted.type.kind
    for vmid, note in list(node.snapshots.rollbacks.items()):
        meant = same_name(note.get("name"), wanted.name) if wanted.vmid is None else vmid == wanted.vmid
        if "archive" not in note or note["kind"] != kind or not meant:
            continue
        config = node.config(kind, vmid)
        if config is None or config.lock == "create":
            key, name = wanted.type.name_key, note.get("name")
            problem = f"was taken back to {note['archive']} by a run that did not end, and is in that alone"
            unlock = "" if config is None else f"unlock {vmid} when no task is at work on it, and "
            remedy = f"To have it again, {unlock}run '{note['way']}'."
            raise InvalidInput([Finding(key, name, problem, remedy)], about=wanted.label)
