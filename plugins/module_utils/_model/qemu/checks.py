# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is wrong with all options of a VM together. PVE takes most of it, and its start
fails. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import plain
from ansible_collections.pve.provision.plugins.module_utils._model.network import networks_of, used_twice
from ansible_collections.pve.provision.plugins.module_utils._model.option import base_of
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.cloud_init import check_ipconfigs
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import (
    BUSES,
    LIMITS_OF,
    ONLY_ON,
    is_drive,
    is_volume,
)
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.start import check_start

Values = t.Mapping[str, t.Any]
Paths = t.Mapping[str, str]
# Memory that is plugged comes in modules, and so much has to be there from the start (qemu-server, Memory.pm).
_PLUGGED_FROM: t.Final = 1024
_EFIDISK: t.Final = "Set bios=ovmf, or efidisk=null where a profile brings it."


def check_vm(values: Values, paths: Paths) -> list[Finding]:
    """All that is wrong with all options of a VM together, declared or not."""
    return [
        *used_twice(networks_of(values), paths, "hwaddr"),
        *_check_networks(values, paths),
        *_check_memory(values, paths),
        *_check_processors(values, paths),
        *_check_disks(values, paths),
        *_check_board(values, paths),
        *_check_boot(values, paths),
        *check_start(values, paths),
        *check_ipconfigs(values, paths),
    ]


def _check_networks(values: Values, paths: Paths) -> t.Iterator[Finding]:
    """PVE takes these of every model, and uses them for one only (qemu-server, Network.pm)."""
    for key, net in networks_of(values).items():
        model = net.get("model") or "virtio"
        for name in ("mtu", "queues"):
            if net.get(name) and model != "virtio":
                remedy = "Leave it out, or set model=virtio."
                yield Finding(f"{paths.get(key, key)}.{name}", net[name], f"has no effect with model {model}", remedy)


def _check_memory(values: Values, paths: Paths) -> t.Iterator[Finding]:
    memory, balloon = values.get("memory", 512), values.get("balloon") or 0
    if isinstance(memory, int) and isinstance(balloon, int) and balloon > memory:
        remedy = "Lower it, or raise memory; the VM could not start."
        yield Finding(paths.get("balloon", "balloon"), balloon, f"is above the memory, {memory}", remedy)
    if isinstance(memory, int) and "memory" in (values.get("hotplug") or ()):
        path = paths.get("hotplug", "hotplug")
        if not values.get("numa"):
            yield Finding(path, "memory", "needs numa", "Set numa=true, or leave memory out of hotplug.")
        if memory < _PLUGGED_FROM:
            problem = f"needs {_PLUGGED_FROM} MiB of memory, and there are {memory}"
            yield Finding(path, "memory", problem, "Raise memory, or leave memory out of hotplug.")
    nodes = {key: value for key, value in values.items() if base_of(key) == "numa" != key and value}
    if nodes and not values.get("numa"):
        first = min(nodes)
        yield Finding(paths.get(first, first), None, "has no effect without numa", "Set numa=true.")
    shares = [value["memory"] for value in nodes.values() if isinstance(value.get("memory"), float)]
    if nodes and values.get("numa") and len(shares) == len(nodes) and sum(shares) != memory:
        problem = f"make {sum(shares):g} MiB together, and the memory is {memory}"
        yield Finding("numa_nodes", [f"{share:g}" for share in shares], problem, "Make them add up to the memory.")


def _check_processors(values: Values, paths: Paths) -> t.Iterator[Finding]:
    most = (values.get("cores") or 1) * (values.get("sockets") or 1)
    vcpus = values.get("vcpus")
    if isinstance(vcpus, int) and vcpus > most:
        remedy = "Lower it, or raise cores or sockets; the VM could not start."
        yield Finding(paths.get("vcpus", "vcpus"), vcpus, f"is more than sockets times cores, {most}", remedy)


def _check_disks(values: Values, paths: Paths) -> t.Iterator[Finding]:
    for key, value in values.items():
        bus = base_of(key)
        if bus not in BUSES or not value or is_drive(value):
            continue
        for name, buses in ONLY_ON.items():
            if value.get(name) and bus not in buses:
                problem = f"is for disks on {' and '.join(buses)}, and this one is on {bus}"
                yield Finding(f"{paths.get(key, key)}.{name}", plain(value[name]), problem, "Leave it out.")
        if bus == "scsi" and value.get("iothread") and values.get("scsihw", "lsi") != "virtio-scsi-single":
            problem = f"needs scsihw virtio-scsi-single, and the VM has {values.get('scsihw', 'lsi')}"
            yield Finding(f"{paths.get(key, key)}.iothread", True, problem, "Set scsihw=virtio-scsi-single.")
        yield from _check_limits(value, paths.get(key, key))
    volumes = {
        key: {"volume": value.get("volume")}
        for key, value in values.items()
        if is_volume(key) and value and "vm-" in str(value.get("volume")) and ":iso/" not in str(value.get("volume"))
    }
    yield from used_twice(volumes, paths, "volume", "A volume is one disk of a VM.")


def _check_limits(disk: Values, path: str) -> t.Iterator[Finding]:
    """PVE says no more than that it cannot read such a disk."""
    for name, other in LIMITS_OF.items():
        if disk.get(name) and not disk.get(other):
            yield Finding(f"{path}.{name}", disk[name], f"needs {other}", f"State {other} too, or leave it out.")
    for unit in ("mbps", "iops"):
        for name in (f"{unit}_rd", f"{unit}_wr"):
            if disk.get(unit) and disk.get(name):
                remedy = f"State {unit}, or {unit}_rd and {unit}_wr."
                yield Finding(f"{path}.{name}", disk[name], f"cannot be combined with {unit}", remedy)


def _check_board(values: Values, paths: Paths) -> t.Iterator[Finding]:
    if values.get("efidisk0") and values.get("bios", "seabios") != "ovmf":
        yield Finding(paths.get("efidisk0", "efidisk"), None, "is for bios ovmf alone", _EFIDISK)
    machine = str((values.get("machine") or {}).get("type", ""))
    for key, value in values.items():
        if base_of(key) == "hostpci" and value and value.get("pcie") and "q35" not in machine:
            remedy = "Set machine.type=q35, or leave pcie out."
            yield Finding(f"{paths.get(key, key)}.pcie", True, "needs the machine q35", remedy)
    if (values.get("machine") or {}).get("viommu") == "intel" and "q35" not in machine:
        yield Finding("machine.viommu", "intel", "needs the machine q35", "Set machine.type=q35.")
    shown = str((values.get("vga") or {}).get("type", ""))
    if shown.startswith("serial") and not values.get(shown):
        remedy = f"Declare serials with the id {shown[6:]}; the VM could not start."
        yield Finding("vga.type", shown, "is a serial port that the VM does not have", remedy)


def _check_boot(values: Values, paths: Paths) -> t.Iterator[Finding]:
    """Out of an order that nobody declares PVE takes a device itself, once that goes."""
    for device in (values.get("boot") or {}).get("order") or () if "boot" in paths else ():
        if not values.get(device):
            there = [key for key in values if values[key] and base_of(key) in (*BUSES, "net", "hostpci", "usb")]
            remedy = f"There are: {', '.join(there) or 'none'}."
            yield Finding(f"{paths.get('boot', 'boot')}.order", device, "is not a device of this VM", remedy)
