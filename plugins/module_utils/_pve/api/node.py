# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: reach a node from anywhere, by PVE's HTTPS API."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock
from ansible_collections.pve.provision.plugins.module_utils._pve.api.agent import ApiAgent
from ansible_collections.pve.provision.plugins.module_utils._pve.api.backups import ApiBackups
from ansible_collections.pve.provision.plugins.module_utils._pve.api.changes import ApiChanges
from ansible_collections.pve.provision.plugins.module_utils._pve.api.client import Client
from ansible_collections.pve.provision.plugins.module_utils._pve.api.cloud_init import ApiCloudInit
from ansible_collections.pve.provision.plugins.module_utils._pve.api.cluster import ApiCluster
from ansible_collections.pve.provision.plugins.module_utils._pve.api.guests import ApiGuests
from ansible_collections.pve.provision.plugins.module_utils._pve.api.hardware import ApiHardware
from ansible_collections.pve.provision.plugins.module_utils._pve.api.network import ApiNetwork
from ansible_collections.pve.provision.plugins.module_utils._pve.api.requests import Requests
from ansible_collections.pve.provision.plugins.module_utils._pve.api.snapshots import ApiSnapshots
from ansible_collections.pve.provision.plugins.module_utils._pve.api.storages import ApiDownloads, ApiStorages
from ansible_collections.pve.provision.plugins.module_utils._pve.backups import Backups
from ansible_collections.pve.provision.plugins.module_utils._pve.cloud_init import CloudInit, Snippets
from ansible_collections.pve.provision.plugins.module_utils._pve.hardware import Hardware
from ansible_collections.pve.provision.plugins.module_utils._pve.node import (
    Containers,
    Downloads,
    Files,
    GuestAgent,
    Leftovers,
    Notes,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.snapshots import Snapshots
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Access


class ApiNode:
    """A node behind the API. ``timeout`` (s) bounds the verbs that take none of their own."""

    lists_suspended = True
    containers: Containers | None = None
    files: Files | None = None
    snippets: Snippets | None = None
    leftovers: Leftovers | None = None

    def __init__(
        self,
        name: str,
        client: Client,
        *,
        login: str = "",
        root_login: bool = False,
        timeout: int = 60,
        journal: Notes | None = None,
    ) -> None:
        self.name = name
        self.clock = client.clock
        self.root_login = root_login
        self._login = login
        self._client = client
        self._timeout = timeout
        self._requests = requests = Requests(client, name, timeout)
        # A task outlives whoever started it and ends well or cleans up, so nothing has to be kept between runs.
        self.journal: Notes = {} if journal is None else journal
        self.ungrown: Notes = {}
        self.agent: GuestAgent = ApiAgent(requests)
        self.hardware: Hardware = ApiHardware(requests)
        self.cloud_init: CloudInit = ApiCloudInit(requests)
        self.snapshots: Snapshots = ApiSnapshots(requests)
        self._assemble(requests)

    def _assemble(self, requests: Requests) -> None:
        """What a node can do, from the classes that do it, each about one subject."""
        guests = ApiGuests(requests, self._login, self.journal)
        self.guests, self.elsewhere = guests.here, guests.elsewhere
        self.named, self.locate, self.cluster_guests = guests.named, guests.locate, guests.everywhere
        self.config, self.configs, self.status = guests.config, guests.configs, guests.status
        self.lxc_lines = guests.lxc_lines
        self.busy, self.being_made = guests.busy, guests.being_made
        self.next_vmid, self.free_vmids = guests.next_vmid, guests.free_vmids
        self.interfaces, self.outdated = guests.interfaces, guests.outdated
        self.local_addresses = guests.local_addresses

        changes = ApiChanges(requests, guests)
        self.create, self.clone, self.destroy = changes.create, changes.clone, changes.destroy
        self.make_template, self.move_disk = changes.make_template, changes.move_disk
        self.reassign_volume = changes.reassign_volume
        self.set_config, self.resize, self.join_pool = changes.set_config, changes.resize, changes.join_pool
        self.start, self.stop, self.shutdown = changes.start, changes.stop, changes.shutdown
        self.suspend, self.resume, self.send_key = changes.suspend, changes.resume, changes.send_key

        storages = ApiStorages(requests)
        self.storages, self.volumes, self.free = storages.all, storages.volumes, storages.free
        self.backup_config = storages.backup_config
        self.backups: Backups = ApiBackups(requests, storages)
        self.download_url, self.upload = storages.download_url, storages.upload
        self.appliances = storages.appliances
        self.downloads: Downloads | None = ApiDownloads(requests)

        cluster = ApiCluster(requests, guests)
        self.nodes, self.membership = cluster.nodes, cluster.membership
        self.ha_managed, self.replicated, self.migrate = cluster.ha_managed, cluster.replicated, cluster.migrate

        network = ApiNetwork(requests)
        self.bridges, self.links, self.neighbours = network.bridges, network.links, network.neighbours

    @classmethod
    def connect(cls, params: t.Mapping[str, t.Any], clock: Clock) -> ApiNode:
        """The node that ``node`` names, the only one online, or the one that has the guest ``vmid``."""
        client = Client.connect(params, clock)
        root_login = params.get("api_user") == "root@pam" and not params.get("api_token_id")
        name = params.get("node") or _choose(client, params.get("vmid"), any_node=params.get("any_node", False))
        token = f"!{params['api_token_id']}" if params.get("api_token_id") else ""
        login = f"{params['api_user']}{token}"
        return cls(name, client, login=login, root_login=root_login, timeout=int(params.get("timeout") or 600))

    def on(self, name: str) -> ApiNode:
        if name == self.name:
            return self
        return ApiNode(
            name,
            self._client,
            login=self._login,
            root_login=self.root_login,
            timeout=self._timeout,
            journal=self.journal,  # vmids are the cluster's
        )

    def pools(self) -> dict[str, frozenset[int]]:
        names = [entry["poolid"] for entry in self._requests.ask("GET", "/pools") or []]
        if not names:
            return {}
        guests = self._requests.ask("GET", "/cluster/resources", {"type": "vm"}) or []
        return {name: frozenset(int(guest["vmid"]) for guest in guests if guest.get("pool") == name) for name in names}

    def access(self) -> Access | None:
        if self.root_login:
            return None
        told = self._requests.ask("GET", "/access/permissions") or {}
        paths = {path: {name: bool(int(value)) for name, value in held.items()} for path, held in told.items()}
        return Access(self._login, paths)

    def version(self) -> str:
        return str((self._requests.ask("GET", f"/nodes/{self.name}/version") or {}).get("version", ""))

    def lock(self, key: str) -> t.ContextManager[None]:
        return contextlib.nullcontext()


def _choose(client: Client, vmid: int | None, *, any_node: bool) -> str:
    """The node to work on when none is named."""
    online = sorted(entry["node"] for entry in client("GET", "/nodes") or [] if entry.get("status") == "online")
    if len(online) > 1 and vmid is not None:
        entries = client("GET", "/cluster/resources", {"type": "vm"}) or []
        online = [entry["node"] for entry in entries if int(entry["vmid"]) == vmid] or online
    if len(online) == 1 or (online and any_node):
        return str(online[0])
    names = f"one of {', '.join(online)}" if online else "though no node is online"
    raise InvalidInput([Finding("node", None, "has to be named", f"Set node: {names}")])
