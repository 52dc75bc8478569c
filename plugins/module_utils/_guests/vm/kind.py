# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the engine has to know of VMs."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, GuestType, Values, Wanted
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests import hookscript
from ansible_collections.pve.provision.plugins.module_utils._guests.vm import addresses
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.complete import complete
from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import OPTIONS, check_vm, is_volume

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import Address
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.outlook import Outlook, Report
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

# Which privilege on a VM changes an option of it; what is not listed needs REST (qemu-server, API2/Qemu.pm).
_PRIVILEGES: t.Final = (
    (r"cores|cpu|cpulimit|cpuunits|numa\d*|smp|sockets|vcpus|affinity", "VM.Config.CPU"),
    (r"memory|balloon|shares|hugepages", "VM.Config.Memory"),
    (r"acpi|hotplug|kvm|machine|scsihw|smbios1|tablet|vga|watchdog|audio0|rng0|serial\d+", "VM.Config.HWType"),
    (r"(ide|sata|scsi|virtio|efidisk|tpmstate|unused)\d+|boot|bootdisk|vmstatestorage", "VM.Config.Disk"),
    (r"net\d+", "VM.Config.Network"),
    (r"ci\w+|nameserver|searchdomain|sshkeys|ipconfig\d+", "VM.Config.Cloudinit"),
)
_REST: t.Final = "VM.Config.Options"


@dataclass(frozen=True)
class VmType(GuestType):
    """A QEMU virtual machine."""

    kind = "qemu"
    content = "images"

    def is_volume(self, key: str) -> bool:
        return is_volume(key)

    def complete(self, facts: Facts, wanted: Wanted) -> Wanted:
        return complete(facts, wanted)

    def check(self, values: Values, paths: t.Mapping[str, str]) -> list[Finding]:
        return check_vm(values, paths)

    def check_volume(self, report: Report, facts: Facts, outlook: Outlook, key: str, value: SubValues) -> None:
        path, volume = outlook.path(key), str(value.get("volume") or "")
        if key not in outlook.before and not volume and not value.get("storage"):
            remedy = "State storage and size for a new disk, or volume for one that is there."
            report.add(path, None, "does not say what to attach", remedy)
        elif volume.startswith("/") and facts.lacks(volume):
            report.add(f"{path}.volume", volume, f"does not exist on node {facts.node.name}", "Name what is there.")

    def check_node(self, report: Report, facts: Facts, outlook: Outlook, touched: Values) -> None:
        hookscript.check(report, facts, touched)

    def privilege_of(self, key: str) -> str:
        return next((name for pattern, name in _PRIVILEGES if re.fullmatch(pattern, key)), _REST)

    def root_only(
        self, wanted: Wanted, actual: Actual, touched: Values, deleted: t.Collection[str]
    ) -> t.Iterator[tuple[str, object, str]]:
        return hookscript.root_only(touched, deleted)

    def declared_addresses(self, options: t.Mapping[str, str]) -> list[Address]:
        """None: what a VM gives itself, PVE's config does not tell."""
        return []

    def await_addresses(
        self, node: Node, vmid: int, options: t.Mapping[str, str], timeout: int, *, wait: bool
    ) -> tuple[list[Address], list[str]]:
        return addresses.await_addresses(node, vmid, options, timeout, wait=wait)


QEMU: t.Final = VmType(OPTIONS)
