# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which addresses a VM has: by its guest agent's word, or by the node's."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import (
    Address,
    make_address,
    neighbour_addresses,
    seen_addresses,
    told_interfaces,
)
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import rounds
from ansible_collections.pve.provision.plugins.module_utils._model.network import networks_in
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import AGENT, NET

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

# The sources of an address: the guest agent, and the node, which has met the VM on its own networks.
AGENT_SOURCE: t.Final = "agent"
NEIGHBOUR: t.Final = "neighbour"


def await_addresses(
    node: Node, vmid: int, options: t.Mapping[str, str], timeout: int, *, wait: bool
) -> tuple[list[Address], list[str]]:
    """Ask until the VM has any address: which of its cards are to get one, its config does not say.

    While there is time and an agent to be expected, that one is waited for; the node itself may know an old lease.
    """
    nets = networks_in(options, NET)
    plugged = sorted(key for key, net in nets.items() if not net.get("link_down"))
    if timeout <= 0 or not plugged:
        return [], []
    macs = {str(net.get("hwaddr")).upper() for net in nets.values()}
    has_agent = bool(AGENT.read(options.get("agent", "")).get("enabled"))

    def ask(last: bool) -> list[Address]:
        told = seen_addresses(told_interfaces(node, "qemu", vmid), AGENT_SOURCE) if has_agent else []
        ours = [entry for entry in told if entry["hwaddr"] in macs]
        if ours or (has_agent and not last):
            return ours
        met = neighbour_addresses(node, "qemu", vmid)
        return [
            make_address(key, text, NEIGHBOUR, str(nets[key].get("hwaddr")))
            for key, texts in met.items()
            for text in texts
            if key in nets
        ]

    found: list[Address] = []
    for last in rounds(timeout if wait else 0, node.clock):
        found = ask(last)
        if found or interrupt.reason():
            break
    return found, [] if found else plugged
