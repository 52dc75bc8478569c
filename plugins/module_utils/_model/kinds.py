# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the kinds of guests that PVE has, as far as they matter for a guest that nobody declares:
a neighbour, the owner of a vmid, what a killed run left. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._model import network
from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import network as qemu


@dataclass(frozen=True)
class GuestKind:
    """``command`` is PVE's for such guests. ``name_option`` holds the guest's name; without one it is called
    ``unnamed`` and its vmid, or has none. ``network`` is how its network devices are written, ``addresses`` the option
    beside each that holds its addresses, where they are not in it; ``tasks`` are PVE's names for what makes one.
    ``has_filesystems``: PVE mounts and grows the file systems on its volumes; ``moves_running``: it goes to another
    node as it runs; ``clones_at_once``: several clones are made of one that is stopped.
    """

    noun: str
    command: str
    name_option: str
    network: Fields
    tasks: t.Mapping[str, str]
    addresses: str = ""
    unnamed: str = ""
    has_filesystems: bool = False
    moves_running: bool = False
    clones_at_once: bool = False

    def name_of(self, vmid: int) -> str | None:
        """The name of a guest that was given none."""
        return f"{self.unnamed}{vmid}" if self.unnamed else None

    def networks(self, options: t.Mapping[str, str]) -> dict[str, SubValues]:
        """The network devices in a config, by their keys, each with the addresses that are declared for it."""
        nets = network.networks_in(options, self.network)
        if not self.addresses:
            return nets
        beside = {key: options.get(self.key_of_addresses(key), "") for key in nets}
        return {key: {**net, **_BESIDE.read(beside[key])} for key, net in nets.items()}

    def key_of_addresses(self, key: str) -> str:
        """The option that holds the addresses of a network device."""
        return f"{self.addresses}{key.removeprefix('net')}" if self.addresses else key


_BESIDE: t.Final = Fields(network.ADDRESSES)
KINDS: t.Final[dict[t.Literal["lxc", "qemu"], GuestKind]] = {
    "lxc": GuestKind(
        noun="container",
        command="pct",
        name_option="hostname",
        network=network.NET,
        tasks={"create": "vzcreate", "clone": "vzclone", "restore": "vzrestore"},
        unnamed="CT",
        has_filesystems=True,
    ),
    "qemu": GuestKind(
        noun="VM",
        command="qm",
        name_option="name",
        network=qemu.NET,
        addresses="ipconfig",
        tasks={"create": "qmcreate", "clone": "qmclone", "restore": "qmrestore"},
        moves_running=True,
        clones_at_once=True,
    ),
}
