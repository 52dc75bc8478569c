# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which guests have which devices of the node. A device is in one running VM at most."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.plan import RUNNING_AFTER
from ansible_collections.pve.provision.plugins.module_utils._model.host_devices import find_pci, find_usb
from ansible_collections.pve.provision.plugins.module_utils._model.option import base_of
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import HOSTPCI, USB

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.planned_guest import PlannedGuest, Report
    from ansible_collections.pve.provision.plugins.module_utils._model.host_devices import (
        DeviceKind,
        Mapping,
        PciDevice,
        UsbDevice,
    )
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef

# A device: its kind, and its address or port.
Claim = tuple[str, str]


def pci_devices(facts: Facts) -> list[PciDevice] | None:
    """The node's PCI devices, read once for all guests; None where nobody tells."""
    return facts.keep("pci devices", facts.node.hardware.pci)


def usb_devices(facts: Facts) -> list[UsbDevice] | None:
    """Likewise its USB devices."""
    return facts.keep("usb devices", facts.node.hardware.usb)


def mappings(facts: Facts, kind: DeviceKind) -> dict[str, Mapping]:
    """Likewise the cluster's names for devices."""
    return facts.keep(f"{kind} mappings", lambda: facts.node.hardware.mappings(kind))


def claims_of(facts: Facts, options: t.Mapping[str, str], *, every_choice: bool = False) -> list[Claim]:
    """The devices that a VM with these options takes for itself. Which one of several that a mapping names is known at
    the start alone, so none of these; or all with ``every_choice``. Mediated devices are shared."""
    found: list[Claim] = []
    for key, text in options.items():
        if base_of(key) == "hostpci":
            value = HOSTPCI.read(text)
            if not value.get("mdev"):
                hosts = t.cast("tuple[str, ...]", value.get("host") or ())
                found += _pci(facts, _paths(facts, "pci", list(hosts), value.get("mapping"), every_choice))
        elif base_of(key) == "usb":
            value = USB.read(text)
            host = [str(value["host"])] if value.get("host") not in (None, "spice") else []
            found += _usb(facts, _paths(facts, "usb", host, value.get("mapping"), every_choice))
    return found


def _paths(facts: Facts, kind: DeviceKind, hosts: list[str], mapping: object, every_choice: bool) -> list[str]:
    if not mapping:
        return hosts
    known = mappings(facts, kind).get(str(mapping))
    places = known.on(facts.node.name) if known else []
    if len(places) > 1 and not every_choice:
        return []
    return [path for place in places for path in (place.path or place.ids).split(";")]


def _pci(facts: Facts, addresses: t.Iterable[str]) -> list[Claim]:
    devices = pci_devices(facts) or []
    return [("pci", device.address) for address in addresses for device in find_pci(devices, address)]


def _usb(facts: Facts, hosts: t.Iterable[str]) -> list[Claim]:
    devices = usb_devices(facts) or []
    return [("usb", device.port) for host in hosts for device in find_usb(devices, host)]


def users(facts: Facts) -> dict[Claim, list[GuestRef]]:
    """The VMs of this node that have a device: of a running one what it runs with. A template never runs."""
    found: dict[Claim, list[GuestRef]] = {}
    machines = [guest for guest in facts.guests if guest.kind == "qemu" and not guest.template]
    for guest, config in facts.node.configs(machines):
        options = config.live if guest.status == "running" else config.options
        for claim in dict.fromkeys(claims_of(facts, options)):
            found.setdefault(claim, []).append(guest)
    return found


def check_run(report: Report, facts: Facts, planned: PlannedGuest) -> None:
    """VMs that one run has running have no device in common; nor may it depend on which of them starts first."""
    wanted = planned.wanted
    if not RUNNING_AFTER[wanted.state]:
        return
    having: dict[Claim, str] = facts.keep("devices of this run", dict)
    for key, text in planned.after.items():
        for claim in claims_of(facts, {key: text}):
            other = having.setdefault(claim, wanted.label)
            if other != wanted.label:
                option = f"{planned.path(key)}.{'mapping' if 'mapping=' in text else 'host'}"
                problem = f"is given to {other}, too, and this run starts both"
                report.add(option, claim[1], problem, "Choose another device, or let one of them be stopped.")


def check(
    report: Report, facts: Facts, planned: PlannedGuest, option: str, said: object, choices: list[list[Claim]]
) -> None:
    """One of the choices is free: no other guest runs with it, and the VM itself does not name it twice. A stopped
    guest may be there to take turns with this one, so that it is only told of."""
    own = claims_of(facts, planned.after)
    twice = [claim for choice in choices for claim in choice if own.count(claim) > 1]
    if len(choices) == 1 and twice:
        report.add(option, said, f"names {twice[0][1]} a second time", "A VM has a device once.")
    having = facts.keep("users of devices", lambda: users(facts))
    others = [
        [guest for claim in choice for guest in having.get(claim, ()) if guest.vmid != planned.vmid]
        for choice in choices
    ]
    running = [[guest for guest in guests if guest.status != "stopped"] for guests in others]
    if not choices or not all(others):
        return
    guest = (next(iter(running), None) or others[0])[0]
    named = f"{guest.vmid}{f' ({guest.name})' if guest.name else ''}"
    if all(running):
        report.add(option, said, f"is in use by running VM {named}", "Stop that VM first, or choose another device.")
    else:
        words = f"is also configured in VM {named}, which is stopped; both cannot run at once"
        report.warnings.append(f"{option}: {said} {words}")
