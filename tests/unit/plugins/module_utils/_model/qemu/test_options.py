# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a declaration changes in a VM: MAC addresses, volumes and spellings of PVE's own are never a difference."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model.compare import compare, typed
from ansible_collections.pve.provision.plugins.module_utils._model.declare import null_paths
from ansible_collections.pve.provision.plugins.module_utils._model.option import Change
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.checks import check_vm
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import DISK
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.network import NET
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.options import OPTIONS, declare_vm

MAC = "BC:24:11:00:00:AB"
ACTUAL = {
    "agent": "enabled=1",
    "boot": "order=scsi0;net0",
    "cores": "1",
    "efidisk0": "local-lvm:vm-200-disk-0,efitype=4m,pre-enrolled-keys=0,size=4M",
    "memory": "256",
    "meta": "creation-qemu=10.0.13,ctime=1795403515",
    "name": "router",
    "net0": "virtio=BC:24:11:00:00:AB,bridge=vmbr0,firewall=1,tag=20",
    "ostype": "l26",
    "scsi0": "local-lvm:vm-200-disk-1,discard=on,iothread=1,size=512M,ssd=1",
    "scsihw": "virtio-scsi-single",
    "serial0": "socket",
    "smbios1": "uuid=4225598a-1ef3-4637-a70a-78c309c9c10e",
}


def compared(**params: t.Any) -> Change:
    declaration, findings = declare_vm(params, null_paths(params))
    assert findings == []
    return compare(OPTIONS, ACTUAL, declaration)


@pytest.mark.parametrize(
    "params",
    [
        {"agent": {"enabled": True}},
        {"boot": {"order": ["scsi0", "net0"]}},
        {"networks": [{"bridge": "vmbr0", "tag": 20}]},
        {"networks": [{"model": "virtio", "hwaddr": "bc:24:11:00:00:ab"}]},
        {"disks": [{"storage": "local-lvm", "import_from": "/x.img", "size": "512M", "discard": "on", "ssd": True}]},
        {"efidisk": {"storage": "local-lvm", "efitype": "4m"}},
        {"serials": [{"device": "socket"}], "kvm": True, "sockets": 1, "onboot": False},
    ],
)
def test_what_is_as_declared_changes_nothing(params: dict[str, t.Any]) -> None:
    assert not compared(**params)


@pytest.mark.parametrize(
    ("params", "options", "restart"),
    [
        ({"memory": 512}, {"memory": "512"}, ("memory",)),
        ({"name": "gw", "onboot": True}, {"name": "gw", "onboot": "1"}, ()),
        ({"networks": [{"tag": 30}]}, {"net0": "virtio=BC:24:11:00:00:AB,bridge=vmbr0,firewall=1,tag=30"}, ()),
        ({"networks": [{"id": 1, "bridge": "vmbr1"}]}, {"net1": "virtio,bridge=vmbr1"}, ()),
        ({"disks": [{"bus": "scsi", "index": 1, "storage": "nas", "size": 8}]}, {"scsi1": "nas:8"}, ()),
        (
            {"disks": [{"index": 1, "storage": "nas", "import_from": "/tmp/x.raw", "discard": "on"}]},
            {"scsi1": "nas:0,import-from=/tmp/x.raw,discard=on"},
            (),
        ),
        ({"agent": {"enabled": False}}, {"agent": "0"}, ("agent",)),
        ({"agent": {"fstrim_cloned_disks": True}}, {"agent": "1,fstrim_cloned_disks=1"}, ()),
    ],
)
def test_only_what_differs_is_set(params: dict[str, t.Any], options: dict[str, str], restart: tuple[str, ...]) -> None:
    change = compared(**params)
    assert change.set == options
    assert change.restart == restart


def test_a_larger_disk_grows_and_a_smaller_one_is_refused() -> None:
    assert compared(disks=[{"size": "1G"}]).resize == {"scsi0": 1024**3}
    assert compared(disks=[{"size": "256M"}]).findings[0].problem == "is smaller than the 512M it has"


@pytest.mark.parametrize(
    ("params", "option", "problem"),
    [
        ({"disks": [{"bus": "ide", "index": 4, "storage": "x"}]}, "disks[0].index", "is out of range"),
        ({"networks": [{"id": 32}]}, "networks[0].id", "is out of range"),
        ({"cpuunits": 50000}, "cpuunits", "is out of range"),
        ({"networks": [{"trunks": ["2-9999"]}]}, "networks[0].trunks[0]", "is out of range"),
        ({"networks": [{"hwaddr": MAC}, {"hwaddr": MAC.lower()}]}, "networks[1].hwaddr", "is also used by networks[0]"),
        # What PVE's own formats refuse, what would become another line of its config, or what QEMU does not start with.
        ({"args": "-x\nhookscript: local:snippets/other"}, "args", "holds a line break"),
        ({"disks": [{"storage": "x", "size": 1, "serial": "A B"}]}, "disks[0].serial", "is not the serial number"),
        ({"disks": [{"storage": "x", "size": 1, "serial": "a,b"}]}, "disks[0].serial", "is not the serial number"),
        ({"disks": [{"storage": "x", "size": 0}]}, "disks[0].size", "is too small"),
        ({"hostpci": [{"mapping": "card,x-vga=1"}]}, "hostpci[0].mapping", "holds a comma"),
        ({"startdate": "2026-13-45"}, "startdate", "is neither now nor a date"),
        ({"migrate_downtime": "inf"}, "migrate_downtime", "is out of range"),
        ({"cloud_init": {"nameserver": ["fe80::1%eth0"]}}, "cloud_init.nameserver[0]", "names an interface"),
        ({"memory": 256, "balloon": 512}, "balloon", "is above the memory, 256"),
    ],
)
def test_bad_input_is_reported_by_option(params: dict[str, t.Any], option: str, problem: str) -> None:
    declaration, findings = declare_vm(params)
    findings += check_vm(declaration.values, declaration.paths)
    assert [(found.option, found.problem.startswith(problem)) for found in findings] == [(option, True)]


@pytest.mark.parametrize(
    ("text", "declared", "change"),
    [
        ("trunks=80-90", {"tag": 20}, {}),
        ("trunks=80-90;95", {"trunks": ["80-85", "86-90", 95]}, {}),
        ("trunks=2-9999", {"tag": 20}, {}),
        ("trunks=80-90", {"tag": 30}, {"net0": f"virtio={MAC},bridge=vmbr0,tag=30,trunks=80-90"}),
        ("trunks=all", {"tag": 30}, {"net0": f"virtio={MAC},bridge=vmbr0,tag=30,trunks=all"}),
        ("trunks=80-90", {"trunks": ["80-91"]}, {"net0": f"virtio={MAC},bridge=vmbr0,tag=20,trunks=80-91"}),
        ("new=1", {"tag": 30}, {"net0": f"virtio={MAC},bridge=vmbr0,tag=30,new=1"}),
    ],
)
def test_a_strangers_vlans_and_mac_address_stay(text: str, declared: dict[str, t.Any], change: dict[str, str]) -> None:
    declaration, findings = declare_vm({"networks": [declared]})
    assert findings == []
    assert compare(OPTIONS, {"net0": f"virtio={MAC},bridge=vmbr0,tag=20,{text}"}, declaration).set == change


def test_the_bios_cannot_change() -> None:
    assert compared(bios="ovmf").findings[0].option == "bios"


@pytest.mark.parametrize("text", [ACTUAL["net0"], "e1000=BC:24:11:00:00:AA,bridge=vmbr0,mtu=1400,rate=5"])
def test_networks_as_pve_writes_them_survive_a_round_trip(text: str) -> None:
    assert NET.render(NET.parse(text)) == text


@pytest.mark.parametrize("text", [ACTUAL["scsi0"], "local:iso/test.iso,media=cdrom,size=1M"])
def test_disks_as_pve_writes_them_survive_a_round_trip(text: str) -> None:
    assert DISK.render(DISK.parse(text)) == text


STRANGERS = [
    {"memory": "current=768", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,trunks=2-4;7,queues=4,mtu=1"},
    {
        "scsi0": "x:vm-1-disk-0,size=512",
        "scsi1": "x:vm-1-disk-1,iops_wr=200,mbps_rd=50,size=1153434K",
        "ide2": "none,media=cdrom",
    },
    {"net0": "e1000=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,link_down=1,rate=1.5", "boot": "order=scsi0;net0"},
    {"net0": "virtio,bridge=vmbr0,macaddr=BC:24:11:00:00:02,new=1", "boot": "cdn", "agent": "1,fstrim_cloned_disks=1"},
    {
        "machine": "pc",
        "cpu": "host",
        "cpulimit": "1.5",
        "cpuunits": "50000",
        "balloon": "0",
        "tags": "b;a",
        "bios": "ovmf",
    },
    {
        "efidisk0": "x:vm-1-disk-2,efitype=4m,ms-cert=2023,pre-enrolled-keys=1,size=4M",
        "description": "a\nb",
        "startup": "3",
    },
]


@pytest.mark.parametrize("actual", STRANGERS)
def test_what_a_result_shows_can_be_declared_and_changes_nothing(actual: dict[str, str]) -> None:
    shown = typed(OPTIONS, actual)
    declaration, findings = declare_vm(shown, null_paths(shown))
    assert findings == []
    assert compare(OPTIONS, actual, declaration) == Change()


cards = st.lists(
    st.fixed_dictionaries(
        {"bridge": st.sampled_from(["vmbr0", "vmbr1"])},
        optional={
            "hwaddr": st.sampled_from(["BC:24:11:00:00:01", "BC:24:11:00:00:02"]),
            "tag": st.sampled_from([None, 5, 6]),
            "trunks": st.sampled_from([["2-4", 7], [9]]),
            "firewall": st.booleans(),
        },
    ),
    max_size=3,
)


@given(cards, cards, st.booleans())
def test_a_second_run_changes_nothing(first: list[t.Any], second: list[t.Any], purge: bool) -> None:
    actual = dict(ACTUAL)
    for networks in (first, second):
        params = {"networks": networks}
        declaration, _problems = declare_vm(params, null_paths(params))
        change = compare(OPTIONS, actual, declaration, purge=purge)
        if change.findings:
            return
        actual = {key: value for key, value in {**actual, **change.set}.items() if key not in change.delete}
        again = compare(OPTIONS, actual, declaration, purge=purge)
        assert (again.set, again.delete, again.findings) == ({}, (), ())
