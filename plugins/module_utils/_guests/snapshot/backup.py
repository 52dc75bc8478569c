# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a backup of a guest before it is changed, where its storages take no snapshots, and the
way back to that.

On the node it is a file that only root can read, over the API it lies on a storage. It stays until the guest has
passed its checks; where going back fails, it is what is left of the guest, and a note of it lets nobody make another
one in its place.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.permissions import bridge_needs
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    InvalidInput,
    ProvisionError,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot.steps import KEPT, Note, clear, went_back
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import parse_size
from ansible_collections.pve.provision.plugins.module_utils._model.volume import storage_of
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import gib
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome, same_name

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Kind, Storage

_WAYS: t.Final = {"lxc": "pct restore {vmid} {archive} --force 1", "qemu": "qmrestore {archive} {vmid} --force 1"}
_SIZE: t.Final = re.compile(r",size=([^,]+)")


@dataclass(frozen=True)
class Backup(Step):
    """Keep what the guest is until it has been changed and has passed its checks. ``place``: where."""

    action = "backup"
    phase = Phase.CHANGE
    privilege = "VM.Backup"
    until_verified = True

    place: str
    needed: tuple[Need, ...] = field(default=(), repr=False)

    def needs(self) -> t.Sequence[Need]:
        return self.needed

    def run(self, run: Run) -> None:
        kind, vmid, notes = run.wanted.type.kind, run.vmid, run.node.snapshots.rollbacks
        notes[vmid] = {"kind": kind, "backing_up": True, "start": run.actual.running}
        timeout = run.wanted.policy.timeout
        run.saved = run.node.backups.archive(vmid, kind=kind, place=self.place, timeout=timeout)
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
        return [*words, *(_drop(run.node, vmid) if run.rolled_back else ())]


def _restore(run: Run, archive: str) -> None:
    """Restore a guest over itself, each volume to where it was; noted before, for it is gone where that fails."""
    node, kind, vmid, policy = run.node, run.wanted.type.kind, run.vmid, run.wanted.policy
    options = run.actual.config.options if run.actual.config else {}
    name = options.get(run.wanted.type.name_key, "")
    note = {"kind": kind, "archive": archive, "name": name, "way": _command(run, archive)}
    node.snapshots.rollbacks[vmid] = note
    node.stop(kind, vmid, timeout=policy.timeout)
    target = _restore_target(kind, options)
    node.backups.restore(vmid, archive, target, kind=kind, over=True, timeout=policy.create_timeout)
    if run.actual.running:
        node.start(kind, vmid, timeout=policy.start_timeout)
    node.snapshots.rollbacks.pop(vmid, None)


def _drop(node: Node, vmid: int) -> list[str]:
    """Remove the backup. What is left of it does no harm to a guest that is as it should be: that is told, in words."""
    try:
        node.backups.discard(vmid)
    except ProvisionError as error:
        return [f"the backup of {vmid} could not be removed: {error.message}"]
    node.snapshots.rollbacks.pop(vmid, None)
    return []


def _restore_target(kind: Kind, options: t.Mapping[str, str]) -> dict[str, str]:
    """Where volumes are restored to, as PVE is told: it knows by itself where those of a VM were."""
    return {} if kind == "qemu" else {"storage": str(storage_of(options["rootfs"]))}


def _command(run: Run, archive: str) -> str:
    return _way(run.wanted.type.kind, run.vmid, archive, t.cast("GuestConfig", run.actual.config).options)


def _way(kind: Kind, vmid: int, archive: str, options: t.Mapping[str, str]) -> str:
    """How a person does it."""
    target = "".join(f" --{key} {text}" for key, text in _restore_target(kind, options).items())
    return _WAYS[kind].format(vmid=vmid, archive=archive) + target


@dataclass(frozen=True)
class DropBackup(Step):
    """Remove the backup, once the guest has passed its checks."""

    action = "drop_backup"
    phase = Phase.CLOSE
    privilege = "VM.Backup"

    def run(self, run: Run) -> Outcome:
        return Outcome(warnings=tuple(_drop(run.node, run.vmid)))


STEPS: t.Final[tuple[type[Step], ...]] = (Backup, DropBackup)


# -- what stands against it --------------------------------------------------------------------------------------------


def against_backup(node: Node, wanted: Wanted, vmid: int, config: GuestConfig) -> t.Iterator[str]:
    """Why a guest cannot go back to a backup, in words: PVE refuses it, or something would be lost with that."""
    if not has_old_backup(node, wanted, vmid):
        for archive in node.backups.kept(vmid):
            yield f"{archive} may be all that is left of a guest: an unfinished run left it. Move it away first"
    if config.protected:
        yield "a protected guest cannot go back to a backup"
    if config.snapshots:
        yield f"a backup would lose the snapshots {', '.join(config.snapshots)}"
    if vmid in node.ha_managed():
        yield "the HA manager would start it while it goes back to a backup"
    own = {key: text for key, text in sorted(config.live.items()) if _is_own(wanted, key, text)}
    if lost := [key for key, text in own.items() if not _is_in_backup(wanted.type.kind, key, text)]:
        yield f"a backup would lose {', '.join(lost)}, which PVE does not back up"
    if not node.root_login and (lost := list(_roots_alone(node, wanted, vmid, config))):
        yield f"a backup would lose {', '.join(lost)}, which PVE restores for root@pam itself alone"
    storages = {storage_of(text) for text in own.values()}
    if wanted.type.restored_to_one and len(storages) > 1:
        yield "a backup would bring all of its volumes to one storage"


def _roots_alone(node: Node, wanted: Wanted, vmid: int, config: GuestConfig) -> t.Iterator[str]:
    """What a restoration leaves out of a container that another login than root@pam asks for (pve-container,
    API2/LXC.pm and LXC/Create.pm)."""
    if wanted.type.kind == "lxc":
        is_volume, is_copied = wanted.type.is_volume, wanted.type.is_copied
        yield from (key for key, text in sorted(config.live.items()) if is_volume(key) and not is_copied(text))
        yield from node.lxc_lines(vmid)


class Place(t.NamedTuple):
    """Where a backup is kept; and a warning where that has less room than the volumes that go into it. It is packed, so
    it may fit all the same."""

    storage: str
    warnings: tuple[str, ...]


def place_for(facts: Facts, wanted: Wanted, config: GuestConfig) -> Place | None:
    """The place with the most room once others of the run have had theirs; None where there is none. What was planned
    of a guest holds when it is changed."""
    own = [text for key, text in config.live.items() if _is_own(wanted, key, text)]
    size = sum(parse_size(found[1]) for text in own if (found := _SIZE.search(text)))
    return facts.keep(f"backup of {wanted.label}", lambda: _place(facts, wanted, size))


def _place(facts: Facts, wanted: Wanted, size: int) -> Place | None:
    places = facts.keep("places of backups", facts.node.backups.places)

    def left(storage: Storage) -> int:
        return (storage.available or 0) - facts.reserved_on(storage.name)

    best = max(places, key=lambda storage: (left(storage), storage.name), default=None)
    if best is None:
        return None
    room, taken = left(best), facts.reserve(best.name, size)
    if room >= size:
        return Place(best.name, ())
    others = f", and others of this run take up to {gib(taken)} GiB of them" if taken else ""
    words = f"{gib(size)} GiB on {best.name}, where {gib(best.available or 0)} GiB are free{others}"
    return Place(best.name, (f"the backup of {wanted.label} takes up to {words}",))


def backup_needs(facts: Facts, wanted: Wanted, actual: Actual, place: str) -> tuple[Need, ...]:
    """The privileges that it takes over the API to keep a backup, and to restore it over the guest."""
    if facts.access is None:
        return ()
    config, guest = t.cast("GuestConfig", actual.config), (f"/vms/{actual.vmid}",)
    own = [text for key, text in config.live.items() if _is_own(wanted, key, text)]
    storages = [f"/storage/{name}" for name in sorted({place, *map(str, map(storage_of, own))})]
    homes = [(path,) for path in storages] if place else [("/storage", "/storage/*")]
    found = [Need(home, ("Datastore.AllocateSpace",), Backup.action) for home in homes]
    if actual.running:
        found.append(Need(guest, ("VM.PowerMgmt",), Backup.action))
    nets = KINDS[wanted.type.kind].networks(config.live)
    return (*found, *bridge_needs(nets, dict.fromkeys(nets, Backup.action), facts.bridges))


def _note(node: Node, vmid: int) -> Note:
    return node.snapshots.rollbacks.get(vmid) or node.backups.notes().get(vmid) or {}


def has_old_backup(node: Node, wanted: Wanted, vmid: int) -> bool:
    """Whether a killed run has left a backup of this guest, and the guest is there all the same."""
    note = _note(node, vmid)
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
    for vmid, note in {**node.backups.notes(), **node.snapshots.rollbacks}.items():
        meant = same_name(note.get("name"), wanted.name) if wanted.vmid is None else vmid == wanted.vmid
        if "archive" not in note or note["kind"] != kind or not meant:
            continue
        config = node.config(kind, vmid)
        if config is None or config.lock == "create":
            key, name = wanted.type.name_key, note.get("name")
            problem = f"was being restored from {note['archive']} by an unfinished run, and only exists in that backup"
            unlock = "" if config is None else f"unlock {vmid} when no task is at work on it, and "
            way = note.get("way") or _way(kind, vmid, note["archive"], node.backup_config(note["archive"]).options)
            remedy = f"To have it again, {unlock}run '{way}'."
            raise InvalidInput([Finding(key, name, problem, remedy)], about=wanted.label)
