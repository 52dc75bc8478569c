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
from ansible_collections.pve.provision.plugins.module_utils._guests.vm import addresses, devices, disk_checks
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.complete import complete, complete_change
from ansible_collections.pve.provision.plugins.module_utils._model.codec import plain
from ansible_collections.pve.provision.plugins.module_utils._model.option import HIDDEN, SubValues, base_of
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.checks import check_vm
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import BUSES, DISK, is_drive, is_volume
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import has_agent
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.options import OPTIONS
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import Address
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.planned_guest import PlannedGuest, Report
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

# Which privilege on a VM changes an option of it; what is not listed is for root@pam alone (qemu-server, API2/Qemu.pm).
_PRIVILEGES: t.Final = (
    (r"cores|cpu|cpulimit|cpuunits|numa\d*|sockets|vcpus", "VM.Config.CPU"),
    (r"memory|balloon|shares|allow-ksm", "VM.Config.Memory"),
    (r"acpi|hotplug|kvm|machine|scsihw|smbios1|tablet|vga|watchdog|audio0|rng0", "VM.Config.HWType"),
    (r"(serial|usb|hostpci)\d+", "VM.Config.HWType"),
    (r"(ide|sata|scsi|virtio|efidisk|tpmstate|unused|virtiofs)\d+|boot|bootdisk|vmstatestorage", "VM.Config.Disk"),
    (r"net\d+", "VM.Config.Network"),
    (r"ci\w+|nameserver|searchdomain|sshkeys|ipconfig\d+", "VM.Config.Cloudinit"),
    (r"freeze", "VM.PowerMgmt"),
    (
        r"agent|bios|description|keyboard|localtime|migrate_downtime|migrate_speed|name|onboot|ostype|protection|reboot"
        r"|startdate|startup|tags|tdf|template",
        "VM.Config.Options",
    ),
)


@dataclass(frozen=True)
class VmType(GuestType):
    """A QEMU virtual machine. ``agent_timeout``: how long (s) a guest agent is waited for that does not answer."""

    kind = "qemu"
    content = "images"

    agent_timeout: int = addresses.AGENT_TIMEOUT

    def is_volume(self, key: str) -> bool:
        return is_volume(key)

    def content_of(self, value: SubValues) -> str:
        volume = str(value.get("volume") or "")
        if not is_drive(value) or "cloudinit" in volume:
            return self.content
        return "iso" if ":" in volume else ""

    def is_copied(self, text: str) -> bool:
        """What is in a drive is shared, but for the drive of cloud-init."""
        disk = DISK.read(text)
        volume = str(disk.get("volume"))
        return ":" in volume and not volume.startswith("/") and (not is_drive(disk) or "cloudinit" in volume)

    def first_volume(self, values: Values) -> str:
        disks = [key for key, value in values.items() if base_of(key) in BUSES and value]
        return next((key for key in disks if not (isinstance(values[key], dict) and is_drive(values[key]))), "")

    def restoring(self, backup: str) -> dict[str, str]:
        return {"archive": backup}

    def complete(self, facts: Facts, wanted: Wanted) -> Wanted:
        return complete(facts, wanted)

    def complete_change(self, facts: Facts, wanted: Wanted, actual: Actual) -> Wanted:
        return complete_change(facts, wanted, actual)

    def check(self, values: Values, paths: t.Mapping[str, str]) -> list[Finding]:
        return check_vm(values, paths)

    def check_volume(self, report: Report, facts: Facts, planned: PlannedGuest, key: str, value: SubValues) -> None:
        disk_checks.check_volume(report, facts, planned, key, value)

    def check_node(self, report: Report, facts: Facts, planned: PlannedGuest, touched: Values) -> None:
        hookscript.check(report, facts, touched)
        devices.check(report, facts, planned, touched)
        disk_checks.check_removed(report, planned)
        disk_checks.check_snippets(report, facts, touched)
        saved = touched.get("vmstatestorage")
        if saved and saved not in {each.name for each in facts.storages}:
            remedy = f"Storages here: {', '.join(each.name for each in facts.storages)}."
            report.add("vmstatestorage", saved, f"does not exist on node {facts.node.name}", remedy)

    def privilege_of(self, key: str) -> str:
        return next((name for pattern, name in _PRIVILEGES if re.fullmatch(pattern, key)), "")

    def value_needs(self, values: Values, paths: t.Mapping[str, str]) -> t.Iterator[Need]:
        yield from devices.needs(values, paths)
        if "startup" in values:
            yield Need(("/",), ("Sys.Modify",), paths.get("startup", "startup"))

    def root_only(
        self, wanted: Wanted, actual: Actual, touched: Values, deleted: t.Collection[str]
    ) -> t.Iterator[tuple[str, object, str]]:
        path = wanted.declaration.paths
        for key in (*touched, *deleted):
            if not self.privilege_of(key):
                option = self.table.find(key)
                shown = HIDDEN if option is not None and option.secret else plain(touched.get(key))
                yield path.get(key, key), shown, ""
        yield from devices.root_only(actual, touched, deleted, path)

    def declared_addresses(self, options: t.Mapping[str, str]) -> list[Address]:
        return addresses.declared_addresses(options)

    def witness(self, options: t.Mapping[str, str]) -> str:
        return "the guest agent" if has_agent(options) else ""

    def await_addresses(
        self, node: Node, vmid: int, options: t.Mapping[str, str], timeout: int, *, wait: bool
    ) -> tuple[list[Address], list[str]]:
        return addresses.await_addresses(node, vmid, options, timeout, wait=wait, agent_timeout=self.agent_timeout)


QEMU: t.Final = VmType(OPTIONS)
