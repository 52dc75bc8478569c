# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each option of a VM, from its declaration to PVE's words and back: what was set once is as declared from then on."""

from __future__ import annotations

import math
import re
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model.codec import Codec
from ansible_collections.pve.provision.plugins.module_utils._model.compare import compare, render, typed
from ansible_collections.pve.provision.plugins.module_utils._model.declare import null_paths
from ansible_collections.pve.provision.plugins.module_utils._model.option import Change, Option
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Field, Fields
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import BUSES, LAST
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.options import OPTIONS, declare_vm

Params = dict[str, t.Any]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample me@example.org"
UUID = "4225598a-1ef3-4637-a70a-78c309c9c10e"
# What fits an option whose form no choice and no bounds tell, by the user's name of it.
WORDS: dict[str, list[t.Any]] = {
    "disks.serial": ["abc", "A%20B-1"],
    "name": ["web1", "a.example.org"],
    "tags": [["a"], ["b", "a"]],
    "affinity": ["0", "0,5,8-11"],
    "cpu.type": ["host", "x86-64-v2-AES", "custom-mine"],
    "cpu.flags": [["+aes"], ["-pcid", "+aes"]],
    "cpu.phys_bits": ["host", "40"],
    "cpu.hv_vendor_id": ["proxmox"],
    "numa_nodes.cpus": [["0-1"], ["0", "3"]],
    "numa_nodes.hostnodes": [["0"]],
    "machine.type": ["i440fx", "q35", "pc-q35-9.2"],
    "smbios.uuid": [UUID],
    "vmgenid": ["0", UUID],
    "startdate": ["now", "2026-01-31", "2026-01-31T12:00:00"],
    "hotplug": [[], ["disk"], ["usb", "network"], ["cpu", "memory", "disk", "network", "usb"]],
    "boot.order": [["scsi0"], ["net0", "ide2"]],
    "boot.legacy": ["cdn"],
    "networks.hwaddr": ["BC:24:11:00:00:01", "bc:24:11:00:00:02"],
    "networks.bridge": ["vmbr0", "vnet1"],
    "networks.trunks": [["2-4"], [7, "80-90"]],
    "serials.device": ["socket", "/dev/ttyS0"],
    "parallels.device": ["/dev/parport0"],
    "usb.host": ["1234:abcd", "1-1.2", "spice"],
    "hostpci.host": [["0000:01:00.0"], ["01:00"]],
    "ivshmem.name": ["shared-1"],
    "disks.wwn": ["0x5000c50012345678"],
    "disks.size": ["8G", "1536M", 4],
    "disks.product": ["a disk"],
    "disks.vendor": ["me"],
    "cloud_init.ssh_keys": [[KEY], [KEY, f"{KEY}x"]],
    "cloud_init.nameserver": [["192.168.1.1"], ["fd00::1", "9.9.9.9"]],
    "cloud_init.searchdomain": [["example.org"]],
    "cloud_init.password": ["secret-1"],
    "cloud_init.ip.ip": ["dhcp", "192.168.1.5/24"],
    "cloud_init.ip.ip6": ["auto", "fd00::5/64"],
    "cloud_init.ip.gateway": ["192.168.1.1"],
    "cloud_init.ip.gateway6": ["fd00::1"],
    "cloud_init.user": ["debian"],
    "args": ["-device foo"],
}
HEX = [f"{kind}{name}_id" for kind in ("", "sub_") for name in ("device", "vendor")]
WORDS |= {f"hostpci.{name}": ["0x1af4"] for name in HEX}
# What a new disk is made from, and what PVE does not keep.
ORIGINS = {"import-from", "image", "iso", "storage", "format", "volume", "size", "media"}


def values_of(codec: Codec, path: str) -> st.SearchStrategy[t.Any]:
    if path in WORDS:
        return st.sampled_from(WORDS[path])
    if codec.choices:
        return st.sampled_from(codec.choices)
    low = 0 if codec.minimum is None else codec.minimum
    high = low + 5000 if codec.maximum is None else codec.maximum
    if codec.type == "bool":
        return st.booleans()
    if codec.type == "int":
        return st.integers(math.ceil(low), math.floor(high))
    if codec.type == "float":
        return st.integers(math.ceil(2 * low), math.floor(2 * high)).map(lambda number: number / 2)
    return st.sampled_from(["abc", "local:snippets/a"])


def fields_of(fields: Fields, path: str) -> st.SearchStrategy[Params]:
    shown: dict[str, Field] = {
        entry.param or key: entry for key, entry in fields.keys.items() if not entry.internal and key not in ORIGINS
    }
    every = {name: values_of(entry.codec, f"{path}.{name}") for name, entry in shown.items()}
    return st.fixed_dictionaries({}, optional=every).filter(lambda given: len(given) > 0)


def declared(option: Option) -> st.SearchStrategy[Params]:
    """A declaration of one option, as a user writes it."""
    if isinstance(option.codec, Codec):
        stated: st.SearchStrategy[t.Any] = values_of(option.codec, option.param)
    elif option.slot:
        origin = {"volume": "none"} if option.marked else {"storage": "local-lvm", "size": "8G"}
        numbers = st.integers(0, option.last)
        stated = st.tuples(numbers, fields_of(option.codec, option.param) if not option.marked else st.just({})).map(
            lambda each: [{option.slot: option.key, "index": each[0], **origin, **each[1]}]
        )
    elif option.indexed:
        stated = st.lists(fields_of(option.codec, option.param), min_size=1, max_size=2)
    else:
        origin = {"storage": "local-lvm"} if "storage" in option.codec.keys else {}
        stated = fields_of(option.codec, option.param).map(lambda given: {**origin, **given})
    *outer, last = option.path

    def placed(value: t.Any) -> Params:
        params = {last: value}
        for name in reversed(outer):
            params = {name: params}
        return params

    return stated.map(placed)


def made(text: str) -> str:
    """A volume as PVE has made it."""
    return re.sub(r"^local-lvm:([0-9.]+)", "local-lvm:vm-1-disk-0", text) + (
        ",size=8G" if text.startswith("local-lvm:8") else ""
    )


def resolved(params: Params) -> tuple[dict[str, str], t.Any]:
    declaration, findings = declare_vm(params, null_paths(params))
    assert findings == []
    return {key: made(text) for key, text in render(OPTIONS, declaration).items()}, declaration


PLAIN = [option for option in OPTIONS if option.param not in ("cloud_init.password",)]


@pytest.mark.parametrize("option", PLAIN, ids=lambda option: f"{option.param}-{option.key}")
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_what_was_set_once_is_as_declared_from_then_on(option: Option, data: st.DataObject) -> None:
    params = data.draw(declared(option))
    actual, declaration = resolved(params)
    again = compare(OPTIONS, actual, declaration)
    assert (again.set, again.delete, again.resize, again.findings) == ({}, (), {}, ())
    shown = typed(OPTIONS, actual)
    redeclared, findings = declare_vm(shown, null_paths(shown))
    assert findings == []
    assert compare(OPTIONS, actual, redeclared) == Change()


@pytest.mark.parametrize("bus", BUSES)
def test_each_bus_has_its_last_place(bus: str) -> None:
    disk = {"bus": bus, "storage": "x", "size": 1}
    for index, wrong in ((LAST[bus], False), (LAST[bus] + 1, True)):
        _declaration, findings = declare_vm({"disks": [{**disk, "index": index}]})
        assert [found.option for found in findings] == (["disks[0].index"] if wrong else [])


def test_a_place_is_for_one_disk_or_drive() -> None:
    disk = {"storage": "x", "size": 1}
    params = {"disks": [disk, {**disk, "index": 0}, {**disk, "bus": "ide", "index": 2}], "cdroms": [{}]}
    _declaration, findings = declare_vm(params)
    assert [(found.option, found.problem) for found in findings] == [
        ("cdroms[0]", "is ide2, which disks[2] is too"),
    ]
    _declaration, findings = declare_vm({"disks": [{**disk, "index": 3}, {**disk, "index": 3}]})
    assert [(found.option, found.problem) for found in findings] == [("disks[1].index", "is used twice")]


def test_disks_count_by_bus_and_drives_from_two_on() -> None:
    disks = [{"storage": "x"}, {"bus": "virtio", "storage": "x"}, {"storage": "x"}]
    declaration, _findings = declare_vm({"disks": disks, "cdroms": [{}, {}, {"bus": "sata"}]})
    assert set(declaration.values) == {"scsi0", "scsi1", "virtio0", "sata0", "ide2", "ide3"}
    assert declaration.paths["virtio0"] == "disks[1]"


def test_no_drives_takes_no_disks() -> None:
    actual = {"scsi0": "x:vm-1-disk-0,size=1G", "ide2": "none,media=cdrom", "sata1": "none,media=cdrom"}
    declaration, _findings = declare_vm({"cdroms": None}, frozenset({("cdroms",)}))
    assert set(compare(OPTIONS, actual, declaration).delete) == {"ide2", "sata1"}
    declaration, _findings = declare_vm({"disks": None}, frozenset({("disks",)}))
    assert compare(OPTIONS, actual, declaration).delete == ("scsi0",)


def test_the_whole_of_cloud_init_may_go() -> None:
    actual = {"ciuser": "me", "ipconfig0": "ip=dhcp", "ipconfig1": "ip=dhcp", "memory": "512"}
    declaration, _findings = declare_vm({"cloud_init": None}, frozenset({("cloud_init",)}))
    assert set(compare(OPTIONS, actual, declaration).delete) == {"ciuser", "ipconfig0", "ipconfig1"}


def test_addresses_belong_to_the_card_at_their_place() -> None:
    actual = {"ipconfig0": "ip=10.0.0.1/24", "ipconfig1": "ip=10.0.0.2/24"}
    swapped = [{"ip": "10.0.0.2/24"}, {"ip": "10.0.0.1/24"}]
    declaration, _findings = declare_vm({"cloud_init": {"ip": swapped}})
    assert set(compare(OPTIONS, actual, declaration).set) == {"ipconfig0", "ipconfig1"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("base64=1,manufacturer=QSBCLCBDPTE=,uuid=" + UUID, {"uuid": UUID, "manufacturer": "A B, C=1"}),
        (f"uuid={UUID}", {"uuid": UUID}),
    ],
)
def test_what_a_vm_tells_of_itself_is_read_as_it_was_meant(text: str, shown: Params) -> None:
    assert typed(OPTIONS, {"smbios1": text})["smbios"] == shown


@pytest.mark.parametrize("key", ["freeze-fs", "freeze-fs-on-backup", "guest-fsfreeze"])
def test_an_agents_freezing_has_three_names(key: str) -> None:
    declaration, _findings = declare_vm({"agent": {"enabled": True, "freeze_fs": False}})
    assert not compare(OPTIONS, {"agent": f"1,{key}=0"}, declaration)
