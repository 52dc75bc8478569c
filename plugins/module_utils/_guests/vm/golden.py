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
from ansible_collections.pve.provision.plugins.module_utils._guests.clone import as_cloned
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.golden_name import (
    CROWDED,
    LINKING,
    PREFIX,
    UNFINISHED,
    Origin,
    in_common,
    is_golden,
    without_more,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.image import find_image
from ansible_collections.pve.provision.plugins.module_utils._model.image_name import ImageName
from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import BUSES, EFIDISK
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import show_size
from ansible_collections.pve.provision.plugins.module_utils._model.volume import is_linked, storage_of
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef

OPTION: t.Final = "golden"
# What a VM's first disk has for itself, or the template by other words.
_OWN: t.Final = ("image", "storage", "size", "format", "serial")
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
        of_options = {self.wanted.type.privilege_of(key) for key in self.wanted.declaration.values}
        privileges = {"VM.Allocate", "VM.Config.Disk", "VM.Config.Options", *of_options} - {""}
        return [Need(("/vms",), (privilege,), OPTION) for privilege in sorted(privileges)]

    def run(self, run: Run) -> None:
        """Under the lock of its name, so that a run beside this one finds it made."""
        _clear_leftovers(run.node, self.wanted)
        noted = {vmid for vmid, _note in cleanup.notes(run.node)}
        for ref in run.node.named("qemu", self.name):
            if ref.vmid not in noted and not self._is_one(run.node, ref):
                words = f"VM {ref.vmid} has the name {self.name} and is not a golden template."
                raise Conflict(words, remedy="Rename or remove that VM, or set golden: false.")
        made = reconcile(run.node, self.wanted, check_mode=False)
        config = run.node.config("qemu", t.cast("int", made.vmid))
        if config is None:
            raise Conflict(f"{self.name} is gone.", remedy="Run again.")
        run.facts.planned["qemu", self.name] = Planned(t.cast("int", made.vmid), config.options)

    def _is_one(self, node: Node, ref: GuestRef) -> bool:
        """Whether a VM of the name is the template, or what a killed run has left of it, which has its disk already."""
        config = node.config("qemu", ref.vmid)
        return config is not None and (config.template or _home(config.options) == self.storage)


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
    home, size = str(disk["storage"]), disk.get("size") or 0
    origin = Origin(str(image), found.volid, found.digest, facts.node.name, home, key, firmware or "seabios", size)
    there, old = _templates(facts, origin)
    obtain: list[Step] = []
    template = None
    if there is None:  # the first VM of a run that needs it says what it has in common with others
        made = make({**_declared(wanted, origin, disk), **_firmware(origin, efidisk)})
        template = facts.keep(f"golden {origin.name}", lambda: _with_common(made, wanted, key))
        obtain += [*found.obtain, MakeGolden(origin.name, str(image), home, template, found.size)]
    obtain += [_removal(make, ref, home) for ref in old if not has_clones(facts.node, ref.vmid, home)]
    config = facts.node.config("qemu", there.vmid) if there else None
    source = CloneSource(there.vmid if there else None, None if there else origin.name, full=False)
    options = dict(config.options) if config else _predicted(wanted, origin, template)
    clone = dataclasses.replace(source, options=options)
    return dataclasses.replace(
        _cloned(wanted, key, clone), obtain=(*wanted.obtain, *obtain), notes=(*wanted.notes, *found.notes)
    )


def first_disk(values: t.Mapping[str, t.Any]) -> tuple[str, SubValues]:
    """The first declared disk with an image, and its place."""
    disks = ((key, value) for key, value in values.items() if key.startswith(BUSES) and isinstance(value, dict))
    return next(((key, value) for key, value in disks if value.get("image")), ("", {}))


def _against(image: object, kind: str, disk: SubValues, efidisk: SubValues) -> tuple[str, str] | None:
    """Why no template can be made of it, and what to do."""
    if not isinstance(image, ImageName):
        return "needs a first disk that is made from an image", "State image, or leave golden out."
    if kind and kind not in LINKING:
        problem = f"needs a storage that makes linked clones, and {disk['storage']} is of type {kind}"
        return problem, "Choose a storage such as lvmthin or zfspool, or leave golden out."
    if efidisk.get("volume") or efidisk.get("storage") not in (None, disk.get("storage")):
        return "needs efidisk on the storage of the first disk", "Leave out efidisk.storage, or golden."
    return None


def _templates(facts: Facts, origin: Origin) -> tuple[GuestRef | None, list[GuestRef]]:
    """The template that is there, and those that it succeeds. One that a run is making, or that a killed run has not
    said to be whole, is looked at by the step that makes it."""
    templates = [ref for ref in facts.guests if ref.kind == "qemu" and ref.template]
    there = next((ref for ref in templates if ref.name == origin.name and ref.vmid not in facts.node.journal), None)
    return there, [ref for ref in templates if origin.succeeds(ref.name)]


def has_clones(node: Node, vmid: int, storage: str) -> bool:
    """Whether any disk needs those of a template: by the configs of all guests, or over the API by the volumes."""
    if node.files is not None:
        return is_linked(vmid, node.files.guest_configs())
    return is_linked(vmid, (volume.volid for volume in node.volumes(storage, "images")))


def storage_of_golden(node: Node, ref: GuestRef) -> str | None:
    """The storage of a golden template; None for any other VM, also for a copy that somebody made of one."""
    config = node.config("qemu", ref.vmid) if ref.template and is_golden(ref.name) else None
    return _home(config.options) if config else None


def _home(options: t.Mapping[str, str]) -> str | None:
    """The storage of a VM's first disk."""
    disks = sorted(key for key in options if key.startswith(BUSES) and "media=cdrom" not in options[key])
    return storage_of(options[disks[0]]) if disks else None


def _declared(wanted: Wanted, origin: Origin, disk: SubValues) -> dict[str, t.Any]:
    """The template, as the parameters of a VM."""
    bus, index = origin.disk.rstrip("0123456789"), int(origin.disk.lstrip("abcdefghijklmnopqrstuvwxyz"))
    kept = {key: disk[key] for key in ("format", "discard", "ssd") if key in disk}
    size = {"size": show_size(origin.size)} if origin.size else {}
    made_of = {"bus": bus, "index": index, "storage": origin.storage, "import_from": origin.file}
    return {
        "state": "template",
        "name": origin.name,
        "disks": [{**made_of, **size, **kept}],
        "timeout": wanted.policy.timeout,
        "create_timeout": wanted.policy.create_timeout,
    }


def _with_common(template: Wanted, wanted: Wanted, key: str) -> Wanted:
    """The template with what its VMs have in common, by the one that it is made for."""
    there = template.declaration
    common = in_common(wanted.declaration.values)
    disk = {name: value for name, value in wanted.declaration.values[key].items() if name not in _OWN}
    values = {**common, **there.values, key: {**disk, **there.values[key]}}
    paths = {**wanted.declaration.paths, **there.paths}
    return dataclasses.replace(template, declaration=dataclasses.replace(there, values=values, paths=paths))


def _predicted(wanted: Wanted, origin: Origin, template: Wanted | None) -> dict[str, str]:
    """The options of a template that is still to be made, as far as they are not those that its VM declares: these are
    checked as if they were set."""
    options = {origin.disk: f"{origin.storage}:base"}
    common = in_common(template.options) if template else {}
    options |= {key: text for key, text in common.items() if key not in wanted.declaration.values}
    if origin.firmware != "seabios":
        store = EFIDISK.render({**(wanted.declaration.values.get("efidisk0") or {}), "storage": None, "size": None})
        options |= {"bios": "ovmf", "efidisk0": f"{origin.storage}:base,{store}"}
    return options


def _efidisk(wanted: Wanted) -> SubValues:
    """What a VM's firmware keeps its variables in, by the user's names; empty where it keeps none."""
    declared = wanted.declaration.values.get("efidisk0")
    told = EFIDISK.typed(declared) if isinstance(declared, dict) else {}
    return {name: value for name, value in told.items() if name in ("efitype", "pre_enrolled_keys", "ms_cert")}


def _firmware(origin: Origin, efidisk: SubValues) -> dict[str, t.Any]:
    """The firmware of a template, as parameters: its clones have what it keeps, as it is."""
    return {"bios": "ovmf", "efidisk": {**efidisk, "storage": origin.storage}} if efidisk else {}


def _removal(make: Make, ref: GuestRef, storage: str) -> RemoveGolden:
    gone = make({"state": "absent", "vmid": ref.vmid, "name": ref.name})
    return RemoveGolden(str(ref.name), ref.vmid, storage, gone)


def _cloned(wanted: Wanted, key: str, clone: CloneSource) -> Wanted:
    """The VM as a clone of the template. What that has, and the VM does not declare, is not the clone's."""
    declared = wanted.declaration.values
    more = without_more(clone.options, declared)
    values: dict[str, t.Any] = {**more, **declared}
    values[key] = {name: value for name, value in declared[key].items() if name not in ("image", "format", "size")}
    description = UNFINISHED if more else str(declared.get("description") or "")
    options = {name: as_cloned(wanted, clone, name, text) for name, text in clone.options.items()}
    options |= {"name": wanted.name or str(clone.name), "description": description}
    options.pop("template", None)
    return dataclasses.replace(
        wanted,
        declaration=dataclasses.replace(wanted.declaration, values=values),
        clone=dataclasses.replace(clone, options=options, more={"description": description} if description else {}),
    )


def _clear_leftovers(node: Node, wanted: Wanted) -> None:
    """What killed runs have left of templates of other names; that of the same name goes when it is made."""
    for vmid, note in cleanup.notes(node):
        name = str(note.get("name"))
        if name.startswith(PREFIX) and name != wanted.name and not cleanup.is_at_work(node, vmid, note):
            cleanup.recover(node, wanted, Actual(vmid, leftover=note))
