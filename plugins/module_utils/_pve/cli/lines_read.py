# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the ``lxc.*`` lines that a running container was started with, which PVE does not tell.

LXC reads them from ``/var/lib/lxc/VMID/config`` at each start. PVE rewrites that file whenever it changes the
container, so that it tells what LXC has read as long as it is older than the start. Before this collection changes a
container, it keeps what is told.
"""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._pve import kernel
from ansible_collections.pve.provision.plugins.module_utils._pve.journal import Journal

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root


class LinesRead:
    """What LXC has read of the containers that run. A note holds for the start that it names."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._notes = Journal(root.path / "var/lib/pve-provision/lines-read")

    def of(self, vmid: int) -> frozenset[str] | None:
        """The lines of a running container; None where nobody knows."""
        started = self._started(vmid)
        name = f"var/lib/lxc/{vmid}/config"
        written = kernel.time_of(f"{self._root.path}/{name}")
        if started is None or written is None:
            return None
        if written <= started:
            return frozenset(self._root.text(name).splitlines())
        note = self._notes.get(vmid, {})
        return frozenset(note["lines"]) if note.get("started") == started else None

    def keep(self, vmid: int, lines: str) -> None:
        """Keep what a running container was started with; where nobody knows, the ``lines`` that it has."""
        started = self._started(vmid)
        if started is None:
            return
        read = self.of(vmid)
        self._notes[vmid] = {"started": started, "lines": sorted(as_lxc(lines) if read is None else read)}

    def forget(self, vmid: int) -> None:
        self._notes.pop(vmid, None)

    def _started(self, vmid: int) -> float | None:
        """When its control group was made."""
        return kernel.time_of(f"{self._root.path}/sys/fs/cgroup/lxc/{vmid}")


def as_lxc(lines: str) -> frozenset[str]:
    """Lines of PVE's config as it writes them for LXC."""
    return frozenset(line.replace(": ", " = ", 1) for line in lines.splitlines())
