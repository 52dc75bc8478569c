# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a small CD image of ours in a drive of a VM, by which its system is configured.

The name of the file tells its content, so that a drive that holds this name holds this content: nothing is read or
started to see that it does. It comes with the VM, is replaced when its content changes, and goes with the VM.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import told_interfaces
from ansible_collections.pve.provision.plugins.module_utils._engine.creation import Clone, Create, Restore
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Destroy, Set, Shutdown
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    Finding,
    ImageError,
    ProvisionError,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.sweep import guest_texts, remove_unused
from ansible_collections.pve.provision.plugins.module_utils._io.files import write_atomically
from ansible_collections.pve.provision.plugins.module_utils._io.iso9660 import make_iso
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import with_boot_drive
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import usable

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

CONTENT: t.Final = "iso"
EMPTY: t.Final = "none"
BOOT: t.Final = "boot"
NAME: t.Final = re.compile(r"pve-provision-.+-[0-9a-f]{12}\.iso")


@dataclass(frozen=True)
class PutIso(Step):
    """Put a CD image of ours on a storage."""

    action = "put_iso"
    phase = Phase.IMAGE

    volid: str
    content: bytes = field(repr=False)
    secret: bool = field(default=False, repr=False)

    def run(self, run: Run) -> None:
        if self.secret:
            self._refuse_another(run)
        with contextlib.suppress(ProvisionError):  # what a killed run has left
            run.result.warnings += _remove(run, *self._left(run))
        storage, _colon, name = self.volid.partition(":")
        try:
            if run.node.files is not None:
                self._write(run, run.node.files.volume_path(self.volid))
                return
            with contextlib.suppress(ProvisionError):
                if self.volid in _there(run, storage):
                    run.node.free(self.volid)
            with tempfile.NamedTemporaryFile(suffix=".iso") as file:
                file.write(self.content)
                file.flush()
                path, timeout = name.rpartition("/")[2], run.wanted.policy.timeout
                outcome = run.node.upload(storage, CONTENT, file.name, path, timeout=timeout)
        except OSError as error:
            raise ImageError(f"{self.volid} cannot be written: {error.strerror}.") from error
        run.result.warnings += outcome.warnings
        if self.secret:
            told = f"{self.volid} may hold passwords: who may read images on {storage} can read them"
            run.result.warnings.append(told)

    def _refuse_another(self, run: Run) -> None:
        """The name does not tell the secrets that are in it, so that what another guest holds may be another one."""
        own = run.actual.config is not None and _holds(run.actual.config.options, self.volid)
        if sum(self.volid in text for text in guest_texts(run.node)) > own:
            remedy = "Take it out of that guest's drive, or give this one another name."
            raise Conflict(f"{self.volid} is in the drive of another guest, and is not overwritten.", remedy=remedy)

    def _write(self, run: Run, path: Path) -> None:
        """It is never open to others than root, not even while it is written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self.content, 0o600)
        if self.secret and path.stat().st_mode & 0o077:
            run.result.warnings.append(f"{self.volid} can be read by others than root: its storage keeps no modes")

    def _left(self, run: Run) -> list[str]:
        """Images that differ from this one in their content alone."""
        stem, _dash, _digest = self.volid.rpartition("-")
        alike = re.compile(re.escape(stem) + r"-[0-9a-f]{12}\.iso")
        there = _there(run, stem.partition(":")[0])
        return [volid for volid in there if alike.fullmatch(volid) and volid != self.volid]

    def undo(self, run: Run) -> list[str]:
        """Nobody needs it where the VM is gone or never came to hold it."""
        return _remove(run, self.volid)


@dataclass(frozen=True)
class RemoveIso(Step):
    """Remove a CD image of ours that no drive of the VM holds any more."""

    action = "remove_iso"
    phase = Phase.REMOVE

    volid: str

    def run(self, run: Run) -> None:
        config = run.node.config(run.wanted.type.kind, run.vmid)
        if config and (_holds(config.options, self.volid) or _holds(config.live, self.volid)):
            run.result.warnings.append(f"{self.volid} stays: a drive holds it until the VM is restarted")
        else:
            run.result.warnings += _remove(run, self.volid)


def _holds(options: t.Mapping[str, str], volid: str) -> bool:
    return any(value.split(",")[0] == volid for value in options.values())


def _there(run: Run, storage: str) -> list[str]:
    return [volume.volid for volume in run.node.volumes(storage, CONTENT)]


def _remove(run: Run, *volids: str) -> list[str]:
    """Remove those that are there and that no guest names, as clones of the VM do. They are all on one storage."""
    try:
        there = set(volids).intersection(_there(run, volids[0].partition(":")[0])) if volids else set()
    except ProvisionError as error:
        return [f"{', '.join(volids)} could not be removed: {error}"]
    return remove_unused(run.node, sorted(there))


@dataclass
class OwnIso(Part):
    """The image: its ``label`` and ``files``, the ``drive`` that holds it, the user's ``option`` that it comes from.

    ``purpose`` is a word of its name. ``told`` is the content by which it is known, without secrets, where it has some:
    a name can be tried out against guessed passwords. ``once``: it is for the installation alone, and taken out when
    the guest agent answers, which comes with it.
    """

    label: str
    purpose: str
    drive: str
    option: str
    files: t.Mapping[str, bytes] = field(repr=False)
    told: t.Mapping[str, bytes] | None = field(default=None, repr=False)
    storage: str = ""
    once: bool = False
    volid: str = field(default="", init=False)

    def _name(self, node: Node, wanted: Wanted) -> str:
        """VMs of one name may share a storage, but not an image of which the name does not tell all."""
        told = make_iso(self.label, self.files if self.told is None else self.told)
        whose = "" if self.told is None else f"{node.name}/{wanted.vmid or ''}"
        digest = hashlib.sha256(told + whose.encode()).hexdigest()[:12]
        return f"pve-provision-{wanted.name or wanted.vmid}-{self.purpose}-{digest}.iso"

    def _ours(self, actual: Actual) -> str:
        """What of ours the drive holds."""
        options = actual.config.options if actual.config else {}
        volid = options.get(self.drive, "").split(",")[0]
        return volid if NAME.fullmatch(volid.rpartition("/")[2]) else ""

    def resolve(self, node: Node, wanted: Wanted, actual: Actual, *, act: bool) -> Wanted:
        there = self._ours(actual)
        if actual.config is None or actual.vmid is None or wanted.state == "absent":
            return wanted
        wanted = self._with_free_drive(wanted, {} if there or self.once else actual.config.options)
        if self.once:
            self.volid = there
            done = there and actual.running and told_interfaces(node, wanted.type.kind, actual.vmid)
            if done:
                return self._with(wanted, EMPTY)
            return self._bootable(wanted) if self.drive in actual.config.options else wanted
        if there.rpartition("/")[2] == self._name(node, wanted):
            return self._in_drive(wanted, there)
        return self._in_drive(wanted, self._place(node, wanted, there.partition(":")[0]))

    def prepare(self, node: Node, wanted: Wanted) -> Wanted:
        wanted = self._with_free_drive(wanted, wanted.copied.options if wanted.copied else {})
        return self._in_drive(wanted, self._place(node, wanted, ""))

    def _with_free_drive(self, wanted: Wanted, held: t.Mapping[str, str]) -> Wanted:
        """What a user has in the drive stays there, and that is found."""
        volume = held.get(self.drive, EMPTY).split(",")[0]
        taken = volume != EMPTY and not NAME.fullmatch(volume.rpartition("/")[2])
        declared = wanted.declaration
        if not (taken or declared.values.get(self.drive)):
            return wanted
        option = declared.paths.get(self.drive, self.option)
        problem = f"is at {self.drive}, which {self.option} needs for a drive of its own"
        finding = Finding(option, volume if taken else None, problem, "Move it to another place on the bus.")
        return dataclasses.replace(wanted, findings=(*wanted.findings, finding))

    def _place(self, node: Node, wanted: Wanted, before: str) -> str:
        """The volume that it gets: where it is declared to be, where the one before it was, or where there is room."""
        storages = [storage.name for storage in usable(node.storages(), CONTENT)]
        storage = next((name for name in (self.storage, before, *storages) if name), "")
        return f"{storage}:{CONTENT}/{self._name(node, wanted)}" if storage in storages else ""

    def _in_drive(self, wanted: Wanted, volid: str) -> Wanted:
        self.volid = volid
        if not volid:
            problem = "needs a storage that takes CD images (content type iso)"
            finding = Finding(self.option, self.storage or None, problem, "Give a storage this content type.")
            return dataclasses.replace(wanted, findings=(*wanted.findings, finding))
        return self._with(wanted, volid)

    def _with(self, wanted: Wanted, volid: str) -> Wanted:
        declared = wanted.declaration
        values = {**declared.values, self.drive: {"volume": volid, "media": "cdrom"}}
        paths = {**declared.paths, self.drive: self.option}
        with_drive = dataclasses.replace(declared, values=values, paths=paths)
        return self._bootable(dataclasses.replace(wanted, declaration=with_drive))

    def _bootable(self, wanted: Wanted) -> Wanted:
        """PVE adds each drive that is put in to the VM's boot order; a declared order has it, too."""
        values = wanted.declaration.values
        boot = with_boot_drive(values.get(BOOT), self.drive)
        if not boot:
            return wanted
        values = {**values, BOOT: boot}
        return dataclasses.replace(wanted, declaration=dataclasses.replace(wanted.declaration, values=values))

    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        there = self._ours(actual)
        old = [RemoveIso(there)] if there and there != self.volid else []
        if wanted.state == "absent":
            return plan.append(*old) if plan.has(Destroy) else plan
        if plan.creating:
            return plan.insert(self._put(), before=(Destroy, Create, Clone, Restore)).append(*old)
        if self.drive not in plan.change.set:
            return plan
        if self.once:
            return plan.append(RemoveIso(there))
        return plan.insert(self._put(), before=(Set, Shutdown)).append(*old)

    def _put(self) -> PutIso:
        return PutIso(self.volid, make_iso(self.label, self.files), secret=self.told is not None)

    def uploads(self, node: Node, plan: Plan) -> t.Sequence[str]:
        return [self.volid.partition(":")[0]] if plan.has(PutIso) else []


STEPS: t.Final[tuple[type[Step], ...]] = (PutIso, RemoveIso)
