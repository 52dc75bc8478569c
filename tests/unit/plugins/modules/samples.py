# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two values of every option of a guest, to change it from one to the other and back.

An option is called as the user writes it, with a dot before each key of a dictionary: ``networks.mtu`` is the key of
the first entry of that list. What is in the table and not here fails the tests that change every option.
"""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._model.option import Option
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields

Params = dict[str, t.Any]


@dataclass(frozen=True)
class Sample:
    """The values ``a`` and ``b``. ``group``: those that can be declared together, and need the same besides;
    ``with_b``: what changes together with ``b``. ``refused``: the ``change`` cannot be made, or the way ``back``, which
    is a finding. ``shown``: whether the result's config shows it."""

    a: t.Any
    b: t.Any
    group: str = ""
    with_b: Params = field(default_factory=dict)
    refused: t.Literal["", "change", "back"] = ""
    shown: bool = True


def leaves(table: t.Iterable[Option]) -> dict[str, Option]:
    """Every value that a user can declare, and its option."""
    found: dict[str, Option] = {}
    for option in table:
        if isinstance(option.codec, Fields):
            named = (entry.param or key for key, entry in option.codec.keys.items() if not entry.internal)
            found |= {f"{option.param}.{name}": option for name in named}
        else:
            found[option.param] = option
    return found


def declaration(options: t.Mapping[str, Option], entries: t.Mapping[str, Params], values: Params) -> Params:
    """What a user writes to have these values. ``entries``: what is said of the first entry of a list anyway."""
    result: Params = {}
    for leaf, value in values.items():
        option = options.get(leaf)
        *folders, last = leaf.split(".")
        listed = option is not None and option.indexed
        target = result
        for folder in folders[:-1] if listed else folders:
            target = target.setdefault(folder, {})
        if listed:
            entry = target.setdefault(folders[-1], [copy.deepcopy(entries.get(".".join(folders), {"id": 0}))])[0]
            target = entry
        target[last] = value
    return result


def value_in(config: Params, leaf: str, entries: t.Mapping[str, Params]) -> t.Any:
    """What a result shows of it; of a list, in the entry that is declared."""
    value: t.Any = config
    place = ""
    for name in leaf.split("."):
        if isinstance(value, list):
            known = {key: text for key, text in entries.get(place, {}).items() if key in ("id", "bus", "index")}
            value = next((entry for entry in value if known.items() <= entry.items()), None)
        value = value.get(name) if isinstance(value, dict) else None
        place = f"{place}.{name}".lstrip(".")
    return value


SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampl"
MAC = "BC:24:11:0A:00:0{}"

# -- containers ------------------------------------------------------------------------------------------------------
LXC_BASE: Params = {"ostemplate": "debian-13-standard"}
# What a group declares anyway.
LXC_GROUPS: dict[str, Params] = {
    "": {"mount_points.storage": "local-lvm"},
    "name": {"rename": True},
    "privileged": {
        "unprivileged": False, "rootfs.storage": "local-lvm", "rootfs.size": "1G", "mount_points.storage": "local-lvm",
        "mount_points.size": "1G", "mount_points.mp": "/srv",
    },
    "bind": {"mount_points.mp": "/srv"},
    "protection": {"hostname": "box"},
}  # fmt: skip
LXC_ENTRIES: dict[str, Params] = {
    "networks": {"id": 0, "name": "eth0", "bridge": "vmbr0"},
    "mount_points": {"id": 0},
    "devices": {"id": 0, "path": "/dev/ppp"},
}
LXC: dict[str, Sample] = {
    "hostname": Sample("box", "crate", "name"),
    "ostype": Sample("debian", "unmanaged"),
    "arch": Sample("amd64", "i386", refused="change"),
    "unprivileged": Sample(True, False, refused="change"),
    "cores": Sample(1, 2),
    "cpulimit": Sample(1.0, 1.5),
    "cpuunits": Sample(200, 300),
    "memory": Sample(256, 512),
    "swap": Sample(128, 0),
    "rootfs.storage": Sample("local-lvm", "local", refused="change"),
    "rootfs.size": Sample("1G", "2G", refused="back"),
    "rootfs.acl": Sample(True, False),
    "rootfs.mountoptions": Sample(["noatime"], ["discard", "noatime"]),
    "rootfs.quota": Sample(False, True, "privileged"),
    "rootfs.replicate": Sample(True, False),
    "rootfs.ro": Sample(False, True),
    "rootfs.shared": Sample(False, True),
    "mount_points.bind": Sample("/srv/one", "/srv/two", "bind", shown=False),
    "mount_points.mp": Sample("/srv", "/mnt"),
    "mount_points.size": Sample("1G", "2G", refused="back"),
    "mount_points.backup": Sample(True, False),
    "mount_points.acl": Sample(True, False),
    "mount_points.mountoptions": Sample(["noatime"], ["nodev", "noatime"]),
    "mount_points.quota": Sample(False, True, "privileged"),
    "mount_points.replicate": Sample(True, False),
    "mount_points.ro": Sample(False, True),
    "mount_points.shared": Sample(False, True),
    "networks.name": Sample("eth0", "eth1"),
    "networks.bridge": Sample("vmbr0", "vmbr1"),
    "networks.firewall": Sample(True, False),
    "networks.gateway": Sample("192.0.2.1", "192.0.2.2"),
    "networks.gateway6": Sample("2001:db8::1", "2001:db8::2"),
    "networks.host_managed": Sample(True, False),
    "networks.hwaddr": Sample(MAC.format(1), MAC.format(2)),
    "networks.ip": Sample("192.0.2.10/24", "192.0.2.11/24"),
    "networks.ip6": Sample("2001:db8::10/64", "2001:db8::11/64"),
    "networks.link_down": Sample(True, False),
    "networks.mtu": Sample(1400, 1300),
    "networks.rate": Sample(10.0, 20.0),
    "networks.tag": Sample(10, 20),
    "networks.trunks": Sample([30], [30, 40]),
    "devices.path": Sample("/dev/ppp", "/dev/other"),
    "devices.deny_write": Sample(True, False),
    "devices.gid": Sample(100, 101),
    "devices.mode": Sample("0660", "0666"),
    "devices.uid": Sample(100, 101),
    "nameserver": Sample(["192.0.2.53"], ["192.0.2.54", "192.0.2.53"]),
    "searchdomain": Sample(["example.org"], ["example.com"]),
    "features.nesting": Sample(True, False),
    "features.keyctl": Sample(True, False),
    "features.fuse": Sample(True, False),
    "features.mknod": Sample(True, False),
    "features.mount": Sample(["nfs"], ["nfs", "cifs"], "privileged"),
    "features.force_rw_sys": Sample(True, False),
    "onboot": Sample(True, False),
    "startup.order": Sample(1, 2),
    "startup.up": Sample(10, 20),
    "startup.down": Sample(10, 20),
    "protection": Sample(True, False, "protection"),
    "tags": Sample(["web"], ["db", "web"]),
    "description": Sample("one\ntwo", "other: 100 %"),
    "timezone": Sample("host", "Europe/Berlin"),
    "hookscript": Sample("local:snippets/one.sh", "local:snippets/two.sh"),
    "console": Sample(True, False),
    "cmode": Sample("tty", "shell"),
    "tty": Sample(2, 3),
    "debug": Sample(True, False),
    "entrypoint": Sample("/sbin/init", "/bin/app"),
    "env": Sample(["A=1"], ["A=2", "B=x y"], shown=False),
}
LXC_LEFT: dict[str, str] = {
    "rootfs.volume": "a new container has a new one",
    "mount_points.volume": "a bind mount is changed instead",
    "mount_points.storage": "where a volume is made is said once",
    "mount_points.idmap": "needs Proxmox VE 9.2",
    "mount_points.keepattrs": "needs Proxmox VE 9.2",
    "networks.type": "there is one type",
    "raw": "is written to a file of the node",
}

# -- virtual machines ------------------------------------------------------------------------------------------------
VM_BASE: Params = {}
VM_GROUPS: dict[str, Params] = {
    "": {},
    "name": {"rename": True},
    "model": {"name": "box"},
    "protection": {"name": "box"},
    "sockets": {"cores": 1},
    "vcpus": {"cores": 2},
    "numa": {"numa": True, "memory": 1024},
    "huge pages": {"numa": True, "memory": 1024},
    "sev type": {},
    "sev": {"amd_sev.type": "snp"},
    "tdx": {"intel_tdx.type": "tdx"},
    "iommu": {"machine.type": "q35"},
    "iommu width": {"machine.type": "q35", "machine.viommu": "intel"},
    "ovmf": {"bios": "ovmf"},
    "limits": {},
    "iothread": {"scsihw": "virtio-scsi-single"},
    "password": {},
    "custom": {},
    "legacy": {},
    "igd": {"hostpci.host": ["0000:00:02.0"], "vga.type": "none"},
    "mediated": {"hostpci.host": ["0000:00:02.0"]},
    "mapped": {},
    "pcie": {"hostpci.host": ["0000:02:00.0"], "machine.type": "q35"},
}
VM_ENTRIES: dict[str, Params] = {
    "disks": {"bus": "scsi", "index": 0, "storage": "local-lvm", "size": "1G"},
    "cdroms": {"bus": "ide", "index": 2},
    "networks": {"id": 0, "bridge": "vmbr0"},
}
VM: dict[str, Sample] = {
    "name": Sample("box", "crate", "name"),
    "ostype": Sample("l26", "l24"),
    "onboot": Sample(True, False),
    "startup.order": Sample(1, 2),
    "startup.up": Sample(10, 20),
    "startup.down": Sample(10, 20),
    "protection": Sample(True, False, "protection"),
    "tags": Sample(["web"], ["db", "web"]),
    "description": Sample("one\ntwo", "other: 100 %"),
    "hookscript": Sample("local:snippets/one.sh", "local:snippets/two.sh"),
    "args": Sample("-no-reboot", "-no-shutdown"),
    "arch": Sample("x86_64", "aarch64"),
    "cores": Sample(1, 2),
    "sockets": Sample(1, 2, "sockets"),
    "vcpus": Sample(1, 2, "vcpus"),
    "cpu.type": Sample("host", "x86-64-v2-AES"),
    "cpu.flags": Sample(["+aes"], ["+aes", "-pcid"]),
    "cpu.guest_phys_bits": Sample(40, 48),
    "cpu.hidden": Sample(True, False),
    "cpu.hv_vendor_id": Sample("one", "two"),
    "cpu.phys_bits": Sample("host", "40"),
    "cpulimit": Sample(1.0, 1.5),
    "cpuunits": Sample(200, 300),
    "affinity": Sample("0", "0-1"),
    "numa": Sample(True, False),
    "numa_nodes.cpus": Sample(["0"], ["0-1"], "numa"),
    "numa_nodes.hostnodes": Sample(["0"], ["0-1"], "numa"),
    "numa_nodes.memory": Sample(1024.0, 2048.0, "numa", {"memory": 2048}),
    "numa_nodes.policy": Sample("bind", "interleave", "numa"),
    "memory": Sample(1024, 2048),
    "balloon": Sample(512, 256),
    "shares": Sample(500, 600),
    "hugepages": Sample("2", "1024", "huge pages"),
    "keephugepages": Sample(True, False, "huge pages"),
    "allow_ksm": Sample(True, False),
    "amd_sev.type": Sample("snp", "es", "sev type"),
    "amd_sev.allow_smt": Sample(True, False, "sev"),
    "amd_sev.kernel_hashes": Sample(True, False, "sev"),
    "amd_sev.no_debug": Sample(True, False, "sev"),
    "amd_sev.no_key_sharing": Sample(True, False, "sev"),
    "intel_tdx.attestation": Sample(True, False, "tdx"),
    "intel_tdx.vsock_cid": Sample(3, 4, "tdx"),
    "intel_tdx.vsock_port": Sample(1000, 1001, "tdx"),
    "kvm": Sample(True, False),
    "machine.type": Sample("i440fx", "q35"),
    "machine.aw_bits": Sample(39, 48, "iommu width"),
    "machine.enable_s3": Sample(True, False),
    "machine.enable_s4": Sample(True, False),
    "machine.viommu": Sample("virtio", "intel", "iommu"),
    "bios": Sample("seabios", "ovmf", refused="change"),
    "efidisk.storage": Sample("local-lvm", "local", "ovmf", refused="change"),
    "efidisk.efitype": Sample("4m", "2m", "ovmf", refused="change"),
    "efidisk.ms_cert": Sample("2023", "2011", "ovmf", refused="change"),
    "efidisk.pre_enrolled_keys": Sample(True, False, "ovmf", refused="change"),
    "tpm.storage": Sample("local-lvm", "local", refused="change"),
    "tpm.version": Sample("v2.0", "v1.2", refused="change"),
    "smbios.uuid": Sample("11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-666666666666"),
    "smbios.family": Sample("one", "two"),
    "smbios.manufacturer": Sample("one", "two, and =three"),
    "smbios.product": Sample("one", "two"),
    "smbios.serial": Sample("one", "two"),
    "smbios.sku": Sample("one", "two"),
    "smbios.version": Sample("one", "two"),
    "vmgenid": Sample("11111111-2222-4333-8444-555555555555", "0"),
    "acpi": Sample(True, False),
    "localtime": Sample(True, False),
    "startdate": Sample("now", "2026-01-31T12:00:00"),
    "tdf": Sample(True, False),
    "freeze": Sample(True, False),
    "reboot": Sample(True, False),
    "boot.legacy": Sample("cdn", "nc", "legacy"),
    # with the drive of a CD image for cloud-init, which PVE adds
    "boot.order": Sample(["net0"], ["scsi0", "net0"], shown=False),
    "hotplug": Sample(["disk"], ["disk", "network"]),
    "scsihw": Sample("virtio-scsi-single", "virtio-scsi-pci"),
    "disks.storage": Sample("local-lvm", "local", refused="change"),
    "disks.size": Sample("1G", "2G", refused="back"),
    "disks.aio": Sample("native", "threads"),
    "disks.backup": Sample(True, False),
    "disks.mbps": Sample(1.5, 2.0),
    "disks.mbps_max": Sample(3.5, 4.0),
    "disks.bps_max_length": Sample(10, 20),
    "disks.iops": Sample(1000, 2000),
    "disks.iops_max": Sample(3000, 4000),
    "disks.iops_max_length": Sample(10, 20),
    **{f"disks.mbps_{way}": Sample(1.5, 2.0, "limits") for way in ("rd", "wr")},
    **{f"disks.mbps_{way}_max": Sample(3.5, 4.0, "limits") for way in ("rd", "wr")},
    **{f"disks.bps_{way}_max_length": Sample(10, 20, "limits") for way in ("rd", "wr")},
    **{f"disks.iops_{way}": Sample(1000, 2000, "limits") for way in ("rd", "wr")},
    **{f"disks.iops_{way}_max": Sample(3000, 4000, "limits") for way in ("rd", "wr")},
    **{f"disks.iops_{way}_max_length": Sample(10, 20, "limits") for way in ("rd", "wr")},
    "disks.cache": Sample("none", "writeback"),
    "disks.detect_zeroes": Sample(True, False),
    "disks.discard": Sample("on", "ignore"),
    "disks.iothread": Sample(True, False, "iothread"),
    "disks.product": Sample("one", "two"),
    "disks.queues": Sample(2, 4),
    "disks.replicate": Sample(True, False),
    "disks.rerror": Sample("stop", "report"),
    "disks.ro": Sample(True, False),
    "disks.scsiblock": Sample(True, False),
    "disks.serial": Sample("one", "two"),
    "disks.shared": Sample(True, False),
    "disks.snapshot": Sample(True, False),
    "disks.ssd": Sample(True, False),
    "disks.vendor": Sample("one", "two"),
    "disks.werror": Sample("stop", "enospc"),
    "disks.wwn": Sample("0x1000000000000001", "0x1000000000000002"),
    "cdroms.volume": Sample("local:iso/one.iso", "local:iso/two.iso"),
    "vmstatestorage": Sample("local-lvm", "local"),
    "networks.model": Sample("virtio", "e1000", "model"),
    "networks.hwaddr": Sample(MAC.format(1), MAC.format(2)),
    "networks.bridge": Sample("vmbr0", "vmbr1"),
    "networks.firewall": Sample(True, False),
    "networks.link_down": Sample(True, False),
    "networks.mtu": Sample(1400, 1300),
    "networks.queues": Sample(2, 4),
    "networks.rate": Sample(10.0, 20.0),
    "networks.tag": Sample(10, 20),
    "networks.trunks": Sample(["30"], ["30", "40-50"]),
    "agent.enabled": Sample(True, False),
    "agent.freeze_fs": Sample(True, False),
    "agent.fstrim_cloned_disks": Sample(True, False),
    "agent.type": Sample("virtio", "isa"),
    "vga.type": Sample("std", "qxl"),
    "vga.memory": Sample(16, 32),
    "serials.device": Sample("socket", "/dev/ttyS0"),
    "parallels.device": Sample("/dev/parport0", "/dev/parport1"),
    "audio.device": Sample("ich9-intel-hda", "AC97"),
    "audio.driver": Sample("spice", "none"),
    "rng.source": Sample("/dev/urandom", "/dev/random"),
    "rng.max_bytes": Sample(1000, 2000),
    "rng.period": Sample(500, 600),
    "watchdog.model": Sample("i6300esb", "ib700"),
    "watchdog.action": Sample("reset", "pause"),
    "virtiofs.mapping": Sample("share", "data"),
    "virtiofs.cache": Sample("always", "never"),
    "virtiofs.direct_io": Sample(True, False),
    "virtiofs.expose_acl": Sample(True, False),
    "virtiofs.expose_xattr": Sample(True, False),
    "usb.host": Sample("1-1", "10c4:ea60"),
    "usb.mapping": Sample("stick", "port", "mapped"),
    "usb.usb3": Sample(True, False),
    "hostpci.host": Sample(["0000:02:00.0"], ["0000:02:00.1"]),
    "hostpci.device_id": Sample("0x1234", "0x1235"),
    "hostpci.driver": Sample("keep", "vfio"),
    "hostpci.legacy_igd": Sample(True, False, "igd"),
    "hostpci.mapping": Sample("card", "other", "mapped"),
    "hostpci.mdev": Sample("i915-GVTg_V5_4", "i915-GVTg_V5_8", "mediated"),
    "hostpci.pcie": Sample(True, False, "pcie"),
    "hostpci.rombar": Sample(True, False),
    "hostpci.romfile": Sample("one.rom", "two.rom"),
    "hostpci.sub_device_id": Sample("0x1234", "0x1235"),
    "hostpci.sub_vendor_id": Sample("0x1234", "0x1235"),
    "hostpci.vendor_id": Sample("0x1234", "0x1235"),
    "hostpci.x_vga": Sample(True, False),
    "ivshmem.size": Sample(1, 2),
    "ivshmem.name": Sample("one", "two"),
    "spice_enhancements.foldersharing": Sample(True, False),
    "spice_enhancements.videostreaming": Sample("all", "filter"),
    "tablet": Sample(True, False),
    "keyboard": Sample("de", "en-us"),
    "migrate_downtime": Sample(0.5, 1.0),
    "migrate_speed": Sample(100, 200),
    "cloud_init.user": Sample("admin", "other"),
    "cloud_init.password": Sample("first secret", "second secret", "password", shown=False),
    "cloud_init.ssh_keys": Sample([f"{SSH_KEY}e a b"], [f"{SSH_KEY}f c"]),
    "cloud_init.upgrade": Sample(True, False),
    "cloud_init.nameserver": Sample(["192.0.2.53"], ["192.0.2.54", "192.0.2.53"]),
    "cloud_init.searchdomain": Sample(["example.org"], ["example.com"]),
    "cloud_init.ip.gateway": Sample("192.0.2.1", "192.0.2.2"),
    "cloud_init.ip.gateway6": Sample("2001:db8::1", "2001:db8::2"),
    "cloud_init.ip.ip": Sample("192.0.2.10/24", "192.0.2.11/24"),
    "cloud_init.ip.ip6": Sample("2001:db8::10/64", "2001:db8::11/64"),
    "cloud_init.custom.meta": Sample("local:snippets/one.sh", "local:snippets/two.sh", "custom"),
    "cloud_init.custom.network": Sample("local:snippets/one.sh", "local:snippets/two.sh", "custom"),
    "cloud_init.custom.user": Sample("local:snippets/one.sh", "local:snippets/two.sh", "custom"),
    "cloud_init.custom.vendor": Sample("local:snippets/one.sh", "local:snippets/two.sh", "custom"),
    "cloud_init.type": Sample("nocloud", "configdrive2"),
}  # fmt: skip
VM_LEFT: dict[str, str] = {
    "cpu.level": "needs Proxmox VE 9.2",
    "intel_tdx.type": "there is one type",
    "efidisk.volume": "a new VM has a new one",
    "efidisk.import_from": "counts when it is made",
    "efidisk.format": "counts when it is made",
    "tpm.volume": "a new VM has a new one",
    "tpm.import_from": "counts when it is made",
    "tpm.format": "counts when it is made",
    "disks.volume": "a new VM has new ones",
    "disks.import_from": "counts when it is made",
    "disks.format": "counts when it is made",
    "disks.image": "counts when it is made",
    "cdroms.iso": "is a volume by another name",
    "disks.model": "is for disks on ide",
    "networks.host_tunnel": "needs Proxmox VE 9.2",
    "vga.clipboard": "there is one",
}
