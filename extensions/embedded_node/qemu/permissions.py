# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may give a VM which options. Root may everything; a token of root is not root."""

from __future__ import annotations

import re
import typing as t

from ..api import access, validation
from ..errors import ApiError
from ..state import propstring
from ..state import storage as storages
from . import config

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..api.session import Session

# Which privilege changes an option. What is not listed here is for root alone.
PRIVILEGES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("cores", "cpu", "cpulimit", "cpuunits", "numa", "runningcpu", "smp", "sockets", "vcpus"),
                    ("VM.Config.CPU",)),
    **dict.fromkeys(("memory", "balloon", "shares", "allow-ksm"), ("VM.Config.Memory",)),
    **dict.fromkeys(("acpi", "audio0", "hotplug", "kvm", "machine", "rng0", "runningmachine", "scsihw", "smbios1",
                     "tablet", "vga", "watchdog"), ("VM.Config.HWType",)),
    **dict.fromkeys(("agent", "autostart", "bios", "description", "keyboard", "localtime", "migrate_downtime",
                     "migrate_speed", "name", "onboot", "ostype", "protection", "reboot", "startdate", "startup", "tdf",
                     "template"), ("VM.Config.Options",)),
    "freeze": ("VM.PowerMgmt",),
    **dict.fromkeys(("boot", "bootdisk", "vmstatestorage"), ("VM.Config.Disk",)),
    "vmstate": ("VM.Config.Disk", "VM.PowerMgmt"),
    **dict.fromkeys(("netN", "running-nets-host-mtu"), ("VM.Config.Network",)),
    "numaN": ("VM.Config.CPU",),
    **dict.fromkeys((*config.CLOUDINIT_OPTIONS, "ipconfigN"), ("VM.Config.Cloudinit", "VM.Config.Network")),
}  # fmt: skip
# What is decided by its value, elsewhere.
BY_VALUE = re.compile(r"(?:unused|serial|usb|hostpci|virtiofs)\d+|cdrom|tags")
DRIVE_PRIVILEGES = {"cloudinit": ("VM.Config.Cloudinit", "VM.Config.CDROM"), "cdrom": ("VM.Config.CDROM",)}


class Rights:
    """What the caller may do with one VM. A new VM may have its rights from the pool that it joins."""

    def __init__(self, session: Session, vmid: int, pool: str | None = None) -> None:
        self.session, self.vmid, self.pool = session, vmid, pool

    def has(self, *privileges: str) -> bool:
        """Whether the caller has these privileges on the VM."""
        pooled = self.pool and access.may(self.session, f"/pool/{self.pool}", privileges)
        return bool(pooled) or access.may(self.session, f"/vms/{self.vmid}", privileges)

    def need(self, *privileges: str, any_of: bool = False) -> None:
        """Die with a 403 unless the caller has these privileges on the VM."""
        if not self.pool or not access.may(self.session, f"/pool/{self.pool}", privileges, any_of):
            access.need(self.session, f"/vms/{self.vmid}", *privileges, any_of=any_of)

    def options(self, names: Iterable[str]) -> None:
        """Die when the caller may not set (or delete) one of the options, whatever the value."""
        if self.session.is_root:
            return
        for name in sorted(names):
            if config.is_drive(name) or BY_VALUE.fullmatch(name):
                continue
            privileges = PRIVILEGES.get(name) or PRIVILEGES.get(re.sub(r"\d+$", "N", name))
            if privileges is None:
                raise ApiError(f"only root can set '{name}' config")
            self.need(*privileges, any_of="VM.Config.Cloudinit" in privileges)
            if name == "startup":
                access.need(self.session, "/", "Sys.Modify")

    def devices(self, options: Mapping[str, str], verb: str = "set") -> None:
        """Die when the caller may not give the VM one of these devices of the node."""
        if self.session.is_root:
            return
        for name in sorted(options):
            kind = name.rstrip("0123456789")
            if kind == "serial" and options[name] != "socket":
                raise ApiError(f"only root can {verb} '{name}' config for real devices")
            if kind in ("serial", "usb", "rng"):
                self.need("VM.Config.HWType")
            if kind == "virtiofs":
                self.need("VM.Config.Disk")
            self._mapping(name, kind, options[name])
            if kind == "hostpci":
                self.need("VM.Config.HWType")

    def mappings(self, options: Mapping[str, str]) -> None:
        """Die when the caller may not use one of the node's devices that the options name."""
        for name in sorted(options) if not self.session.is_root else ():
            self._mapping(name, name.rstrip("0123456789"), options[name])

    def _mapping(self, name: str, kind: str, text: str) -> None:
        if kind == "rng" and value(name, text, "source") == "/dev/hwrng":
            access.need(self.session, "/mapping/hwrng", "Mapping.Use")
        elif kind == "virtiofs":
            access.need(self.session, f"/mapping/dir/{value(name, text, 'dirid')}", "Mapping.Use")
        elif kind in ("usb", "hostpci"):
            host, mapping = value(name, text, "host"), value(name, text, "mapping")
            if host and host.lower() != "spice":
                real = "real" if kind == "usb" else "non-mapped"
                raise ApiError(f"only root can set '{name}' config for {real} devices")
            if not host and not mapping:
                raise ApiError("either 'host' or 'mapping' must be set.")
            if mapping:
                access.need(self.session, f"/mapping/{'pci' if kind == 'hostpci' else kind}/{mapping}", "Mapping.Use")

    def drive(self, name: str, text: str) -> None:
        """Die when the caller may not change a drive of this kind."""
        drive = config.parse_drive(name, text)
        kind = "cloudinit" if config.is_cloudinit(drive) else "cdrom" if config.is_cdrom(drive) else ""
        self.need(*DRIVE_PRIVILEGES.get(kind, ("VM.Config.Disk",)))

    def tags(self, before: str, after: str) -> None:
        """Die when the caller may not change the VM's tags."""
        changed = set(propstring.split_list(before)) ^ set(propstring.split_list(after))
        if changed and not access.may(self.session, "/", ["Sys.Modify"]):
            self.need("VM.Config.Options")

    def volume(self, volid: str) -> None:
        """Die when the caller may not use a volume, or a path of the node, for the VM."""
        if not storages.split_volid(volid):
            if not self.session.is_root:
                where = "at /usr/share/perl5/PVE/Storage.pm line 651."
                raise ApiError(f"Only root can pass arbitrary filesystem paths. {where}")
            return
        storage, name = storages.locate(self.session.state, volid)
        volume, path = storage.parse(name), f"/storage/{storage.name}"
        if access.may(self.session, path, ["Datastore.Allocate"]) or volume.vmid == self.vmid:
            return
        if volume.content in ("iso", "vztmpl", "import"):
            access.need(self.session, path, "Datastore.AllocateSpace", "Datastore.Audit", any_of=True)
        elif volume.vmid and volume.content == "backup":
            access.need(self.session, path, "Datastore.AllocateSpace")
            access.need(self.session, f"/vms/{volume.vmid}", "VM.Backup")
        elif volume.vmid:
            access.need(self.session, path, "Datastore.Audit")
            access.need(self.session, f"/vms/{volume.vmid}", "VM.Config.Disk")
        else:
            raise ApiError(f"missing privileges to access {volid}")

    def bridges(self, options: Mapping[str, str]) -> None:
        """Die when the caller may not use one of the bridges that the cards are on."""
        for name in sorted(name for name in options if re.fullmatch(r"net\d+", name)):
            net = config.parse_net(options[name])
            if "bridge" not in net:
                continue
            path = f"/sdn/zones/localnetwork/{net['bridge']}"
            tags = [net["tag"]] if "tag" in net else []
            tags += sorted(_trunk_tags(net.get("trunks", "")))
            for where in [f"{path}/{tag}" for tag in tags] or [path]:
                access.need(self.session, where, "SDN.Use")


def _trunk_tags(text: str) -> set[str]:
    tags: set[str] = set()
    for part in filter(None, text.split(";")):
        first, _unused, last = part.partition("-")
        tags |= {str(tag) for tag in range(int(first), int(last or first) + 1)}
    return tags


def value(name: str, text: str, key: str) -> str:
    """One key of an option; empty when it is not there."""
    form = validation.option_format("qemu", name) or {"host": {"default_key": 1}}
    return propstring.parse(text, form).get(key, "")
