# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a node can do about the snapshots of its guests, and which volumes have any."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind, Outcome

#: The locks that PVE puts on a guest while it makes a snapshot, deletes one, or goes back to one.
LOCKS: t.Final = ("snapshot", "snapshot-delete", "rollback")
# What PVE notes of a snapshot among the options that the guest has in it.
NOTES: t.Final = frozenset(
    {"snaptime", "snapstate", "parent", "vmstate", "runningmachine", "runningcpu", "running-nets-host-mtu"}
)
# The formats of volumes of which PVE makes snapshots, by the type of their storage (pve-storage, the
# volume_has_feature of each plugin). Types that are not here are those of plugins; they are left to PVE.
_FORMATS: t.Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(("dir", "nfs", "cifs", "lvm"), frozenset({"qcow2"})),
    "btrfs": frozenset({"raw", "subvol", "qcow2"}),
    **dict.fromkeys(("lvmthin", "rbd", "zfs"), frozenset({"raw"})),
    "zfspool": frozenset({"raw", "subvol"}),
    **dict.fromkeys(("iscsi", "iscsidirect"), frozenset()),
}


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of a guest. ``made``: seconds since the epoch; ``unfinished``: PVE was ended while it made or deleted
    it."""

    name: str
    made: int = 0
    description: str = ""
    unfinished: bool = False


class Snapshots(t.Protocol):
    """The snapshots of guests. None of them holds the memory of a VM."""

    rollbacks: t.MutableMapping[int, dict[str, t.Any]]  # notes by vmid about guests that are being taken back

    def of(self, kind: Kind, vmid: int) -> list[Snapshot]:
        """The snapshots of a guest, the oldest first; none of a guest that is not there."""

    def options(self, kind: Kind, vmid: int, name: str) -> dict[str, str] | None:
        """The options that a guest has in a snapshot; None when there is no such snapshot."""

    def busy(self, kind: Kind, vmid: int) -> bool:
        """Whether somebody is making or deleting a snapshot of this guest, or takes it back to one, right now."""

    def release(self, kind: Kind, vmid: int) -> None:
        """Let a container go on that was held still for a snapshot by what was killed then."""

    def make(self, kind: Kind, vmid: int, name: str, *, description: str, timeout: int) -> Outcome: ...

    def rollback(self, kind: Kind, vmid: int, name: str, *, timeout: int) -> Outcome:
        """Take a guest back to a snapshot. One that runs is stopped at once."""

    def delete(self, kind: Kind, vmid: int, name: str, *, force: bool = False, timeout: int) -> Outcome:
        """Delete a snapshot; ``force``: also where its volumes have none of it any more, or not yet."""


def format_of(volume: str) -> str:
    """The format of a volume, by its name."""
    name = volume.rpartition("/")[2].rpartition(":")[2]
    if name.startswith(("subvol-", "basevol-")):
        return "subvol"
    found = re.search(r"\.(qcow2|vmdk|raw|subvol)$", name)
    return found[1] if found else "raw"


def has_snapshots(storage_type: str, volume: str) -> bool:
    """Whether PVE makes snapshots of a volume on such a storage, as far as that is known."""
    formats = _FORMATS.get(storage_type)
    return formats is None or format_of(volume) in formats
