# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: VMs whose disk is a linked clone of a golden template, which a run makes where it lacks
and removes when a newer one has come and nothing is linked to it."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts, Planned
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, CloneSource, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.reconcile import reconcile
from ansible_collections.pve.provision.plugins.module_utils._engine.step import NewFile, Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    Finding,
    InvalidInput,
    ProvisionError,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.golden_name import (
    CROWDED,
    LINKING,
    PREFIX,
    TAG,
    Note,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.image import find_image
from ansible_collections.pve.provision.plugins.module_utils._model.image_name import ImageName
from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import BUSES, EFIDISK
from ansible_collections.pve.provision.plugins.module_utils._model.volume import is_linked
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef

OPTION: t.Final = "golden"
Make = t.Callable[[dict[str, t.Any]], Wanted]


@dataclass(frozen=True)
class MakeGolden(Step):
    """Make the template of an image on a storage, once for all VMs of a run whose disks are clones of it."""

    action = "make_golden"
    phase = Phase.IMAGE

    name: str
    image: str
    storage: str
    wanted: Wanted = field(repr=False, compare=False)
    size: int | None = field(default=None, repr=False, compare=False)

    @property
    def shared(self) -> str:
        return self.name

    @property
    def file(self) -> NewFile:
        return NewFile(self.storage, "images", self.size, OPTION)

    def needs(self) -> t.Sequence[Need]:
        privileges = ("VM.Allocate", "VM.Config.Disk", "VM.Config.Options")
        return [Need(("/vms",), (privilege,), OPTION) for privilege in privileges]

    def run(self, run: Run) -> None:
        """Under the lock of its name, so that a run beside this one finds it made."""
        _clear_leftovers(run.node, self.wanted)
        noted = {vmid for vmid, _note in cleanup.notes(run.node)}
        for ref in run.node.named("qemu", self.name):
            if ref.vmid not in noted and TAG not in ref.tags:
                words = f"VM {ref.vmid} has the name {self.name} and is no golden template."
                raise Conflict(words, remedy="Rename or remove that VM, or say golden: false.")
        made = reconcile(run.node, self.wanted, check_mode=False)
        config = run.node.config("qemu", t.cast("int", made.vmid))
        if config is None:
            raise Conflict(f"{self.name} is gone.", remedy="Run again.")
        run.facts.planned["qemu", self.name] = Planned(t.cast("int", made.vmid), config.options)


@dataclass(frozen=True)
class RemoveGolden(Step):
    """Remove the template of an older build, to which nothing is linked."""

    action = "remove_golden"
    phase = Phase.IMAGE

    name: str
    vmid: int
    storage: str = field(repr=False)
    wanted: Wanted = field(repr=False, compare=False)

    @property
    def shared(self) -> str:
        return f"remove {self.name}"

    def run(self, run: Run) -> None:
        """That it stays is no reason to fail: PVE may know of a clone that we do not see."""
        if has_clones(run.node, self.vmid, self.storage):
            return
        try:
            reconcile(run.node, self.wanted, check_mode=False)
        except ProvisionError as error:
            run.result.warnings.append(f"{self.name}, a golden template of an older image, stays: {error.message}")


STEPS: t.Final[tuple[type[Step], ...]] = (MakeGolden, RemoveGolden)


def with_golden(facts: Facts, wanted: Wanted, make: Make) -> Wanted:
    """A new VM whose first disk is a linked clone, where that is declared, or pays. ``make`` reads the parameters of a
    VM."""
    key, disk = first_disk(wanted.declaration.values)
    asked = wanted.more.get(OPTION)
    crowded = asked is None and wanted.name in facts.common.kept.get(CROWDED, ())
    image = disk.get("image")
    if not (asked or crowded) or wanted.copied:
        return wanted
    kind = next((storage.type for storage in facts.storages if storage.name == disk.get("storage")), "")
    problem = _against(image, kind, disk, wanted.declaration.values.get("efidisk0") or {})
    if problem:
        refusal = Finding(OPTION, True, *problem)
        return dataclasses.replace(wanted, findings=(*wanted.findings, refusal)) if asked else wanted
    path = f"{wanted.declaration.paths.get(key, key)}.image"
    try:
        found = find_image(facts, wanted, t.cast(ImageName, image), "import", path)
    except InvalidInput:
        return wanted  # it is told with what is wrong with the other disks
    efidisk = _efidisk(wanted)
    firmware = "ovmf " + ", ".join(f"{name}={value}" for name, value in sorted(efidisk.items())) if efidisk else ""
    home = str(disk["storage"])
    note = Note(str(image), found.volid, found.digest, facts.node.name, home, key, firmware or "seabios")
    there, old = _templates(facts, note)
    obtain: list[Step] = []
    if there is None:
        template = make({**_declared(wanted, note, disk), **_firmware(note, efidisk)})
        obtain += [*found.obtain, MakeGolden(note.name, str(image), note.storage, template, found.size)]
    obtain += [_removal(facts, make, ref, note) for ref in old if not has_clones(facts.node, ref.vmid, note.storage)]
    return _cloned(wanted, key, note, there, (facts, obtain, found.notes))


def first_disk(values: t.Mapping[str, t.Any]) -> tuple[str, SubValues]:
    """The first declared disk with an image, and its place."""
    disks = ((key, value) for key, value in values.items() if key.startswith(BUSES) and isinstance(value, dict))
    return next(((key, value) for key, value in disks if value.get("image")), ("", {}))


def _against(image: object, kind: str, disk: SubValues, efidisk: SubValues) -> tuple[str, str] | None:
    """Why no template can be made of it, and what there is to do."""
    if not isinstance(image, ImageName):
        return "needs a first disk that is made from an image", "State image, or leave golden out."
    if kind and kind not in LINKING:
        problem = f"needs a storage that makes linked clones, and {disk['storage']} is of type {kind}"
        return problem, "Choose a storage such as lvmthin or zfspool, or leave golden out."
    if efidisk.get("volume") or efidisk.get("storage") not in (None, disk.get("storage")):
        return "needs efidisk on the storage of the first disk", "Leave out efidisk.storage, or golden."
    return None


def _templates(facts: Facts, note: Note) -> tuple[GuestRef | None, list[GuestRef]]:
    """The template that is there, and those that it succeeds. A copy that somebody has made of one says the same of
    itself under another name. One that a run is making, or that a killed run has not said to be whole, is looked at by
    the step that makes it."""
    ours = [ref for ref in facts.guests if ref.kind == "qemu" and ref.template and TAG in ref.tags]
    there = next((ref for ref in ours if ref.name == note.name and ref.vmid not in facts.node.journal), None)
    old = []
    for ref in ours:
        config = facts.node.config("qemu", ref.vmid) if ref.name != note.name else None
        told = Note.read(config.options.get("description", "")) if config else None
        if told is not None and told.name == ref.name and note.succeeds(told):
            old.append(ref)
    return there, old


def has_clones(node: Node, vmid: int, storage: str) -> bool:
    """Whether any disk needs those of a template: by the configs of all guests, or over the API by the volumes."""
    if node.files is not None:
        return is_linked(vmid, node.files.guest_configs())
    return is_linked(vmid, (volume.volid for volume in node.volumes(storage, "images")))


def _declared(wanted: Wanted, note: Note, disk: SubValues) -> dict[str, t.Any]:
    """The template, as the parameters of a VM."""
    bus, index = note.disk.rstrip("0123456789"), int(note.disk.lstrip("abcdefghijklmnopqrstuvwxyz"))
    kept = {key: disk[key] for key in ("format", "discard", "ssd") if key in disk}
    return {
        "state": "template",
        "name": note.name,
        "description": note.description,
        "tags": [TAG],
        "disks": [{"bus": bus, "index": index, "storage": note.storage, "import_from": note.file, **kept}],
        "timeout": wanted.policy.timeout,
        "create_timeout": wanted.policy.create_timeout,
    }


def _efidisk(wanted: Wanted) -> SubValues:
    """What a VM's firmware keeps its variables in, by the user's names; empty where it keeps none."""
    declared = wanted.declaration.values.get("efidisk0")
    told = EFIDISK.typed(declared) if isinstance(declared, dict) else {}
    return {name: value for name, value in told.items() if name in ("efitype", "pre_enrolled_keys", "ms_cert")}


def _firmware(note: Note, efidisk: SubValues) -> dict[str, t.Any]:
    """The firmware of a template, as parameters: its clones have what it keeps, as it is."""
    return {"bios": "ovmf", "efidisk": {**efidisk, "storage": note.storage}} if efidisk else {}


def _removal(facts: Facts, make: Make, ref: GuestRef, note: Note) -> RemoveGolden:
    gone = make({"state": "absent", "vmid": ref.vmid, "name": ref.name})
    return RemoveGolden(str(ref.name), ref.vmid, note.storage, gone)


def _cloned(
    wanted: Wanted,
    key: str,
    note: Note,
    there: GuestRef | None,
    found: tuple[Facts, t.Sequence[Step], tuple[str, ...]],
) -> Wanted:
    """The VM as a clone of the template. What marks that is not the clone's."""
    facts, obtain, notes = found
    config = facts.node.config("qemu", there.vmid) if there else None
    template = {key: f"{note.storage}:base", "description": note.description, "tags": TAG}
    if note.firmware != "seabios":
        store = EFIDISK.render({**(wanted.declaration.values.get("efidisk0") or {}), "storage": None, "size": None})
        template |= {"bios": "ovmf", "efidisk0": f"{note.storage}:base,{store}"}
    options = {**(dict(config.options) if config else template), "name": wanted.name or note.name}
    options.pop("template", None)
    values = {"tags": (), "description": "", **wanted.declaration.values}
    disk = {name: value for name, value in values[key].items() if name not in ("image", "format")}
    size = disk.pop("size", None)
    values[key] = disk
    return dataclasses.replace(
        wanted,
        declaration=dataclasses.replace(wanted.declaration, values=values),
        clone=CloneSource(there.vmid if there else None, None if there else note.name, full=False, options=options),
        obtain=(*wanted.obtain, *obtain),
        grow={**wanted.grow, **({key: size} if size else {})},
        notes=(*wanted.notes, *notes),
    )


def _clear_leftovers(node: Node, wanted: Wanted) -> None:
    """What killed runs have left of templates of other names; that of the same name goes when it is made."""
    for vmid, note in cleanup.notes(node):
        name = str(note.get("name"))
        if name.startswith(PREFIX) and name != wanted.name and not cleanup.is_at_work(node, vmid, note):
            cleanup.recover(node, wanted, Actual(vmid, leftover=note))
