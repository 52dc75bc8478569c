# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a VM's declaration leaves open, decided once, before it is created or changed."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.backup import with_backup
from ansible_collections.pve.provision.plugins.module_utils._guests.clone import with_source
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.defaults import with_defaults
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.disk_life import with_moves
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.disks import (
    FITTING,
    format_on,
    new_disks,
    place_disks,
)
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import BUSES, DISK, IMPORT, is_drive
from ansible_collections.pve.provision.plugins.module_utils._model.volume import shrinks


def complete(facts: Facts, wanted: Wanted) -> Wanted:
    """Fill in what is open of a new VM: defaults, where each disk goes, and what it is made from."""
    if wanted.copied is not None:
        return _copied(facts, wanted)
    return _with_images(facts, place_disks(facts, with_defaults(wanted)))


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
    wanted = _with_sources(facts, wanted, there or {})
    asked = (there is None and wanted.more.get("golden")) or any(
        value and {"image", "iso"} & value.keys()
        for value in wanted.declaration.values.values()
        if isinstance(value, dict)
    )
    if not asked:
        return _with_growth(facts, wanted, there or {})
    # What brings images is read from disk only where one is declared.
    from ansible_collections.pve.provision.plugins.module_utils._guests.vm.golden import with_golden
    from ansible_collections.pve.provision.plugins.module_utils._guests.vm.image import with_images
    from ansible_collections.pve.provision.plugins.module_utils._guests.vm.read import wanted_vm

    if there is None:
        wanted = with_golden(facts, wanted, wanted_vm)
    return _with_growth(facts, with_images(facts, wanted, there), there or {})


def _with_sources(facts: Facts, wanted: Wanted, there: t.Mapping[str, str]) -> Wanted:
    """The VM, and what its new disks are to be copied from that is not there."""
    findings = []
    for key, disk in new_disks(wanted.declaration.values, there).items():
        source = str(disk.get(IMPORT) or "")
        if not source or key in wanted.more.get(FITTING, ()):
            continue
        if facts.lacks(source) if source.startswith("/") else facts.find_volume(source) is None:
            path = f"{wanted.declaration.paths.get(key, key)}.import_from"
            remedy = "Name a volume that is there, such as local:import/NAME, or a file of the node."
            findings.append(Finding(path, source, f"does not exist on node {facts.node.name}", remedy))
    return dataclasses.replace(wanted, findings=(*wanted.findings, *findings))


def _with_growth(facts: Facts, wanted: Wanted, there: t.Mapping[str, str]) -> Wanted:
    """A new disk has the size of what it is made from or is first, and grows to the declared one."""
    done = {*there, *wanted.more.get(FITTING, ())}
    grow: dict[str, int] = {}
    findings: list[Finding] = []
    for key, value in wanted.declaration.values.items():
        if not key.startswith(BUSES) or not isinstance(value, dict) or not value.get("size"):
            continue
        volume = "" if is_drive(value) else str(value.get("volume") or "")
        if key in done and volume in ("", DISK.read(there.get(key, "")).get("volume")):
            continue
        found = facts.find_volume(volume) if ":" in volume else None
        if value.get(IMPORT) or (found and found.size < value["size"]):
            grow[key] = value["size"]
        elif found:
            findings += shrinks(wanted.declaration.paths.get(key, key), found.size, value["size"])
    return dataclasses.replace(wanted, grow={**wanted.grow, **grow}, findings=(*wanted.findings, *findings))
