# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how the hardware of a VM is written, but for its disks and network devices. Pure."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.codec import (
    BOOLEAN,
    TEXT,
    Canonical,
    Codec,
    choice,
    integer,
    number,
    text,
    words,
)
from ansible_collections.pve.provision.plugins.module_utils._model.option import Resolved, SubValues, merge
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Field, Fields

OSTYPES: t.Final = (
    "other", "wxp", "w2k", "w2k3", "w2k8", "wvista", "win7", "win8", "win10", "win11", "l24", "l26", "solaris",
)  # fmt: skip
KEYBOARDS: t.Final = (
    "de", "de-ch", "da", "en-gb", "en-us", "es", "fi", "fr", "fr-be", "fr-ca", "fr-ch", "hu", "is", "it", "ja", "lt",
    "mk", "nl", "no", "pl", "pt", "pt-br", "sv", "sl", "tr",
)  # fmt: skip
PLUGS: t.Final = ("network", "disk", "usb", "cpu", "memory", "cloudinit")
PLUGGED: t.Final = ("disk", "network", "usb")
_RANGE = text(r"\d+(-\d+)?", "is neither a number nor a range such as 0-3")
_RANGES = words(";", _RANGE)
_HEX_ID = text(r"0x[0-9a-fA-F]{4}", "is not an id such as 0x1af4")

# -- processor and memory --------------------------------------------------------------------------------------------
# Models that every node has; whether it has others, the node is asked.
CPU_MODELS: t.Final = frozenset(
    {"host", "max", "kvm32", "kvm64", "qemu32", "qemu64", "x86-64-v2", "x86-64-v2-AES", "x86-64-v3", "x86-64-v4"}
)
CPU = Fields(
    {
        "cputype": Field(text(r"[A-Za-z0-9][\w.+-]*", "is not the name of a CPU model"), param="type"),
        "flags": Field(words(";", text(r"[+-][\w.-]+", "is not a flag such as +aes or -pcid"), ordered=False)),
        "guest-phys-bits": Field(integer(32, 64, "a number of bits"), param="guest_phys_bits"),
        "hidden": Field(BOOLEAN, default=False),
        "hv-vendor-id": Field(text(r"[a-zA-Z0-9]{1,12}", "is not 1 to 12 letters and digits"), param="hv_vendor_id"),
        "level": Field(integer(0), since="9.2"),
        "phys-bits": Field(text(r"host|\d{1,2}", "is neither host nor a number of bits"), param="phys_bits"),
    },
    default_key="cputype",
)
AFFINITY = text(r"\d+(-\d+)?(,\d+(-\d+)?)*", "is not a list of the node's cores, such as 0,5,8-11")
NUMA_NODE = Fields(
    {
        "cpus": Field(_RANGES),
        "hostnodes": Field(_RANGES),
        "memory": Field(number(0)),
        "policy": Field(choice("preferred", "bind", "interleave")),
    }
)
# PVE may keep it as a property string (``current=2048``).
_MIB = integer(16, None, "a number of MiB")
MEMORY = dataclasses.replace(_MIB, parse=lambda value: _MIB.parse(value.removeprefix("current=")))
HUGEPAGES = choice("any", "2", "1024")
AMD_SEV = Fields(
    {
        "type": Field(choice("std", "es", "snp")),
        "allow-smt": Field(BOOLEAN, param="allow_smt", default=True),
        "kernel-hashes": Field(BOOLEAN, param="kernel_hashes", default=False),
        "no-debug": Field(BOOLEAN, param="no_debug", default=False),
        "no-key-sharing": Field(BOOLEAN, param="no_key_sharing", default=False, public=True),
    },
    default_key="type",
)
INTEL_TDX = Fields(
    {
        "type": Field(choice("tdx")),
        "attestation": Field(BOOLEAN, default=True),
        "vsock-cid": Field(integer(2), param="vsock_cid"),
        "vsock-port": Field(integer(0), param="vsock_port"),
    },
    default_key="type",
)


def balloon_waits(current: Canonical, wanted: Canonical) -> bool:
    """A running VM gets no balloon device, and loses none."""
    return bool((current == 0) != (wanted == 0))


# -- board -----------------------------------------------------------------------------------------------------------
# PVE's word for its default machine is ``pc``, people's is ``i440fx``.
_MACHINE = re.compile(r"i440fx|q35|virt|pc-(i440fx-|q35-)?\d+(\.\d+)+(\+pve\d+)?(\.pxe)?|virt-\d+(\.\d+)+(\+pve\d+)?")


def _machine(value: t.Any) -> str:
    given = "i440fx" if str(value) == "pc" else str(value)
    if not _MACHINE.fullmatch(given):
        raise ValueError("is not a machine such as i440fx, q35 or pc-q35-9.2")
    return given


MACHINE = Fields(
    {
        "type": Field(
            Codec(
                parse=lambda value: "i440fx" if value == "pc" else value,
                accept=_machine,
                render=lambda value: "pc" if value == "i440fx" else str(value),
            ),
            default="i440fx",
        ),
        "aw-bits": Field(integer(32, 64, "a number of bits"), param="aw_bits"),
        "enable-s3": Field(BOOLEAN, param="enable_s3"),
        "enable-s4": Field(BOOLEAN, param="enable_s4"),
        "viommu": Field(choice("intel", "virtio")),
    },
    default_key="type",
)


def resolve_machine(key: str, path: str, current: SubValues | None, wanted: SubValues, purge: bool) -> Resolved:
    """A machine without a version is satisfied with the version of it that PVE has pinned."""
    asked, has = wanted.get("type"), str((current or {}).get("type", ""))
    if asked in ("i440fx", "q35", "virt") and re.fullmatch(rf"(pc-)?{asked}-\d.*", has):
        wanted = {**wanted, "type": has}
    return merge(key, path, current, wanted, purge)


class SmbiosFields(Fields):
    """What a VM tells of itself as a machine. PVE keeps all of it but the UUID in base64."""

    def parse(self, value: str) -> dict[str, Canonical]:
        values = super().parse(value)
        if values.pop("base64", None) in ("1", "yes", "true", "on"):
            return {key: text if key == "uuid" else _decoded(str(text)) for key, text in values.items()}
        return values

    def render(self, values: t.Mapping[str, Canonical]) -> str:
        told = {key: text for key, text in values.items() if text is not None}
        if told.keys() <= {"uuid"}:
            return super().render(told)
        encoded = {key: text if key == "uuid" else _encoded(str(text)) for key, text in told.items()}
        return super().render({**encoded, "base64": "1"})

    def unfit(self, key: str, value: Canonical) -> str:
        return ""


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return text


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")


UUID = text(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "is not a UUID", fold=str.lower)
SMBIOS = SmbiosFields(
    {
        "uuid": Field(UUID, preserve=True),
        **{name: Field() for name in ("family", "manufacturer", "product", "serial", "sku", "version")},
    }
)
# What PVE makes itself, unless it is 0.
VMGENID = text(r"0|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "is neither a UUID nor 0", fold=str.lower)


def _startdate(value: t.Any) -> str:
    """A date that there is: PVE takes any numbers, and QEMU does not start with them."""
    given = str(value)
    try:
        if given != "now":
            datetime.datetime.strptime(given, "%Y-%m-%dT%H:%M:%S" if "T" in given else "%Y-%m-%d")
    except ValueError:
        raise ValueError("is neither now nor a date such as 2026-01-31T12:00:00") from None
    return given


STARTDATE = Codec(parse=str, accept=_startdate, render=str)
_PLUG_WORDS = words(",", choice(*PLUGS), ordered=False)
# PVE writes 0 for nothing and 1 for what it plugs as a rule.
HOTPLUG = dataclasses.replace(
    _PLUG_WORDS,
    parse=lambda value: {"0": (), "1": PLUGGED}.get(value) if value in "01" else _PLUG_WORDS.parse(value),
    render=lambda value: _PLUG_WORDS.render(value) or "0",
)


def hotplug_waits(current: Canonical, wanted: Canonical) -> bool:
    """A VM is started for processors and memory to be plugged, or not."""
    before, after = (set(each) if isinstance(each, tuple) else set() for each in (current, wanted))
    return not {"cpu", "memory"}.isdisjoint(before | after)


_BOOT_DEVICE = text(r"[a-z]+\d+", "is not a device such as scsi0")
BOOT = Fields({"legacy": Field(), "order": Field(words(";", _BOOT_DEVICE))}, "legacy")


def with_boot_drive(boot: t.Mapping[str, t.Any] | None, drive: str) -> t.Any:
    """A declared boot order with a drive of ours: PVE adds each drive that is put in to that of the VM."""
    order = (boot or {}).get("order")
    return boot if not order or drive in order else {**(boot or {}), "order": (*order, drive)}


# -- devices ---------------------------------------------------------------------------------------------------------
_AGENT_HOT: t.Final = "fstrim_cloned_disks"
AGENT = Fields(
    {
        "enabled": Field(BOOLEAN, default=False),
        "freeze-fs-on-backup": Field(BOOLEAN, param="freeze_fs", default=True, aliases=("freeze-fs", "guest-fsfreeze")),
        _AGENT_HOT: Field(BOOLEAN, default=False),
        "type": Field(choice("virtio", "isa"), default="virtio"),
    },
    default_key="enabled",
)


def has_agent(options: t.Mapping[str, str]) -> bool:
    """Whether PVE's config of a VM says that it has a guest agent."""
    return bool(AGENT.read(options.get("agent", "")).get("enabled"))


def agent_waits(current: Canonical, wanted: Canonical) -> bool:
    """A running VM gets no device to talk to an agent by."""
    before, after = (AGENT.normal({**(each or {}), _AGENT_HOT: None}) for each in (current, wanted))
    return before != after


VGA = Fields(
    {
        "type": Field(
            choice(
                "cirrus", "none", "qxl", "qxl2", "qxl3", "qxl4", "serial0", "serial1", "serial2", "serial3", "std",
                "virtio", "virtio-gl", "vmware",
            ),
            default="std",
        ),
        "clipboard": Field(choice("vnc")),
        "memory": Field(integer(4, 512, "a number of MiB")),
    },
    default_key="type",
)  # fmt: skip
SERIAL = Fields(
    {"device": Field(text(r"socket|/dev/[^,]+", "is neither socket nor a device such as /dev/ttyS0"))}, "device"
)
PARALLEL = Fields(
    {"device": Field(text(r"/dev/parport\d+|/dev/usb/lp\d+", "is not a device such as /dev/parport0"))}, "device"
)
AUDIO = Fields(
    {
        "device": Field(choice("ich9-intel-hda", "intel-hda", "AC97")),
        "driver": Field(choice("spice", "none"), default="spice"),
    }
)
RNG = Fields(
    {
        "source": Field(choice("/dev/urandom", "/dev/random", "/dev/hwrng")),
        "max_bytes": Field(integer(0), default=1024),
        "period": Field(integer(0), default=1000),
    },
    default_key="source",
    bare=False,
)
WATCHDOG = Fields(
    {
        "model": Field(choice("i6300esb", "ib700"), default="i6300esb"),
        "action": Field(choice("reset", "shutdown", "poweroff", "pause", "debug", "none")),
    },
    default_key="model",
    bare=False,
)
VIRTIOFS = Fields(
    {
        "dirid": Field(param="mapping"),
        "cache": Field(choice("auto", "always", "metadata", "never"), default="auto"),
        "direct-io": Field(BOOLEAN, param="direct_io", default=False),
        "expose-acl": Field(BOOLEAN, param="expose_acl", default=False),
        "expose-xattr": Field(BOOLEAN, param="expose_xattr", default=False),
    },
    default_key="dirid",
)
_USB = r"(0x)?[0-9A-Fa-f]{4}:(0x)?[0-9A-Fa-f]{4}|\d+-\d+(\.\d+)*|spice"
USB = Fields(
    {
        "host": Field(text(_USB, "is none of vendor:product, bus-port and spice", fold=str.lower)),
        "mapping": Field(),
        "usb3": Field(BOOLEAN, default=False),
    },
    default_key="host",
    bare=False,
    exclusive=(("host", "mapping"),),
)
_PCI = text(r"([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(\.[0-7])?", "is not a PCI address such as 0000:01:00.0")
HOSTPCI = Fields(
    {
        "host": Field(words(";", _PCI)),
        "device-id": Field(_HEX_ID, param="device_id"),
        "driver": Field(choice("vfio", "keep"), default="vfio"),
        "legacy-igd": Field(BOOLEAN, param="legacy_igd", default=False),
        "mapping": Field(),
        "mdev": Field(),
        "pcie": Field(BOOLEAN, default=False),
        "rombar": Field(BOOLEAN, default=True),
        "romfile": Field(),
        "sub-device-id": Field(_HEX_ID, param="sub_device_id"),
        "sub-vendor-id": Field(_HEX_ID, param="sub_vendor_id"),
        "vendor-id": Field(_HEX_ID, param="vendor_id"),
        "x-vga": Field(BOOLEAN, param="x_vga", default=False),
    },
    default_key="host",
    exclusive=(("host", "mapping"),),
)
SPICE = Fields(
    {
        "foldersharing": Field(BOOLEAN, default=False),
        "videostreaming": Field(choice("off", "all", "filter"), default="off"),
    }
)
IVSHMEM = Fields(
    {
        "size": Field(integer(1, None, "a number of MiB")),
        "name": Field(text(r"[a-zA-Z0-9-]+", "is not a name made of letters, digits and hyphens")),
    }
)
ARGS = TEXT
