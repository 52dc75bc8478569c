# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what with a VM, and which privilege is named first."""

from __future__ import annotations

import typing as t

import pytest

from .support import Caller

if t.TYPE_CHECKING:
    from .support import Qm

VM, STORE, BRIDGE = "/vms/100", "/storage/disks", "/sdn/zones/localnetwork/vmbr0"
MAKES = (VM, "VM.Allocate,VM.Config.Disk,VM.Config.Network,VM.Config.Memory,VM.Config.Options")


def missing(path: str, *privileges: str) -> tuple[int, str]:
    return 403, f"Permission check failed ({path}, {'|'.join(privileges)})"


@pytest.mark.parametrize(("grants", "params", "answer"), [
    ((), {}, (403, "Permission check failed")),
    ((MAKES,), {"scsi0": "disks:1"}, missing(STORE, "Datastore.AllocateSpace")),
    ((MAKES, (STORE, "Datastore.AllocateSpace")), {"scsi0": "disks:1", "cores": 2}, missing(VM, "VM.Config.CPU")),
    ((MAKES,), {"serial0": "socket"}, missing(VM, "VM.Config.HWType")),
    ((MAKES,), {"net0": "virtio,bridge=vmbr0"}, missing(BRIDGE, "SDN.Use")),
    ((MAKES,), {"net0": "virtio,bridge=vmbr0,tag=7"}, missing(f"{BRIDGE}/7", "SDN.Use")),
    ((MAKES, (f"{BRIDGE}/7", "SDN.Use")), {"net0": "virtio,bridge=vmbr0,tag=7"}, (200, "OK")),
    ((MAKES,), {"storage": "disks"}, missing(STORE, "Datastore.AllocateSpace")),
    ((MAKES,), {"startup": "order=1"}, missing("/", "Sys.Modify")),
    ((MAKES,), {"args": "-vnc :1"}, (500, "only root can set 'args' config")),
    ((MAKES,), {"usb0": "mapping=stick"}, missing(VM, "VM.Config.HWType")),
    ((MAKES,), {"virtiofs0": "share"}, missing("/mapping/dir/share", "Mapping.Use")),
    ((MAKES,), {"ide2": "local:iso/a.iso,media=cdrom"},
     missing("/storage/local", "Datastore.AllocateSpace", "Datastore.Audit")),
    ((MAKES,), {"scsi0": "disks:7/vm-7-disk-0.raw"}, missing(STORE, "Datastore.Audit")),
    ((MAKES, (STORE, "Datastore.AllocateSpace")), {"scsi0": "disks:0,import-from=disks:7/vm-7-disk-0.raw"},
     missing("/vms/7", "VM.Clone")),
    ((MAKES,), {"ide2": "disks:cloudinit", "ciuser": "bob"}, (200, "OK")),
    ((MAKES,), {"memory": 128, "tags": "a"}, (200, "OK")),
])  # fmt: skip
def test_making_a_vm(
    qm: Qm, grants: tuple[tuple[str, str], ...], params: dict[str, t.Any], answer: tuple[int, str]
) -> None:
    assert Caller(qm, *grants)("POST", "", vmid=100, **params) == answer
    assert qm.state.has_guest("qemu", 100) == (answer[0] == 200)


@pytest.mark.parametrize(("privileges", "params", "answer"), [
    ("VM.Config.Network", {"net0": "virtio,bridge=vmbr0"}, missing(BRIDGE, "SDN.Use")),
    ("VM.Config.Memory", {"memory": 256}, (200, "OK")),
    ("VM.Config.Memory", {"scsi1": "disks:1"}, missing(STORE, "Datastore.AllocateSpace")),
    ("VM.Config.Memory", {"delete": "scsi0"}, missing(VM, "VM.Config.Disk")),
    ("VM.Config.Memory", {"ide2": "none,media=cdrom"}, missing(VM, "VM.Config.CDROM")),
    ("VM.Config.Memory", {"ide2": "disks:cloudinit"}, missing(VM, "VM.Config.Cloudinit")),
    ("VM.Config.Memory", {"serial0": "socket"}, missing(VM, "VM.Config.HWType")),
    ("VM.Config.Memory", {"tags": "new"}, missing(VM, "VM.Config.Options")),
    ("VM.Config.Memory", {"tags": "old"}, (200, "OK")),
    ("VM.Config.Network", {"ciuser": "bob"}, (200, "OK")),
    ("VM.Config.HWType", {"rng0": "source=/dev/hwrng"}, missing("/mapping/hwrng", "Mapping.Use")),
])  # fmt: skip
def test_changing_a_vm(qm: Qm, privileges: str, params: dict[str, t.Any], answer: tuple[int, str]) -> None:
    qm.ok("create", "100", "--scsi0", "disks:1", "--tags", "old")
    assert Caller(qm, (VM, privileges))("PUT", "/100/config", **params) == answer


@pytest.mark.parametrize(("grants", "answer"), [
    (((STORE, "Datastore.AllocateSpace"),), missing(BRIDGE, "SDN.Use")),
    (((BRIDGE, "SDN.Use"),), missing(STORE, "Datastore.AllocateSpace")),
    (((BRIDGE, "SDN.Use"), (STORE, "Datastore.AllocateSpace")), (200, "OK")),
])  # fmt: skip
def test_a_copy_needs_what_it_will_hold(qm: Qm, grants: tuple[tuple[str, str], ...], answer: tuple[int, str]) -> None:
    qm.ok("create", "100", "--scsi0", "disks:1", "--net0", "virtio,bridge=vmbr0")
    caller = Caller(qm, (VM, "VM.Clone"), ("/vms/101", "VM.Allocate"), *grants)
    assert caller("POST", "/100/clone", newid=101) == answer
