# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how a run gets a shell in a running guest, by its kind and by what is declared."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._access.shell import (
    Shell,
    by_agent,
    by_exec,
    either,
    ssh,
)
from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import (
    global_addresses,
    neighbour_addresses,
    told_interfaces,
)
from ansible_collections.pve.provision.plugins.module_utils._errors import Unsupported
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import has_agent
from ansible_collections.pve.provision.plugins.module_utils._pve.cache import cache_directory

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import GuestType
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

Options = t.Mapping[str, str]
KNOWN_HOSTS: t.Final = "known_hosts"
"""The folder with the host keys of guests."""
_SSH: t.Final = "Declare ssh_private_key, whose public key lets root in there, or run on the node."
_STATIC: t.Final = "Declare a static one, for a VM by cloud_init.ip."
_AGENT: t.Final = "Set agent.enabled and have the guest agent installed, or declare ssh_private_key."


@dataclass(frozen=True)
class GuestConnection:
    """How a guest of a type is entered. ``ssh_key``: the path of the private key that lets root in, where declared.
    ``refused``: VMs whose agents have said that they run no commands."""

    type: GuestType
    ssh_key: str = ""
    refused: set[int] = field(default_factory=set, compare=False, repr=False)

    def name(self, node: Node, options: Options) -> str:
        """What it is called. Raises Unsupported where there is none."""
        of_vm = self.type.kind == "qemu"
        if not of_vm and node.containers is not None:
            return "pct exec"
        agent = of_vm and has_agent(options)
        if agent and not (self.refused and self.ssh_key):
            return "guest agent"
        if not self.ssh_key:
            if of_vm:
                raise Unsupported("it has no guest agent", remedy=_AGENT)
            raise Unsupported("the API has no access to the inside of a container", remedy=_SSH)
        if of_vm and not agent and node.containers is None and not self.type.declared_addresses(options):
            raise Unsupported("over the API the address of a VM without guest agent is not known", remedy=_STATIC)
        return "ssh"

    def __call__(self, node: Node, vmid: int, options: Options) -> Shell:
        """A shell in a running guest of such a vmid and config. Raises Unsupported where there is none."""
        way = self.name(node, options)
        if way == "pct exec" and node.containers is not None:
            return by_exec(node.containers, vmid)
        if way == "guest agent":
            agent = by_agent(node, vmid)
            return either(agent, lambda: self._other(node, vmid, options)) if self.ssh_key else agent
        address = next(self._addresses(node, vmid, options), "")
        if not address:
            raise Unsupported("no address for SSH is known", remedy=_STATIC)
        return ssh(address, self.ssh_key, known_hosts(node, vmid))

    def _other(self, node: Node, vmid: int, options: Options) -> Shell:
        """A shell in a VM whose agent runs no commands."""
        self.refused.add(vmid)
        return self(node, vmid, options)

    def _addresses(self, node: Node, vmid: int, options: Options) -> t.Iterator[str]:
        """Those that are declared, those that a container or an agent tells through PVE, those at which the node has
        met it."""
        yield from (entry["address"] for entry in self.type.declared_addresses(options))
        kind = self.type.kind
        for interface in told_interfaces(node, kind, vmid) if kind == "lxc" or has_agent(options) else ():
            yield from (text.partition("/")[0] for text in global_addresses(interface))
        for addresses in neighbour_addresses(node, kind, vmid).values():
            yield from addresses


def known_hosts(node: Node, vmid: int) -> Path:
    """Where a guest's host keys are kept from the first time they are seen until it is recreated."""
    return cache_directory(node) / KNOWN_HOSTS / f"{node.name}-{vmid}"


def forget_hosts(node: Node, vmid: int) -> None:
    """A guest that was recreated has new host keys."""
    with contextlib.suppress(OSError):
        known_hosts(node, vmid).unlink(missing_ok=True)
