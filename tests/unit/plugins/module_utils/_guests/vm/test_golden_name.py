# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells golden templates apart, when one succeeds another, and for which VMs one is made unasked."""

from __future__ import annotations

import dataclasses
import re
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.golden_name import (
    Origin,
    crowds,
    in_common,
    is_golden,
)

ORIGIN = Origin(
    image="debian-13",
    file="local:import/debian-13-genericcloud-amd64-20250814-2204.qcow2",
    digest="sha512:abc",
    node="pve1",
    storage="local-lvm",
    disk="scsi0",
)
LINE = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1)
ORIGINS = st.builds(Origin, LINE, LINE, LINE, LINE, LINE, LINE, LINE, st.integers(0))


@given(ORIGINS)
def test_a_name_is_one_that_pve_takes_and_is_known_as_ours(origin: Origin) -> None:
    assert re.fullmatch(r"golden-[a-z0-9]([a-z0-9-]*[a-z0-9])?", origin.name)
    assert len(origin.name) <= 63
    assert is_golden(origin.name)


@pytest.mark.parametrize("name", [None, "", "golden-debian-13", "web1", f"my-{ORIGIN.name}", f"{ORIGIN.name}-2"])
def test_another_name_is_not(name: str | None) -> None:
    assert not is_golden(name)


def test_a_name_begins_with_the_images() -> None:
    assert ORIGIN.name.startswith("golden-debian-13-genericcloud-amd64-202508")


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "sha512:def"}, {"image": "debian-12"}, {"node": "pve2"}, {"storage": "nas"}, {"disk": "virtio0"},
        {"firmware": "ovmf"}, {"size": 2**31},
    ],
)  # fmt: skip
def test_each_image_node_storage_place_and_size_has_a_name_of_its_own(change: dict[str, t.Any]) -> None:
    assert dataclasses.replace(ORIGIN, **change).name != ORIGIN.name


@pytest.mark.parametrize(
    ("change", "succeeds"),
    [
        ({}, False),
        ({"digest": "sha512:old", "file": "local:import/older.qcow2"}, True),
        ({"digest": "sha512:old", "image": "debian-12"}, False),
        ({"digest": "sha512:old", "node": "pve2"}, False),
        ({"digest": "sha512:old", "storage": "nas"}, False),
        ({"digest": "sha512:old", "disk": "virtio0"}, False),
        ({"digest": "sha512:old", "firmware": "ovmf"}, False),
        ({"digest": "sha512:old", "size": 2**31}, False),
    ],
)
def test_a_newer_build_succeeds_that_of_the_same_image_on_the_same_storage(
    change: dict[str, t.Any], succeeds: bool
) -> None:
    assert ORIGIN.succeeds(dataclasses.replace(ORIGIN, **change).name) is succeeds
    assert not ORIGIN.succeeds("web1")


@pytest.mark.parametrize(
    ("option", "common"),
    [
        ({"cores": 2}, True),
        ({"cores": None}, False),
        ({"net0": {"bridge": "vmbr0"}}, True),
        ({"net0": {"bridge": "vmbr0", "hwaddr": "BC:24:11:00:00:01"}}, False),
        ({"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}, True),
        ({"serial0": {"device": "socket"}}, True),
        ({"serial0": {"device": "/dev/ttyS0"}}, False),
        ({"ide2": {"volume": "local-lvm:cloudinit", "media": "cdrom"}}, True),
        ({"ide2": "local-lvm:vm-100-cloudinit,media=cdrom"}, True),
        ({"ide2": "local:iso/cloudinit.iso.d,media=cdrom"}, False),
        ({"scsi1": {"storage": "local-lvm", "size": 2**30}}, False),
        *(({key: "x"}, False) for key in ("name", "tags", "description", "cipassword", "cicustom", "hostpci0", "args")),
        *(
            ({key: "x"}, False)
            for key in ("protection", "smbios1", "vmgenid", "meta", "boot", "template", "hookscript")
        ),
    ],
)
def test_a_template_has_what_does_not_tell_one_vm_from_another(option: dict[str, t.Any], common: bool) -> None:
    assert in_common(option) == (option if common else {})


def vms(count: int, **more: t.Any) -> list[dict[str, t.Any]]:
    return [{"type": "vm", "name": f"vm{number}", "image": "debian-13", **more} for number in range(count)]


@pytest.mark.parametrize(
    ("guests", "names"),
    [
        (vms(2), set()),
        (vms(3), {"vm0", "vm1", "vm2"}),
        ([*vms(2), {"type": "vm", "name": "other", "image": "debian-12"}], set()),
        ([*vms(2), {"type": "vm", "name": "gone", "image": "debian-13", "state": "absent"}], set()),
        ([*vms(2), {"type": "lxc", "name": "ct", "image": "debian-13"}], set()),
        ([*vms(2), {"type": "vm", "name": "same", "disks": [{"image": "debian-13"}]}], {"vm0", "vm1", "same"}),
        (vms(3, image=None), set()),
        (vms(3, image=None, profile="docker"), {"vm0", "vm1", "vm2"}),
        ([*vms(2), *vms(1, name="far", disks=[{"storage": "nas"}])], set()),
        ([*vms(2), *vms(1, name="large", disks=[{"size": "9G"}])], set()),
        ([*vms(2), *vms(1, name="ovmf", bios="ovmf")], set()),
        ([*vms(2), *vms(1, name="bus", disks=[{"bus": "virtio"}])], set()),
        ([*vms(2), *vms(1, name="arm", arch="aarch64")], set()),
        ([*vms(2), *vms(1, name="copy", clone_from={"name": "vm0"})], set()),
    ],
)
def test_many_vms_of_one_image_on_one_storage_are_a_crowd(guests: list[dict[str, t.Any]], names: set[str]) -> None:
    assert crowds(guests) == names
