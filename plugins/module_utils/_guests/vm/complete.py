# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a VM's declaration leaves open, decided once, before it is created or changed."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._guests.backup import with_backup
from ansible_collections.pve.provision.plugins.module_utils._guests.clone import with_source
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.disk_life import with_moves
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.disks import format_on, place_disks
from ansible_collections.pve.provision.plugins.module_utils._model.option import base_of
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import SMALL

# The controller that new disks on SCSI are fastest behind, each with a thread of its own where that is declared.
CONTROLLER: t.Final = "virtio-scsi-single"
# A store for the firmware's variables, without Microsoft's keys: nothing here is signed. Its size in bytes.
EFIDISK: t.Final[dict[str, t.Any]] = {"efitype": "4m", "pre-enrolled-keys": False, "size": SMALL}


def complete(facts: Facts, wanted: Wanted) -> Wanted:
    """Fill in what is open of a new VM: defaults, where each disk goes, and what it is made from."""
    if wanted.copied is not None:
        return _copied(facts, wanted)
    declared = wanted.declaration
    values = {key: _over(wanted.defaults.get(key), value) for key, value in declared.values.items()}
    values = {**{key: value for key, value in wanted.defaults.items() if key not in values}, **values}
    if values.get("bios") == "ovmf":
        values["efidisk0"] = _over(EFIDISK, values.get("efidisk0") or {})
    if any(base_of(key) == "scsi" and value for key, value in values.items()):
        values.setdefault("scsihw", CONTROLLER)
    wanted = dataclasses.replace(wanted, declaration=dataclasses.replace(declared, values=values))
    return _with_images(facts, place_disks(facts, wanted))


def _copied(facts: Facts, wanted: Wanted) -> Wanted:
    """What a clone, or what is restored, has its options from; disks that it gets besides are as those of any VM."""
    if wanted.clone is not None:
        wanted = with_source(facts, wanted, wanted.clone)
    elif wanted.backup is not None:
        wanted = with_backup(facts, wanted, wanted.backup)
    there = wanted.copied.options if wanted.copied else {}
    return _with_images(facts, place_disks(facts, wanted, there), there)


def complete_change(facts: Facts, wanted: Wanted, actual: Actual) -> Wanted:
    """The same for the disks that a VM gets which is there already."""
    there = actual.config.options if actual.config else {}
    wanted = with_moves(facts, wanted, actual, format_on)
    return _with_images(facts, place_disks(facts, wanted, there), there)


def _with_images(facts: Facts, wanted: Wanted, there: t.Mapping[str, str] | None = None) -> Wanted:
    asked = (there is None and wanted.more.get("golden")) or any(
        value and {"image", "iso"} & value.keys()
        for value in wanted.declaration.values.values()
        if isinstance(value, dict)
    )
    if not asked:
        return wanted
    # What brings images is read from disk only where one is declared.
    from ansible_collections.pve.provision.plugins.module_utils._guests.vm.golden import with_golden
    from ansible_collections.pve.provision.plugins.module_utils._guests.vm.image import with_images
    from ansible_collections.pve.provision.plugins.module_utils._guests.vm.read import wanted_vm

    if there is None:
        wanted = with_golden(facts, wanted, wanted_vm)
    return with_images(facts, wanted, there)


def _over(default: t.Any, value: t.Any) -> t.Any:
    """A declared value; what a property string leaves open comes from the default."""
    return {**default, **value} if isinstance(default, dict) and isinstance(value, dict) else value
