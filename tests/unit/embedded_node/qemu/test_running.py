# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running VM takes at once, what waits, and what is refused and waits all the same."""

from __future__ import annotations

import typing as t

import pytest

from .support import bootable

if t.TYPE_CHECKING:
    from pathlib import Path

    from .support import Qm

PLUGS = ("--hotplug", "network,disk,usb,memory,cpu", "--numa", "1", "--memory", "1024", "--cores", "2", "--vcpus", "1")


def linux(qm: Qm, folder: Path, *words: str) -> None:
    """A running VM with a system that lets go of what is taken from it."""
    source = bootable(folder / "linux.raw")
    qm.started("--scsi0", f"disks:0,import-from={source}", *words)


# -- CPUs and memory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "got"), [(1536, 1536), (1600, 2048), (2048, 2048)])
def test_memory_grows_by_whole_modules(qm: Qm, asked: int, got: int) -> None:
    qm.started(*PLUGS)
    qm.ok("set", "100", "--memory", str(asked))
    assert (qm.conf()["memory"], qm.pending()) == (str(got), {})


def test_memory_shrinks_by_the_modules_that_the_guest_lets_go(qm: Qm, tmp_path: Path) -> None:
    linux(qm, tmp_path, *PLUGS)
    qm.ok("set", "100", "--memory", "2048")
    assert "try to unplug memory dimm dimm1\n" in qm.ok("set", "100", "--memory", "1536")
    assert qm.conf()["memory"] == "1536"


@pytest.mark.parametrize(("words", "said"), [
    (("--memory", "512"), "memory: hotplug problem - memory can't be lower than 1024 MB"),
    (("--memory", "600000"), "memory: hotplug problem - you cannot add more memory than max mem 524288 MB!"),
    (("--vcpus", "3"), "vcpus: hotplug problem - you can't add more vcpus than maxcpus"),
])  # fmt: skip
def test_a_refused_plug_waits_all_the_same(qm: Qm, words: tuple[str, str], said: str) -> None:
    qm.started(*PLUGS)
    assert said in qm.fails("set", "100", *words)
    assert qm.pending() == {words[0].removeprefix("--"): words[1]}


def test_cpus_come_at_once_and_go_only_when_the_guest_lets_them(qm: Qm) -> None:
    qm.started(*PLUGS)
    qm.ok("set", "100", "--vcpus", "2")
    assert qm.conf()["vcpus"] == "2"
    assert "vcpus: error unplugging cpu2" in qm.fails("set", "100", "--vcpus", "1")
    assert qm.conf()["vcpus"] == "2"


def test_without_the_feature_cpus_and_memory_wait(qm: Qm) -> None:
    qm.started("--cores", "2", "--vcpus", "1")
    qm.ok("set", "100", "--vcpus", "2", "--memory", "2048")
    assert qm.pending() == {"vcpus": "2", "memory": "2048"}


# -- devices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ostype", "waits"), [("l26", False), ("win10", False), ("wxp", True), ("", True)])
def test_usb_devices_need_a_guest_of_this_century(qm: Qm, ostype: str, waits: bool) -> None:
    qm.started(*(("--ostype", ostype) if ostype else ()))
    qm.ok("set", "100", "--usb0", "host=1234:5678")
    assert ("usb0" in qm.pending(), "usb0" in qm.conf()) == (waits, not waits)


def test_a_card_on_a_missing_bridge_is_refused_by_qemus_script(qm: Qm) -> None:
    qm.started()
    assert "failed with status 512" in qm.fails("set", "100", "--net1", "virtio=BC:24:11:00:00:01,bridge=vmbr9")
    assert "net1" in qm.pending() and "net1" not in qm.conf()


def test_a_card_moves_only_to_a_bridge_that_is_there(qm: Qm) -> None:
    qm.started("--net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0")
    assert "bridge 'vmbr9' does not exist" in qm.fails("set", "100", "--net0", "virtio=BC:24:11:00:00:01,bridge=vmbr9")


def test_a_new_cd_drive_joins_the_boot_order_that_is_live(qm: Qm) -> None:
    qm.started("--scsi0", "disks:1", "--net0", "virtio,bridge=vmbr0", "--boot", "order=scsi0")
    qm.ok("set", "100", "--boot", "order=net0;scsi0")
    qm.ok("set", "100", "--ide2", "none,media=cdrom")
    assert qm.pending()["boot"] == "order=scsi0;ide2"


# -- cloud-init --------------------------------------------------------------------------------------------------------


def test_what_the_cloudinit_drive_does_not_know_yet_is_noted(qm: Qm) -> None:
    qm.started("--ide2", "disks:cloudinit", "--ipconfig0", "ip=dhcp", "--nameserver", "1.1.1.1")
    qm.ok("set", "100", "--ciuser", "bob", "--ipconfig0", "ip6=auto")
    assert (qm.conf()["ciuser"], qm.special()) == ("bob", {"added": "ciuser", "ipconfig0": "ip=dhcp"})
    assert qm.ok("cloudinit", "pending", "100") == "new ciuser: bob\ncur nameserver: 1.1.1.1\n"
    assert "[special:cloudinit]" in (qm.root / "etc/pve/nodes/pve1/qemu-server/100.conf").read_text()


@pytest.mark.parametrize(("steps", "noted"), [
    ((("--ciuser", "b"), ("--ciuser", "c")), {"ciuser": "a"}),
    ((("--ciuser", "b"), ("--ciuser", "a")), {}),
    ((("--delete", "ciuser"),), {"ciuser": "a"}),
    ((("--delete", "ciuser"), ("--ciuser", "a")), {}),
    ((("--searchdomain", "x.y"), ("--delete", "searchdomain")), {}),
    ((("--name", "new"),), {"name": "old"}),
])  # fmt: skip
def test_only_what_differs_from_the_drive_is_noted(
    qm: Qm, steps: tuple[tuple[str, str], ...], noted: dict[str, str]
) -> None:
    qm.started("--ide2", "disks:cloudinit", "--ciuser", "a", "--name", "old")
    for words in steps:
        qm.ok("set", "100", *words)
    assert qm.special() == noted


def test_nothing_is_noted_without_a_drive(qm: Qm) -> None:
    qm.started()
    qm.ok("set", "100", "--ciuser", "bob")
    assert "special" not in (qm.root / "etc/pve/nodes/pve1/qemu-server/100.conf").read_text()


def test_a_new_drive_knows_everything(qm: Qm) -> None:
    qm.started("--ide2", "disks:cloudinit")
    qm.ok("set", "100", "--ciuser", "bob")
    assert qm.ok("cloudinit", "update", "100") == "generating cloud-init ISO\n"
    assert qm.special() == {}
    qm.ok("set", "100", "--ciuser", "eve")
    qm.ok("stop", "100")
    assert qm.special() == {"ciuser": "bob"}
    qm.ok("start", "100")
    assert qm.special() == {}
