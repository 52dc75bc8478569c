# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a node says against the options of a container."""

from __future__ import annotations

import difflib
import functools
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Values, Wanted
from ansible_collections.pve.provision.plugins.module_utils._guests import hookscript
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import FEATURES
from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues
from ansible_collections.pve.provision.plugins.module_utils._model.volume import MOUNT_POINT, storage_of

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.planned_guest import PlannedGuest, Report

ZONE_TAB: t.Final = Path("/usr/share/zoneinfo/zone.tab")


def check_node(report: Report, facts: Facts, planned: PlannedGuest, touched: Values) -> None:
    """What the node lacks: devices, a hook script, a time zone."""
    _check_devices(report, facts, planned, touched)
    hookscript.check(report, facts, touched)
    _check_time_zone(report, touched)


def root_only(
    wanted: Wanted, actual: Actual, touched: Values, deleted: t.Collection[str]
) -> t.Iterator[tuple[str, object, str]]:
    """The options that PVE takes from root@pam alone, never from an API token (pve-container, API2/LXC.pm)."""
    path = wanted.declaration.paths
    current = actual.config.options if actual.config else {}
    unprivileged = wanted.declaration.values.get("unprivileged", current.get("unprivileged") == "1" or not current)
    before = FEATURES.normal(FEATURES.parse(current.get("features", "")))
    after = {} if "features" in deleted else FEATURES.normal({**before, **(touched.get("features") or {})})
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name) and (name != "nesting" or not unprivileged):
            which = "of a privileged container" if name == "nesting" else ""
            yield f"features.{name}", after.get(name, False), which
    for key in deleted:
        if _is_device(key):
            yield path.get(key, key), None, ""
    for key, value in touched.items():
        if _is_device(key):
            yield path[key], value.get("path"), ""
        if key.startswith("mp") and str(value.get("volume") or "").startswith("/"):
            yield f"{path[key]}.bind", value["volume"], ""
    yield from hookscript.root_only(touched, deleted)


def _is_device(key: str) -> bool:
    return key.startswith("dev") and key[3:].isdigit()


def check_volume(report: Report, facts: Facts, planned: PlannedGuest, key: str, value: SubValues) -> None:
    """A volume says what it is, and what it is made from is there."""
    if key not in planned.before:
        _check_new(report, key, planned.path(key), value)
    _check_source(report, facts, planned, key, value)


def _check_new(report: Report, key: str, path: str, value: SubValues) -> None:
    """What a volume needs that is not there yet."""
    if not value.get("volume") and not value.get("storage"):
        remedy = "State storage and size for a new volume, bind for a directory of the node, or volume for a volid."
        report.add(path, None, "does not say what to mount", remedy)
    elif key.startswith("mp") and value.get("storage") and value.get("size") is None:
        report.add(f"{path}.size", None, "is missing: a new volume needs one", "State a size such as 8G.")
    if key.startswith("mp") and not value.get("mp") and not report.tells(f"{path}.mp"):
        report.add(f"{path}.mp", None, "is missing", "Say where it appears in the guest, such as /srv/data.")


def _check_source(report: Report, facts: Facts, planned: PlannedGuest, key: str, value: SubValues) -> None:
    """A volume or directory that is named for the first time must be there."""
    volume = str(value.get("volume") or "")
    path = planned.path(key)
    if not volume or volume == MOUNT_POINT.read(planned.before.get(key, "")).get("volume"):
        return
    if volume.startswith("/"):
        if facts.lacks(volume):
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
        elif found.vmid not in (None, planned.vmid):
            report.warnings.append(f"{path}.volume: {volume} belongs to guest {found.vmid}, and goes when that does")


def _check_devices(report: Report, facts: Facts, planned: PlannedGuest, touched: Values) -> None:
    for key, value in touched.items():
        if _is_device(key) and value.get("path") and facts.lacks(value["path"]):
            path = f"{planned.path(key)}.path"
            problem = f"does not exist on node {facts.node.name}"
            report.add(path, value["path"], problem, "Load its kernel module there.")


def _check_time_zone(report: Report, touched: Values) -> None:
    zone = str(touched.get("timezone") or "host")
    known = _time_zones(ZONE_TAB) if zone not in ("host", "UTC") else None
    if not known or zone in known:
        return
    near = difflib.get_close_matches(zone, sorted(known), 1)
    remedy = f"Did you mean {near[0]}?" if near else "Use a name of zone.tab such as Europe/Berlin, UTC, or host."
    report.add("timezone", zone, "is not a time zone that Proxmox VE knows", remedy)


@functools.cache
def _time_zones(table: Path) -> frozenset[str]:
    """The time zones that PVE takes: those of zone.tab, as this machine has it; none where it has no such file."""
    try:
        text = table.read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    return frozenset(line.split("\t")[2] for line in text.splitlines() if line and not line.startswith("#"))
