# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the guests of the cluster as the API tells them."""

from __future__ import annotations

import contextlib
import itertools
import typing as t
from concurrent import futures
from urllib.parse import unquote

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    Finding,
    InvalidInput,
    NotFound,
    PveError,
    Timeout,
    Unreachable,
)
from ansible_collections.pve.provision.plugins.module_utils._pve import config_text
from ansible_collections.pve.provision.plugins.module_utils._pve.api.requests import Requests
from ansible_collections.pve.provision.plugins.module_utils._pve.by_name import FindsByName
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Notes
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    GuestConfig,
    GuestRef,
    Kind,
    tags_of,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.values import interfaces_of

_KINDS: tuple[Kind, ...] = ("lxc", "qemu")
_CREATING: dict[Kind, frozenset[str]] = {
    "lxc": frozenset({"vzcreate", "vzrestore"}),
    "qemu": frozenset({"qmcreate", "qmrestore", "importdisk", "imgcopy"}),
}
_MAKING: dict[Kind, str] = {"lxc": "vzcreate", "qemu": "qmcreate"}
_CLONING: dict[Kind, str] = {"lxc": "vzclone", "qemu": "qmclone"}
# A running VM tells that it stands still only where it is asked itself.
_LISTED: dict[Kind, dict[str, t.Any]] = {"lxc": {}, "qemu": {"full": 1}}
# How many guests' configs are asked for at once: twice as many as pveproxy has workers.
_READERS = 6
# What PVE tells as the option env, too.
_ENVIRONMENT: t.Final = "lxc.environment.runtime"


def _status(told: t.Mapping[str, t.Any]) -> str:
    return "suspended" if told.get("qmpstatus") == "paused" else str(told["status"])


class ApiGuests(FindsByName):
    """The guests of the cluster."""

    def __init__(self, requests: Requests, login: str, journal: Notes) -> None:
        self._requests = requests
        self._login = login
        self._journal = journal

    def here(self, kind: Kind | None = None) -> list[GuestRef]:
        return self._guests_of(self._requests.node, (kind,) if kind else _KINDS)

    def _guests_of(self, node: str, kinds: t.Iterable[Kind]) -> list[GuestRef]:
        found = [
            GuestRef(
                vmid=int(entry["vmid"]),
                kind=kind,
                node=node,
                name=entry.get("name"),
                status=_status(entry) if node == self._requests.node else None,
                lock=entry.get("lock") or None,
                template=bool(int(entry.get("template") or 0)),
                tags=tags_of(entry.get("tags")),
            )
            for kind in kinds
            for entry in self._requests.ask("GET", f"/nodes/{node}/{kind}", _LISTED[kind]) or []
        ]
        return sorted(found, key=lambda guest: guest.vmid)

    def everywhere(self) -> list[GuestRef]:
        """The cluster's own list. It knows the place of a guest at once, but name and status some seconds later."""
        entries = self._requests.ask("GET", "/cluster/resources", {"type": "vm"}) or []
        return [
            GuestRef(
                int(entry["vmid"]),
                "lxc" if entry["type"] == "lxc" else "qemu",
                entry["node"],
                entry.get("name"),
                tags=tags_of(entry.get("tags")),
            )
            for entry in entries
        ]

    def _guests_elsewhere(self, kinds: t.Iterable[Kind]) -> list[GuestRef]:
        """The guests of the other nodes: by each node's own list, or the cluster's where a node does not answer."""
        found = {guest.vmid: guest for guest in self.everywhere() if guest.node != self._requests.node}
        found = {vmid: guest for vmid, guest in found.items() if guest.kind in kinds}
        for entry in self._requests.ask("GET", "/nodes") or []:
            if entry["node"] != self._requests.node and entry.get("status") == "online":
                with contextlib.suppress(Unreachable, Timeout):
                    found |= {guest.vmid: guest for guest in self._guests_of(entry["node"], kinds)}
        return list(found.values())

    def elsewhere(self, kind: Kind) -> list[GuestRef]:
        return self._guests_elsewhere((kind,))

    def listed(self, vmid: int) -> GuestRef | None:
        """Where the cluster's own list has a vmid."""
        return next((guest for guest in self.everywhere() if guest.vmid == vmid), None)

    def locate(self, vmid: int) -> GuestRef | None:
        """Where a vmid is in use: whether it is free is asked first, for the cluster's list may lag or hide guests."""
        if self.is_free(vmid):
            return None
        known = self.listed(vmid)
        if known is not None and known.node != self._requests.node:
            return known
        here = self.here(known.kind if known else None)
        there = () if known else self._guests_elsewhere(_KINDS)
        found = next((guest for guest in (*here, *there) if guest.vmid == vmid), known)
        if found is None:
            remedy = f"Choose another vmid, or give this login VM.Audit on /vms/{vmid}."
            raise InvalidInput([Finding("vmid", vmid, "is taken by a guest that this login may not see", remedy)])
        return found

    def config(self, kind: Kind, vmid: int) -> GuestConfig | None:
        """One request: the pending view holds value, waiting change and digest. Of snapshots it tells the last."""
        try:
            entries = self._requests.ask("GET", self._requests.path(kind, vmid, "pending"))
        except NotFound as error:
            if error.details.get("reason") != "guest":
                raise
            return None
        return _config(entries or [])

    def lxc_lines(self, vmid: int) -> tuple[str, ...]:
        """What waits for a restart is told without them, so they are asked for by themselves."""
        found = self._requests.ask("GET", self._requests.path("lxc", vmid, "config"))
        return tuple(f"{key}: {value}" for key, value in found.get("lxc") or () if key != _ENVIRONMENT)

    def configs(self, guests: t.Iterable[GuestRef]) -> list[tuple[GuestRef, GuestConfig]]:
        def read(guest: GuestRef) -> list[tuple[GuestRef, GuestConfig]]:
            try:
                config = self.config(guest.kind, guest.vmid)
            except PveError as error:
                if error.details.get("reason") != "permission":
                    raise
                return []
            return [] if config is None else [(guest, config)]

        with futures.ThreadPoolExecutor(_READERS) as pool:
            return [found for each in pool.map(read, guests) for found in each]

    def status(self, kind: Kind, vmid: int) -> str:
        return _status(self._requests.ask("GET", self._requests.path(kind, vmid, "status/current")))

    def interfaces(self, kind: Kind, vmid: int) -> list[dict[str, t.Any]]:
        tail = "interfaces" if kind == "lxc" else "agent/network-get-interfaces"
        return interfaces_of(self._requests.ask("GET", self._requests.path(kind, vmid, tail)))

    def busy(self, kind: Kind, vmid: int) -> bool:
        """A clone's task names its source alone, so any clone that runs may be the one that makes this guest."""
        return any(
            task["type"] == _CLONING[kind] or (task["type"] in _CREATING[kind] and str(task.get("id")) == str(vmid))
            for task in self._requests.active_tasks()
        )

    def being_made(self, kind: Kind) -> list[int]:
        """PVE's list of tasks tells the user, and in a field of its own the token."""
        mine = [task for task in self._requests.active_tasks() if task["type"] == _MAKING[kind]]
        named = {
            str(task.get("id"))
            for task in mine
            if str(task.get("user")).partition("!")[0] == self._login.partition("!")[0]
        }
        return sorted(int(vmid) for vmid in named if vmid.isdecimal() and int(vmid) not in self._journal)

    def next_vmid(self, skip: t.Container[int] = ()) -> int:
        return next(vmid for vmid in self.free_vmids() if vmid not in skip)

    def free_vmids(self) -> t.Iterator[int]:
        first = int(self._requests.ask("GET", "/cluster/nextid"))
        yield first
        yield from filter(self.is_free, itertools.count(first + 1))

    def is_free(self, vmid: int) -> bool:
        try:
            self._requests.ask("GET", "/cluster/nextid", {"vmid": vmid})
        except Conflict:
            return False
        return True

    def local_addresses(self, vmid: int) -> frozenset[str] | None:
        return None

    def outdated(self, kind: Kind, vmid: int, config: GuestConfig) -> dict[str, str]:
        """PVE tells nobody what the kernel of a node knows."""
        return {}


def _config(entries: t.Iterable[t.Mapping[str, t.Any]]) -> GuestConfig:
    """A guest's config from the pending view."""
    live: dict[str, str] = {}
    pending: dict[str, str | None] = {}
    for entry in entries:
        key = entry["key"]
        if entry.get("value") is not None:
            live[key] = text_of(key, entry["value"])
        if entry.get("delete"):
            pending[key] = None
        elif "pending" in entry:
            pending[key] = text_of(key, entry["pending"])
    digest = live.pop("digest", "")
    parent = live.get("parent")
    return GuestConfig(config_text.combine(live, pending), live, pending, digest, (parent,) if parent else ())


def text_of(key: str, value: t.Any) -> str:
    text = unquote(str(value)) if key == config_text.SSH_KEYS else str(value)
    return text.removesuffix("\n") if key == "description" else text.strip()
