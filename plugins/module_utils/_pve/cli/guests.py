# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the guests of the cluster as the files of the node tell them."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._pve import config_text, error_messages, processes
from ansible_collections.pve.provision.plugins.module_utils._pve.by_name import FindsByName
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import COMMAND
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.monitor import is_paused
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    GuestConfig,
    GuestRef,
    Kind,
    tags_of,
)

_NAME_OPTION: dict[Kind, str] = {"lxc": "hostname", "qemu": "name"}
_UNNAMED: dict[Kind, str] = {"lxc": "CT{}", "qemu": "VM {}"}


class CliGuests(FindsByName):
    """The guests of the cluster, by their config files."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def here(self, kind: Kind | None = None) -> list[GuestRef]:
        return self._guests_of(self._root.node, (kind,) if kind else tuple(COMMAND))

    def _guests_of(self, node: str, kinds: t.Iterable[Kind]) -> list[GuestRef]:
        found = []
        for kind in kinds:
            running = self._running(kind)
            for name in self._root.names(self._root.config_folder(kind, node)):
                if re.fullmatch(r"[1-9]\d*\.conf", name) and (
                    guest := self._guest(kind, int(name[:-5]), running, node)
                ):
                    found.append(guest)
        return sorted(found, key=lambda guest: guest.vmid)

    def _guest(
        self, kind: Kind, vmid: int, running: t.Callable[[int], bool], node: str | None = None
    ) -> GuestRef | None:
        raw = self._root.read(self._root.config_path(kind, vmid, node))
        if raw is None:
            return None
        head = config_text.guest_head(raw.decode(errors="replace"))
        here = node in (None, self._root.node)
        return GuestRef(
            vmid=vmid,
            kind=kind,
            node=node or self._root.node,
            name=head.get(_NAME_OPTION[kind]) or _UNNAMED[kind].format(vmid),
            status=("running" if running(vmid) else "stopped") if here else None,
            lock=head.get("lock"),
            template=head.get("template") == "1",
            tags=tags_of(head.get("tags")),
        )

    def _other_nodes(self) -> list[str]:
        return [node for node in self._root.names("etc/pve/nodes") if node != self._root.node]

    def elsewhere(self, kind: Kind) -> list[GuestRef]:
        return [guest for node in self._other_nodes() for guest in self._guests_of(node, (kind,))]

    def everywhere(self) -> list[GuestRef]:
        nodes = [self._root.node, *self._other_nodes()]
        return [guest for node in nodes for guest in self._guests_of(node, COMMAND)]

    def _running(self, kind: Kind) -> t.Callable[[int], bool]:
        """A test whether a guest runs, answered from one reading where that serves all guests."""
        if kind == "lxc":
            return config_text.running_containers(self._root.text("proc/net/unix")).__contains__
        return self._vm_runs

    def _vm_runs(self, vmid: int) -> bool:
        pid = self._root.text(f"run/qemu-server/{vmid}.pid").strip()
        if not pid or self._root.path != Path("/"):
            return bool(pid)
        return f"\0-id\0{vmid}\0".encode() in (self._root.read(f"proc/{pid}/cmdline") or b"")

    def locate(self, vmid: int) -> GuestRef | None:
        listed = config_text.parse_vmlist(self._root.text("etc/pve/.vmlist")).get(vmid)
        for place in (listed, self._place(vmid)):
            if place and (guest := self._guest(place.kind, vmid, self._running(place.kind), place.node)):
                return guest
        return GuestRef(vmid, listed.kind, listed.node) if listed and listed.node != self._root.node else None

    def _place(self, vmid: int) -> config_text.Place | None:
        """Where the config of a guest lies, in case that the list of all guests does not know it, or not where."""
        places = ((node, kind) for node in self._root.names("etc/pve/nodes") for kind in COMMAND)
        for node, kind in places:
            if (self._root.path / self._root.config_path(kind, vmid, node)).exists():
                return config_text.Place(node, kind)
        return None

    def config(self, kind: Kind, vmid: int) -> GuestConfig | None:
        raw = self._root.read(self._root.config_path(kind, vmid))
        return None if raw is None else config_text.parse_guest_config(raw)

    def lxc_lines(self, vmid: int) -> tuple[str, ...]:
        config = self.config("lxc", vmid)
        return tuple((config.live.get("lxc") or "").splitlines()) if config else ()

    def configs(self, guests: t.Iterable[GuestRef]) -> list[tuple[GuestRef, GuestConfig]]:
        return [(guest, config) for guest in guests if (config := self.config(guest.kind, guest.vmid)) is not None]

    def known(self, kind: Kind, vmid: int) -> GuestConfig:
        config = self.config(kind, vmid)
        if config is None:
            words = f"Configuration file '{self._root.config_path(kind, vmid).removeprefix('etc/pve/')}' does not exist"
            raise error_messages.error_of(f"{kind} {vmid}", words)
        return config

    def status(self, kind: Kind, vmid: int) -> str:
        self.known(kind, vmid)
        if not self._running(kind)(vmid):
            return "stopped"
        monitor = self._root.path / "run/qemu-server" / f"{vmid}.qmp"
        return "suspended" if kind == "qemu" and is_paused(monitor) else "running"

    def busy(self, kind: Kind, vmid: int) -> bool:
        return processes.is_creating(kind, vmid, self._root.path)

    def being_made(self, kind: Kind) -> list[int]:
        return []

    def free_vmids(self) -> t.Iterator[int]:
        used = config_text.parse_vmlist(self._root.text("etc/pve/.vmlist"))
        return (vmid for vmid in range(*self._vmid_bounds()) if vmid not in used)

    def _vmid_bounds(self) -> tuple[int, int]:
        return config_text.vmid_bounds(self._root.text("etc/pve/datacenter.cfg"))

    def next_vmid(self, skip: t.Container[int] = ()) -> int:
        for vmid in self.free_vmids():
            if vmid not in skip:
                return vmid
        lower, upper = self._vmid_bounds()
        raise PveError(f"No vmid from {lower} to {upper - 1} is free.", remedy="Widen next-id of the datacenter.")
