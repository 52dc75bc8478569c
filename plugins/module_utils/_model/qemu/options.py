# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a QEMU virtual machine is, as data.

What a running VM takes at once is what qemu-server plugs (src/PVE/QemuServer.pm, $fast_plug_option and
vmconfig_hotplug_pending), where the VM's own ``hotplug`` lets it. Defaults are those of the PVE 9 schema. Lists of
devices are numbered by PVE in groups of their own (``net0``, ``scsi0``); what PVE chose itself (MAC addresses, volume
names, smbios1) is carried over.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.content import PARTS
from ansible_collections.pve.provision.plugins.module_utils._model.codec import (
    BOOLEAN,
    TEXT,
    choice,
    integer,
    number,
    words,
)
from ansible_collections.pve.provision.plugins.module_utils._model.creation import (
    CLONE_FROM,
    RESTORE_FROM,
    SSH_KEYS,
    VMID,
    check_vmids,
)
from ansible_collections.pve.provision.plugins.module_utils._model.declare import declare
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import (
    CPUUNITS,
    DESCRIPTION,
    HOSTNAME,
    STARTUP,
    TAG_WORD,
)
from ansible_collections.pve.provision.plugins.module_utils._model.option import Declaration, Option, Path, in_scope
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import hardware as hw
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.cloud_init import (
    CI_PASSWORD,
    CICUSTOM,
    IPCONFIG,
    NAMESERVER,
    USER,
)
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import (
    BUSES,
    CDROM,
    CDROM_MARK,
    CONTROLLERS,
    DISK,
    DISK_COLD,
    EFIDISK,
    LAST,
    PLUGGABLE,
    TPM,
    resolve_disk,
    resolve_small,
)
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.network import NET, REPLUG, resolve_net

# What qemu-server takes of a running VM in any case.
_live = functools.partial(Option, hotplug=True, hotplug_delete=True)


def _disk(bus: str) -> Option:
    plugs = bus in PLUGGABLE
    return Option(
        bus,
        "disks",
        DISK,
        slot="bus",
        by_place=True,
        indexed=True,
        last=LAST[bus],
        hotplug=True,
        hotplug_add=plugs,
        hotplug_delete=plugs,
        plugs="disk",
        replug=frozenset({"volume"}),
        cold=DISK_COLD,
        purge=False,
        resolve=resolve_disk,
    )


def _drive(bus: str) -> Option:
    """The same places as those of disks; the first drive is where PVE puts one, at ``ide2``."""
    return Option(
        bus,
        "cdroms",
        CDROM,
        slot="bus",
        by_place=True,
        first=2 if bus == "ide" else 0,
        marked=CDROM_MARK,
        indexed=True,
        last=LAST[bus],
        hotplug=True,
        purge=False,
        resolve=resolve_disk,
    )


def _ci(key: str, param: str, codec: t.Any, **more: t.Any) -> Option:
    """PVE writes it into the config of a running VM at once; the guest reads it when it starts."""
    return Option(key, f"cloud_init.{param}", codec, **more)


TABLE: t.Final[tuple[Option, ...]] = (
    Option("vmid", "vmid", VMID, scope="guest"),
    Option("clone_from", "clone_from", CLONE_FROM, scope="guest"),
    Option("restore_from", "restore_from", RESTORE_FROM, scope="guest", excludes=("clone_from",)),
    Option("pool", "pool", TEXT, scope="guest"),
    Option("bwlimit", "bwlimit", integer(0, None, "a number of KiB/s"), scope="creation"),
    Option("import-working-storage", "import_working_storage", TEXT, scope="creation"),
    # -- the guest -----------------------------------------------------------------------------------------------
    _live("name", "name", HOSTNAME, aliases=("hostname",), purge=False),
    Option("ostype", "ostype", choice(*hw.OSTYPES), default="other", purge=False),
    _live("onboot", "onboot", BOOLEAN, default=False),
    _live("startup", "startup", STARTUP),
    _live("protection", "protection", BOOLEAN, default=False),
    _live("tags", "tags", words(";", TAG_WORD, ordered=False), default=()),
    _live("description", "description", DESCRIPTION, default=""),
    _live("hookscript", "hookscript", TEXT),
    Option("args", "args", hw.ARGS),
    # -- processor and memory ------------------------------------------------------------------------------------
    Option("arch", "arch", choice("x86_64", "aarch64")),
    Option("cores", "cores", integer(1, 8192, "a number of cores"), default=1),
    Option("sockets", "sockets", integer(1, 64), default=1),
    Option("vcpus", "vcpus", integer(1), hotplug=True, plugs="cpu"),
    Option("cpu", "cpu", hw.CPU, purge=False),
    _live("cpulimit", "cpulimit", number(0, 128), default=0.0),
    _live("cpuunits", "cpuunits", CPUUNITS),
    Option("affinity", "affinity", hw.AFFINITY),
    Option("numa", "numa", BOOLEAN, default=False),
    Option("numa", "numa_nodes", hw.NUMA_NODE, indexed=True, last=7),
    Option("memory", "memory", hw.MEMORY, default=512, hotplug=True, plugs="memory"),
    Option("balloon", "balloon", integer(0), hotplug=True, waits=hw.balloon_waits),
    _live("shares", "shares", integer(0, 50000), default=1000),
    Option("hugepages", "hugepages", hw.HUGEPAGES),
    Option("keephugepages", "keephugepages", BOOLEAN, default=False),
    Option("allow-ksm", "allow_ksm", BOOLEAN, default=True, since="9.0"),
    Option("amd-sev", "amd_sev", hw.AMD_SEV),
    Option("intel-tdx", "intel_tdx", hw.INTEL_TDX, since="9.1"),
    Option("kvm", "kvm", BOOLEAN, default=True),
    # -- board ---------------------------------------------------------------------------------------------------
    Option("machine", "machine", hw.MACHINE, purge=False, resolve=hw.resolve_machine),
    Option("bios", "bios", choice("seabios", "ovmf"), default="seabios", immutable=True, purge=False),
    Option("efidisk0", "efidisk", EFIDISK, purge=False, resolve=resolve_small),
    Option("tpmstate0", "tpm", TPM, purge=False, resolve=resolve_small),
    Option("smbios1", "smbios", hw.SMBIOS, purge=False),
    Option("vmgenid", "vmgenid", hw.VMGENID, purge=False),
    Option("acpi", "acpi", BOOLEAN, default=True),
    Option("localtime", "localtime", BOOLEAN),
    Option("startdate", "startdate", hw.STARTDATE, default="now"),
    Option("tdf", "tdf", BOOLEAN, default=False),
    Option("freeze", "freeze", BOOLEAN, default=False),
    Option("reboot", "reboot", BOOLEAN, default=True),
    Option("boot", "boot", hw.BOOT, purge=False),
    _live("hotplug", "hotplug", hw.HOTPLUG, default=hw.PLUGGED, waits=hw.hotplug_waits),
    # -- disks ---------------------------------------------------------------------------------------------------
    Option("scsihw", "scsihw", choice(*CONTROLLERS), default="lsi", purge=False),
    *(_disk(bus) for bus in BUSES),
    *(_drive(bus) for bus in reversed(BUSES)),
    _live("vmstatestorage", "vmstatestorage", TEXT),
    # -- devices -------------------------------------------------------------------------------------------------
    _live(
        "net",
        "networks",
        NET,
        indexed=True,
        marks=("hwaddr",),
        told_by="bridge",
        hotplug_add=True,
        plugs="network",
        replug=REPLUG,
        resolve=resolve_net,
    ),
    Option("agent", "agent", hw.AGENT, hotplug=True, waits=hw.agent_waits),
    Option("vga", "vga", hw.VGA),
    Option("serial", "serials", hw.SERIAL, indexed=True, last=3),
    Option("parallel", "parallels", hw.PARALLEL, indexed=True, last=2),
    Option("audio0", "audio", hw.AUDIO),
    Option("rng0", "rng", hw.RNG),
    Option("watchdog", "watchdog", hw.WATCHDOG),
    Option("virtiofs", "virtiofs", hw.VIRTIOFS, indexed=True, last=9, identity=("dirid",)),
    _live(
        "usb",
        "usb",
        hw.USB,
        indexed=True,
        last=14,
        identity=("host", "mapping"),
        hotplug_add=True,
        plugs="usb",
    ),
    Option("hostpci", "hostpci", hw.HOSTPCI, indexed=True, last=15, identity=("host", "mapping")),
    Option("ivshmem", "ivshmem", hw.IVSHMEM),
    Option("spice_enhancements", "spice_enhancements", hw.SPICE),
    _live("tablet", "tablet", BOOLEAN, default=True, plugs="usb"),
    Option("keyboard", "keyboard", choice(*hw.KEYBOARDS)),
    Option("migrate_downtime", "migrate_downtime", number(0), default=0.1),
    Option("migrate_speed", "migrate_speed", integer(0), default=0),
    # -- cloud-init ----------------------------------------------------------------------------------------------
    _ci("ciuser", "user", USER),
    _ci("cipassword", "password", CI_PASSWORD, secret=True),
    _ci("sshkeys", "ssh_keys", SSH_KEYS, public=True),
    _ci("ciupgrade", "upgrade", BOOLEAN, default=True),
    _ci("nameserver", "nameserver", words(" ", NAMESERVER), default=()),
    _ci("searchdomain", "searchdomain", words(" ", HOSTNAME), default=()),
    _ci("ipconfig", "ip", IPCONFIG, indexed=True, by_place=True),
    _ci("citype", "type", choice("nocloud", "configdrive2", "opennebula")),
    _ci("cicustom", "custom", CICUSTOM),
    *(_ci(f"{part}-data", f"{part}_data", TEXT, scope="guest", secret=True) for part in PARTS),
    _ci("cloud-init-storage", "storage", TEXT, scope="guest"),
    _ci("install-agent", "install_agent", BOOLEAN, scope="guest"),
    _ci("cloud-init-wait", "wait", integer(0, None, "a number of seconds"), scope="guest"),
)
"""Every option of a VM, and all that is to be said of it; specs and documentation follow it."""
OPTIONS: t.Final = in_scope(TABLE, "config")
CREATION: t.Final = in_scope(TABLE, "creation")


def declare_vm(
    params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()
) -> tuple[Declaration, list[Finding]]:
    """Read the parameters of a VM: the declaration, and all that is wrong with it by itself."""
    declaration, findings = declare(OPTIONS, params, nulls)
    return declaration, [*findings, *check_vmids(params)]
