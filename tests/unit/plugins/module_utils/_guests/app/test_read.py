# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The profile of an application under the declaration of its guest."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.app.read import Applied, joined, read_app
from ansible_collections.pve.provision.plugins.module_utils._guests.app.spec import PROFILE
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES

Params = dict[str, t.Any]
TUN = {"path": "/dev/net/tun", "mode": "0666"}


def profile(**more: t.Any) -> Params:
    return PROFILE.validate({"title": "Site", "description": "A site.", "memory": 1024, "disk": "8G", **more}).values


def read(params: Params, of: Params | None = None, kind: str = "lxc", nulls: t.Any = ()) -> Applied:
    profiles = {"site": profile() if of is None else of}
    given = {"hostname": "web1", "app": "site", "app_profiles": profiles, **params}
    return read_app(kind, given, frozenset(nulls), TYPES[kind].spec)


def test_a_container_has_what_its_application_says_where_nothing_is_declared() -> None:
    applied = read({"memory": 2048}, profile(needs=["tun"], cores=2, lxc={"onboot": True}))
    params = applied.params
    assert (params["memory"], params["cores"], params["onboot"]) == (2048, 2, True)
    assert params["features"] == {"nesting": True}
    assert params["devices"] == [{"path": "/dev/net/tun", "mode": "0666"}]
    assert applied.new == {
        "rootfs": {"size": "8G"},
        "networks": [{"name": "eth0", "bridge": "vmbr0", "ip": "dhcp"}],
    }
    assert applied.findings == applied.notes == ()


def test_a_vm_has_a_cloud_image_of_the_size() -> None:
    params = read({}, kind="vm").params
    assert (params["profile"], params["image"], params["disks"]) == ("cloud", "debian-13", [{"size": "8G"}])
    assert "features" not in params


@pytest.mark.parametrize(
    ("params", "nulls", "name", "value"),
    [
        ({"features": {"nesting": False}}, [], "features", {"nesting": False}),
        ({"features": {"fuse": True}}, [], "features", {"nesting": True, "fuse": True}),
        ({"features": {}}, [("features", "nesting")], "features", {}),
        ({"memory": None}, [("memory",)], "memory", None),
        ({"devices": [{"path": "/dev/kvm"}]}, [], "devices", [TUN, {"path": "/dev/kvm"}]),
        ({"devices": [{"path": "/dev/net/tun", "mode": None, "uid": 5}]}, [], "devices", [{**TUN, "uid": 5}]),
        ({"tags": ["db", "home"]}, [], "tags", ["web", "db", "home"]),
    ],
)
def test_what_is_declared_goes_before_it(params: Params, nulls: t.Any, name: str, value: t.Any) -> None:
    assert read(params, profile(needs=["tun"], lxc={"tags": ["web", "db"]}), nulls=nulls).params.get(name) == value


@pytest.mark.parametrize(
    ("ours", "theirs", "key", "both"),
    [
        (["a", "b"], ["b", "c"], "", ["a", "b", "c"]),
        ([{"p": 1, "x": 1}], [{"p": 2}], "p", [{"p": 1, "x": 1}, {"p": 2}]),
        ([{"x": 1}], [{"x": 2}, {"x": 3}], "p", [{"x": 1}, {"x": 2}, {"x": 3}]),
        (
            [{"p": 1, "x": 1}, {"p": 2}],
            [{"p": 3}, {"p": 1, "x": 2, "y": None}],
            "p",
            [{"p": 1, "x": 2}, {"p": 2}, {"p": 3}],
        ),
    ],
)
def test_lists_of_both_are_joined(ours: t.Any, theirs: t.Any, key: str, both: t.Any) -> None:
    assert joined(ours, theirs, key) == both


def test_a_container_with_networks_keeps_them() -> None:
    assert read({"networks": []}).new == {"rootfs": {"size": "8G"}}


@pytest.mark.parametrize(
    ("params", "of", "kind", "finding"),
    [
        ({"app": "other"}, None, "lxc", "app: 'other' has no profile here"),
        ({}, {"findings": [{"option": "app", "value": 1, "problem": "is odd", "remedy": ""}]}, "lxc", "app: 1 is odd"),
        ({}, profile(types=["vm"]), "lxc", "app: 'site' runs in guests of type vm only"),
        ({}, profile(needs=["kernel_nfs_server"]), "lxc", "Run it in a VM (type: vm)."),
        ({"profile": "haos"}, None, "vm", "profile: 'haos' cannot be combined with application site"),
        ({"app_options": {"x": 1}}, None, "lxc", "app_options.x: 1 is not an option of application site. It has none."),
        ({"app": None, "app_options": {"x": 1}}, None, "lxc", "app_options: is for guests that run an application"),
        ({"app": None, "app_secrets": {"x": 1}}, None, "vm", "app_secrets: is for guests that run an application"),
        ({}, {**profile(), "files": ["${typo}"]}, "lxc", "typo is not one of its options"),
    ],
)
def test_what_is_wrong_is_found(params: Params, of: Params | None, kind: str, finding: str) -> None:
    found = list(map(str, read(params, of, kind).findings))
    assert [text for text in found if finding in text], found


def test_a_guest_that_is_to_be_absent_is_left_to_that() -> None:
    assert read({"state": "absent", "app": "other"}).findings == ()


def test_results_tell_the_reasons_and_that_nothing_is_installed() -> None:
    applied = read({}, profile(complete=False, needs=["tun"], ports=[{"port": 80, "scheme": "http"}]))
    told = applied.told["app"]
    assert (told["name"], told["complete"]) == ("site", False)
    assert told["ports"] == [{"port": 80, "protocol": "tcp", "scheme": "http", "path": "/"}]
    assert [reason["need"] for reason in told["reasons"]] == ["systemd", "tun", ""]
    assert "nothing is installed" in applied.notes[0]


def test_services_of_alpine_need_no_nesting() -> None:
    assert read({}, profile(ostemplate="alpine-3.24-default")).params.get("features") is None
