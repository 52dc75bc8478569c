# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of the node that VMs are given, by their places or by the cluster's names for them."""

from __future__ import annotations

import json
import typing as t

import pytest

from embedded_node import commands
from embedded_node.api.http import respond
from embedded_node.state import hardware

from .support import Caller

if t.TYPE_CHECKING:
    from .support import Qm

GPU = "node=pve1,path=0000:01:00,id=10de:2504,iommugroup=2,subsystem-id=10de:0001"
PORT = "node=pve1,path=0000:02:00.{0},id=8086:1572,iommugroup={1},subsystem-id=8086:0001"


@pytest.fixture(autouse=True)
def devices(qm: Qm) -> None:
    """A graphics card of two functions, a network card of two ports, a stick."""
    for address, ids, kind, group in (
        ("0000:01:00.0", "10de:2504", "0300", 2), ("0000:01:00.1", "10de:228e", "0403", 2),
        ("0000:02:00.0", "8086:1572", "0200", 3), ("0000:02:00.1", "8086:1572", "0200", 4),
    ):  # fmt: skip
        hardware.add_pci(qm.state, address, ids, kind, group)
    hardware.add_usb(qm.state, "1-2.4", "10c4:ea60", "CP2102N")


def pvesh(qm: Qm, *words: str) -> t.Any:
    code, out, err = commands.run(["pvesh", *words, "--output-format", "json"], qm.root, b"")
    assert code == 0, err
    return json.loads(out) if out.strip() else None


def name(qm: Qm, kind: str, name: str, *entries: str) -> None:
    pvesh(
        qm, "create", f"/cluster/mapping/{kind}", "--id", name, *(word for each in entries for word in ("--map", each))
    )


def test_the_node_reports_its_devices(qm: Qm) -> None:
    (first, *_rest) = pvesh(qm, "get", "/nodes/pve1/hardware/pci")
    assert first == {
        "id": "0000:01:00.0", "class": "0x030000", "vendor": "0x10de", "device": "0x2504", "iommugroup": 2,
        "subsystem_vendor": "0x10de", "subsystem_device": "0x0001",
    }  # fmt: skip
    hub, stick = pvesh(qm, "get", "/nodes/pve1/hardware/usb")
    assert (hub["level"], hub["class"], stick["level"], stick["usbpath"], stick["vendid"]) == (0, 9, 2, "2.4", "10c4")


def test_bridges_are_told_to_who_asks_for_them(qm: Qm) -> None:
    hardware.add_pci(qm.state, "0000:00:01.0", "8086:460d", "0604", 1)
    path = "/nodes/pve1/hardware/pci"
    usual = [each["id"] for each in pvesh(qm, "get", path)]
    everything = [each["id"] for each in pvesh(qm, "get", path, "--pci-class-blacklist", "")]
    assert everything == ["0000:00:01.0", *usual]


@pytest.mark.parametrize(("options", "said"), [
    (("--hostpci0", "0000:09:00.0"), "no PCI device found for '0000:09:00.0'"),
    (("--hostpci0", "0000:02:00.0,pcie=1"), "q35 machine model is not enabled"),
    (("--hostpci0", "0000:02:00.0", "--hostpci1", "02:00"), "device '0000:02:00.0' assigned more than once"),
    (("--hostpci0", "mapping=nope"), "PCI device mapping not found for 'nope'"),
    (("--hostpci0", "mapping=moved"), "PCI device mapping invalid (hardware probably changed): 'id' does not match for "
                                      "'moved' (8086:1572 != 8086:0001)"),
    (("--usb0", "mapping=elsewhere"), "USB device mapping not found for 'elsewhere'"),
    (("--usb0", "mapping=pulled"), "USB Mapping invalid (hardware probably changed): usb device '1-9' not found"),
    (("--virtiofs0", "gone"), "directory mapping invalid: Path /srv/gone does not exist"),
    (("--virtiofs0", "other"), "No directory mapping for node pve1."),
])  # fmt: skip
def test_a_wrong_device_is_found_out_by_the_start(qm: Qm, options: tuple[str, ...], said: str) -> None:
    name(qm, "pci", "moved", "node=pve1,path=0000:02:00.0,id=8086:0001,iommugroup=3,subsystem-id=8086:0001")
    name(qm, "usb", "elsewhere", "node=pve9,id=10c4:ea60")
    name(qm, "usb", "pulled", "node=pve1,id=10c4:ea60,path=1-9")
    name(qm, "dir", "gone", "node=pve1,path=/srv/gone")
    name(qm, "dir", "other", "node=pve9,path=/srv")
    qm.ok("create", "100", *options)
    assert qm.fails("start", "100").startswith(said)


def test_what_is_right_starts(qm: Qm) -> None:
    name(qm, "pci", "gpu", GPU)
    name(qm, "usb", "stick", "node=pve1,id=10c4:ea60")
    name(qm, "dir", "share", "node=pve1,path=/srv/share")
    (qm.root / "srv/share").mkdir(parents=True)
    qm.started("--machine", "q35", "--hostpci0", "mapping=gpu,pcie=1", "--usb0", "mapping=stick", "--usb1", "1-2.4",
               "--virtiofs0", "share")  # fmt: skip


def test_without_an_iommu_nothing_is_passed_through(qm: Qm) -> None:
    hardware.forget(qm.state)
    hardware.add_pci(qm.state, "0000:02:00.0", "8086:1572", "0200")
    qm.ok("create", "100", "--hostpci0", "0000:02:00.0")
    assert "IOMMU not present" in qm.fails("start", "100")


def test_a_device_is_in_one_running_vm(qm: Qm) -> None:
    qm.started("--hostpci0", "0000:02:00.0")
    qm.ok("create", "101", "--hostpci0", "0000:02:00.0")
    assert qm.fails("start", "101").startswith("PCI device '0000:02:00.0' already in use by VMID '100'")
    qm.ok("stop", "100")
    qm.ok("start", "101")


def test_of_several_devices_of_one_name_the_next_free_is_taken(qm: Qm) -> None:
    name(qm, "pci", "port", PORT.format(0, 3), PORT.format(1, 4))
    qm.started("--hostpci0", "0000:02:00.0")
    qm.ok("create", "101", "--hostpci0", "mapping=port")
    qm.ok("start", "101")
    qm.ok("create", "102", "--hostpci0", "0000:02:00.0", "--hostpci1", "mapping=port", "--hostpci2", "mapping=port")
    qm.ok("stop", "100")
    qm.ok("stop", "101")
    assert qm.fails("start", "102").startswith("could not find a free device for 'hostpci2'")


def test_who_may_see_and_change_names(qm: Qm) -> None:
    name(qm, "pci", "gpu", GPU)
    Caller(qm, ("/mapping/pci/gpu", "Mapping.Use"), ("/mapping/usb", "Mapping.Modify"))
    header = {"Authorization": "PVEAPIToken=u@pve!t=s"}

    def ask(method: str, path: str, **params: t.Any) -> int:
        return respond(qm.state, method, f"/api2/json{path}", params, header).status

    assert ask("GET", "/cluster/mapping/pci") == 200
    assert ask("POST", "/cluster/mapping/pci", id="x", map=[GPU]) == 403
    assert ask("POST", "/cluster/mapping/usb", id="stick", map=["node=pve1,id=10c4:ea60"]) == 200
    assert ask("GET", "/nodes/pve1/hardware/pci") == 403


def test_a_name_is_changed_and_removed(qm: Qm) -> None:
    name(qm, "dir", "share", "node=pve1,path=/srv")
    pvesh(qm, "set", "/cluster/mapping/dir/share", "--description", "of all: %", "--map", "node=pve1,path=/mnt")
    assert pvesh(qm, "get", "/cluster/mapping/dir/share") == {
        "description": "of all: %",
        "map": ["node=pve1,path=/mnt"],
    }
    told = pvesh(qm, "get", "/cluster/mapping/dir", "--check-node", "pve1")
    assert told[0]["checks"][0]["message"] == "Invalid configuration: Path /mnt does not exist\n"
    pvesh(qm, "delete", "/cluster/mapping/dir/share")
    assert pvesh(qm, "get", "/cluster/mapping/dir") == []
