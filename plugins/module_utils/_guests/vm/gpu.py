# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a graphics card in a VM, by the name that the cluster has for it."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.host_devices import find_pci
from ansible_collections.pve.provision.plugins.module_utils._model.option import base_of
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import HOSTPCI
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.options import declare_vm

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

_DISPLAY: t.Final = "03"  # the class of a PCI device


def card_mappings(node: Node) -> list[str]:
    """The cluster's names for graphics cards of the node; with no right to look at the devices, none."""
    devices = node.hardware.pci() or []
    cards = [
        name
        for name, mapping in sorted(node.hardware.mappings("pci").items())
        for mapped in mapping.on(node.name)
        if any(found.kind.startswith(_DISPLAY) for found in find_pci(devices, mapped.path))
    ]
    return list(dict.fromkeys(cards))


@dataclass
class MappedGpu(Part):
    """The graphics card of a VM. ``declared`` are the entries of ``hostpci`` as the user states them."""

    declared: t.Sequence[t.Mapping[str, t.Any]]

    def resolve(self, node: Node, wanted: Wanted, actual: Actual, *, act: bool) -> Wanted:
        """A VM that has a card keeps that one."""
        if actual.config is None or wanted.state == "absent":
            return wanted
        options = actual.config.options
        has = [HOSTPCI.read(text).get("mapping") for key, text in options.items() if base_of(key) == "hostpci"]
        return self._with_card(node, wanted, [str(name) for name in has if name])

    def prepare(self, node: Node, wanted: Wanted) -> Wanted:
        return self._with_card(node, wanted, [])

    def _with_card(self, node: Node, wanted: Wanted, has: t.Sequence[str]) -> Wanted:
        cards = card_mappings(node)
        named = [str(entry.get("mapping")) for entry in self.declared]
        if any(name in cards for name in named):
            return wanted
        if not cards:
            problem = f"finds no graphics card: the cluster has no mapping for one of node {node.name}"
            remedy = "Make one under Datacenter, Resource Mappings, or state hostpci."
            return dataclasses.replace(wanted, findings=(*wanted.findings, Finding("gpu", True, problem, remedy)))
        card = next((name for name in has if name in cards), cards[0])
        machine = wanted.declaration.values.get("machine") or {}
        modern = isinstance(machine, dict) and "q35" in str(machine.get("type"))
        entry = {"mapping": card, **({"pcie": True} if modern else {})}
        declared, _findings = declare_vm({"hostpci": [*self.declared, entry]})
        old = wanted.declaration
        declaration = dataclasses.replace(
            old,
            values={**old.values, **declared.values},
            paths={**old.paths, **declared.paths},
            assumed=old.assumed | declared.assumed,
        )
        return dataclasses.replace(wanted, declaration=declaration)
