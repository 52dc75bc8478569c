# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what every way of reaching a PVE node can do, and what only some can.

Everything above this layer talks to a node through :class:`Node` alone. There are two backends: ``cli`` runs on the
node, ``api`` speaks HTTPS from outside. A verb returns when PVE has finished, raises one of the errors of ``_errors``
when PVE refused or failed, and hands back PVE's warnings in an :class:`Outcome`.

What only the node itself can do is a capability: an attribute that is None over the API. Whoever needs one asks for it
before anything is written, and says what to do instead. :class:`Downloads` is None on the node.
"""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Unsupported
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock
from ansible_collections.pve.provision.plugins.module_utils._model.appliances import Appliance
from ansible_collections.pve.provision.plugins.module_utils._model.segments import Link
from ansible_collections.pve.provision.plugins.module_utils._pve.backups import Backups
from ansible_collections.pve.provision.plugins.module_utils._pve.cloud_init import CloudInit, Snippets
from ansible_collections.pve.provision.plugins.module_utils._pve.hardware import Hardware
from ansible_collections.pve.provision.plugins.module_utils._pve.snapshots import Snapshots
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    Access,
    Bridge,
    ClusterNode,
    Completed,
    GuestConfig,
    GuestRef,
    Kind,
    Membership,
    Outcome,
    Storage,
    Volume,
    Window,
)

if t.TYPE_CHECKING:
    from pathlib import Path

Notes = t.MutableMapping[int, dict[str, t.Any]]
_Capability = t.TypeVar("_Capability")


class Containers(t.Protocol):
    """What is inside containers."""

    def exec(self, vmid: int, argv: t.Sequence[str], *, stdin: str = "", timeout: int = 60) -> Completed:
        """Run a command in a running container; its exit code is handed back, PVE's own failures are raised."""

    def push(self, vmid: int, source: str, target: str, *, mode: str = "0644") -> None:
        """Put a file of the node into a running container."""

    def pull(self, vmid: int, source: str, target: str) -> None:
        """Copy a file of a running container to the node."""

    def mount(self, vmid: int) -> str:
        """Mount a stopped container's file systems; returns the directory. Always unmount."""

    def unmount(self, vmid: int) -> None: ...

    def grow_filesystem(self, vmid: int, disk: str, *, timeout: int) -> Outcome:
        """Make the file system of a volume as large as the volume, where PVE's resize could not."""


class Files(t.Protocol):
    """The node's own files, for whoever runs on it."""

    cache: Path  # where what can be had again is kept

    def has(self, path: str) -> bool:
        """Whether a file or directory is on the node."""

    def volume_path(self, volid: str) -> Path:
        """The file or device of a volume."""

    def serial_console(self, vmid: int) -> Path:
        """The socket on which a running VM speaks on its serial console, where it has one."""

    def guest_configs(self) -> t.Iterator[str]:
        """The config files of all guests of the cluster, with their snapshots and what is pending or unused."""


class Leftovers(t.Protocol):
    """What a killed creation leaves on the node, and how to tell that it is its own."""

    moves: Notes  # about disks of VMs that are being moved, by vmid

    def written(self, kind: Kind, vmid: int) -> float | None:
        """When a guest's config was written last."""

    def only_made(self, vmid: int, task: str, window: Window) -> bool:
        """Whether nothing was done to a guest since then but one creation, started in time."""

    def orphans(self, vmid: int, storages: t.Iterable[str], task: str, window: Window) -> tuple[list[str], list[str]]:
        """The volumes with this vmid that no guest of the cluster names: those that such a task made in that time, and
        all others."""

    def moving(self, vmid: int) -> bool:
        """Whether somebody is moving a disk of this VM right now."""

    def is_open(self, vmid: int, volid: str) -> bool:
        """Whether the QEMU of a VM has a volume open."""

    def unlock(self, kind: Kind, vmid: int) -> None:
        """Remove the lock that a killed command left in a guest's config."""

    def release(self, vmid: int) -> None:
        """Unmount a container's file systems that an unpacking or a mount left, and detach their devices."""


class Downloads(t.Protocol):
    """What PVE fetches by itself. On the node, whoever runs there fetches."""

    def appliance(self, storage: str, template: str, *, timeout: int) -> Outcome:
        """Let PVE fetch and verify a template of its index."""

    def size(self, url: str) -> int | None:
        """The bytes behind a URL, as far as its server and PVE tell."""


class GuestAgent(t.Protocol):
    """The guest agents of running VMs."""

    def run(self, vmid: int, argv: t.Sequence[str], *, stdin: str = "", timeout: int = 60) -> Completed:
        """Run a command in a VM; PveError when no agent answers, Timeout when it goes on."""


def required(capability: _Capability | None, what: str) -> _Capability:
    """A capability without which a step cannot be done; the checks before a run see to it that it is there."""
    if capability is None:
        raise Unsupported(
            f"{what} on the node itself, not over the API.", remedy="Run this task on the node, without api_host."
        )
    return capability


class Node(t.Protocol):
    """One PVE node, reached somehow."""

    name: str
    clock: Clock  # by which a run waits for the guests of this node
    lists_suspended: bool  # whether the list of guests tells which VM stands still, as ``status`` always does
    root_login: bool  # whether PVE lets us do what it reserves to root@pam itself (an API token never may)
    journal: Notes  # about guests being made, kept on the node by vmid
    ungrown: Notes  # volumes by vmid whose file systems are to grow to a size

    agent: GuestAgent
    hardware: Hardware
    cloud_init: CloudInit
    snapshots: Snapshots
    containers: Containers | None
    backups: Backups
    files: Files | None
    snippets: Snippets | None
    downloads: Downloads | None
    leftovers: Leftovers | None  # what killed creations left; over the API, PVE's tasks go on by themselves

    # -- reading ---------------------------------------------------------------------------------------------------
    def guests(self, kind: Kind | None = None) -> list[GuestRef]:
        """The containers and VMs of this node (or those of one kind), with name and current status; nothing lags."""

    def elsewhere(self, kind: Kind) -> list[GuestRef]:
        """The guests of one kind on the cluster's other nodes."""

    def named(self, kind: Kind, name: str, *, everywhere: bool = False, sure: bool = False) -> list[GuestRef]:
        """The guests of this name, compared without case: this node's, and those of the cluster's other nodes where
        this one has none, or ``everywhere``. ``sure``: Conflict where one may have it whose name is not known."""

    def locate(self, vmid: int) -> GuestRef | None:
        """Where in the cluster a vmid is in use, by whatever kind of guest, or None when it is free."""

    def config(self, kind: Kind, vmid: int) -> GuestConfig | None:
        """A guest's config on this node, or None when there is none."""

    def lxc_lines(self, vmid: int) -> tuple[str, ...]:
        """The lines for LXC (``lxc.init.cwd: /srv``) in a container's config, the environment left out."""

    def configs(self, guests: t.Iterable[GuestRef]) -> list[tuple[GuestRef, GuestConfig]]:
        """The configs of several guests of this node, asked for at once; of those that cannot be read, none."""

    def status(self, kind: Kind, vmid: int) -> str:
        """``running`` or ``stopped``, as of now."""

    def storages(self) -> list[Storage]:
        """The storages of this node with their capacity."""

    def volumes(self, storage: str, content: str | None = None) -> list[Volume]:
        """What lies on a storage."""

    def backup_config(self, volid: str) -> GuestConfig:
        """The config of the guest in a backup."""

    def bridges(self) -> list[Bridge]:
        """Bridges and SDN vnets that exist on this node."""

    def links(self) -> list[Link]:
        """All network devices of this node, with its own addresses."""

    def pools(self) -> dict[str, frozenset[int]]:
        """The cluster's resource pools and the vmids in each."""

    def access(self) -> Access | None:
        """What this login may do; None where it may do everything."""

    def busy(self, kind: Kind, vmid: int) -> bool:
        """Whether somebody is creating, restoring or filling this guest right now."""

    def being_made(self, kind: Kind) -> list[int]:
        """The vmids under which this login is creating guests right now that have no name yet. On the node itself
        :meth:`lock` keeps runs for one name apart, so there it is empty."""

    def interfaces(self, kind: Kind, vmid: int) -> list[dict[str, t.Any]]:
        """A running guest's interfaces: name, hwaddr, inet and inet6 (each a list of address/prefix)."""

    def local_addresses(self, vmid: int) -> frozenset[str] | None:
        """The addresses that a running container has, without prefix, where that costs nothing; None where it would."""

    def outdated(self, kind: Kind, vmid: int, config: GuestConfig) -> dict[str, str]:
        """What a running guest does not have of its live config, although PVE takes it for done: a container's host
        name, and networks with another MTU. Only the node's kernel knows; over the API it is empty."""

    def neighbours(self) -> dict[str, list[str]]:
        """Who has shown himself to the node on its own networks: addresses but link-local ones by MAC address (upper
        case), those confirmed just now first; the others may be old leases. Over the API it is empty."""

    def version(self) -> str:
        """The version of Proxmox VE, such as 9.1.7; empty where the node does not tell."""

    # -- the cluster -----------------------------------------------------------------------------------------------
    def nodes(self) -> list[ClusterNode]:
        """The nodes of the cluster. On the node itself this takes a command, so only whoever places guests asks."""

    def membership(self) -> Membership:
        """The cluster that this node belongs to."""

    def cluster_guests(self) -> list[GuestRef]:
        """All guests of the cluster as one of its nodes knows them: over the API the place of each is told at once, its
        name and tags some seconds late."""

    def ha_managed(self) -> frozenset[int]:
        """The vmids of guests whose place and power are the business of PVE's HA manager."""

    def replicated(self) -> frozenset[int]:
        """The vmids of guests that have replication jobs."""

    def on(self, name: str) -> Node | None:
        """Another node of the cluster, reached the same way; None where each node has to be reached by itself."""

    def migrate(
        self,
        kind: Kind,
        vmid: int,
        target: str,
        *,
        running: bool,
        local_disks: bool = False,
        shutdown_timeout: int = 180,
        timeout: int,
    ) -> Outcome:
        """Move a guest from this node to another, and wait until it is there. ``running``: whether it runs and is to go
        on: a VM then moves as it runs (with ``local_disks`` where it has some), a container is shut down within
        ``shutdown_timeout`` (s) and started on the other node."""

    # -- serialising -----------------------------------------------------------------------------------------------
    def lock(self, key: str) -> t.ContextManager[None]:
        """Hold off other runs on this node that guard the same key; over the API there is nothing to hold."""

    # -- guests ----------------------------------------------------------------------------------------------------
    def next_vmid(self, skip: t.Container[int] = ()) -> int:
        """The lowest free vmid that is not in ``skip``. Nothing reserves it."""

    def free_vmids(self) -> t.Iterator[int]:
        """The free vmids, the lowest first, as far as they are asked for. Which are in use is read once."""

    def create(self, kind: Kind, vmid: int, options: t.Mapping[str, str], *, timeout: int) -> Outcome:
        """Create a guest in one call. ``options`` hold PVE's names; ``password`` never reaches an argv."""

    def clone(self, kind: Kind, source: int, vmid: int, options: t.Mapping[str, str], *, timeout: int) -> Outcome:
        """Clone a guest."""

    def set_config(
        self,
        kind: Kind,
        vmid: int,
        options: t.Mapping[str, str],
        delete: t.Sequence[str] = (),
        digest: str = "",
        *,
        revert: t.Sequence[str] = (),
    ) -> Outcome:
        """Change and delete options, and take waiting changes back, in one call (PVE refuses to delete and revert the
        same option in one); a digest that no longer fits raises Conflict."""

    def resize(self, kind: Kind, vmid: int, disk: str, size: str, *, timeout: int) -> Outcome:
        """Grow a disk to ``size`` (``8G``, ``1536M``). Verifies the effect: PVE may fail with exit code 0."""

    def move_disk(self, vmid: int, disk: str, storage: str, *, form: str, timeout: int) -> Outcome:
        """Move a VM's disk to another storage, in this format where that has a choice."""

    def reassign_volume(self, vmid: int, disk: str, target: int, key: str, *, timeout: int) -> Outcome:
        """Give a volume of a stopped container, but its root, to another container, under a key that is free there. The
        storage gives it a name that goes with its new owner."""

    def start(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome: ...

    def suspend(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome:
        """Let a running guest stand still, in memory."""

    def resume(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome: ...

    def send_key(self, vmid: int, key: str) -> None:
        """Press a key of a running VM's keyboard, by QEMU's name for it."""

    def stop(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome:
        """Stop at once. Does nothing when the guest is stopped."""

    def shutdown(self, kind: Kind, vmid: int, *, timeout: int, force: bool) -> Outcome:
        """Ask the guest to shut down; ``force`` stops it when ``timeout`` (s) has passed."""

    def make_template(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome:
        """Turn a stopped guest into a template, for good, and wait until it is one."""

    def destroy(self, kind: Kind, vmid: int, *, purge: bool, timeout: int) -> Outcome: ...

    def join_pool(self, vmid: int, pool: str) -> None:
        """Make a guest a member of a pool, and of no other."""

    # -- storage ---------------------------------------------------------------------------------------------------
    def appliances(self) -> list[Appliance]:
        """The container templates that can be downloaded, as PVE's own index has them; PVE has verified that."""

    def free(self, volid: str) -> None:
        """Delete a volume."""

    def download_url(
        self, storage: str, content: str, filename: str, url: str, *, checksum: tuple[str, str] | None, timeout: int
    ) -> Outcome:
        """Let PVE fetch a URL itself; ``checksum`` is (algorithm, hex)."""

    def upload(self, storage: str, content: str, path: str, filename: str, *, timeout: int) -> Outcome:
        """Put a local file on a storage; streams, whatever its size."""


def list_tells(node: Node, kind: Kind, status: str | None) -> bool:
    """Whether the word of a list on a guest's status will do: not every list tells if a running VM stands still."""
    return bool(status) and (status != "running" or kind != "qemu" or node.lists_suspended)
