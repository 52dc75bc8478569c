# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: backups of guests that a run makes for itself."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind, Storage

Note = dict[str, t.Any]
MODES: t.Final[dict[Kind, str]] = {"lxc": "stop", "qemu": "snapshot"}
"""How PVE backs up a guest as it is at one moment. QEMU does it while the VM runs."""


class Backups(t.Protocol):
    """Backups of guests, one of each. On the node they are files that only root can read, over the API they lie on a
    storage. One is made at a time: PVE has one lock for all of them, and waits a minute for it."""

    def places(self) -> list[Storage]:
        """Where a backup can be kept."""

    def archive(self, vmid: int, *, kind: Kind = "lxc", place: str = "", timeout: int) -> str:
        """Back a guest up to a place, and return what PVE calls the backup; an earlier one of the same guest goes. A
        container that runs is shut down for that, and started again."""

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
        """Make a guest from a backup, with these options in place of those that it holds; ``over`` a stopped one that
        has the vmid, which keeps its permissions and firewall rules."""

    def kept(self, vmid: int) -> list[str]:
        """The backups that there are under a vmid."""

    def notes(self) -> t.Mapping[int, Note]:
        """What the backups themselves tell of their guests, by vmid: ``kind``, ``archive`` and ``name``. On the node
        nothing: there are notes beside them."""

    def discard(self, vmid: int) -> None:
        """Remove the backup of a guest, if there is one."""
