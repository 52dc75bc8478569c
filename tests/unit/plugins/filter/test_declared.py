# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a declaration when guests go, when their templates are to be new, or Python is wanted in them."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.pve.provision.plugins.filter.declared import removals, templates_of, with_python
from ansible_collections.pve.provision.plugins.module_utils._model.setup.declare import declare_setup

Guest = dict[str, t.Any]


def test_python_comes_along_where_packages_can_be_installed() -> None:
    declared: list[Guest] = [
        {"name": "a", "packages": ["nginx"]}, {"name": "b"}, {"name": "c", "state": "absent"},
        {"name": "d", "type": "openwrt_lxc"}, {"name": "e", "type": "vm", "profile": "haos"},
        {"name": "f", "type": "vm"},
    ]  # fmt: skip
    made = with_python(declared, {"type": "lxc"})
    names = [
        [entry if isinstance(entry, str) else entry["name"] for entry in guest.get("packages", ())] for guest in made
    ]
    assert [sorted(set(found)) for found in names] == [
        ["nginx", "python", "python3"], ["python", "python3"], [], [], [], ["python", "python3"],
    ]  # fmt: skip
    assert made[2:5] == declared[2:5]


def test_python_that_is_declared_stays_as_it_is() -> None:
    older = {"name": "python3", "manager": "apk", "state": "absent"}
    declared: list[Guest] = [
        {"name": "a", "type": "lxc", "packages": ["python3"]}, {"name": "b", "type": "lxc", "packages": [older]},
        {"name": "c", "type": "vm", "image": "debian-13"},
        {"name": "d", "type": "lxc", "image": {"oci": "docker.io/library/nginx@sha256:0"}},
    ]  # fmt: skip
    made = with_python(declared, {})
    assert made[0]["packages"] == ["python3", {"name": "python", "manager": "pacman"}]
    assert made[1]["packages"][0] == older
    assert [each["manager"] for each in made[1]["packages"]] == ["apk", "apt", "dnf", "zypper", "pacman"]
    assert made[2]["packages"] and made[3] == declared[3]
    for guest in made[:2]:
        assert declare_setup(guest)[1] == []


# -- destroying, and what guests are made from -------------------------------------------------------------------------

FOUND: list[Guest] = [
    {"name": "gw", "vmid": 100, "tags": ["ours"]}, {"name": "golden", "vmid": 101, "tags": ["ours"]},
    {"name": "web1", "vmid": 102, "tags": ["ours"]}, {"name": "db1", "vmid": 103, "tags": []},
]  # fmt: skip
DECLARED: list[Guest] = [
    {"name": "golden", "state": "template"},
    {"name": "web1", "clone_from": {"name": "golden"}, "after": ["db1"], "memory": 512},
    {"name": "db1", "vmid": 103, "force": True},
    {"name": "later"},
]


def test_what_was_made_last_goes_first_and_what_is_not_there_is_left_out() -> None:
    gone = removals(DECLARED, {"type": "lxc", "cores": 2}, FOUND)
    assert gone == [
        {"name": "golden", "type": "lxc", "state": "absent", "after": ["web1"]},
        {"name": "web1", "type": "lxc", "state": "absent", "after": []},
        {"name": "db1", "type": "lxc", "vmid": 103, "force": True, "state": "absent", "after": ["web1"]},
    ]


@pytest.mark.parametrize(("options", "names"), [
    ({"owner_tag": "ours"}, ["golden", "web1"]),
    ({"limit": ["db1"]}, ["db1"]),
    ({"limit": "db1"}, ["db1"]),
    ({"limit": [""]}, ["golden", "web1", "db1"]),
    ({"limit": "web1, db1"}, ["web1", "db1"]),
    ({"limit": ["later "]}, []),
])  # fmt: skip
def test_only_declared_guests_go_and_of_these_only_those_that_are_meant(options: Guest, names: list[str]) -> None:
    assert [guest["name"] for guest in removals(DECLARED, {"type": "lxc"}, FOUND, **options)] == names


def test_a_name_that_no_guest_has_is_an_error_as_everywhere() -> None:
    with pytest.raises(AnsibleFilterError, match=r"limit: 'gw' is not a guest of this list. There are: db1, golden"):
        removals(DECLARED, {"type": "lxc"}, FOUND, limit="db1,gw")


def test_a_guest_under_another_number_is_not_the_declared_one() -> None:
    assert removals([{"name": "db1", "vmid": 200}], {"type": "lxc"}, FOUND) == []


def test_applications_are_made_from_what_their_profiles_name(tmp_path: Path) -> None:
    profile = {"title": "Site", "description": "A site.", "ostemplate": "ubuntu-24.04-standard"}
    (tmp_path / "site.yml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    declared: list[Guest] = [
        {"name": "a", "app": "nginx"}, {"name": "b", "app": "site"}, {"name": "c", "app": "nginx", "type": "vm"},
        {"name": "d", "app": "navidrome", "ostemplate": "alpine-3.21-default"}, {"name": "e", "app": "unheard-of"},
        {"name": "f", "app": "nginx", "clone_from": {"name": "a"}}, {"name": "g", "type": "openwrt_vm"},
    ]  # fmt: skip
    found = templates_of(declared, {"type": "lxc"}, [str(tmp_path)])
    assert [(each["source"], each["version"], each["content"]) for each in found["images"]] == [
        ("pveam", "debian-13-standard", "vztmpl"), ("pveam", "ubuntu-24.04-standard", "vztmpl"),
        ("debian", "13", "import"), ("pveam", "alpine-3.21-default", "vztmpl"),
    ]  # fmt: skip
    assert found["openwrt"] == []


def test_what_guests_are_made_from_is_reported_once_and_only_what_has_a_name() -> None:
    declared: list[Guest] = [
        {"name": "a", "ostemplate": "debian-13-standard"}, {"name": "b", "ostemplate": "debian-13-standard"},
        {"name": "c", "ostemplate": "local:vztmpl/own_1_amd64.tar.zst"}, {"name": "d", "state": "absent"},
        {"name": "e", "type": "openwrt_lxc"}, {"name": "f", "type": "vm", "profile": "cloud", "image": "debian-13"},
        {"name": "g", "type": "vm", "disks": [{"image": {"url": "https://example.org/x.qcow2"}}]},
    ]  # fmt: skip
    assert templates_of(declared, {"type": "lxc"}) == {
        "images": [
            {"source": "pveam", "version": "debian-13-standard", "content": "vztmpl", "state": "latest"},
            {"source": "debian", "version": "13", "content": "import", "state": "latest"},
        ],
        "openwrt": [{"version": "24"}],
    }
