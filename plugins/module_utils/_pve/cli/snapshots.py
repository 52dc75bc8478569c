# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the snapshots of guests, by the node's files and PVE's commands."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._pve import config_text, processes
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import COMMAND, Commands
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.journal import Journal
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Notes
from ansible_collections.pve.provision.plugins.module_utils._pve.snapshots import NOTES, Snapshot
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind, Outcome


class CliSnapshots:
    """The snapshots of the guests of this node."""

    def __init__(self, root: Root, commands: Commands) -> None:
        self._root = root
        self._commands = commands
        self.rollbacks: Notes = Journal(root.path / "var/lib/pve-provision/rollbacks")

    def of(self, kind: Kind, vmid: int) -> list[Snapshot]:
        raw = self._root.read(self._root.config_path(kind, vmid))
        found = [
            Snapshot(name, int(section.get("snaptime", 0)), section.get("description", ""), "snapstate" in section)
            for name, section in config_text.snapshot_sections(raw or b"").items()
        ]
        return sorted(found, key=lambda snapshot: snapshot.made)

    def options(self, kind: Kind, vmid: int, name: str) -> dict[str, str] | None:
        raw = self._root.read(self._root.config_path(kind, vmid))
        found = config_text.snapshot_sections(raw or b"").get(name)
        return None if found is None else {key: text for key, text in found.items() if key not in NOTES}

    def busy(self, kind: Kind, vmid: int) -> bool:
        return processes.is_snapshotting(kind, vmid, self._root.path)

    def release(self, kind: Kind, vmid: int) -> None:
        frozen = f"sys/fs/cgroup/lxc/{vmid}/cgroup.freeze"
        if kind == "lxc" and self._root.text(frozen).strip() == "1":
            try:
                (self._root.path / frozen).write_text("0", encoding="ascii")
            except OSError as error:
                raise PveError(f"CT {vmid} is frozen, and cannot be thawed: {error.strerror}.") from error

    def make(self, kind: Kind, vmid: int, name: str, *, description: str, timeout: int) -> Outcome:
        return self._do(kind, "snapshot", vmid, name, {"description": description}, timeout)

    def rollback(self, kind: Kind, vmid: int, name: str, *, timeout: int) -> Outcome:
        return self._do(kind, "rollback", vmid, name, {}, timeout)

    def delete(self, kind: Kind, vmid: int, name: str, *, force: bool = False, timeout: int) -> Outcome:
        return self._do(kind, "delsnapshot", vmid, name, {"force": "1"} if force else {}, timeout)

    def _do(self, kind: Kind, verb: str, vmid: int, name: str, options: t.Mapping[str, str], timeout: int) -> Outcome:
        return self._commands.write([COMMAND[kind], verb, str(vmid), name], options, timeout=timeout)
