# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a QEMU virtual machine is, as data.

What a running VM takes at once is what qemu-server hot-plugs by default (src/PVE/QemuServer.pm, $fast_plug_option, and
``hotplug: network,disk,usb``). Defaults are those of the PVE 9 schema. Lists of devices are numbered by PVE in groups
of their own (``net0``, ``scsi0``); what PVE chose itself (MAC addresses, volume names, smbios1) is carried over.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import (
    BOOLEAN,
    DISK_SIZE,
    TEXT,
    Canonical,
    Codec,
    choice,
    integer,
    number,
    text,
    vlans,
    words,
)
from ansible_collections.pve.provision.plugins.module_utils._model.creation import VMID
from ansible_collections.pve.provision.plugins.module_utils._model.declare import declare
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import (
    CPUUNITS,
    DESCRIPTION,
    HOSTNAME,
    STARTUP,
    TAG_WORD,
    check_vmid,
)
from ansible_collections.pve.provision.plugins.module_utils._model.network import (
    BRIDGE,
    HWADDR,
    TAG,
    networks_of,
    used_twice,
)
from ansible_collections.pve.provision.plugins.module_utils._model.option import (
    Declaration,
    Option,
    Path,
    Resolved,
    SubValues,
    in_scope,
    merge,
)
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Field, Fields
from ansible_collections.pve.provision.plugins.module_utils._model.volume import settle_volume

NET_MODELS = (
    "virtio", "e1000", "e1000e", "e1000-82540em", "e1000-82544gc", "e1000-82545em", "i82551", "i82557b", "i82559er",
    "ne2k_isa", "ne2k_pci", "pcnet", "rtl8139", "vmxnet3",
)  # fmt: skip
# The buses of disks, and how many PVE counts on each.
BUSES = ("scsi", "virtio", "sata", "ide")
_LAST = {"scsi": 30, "virtio": 15, "sata": 5, "ide": 3}

# PVE's word for its default machine is ``pc``, people's is ``i440fx``.
MACHINE = Codec(
    parse=lambda value: "i440fx" if value == "pc" else value,
    accept=lambda value: "i440fx" if str(value) == "pc" else str(value),
    render=lambda value: "pc" if value == "i440fx" else str(value),
)
_VOLUME = re.compile(r"(scsi|virtio|sata|ide|efidisk|tpmstate|unused)\d+")


# PVE may keep it as a property string (``current=2048``).
_MIB = integer(16, None, "a number of MiB")
MEMORY = dataclasses.replace(_MIB, parse=lambda value: _MIB.parse(value.removeprefix("current=")))


class NetFields(Fields):
    """``virtio=BC:24:11:00:00:01,bridge=vmbr0``: the model is a key whose value is the MAC address."""

    def parse(self, value: str) -> dict[str, Canonical]:
        values = super().parse(value)
        for model in NET_MODELS:
            if model in values:
                values = {"model": model, "hwaddr": HWADDR.parse(values.pop(model)), **values}
        if "macaddr" in values:
            values["hwaddr"] = HWADDR.parse(values.pop("macaddr"))
        return values

    def render(self, values: t.Mapping[str, Canonical]) -> str:
        rest = super().render({key: value for key, value in values.items() if key not in {"model", "hwaddr"}})
        model, hwaddr = values.get("model") or "virtio", values.get("hwaddr")
        head = f"{model}={hwaddr}" if hwaddr else str(model)
        return f"{head},{rest}" if rest else head


NET = NetFields(
    {
        "model": Field(choice(*NET_MODELS), preserve=True),
        "hwaddr": Field(HWADDR, preserve=True),
        "bridge": Field(BRIDGE),
        "firewall": Field(BOOLEAN, default=False),
        "host-tunnel": Field(BOOLEAN, param="host_tunnel", default=False, since="9.2"),
        "link_down": Field(BOOLEAN, default=False),
        "mtu": Field(integer(1, 65520, "an MTU")),
        "queues": Field(integer(0, 64)),
        "rate": Field(number(0, 10000)),
        "tag": Field(TAG),
        "trunks": Field(vlans(ranges=True), default=()),
    },
    default_key="model",
)

_ON_OFF = choice("on", "ignore")
DISK = Fields(
    {
        "volume": Field(),
        "storage": Field(),
        "import-from": Field(param="import_from"),
        "aio": Field(choice("native", "threads", "io_uring")),
        "backup": Field(BOOLEAN, default=True),
        "cache": Field(choice("none", "writethrough", "writeback", "unsafe", "directsync")),
        "discard": Field(_ON_OFF, default="ignore"),
        "format": Field(choice("raw", "qcow2", "vmdk")),
        "iothread": Field(BOOLEAN, default=False),
        "media": Field(choice("disk", "cdrom"), default="disk"),
        "replicate": Field(BOOLEAN, default=True),
        "ro": Field(BOOLEAN, default=False),
        "serial": Field(),
        "size": Field(DISK_SIZE, preserve=True),
        "ssd": Field(BOOLEAN, default=False),
    },
    default_key="volume",
)
# What the user says of the one disk of an OpenWrt VM. It grows in place, which a vmdk image cannot.
OPENWRT_DISK = Fields(
    {
        **{name: DISK.keys[name] for name in ("storage", "size", "discard", "ssd", "backup", "iothread")},
        "format": Field(choice("raw", "qcow2")),
    }
)
EFIDISK = Fields(
    {
        "volume": Field(),
        "storage": Field(),
        "import-from": Field(param="import_from"),
        "efitype": Field(choice("2m", "4m"), default="2m"),
        "format": Field(choice("raw", "qcow2", "vmdk")),
        "ms-cert": Field(),
        "pre-enrolled-keys": Field(BOOLEAN, param="pre_enrolled_keys", default=False),
        "size": Field(DISK_SIZE, preserve=True),
    },
    default_key="volume",
)
AGENT = Fields(
    {
        "enabled": Field(BOOLEAN, default=False),
        "freeze-fs-on-backup": Field(BOOLEAN, param="freeze_fs_on_backup", default=True),
        "fstrim_cloned_disks": Field(BOOLEAN, default=False),
        "type": Field(choice("virtio", "isa"), default="virtio"),
    },
    default_key="enabled",
)
_BOOT_DEVICE = text(r"[a-z]+\d+", "is not a device such as scsi0")
BOOT = Fields({"legacy": Field(), "order": Field(words(";", _BOOT_DEVICE))}, "legacy")


def settle_efidisk(key: str, path: str, current: SubValues | None, wanted: SubValues, purge: bool) -> Resolved:
    """The size of an efidisk is PVE's business; of an existing one nothing but its options may change."""
    sized = {"size": 1024**3} if current is None else {"size": None}
    return settle_volume(key, path, current, {**wanted, **sized}, purge)


def settle_net(key: str, path: str, current: SubValues | None, wanted: SubValues, purge: bool) -> Resolved:
    """A new device without a model is a virtio one."""
    return merge(key, path, current, wanted if current else {"model": "virtio", **wanted}, purge)


TABLE: t.Final[tuple[Option, ...]] = (
    Option("vmid", "vmid", VMID, scope="guest"),
    Option("pool", "pool", TEXT, scope="guest"),
    Option("name", "name", HOSTNAME, aliases=("hostname",), hotplug=True, hotplug_delete=True, purge=False),
    Option("ostype", "ostype", TEXT, default="other", purge=False),
    Option("machine", "machine", MACHINE, default="i440fx"),
    Option("bios", "bios", choice("seabios", "ovmf"), default="seabios", immutable=True, purge=False),
    Option("cores", "cores", integer(1, 8192, "a number of cores"), default=1),
    Option("sockets", "sockets", integer(1, 64), default=1),
    Option("cpu", "cpu", TEXT, purge=False),
    Option("cpulimit", "cpulimit", number(0, 128), default=0.0, hotplug=True, hotplug_delete=True),
    Option("cpuunits", "cpuunits", CPUUNITS, hotplug=True, hotplug_delete=True),
    Option("numa", "numa", BOOLEAN, default=False),
    Option("memory", "memory", MEMORY, default=512),
    Option("balloon", "balloon", integer(0), hotplug=True),
    Option("kvm", "kvm", BOOLEAN, default=True),
    Option("acpi", "acpi", BOOLEAN, default=True),
    Option("tablet", "tablet", BOOLEAN, default=True),
    Option("localtime", "localtime", BOOLEAN),
    Option("scsihw", "scsihw", TEXT, default="lsi", purge=False),
    Option("efidisk", "efidisks", EFIDISK, indexed=True, last=0, purge=False, resolve=settle_efidisk),
    *(
        Option(bus, bus, DISK, indexed=True, last=_LAST[bus], hotplug_add=True, purge=False, resolve=settle_volume)
        for bus in BUSES
    ),
    Option(
        "net",
        "networks",
        NET,
        indexed=True,
        marks=("hwaddr",),
        told_by="bridge",
        hotplug=True,
        hotplug_delete=True,
        resolve=settle_net,
    ),
    Option("serial", "serials", Fields({"kind": Field()}, "kind"), indexed=True, last=3),
    Option("vga", "vga", TEXT),
    Option("agent", "agent", AGENT, hotplug=True, hotplug_delete=True),
    Option("boot", "boot", BOOT, purge=False),
    Option("onboot", "onboot", BOOLEAN, default=False, hotplug=True, hotplug_delete=True),
    Option("startup", "startup", STARTUP, hotplug=True, hotplug_delete=True),
    Option("protection", "protection", BOOLEAN, default=False, hotplug=True, hotplug_delete=True),
    Option("tags", "tags", words(";", TAG_WORD, ordered=False), default=(), hotplug=True, hotplug_delete=True),
    Option("description", "description", DESCRIPTION, default="", hotplug=True, hotplug_delete=True),
    Option("hookscript", "hookscript", TEXT, hotplug=True, hotplug_delete=True),
)
"""Every option of a VM, and all that is to be said of it; specs and documentation follow it."""
OPTIONS: t.Final = in_scope(TABLE, "config")


def is_volume(key: str) -> bool:
    """Whether an option of a VM is a disk or a drive."""
    return _VOLUME.fullmatch(key) is not None


def declare_vm(
    params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()
) -> tuple[Declaration, list[Finding]]:
    """Read the parameters of a VM: the declaration, and all that is wrong with it by itself."""
    declaration, findings = declare(OPTIONS, params, nulls)
    return declaration, findings + check_vmid(params.get("vmid"))


def check_vm(values: t.Mapping[str, t.Any], paths: t.Mapping[str, str]) -> list[Finding]:
    """What is wrong with all options of a VM together, declared or not."""
    findings = [*used_twice(networks_of(values), paths, "hwaddr")]
    memory, balloon = values.get("memory", 512), values.get("balloon", 0)
    if isinstance(memory, int) and isinstance(balloon, int) and balloon > memory:
        remedy = "Lower it, or raise memory; the VM could not start."
        findings.append(Finding(paths.get("balloon", "balloon"), balloon, f"is above the memory, {memory}", remedy))
    return findings
