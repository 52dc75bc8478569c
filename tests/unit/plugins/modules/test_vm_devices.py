# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of the node that a VM is given: a wrong or taken one is found before anything is written."""

from __future__ import annotations

import typing as t

import pytest

from embedded_node import commands
from embedded_node.state import hardware

from .conftest import Bench, Params, grant, pvesh

if t.TYPE_CHECKING:
    from embedded_node.state.root import State

VM: Params = {"vmid": 210, "name": "box", "ostype": "l26"}
NIC = "0000:02:00.0"
PORT = "node=pve1,path=0000:02:00.{0},id=8086:1572,iommugroup={1},subsystem-id=8086:0001"
MAPPINGS = {
    "pci": {
        "gpu": ["node=pve1,path=0000:01:00,id=10de:2504,iommugroup=2,subsystem-id=10de:0001"],
        "port": [PORT.format(0, 3), PORT.format(1, 4)],
        "elsewhere": ["node=pve2,path=0000:02:00.0,id=8086:1572"],
        "changed": ["node=pve1,path=0000:02:00.0,id=8086:0000,iommugroup=3,subsystem-id=8086:0001"],
        "gone": ["node=pve1,path=0000:09:00.0,id=8086:0000"],
    },
    "usb": {"stick": ["node=pve1,id=10c4:ea60"], "pulled": ["node=pve1,id=10c4:ea60,path=1-9"]},
    "dir": {"share": ["node=pve1,path=/srv"], "gone": ["node=pve1,path=/srv/gone"]},
}


@pytest.fixture(autouse=True)
def mappings(bench: Bench) -> None:
    """Names that the cluster has for devices."""
    (bench.node.root / "srv").mkdir(exist_ok=True)
    for kind, named in MAPPINGS.items():
        for name, entries in named.items():
            words = [word for entry in entries for word in ("--map", entry)]
            pvesh(bench, "create", f"/cluster/mapping/{kind}", "--id", name, *words)
    bench.node.forget()


def qm(bench: Bench, *words: str) -> None:
    rc, _out, err = commands.run(["qm", *words], bench.node.root, b"")
    assert rc == 0, err
    bench.node.forget()


def told(bench: Bench, **declared: t.Any) -> list[tuple[str, str]]:
    """What is found about a declaration, in check mode and without it the same; nothing was written."""
    answer = bench.bad("vm_create", **VM, **declared)
    foreseen = bench.bad("vm_create", check=True, **VM, **declared)
    assert foreseen.values["findings"] == answer.values["findings"]
    assert [argv for argv in bench.writes() if argv[:2] not in (["pvesm", "status"], ["pvesh", "get"])] == []
    assert not (bench.node.root / "etc/pve/qemu-server/210.conf").exists()
    return [(each["option"], each["problem"]) for each in answer.values["findings"]]


@pytest.mark.parametrize(("declared", "option", "problem"), [
    ({"hostpci": [{"host": ["0000:09:00.0"]}]}, "hostpci[0].host", "is not on node pve1"),
    ({"hostpci": [{"mapping": "nope"}]}, "hostpci[0].mapping", "is not a mapping of a PCI device in this cluster"),
    ({"hostpci": [{"mapping": "elsewhere"}]}, "hostpci[0].mapping", "names no PCI device on node pve1"),
    ({"hostpci": [{"mapping": "changed"}]}, "hostpci[0].mapping",
     "was made for 8086:0000, and at 0000:02:00.0 is 8086:1572 now"),
    ({"hostpci": [{"mapping": "gone"}]}, "hostpci[0].mapping", "names 0000:09:00.0, which is not on node pve1"),
    ({"hostpci": [{"host": [NIC], "pcie": True}]}, "hostpci[0].pcie", "needs the machine q35"),
    ({"hostpci": [{"host": ["0000:03:00.0"]}]}, "hostpci[0].host",
     "shares its IOMMU group with 0000:04:00.0 (network, 10ec:8168), which node pve1 would lose"),
    ({"hostpci": [{"host": [NIC], "mdev": "i915-GVTg"}]}, "hostpci[0].mdev",
     "is not supported by 0000:02:00.0, which has no mediated devices"),
    ({"usb": [{"host": "1234:5678"}]}, "usb[0].host", "is not on node pve1"),
    ({"usb": [{"host": "1-7"}]}, "usb[0].host", "is not on node pve1"),
    ({"usb": [{"mapping": "nope"}]}, "usb[0].mapping", "is not a mapping of a USB device in this cluster"),
    ({"usb": [{"mapping": "pulled"}]}, "usb[0].mapping", "names 1-9, which is not on node pve1"),
    ({"virtiofs": [{"mapping": "nope"}]}, "virtiofs[0].mapping", "is not a mapping of a directory in this cluster"),
    ({"cores": 64}, "cores", "makes 64 processors, and node pve1 has 2"),
    ({"sockets": 3, "cores": 1}, "cores", "makes 3 processors, and node pve1 has 2"),
    ({"memory": 99999999}, "memory", "is more than node pve1 has, 24576 MiB with its swap"),
    ({"machine": {"type": "pc-q35-99.0"}}, "machine.type",
     "is not known to the QEMU of node pve1; its newest is pc-q35-10.0"),
    ({"networks": [{"bridge": "vmbr0", "mtu": 9000}]}, "networks[0].mtu", "is above the 1500 of vmbr0"),
    ({"networks": [{"bridge": "vmbr0", "model": "e1000", "mtu": 1400}]}, "networks[0].mtu",
     "has no effect with model e1000"),
    ({"networks": [{"bridge": "vmbr0", "model": "rtl8139", "queues": 4}]}, "networks[0].queues",
     "has no effect with model rtl8139"),
    ({"cpu": {"type": "hosst"}}, "cpu.type", "is not a known CPU model on node pve1"),
    ({"cpu": {"type": "custom-nope"}}, "cpu.type", "is not a known CPU model on node pve1"),
    ({"vmstatestorage": "nope"}, "vmstatestorage", "does not exist on node pve1"),
    ({"hugepages": "2"}, "hugepages", "needs numa"),
    ({"hookscript": "local:snippets/none.sh"}, "hookscript", "does not exist on node pve1"),
])  # fmt: skip
def test_what_the_node_does_not_have_is_found(bench: Bench, declared: Params, option: str, problem: str) -> None:
    assert told(bench, **declared) == [(option, problem)]


@pytest.mark.parametrize(("declared", "option"), [
    ({"serials": [{"device": "/dev/nosuch"}]}, "serials[0].device"),
    ({"hostpci": [{"host": [NIC], "romfile": "none.rom"}]}, "hostpci[0].romfile"),
    ({"virtiofs": [{"mapping": "gone"}]}, "virtiofs[0].mapping"),
])  # fmt: skip
def test_files_of_the_node_are_looked_for_where_that_is_possible(bench: Bench, declared: Params, option: str) -> None:
    if bench.backend == "api":
        assert not bench.good("vm_create", check=True, **VM, **declared).failed
    else:
        assert [name for name, _problem in told(bench, **declared)] == [option]


def test_a_finding_lists_the_choices(bench: Bench) -> None:
    answer = bench.bad("vm_create", **VM, hostpci=[{"host": ["0000:09:00.0"]}], usb=[{"mapping": "nope"}])
    assert sorted(each["remedy"] for each in answer.values["findings"]) == [
        "There are: 0000:01:00.0 (display, 10de:2504), 0000:01:00.1 (audio, 10de:228e), 0000:02:00.0 (network, "
        "8086:1572), 0000:02:00.1 (network, 8086:1572), 0000:03:00.0 (NVMe disk, 144d:a808), 0000:04:00.0 (network, "
        "10ec:8168).",
        "There are: pulled, stick.",
    ]  # fmt: skip


def test_what_is_right_is_given_to_the_vm_and_starts(bench: Bench) -> None:
    declared = {
        **VM,
        "machine": {"type": "q35"},
        "hostpci": [{"mapping": "gpu", "pcie": True}, {"host": [NIC]}],
        "usb": [{"mapping": "stick"}, {"host": "0403:6001"}, {"host": "spice"}],
        "virtiofs": [{"mapping": "share"}],
        "state": "started",
    }
    made = bench.good("vm_create", **declared)
    assert made.config["hostpci"] == [
        {"id": 0, "mapping": "gpu", "pcie": True}, {"id": 1, "host": [NIC]},
    ]  # fmt: skip
    bench.node.forget()
    assert not bench.good("vm_create", **declared).changed
    assert bench.writes() == []


def test_a_device_of_a_running_vm_is_refused_with_its_name(bench: Bench) -> None:
    qm(bench, "create", "105", "--name", "db", "--hostpci0", "02:00.0", "--usb0", "mapping=stick", "--ostype", "l26")
    qm(bench, "start", "105")
    assert sorted(told(bench, hostpci=[{"host": [NIC]}], usb=[{"host": "1-2.4"}])) == [
        ("hostpci[0].host", "is in use by running VM 105 (db)"),
        ("usb[0].host", "is in use by running VM 105 (db)"),
    ]


def test_a_device_of_a_stopped_vm_is_told_of(bench: Bench) -> None:
    qm(bench, "create", "105", "--name", "db", "--hostpci0", "02:00.0")
    made = bench.good("vm_create", **VM, hostpci=[{"host": [NIC]}])
    words = "is also configured in VM 105 (db), which is stopped; both cannot run at once"
    assert f"hostpci[0].host: {NIC} {words}" in str(made.warnings)


def test_of_several_devices_of_one_name_one_that_is_free_will_do(bench: Bench) -> None:
    qm(bench, "create", "105", "--hostpci0", NIC)
    qm(bench, "start", "105")
    bench.good("vm_create", **VM, hostpci=[{"mapping": "port"}], state="started")
    qm(bench, "create", "106", "--hostpci0", "0000:02:00.1")
    qm(bench, "stop", "210")
    qm(bench, "start", "106")
    bad = bench.bad("vm_create", vmid=211, name="other", hostpci=[{"mapping": "port"}])
    assert bad.values["findings"][0]["problem"].startswith("is in use by running VM 10")


def both(first: Params, second: Params, **more: t.Any) -> Params:
    """Two VMs of one run."""
    vms = [{"name": name, "type": "vm", "ostype": "l26", **each} for name, each in (("one", first), ("two", second))]
    return {"guests": [{**vm, **more, **vm} for vm in vms]}


@pytest.mark.parametrize(("first", "second", "option", "device"), [
    ({"hostpci": [{"host": [NIC]}]}, {"hostpci": [{"host": ["02:00"]}]}, "hostpci[0].host", NIC),
    ({"hostpci": [{"mapping": "gpu"}]}, {"hostpci": [{"host": ["0000:01:00.0"]}]}, "hostpci[0].host", "0000:01:00.0"),
    ({"usb": [{"mapping": "stick"}]}, {"usb": [{"host": "1-2.4"}]}, "usb[0].host", "1-2.4"),
])  # fmt: skip
def test_vms_that_one_run_starts_have_no_device_in_common(
    bench: Bench, first: Params, second: Params, option: str, device: str
) -> None:
    refused = bench.bad("guests", **both(first, second, state="started"))
    (found,) = refused.values["findings"]
    assert (found["option"], found["value"]) == (f"two: {option}", device)
    assert "is given to VM (one), too" in found["problem"]
    assert not list((bench.node.root / "etc/pve/qemu-server").glob("*.conf"))


def test_vms_of_one_run_may_take_turns_with_a_device(bench: Bench) -> None:
    device: Params = {"hostpci": [{"host": [NIC]}]}
    made = bench.good("guests", **both({**device, "state": "stopped"}, {**device, "state": "started"}))
    assert [guest["status"] for guest in made.guests] == ["stopped", "running"]


def test_the_whole_group_may_go_to_one_vm(bench: Bench) -> None:
    devices = [{"host": ["0000:03:00.0"]}, {"host": ["0000:04:00.0"]}]
    assert not bench.good("vm_create", **VM, hostpci=devices, state="started").failed


def test_a_device_is_given_once(bench: Bench) -> None:
    found = told(bench, hostpci=[{"host": [NIC]}, {"host": ["02:00"]}])
    assert [option for option, _problem in found] == ["hostpci[0].host", "hostpci[1].host"]
    assert {problem for _option, problem in found} == {"names 0000:02:00.0 a second time"}


def test_without_an_iommu_no_device_is_passed_through(bench: Bench) -> None:
    state: State = bench.node.state
    hardware.forget(state)
    hardware.add_pci(state, NIC, "8086:1572", "0200")
    problem = "needs an IOMMU, and that of node pve1 is off"
    assert told(bench, hostpci=[{"host": [NIC]}]) == [("hostpci[0].host", problem)]


def test_devices_are_looked_at_only_where_one_is_declared(bench: Bench) -> None:
    bench.good("vm_create", **VM)
    bench.good("vm_create", **VM, memory=1024)
    asked = [each["path"] for each in bench.node.requests()]
    assert not [path for path in asked if "hardware" in path or "mapping" in path]


def test_a_token_may_have_named_devices_alone(bench: Bench, token: Params) -> None:
    declared = {"hostpci": [{"mapping": "gpu"}, {"host": [NIC]}], "usb": [{"mapping": "stick"}, {"host": "1-1"}]}
    answer = bench.bad("vm_create", **{**VM, **declared, **token})
    refused = {each["option"] for each in answer.values["findings"] if "root@pam" in each["problem"]}
    assert refused == {"hostpci[1].host", "usb[1].host"}


def test_a_token_is_told_which_privileges_named_devices_take(bench: Bench, token: Params) -> None:
    declared = {**VM, "hostpci": [{"mapping": "gpu"}], "virtiofs": [{"mapping": "share"}]}
    first = bench.bad("vm_create", **{**declared, **token})
    (finding,) = [each for each in first.values["findings"] if "pveum" in each["remedy"]]
    assert "/mapping/pci/gpu" in finding["remedy"]
    assert "/mapping/dir/share" in finding["remedy"]
    grant(bench, finding["remedy"])
    assert bench.good("vm_create", **{**declared, **token}).changed


def test_a_graphics_card_is_taken_by_the_name_that_the_cluster_has_for_it(bench: Bench) -> None:
    made = bench.good("vm_create", **VM, gpu=True, machine={"type": "q35"})
    assert [(entry["mapping"], entry["pcie"]) for entry in made.config["hostpci"]] == [("gpu", True)]
    assert not bench.good("vm_create", **VM, gpu=True, machine={"type": "q35"}).changed


def test_a_graphics_card_that_has_no_name_is_reported(bench: Bench) -> None:
    pvesh(bench, "delete", "/cluster/mapping/pci/gpu")
    bench.node.forget()
    assert told(bench, gpu=True) == [
        ("gpu", "finds no graphics card: the cluster has no mapping for one of node pve1"),
    ]
