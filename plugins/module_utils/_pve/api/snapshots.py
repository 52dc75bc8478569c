# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the snapshots of guests, over the API."""

from __future__ import annotations

from ansible_collections.pve.provision.plugins.module_utils._errors import NotFound
from ansible_collections.pve.provision.plugins.module_utils._pve.api.guests import text_of
from ansible_collections.pve.provision.plugins.module_utils._pve.api.requests import Requests
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Notes
from ansible_collections.pve.provision.plugins.module_utils._pve.snapshots import NOTES, Snapshot
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind, Outcome

# What PVE calls the guest as it is now, in its list of snapshots.
_NOW = "current"


class ApiSnapshots:
    """The snapshots of guests. A task goes on by itself, whoever asked for it, so nothing has to be noted of one."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self.rollbacks: Notes = {}

    def of(self, kind: Kind, vmid: int) -> list[Snapshot]:
        try:
            told = self._requests.ask("GET", self._requests.path(kind, vmid, "snapshot")) or []
        except NotFound:
            return []
        found = [
            Snapshot(
                str(entry["name"]),
                int(entry.get("snaptime") or 0),
                str(entry.get("description") or "").removesuffix("\n"),
                bool(entry.get("snapstate")),
            )
            for entry in told
            if entry["name"] != _NOW
        ]
        return sorted(found, key=lambda snapshot: snapshot.made)

    def options(self, kind: Kind, vmid: int, name: str) -> dict[str, str] | None:
        if name not in {snapshot.name for snapshot in self.of(kind, vmid)}:
            return None
        told = self._requests.ask("GET", self._requests.path(kind, vmid, "snapshot", name, "config"))
        return {key: text_of(key, value) for key, value in told.items() if key not in NOTES and key != "lxc"}

    def busy(self, kind: Kind, vmid: int) -> bool:
        prefix = "vz" if kind == "lxc" else "qm"
        types = {f"{prefix}{verb}" for verb in ("snapshot", "delsnapshot", "rollback")}
        return any(task["type"] in types and str(task.get("id")) == str(vmid) for task in self._requests.active_tasks())

    def release(self, kind: Kind, vmid: int) -> None:
        """Nothing was killed with a run that PVE's tasks outlive."""

    def make(self, kind: Kind, vmid: int, name: str, *, description: str, timeout: int) -> Outcome:
        path, values = self._requests.path(kind, vmid, "snapshot"), {"snapname": name, "description": description}
        return self._requests.act(f"snapshot {kind} {vmid}", "POST", path, values, timeout=timeout)

    def rollback(self, kind: Kind, vmid: int, name: str, *, timeout: int) -> Outcome:
        path = self._requests.path(kind, vmid, "snapshot", name, "rollback")
        return self._requests.act(f"rollback {kind} {vmid} to {name}", "POST", path, timeout=timeout)

    def delete(self, kind: Kind, vmid: int, name: str, *, force: bool = False, timeout: int) -> Outcome:
        path, values = self._requests.path(kind, vmid, "snapshot", name), {"force": 1 if force else None}
        return self._requests.act(f"delsnapshot {kind} {vmid} {name}", "DELETE", path, values, timeout=timeout)
