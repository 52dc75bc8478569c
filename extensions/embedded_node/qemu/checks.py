# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a start refuses although create and set took it, in the order in which PVE finds out."""

from __future__ import annotations

import functools
import re
import stat
import typing as t

from ..api import validation
from ..errors import ApiError
from ..state import hardware, mappings, propstring
from ..state import storage as storages
from . import capabilities, config, memory, process

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..api.session import Session
    from ..state.root import State

LEAST_MTU = 576
# What PVE tells of an EFI disk whose keys are older than Microsoft's certificates of 2023.
OLD_KEYS = """\
EFI disk without 'ms-cert=2023k' option, suggesting that not all UEFI 2023
certificates from Microsoft are enrolled yet. The UEFI 2011 certificates expire
in June 2026! The new certificates are required for secure boot update for Windows
and common Linux distributions. Use 'Disk Action > Enroll Updated Certificates'
in the UI or, while the VM is shut down, run 'qm enroll-efi-keys {0}' to enroll
the new certificates.

For Windows with BitLocker, run the following command inside Powershell:
  manage-bde -protectors -disable <drive>
for each drive with BitLocker (for example, <drive> could be 'C:').
This is required for each drive with BitLocker before proceeding with enrollment.
Otherwise, you will be prompted for the BitLocker recovery key on the next boot."""


def numbered(options: Mapping[str, str], kind: str) -> Iterator[tuple[str, str]]:
    """The options of one kind (``net0``, ``net1``, ...) in the order of their numbers."""
    names = (name for name in options if re.fullmatch(rf"{kind}\d+", name))
    return ((name, options[name]) for name in sorted(names, key=lambda name: int(name.removeprefix(kind))))


def hookscript(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    """Die when the script that is called before a start cannot be."""
    try:
        if "hookscript" in options:
            storages.check_hookscript(session.state, options["hookscript"])
    except ApiError as error:
        raise ApiError(f"hookscript error for {vmid} on pre-start: {error.message}\n\n") from error


def volumes(session: Session, options: Mapping[str, str]) -> None:
    """Die when a disk, an ISO image or the saved memory is not there."""
    volids = [drive["file"] for _unused, drive in config.drives(options)]
    for volid in [*volids, *filter(None, [options.get("vmstate")])]:
        if storages.split_volid(volid):
            storage, volume = storages.locate(session.state, volid)
            storage.check_enabled().activate().require(volume)


def keys(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    """Tell about Microsoft's certificates when the EFI disk came with older ones."""
    disk = config.parse_drive("efidisk0", options["efidisk0"]) if "efidisk0" in options else {}
    if options.get("bios") == "ovmf" and disk.get("pre-enrolled-keys") == "1" and disk.get("ms-cert") != "2023k":
        session.say(OLD_KEYS.format(vmid))


def command(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    """Die when no command line can be made of the config."""
    for check in COMMAND:
        check(session, vmid, options)


def qemu(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    """Die when QEMU itself would give up; its own message comes first."""
    said = next((said for check in QEMU for said in check(session.state, vmid, options)), "")
    if said:
        session.say(said)
        raise ApiError("start failed: QEMU exited with code 1")


# -- what the command line is made of ----------------------------------------------------------------------------------


def _machine(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    machine = propstring.parse(options.get("machine", ""), {"type": {"default_key": 1}}).get("type", "pc")
    found = re.search(r"-(\d+)\.(\d+)(?:\.\d+)?(?:\+pve(\d+))?(?:\.pxe)?$", machine)
    if not found:
        return
    version = (int(found[1]), int(found[2]))
    step = found[3] or "0"
    upgrade = f"is too old to run machine type '{machine}', please upgrade node '{session.state.name}'"
    if version > tuple(map(int, config.QEMU_VERSION.split(".")[:2])):
        told = machine if found[3] else f"{machine}+pve0"
        raise ApiError(f"Installed QEMU version '{config.QEMU_VERSION}' {upgrade.replace(machine, told)}")
    known = len(capabilities.STEPS.get(f"{version[0]}.{version[1]}", ()))
    if int(step) > known:
        what = f"Installed qemu-server (max feature level for {version[0]}.{version[1]} is pve{known})"
        raise ApiError(f"{what} {upgrade}")


def _firmware(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    if options.get("bios") != "ovmf":
        return
    model = propstring.parse(options.get("cpu", ""), {"cputype": {"default_key": 1}}).get("cputype", "kvm64")
    if model in ("486", "pentium", "pentium2", "pentium3", "athlon", "coreduo", "kvm32", "qemu32"):
        raise ApiError("OVMF (UEFI) BIOS is not supported on 32-bit CPU types")
    if "efidisk0" not in options:
        session.log_warning("no efidisk configured! Using temporary efivars disk.")


def _pci(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    """A PCI device that is not there or in use; PVE says so twice, except where it only shows the command."""
    try:
        _passed_through(session.state, vmid, options)
    except ApiError as error:
        if session.in_task:
            session.say(error.message)
        raise ApiError(error.message, exit_code=22) from error


def _passed_through(state: State, vmid: int, options: Mapping[str, str]) -> None:
    own: set[str] = set()
    others = _pci_in_use(state, vmid)
    for name, text in numbered(options, "hostpci"):
        device = propstring.parse(text, validation.option_format("qemu", name) or {"host": {"default_key": 1}})
        choices = _alternatives(state, device)
        if device.get("pcie") == "1" and "q35" not in options.get("machine", ""):
            raise ApiError("q35 machine model is not enabled at /usr/share/perl5/PVE/QemuServer/PCI.pm line 538.")
        if "mdev" in device:
            continue
        free = [choice for choice in choices if not own.intersection(choice) and not others.keys() & set(choice)]
        if not free and len(choices) > 1:
            raise ApiError(f"could not find a free device for '{name}'")
        for address in choices[0] if not free else ():
            if address in own:
                raise ApiError(f"device '{address}' assigned more than once")
            if address in others:
                raise ApiError(f"PCI device '{address}' already in use by VMID '{others[address]}'")
        if not hardware.has_iommu(state):
            raise ApiError("cannot prepare PCI pass-through, IOMMU not present")
        own |= set(free[0])


def _alternatives(state: State, device: Mapping[str, str]) -> list[list[str]]:
    """The devices that an option names, each with all of its functions; a mapping may name several to choose from."""
    paths = [device.get("host", "")]
    if name := device.get("mapping"):
        found = mappings.find(state, "pci", name)
        for each in found:
            try:
                mappings.check(state, "pci", name, mappings.load(state, "pci")[name], each)
            except ApiError as error:
                raise ApiError(f"PCI device mapping invalid (hardware probably changed): {error.message}\n") from error
        paths = [each["path"] for each in found]
    return [[address for part in path.split(";") for address in _functions(state, part)] for path in paths]


def _functions(state: State, address: str) -> list[str]:
    found = [each["id"] for each in hardware.lspci(state, address)]
    if not found:
        full = address if re.match(r"[0-9a-f]{4}:", address) else f"0000:{address}"
        raise ApiError(f"no PCI device found for '{full}'")
    return found


def _pci_in_use(state: State, vmid: int) -> dict[str, int]:
    """The PCI devices of the other VMs that run."""
    found: dict[str, int] = {}
    for other, (kind, node) in state.guests().items():
        if other == vmid or kind != "qemu" or node != state.name or process.pid(state, other) is None:
            continue
        for name, text in numbered(state.guest("qemu", other).options, "hostpci"):
            device = propstring.parse(text, validation.option_format("qemu", name) or {"host": {"default_key": 1}})
            if "mdev" not in device:
                for choice in _alternatives(state, device)[:1]:
                    found |= dict.fromkeys(choice, other)
    return found


def _usb(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    modern = re.fullmatch(r"l26|win(?:8|1\d)", options.get("ostype", ""))
    for name, text in numbered(options, "usb"):
        if int(name[3:]) > 4 and not modern:
            raise ApiError(f"using {name} is only possible with machine type >= 7.1 and ostype l26 or windows > 7")
        device = propstring.parse(text, validation.option_format("qemu", "usb0"))
        if "mapping" in device:
            usb_mapping(session.state, device["mapping"])


def usb_mapping(state: State, name: str) -> None:
    """Die when the cluster has no such name for a USB device, or the device is not there."""
    found = mappings.find(state, "usb", name)
    if len(found) > 1:
        raise ApiError("More than one USB mapping per host not supported")
    try:
        mappings.check(state, "usb", name, {}, found[0])
    except ApiError as error:
        raise ApiError(f"USB Mapping invalid (hardware probably changed): {error.message}\n") from error


def _ports(kind: str, session: Session, vmid: int, options: Mapping[str, str]) -> None:
    for _unused, path in numbered(options, kind):
        if path != "socket" and not _is_device(session.state, path):
            raise ApiError(f"no such {kind} device")


def _is_device(state: State, path: str) -> bool:
    file = state.path(path)
    return file.exists() and stat.S_ISCHR(file.stat().st_mode)


def _cpus(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    here = int(session.state.settings()["cpus"])
    if config.max_cpus(options) > here:
        raise ApiError(f"MAX {here} vcpus allowed per VM on this node")


def _memory(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    memory.check(session.state, options)


def _disks(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    single = options.get("scsihw") == "virtio-scsi-single"
    for name, drive in config.drives(options):
        if name.startswith("scsi") and drive.get("iothread") == "1" and not single:
            session.log_warning("iothread is only valid with virtio disk or virtio-scsi-single controller, ignoring")


def _cards(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    for name, text in numbered(options, "net"):
        card(session, name, config.parse_net(text))


def card(session: Session, name: str, net: config.Net) -> None:
    """Die when a card's MTU does not fit its bridge; warn where it is not used."""
    virtio, mtu = net["model"] == "virtio", net.get("mtu", "1")
    what = f"netdev {name}: MTU '{mtu}' is"
    if virtio and net.get("bridge"):
        most = session.state.bridge_mtu(net["bridge"])
        if mtu != "1" and int(mtu) < LEAST_MTU:
            raise ApiError(f"{what} smaller than the IP minimum MTU '{LEAST_MTU}'")
        if int(mtu) > most:
            advice = (
                "adjust the MTU for the network device in the VM configuration, while ensuring that the bridge is "
                "configured as desired."
            )
            raise ApiError(f"{what} bigger than the bridge MTU '{most}' - {advice}")
    elif "mtu" in net:
        why = "not using VirtIO" if net.get("bridge") else "no bridge configured"
        session.log_warning(f"netdev {name}: ignoring MTU '{mtu}', {why}")


def machine_property(machine: str) -> None:
    """Die when a machine's IOMMU cannot be."""
    values = propstring.parse(machine, {"type": {"default_key": 1}})
    if values.get("viommu") == "intel":
        if "q35" not in values.get("type", ""):
            raise ApiError("to use Intel vIOMMU please set the machine type to q35")
        if values.get("aw-bits", "48") not in ("39", "48"):
            raise ApiError("Intel vIOMMU supports only 39 or 48 bits as address width")
    if "aw-bits" in values and "viommu" not in values:
        raise ApiError("cannot set aw-bits if no vIOMMU is configured")


def _iommu(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    machine_property(options.get("machine", ""))


def _folders(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    for name, text in numbered(options, "virtiofs"):
        folder = propstring.parse(text, validation.option_format("qemu", name) or {"dirid": {"default_key": 1}})
        found = mappings.find(session.state, "dir", folder.get("dirid", ""))
        if folder.get("expose-acl") == "1" and options.get("ostype", "").startswith("w"):
            why = "otherwise the virtiofs shared directory cannot be mounted."
            raise ApiError(f"Please disable ACLs for virtiofs on Windows VMs, {why}")
        try:
            mappings.check(session.state, "dir", name, {}, found[0])
        except ApiError as error:
            raise ApiError(f"directory mapping invalid: {error.message}\n") from error


COMMAND: tuple[t.Callable[[Session, int, Mapping[str, str]], None], ...] = (
    _machine, _firmware, _usb, _pci, functools.partial(_ports, "serial"), functools.partial(_ports, "parallel"), _cpus,
    _memory, _disks, _cards, _iommu, _folders,
)  # fmt: skip


# -- what QEMU does with it --------------------------------------------------------------------------------------------


def _topology(state: State, vmid: int, options: Mapping[str, str]) -> Iterator[str]:
    cores, sockets, most = options.get("cores", "1"), options.get("sockets", "1"), config.max_cpus(options)
    cpus = int(options.get("vcpus", most))
    if cpus > most and "cpu" not in config.hotplug(options):
        shape = f"sockets ({sockets}) * dies (1) * modules (1) * cores ({cores}) * threads (1)"
        yield (
            "kvm: Invalid CPU topology: maxcpus must be equal to or greater than smp: "
            f"{shape} == maxcpus ({most}) < smp_cpus ({cpus})"
        )


def _room(state: State, vmid: int, options: Mapping[str, str]) -> Iterator[str]:
    if config.memory(options) << 20 > int(state.settings()["memory"]):
        block = "ram-node0" if options.get("numa") == "1" else "pc.ram"
        yield f"kvm: cannot set up guest memory '{block}': Cannot allocate memory"


def _bridges(state: State, vmid: int, options: Mapping[str, str]) -> Iterator[str]:
    for name, text in numbered(options, "net"):
        net = config.parse_net(text)
        bridge = net.get("bridge", "")
        said = ""
        if bridge and not state.has_interface(bridge):
            said = f"bridge '{bridge}' does not exist"
        elif "trunks" in net and state.read(f"sys/class/net/{bridge}/bridge/vlan_filtering").strip() != "1":
            said = "vlan aware feature need to be enabled to use trunks at /usr/share/perl5/PVE/Network.pm line 590."
        if said:
            scripts = "script=/usr/libexec/qemu-server/pve-bridge,downscript=/usr/libexec/qemu-server/pve-bridgedown"
            tap = f"type=tap,id={name},ifname=tap{vmid}i{name[3:]},{scripts}"
            tap += ",vhost=on" if net["model"] == "virtio" else ""
            failed = "network script /usr/libexec/qemu-server/pve-bridge failed with status 512"
            yield f"{said}\nkvm: -netdev {tap}: {failed}"


QEMU: tuple[t.Callable[[State, int, Mapping[str, str]], Iterator[str]], ...] = (_topology, _room, _bridges)
