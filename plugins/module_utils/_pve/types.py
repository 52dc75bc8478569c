# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a node tells about guests, storages and networks, whatever way it is reached."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

Kind = t.Literal["lxc", "qemu"]


PROTECTION: t.Final = "protection"
"""The option by which a guest of any kind is protected against its removal."""


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
    tags: tuple[str, ...] = ()


def tags_of(text: str | None) -> tuple[str, ...]:
    """The tags of a guest as PVE writes them; older releases take commas, too."""
    return tuple(tag for tag in re.split("[;, ]", text or "") if tag)


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

    @property
    def lock(self) -> str | None:
        """What PVE is doing with the guest, or was when it was killed: ``create``, ``backup`` and so on."""
        return self.options.get("lock")

    @property
    def protected(self) -> bool:
        return self.options.get(PROTECTION) == "1"

    @property
    def template(self) -> bool:
        return self.options.get("template") == "1"


@dataclass(frozen=True)
class Storage:
    """A storage as this node sees it. Sizes in bytes, ``None`` where PVE does not tell. ``chains``: whether it keeps
    snapshots as chains of volumes, for which disks on LVM are qcow2; ``None`` where PVE does not tell."""

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
    chains: bool | None = None

    @property
    def thin(self) -> bool:
        """Whether volumes take space only as they are written."""
        return self.type in {"lvmthin", "zfspool", "rbd", "btrfs", "dir", "nfs", "cifs", "cephfs"}


@dataclass(frozen=True)
class ClusterNode:
    """A node of the cluster, as one sees it who looks for a place for a guest. ``cpu_used``: the share of its CPUs that
    is in use, 0 to 1; sizes in bytes; None where PVE does not tell. ``storages``: those that it can use now, by name;
    PVE tells their capacity as its statistics saw it last."""

    name: str
    online: bool
    cpus: int | None = None
    cpu_used: float | None = None
    memory: int | None = None
    memory_used: int | None = None
    storages: t.Mapping[str, Storage] = field(default_factory=dict)


class Membership(t.NamedTuple):
    """The cluster that a node belongs to, and its nodes; without a name the node is alone. Without a quorum nothing
    about guests can be written."""

    name: str
    nodes: tuple[str, ...]
    quorate: bool = True


@dataclass(frozen=True)
class Volume:
    """A file or disk on a storage. ``size`` in bytes; ``ctime`` in seconds since the epoch, where the storage tells;
    ``notes``: the first line of those of a backup, over the API."""

    volid: str
    content: str
    size: int
    format: str = ""
    vmid: int | None = None
    ctime: int | None = None
    notes: str = ""


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
    """A command that has ended, on the node or inside a guest."""

    rc: int
    stdout: str
    stderr: str


class Window(t.NamedTuple):
    """When a creation can have been at work, in seconds since the epoch."""

    since: float
    until: float

    def __contains__(self, moment: object) -> bool:
        """PVE tells most times in whole seconds."""
        return isinstance(moment, int | float) and int(self.since) <= moment <= self.until
