# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a VM's declaration leaves open, decided once, before it is created."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import BUSES, is_volume
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import usable

# Storages that keep disks as files, where snapshots need qcow2; on all others a disk is raw, and what the guest
# trims goes back to the storage.
FILE_STORAGES: t.Final = frozenset({"dir", "nfs", "cifs", "glusterfs"})
AS_FILE: t.Final[dict[str, t.Any]] = {"format": "qcow2"}
AS_BLOCKS: t.Final[dict[str, t.Any]] = {"discard": "on", "ssd": True}
# A store for the firmware's variables, without Microsoft's keys: nothing here is signed. Its size in bytes.
EFIDISK: t.Final[dict[str, t.Any]] = {"efitype": "4m", "pre-enrolled-keys": False, "size": 4 * 1024**2}


def complete(facts: Facts, wanted: Wanted) -> Wanted:
    """Fill in what is open of a new VM: defaults, storages, and how each disk suits its storage."""
    declared = wanted.declaration
    values = {key: _over(wanted.defaults.get(key), value) for key, value in declared.values.items()}
    values = {**{key: value for key, value in wanted.defaults.items() if key not in values}, **values}
    if values.get("bios") == "ovmf":
        values["efidisk0"] = _over(EFIDISK, values.get("efidisk0") or {})
    findings = list(wanted.findings)
    home = next((disk["storage"] for disk in _new_disks(values).values() if disk.get("storage")), None)
    if home is None and _new_disks(values):
        homes = usable(facts.storages, wanted.type.content)
        home = homes[0].name if homes else None
        if home is None:
            remedy = "Give a storage the content type images."
            findings.append(Finding("disk.storage", None, "cannot be chosen: no storage takes VM disks", remedy))
    types = {storage.name: storage.type for storage in facts.storages} if _new_disks(values) else {}
    for key, disk in _new_disks(values).items():
        placed = {**disk, "storage": disk.get("storage") or home}
        suited = AS_FILE if types.get(placed["storage"] or "") in FILE_STORAGES else AS_BLOCKS
        values[key] = {**suited, **placed} if key.startswith(BUSES) else placed
    return dataclasses.replace(
        wanted, declaration=dataclasses.replace(declared, values=values), findings=tuple(findings)
    )


def _over(default: t.Any, value: t.Any) -> t.Any:
    """A declared value; what a property string leaves open comes from the default."""
    return {**default, **value} if isinstance(default, dict) and isinstance(value, dict) else value


def _new_disks(values: t.Mapping[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    return {key: disk for key, disk in values.items() if is_volume(key) and disk and not disk.get("volume")}
