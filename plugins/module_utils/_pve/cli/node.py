# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: reach a node from the node itself, by PVE's commands and by its files.

Reading is done from files wherever PVE keeps one, since a command costs half a second and a file nothing. What starts a
command: writing, the capacity of storages, what lies on a storage that is no plain directory, and a guest's addresses.
What only the kernel knows of the node's network is asked of ``ip``, which costs next to nothing.
Every path goes through ``root`` (environment variable ``PVE_ROOT``), which is ``/`` on a real node.
"""

from __future__ import annotations

import os
import re
import typing as t
from pathlib import Path
from urllib.parse import quote

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput, Unreachable
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM, Clock
from ansible_collections.pve.provision.plugins.module_utils._io.locks import held
from ansible_collections.pve.provision.plugins.module_utils._pve import config_text, processes
from ansible_collections.pve.provision.plugins.module_utils._pve.backups import Backups
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.agent import CliAgent
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.backups import CliBackups
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.changes import CliChanges
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.cloud_init import CliCloudInit, CliSnippets
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.cluster import CliCluster
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import Commands
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.containers import CliContainers
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.files import CliFiles
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.guests import CliGuests
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.hardware import CliHardware
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.leftovers import CliLeftovers
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.network import CliNetwork
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.running import CliRunning
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.snapshots import CliSnapshots
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.storages import CliStorages
from ansible_collections.pve.provision.plugins.module_utils._pve.cloud_init import CloudInit, Snippets
from ansible_collections.pve.provision.plugins.module_utils._pve.hardware import Hardware
from ansible_collections.pve.provision.plugins.module_utils._pve.journal import Journal
from ansible_collections.pve.provision.plugins.module_utils._pve.node import (
    Containers,
    Downloads,
    Files,
    GuestAgent,
    Leftovers,
    Notes,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.processes import Runner
from ansible_collections.pve.provision.plugins.module_utils._pve.snapshots import Snapshots
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Access


class CliNode:
    """The node this process runs on. ``timeout`` (s) bounds the verbs that take none of their own."""

    root_login = True
    lists_suspended = False
    downloads: Downloads | None = None

    def __init__(
        self,
        name: str,
        *,
        root: Path = Path("/"),
        runner: Runner = processes.run,
        timeout: int = 60,
        clock: Clock = SYSTEM,
    ) -> None:
        self.name = name
        self.clock = clock
        self._root = Root(name, root)
        self._commands = commands = Commands(runner, timeout, clock)
        state = root / "var/lib/pve-provision"
        self.journal: Notes = Journal(state / "journal")
        self.ungrown: Notes = Journal(state / "ungrown")
        self._assemble(commands)

    def _assemble(self, commands: Commands) -> None:
        """What a node can do, from the classes that do it, each about one subject."""
        guests = CliGuests(self._root)
        self.guests, self.elsewhere = guests.here, guests.elsewhere
        self.named, self.locate, self.cluster_guests = guests.named, guests.locate, guests.everywhere
        self.config, self.configs, self.status = guests.config, guests.configs, guests.status
        self.lxc_lines = guests.lxc_lines
        self.busy, self.being_made = guests.busy, guests.being_made
        self.next_vmid, self.free_vmids = guests.next_vmid, guests.free_vmids

        changes = CliChanges(self._root, commands, guests)
        self.create, self.clone, self.destroy = changes.create, changes.clone, changes.destroy
        self.make_template, self.move_disk = changes.make_template, changes.move_disk
        self.reassign_volume = changes.reassign_volume
        self.set_config, self.resize, self.join_pool = changes.set_config, changes.resize, changes.join_pool
        self.start, self.stop, self.shutdown = changes.start, changes.stop, changes.shutdown
        self.suspend, self.resume, self.send_key = changes.suspend, changes.resume, changes.send_key

        storages = CliStorages(self._root, commands)
        self.storages, self.volumes, self.free = storages.all, storages.volumes, storages.free
        self.backup_config = storages.backup_config
        self.download_url, self.upload = storages.download_url, storages.upload
        self.appliances = storages.appliances

        cluster = CliCluster(self._root, commands, guests)
        self.nodes, self.membership = cluster.nodes, cluster.membership
        self.ha_managed, self.replicated, self.migrate = cluster.ha_managed, cluster.replicated, cluster.migrate

        network = CliNetwork(self._root, commands)
        self.bridges, self.links, self.neighbours = network.bridges, network.links, network.neighbours
        self._add_capabilities(commands, guests, changes, storages)

    def _add_capabilities(
        self, commands: Commands, guests: CliGuests, changes: CliChanges, storages: CliStorages
    ) -> None:
        """What not every way to a node can do."""
        self.hardware: Hardware = CliHardware(self._root, commands)
        agent = CliAgent(self._root, commands)
        self.agent: GuestAgent = agent
        running = CliRunning(self._root, commands, agent)
        self.interfaces, self.outdated = running.interfaces, running.outdated
        self.local_addresses = running.local_addresses

        self.containers: Containers | None = CliContainers(self._root, commands, guests, storages)
        self.backups: Backups = CliBackups(self._root, commands, changes)
        self.cloud_init: CloudInit = CliCloudInit(commands)
        self.snapshots: Snapshots = CliSnapshots(self._root, commands)
        self.snippets: Snippets | None = CliSnippets(self._root, storages)
        self.files: Files | None = CliFiles(self._root, storages)
        self.leftovers: Leftovers | None = CliLeftovers(self._root, commands, storages)

    @classmethod
    def here(cls, params: t.Mapping[str, t.Any], clock: Clock) -> CliNode:
        """The node whose files are under ``PVE_ROOT`` (unset: ``/``)."""
        root = Path(os.environ.get("PVE_ROOT") or "/")
        try:
            name = Path(os.readlink(root / "etc/pve/local")).name
        except OSError as error:
            raise Unreachable(
                f"This machine is not a Proxmox VE node, or its cluster file system is not up: {error}.",
                remedy="Run the task on a node, or set api_host to speak to the API of one.",
            ) from error
        if params.get("node") not in (None, "", name):
            problem = f"is not the node this runs on, which is {name}"
            raise InvalidInput([Finding("node", params["node"], problem, "Run the task there, or set api_host")])
        return cls(name, root=root, timeout=int(params.get("timeout") or 600), clock=clock)

    def on(self, name: str) -> CliNode | None:
        return self if name == self.name else None

    def pools(self) -> dict[str, frozenset[int]]:
        return config_text.parse_pools(self._root.text("etc/pve/user.cfg"))

    def access(self) -> Access | None:
        return None

    def version(self) -> str:
        """From the file that ``pveversion`` has it from."""
        found = re.search(r"sub version \{\s*return '([^']*)'", self._root.text("usr/share/perl5/PVE/pvecfg.pm"))
        return found[1] if found else ""

    def lock(self, key: str) -> t.ContextManager[None]:
        path = self._root.path / "run/lock/pve-provision" / f"{quote(key, safe='')}.lock"
        patience, clock = self._commands.timeout, self._commands.clock
        return held(path, timeout=patience, clock=clock, meanwhile=interrupt.check)
