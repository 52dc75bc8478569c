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

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.golden_name import Note, crowds

NOTE = Note(
    image="debian-13",
    file="local:import/debian-13-genericcloud-amd64-20250814-2204.qcow2",
    digest="sha512:abc",
    node="pve1",
    storage="local-lvm",
    disk="scsi0",
)
LINE = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1)


@given(st.builds(Note, LINE, LINE, LINE, LINE, LINE, LINE, LINE))
def test_a_description_tells_what_it_was_made_of(note: Note) -> None:
    assert Note.read(note.description) == note
    assert Note.read(f"somebody's words\n{note.description}\nmore: words") == note


@pytest.mark.parametrize("text", ["", "mine", "image: debian-13\nfile: a"])
def test_another_description_tells_nothing(text: str) -> None:
    assert Note.read(text) is None


@given(st.builds(Note, LINE, LINE, LINE, LINE, LINE, LINE, LINE))
def test_a_name_is_one_that_pve_takes(note: Note) -> None:
    assert re.fullmatch(r"golden-[a-z0-9]([a-z0-9-]*[a-z0-9])?", note.name)
    assert len(note.name) <= 63


def test_a_name_begins_with_the_images() -> None:
    assert NOTE.name.startswith("golden-debian-13-genericcloud-amd64-20250814-22")


@pytest.mark.parametrize(
    "change",
    [{"digest": "sha512:def"}, {"node": "pve2"}, {"storage": "nas"}, {"disk": "virtio0"}, {"firmware": "ovmf"}],
)
def test_each_image_node_storage_and_place_has_a_name_of_its_own(change: dict[str, str]) -> None:
    assert dataclasses.replace(NOTE, **change).name != NOTE.name


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
    ],
)
def test_a_newer_build_succeeds_that_of_the_same_image_on_the_same_storage(
    change: dict[str, str], succeeds: bool
) -> None:
    assert NOTE.succeeds(dataclasses.replace(NOTE, **change)) is succeeds


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
        ([*vms(2), *vms(1, name="ovmf", bios="ovmf")], set()),
        ([*vms(2), *vms(1, name="bus", disks=[{"bus": "virtio"}])], set()),
        ([*vms(2), *vms(1, name="arm", arch="aarch64")], set()),
        ([*vms(2), *vms(1, name="copy", clone_from={"name": "vm0"})], set()),
    ],
)
def test_many_vms_of_one_image_on_one_storage_are_a_crowd(guests: list[dict[str, t.Any]], names: set[str]) -> None:
    assert crowds(guests) == names
