# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a profile adds to a declaration, option by option."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.catalog import PROFILES, with_profile
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.profile import Profile
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.read import read_profile
from ansible_collections.pve.provision.plugins.module_utils._model.declare import null_paths
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path

Declared = dict[str, t.Any]

APPLIANCE = Profile(
    {
        "memory": 4096,
        "agent": {"enabled": True, "type": "virtio"},
        "image": "haos",
        "disks": [{"bus": "scsi", "size": "32G", "discard": "on"}],
        "networks": [{"bridge": "vmbr0"}],
        "boot": {"order": ["scsi0", "ide2"]},
    },
    images={"rocky-10": {"memory": 1}, "haos": {"cores": 3}},
)


@pytest.mark.parametrize(
    ("declared", "option", "expected"),
    [
        ({}, "memory", 4096),
        ({"memory": None}, "memory", 4096),
        ({"memory": 1024}, "memory", 1024),
        ({"memory": 0}, "memory", 0),
        ({"agent": {"enabled": False, "type": None}}, "agent", {"enabled": False, "type": "virtio"}),
        ({"networks": [{"bridge": "vmbr7", "tag": 5}]}, "networks", [{"bridge": "vmbr7", "tag": 5}]),
        ({"networks": [{"tag": 5}, {"bridge": "b"}]}, "networks", [{"bridge": "vmbr0", "tag": 5}, {"bridge": "b"}]),
        ({"networks": []}, "networks", [{"bridge": "vmbr0"}]),
        ({"networks": [{"state": "absent", "id": 0}]}, "networks", [{"state": "absent", "id": 0}]),
        ({"boot": {"order": ["net0"]}}, "boot", {"order": ["net0"]}),
        (
            {"disks": [{"storage": "tank", "bus": "virtio"}]},
            "disks",
            [{"storage": "tank", "bus": "virtio", "size": "32G", "discard": "on"}],
        ),
        (
            {"disks": [{"import_from": "nas:import/a.qcow2"}, {"size": "8G"}]},
            "disks",
            [{"import_from": "nas:import/a.qcow2", "bus": "scsi", "size": "32G", "discard": "on"}, {"size": "8G"}],
        ),
    ],
)
def test_what_is_declared_goes_before_the_profile(declared: Declared, option: str, expected: t.Any) -> None:
    assert APPLIANCE.under(declared)[option] == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"memory": None}, {"memory": None}),
        ({"agent": None}, {"agent": None}),
        ({"agent": {"type": None}}, {"agent": {"enabled": True, "type": None}}),
        ({"networks": None}, {"networks": None}),
        ({"networks": [{"bridge": None}]}, {"networks": [{"bridge": None}]}),
    ],
)
def test_a_null_takes_away_what_the_profile_has(given: Declared, expected: Declared) -> None:
    nulls: frozenset[Path] = null_paths(given)
    (option,) = given
    assert APPLIANCE.under(given, nulls)[option] == expected[option]


@pytest.mark.parametrize("copy", ["clone_from", "restore_from"])
def test_a_copy_has_its_disks_from_what_it_is_a_copy_of(copy: str) -> None:
    merged = APPLIANCE.under({copy: {"name": "golden"}})
    assert "disks" not in merged
    assert merged["memory"] == 4096
    own = APPLIANCE.under({copy: {"name": "golden"}, "disks": [{"size": "64G"}]})
    assert own["disks"] == [{"size": "64G"}]


@pytest.mark.parametrize(
    ("image", "memory"),
    [
        ("rocky-10", 1),
        (" Rocky-10 ", 1),
        ("rocky-10-20250609", 1),
        ({"name": "rocky-10"}, 1),
        ("rocky-100", 4096),
        ("rocky", 4096),
        ({"url": "https://x/rocky-10"}, 4096),
    ],
)
def test_an_image_may_want_something_of_its_own(image: t.Any, memory: int) -> None:
    assert APPLIANCE.under({"disks": [{"image": image}]})["memory"] == memory
    assert APPLIANCE.under({"image": image})["memory"] == memory
    assert APPLIANCE.under({"disks": [{"image": image}], "memory": 7})["memory"] == 7


@pytest.mark.parametrize("source", ["image", "import_from", "volume"])
def test_a_disk_that_says_what_it_is_made_from_needs_no_image(source: str) -> None:
    assert "image" not in APPLIANCE.under({"disks": [{source: "x"}]})
    assert APPLIANCE.under({"disks": [{"size": "1G"}, {source: "x"}]})["image"] == "haos"


def test_an_image_is_one_or_the_other() -> None:
    profile = Profile({"image": {"name": "talos", "variant": "nocloud"}})
    assert profile.under({"image": {"url": "https://x/y"}})["image"] == {"url": "https://x/y"}
    assert profile.under({"image": "debian-13"})["image"] == "debian-13"


def test_an_image_of_the_profile_counts_too() -> None:
    assert APPLIANCE.under({})["cores"] == 3
    assert "cores" not in APPLIANCE.under({"disks": [{"volume": "tank:vm-1-disk-0"}]})


def test_a_declaration_is_left_as_it_was() -> None:
    declared: Declared = {"disks": [{"storage": "tank"}], "agent": {"enabled": False}}
    APPLIANCE.under(declared)
    assert declared == {"disks": [{"storage": "tank"}], "agent": {"enabled": False}}


def test_without_a_profile_or_with_custom_nothing_is_added() -> None:
    assert with_profile({"cores": 2}) == {"cores": 2}
    assert with_profile({"cores": 2, "profile": "custom"}) == {"cores": 2, "profile": "custom"}


def test_of_a_guest_that_is_to_go_nothing_is_said() -> None:
    assert with_profile({"state": "absent", "profile": "haos"}) == {"state": "absent", "profile": "haos"}


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_is_data_that_a_declaration_could_say(name: str) -> None:
    profile = PROFILES[name]
    assert profile.under({}) == profile.under(profile.under({}))


@pytest.mark.parametrize("profile", ["cloud", "docker", "kubernetes"])
@pytest.mark.parametrize(
    ("image", "model"),
    [
        (None, "x86-64-v2-AES"),
        ("debian-13", "x86-64-v2-AES"),
        ("rocky", "x86-64-v3"),
        ("alma", "x86-64-v3"),
        ("alma-latest", "x86-64-v3"),
        ("rocky-10", "x86-64-v3"),
        ("alma-10.1", "x86-64-v3"),
        ({"name": "rocky-10", "variant": "lvm"}, "x86-64-v3"),
        ("rocky-9", "x86-64-v2-AES"),
        ("rocky-9.6", "x86-64-v2-AES"),
        ("alma-8", "x86-64-v2-AES"),
    ],
)
def test_each_image_gets_a_processor_that_it_boots_on(profile: str, image: t.Any, model: str) -> None:
    made = with_profile({"profile": profile, "image": image})
    assert made["cpu"] == {"type": model}
    assert with_profile({"profile": profile, "image": image, "cpu": {"type": "host"}})["cpu"] == {"type": "host"}


TOLD = {"cloud_init": {"user_data": "version: v1alpha1\n"}}
NOCLOUD = {"url": "https://factory.talos.dev/image/0/v1.10.0/nocloud-amd64.raw.xz"}


@pytest.mark.parametrize(
    ("declared", "refused"),
    [
        ({"profile": "talos", "image": "talos"}, True),
        ({"profile": "talos", "disks": [{"image": {"name": "talos-1.10", "variant": "metal"}}]}, True),
        ({"image": "talos-1.10", **TOLD}, True),
        ({"image": "talos-1.10"}, False),
        ({"profile": "talos"}, False),
        ({"profile": "talos", "image": "talos-1.7.6"}, False),
        ({"profile": "talos", "image": {"name": "talos", "variant": "nocloud"}}, False),
        ({"profile": "talos", "image": NOCLOUD}, False),
        ({"profile": "talos", "image": "talos", "clone_from": {"name": "t"}}, False),
        ({"image": "debian-13", **TOLD}, False),
    ],
)
def test_talos_for_bare_metal_is_refused_where_it_is_told_something(declared: Declared, refused: bool) -> None:
    findings = [finding for finding in read_profile(declared).findings if "bare metal" in finding.problem]
    assert [finding.option for finding in findings] == ["image"] * refused
