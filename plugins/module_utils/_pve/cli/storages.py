# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: storages and what lies on them, by files where they are directories."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError, TaskFailed, Timeout
from ansible_collections.pve.provision.plugins.module_utils._io.files import atomic_file
from ansible_collections.pve.provision.plugins.module_utils._model.appliances import Appliance, containers, paragraphs
from ansible_collections.pve.provision.plugins.module_utils._pve import config_text, directory, error_messages
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import Commands
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.tasks import succeeded
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Outcome, Storage, Volume
from ansible_collections.pve.provision.plugins.module_utils._pve.values import flag, volumes_of

# Where PVE keeps its indexes of templates, each called like its server (pve-manager, APLInfo.pm), and what is relative
# in them begins with.
_INDEXES = "var/lib/pve-manager/apl-info"
_SERVERS = {
    "download.proxmox.com": "http://download.proxmox.com/images",
    "releases.turnkeylinux.org": "https://releases.turnkeylinux.org/pve",
}
_CHAINS = "snapshot-as-volume-chain"
_UPID = re.compile(r"UPID:[^\s\"']+")


class CliStorages:
    """The storages of the node."""

    def __init__(self, root: Root, commands: Commands) -> None:
        self._root = root
        self._commands = commands
        self._storages: list[Storage] | None = None

    def all(self) -> list[Storage]:
        """Read once: a run asks in several places, and its own writes do not change what is decided by it."""
        if self._storages is None:
            self._storages = self._read_storages()
        return self._storages

    def _read_storages(self) -> list[Storage]:
        entries = self._root.storages()
        capacity = {}
        if any(entry.enabled for entry in entries):
            status = self._commands.run(["pvesm", "status"])
            capacity = config_text.parse_storage_status(status.stdout)
        return [
            Storage(
                entry.name,
                entry.type,
                entry.content,
                active,
                entry.enabled,
                entry.shared,
                entry.path,
                total,
                used,
                available,
                chains=flag(entry.section.options.get(_CHAINS)),
            )
            for entry in entries
            for active, total, used, available in [capacity.get(entry.name, (False, None, None, None))]
        ]

    def volumes(self, storage: str, content: str | None = None) -> list[Volume]:
        entry = self._root.storage(storage)
        if entry.type == "dir" and entry.path:
            places = config_text.parse_vmlist(self._root.text("etc/pve/.vmlist"))
            containers = {vmid for vmid, place in places.items() if place.kind == "lxc"}
            return directory.list_volumes(entry, containers, content)
        options = ["--content", content] if content else []
        return volumes_of(
            self._commands.json(["pvesh", "get", f"/nodes/{self._root.node}/storage/{storage}/content", *options])
        )

    def backup_config(self, volid: str) -> GuestConfig:
        return config_text.parse_guest_config(self._commands.read(["pvesm", "extractconfig", volid]).encode())

    def type_of(self, storage: str) -> str:
        """The type of a storage, from its configuration."""
        return self._root.storage(storage).type

    def volume_path(self, volid: str) -> str:
        storage, _colon, name = volid.partition(":")
        entry = self._root.storage(storage)
        if entry.type == "dir" and (path := directory.volume_path(entry, name)):
            return str(path)
        return self._commands.read(["pvesm", "path", volid]).strip()

    def appliances(self) -> list[Appliance]:
        return [
            appliance
            for host in self._root.names(_INDEXES)
            for appliance in containers(paragraphs(self._root.text(f"{_INDEXES}/{host}")), _SERVERS.get(host, ""))
        ]

    def free(self, volid: str) -> None:
        self._commands.write(["pvesm", "free", volid])

    def download_url(
        self, storage: str, content: str, filename: str, url: str, *, checksum: tuple[str, str] | None, timeout: int
    ) -> Outcome:
        options = {"content": content, "filename": filename, "url": url}
        if checksum:
            options["checksum-algorithm"], options["checksum"] = checksum
        path = f"/nodes/{self._root.node}/storage/{storage}/download-url"
        outcome = self._commands.write(["pvesh", "create", path], options, timeout=timeout)
        return self._verified(f"download of {filename} to {storage}", outcome)

    def _verified(self, step: str, outcome: Outcome) -> Outcome:
        """Look up how a task ended that pvesh started: pvesh itself exits 0 however it ended."""
        log = error_messages.tail_of(outcome.log)
        upids = _UPID.findall("\n".join(outcome.log))
        if not upids:
            raise TaskFailed(f"{step}: PVE named no task.", log=log)
        status = self._commands.json(["pvesh", "get", f"/nodes/{self._root.node}/tasks/{upids[-1]}/status"])
        ending = str(status.get("exitstatus", "ended without output"))
        if not succeeded(ending):
            raise error_messages.error_of(step, ending, otherwise=TaskFailed, log_tail=log, upid=upids[-1], log=log)
        return Outcome(outcome.log, outcome.warnings, upids[-1])

    def upload(self, storage: str, content: str, path: str, filename: str, *, timeout: int) -> Outcome:
        """Copy a file into the storage's folder; it gets its name only when it is whole."""
        deadline = self._commands.clock.now() + timeout
        target = Path(self.volume_path(f"{storage}:{content}/{filename}"))
        try:
            if self._root.storage(storage).type == "dir":
                target.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "rb") as source, atomic_file(target) as sink:
                while block := source.read(1 << 22):
                    sink.write(block)
                    if self._commands.clock.now() > deadline:
                        raise Timeout(f"Copying {path} to {storage} took longer than {timeout} s.")
        except OSError as error:
            raise PveError(f"Copying {path} to {storage}: {error}") from error
        return Outcome()
