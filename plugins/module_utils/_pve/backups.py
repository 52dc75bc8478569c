# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: backups of guests that a run makes for itself."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind


class Backups(t.Protocol):
    """Backups of guests in files of this node that only root can read, one of each guest."""

    def archive(self, vmid: int, *, kind: Kind = "lxc", timeout: int) -> str:
        """Back a guest up, and return the path; an earlier backup of the same guest goes. A container that runs is shut
        down for that, and started again."""

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
        """The paths of the backups that there are under a vmid."""

    def room(self) -> int:
        """How many bytes are free where they are kept."""

    def discard(self, vmid: int) -> None:
        """Remove the backup of a guest, if there is one."""
