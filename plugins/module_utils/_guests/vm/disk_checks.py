# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a node says against the volumes and snippets that a VM names, and against taking a
disk out of one that runs. PVE would say it half-way, or never."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.content import our_file
from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues, base_of
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import (
    DISK,
    PLUGGABLE,
    is_drive,
)
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import BOOT

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Values
    from ansible_collections.pve.provision.plugins.module_utils._engine.planned_guest import PlannedGuest, Report

_CUSTOM: t.Final = "cicustom"


def check_volume(report: Report, facts: Facts, planned: PlannedGuest, key: str, value: SubValues) -> None:
    """What a disk or a drive names is there."""
    path, volume = planned.path(key), str(value.get("volume") or "")
    absent = f"does not exist on node {facts.node.name}"
    if is_drive(value):
        brought = {step.shared for step in planned.wanted.obtain}
        named = path.startswith("cdroms") and ":iso/" in volume and volume not in brought
        if named and facts.find_volume(volume) is None:
            report.add(f"{path}.volume", volume, absent, "Name an image that is there.")
    elif key not in planned.before and not volume and not value.get("storage"):
        remedy = "State storage and size for a new disk, or volume for one that is there."
        report.add(path, None, "does not say what to attach", remedy)
    elif volume.startswith("/"):
        if facts.lacks(volume):
            report.add(f"{path}.volume", volume, absent, "Name what is there.")
    elif volume and volume != DISK.read(planned.before.get(key, "")).get("volume"):
        _check_named(report, facts, planned, f"{path}.volume", volume)


def _check_named(report: Report, facts: Facts, planned: PlannedGuest, option: str, volume: str) -> None:
    """A volume that is named for the first time. Two VMs that write to one destroy what is on it."""
    found = facts.find_volume(volume)
    if found is None:
        problem = f"does not exist on node {facts.node.name}"
        report.add(option, volume, problem, "Name a volume that is there; for a new one state storage and size.")
        return
    others = [guest for guest in facts.guests if guest.vmid == found.vmid != planned.vmid]
    if others:
        called = f" ({others[0].name})" if others[0].name else ""
        remedy = "Give it to this VM by 'qm disk move' with --target-vmid, or copy it by import_from."
        report.add(option, volume, f"is a volume of guest {found.vmid}{called}", remedy)


def check_removed(report: Report, planned: PlannedGuest) -> None:
    """PVE takes no disk out of a running VM that it boots from, and neither does the VM's next start."""
    boots = BOOT.read(planned.live.get("boot", "")).get("order") or ()
    for key in planned.change.delete:
        if key in boots and base_of(key) in PLUGGABLE and key not in planned.change.restart:
            remedy = "Declare state=stopped beside it, and start the VM then."
            report.add(planned.path(key), None, "is what the running VM boots from, so that it cannot go", remedy)


def check_snippets(report: Report, facts: Facts, touched: Values) -> None:
    """The snippets of somebody's own that cloud-init is to read are there; PVE fails over them at the next start."""
    for part, volid in (touched.get(_CUSTOM) or {}).items():
        if volid and not our_file(str(volid)) and facts.find_volume(str(volid)) is None:
            problem = f"does not exist on node {facts.node.name}"
            remedy = "Put it into the snippets of a storage, and give its volid, such as local:snippets/web.yaml."
            report.add(f"cloud_init.custom.{part}", volid, problem, remedy)
