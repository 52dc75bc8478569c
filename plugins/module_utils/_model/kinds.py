# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the kinds of guests that PVE has, as far as they matter for a guest that nobody declares:
a neighbour, the owner of a vmid, what a killed run left. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._model import network, qemu
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields


@dataclass(frozen=True)
class GuestKind:
    """``name_option`` holds the guest's name; without one it is called ``unnamed`` and its vmid, or has none.
    ``network`` is how its network devices are written, ``tasks`` are PVE's names for what makes one.
    ``has_filesystems``: PVE mounts and grows the file systems on its volumes; ``moves_running``: it goes to another
    node as it runs.
    """

    noun: str
    name_option: str
    network: Fields
    tasks: t.Mapping[str, str]
    unnamed: str = ""
    has_filesystems: bool = False
    moves_running: bool = False

    def name_of(self, vmid: int) -> str | None:
        """The name of a guest that was given none."""
        return f"{self.unnamed}{vmid}" if self.unnamed else None


KINDS: t.Final[dict[t.Literal["lxc", "qemu"], GuestKind]] = {
    "lxc": GuestKind(
        noun="container",
        name_option="hostname",
        network=network.NET,
        tasks={"create": "vzcreate", "clone": "vzclone", "restore": "vzrestore"},
        unnamed="CT",
        has_filesystems=True,
    ),
    "qemu": GuestKind(
        noun="VM",
        name_option="name",
        network=qemu.NET,
        tasks={"create": "qmcreate", "clone": "qmclone", "restore": "qmrestore"},
        moves_running=True,
    ),
}
