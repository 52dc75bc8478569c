# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which addresses a VM has: by its guest agent's word, by the node's, or by what cloud-init
tells it."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import (
    DECLARED,
    NEIGHBOUR,
    Address,
    make_address,
    neighbour_addresses,
    seen_addresses,
    told_interfaces,
)
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import rounds
from ansible_collections.pve.provision.plugins.module_utils._model.network import networks_in
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.cloud_init import IPCONFIG
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import has_agent
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.network import NET

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

# The source of an address that the guest agent has told.
AGENT_SOURCE: t.Final = "agent"
# For how many seconds an agent is waited for that has not answered yet.
AGENT_TIMEOUT: t.Final = 30


def declared_addresses(options: t.Mapping[str, str]) -> list[Address]:
    """The static addresses that cloud-init tells a VM."""
    found = []
    for key, net in sorted(networks_in(options, NET).items()):
        told = IPCONFIG.read(options.get(f"ipconfig{key[3:]}", ""))
        for text in (str(told[name]) for name in ("ip", "ip6") if "/" in str(told.get(name, ""))):
            with contextlib.suppress(ValueError):
                found.append(make_address(key, text, DECLARED, net.get("hwaddr")))
    return found


def await_addresses(
    node: Node,
    vmid: int,
    options: t.Mapping[str, str],
    timeout: int,
    *,
    wait: bool,
    agent_timeout: int = AGENT_TIMEOUT,
) -> tuple[list[Address], list[str]]:
    """Ask until the VM has any address: which of its cards are to get one, its config does not say.

    An agent is waited for as long as it may take to come up; then the node is asked, which may know an old lease.
    """
    declared = declared_addresses(options)
    nets = networks_in(options, NET)
    plugged = sorted(key for key, net in nets.items() if not net.get("link_down"))
    if timeout <= 0 or not plugged:
        return declared, []
    macs = {str(net.get("hwaddr")).upper() for net in nets.values()}
    asked = has_agent(options)
    patience = node.clock.now() + agent_timeout

    def ask(last: bool) -> list[Address]:
        told = seen_addresses(told_interfaces(node, "qemu", vmid), AGENT_SOURCE) if asked else []
        ours = [entry for entry in told if entry["hwaddr"] in macs]
        if ours or (asked and not last and node.clock.now() < patience):
            return ours
        return _met(node, vmid, nets)

    found: list[Address] = []
    for last in rounds(timeout if wait else 0, node.clock):
        found = ask(last)
        if found or interrupt.reason():
            break
    met = {entry["hwaddr"]: entry for entry in found if entry["source"] == NEIGHBOUR}
    not_met = [entry for entry in declared if entry["hwaddr"] not in met] if met or not found else []
    return [*found, *not_met], [] if found else plugged


def _met(node: Node, vmid: int, nets: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[Address]:
    return [
        make_address(key, text, NEIGHBOUR, str(nets[key].get("hwaddr")))
        for key, texts in neighbour_addresses(node, "qemu", vmid).items()
        for text in texts
        if key in nets
    ]
