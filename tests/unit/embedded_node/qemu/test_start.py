# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a start refuses although create took it."""

from __future__ import annotations

import typing as t

import pytest

if t.TYPE_CHECKING:
    from .support import Qm

NUMA = "cpus=0,memory={}"


@pytest.mark.parametrize(("options", "said"), [
    (("--machine", "pc-i440fx-99.0"), "Installed QEMU version '10.0.13' is too old to run machine type "
                                      "'pc-i440fx-99.0+pve0', please upgrade node 'pve1'"),
    (("--machine", "pc-q35-10.0+pve7"), "Installed qemu-server (max feature level for 10.0 is pve1) is too old to run "
                                        "machine type 'pc-q35-10.0+pve7', please upgrade node 'pve1'"),
    (("--bios", "ovmf", "--cpu", "kvm32"), "OVMF (UEFI) BIOS is not supported on 32-bit CPU types"),
    (("--serial0", "/dev/nosuch"), "no such serial device"),
    (("--parallel0", "/dev/parport9"), "no such parallel device"),
    (("--usb0", "mapping=nope"), "USB device mapping not found for 'nope'"),
    (("--usb7", "host=1234:5678"),
     "using usb7 is only possible with machine type >= 7.1 and ostype l26 or windows > 7"),
    (("--cores", "64"), "MAX 2 vcpus allowed per VM on this node"),
    (("--hotplug", "memory", "--memory", "2048"), "NUMA needs to be enabled for memory hotplug"),
    (("--hotplug", "memory", "--numa", "1", "--memory", "512"), "minimum memory must be 1024MB"),
    (("--hotplug", "memory", "--numa", "1", "--memory", "1100"),
     "memory size (1100) must be aligned to 512 for hotplugging"),
    (("--hotplug", "memory", "--numa", "1", "--memory", "1024", "--numa0", NUMA.format(1024)),
     "cannot enable memory hotplugging with custom NUMA topology"),
    (("--hugepages", "2"), "numa needs to be enabled to use hugepages at /usr/share/perl5/PVE/QemuServer/Memory.pm "
                           "line 388."),
    (("--numa", "1", "--memory", "1024", "--numa0", NUMA.format(512)),
     "total memory for NUMA nodes must be equal to vm static memory"),
    (("--numa", "1", "--memory", "512", "--numa0", "cpus=0"), "missing NUMA node0 memory value"),
    (("--numa", "1", "--memory", "512", "--numa0", "cpus=0,memory=512,hostnodes=0"),
     "you need to define a policy for hostnode 0"),
    (("--numa", "1", "--memory", "512", "--numa0", "cpus=0,memory=512,hostnodes=7,policy=bind"),
     "host NUMA node7 doesn't exist"),
    (("--numa", "1", "--hugepages", "1024", "--memory", "512"),
     "Memory size 512 is not a multiple of the requested hugepages size 1024"),
    (("--net0", "virtio,bridge=vmbr0,mtu=9000"), "netdev net0: MTU '9000' is bigger than the bridge MTU '1500'"),
    (("--net0", "virtio,bridge=vmbr0,mtu=300"), "netdev net0: MTU '300' is smaller than the IP minimum MTU '576'"),
    (("--hookscript", "local:snippets/no.sh"),
     "hookscript error for 100 on pre-start: script 'local:snippets/no.sh' does not exist"),
    (("--virtiofs0", "nope"), "Directory ID nope does not exist."),
    (("--cores", "1", "--vcpus", "2"), "start failed: QEMU exited with code 1"),
    (("--memory", "4000000"), "start failed: QEMU exited with code 1"),
    (("--net0", "e1000,bridge=vmbr9"), "start failed: QEMU exited with code 1"),
    (("--net0", "virtio,bridge=vmbr0,trunks=2-9"), "start failed: QEMU exited with code 1"),
])  # fmt: skip
def test_what_create_took_the_start_refuses(qm: Qm, options: tuple[str, ...], said: str) -> None:
    qm.ok("create", "100", *options)
    assert qm.fails("start", "100").startswith(said)
    assert qm.ok("status", "100") == "status: stopped\n"


@pytest.mark.parametrize(("disk", "file", "said"), [
    (("--scsi0", "disks:1"), "var/lib/disks/images/100/vm-100-disk-0.raw",
     "volume 'disks:100/vm-100-disk-0.raw' does not exist\n"),
    (("--ide2", "local:iso/a.iso,media=cdrom"), "var/lib/vz/template/iso/a.iso",
     "volume 'local:iso/a.iso' does not exist\n"),
])  # fmt: skip
def test_a_lost_volume_keeps_a_vm_from_starting(qm: Qm, disk: tuple[str, str], file: str, said: str) -> None:
    (qm.root / "var/lib/vz/template/iso").mkdir(parents=True)
    (qm.root / "var/lib/vz/template/iso/a.iso").write_bytes(b"iso")
    qm.ok("create", "100", *disk)
    (qm.root / file).unlink()
    assert qm.fails("start", "100") == said


@pytest.mark.parametrize(("options", "told"), [
    (("--net0", "e1000,bridge=vmbr0,mtu=1400"), "netdev net0: ignoring MTU '1400', not using VirtIO"),
    (("--net0", "virtio,mtu=1400"), "netdev net0: ignoring MTU '1400', no bridge configured"),
    (("--bios", "ovmf"), "no efidisk configured! Using temporary efivars disk."),
    (("--scsi0", "disks:1,iothread=1"),
     "iothread is only valid with virtio disk or virtio-scsi-single controller, ignoring"),
])  # fmt: skip
def test_a_start_that_only_warns(qm: Qm, options: tuple[str, ...], told: str) -> None:
    qm.ok("create", "100", *options)
    assert qm.run("start", "100") == (0, f"WARN: {told}\n", "Task finished with 1 warning(s)!\n")


def test_showcmd_refuses_what_the_start_refuses(qm: Qm) -> None:
    qm.ok("create", "100", "--cores", "64")
    assert qm.fails("showcmd", "100") == "MAX 2 vcpus allowed per VM on this node\n"


@pytest.mark.parametrize(("board", "said"), [
    ("pc,viommu=intel", "to use Intel vIOMMU please set the machine type to q35"),
    ("q35,viommu=intel,aw-bits=40", "Intel vIOMMU supports only 39 or 48 bits as address width"),
    ("q35,aw-bits=39", "cannot set aw-bits if no vIOMMU is configured"),
])  # fmt: skip
def test_an_impossible_iommu_is_refused_at_once(qm: Qm, board: str, said: str) -> None:
    assert qm.fails("create", "100", "--machine", board) == f"unable to create VM 100 - {said}\n"
    qm.ok("create", "100")
    assert qm.fails("set", "100", "--machine", board) == f"{said}\n"


def test_windows_gets_the_version_of_its_machine_pinned(qm: Qm) -> None:
    assert "pinning machine type to 'pc-q35-10.0+pve1'" in qm.ok(
        "create", "100", "--ostype", "win11", "--machine", "q35"
    )
    assert qm.conf()["machine"] == "pc-q35-10.0+pve1"


def test_cpu_weights_are_clamped(qm: Qm) -> None:
    qm.ok("create", "100", "--cpuunits", "50000")
    assert qm.conf()["cpuunits"] == "10000"
