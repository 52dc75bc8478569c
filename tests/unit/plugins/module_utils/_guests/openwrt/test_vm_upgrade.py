# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a router's VM the one has that takes its place in an upgrade, and what it cannot have."""

from __future__ import annotations

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.vm import (
    disk_size,
    left_behind,
    new_options,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

ROUTER = {
    "name": "gw",
    "onboot": "1",
    "protection": "1",
    "memory": "512",
    "boot": "order=scsi0",
    "bios": "ovmf",
    "scsi0": "local-lvm:vm-100-disk-1,discard=on,iothread=1,size=1G,ssd=1",
    "efidisk0": "local-lvm:vm-100-disk-0,efitype=4m,size=4M",
    "ide2": "none,media=cdrom",
    "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=10",
    "net1": "virtio=BC:24:11:00:00:02,bridge=vmbr1,link_down=1",
    "serial0": "socket",
    "meta": "creation-qemu=10.1.2,ctime=1764000000",
    "unused0": "local-lvm:vm-100-disk-2",
}


def test_the_new_vm_is_like_the_old_one_with_a_disk_of_its_own_and_no_link() -> None:
    assert new_options(ROUTER, "/work/gw.raw") == {
        "memory": "512",
        "boot": "order=scsi0",
        "bios": "ovmf",
        "scsi0": "local-lvm:0,import-from=/work/gw.raw,discard=on,iothread=1,ssd=1",
        "efidisk0": "local-lvm:1,efitype=4m",
        "ide2": "none,media=cdrom",
        "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,link_down=1,tag=10",
        "net1": "virtio=BC:24:11:00:00:02,bridge=vmbr1,link_down=1",
        "serial0": "socket",
    }
    assert disk_size(ROUTER) == 1024**3


def test_a_disk_in_a_file_keeps_its_format() -> None:
    router = {**ROUTER, "scsi0": "files:100/vm-100-disk-0.qcow2,size=1G"}
    assert new_options(router, "local:import/gw.qcow2")["scsi0"] == (
        "files:0,import-from=local:import/gw.qcow2,format=qcow2"
    )


@pytest.mark.parametrize(
    ("key", "text", "refused"),
    [
        ("scsi1", "local-lvm:vm-100-disk-3,size=1G", True),
        ("virtio0", "local-lvm:vm-100-disk-3,size=1G", True),
        ("tpmstate0", "local-lvm:vm-100-disk-3,size=4M,version=v2.0", True),
        ("hostpci0", "0000:01:00.0", True),
        ("hostpci1", "mapping=nic", True),
        ("usb0", "host=1-1", True),
        ("usb0", "mapping=stick", True),
        ("usb0", "spice", False),
        ("usb0", "host=spice", False),
        ("serial1", "/dev/ttyS0", True),
        ("serial1", "socket", False),
        ("parallel0", "/dev/parport0", True),
        ("args", "-no-hpet", True),
        ("ide0", "local:iso/tools.iso,media=cdrom", False),
        ("virtiofs0", "share", False),
        ("hookscript", "local:snippets/hook.pl", False),
    ],
)
def test_what_one_vm_alone_can_have_stays_behind(key: str, text: str, refused: bool) -> None:
    config = GuestConfig({**ROUTER, key: text}, {})
    assert left_behind(config, stays=True) == ([key] if refused else [])


def test_what_goes_with_the_old_vm_is_named_where_it_does_not_stay() -> None:
    config = GuestConfig(ROUTER, {}, snapshots=("before",))
    assert left_behind(config, stays=True) == []
    assert left_behind(config, stays=False) == ["unused0", "snapshot before"]
