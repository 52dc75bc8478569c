# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the volumes of a guest, and the storages that they go on."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.diff import SubValues
from ansible_collections.pve.provision.plugins.module_utils._model.volume import DEFAULT_SIZE, MOUNT_POINT, storage_of
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import check_storage

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.preflight import Outlook, Report


def check_volumes(report: Report, facts: Facts, outlook: Outlook, touched: t.Mapping[str, t.Any]) -> None:
    """Each volume says what it is; each storage must be there, take volumes of such guests, and have room for all that
    goes on it."""
    needs: dict[str, tuple[int, str]] = {}
    content = outlook.wanted.type.content
    for key, value in touched.items():
        if not outlook.wanted.type.is_volume(key):
            continue
        path = outlook.path(key)
        if key not in outlook.before:
            _check_new(report, key, path, value)
        _check_source(report, facts, outlook, key, value)
        home, more = _more_room(value, outlook.before.get(key))
        if home:
            size, first = needs.get(home, (0, f"{path}.storage"))
            needs[home] = (size + more, first)
    for home, (size, path) in needs.items():
        size += facts.reserve(home, size)
        findings, warnings = check_storage(facts.storages, home, content, size, path)
        report.findings += findings
        report.warnings += warnings


def _check_new(report: Report, key: str, path: str, value: SubValues) -> None:
    """What a volume needs that is not there yet."""
    if not value.get("volume") and not value.get("storage"):
        remedy = "State storage and size for a new volume, bind for a directory of the node, or volume for a volid."
        report.add(path, None, "does not say what to mount", remedy)
    elif key.startswith("mp") and value.get("storage") and value.get("size") is None:
        report.add(f"{path}.size", None, "is missing: a new volume needs one", "State a size such as 8G.")
    if key.startswith("mp") and not value.get("mp") and not report.tells(f"{path}.mp"):
        report.add(f"{path}.mp", None, "is missing", "Say where it appears in the guest, such as /srv/data.")


def _check_source(report: Report, facts: Facts, outlook: Outlook, key: str, value: SubValues) -> None:
    """A volume or directory that is named for the first time must be there."""
    volume = str(value.get("volume") or "")
    path = outlook.path(key)
    if not volume or volume == MOUNT_POINT.read(outlook.before.get(key, "")).get("volume"):
        return
    if volume.startswith("/"):
        if facts.node.files is not None and not facts.node.files.has(volume):
            problem = f"does not exist on node {facts.node.name}"
            report.add(f"{path}.bind", volume, problem, "Make the directory first.")
    elif key == "rootfs":
        remedy = "Leave it out; storage and size say where a new one goes."
        report.add(f"{path}.volume", volume, "is not what a new container is made from", remedy)
    elif key.startswith("mp") and any(each.name == storage_of(volume) for each in facts.storages):
        found = facts.find_volume(volume)
        if found is None:
            remedy = "Name a volume that is there; for a new one state storage and size."
            report.add(f"{path}.volume", volume, f"does not exist on {storage_of(volume)}", remedy)
        elif found.vmid not in (None, outlook.vmid):
            report.warnings.append(f"{path}.volume: {volume} belongs to guest {found.vmid}, and goes when that does")


def _more_room(value: SubValues, now: str | None) -> tuple[str | None, int]:
    """Which storage a volume takes more room on, and how much: all of a new one, the growth of one that is there."""
    volume = value.get("volume")
    if now is None:
        home = value.get("storage") or (storage_of(volume) if volume else None)
        return home, 0 if volume else value.get("size") or DEFAULT_SIZE
    there = MOUNT_POINT.read(now)
    grown = (value.get("size") or 0) - (there.get("size") or 0)
    return (storage_of(there["volume"]), grown) if grown > 0 and there.get("volume") else (None, 0)
