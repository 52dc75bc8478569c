# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what becomes of the disks that a VM has: moved, taken out, destroyed."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Shutdown, Start
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.defaults import with_defaults
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.disk_move import (
    CleanUpMove,
    Left,
    MoveDisk,
    await_moves,
    left,
    noted_vmid,
    told,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.golden_name import UNFINISHED, without_more
from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import BUSES, DISK, is_drive, is_volume
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import show_size
from ansible_collections.pve.provision.plugins.module_utils._model.volume import AUTO, storage_of

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Outcome, Storage


@dataclass(frozen=True)
class PurgeDisk(Step):
    """Destroy the volume of a disk that was taken out."""

    action = "purge_disk"
    phase = Phase.REMOVE
    with_snapshots = "PVE destroys no volume that is in a snapshot"
    privilege = "VM.Config.Disk"

    disk: str
    volume: str

    def run(self, run: Run) -> Outcome | None:
        """PVE keeps it as an unused one, until it is deleted from there. A running VM may go on with it."""
        config = run.config()
        unused = [key for key, text in config.live.items() if key.startswith("unused") and text == self.volume]
        if not unused:
            told = f"{self.volume} is in use until the VM stops (a run with restart=when_needed destroys it)"
            run.result.warnings.append(told)
            return None
        return run.node.set_config("qemu", run.vmid, {}, unused[:1], config.digest)


def _as_new(wanted: Wanted, has: t.Mapping[str, str]) -> Wanted:
    """What a clone of a golden template is still to become, whose run was killed before it was set."""
    wanted = with_defaults(wanted)
    declared = wanted.declaration
    values = {"description": "", **without_more(has, declared.values), **declared.values}
    return dataclasses.replace(wanted, declaration=dataclasses.replace(declared, values=values))


TPM: t.Final = "tpmstate"
_TPM_STAYS: t.Final = "and PVE moves no state of a TPM while the VM runs"
_TPM_REMEDY: t.Final = "Run once with state: stopped and the storage it is on, and then with the other."
_WAITS: t.Final = "and PVE moves no disk that waits for a restart itself"
_WAITS_REMEDY: t.Final = "Restart the VM first (restart=when_needed), and declare the storage that it is on until then."
STEPS: t.Final[tuple[type[Step], ...]] = (MoveDisk, CleanUpMove, PurgeDisk)


def with_moves(facts: Facts, wanted: Wanted, actual: Actual, formats: t.Callable[[Storage | None], str]) -> Wanted:
    """A VM whose disks move to the storages that are declared, where that is allowed. ``formats`` tells the format that
    suits a storage."""
    if not wanted.more.get("move_disks"):
        return wanted
    there = actual.config.options if actual.config else {}
    values, moves, findings = dict(wanted.declaration.values), list[Step](), list(wanted.findings)
    storages = {storage.name: storage for storage in facts.storages}
    for key, value in disks_there(values, there).items():
        has, target = DISK.read(there[key]), value.get("storage")
        source = storage_of(str(has.get("volume") or "")) or ""
        if target in (None, AUTO, source) or is_drive(has) or value.get("volume"):
            continue
        form = str(value.get("format") or formats(storages.get(str(target))))
        form = form if key.startswith(BUSES) else ""
        path = f"{wanted.declaration.paths.get(key, key)}.storage"
        if actual.config and key not in actual.config.live:
            findings.append(Finding(path, target, f"is not where it is: {has['volume']}, {_WAITS}", _WAITS_REMEDY))
        elif key.startswith(TPM) and actual.running:
            findings.append(Finding(path, target, f"is not where it is: {has['volume']}, {_TPM_STAYS}", _TPM_REMEDY))
        moves.append(MoveDisk(key, source, str(target), form, has.get("size") or 0, path))
        values[key] = {name: each for name, each in value.items() if name != "storage"}
    declaration = dataclasses.replace(wanted.declaration, values=values)
    return dataclasses.replace(
        wanted, declaration=declaration, obtain=(*wanted.obtain, *moves), findings=tuple(findings)
    )


def is_disk(key: str) -> bool:
    """Whether an option is a disk or a drive on a bus."""
    return key.startswith(BUSES) and is_volume(key)


def disks_there(values: t.Mapping[str, t.Any], there: t.Mapping[str, str]) -> dict[str, SubValues]:
    """The declared disks that a VM has already."""
    return {key: value for key, value in values.items() if is_volume(key) and value and key in there}


def _let_go(wanted: Wanted, config: GuestConfig) -> list[str]:
    """What an earlier run took out, and waits for a restart."""
    values = wanted.declaration.values
    leaving = [key for key, value in config.pending.items() if value is None and not values.get(key)]
    return [key for key in leaving if key in values or wanted.policy.purge_options]


def _in_snapshots(node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> list[Finding]:
    """The volumes that are to go, of which the VM has a snapshot: PVE would refuse that once the rest is done."""
    leaving = [step for step in plan.steps if isinstance(step, (MoveDisk, PurgeDisk))]
    if not leaving or actual.vmid is None or actual.config is None:
        return []
    kept: dict[str, str] = {}
    for snapshot in node.snapshots.of("qemu", actual.vmid):
        for text in (node.snapshots.options("qemu", actual.vmid, snapshot.name) or {}).values():
            kept.setdefault(text.partition(",")[0], snapshot.name)
    findings = []
    for step in leaving:
        volume = actual.config.options.get(step.disk, "").partition(",")[0]
        if name := kept.get(volume):
            option = wanted.declaration.paths.get(step.disk, step.disk)
            remedy = "Delete the snapshot, or leave move_disks or purge_disks out."
            findings.append(Finding(option, volume, f"is in snapshot {name}, and {step.with_snapshots}", remedy))
    return findings


@dataclass
class Disks(Part):
    """What a run over a VM does with its disks besides setting their options."""

    def recover(self, node: Node, wanted: Wanted, *, act: bool) -> list[Step]:
        """A module may be killed, and the move that it had started live on."""
        vmid = noted_vmid(node, wanted) if act and not wanted.findings else None
        if vmid is not None:
            await_moves(node, vmid, wanted.policy.timeout)
        return []

    def resolve(self, node: Node, wanted: Wanted, actual: Actual, *, act: bool) -> Wanted:
        """Where what is not declared goes, disks that are not listed go too. Of a VM without a list nobody says which
        disks it is to have, and drives are none."""
        if actual.config and actual.config.options.get("description", "").strip() == UNFINISHED:
            wanted = _as_new(wanted, actual.config.options)
        values = dict(wanted.declaration.values)
        declared = [key for key, value in values.items() if is_disk(key) and value and not is_drive(value)]
        if not (wanted.policy.purge_options and declared and actual.config):
            return wanted
        has = actual.config.options
        others = [key for key in has if is_disk(key) and key not in values]
        gone = [key for key in others if not is_drive(DISK.read(has[key]))]
        declaration = dataclasses.replace(
            wanted.declaration,
            values={**values, **dict.fromkeys(gone)},
            paths={**dict.fromkeys(gone, "disks"), **wanted.declaration.paths},
        )
        return dataclasses.replace(wanted, declaration=declaration)

    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        """What a killed move left goes first. What is taken out goes at the end, when the VM has let go of it."""
        vmid = noted_vmid(node, wanted)
        found = left(node, vmid) if vmid is not None else Left()
        if vmid is not None and (found.ours or found.others):
            plan = dataclasses.replace(plan, steps=(CleanUpMove(vmid, found.ours), *plan.steps))
        moves = [step for step in plan.steps if isinstance(step, MoveDisk)]
        if moves:
            before = {**plan.before, **{f"{step.disk}.storage": step.source for step in moves}}
            after = {**plan.after, **{f"{step.disk}.storage": step.target for step in moves}}
            plan = dataclasses.replace(plan, before=before, after=after)
        if wanted.more.get("purge_disks") and actual.config is not None and not plan.creating:
            plan = self._with_purge(wanted, actual.config, plan)
        return plan.against(_in_snapshots(node, wanted, actual, plan))

    def _with_purge(self, wanted: Wanted, config: GuestConfig, plan: Plan) -> Plan:
        leaving = {key: config.options.get(key, "") for key in plan.change.delete}
        if plan.has((Shutdown, Start)):  # a running VM has held on to it until now
            leaving |= {key: config.live.get(key, "") for key in _let_go(wanted, config)}
        gone = {key: DISK.read(text) for key, text in leaving.items() if is_volume(key)}
        volumes = {key: str(disk.get("volume") or "") for key, disk in gone.items() if not is_drive(disk)}
        return plan.append(*(PurgeDisk(key, volume) for key, volume in volumes.items() if ":" in volume))

    def finish(self, run: Run) -> None:
        """Where each disk is, told by a run that did something: whether a storage is thin costs a command."""
        if noted_vmid(run.node, run.wanted) == run.vmid:
            run.result.warnings += told(Left(held=left(run.node, run.vmid).held))
        if not run.plan:
            return
        storages = {storage.name: storage for storage in run.facts.storages}
        volumes = []
        for key, text in sorted(run.result.options.items()):
            disk = DISK.read(text) if is_volume(key) and not key.startswith("unused") else {}
            home = storage_of(str(disk.get("volume") or "")) or ""
            if not disk or is_drive(disk) or home not in storages:
                continue
            size = {"size": show_size(disk["size"])} if isinstance(disk.get("size"), int) else {}
            volumes.append(
                {"disk": key, "volume": disk["volume"], "storage": home, **size, "thin": storages[home].thin}
            )
        run.result.more["volumes"] = volumes
