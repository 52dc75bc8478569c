# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: back guests up to a storage and restore them, over the API.

A backup of ours is known by its notes, which name the guest and its node. It is protected, so that no other job prunes
it or counts it (pve-manager, VZDump.pm).
"""

from __future__ import annotations

import re
import threading
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._pve.api.requests import Requests
from ansible_collections.pve.provision.plugins.module_utils._pve.api.storages import ApiStorages
from ansible_collections.pve.provision.plugins.module_utils._pve.backups import MODES, Note
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind, Storage

_NOTES: t.Final = "kept by pve.provision until {{guestname}} on {{node}} has passed its checks"
_OURS: t.Final = re.compile(r"kept by pve\.provision until (?P<name>.+) on (?P<node>\S+) has passed its checks")
_FILE: t.Final = re.compile(r"[^:]+:backup/vzdump-(?P<kind>lxc|qemu)-(?P<vmid>\d+)-")


class ApiBackups:
    """Backups of guests on the storages of a node."""

    def __init__(self, requests: Requests, storages: ApiStorages) -> None:
        self._requests = requests
        self._storages = storages
        self._seen: list[tuple[int, Note]] | None = None
        self._reading = threading.RLock()
        self._turn = threading.Lock()

    def places(self) -> list[Storage]:
        """A Proxmox Backup Server has rights of its own about who removes a backup."""
        there = self._storages.all()
        return [each for each in there if "backup" in each.content and each.active and each.type != "pbs"]

    def notes(self) -> dict[int, Note]:
        return dict(self._all())

    def _all(self) -> list[tuple[int, Note]]:
        """The backups of ours by vmid, the newest of a guest last; read once."""
        with self._reading:
            if self._seen is None:
                self._seen = [each for place in self.places() for each in self._on(place.name)]
            return self._seen

    def _on(self, storage: str) -> t.Iterator[tuple[int, Note]]:
        for volume in self._storages.volumes(storage, "backup"):
            told, file = _OURS.fullmatch(volume.notes), _FILE.match(volume.volid)
            if told and file and told["node"] == self._requests.node:
                yield int(file["vmid"]), {"kind": file["kind"], "archive": volume.volid, "name": told["name"]}

    def archive(self, vmid: int, *, kind: Kind = "lxc", place: str = "", timeout: int) -> str:
        earlier = self.kept(vmid)
        options = {"mode": MODES[kind], "compress": "zstd", "remove": 0, "lockwait": 1, "protected": 1}
        values = {"vmid": vmid, "storage": place, "notes-template": _NOTES, **options}
        with self._turn:
            path = f"/nodes/{self._requests.node}/vzdump"
            self._requests.act(f"back up {kind} {vmid}", "POST", path, values, timeout=timeout)
        found = [(owner, note) for owner, note in self._on(place) if owner == vmid and note["archive"] not in earlier]
        if not found:
            raise PveError(f"vzdump of {vmid} reported no error, but left no backup on {place}.")
        self.discard(vmid)
        with self._reading:
            self._all().extend(found)
        return str(found[-1][1]["archive"])

    def restore(
        self,
        vmid: int,
        archive: str,
        options: t.Mapping[str, str],
        *,
        kind: Kind = "lxc",
        over: bool = False,
        timeout: int,
    ) -> None:
        source = {"archive": archive} if kind == "qemu" else {"ostemplate": archive, "restore": "1"}
        values = {"vmid": vmid, **source, "force": int(over), **options}
        path = f"/nodes/{self._requests.node}/{kind}"
        self._requests.act(f"restore {kind} {vmid}", "POST", path, values, timeout=timeout)

    def kept(self, vmid: int) -> list[str]:
        return [str(note["archive"]) for owner, note in self._all() if owner == vmid]

    def discard(self, vmid: int) -> None:
        for volid in self.kept(vmid):
            self._storages.unprotect(volid)
            self._storages.free(volid)
        with self._reading:
            self._seen = [each for each in self._all() if each[0] != vmid]
