# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what every way of reaching a PVE node can do.

Everything above this layer talks to a node through :class:`Node` alone. There are two backends: ``cli`` runs on the
node, ``api`` speaks HTTPS from outside. A verb returns when PVE has finished, raises one of the errors of ``_errors``
when PVE refused or failed, and hands back PVE's warnings in an :class:`Outcome`.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock
from ansible_collections.pve.provision.plugins.module_utils._model.segments import Link

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.leftovers import Leftovers

Kind = t.Literal["lxc", "qemu"]
Transport = t.Literal["cli", "api"]


@dataclass(frozen=True)
class GuestRef:
    """A guest somewhere in the cluster. ``status`` is known only for guests of this node; the name may not be told."""

    vmid: int
    kind: Kind
    node: str
    name: str | None = None
    status: str | None = None
    lock: str | None = None
    template: bool = False


def same_name(one: str | None, other: str | None) -> bool:
    """Whether two names are the same guest's: DNS does not tell them apart by case."""
    return one is not None and other is not None and one.lower() == other.lower()


@dataclass(frozen=True)
class GuestConfig:
    """A guest's config as PVE holds it: PVE's option names, values as PVE's strings.

    ``options`` is what the next start would use (pending changes applied), ``live`` what the running guest has.
    ``pending`` are the options that differ; ``None`` stands for a waiting deletion. The description is decoded, without
    the trailing newline that PVE adds. ``raw`` are the ``lxc.*`` lines that somebody wrote into the file (cli only).
    """

    options: dict[str, str]
    live: dict[str, str]
    pending: dict[str, str | None] = field(default_factory=dict)
    digest: str = ""
    snapshots: tuple[str, ...] = ()
    raw: tuple[str, ...] = ()


@dataclass(frozen=True)
class Storage:
    """A storage as this node sees it. Sizes in bytes, ``None`` where PVE does not tell."""

    name: str
    type: str
    content: frozenset[str]
    active: bool = True
    enabled: bool = True
    shared: bool = False
    path: str | None = None
    total: int | None = None
    used: int | None = None
    available: int | None = None

    @property
    def thin(self) -> bool:
        """Whether volumes take space only as they are written."""
        return self.type in {"lvmthin", "zfspool", "rbd", "btrfs", "dir", "nfs", "cifs", "cephfs"}


@dataclass(frozen=True)
class Volume:
    """A file or disk on a storage. ``size`` in bytes; ``ctime`` in seconds since the epoch, where the storage tells."""

    volid: str
    content: str
    size: int
    format: str = ""
    vmid: int | None = None
    ctime: int | None = None


@dataclass(frozen=True)
class Bridge:
    """Something a guest's network device can be plugged into. ``kind``: bridge, OVSBridge or vnet. ``vlan_aware`` None:
    PVE does not tell."""

    name: str
    kind: str = "bridge"
    mtu: int | None = None
    addresses: tuple[str, ...] = ()
    vlan_aware: bool | None = False


@dataclass(frozen=True)
class Access:
    """What a login may do. ``paths``: the privileges on each path that PVE lists, and whether they are handed down."""

    login: str
    paths: t.Mapping[str, t.Mapping[str, bool]]


@dataclass(frozen=True)
class Outcome:
    """What PVE said while it did something that worked."""

    log: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    upid: str | None = None


@dataclass(frozen=True)
class Completed:
    """A command that ran inside a guest."""

    rc: int
    stdout: str
    stderr: str


class Node(t.Protocol):
    """One PVE node, reached somehow."""

    name: str
    transport: Transport
    clock: Clock  # by which everything waits that has to do with this node
    root_login: bool  # whether PVE lets us do what it reserves to root@pam itself (an API token never may)
    journal: t.MutableMapping[int, dict[str, t.Any]]  # notes about guests being made, kept on the node by vmid
    ungrown: t.MutableMapping[int, dict[str, t.Any]]  # volumes by vmid whose file systems are to grow to a size
    leftovers: Leftovers | None  # what killed creations left; None over the API, where PVE's tasks go on by themselves

    # -- reading ---------------------------------------------------------------------------------------------------
    def guests(self, kind: Kind | None = None) -> list[GuestRef]:
        """The containers and VMs of this node (or those of one kind), with name and current status; nothing lags."""

    def elsewhere(self, kind: Kind) -> list[GuestRef]:
        """The guests of one kind on the cluster's other nodes."""

    def named(self, kind: Kind, name: str, *, everywhere: bool = False) -> list[GuestRef]:
        """The guests of this name, compared without case: this node's, and those of the cluster's other nodes where
        this one has none, or ``everywhere``."""

    def locate(self, vmid: int) -> GuestRef | None:
        """Where in the cluster a vmid is in use, by whatever kind of guest, or None when it is free."""

    def config(self, kind: Kind, vmid: int) -> GuestConfig | None:
        """A guest's config on this node, or None when there is none."""

    def status(self, kind: Kind, vmid: int) -> str:
        """``running`` or ``stopped``, as of now."""

    def storages(self) -> list[Storage]:
        """The storages of this node with their capacity."""

    def volumes(self, storage: str, content: str | None = None) -> list[Volume]:
        """What lies on a storage."""

    def bridges(self) -> list[Bridge]:
        """Bridges and SDN vnets that exist on this node."""

    def links(self) -> list[Link]:
        """All network devices of this node, with its own addresses."""

    def pools(self) -> dict[str, frozenset[int]]:
        """The cluster's resource pools and the vmids in each."""

    def access(self) -> Access | None:
        """What this login may do; None where it may do everything."""

    def has_path(self, path: str) -> bool | None:
        """Whether a file or directory is on the node; None where that cannot be known (over the API)."""

    def busy(self, kind: Kind, vmid: int) -> bool:
        """Whether somebody is creating, restoring or filling this guest right now."""

    def being_made(self, kind: Kind) -> list[int]:
        """The vmids under which this login is creating guests right now that have no name yet. On the node itself
        :meth:`guard` keeps runs for one name apart, so there it is empty."""

    def interfaces(self, kind: Kind, vmid: int) -> list[dict[str, t.Any]]:
        """A running guest's interfaces: name, hwaddr, inet and inet6 (each a list of address/prefix)."""

    def local_addresses(self, vmid: int) -> frozenset[str] | None:
        """The addresses that a running container has, without prefix, where that costs nothing; None where it would."""

    def outdated(self, kind: Kind, vmid: int, config: GuestConfig) -> dict[str, str]:
        """What a running guest does not have of its live config, although PVE takes it for done: a container's host
        name, and networks with another MTU. Only the node's kernel knows; over the API it is empty."""

    def neighbours(self) -> dict[str, list[str]]:
        """Who has shown himself to the node on its own networks: addresses by MAC address (upper case), without prefix,
        those confirmed just now first. None that is link-local. The others may be old leases. Over the API nobody
        tells, so there it is empty."""

    # -- serialising -----------------------------------------------------------------------------------------------
    def lock(self, key: str) -> t.ContextManager[None]:
        """Hold off other runs on this node that guard the same key; over the API there is nothing to hold."""

    # -- guests ----------------------------------------------------------------------------------------------------
    def next_vmid(self, skip: t.Container[int] = ()) -> int:
        """The lowest free vmid that is not in ``skip``. Nothing reserves it."""

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

    def grow_filesystem(self, vmid: int, disk: str, *, timeout: int) -> Outcome:
        """Make the file system of a container's volume as large as the volume, where PVE's resize could not. Only the
        cli backend can."""

    def start(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome: ...

    def stop(self, kind: Kind, vmid: int, *, timeout: int) -> Outcome:
        """Stop at once. Does nothing when the guest is stopped."""

    def shutdown(self, kind: Kind, vmid: int, *, timeout: int, force: bool) -> Outcome:
        """Ask the guest to shut down; ``force`` stops it when ``timeout`` (s) has passed."""

    def destroy(self, kind: Kind, vmid: int, *, purge: bool, timeout: int) -> Outcome: ...

    def join_pool(self, vmid: int, pool: str) -> None:
        """Make a guest a member of a pool, and of no other."""

    def archive(self, vmid: int, *, timeout: int) -> str:
        """Back a stopped container up to a file of this node that only root can read, and return its path; an earlier
        one of the same container goes. Only the cli backend can; the other raises Unsupported."""

    def restore(
        self, vmid: int, archive: str, options: t.Mapping[str, str], *, over: bool = False, timeout: int
    ) -> None:
        """Make a container from a backup, with these options in place of those that it holds; ``over`` a stopped one
        that has the vmid, which keeps its permissions and firewall rules. Only the cli backend can."""

    def discard_archive(self, vmid: int) -> None:
        """Remove the backup of a container, if there is one. Only the cli backend can."""

    def unlock(self, kind: Kind, vmid: int) -> None:
        """Remove a config lock. Only the cli backend can; over the API this raises Unsupported."""

    # -- storage ---------------------------------------------------------------------------------------------------
    def volume_path(self, volid: str) -> str:
        """The file or device of a volume on this node (cli only)."""

    def free(self, volid: str) -> None:
        """Delete a volume."""

    def download_url(
        self, storage: str, content: str, filename: str, url: str, *, checksum: tuple[str, str] | None, timeout: int
    ) -> Outcome:
        """Let PVE fetch a URL itself; ``checksum`` is (algorithm, hex)."""

    def upload(self, storage: str, content: str, path: str, filename: str, *, timeout: int) -> Outcome:
        """Put a local file on a storage; streams, whatever its size."""

    # -- inside VMs ------------------------------------------------------------------------------------------------
    def agent_exec(self, vmid: int, argv: t.Sequence[str], *, stdin: str = "", timeout: int = 60) -> Completed:
        """Run a command by the guest agent of a running VM; PveError when none answers, Timeout when it goes on."""

    # -- inside containers (cli only; over the API they raise Unsupported with the way out) ---------------------------
    def exec(self, vmid: int, argv: t.Sequence[str], *, stdin: str = "", timeout: int = 60) -> Completed: ...

    def push(self, vmid: int, source: str, target: str, *, mode: str = "0644") -> None: ...

    def pull(self, vmid: int, source: str, target: str) -> None: ...

    def mount(self, vmid: int) -> str:
        """Mount a stopped container's file systems; returns the directory. Always unmount."""

    def unmount(self, vmid: int) -> None: ...
