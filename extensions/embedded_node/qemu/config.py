# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM's options as PVE reads and prints them: drives, network cards, boot order, pending changes. No I/O."""

from __future__ import annotations

import re
import secrets
import typing as t
import uuid

from ..api import validation
from ..errors import ApiError
from ..state import propstring
from ..state import storage as storages

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..state.config_file import GuestFile

Drive = dict[str, str]
Net = dict[str, str]
Options = dict[str, str]

# The order matters: the first disk in it is what a new VM boots from.
BOOT_DRIVES = tuple(
    f"{bus}{index}" for bus, count in (("ide", 4), ("scsi", 31), ("virtio", 16), ("sata", 6)) for index in range(count)
)
DRIVES = (*BOOT_DRIVES, "efidisk0", "tpmstate0")
MAX_NETS = 32
MAX_UNUSED = 256
NEW_DISK = re.compile(r"(?:([^/:\s]+):)?(\d+(?:\.\d+)?)")
CLOUDINIT = re.compile(r"[:/](?:vm-\d+-)?cloudinit(?:\.(?:raw|qcow2|qed|vmdk|cloop))?$")
CRYPTED = re.compile(r"\$(?:[156]|2[ay])(\$.+){2}")
CLOUDINIT_OPTIONS = ("cicustom", "cipassword", "citype", "ciuser", "ciupgrade", "nameserver", "searchdomain", "sshkeys")
SNAPSHOT_OPTIONS = (
    "parent", "snaptime", "vmstate", "snapstate", "runningcpu", "runningmachine", "running-nets-host-mtu",
)  # fmt: skip
# Changes that a running VM does not notice: they never wait.
FAST_PLUG = frozenset({
    "description", "hookscript", "lock", "migrate_downtime", "migrate_speed", "name", "onboot", "protection", "shares",
    "startup", "tags", "vmstatestorage", *CLOUDINIT_OPTIONS, *(f"ipconfig{index}" for index in range(MAX_NETS)),
})  # fmt: skip
# Limits that are given in bytes, and limits that are nothing without another one.
BYTE_LIMITS = frozenset(("bps", "bps_rd", "bps_wr"))
NEEDED_LIMITS = tuple(
    pair
    for way in ("", "_rd", "_wr")
    for pair in (
        (f"mbps{way}_max", f"mbps{way}"),
        (f"bps{way}_max_length", f"mbps{way}_max"),
        (f"iops{way}_max_length", f"iops{way}_max"),
    )
)
# Keys of a disk that a running VM cannot take over, and of a network card that need it to be plugged in again.
FIXED_DISK_KEYS = ("aio", "discard", "iothread", "queues", "product", "cache", "ssd", "vendor", "ro")
FIXED_NET_KEYS = ("model", "macaddr", "queues", "mtu")
QEMU_VERSION = "10.0.13"


# -- drives ------------------------------------------------------------------------------------------------------------


def is_drive(name: str) -> bool:
    """Whether an option is a drive; ``unusedN`` is not."""
    return name in DRIVES


def parse_drive(name: str, text: str) -> Drive:
    """A drive's keys; ``file`` is the volume. PVE takes a limit in bytes for a limit of nothing."""
    drive = propstring.parse(text, validation.option_format("qemu", name))
    for key in BYTE_LIMITS & set(drive):
        del drive[key]
        drive[f"m{key}"] = "0.000"
    return drive


def drive_problem(name: str, drive: Mapping[str, str]) -> str | None:
    """Why a drive's keys cannot be together: what PVE tells of it, which may be nothing. None when they can."""
    for key, other in NEEDED_LIMITS:
        if float(drive.get(key, "0")) and not float(drive.get(other, "0")):
            return f"{key} requires {other}\n"
    if any(f"{kind}_{way}" in drive and kind in drive for kind in ("mbps", "iops") for way in ("rd", "wr")):
        return ""
    if drive.get("media") == "cdrom" and (name.startswith("virtio") or {"snapshot", "format"} & set(drive)):
        return ""
    return None


def print_drive(name: str, drive: Mapping[str, str]) -> str:
    """A drive as PVE prints it: the volume first, the rest by name."""
    return propstring.render(drive, validation.option_format("qemu", name))


def is_cloudinit(drive: Mapping[str, str]) -> bool:
    """Whether it is the drive that carries the cloud-init data."""
    return CLOUDINIT.search(drive["file"]) is not None


def is_cdrom(drive: Mapping[str, str], exclude_cloudinit: bool = False) -> bool:
    """Whether it is a CD drive."""
    return drive.get("media") == "cdrom" and not (exclude_cloudinit and is_cloudinit(drive))


def holds_data(drive: Mapping[str, str]) -> bool:
    """Whether it is a disk on a storage, not a CD drive and not a device of the node."""
    return not is_cdrom(drive) and storages.split_volid(drive["file"]) is not None


def drives(options: Mapping[str, str], unused: bool = False) -> Iterator[tuple[str, Drive]]:
    """The drives of a config in the order of their kinds, with ``unusedN`` when asked for."""
    for name in DRIVES:
        if name in options:
            yield name, parse_drive(name, options[name])
    for name in sorted(options) if unused else ():
        if re.fullmatch(r"unused\d+", name):
            yield name, {"file": options[name]}


def cloudinit_drive(*configs: Mapping[str, str], skip: str = "") -> str | None:
    """The name of the cloud-init drive in any of the configs."""
    found = (name for conf in configs for name, drive in drives(conf) if name != skip and is_cloudinit(drive))
    return next(found, None)


def add_unused(options: Options, volid: str) -> str | None:
    """Note a volume as unused, unless it is noted; returns the option's name."""
    if volid in (value for name, value in options.items() if name.startswith("unused")):
        return None
    for index in range(MAX_UNUSED):
        if f"unused{index}" not in options:
            options[f"unused{index}"] = volid
            return f"unused{index}"
    raise ApiError("Too many unused volumes - please delete them first.")


# -- network, ids, boot order ------------------------------------------------------------------------------------------


def new_mac() -> str:
    """A MAC of PVE's own range."""
    return "BC:24:11:" + ":".join(f"{byte:02X}" for byte in secrets.token_bytes(3))


def parse_net(text: str) -> Net:
    """A network card's keys; the model's own key holds the MAC."""
    return propstring.parse(text, validation.option_format("qemu", "net0"))


def print_net(net: Mapping[str, str]) -> str:
    """A network card as PVE prints it: ``model=MAC`` first, the rest by name."""
    rest = [f"{key}={net[key]}" for key in sorted(net) if key not in ("model", "macaddr")]
    return ",".join([f"{net['model']}={net['macaddr']}", *rest])


def with_mac(text: str) -> str:
    """The same card with a MAC, a new one when it has none."""
    net = parse_net(text)
    net.setdefault("macaddr", new_mac())
    return print_net(net)


def new_uuid() -> str:
    """A random UUID."""
    return str(uuid.uuid4())


def boot_devices(options: Mapping[str, str]) -> list[str]:
    """What a new VM boots from: its first disk, its first CD drive, its first network card."""
    found = dict(drives(options))
    disks = [name for name in BOOT_DRIVES if name in found and not is_cdrom(found[name])]
    cdroms = [name for name in BOOT_DRIVES if name in found and is_cdrom(found[name])]
    nets = [f"net{index}" for index in range(MAX_NETS) if f"net{index}" in options]
    return disks[:1] + cdroms[:1] + nets[:1]


def print_boot(devices: Iterable[str]) -> str:
    """A boot order; empty when nothing is in it."""
    listed = ";".join(devices)
    return f"order={listed}" if listed else ""


def boot_order(options: Mapping[str, str]) -> list[str]:
    """The devices of an explicit boot order."""
    values = propstring.parse(options.get("boot", ""), validation.option_format("qemu", "boot"))
    return propstring.split_list(values.get("order", ""))


def unique_tags(text: str) -> str:
    """Tags as PVE stores them when a VM is changed: lower case, sorted, each once."""
    return ";".join(sorted({tag.lower() for tag in propstring.split_list(text)}))


def agent_enabled(options: Mapping[str, str]) -> bool:
    """Whether the config says that the guest runs an agent."""
    agent = propstring.parse(options.get("agent", ""), validation.option_format("qemu", "agent"))
    return agent.get("enabled") == "1"


def freezes(options: Mapping[str, str]) -> bool:
    """Whether the agent is asked to hold the file systems still while disks are copied."""
    agent = propstring.parse(options.get("agent", ""), validation.option_format("qemu", "agent"))
    return agent.get("enabled") == "1" and agent.get("freeze-fs", "1") != "0"


def hotplug(options: Mapping[str, str]) -> frozenset[str]:
    """What may be plugged into the running VM."""
    text = options.get("hotplug", "1")
    if text in ("0", "1"):
        return frozenset(("network", "disk", "usb")) if text == "1" else frozenset()
    return frozenset(propstring.split_list(text))


def memory(options: Mapping[str, str]) -> int:
    """The VM's memory, MiB."""
    return int(options.get("memory", "512").removeprefix("current=").split(",")[0])


def max_cpus(options: Mapping[str, str]) -> int:
    """The CPUs that the VM has room for."""
    return int(options.get("sockets", "1")) * int(options.get("cores", "1"))


def is_known(name: str) -> bool:
    """Whether a VM has an option of that name."""
    return validation.property_schema(validation.guest_properties("qemu"), name) is not None or name == "cdrom"


# -- pending changes ---------------------------------------------------------------------------------------------------


def pending_deletes(conf: GuestFile) -> dict[str, bool]:
    """The options that wait to be deleted; true for those whose disk is to be destroyed with them."""
    names = propstring.split_list(conf.pending.get("delete", ""))
    return {name.removeprefix("!"): name.startswith("!") for name in names}


def set_pending_deletes(conf: GuestFile, deletes: Mapping[str, bool]) -> None:
    """Write the options that wait to be deleted."""
    conf.pending.pop("delete", None)
    if deletes:
        conf.pending["delete"] = ",".join(f"!{name}" if deletes[name] else name for name in sorted(deletes))


def clean_pending(conf: GuestFile) -> None:
    """Forget what waits and changes nothing."""
    deletes = {name: force for name, force in pending_deletes(conf).items() if name in conf.options}
    for name in [name for name, value in conf.pending.items() if conf.options.get(name) == value]:
        del conf.pending[name]
    set_pending_deletes(conf, deletes)


def next_options(conf: GuestFile) -> Options:
    """The options that the next start takes."""
    deletes = pending_deletes(conf)
    waiting = {name: value for name, value in conf.pending.items() if name != "delete"}
    return {**{name: value for name, value in conf.options.items() if name not in deletes}, **waiting}


def net_needs_replug(old: str | None, new: str) -> bool:
    """Whether a card can only change by being plugged in again."""
    if old is None:
        return True
    before, after = parse_net(old), parse_net(new)
    if any(before.get(key) != after.get(key) for key in FIXED_NET_KEYS):
        return True
    return not (before.get("bridge") and after.get("bridge"))
