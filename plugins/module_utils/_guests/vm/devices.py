# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a node says against giving a VM its devices.

PVE takes nearly everything, and the start fails. Worse, a PCI device takes with it whatever is in its IOMMU group, even
the disk that the node runs from. Sources: qemu-server (PCI.pm, USB.pm, Virtiofs.pm), pve-common (SysFSTools.pm).
"""

from __future__ import annotations

import difflib
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._guests.vm import device_users
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order
from ansible_collections.pve.provision.plugins.module_utils._model.host_devices import (
    DeviceKind,
    Mapped,
    PciDevice,
    UsbDevice,
    find_pci,
    find_usb,
)
from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues, base_of
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import CPU_MODELS, HOSTPCI, SERIAL, USB
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import MIB
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Values
    from ansible_collections.pve.provision.plugins.module_utils._engine.planned_guest import PlannedGuest, Report

# The options that give a VM a device of the node, and the kind of mapping that each may name.
KINDS: t.Final[dict[str, DeviceKind]] = {"hostpci": "pci", "usb": "usb", "virtiofs": "dir"}
_WORDS: t.Final[dict[DeviceKind, str]] = {"pci": "PCI device", "usb": "USB device", "dir": "directory"}
_CODECS: t.Final = {"hostpci": HOSTPCI, "usb": USB, "serial": SERIAL}
_ROM_FOLDER: t.Final = "/usr/share/kvm"
_MANY: t.Final = 12


def check(report: Report, facts: Facts, planned: PlannedGuest, touched: Values) -> None:
    """What is wrong with the devices that the plan gives the VM."""
    values = planned.values({key: text for key, text in planned.after.items() if key in touched})
    for key, value in values.items():
        kind = KINDS.get(base_of(key))
        if kind == "pci":
            _PciCheck(report, facts, planned, key, value).run()
        elif kind == "usb":
            _check_usb(report, facts, planned, key, value)
        elif kind == "dir":
            _check_directory(report, facts, planned, key, value)
        elif base_of(key) in ("serial", "parallel"):
            _check_port(report, facts, planned.path(key), str(value.get("device") or ""))
    device_users.check_run(report, facts, planned)
    _check_board(report, facts, planned, touched)


def root_only(
    actual: Actual, touched: Values, deleted: t.Collection[str], paths: t.Mapping[str, str]
) -> t.Iterator[tuple[str, object, str]]:
    """The devices of the node that PVE gives to VMs, and takes from them, for root@pam alone: those that no mapping
    names."""
    for key in dict.fromkeys((*touched, *deleted)):
        base, path = base_of(key), paths.get(key, key)
        value = {**_held(actual, key), **(touched.get(key) or {})} if base in _CODECS else {}
        if base in ("hostpci", "usb") and value.get("host") not in (None, "spice"):
            yield f"{path}.host", _plain(value["host"]), "(a mapping is not)"
        if value.get("romfile"):
            yield f"{path}.romfile", value["romfile"], ""
        if base == "serial" and value.get("device") not in (None, "socket"):
            yield f"{path}.device", value["device"], ""


def _held(actual: Actual, key: str) -> SubValues:
    text = actual.config.options.get(key, "") if actual.config else ""
    return _CODECS[base_of(key)].read(text)


def needs(values: Values, paths: t.Mapping[str, str]) -> t.Iterator[Need]:
    """The privileges on mappings that it takes to give these devices to a VM."""
    for key, value in values.items():
        kind = KINDS.get(base_of(key))
        name = _mapping_of(kind, value) if kind and value else ""
        if name:
            yield Need((f"/mapping/{kind}/{name}",), ("Mapping.Use",), paths.get(key, key))
        if key == "rng0" and value and value.get("source") == "/dev/hwrng":
            yield Need(("/mapping/hwrng",), ("Mapping.Use",), paths.get(key, key))


def _mapping_of(kind: DeviceKind | None, value: SubValues) -> str:
    return str(value.get("dirid" if kind == "dir" else "mapping") or "")


def _plain(value: object) -> object:
    return ";".join(map(str, value)) if isinstance(value, tuple) else value


def _listed(things: t.Iterable[object]) -> str:
    """What there is instead, as far as one reads such a list."""
    words = [str(each) for each in things]
    more = f" and {len(words) - _MANY} more" if len(words) > _MANY else ""
    return f"There are: {', '.join(words[:_MANY]) or 'none'}{more}."


def mapped(report: Report, facts: Facts, path: str, kind: DeviceKind, name: str) -> list[Mapped]:
    """What a mapping names on this node; where it names nothing, that is found."""
    node = facts.node.name
    known = device_users.mappings(facts, kind)
    option = f"{path}.mapping"
    if name not in known:
        seen = "" if facts.access is None else " that this login may see"
        report.add(option, name, f"is not a mapping of a {_WORDS[kind]} in this cluster{seen}", _listed(sorted(known)))
        return []
    found = known[name].on(node)
    if not found:
        others = ", ".join(sorted({each.node for each in known[name].devices})) or "no node"
        remedy = f"It is for {others}. Add an entry for {node} under Datacenter, Resource Mappings."
        report.add(option, name, f"names no {_WORDS[kind]} on node {node}", remedy)
    return found


# -- USB devices, directories, ports ----------------------------------------------------------------------------------
def _check_usb(report: Report, facts: Facts, planned: PlannedGuest, key: str, value: SubValues) -> None:
    path, host, name = planned.path(key), str(value.get("host") or ""), str(value.get("mapping") or "")
    if host == "spice" or not (host or name):
        return
    devices = device_users.usb_devices(facts)
    option, hosts = f"{path}.host", [host] if host else []
    if name:
        option = f"{path}.mapping"
        places = mapped(report, facts, path, "usb", name)
        if len(places) > 1:
            remedy = "PVE takes one device of a node; remove the others."
            report.add(option, name, f"names {len(places)} devices on node {facts.node.name}", remedy)
        hosts = [each.path or each.ids for each in places[:1]]
        _check_usb_identity(report, option, name, places[:1], devices)
    for each in hosts:
        found = None if devices is None else find_usb(devices, each)
        if found == [] and not report.tells(option):
            what = f"names {each}, which" if name else ""
            problem = f"{what} is not on node {facts.node.name}".strip()
            report.add(option, name or host, problem, _listed(devices or ()))
        device_users.check(report, facts, planned, option, name or host, [[("usb", dev.port) for dev in found or ()]])


def _check_usb_identity(
    report: Report, option: str, name: str, places: list[Mapped], devices: list[UsbDevice] | None
) -> None:
    for each in places if devices is not None else ():
        there = next((device for device in devices or () if device.port == each.path), None)
        if there is not None and there.ids != each.ids:
            problem = f"was made for {each.ids}, and at {each.path} is {there.ids} now"
            report.add(option, name, problem, "Plug the device in there, or correct the mapping.")


def _check_directory(report: Report, facts: Facts, planned: PlannedGuest, key: str, value: SubValues) -> None:
    path, name = planned.path(key), str(value.get("dirid") or "")
    places = mapped(report, facts, path, "dir", name)
    for each in places:
        if facts.lacks(each.path):
            problem = f"names {each.path}, which is not on node {facts.node.name}"
            report.add(f"{path}.mapping", name, problem, "Make the directory first.")
    if len(places) > 1:
        problem = f"names {len(places)} directories on node {facts.node.name}"
        report.add(f"{path}.mapping", name, problem, "PVE takes one of a node; remove the others.")


def _check_port(report: Report, facts: Facts, path: str, device: str) -> None:
    if device.startswith("/") and facts.lacks(device):
        remedy = "The VM could not start. Load its kernel module there, or use socket for a serial console."
        report.add(f"{path}.device", device, f"does not exist on node {facts.node.name}", remedy)


def _check_memory(report: Report, facts: Facts, memory: int) -> None:
    """Of more than there is altogether the kernel gives QEMU nothing."""
    most = facts.keep("memory", facts.node.hardware.memory)
    if most is not None and memory > most // MIB:
        problem = f"is more than node {facts.node.name} has, {most // MIB} MiB with its swap"
        report.add("memory", memory, problem, "Lower it; the VM could not start.")


def _check_board(report: Report, facts: Facts, planned: PlannedGuest, touched: Values) -> None:
    """As many processors and as new a machine as the node has."""
    values = planned.values(planned.after)
    cpus = (values.get("cores") or 1) * (values.get("sockets") or 1)
    most = facts.processors if {"cores", "sockets"} & touched.keys() else None
    if most is not None and cpus > most:
        option = "cores" if "cores" in touched else "sockets"
        problem = f"makes {cpus} processors, and node {facts.node.name} has {most}"
        report.add(option, values[option], problem, "Lower it; the VM could not start.")
    if "memory" in touched:
        _check_memory(report, facts, values.get("memory", 0))
    model = str((values.get("cpu") or {}).get("cputype", "")) if "cpu" in touched else ""
    if model and model not in CPU_MODELS:
        _check_model(report, facts, model)
    machine = str((values.get("machine") or {}).get("type", "")) if "machine" in touched else ""
    plain = machine.partition("+")[0]
    if re.fullmatch(r"pc-(i440fx|q35)-\d+\.\d+", plain):
        known = facts.keep("machines", facts.node.hardware.machines)
        if known and plain not in known:
            board = plain.rpartition("-")[0]
            newest = max(
                (each for each in known if each.startswith(f"{board}-") and "+" not in each),
                key=order.key,
                default="none",
            )
            problem = f"is not known to the QEMU of node {facts.node.name}; its newest is {newest}"
            report.add("machine.type", machine, problem, "Choose that or an older one; the VM could not start.")


def _check_model(report: Report, facts: Facts, model: str) -> None:
    """Models of the cluster's own are not shown to every login."""
    known = facts.keep("cpu_models", facts.node.hardware.cpu_models)
    custom = sorted(each for each in known if each.startswith("custom-"))
    if not known or model in known or (model.startswith("custom-") and facts.access is not None):
        return
    if model.startswith("custom-"):
        remedy = f"Models of this cluster's own: {', '.join(custom) or 'none'}."
    elif f"custom-{model}" in known:
        remedy = f"Write custom-{model} for the one that this cluster defines."
    else:
        like = difflib.get_close_matches(model, sorted(known), 3) or ["host", "x86-64-v2-AES"]
        remedy = f"Take one such as {', '.join(like)}."
    report.add("cpu.type", model, f"is not a known CPU model on node {facts.node.name}", remedy)


# -- PCI devices ------------------------------------------------------------------------------------------------------
class _PciCheck:
    """One ``hostpciN`` of a VM."""

    def __init__(self, report: Report, facts: Facts, planned: PlannedGuest, key: str, value: SubValues) -> None:
        self.report, self.facts, self.planned, self.key, self.value = report, facts, planned, key, value
        self.path, self.node = planned.path(key), facts.node.name
        self.name = str(value.get("mapping") or "")
        self.option = f"{self.path}.{'mapping' if self.name else 'host'}"
        self.said = self.name or _plain(value.get("host"))
        self.devices = device_users.pci_devices(facts)

    def run(self) -> None:
        romfile = str(self.value.get("romfile") or "")
        if romfile and self.facts.lacks(f"{_ROM_FOLDER}/{romfile}"):
            remedy = f"Put it into {_ROM_FOLDER} there; the VM could not start."
            self.report.add(f"{self.path}.romfile", romfile, f"is not on node {self.node}", remedy)
        if not self.said:
            return
        choices = self._choices()
        if self.report.tells(self.option) or not choices or self.devices is None:
            return
        self._check_iommu(choices)
        if self.value.get("mdev"):
            self._check_mediated(choices)
            return
        if len(choices) == 1 and self.value.get("driver") != "keep":
            self._check_group(choices[0])
        claims = [[("pci", device.address) for device in choice] for choice in choices]
        device_users.check(self.report, self.facts, self.planned, self.option, self.said, claims)

    def _choices(self) -> list[list[PciDevice]]:
        """The devices that the option names, with all functions; a mapping may name several to choose from."""
        if not self.name:
            found = t.cast("tuple[str, ...]", self.value.get("host") or ())
            return [self._devices_at(found)]
        places = mapped(self.report, self.facts, self.path, "pci", self.name)
        self._check_identity(places)
        return [self._devices_at(each.path.split(";")) for each in places]

    def _devices_at(self, addresses: t.Iterable[str]) -> list[PciDevice]:
        found = []
        for address in addresses if self.devices is not None else ():
            here = find_pci(self.devices or (), address)
            if not here and not self.report.tells(self.option):
                problem = f"{f'names {address}, which ' if self.name else ''}is not on node {self.node}"
                there = [device for device in self.devices or () if not device.board]
                self.report.add(self.option, self.said, problem, _listed(there))
            found += here
        return found

    def _check_identity(self, places: list[Mapped]) -> None:
        """PVE refuses a mapping whose device has become another one."""
        for each in places if self.devices is not None else ():
            here = find_pci(self.devices or (), each.path.split(";")[0])[:1]
            for device in here:
                if each.ids and each.ids != device.ids and not self.report.tells(self.option):
                    problem = f"was made for {each.ids}, and at {each.path} is {device.ids} now"
                    self.report.add(self.option, self.said, problem, "Correct the mapping; the VM could not start.")

    def _check_iommu(self, choices: list[list[PciDevice]]) -> None:
        if any(device.group is None for choice in choices for device in choice):
            off = all(device.group is None for device in self.devices or ())
            problem = f"needs an IOMMU, and that of node {self.node} is off" if off else "has no IOMMU group"
            remedy = "Enable VT-d or AMD-Vi in the firmware, on Intel with intel_iommu=on on the kernel's command line."
            self.report.add(self.option, self.said, problem, remedy)

    def _check_mediated(self, choices: list[list[PciDevice]]) -> None:
        option, mdev = f"{self.path}.mdev", self.value.get("mdev")
        for choice in choices:
            if len(choice) > 1:
                remedy = "Name one function, such as 0000:01:00.0."
                self.report.add(option, mdev, "needs one function, and several are named", remedy)
            elif not all(device.mediated for device in choice):
                problem = f"is not supported by {choice[0].address}, which has no mediated devices"
                self.report.add(option, mdev, problem, "Leave it out to pass the whole device through.")

    def _check_group(self, choice: list[PciDevice]) -> None:
        """PVE takes all devices of the group from the node; functions of the same device go with it as a rule."""
        groups = {device.group for device in choice} - {None}
        own = {device.slot for device in self._own()}
        lost = [
            device
            for device in self.devices or ()
            if device.group in groups and not device.board and device.slot not in own
        ]
        if lost:
            problem = f"shares its IOMMU group with {', '.join(map(str, lost))}, which node {self.node} would lose"
            remedy = "Pass these through to the same VM, or put the card into another slot."
            self.report.add(self.option, self.said, problem, remedy)

    def _own(self) -> list[PciDevice]:
        """All PCI devices of this VM."""
        claims = device_users.claims_of(self.facts, self.planned.after, every_choice=True)
        return [device for device in self.devices or () if ("pci", device.address) in claims]
