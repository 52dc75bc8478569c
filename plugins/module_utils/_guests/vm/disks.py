# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: where a VM's new disks go, and how each suits its storage."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.storage_choice import Chooser
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues, base_of
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import BUSES, ONLY_ON, is_drive, is_volume
from ansible_collections.pve.provision.plugins.module_utils._model.volume import AUTO, storage_of

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Storage

# Storages that keep disks as files, where snapshots need qcow2, as they do on LVM with chains of volumes; on all others
# a disk is raw, and what the guest trims goes back to the storage.
FILE_STORAGES: t.Final = frozenset({"dir", "nfs", "cifs", "glusterfs"})
AS_FILE: t.Final[SubValues] = {"format": "qcow2"}
AS_BLOCKS: t.Final[SubValues] = {"discard": "on", "ssd": True}
# Under this name, in what is wanted, stand the disks that are copied from what has their size already.
FITTING: t.Final = "fitting disks"


def new_disks(values: t.Mapping[str, t.Any], there: t.Collection[str] = ()) -> dict[str, SubValues]:
    """The declared disks that are to be allocated or imported."""
    return {
        key: disk
        for key, disk in values.items()
        if is_volume(key) and disk and key not in there and not disk.get("volume") and not is_drive(disk)
    }


def place_disks(facts: Facts, wanted: Wanted, there: t.Mapping[str, str] | None = None) -> Wanted:
    """The VM whose new disks have a storage each, and the format and settings that suit it. ``there`` are the options
    that it has."""
    there = there or {}
    values = dict(wanted.declaration.values)
    disks = new_disks(values, there)
    if not disks:
        return wanted
    findings, chooser = list(wanted.findings), Chooser(facts, wanted)
    chosen = _choose_storages(chooser, wanted, disks, there)
    storages = {storage.name: storage for storage in facts.storages}
    for key, disk in disks.items():
        placed = {**disk, "storage": chosen[key]}
        storage = storages.get(str(placed["storage"]))
        values[key] = {**_suited(key, storage), **placed} if key.startswith(BUSES) else placed
        if storage and disk.get("format") not in (None, "raw") and not _keeps_qcow2(storage, unknown=True):
            path = f"{wanted.declaration.paths.get(key, key)}.format"
            problem = f"is not kept by storage {storage.name} of type {storage.type}, which has raw disks"
            findings.append(Finding(path, disk["format"], problem, "Leave it out, or choose a storage with files."))
    declaration = dataclasses.replace(wanted.declaration, values=values)
    return chooser.apply(dataclasses.replace(wanted, declaration=declaration, findings=tuple(findings)))


def format_on(storage: Storage | None) -> str:
    """The format of disks on a storage; empty where there is one alone."""
    return str(AS_FILE["format"]) if _keeps_qcow2(storage) else ""


def _keeps_qcow2(storage: Storage | None, *, unknown: bool = False) -> bool:
    """Whether disks on a storage are qcow2. ``unknown``: what is said of LVM where PVE does not tell."""
    if storage is None or storage.type == "lvm":
        return bool(storage and (unknown if storage.chains is None else storage.chains))
    return storage.type in FILE_STORAGES


def _suited(key: str, storage: Storage | None) -> SubValues:
    """What suits a storage, as far as a disk on that bus can have it."""
    suited = AS_FILE if _keeps_qcow2(storage) else AS_BLOCKS
    return {name: value for name, value in suited.items() if base_of(key) in ONLY_ON.get(name, BUSES)}


def _choose_storages(
    chooser: Chooser, wanted: Wanted, disks: t.Mapping[str, SubValues], there: t.Mapping[str, str]
) -> dict[str, str | None]:
    """The storage of each disk. What says none goes where the VM's other disks are; where there are none, and what
    leaves it open, goes on one that is chosen for all of that together."""
    named: dict[str, str | None] = {
        key: str(disk["storage"]) for key, disk in disks.items() if disk.get("storage") not in (None, AUTO)
    }
    has = [storage_of(text) for key, text in there.items() if key.startswith(BUSES) and ":" in text]
    beside = next((name for name in (*named.values(), *has) if name), None)
    left = {key: disk for key, disk in disks.items() if key not in named}
    free = [key for key, disk in left.items() if beside is None or disk.get("storage") == AUTO]
    chosen = None
    if free:
        option = f"{wanted.declaration.paths.get(free[0], free[0])}.storage"
        size = sum(int(left[key].get("size") or 0) for key in free)
        chosen = chooser.choose(option, wanted.type.content, size)
    return {**named, **dict.fromkeys(left, beside), **dict.fromkeys(free, chosen)}
