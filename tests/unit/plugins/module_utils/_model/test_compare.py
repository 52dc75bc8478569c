# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a declaration changes in a guest: the fewest options, never a value the user did not state."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model.compare import (
    Held,
    compare,
    render,
    typed,
    unmanaged,
)
from ansible_collections.pve.provision.plugins.module_utils._model.declare import null_paths
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import OPTIONS, declare_lxc
from ansible_collections.pve.provision.plugins.module_utils._model.option import Change, Declaration

ACTUAL = {
    "arch": "amd64",
    "cores": "2",
    "features": "nesting=1",
    "hostname": "web1",
    "memory": "1024",
    "mp0": "local-lvm:vm-101-disk-1,mp=/srv/data,backup=1,size=8G",
    "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:01:02:03,ip=192.168.20.10/24,tag=20,type=veth",
    "onboot": "1",
    "ostype": "debian",
    "rootfs": "local-lvm:vm-101-disk-0,size=8G",
    "swap": "512",
    "tags": "home;web",
    "unprivileged": "1",
}


def compared(purge: bool = False, **params: t.Any) -> Change:
    declaration, findings = declare_lxc(params, null_paths(params))
    assert findings == []
    return compare(OPTIONS, ACTUAL, declaration, purge=purge)


NET0 = {"bridge": "vmbr0", "tag": 20, "ip": "192.168.20.10/24"}


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"memory": 1024},
        {"swap": 512, "onboot": True, "protection": False, "console": True, "cmode": "tty"},
        {"tags": ["Web", "home"]},
        {"networks": [NET0]},
        {"networks": [{"id": 0, "bridge": "vmbr0", "hwaddr": "bc:24:11:01:02:03", "firewall": False}]},
        {"rootfs": {"size": "8G", "storage": "local-lvm"}},
        {"rootfs": {"size": 8}},
        {"rootfs": {"size": "8192M"}},
        {"mount_points": [{"storage": "local-lvm", "size": "8G", "mp": "/srv/data", "backup": True}]},
        {"mount_points": [{"mp": "/srv/data", "quota": False, "replicate": True}]},
        {"features": {"nesting": True, "keyctl": False}},
        {"unprivileged": True, "arch": "amd64", "ostype": "debian"},
        {"description": ""},
        {"cpulimit": 0},
    ],
)
def test_what_is_as_declared_changes_nothing(params: dict[str, t.Any]) -> None:
    assert not compared(**params)


@pytest.mark.parametrize(
    ("params", "options"),
    [
        ({"memory": 2048}, {"memory": "2048"}),
        ({"cores": 4, "memory": 1024}, {"cores": "4"}),
        (
            {"networks": [{**NET0, "tag": 30}]},
            {"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:01:02:03,ip=192.168.20.10/24,tag=30,type=veth"},
        ),
        ({"networks": [{"id": 1, "bridge": "vmbr1", "ip": "dhcp"}]}, {"net1": "name=eth1,bridge=vmbr1,ip=dhcp"}),
        ({"mount_points": [{"id": 1, "storage": "local-lvm", "size": "4G", "mp": "/b"}]}, {"mp1": "local-lvm:4,mp=/b"}),
        (
            {"mount_points": [{"mp": "/srv/data", "ro": True}]},
            {"mp0": "local-lvm:vm-101-disk-1,mp=/srv/data,backup=1,ro=1,size=8G"},
        ),
        ({"mount_points": [{"id": 2, "bind": "/srv", "mp": "/mnt"}]}, {"mp2": "/srv,mp=/mnt"}),
        ({"tags": ["db"]}, {"tags": "db"}),
        ({"startup": {"order": 2, "up": 10}}, {"startup": "order=2,up=10"}),
        ({"devices": [{"path": "/dev/net/tun", "mode": "0660"}]}, {"dev0": "/dev/net/tun,mode=0660"}),
        ({"nameserver": ["1.1.1.1", "9.9.9.9"]}, {"nameserver": "1.1.1.1 9.9.9.9"}),
        ({"description": "web server\n"}, {"description": "web server"}),
        ({"cpulimit": 1.5}, {"cpulimit": "1.5"}),
    ],
)
def test_only_what_differs_is_set_and_what_pve_chose_is_carried_over(
    params: dict[str, t.Any], options: dict[str, str]
) -> None:
    change = compared(**params)
    assert change.set == options
    assert change.delete == ()
    assert change.findings == ()


def test_null_deletes_an_option_and_a_key_of_a_property_string() -> None:
    assert compared(cores=None).delete == ("cores",)
    change = compared(networks=[{"bridge": "vmbr0", "tag": None}])
    assert change.set == {"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:01:02:03,ip=192.168.20.10/24,type=veth"}
    assert compared(nameserver=None) == Change()


def test_what_pve_deletes_not_gets_its_default() -> None:
    for change in (compared(memory=None), compared(purge=True, cores=2)):
        assert change.set == {"memory": "512"}
        assert "memory" not in change.delete
        assert (change.before["memory"], change.after["memory"]) == (1024, 512)


def test_null_for_a_list_deletes_all_of_its_entries() -> None:
    assert compared(networks=None).delete == ("net0",)


def test_purge_deletes_what_is_not_mentioned_and_never_identity_or_root_volume() -> None:
    change = compared(purge=True, memory=1024, networks=[{"bridge": "vmbr0"}])
    assert change.delete == ("cores", "features", "mp0", "onboot", "tags")
    assert change.set == {"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:01:02:03,type=veth"}


def test_a_larger_volume_grows_and_its_options_change_beside() -> None:
    change = compared(rootfs={"size": "10G"}, mount_points=[{"mp": "/srv/data", "size": "9G", "backup": False}])
    assert change.resize == {"rootfs": 10 * 1024**3, "mp0": 9 * 1024**3}
    assert change.set == {"mp0": "local-lvm:vm-101-disk-1,mp=/srv/data,backup=0,size=9G"}
    assert change.before["rootfs.size"] == "8G"
    assert change.after["rootfs.size"] == "10G"


@pytest.mark.parametrize(
    ("has", "declared", "resize"),
    [
        ("1126M", "1.1G", None),
        ("1128M", "1.1G", None),  # what LVM makes of it
        ("1153434K", "1.1G", None),
        ("100M", "100.3M", None),
        ("1126M", "1.2G", 1228 * 1024**2),
    ],
)
def test_a_size_that_was_rounded_is_no_difference(has: str, declared: str, resize: int | None) -> None:
    declaration, findings = declare_lxc({"rootfs": {"size": declared}})
    change = compare(OPTIONS, {"rootfs": f"x:vm-101-disk-0,size={has}"}, declaration)
    assert (findings, change.findings, change.set) == ([], (), {})
    assert change.resize == ({} if resize is None else {"rootfs": resize})


@pytest.mark.parametrize(
    ("params", "option", "problem"),
    [
        ({"rootfs": {"volume": "x:other"}}, "rootfs.volume", "is not the one it has: local-lvm:vm-101-disk-0"),
        ({"rootfs": {"size": "4G"}}, "rootfs.size", "is smaller than the 8G it has"),
        ({"rootfs": {"storage": "other"}}, "rootfs.storage", "is not where it is: local-lvm:vm-101-disk-0"),
        ({"unprivileged": False}, "unprivileged", "cannot change on an existing guest"),
        ({"arch": "arm64"}, "arch", "cannot change on an existing guest"),
    ],
)
def test_what_cannot_change_in_place_is_reported_with_the_way_out(
    params: dict[str, t.Any], option: str, problem: str
) -> None:
    change = compared(**params)
    assert not change
    assert [(found.option, found.problem) for found in change.findings] == [(option, problem)]
    assert change.findings[0].remedy


SERVER = {
    "hostname": "web1",
    "mp0": "local-lvm:vm-101-disk-1,mp=/srv/a,size=8G",
    "mp1": "local-lvm:vm-101-disk-2,mp=/srv/b,size=4G",
    "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,tag=10,type=veth",
    "net1": "name=eth1,bridge=vmbr1,hwaddr=BC:24:11:00:00:02,ip=10.1.0.5/24,type=veth",
    "dev0": "/dev/net/tun",
    "dev1": "/dev/fuse,mode=0660",
    "rootfs": "local-lvm:vm-101-disk-0,size=8G",
}
DATA_A = {"mp": "/srv/a", "storage": "local-lvm", "size": "8G"}
DATA_B = {"mp": "/srv/b", "storage": "local-lvm", "size": "4G"}
WAN = {"bridge": "vmbr0", "tag": 10}
LAN = {"bridge": "vmbr1", "ip": "10.1.0.5/24"}


def serve(purge: bool = False, **params: t.Any) -> Change:
    declaration, findings = declare_lxc(params, null_paths(params))
    assert findings == []
    return compare(OPTIONS, SERVER, declaration, purge=purge)


@pytest.mark.parametrize(
    "params",
    [
        {"mount_points": [DATA_B]},
        {"mount_points": [DATA_B, DATA_A]},
        {"mount_points": [{**DATA_B, "mp": "/srv/b/"}]},
        {"networks": [LAN]},
        {"networks": [LAN, WAN]},
        {"networks": [{"name": "eth1", "ip": "10.1.0.5/24"}]},
        {"networks": [{"hwaddr": "bc:24:11:00:00:02"}]},
        {"devices": [{"path": "/dev/fuse", "mode": "0660"}]},
        {"mount_points": [{"mp": "/srv/c", "state": "absent"}], "devices": [{"path": "/dev/kvm", "state": "absent"}]},
    ],
)
def test_entries_are_known_by_what_they_are_whatever_their_place(params: dict[str, t.Any]) -> None:
    assert serve(**params) == Change()


@pytest.mark.parametrize(
    ("params", "options"),
    [
        ({"mount_points": [{"mp": "/srv/b", "ro": True}]}, {"mp1": "local-lvm:vm-101-disk-2,mp=/srv/b,ro=1,size=4G"}),
        ({"mount_points": [{**DATA_B, "mp": "/srv/c"}]}, {"mp2": "local-lvm:4,mp=/srv/c"}),
        ({"devices": [{"path": "/dev/kvm"}]}, {"dev2": "/dev/kvm"}),
        ({"networks": [WAN, {"bridge": "vmbr2"}, LAN]}, {"net2": "name=eth2,bridge=vmbr2"}),
        (
            {"networks": [{"name": "eth1", "tag": 30}]},
            {"net1": "name=eth1,bridge=vmbr1,hwaddr=BC:24:11:00:00:02,ip=10.1.0.5/24,tag=30,type=veth"},
        ),
        (
            {"networks": [{"id": 0, "name": "up0"}]},
            {"net0": "name=up0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,tag=10,type=veth"},
        ),
    ],
)
def test_a_change_reaches_the_entry_that_is_meant(params: dict[str, t.Any], options: dict[str, str]) -> None:
    assert serve(**params).set == options


@pytest.mark.parametrize(
    ("params", "deleted"),
    [
        ({"networks": [{"id": 1, "state": "absent"}]}, ("net1",)),
        ({"networks": [{"name": "eth1", "state": "absent"}, WAN]}, ("net1",)),
        ({"networks": [{"id": 1, "state": "absent"}, {"id": 7, "state": "absent"}]}, ("net1",)),
        ({"mount_points": [{"mp": "/srv/a", "state": "absent"}]}, ("mp0",)),
        ({"devices": [{"path": "/dev/fuse", "state": "absent"}]}, ("dev1",)),
    ],
)
def test_one_entry_can_be_removed_by_itself(params: dict[str, t.Any], deleted: tuple[str, ...]) -> None:
    change = serve(**params)
    assert (change.set, change.delete, change.findings) == ({}, deleted, ())


@pytest.mark.parametrize(
    ("params", "option", "problem"),
    [
        ({"networks": [{"bridge": "vmbr1", "tag": 5}]}, "networks[0].id", "the entry may mean net0 or net1"),
        ({"networks": [{"name": "up0", "bridge": "vmbr0"}]}, "networks[0].name", "net0, which is called eth0"),
    ],
)
def test_an_entry_in_doubt_is_asked_about(params: dict[str, t.Any], option: str, problem: str) -> None:
    (found,) = serve(**params).findings
    assert (found.option, problem in found.problem, bool(found.remedy)) == (option, True, True)


def test_a_root_volume_is_never_written_into_a_container_that_is_there() -> None:
    declaration, _problems = declare_lxc({"rootfs": {"storage": "x", "size": "4G"}})
    change = compare(OPTIONS, {"hostname": "web1"}, declaration)
    assert (change.set, change.findings[0].option) == ({}, "rootfs")


def test_what_is_to_go_and_to_stay_is_refused() -> None:
    (found,) = serve(networks=[{"id": 1, "tag": 5}, {"name": "eth1", "state": "absent"}]).findings
    assert (found.option, found.problem) == ("networks[1]", "is to be removed, and is also declared by networks[0]")


def test_an_entry_that_is_to_go_says_which_it_is() -> None:
    _declaration, (problem,) = declare_lxc({"networks": [{"bridge": "vmbr0", "state": "absent"}]})
    assert problem.option == "networks[0]"
    assert problem.remedy == "Name it by one of: id, name, hwaddr."


def held(pending: dict[str, str | None], **live: str) -> Held:
    options = {key: value for key, value in {**live, **pending}.items() if value is not None}
    return Held(options, live, pending)


@pytest.mark.parametrize(
    ("live", "pending", "params", "expected"),
    [
        ({}, {"tty": "4"}, {"tty": None}, {"revert": ("tty",)}),
        ({}, {"tty": "4"}, {"tty": 2}, {"revert": ("tty",)}),
        ({"tty": "3"}, {"tty": "4"}, {"tty": 3}, {"revert": ("tty",)}),
        ({"tty": "3"}, {"tty": "4"}, {"tty": None}, {"revert": ("tty",), "delete": ("tty",)}),
        ({"tty": "3"}, {"tty": "4"}, {"tty": 5}, {"set": {"tty": "5"}}),
        ({"tty": "3"}, {"tty": "4"}, {"tty": 4}, {}),
        ({"tty": "3"}, {"tty": None}, {"tty": 3}, {"revert": ("tty",)}),
        ({"tty": "3"}, {"tty": None}, {"tty": None}, {}),
        ({}, {"features": "nesting=1"}, {"features": {"nesting": False}}, {"revert": ("features",)}),
        (
            {"features": "nesting=1"},
            {"features": "keyctl=1,nesting=1"},
            {"features": {"keyctl": False}},
            {"revert": ("features",)},
        ),
        ({}, {"dev0": "/dev/kvm"}, {"devices": [{"id": 0, "state": "absent"}]}, {"revert": ("dev0",)}),
        ({}, {"nameserver": "1.1.1.1"}, {"nameserver": []}, {"revert": ("nameserver",)}),
    ],
)
def test_a_waiting_change_is_taken_back_where_the_guest_runs_with_what_is_wanted(
    live: dict[str, str], pending: dict[str, str | None], params: dict[str, t.Any], expected: dict[str, t.Any]
) -> None:
    declaration, findings = declare_lxc(params, null_paths(params))
    assert findings == []
    change = compare(OPTIONS, held(pending, **live), declaration)
    written = {"set": change.set, "delete": change.delete, "revert": change.revert}
    assert {name: value for name, value in written.items() if value} == expected
    assert change.restart == tuple(key for key in ("tty",) if key in change.set or key in change.delete)


def test_a_purge_takes_back_what_only_waits() -> None:
    change = compare(OPTIONS, held({"timezone": "host", "memory": "1024"}), Declaration(), purge=True)
    assert (change.revert, change.set, change.delete) == (("timezone", "memory"), {}, ())


@pytest.mark.parametrize(
    ("actual", "params", "options"),
    [
        (
            {"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,trunks=all;5,type=veth"},
            {"networks": [{"id": 0, "tag": 5}]},
            {"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,tag=5,trunks=all;5,type=veth"},
        ),
        (
            {"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,mtu=jumbo"},
            {"networks": [{"id": 0, "mtu": 1400}]},
            {"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,mtu=1400"},
        ),
    ],
)
def test_a_value_that_cannot_be_read_is_written_back_as_it_was(
    actual: dict[str, str], params: dict[str, t.Any], options: dict[str, str]
) -> None:
    declaration, _problems = declare_lxc(params)
    assert compare(OPTIONS, actual, declaration).set == options


def test_nothing_is_written_over_an_option_that_cannot_be_read() -> None:
    declaration, _problems = declare_lxc({"networks": [{"id": 0, "tag": 5}]})
    change = compare(OPTIONS, {"net0": "something new"}, declaration)
    assert not change
    assert "cannot be read: net0: something new" in change.findings[0].problem


@pytest.mark.parametrize(
    "params",
    [
        {"networks": [{"name": "eth0", "tag": 5}]},
        {"networks": [{"name": "eth0", "state": "absent"}]},
        {"mount_points": [{"mp": "/srv", "state": "absent"}]},
    ],
)
def test_of_two_entries_of_one_name_the_user_says_which_is_meant(params: dict[str, t.Any]) -> None:
    """PVE takes two network cards of one name and two volumes at one path."""
    twice = {
        "net1": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,type=veth",
        "net2": "name=eth0,bridge=vmbr1,hwaddr=BC:24:11:00:00:02,type=veth",
        "mp1": "x:vm-101-disk-1,mp=/srv,size=1G",
        "mp2": "x:vm-101-disk-2,mp=/srv,size=1G",
    }
    declaration, _problems = declare_lxc(params)
    (problem,) = compare(OPTIONS, twice, declaration).findings
    assert problem.option.endswith("[0].id")
    assert problem.problem.startswith("is missing: the entry may mean ")


@pytest.mark.parametrize(
    ("params", "restart"),
    [
        ({"memory": 2048, "cores": 4, "tags": [], "onboot": False}, ()),
        ({"features": {"keyctl": True}}, ("features",)),
        ({"networks": [{"bridge": "vmbr1"}]}, ()),
        ({"mount_points": [{"id": 1, "storage": "local-lvm", "size": 1, "mp": "/x"}]}, ()),
        ({"mount_points": [{"id": 0, "mp": "/elsewhere"}]}, ("mp0",)),
        ({"nameserver": ["1.1.1.1"]}, ("nameserver",)),
        ({"features": None}, ("features",)),
    ],
)
def test_what_a_running_container_takes_only_at_its_next_start(
    params: dict[str, t.Any], restart: tuple[str, ...]
) -> None:
    assert compared(**params).restart == restart


def test_before_and_after_hold_only_what_changes() -> None:
    change = compared(memory=2048, cores=2, tags=["web"])
    assert change.before == {"memory": 1024, "tags": ["home", "web"]}
    assert change.after == {"memory": 2048, "tags": ["web"]}


# Any two declarations: bring a guest to the first, then to the second; a third comparison finds nothing left to do.
networks = st.lists(
    st.fixed_dictionaries(
        {"bridge": st.sampled_from(["vmbr0", "vmbr1"])},
        optional={
            "tag": st.one_of(st.none(), st.integers(1, 4094)),
            "ip": st.sampled_from(["dhcp", "manual"]),
            "mtu": st.integers(576, 1500),
            "firewall": st.booleans(),
        },
    ),
    max_size=3,
)
declarations = st.fixed_dictionaries(
    {},
    optional={
        "memory": st.one_of(st.none(), st.integers(16, 4096)),
        "cores": st.one_of(st.none(), st.integers(1, 8)),
        "cpulimit": st.sampled_from([0, 0.5, 2]),
        "onboot": st.one_of(st.none(), st.booleans()),
        "tags": st.lists(st.sampled_from(["a", "B", "c"]), max_size=3),
        "description": st.sampled_from(["", "one", "two\nlines\n"]),
        "features": st.fixed_dictionaries({}, optional={"nesting": st.booleans(), "fuse": st.booleans()}),
        "networks": networks,
        "startup": st.fixed_dictionaries({}, optional={"order": st.integers(0, 9), "up": st.integers(0, 9)}),
        "nameserver": st.lists(st.sampled_from(["1.1.1.1", "9.9.9.9", "fd00::1"]), min_size=1, max_size=2),
    },
)


def apply(actual: dict[str, str], change: Change) -> dict[str, str]:
    kept = {key: value for key, value in actual.items() if key not in change.delete}
    return {**kept, **change.set}


@given(declarations, declarations, st.booleans())
def test_a_second_run_changes_nothing(first: dict[str, t.Any], second: dict[str, t.Any], purge: bool) -> None:
    actual = dict(ACTUAL)
    for params in (first, second):
        declaration, findings = declare_lxc(params, null_paths(params))
        assert findings == []
        actual = apply(actual, compare(OPTIONS, actual, declaration, purge=purge))
        assert not compare(OPTIONS, actual, declaration, purge=purge)
    assert actual["rootfs"] == ACTUAL["rootfs"]


@given(declarations)
def test_what_was_created_from_a_declaration_is_as_declared(params: dict[str, t.Any]) -> None:
    declaration, _problems = declare_lxc(params, null_paths(params))
    created = render(OPTIONS, declaration)
    assert not compare(OPTIONS, created, declaration)


# Whatever PVE holds: the config that a result shows, declared, changes nothing.
KEPT: dict[str, st.SearchStrategy[str]] = {
    "hostname": st.sampled_from(["web1", "web1.example.org"]),
    "ostype": st.sampled_from(["debian", "unmanaged"]),
    "arch": st.just("amd64"),
    "unprivileged": st.sampled_from(["0", "1"]),
    "cores": st.integers(1, 8).map(str),
    "cpulimit": st.sampled_from(["0", "1.5", "2"]),
    "cpuunits": st.sampled_from(["0", "100", "50000"]),
    "memory": st.integers(16, 4096).map(str),
    "swap": st.sampled_from(["0", "512"]),
    "rootfs": st.sampled_from(
        [
            "local-lvm:vm-101-disk-0,size=8G",
            "x:subvol-101-disk-0,acl=1,mountoptions=noatime;discard,quota=1,size=1153434K",
        ]
    ),
    "mp0": st.sampled_from(
        ["x:vm-101-disk-1,mp=/srv/data,backup=1,size=8G", "/srv,mp=/mnt/srv,ro=1", "/a,mp=/a,new=1"]
    ),
    "mp7": st.sampled_from(["x:vm-101-disk-2,mp=/srv/b/,replicate=0,shared=1,keepattrs=1,size=102707K"]),
    "net0": st.sampled_from(
        [
            "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=dhcp,type=veth",
            "name=eth0,bridge=vmbr0,firewall=1,gw=10.0.0.1,host-managed=1,hwaddr=BC:24:11:00:00:01,ip=10.0.0.5/24"
            ",link_down=1,mtu=1400,rate=1.5,tag=5,trunks=3;2;7,type=veth",
            "name=eth0,gw6=fe80::1,hwaddr=BC:24:11:00:00:01,ip=manual,ip6=FD00::5/64,new=1",
        ]
    ),
    "net3": st.just("name=up,bridge=vmbr1,hwaddr=BC:24:11:00:00:02,ip6=auto"),
    "dev0": st.sampled_from(["/dev/kvm", "path=/dev/net/tun,mode=660,uid=5", "/dev/fuse,deny-write=1,gid=7"]),
    "nameserver": st.sampled_from(["1.1.1.1", "1.1.1.1 fe80::1%eth0", "FD00::1,9.9.9.9"]),
    "searchdomain": st.sampled_from(["example.org", "a.example b.example"]),
    "features": st.sampled_from(["nesting=1", "fuse=1,keyctl=1,mount=nfs;cifs", "force_rw_sys=1,mknod=1"]),
    "onboot": st.sampled_from(["0", "1"]),
    "startup": st.sampled_from(["order=3", "3", "order=3,up=10,down=20"]),
    "protection": st.sampled_from(["0", "1"]),
    "tags": st.sampled_from(["a", "b;a"]),
    "description": st.sampled_from(["one", "two\nlines\n"]),
    "timezone": st.sampled_from(["host", "Europe/Berlin"]),
    "hookscript": st.just("local:snippets/a.sh"),
    "console": st.sampled_from(["0", "1"]),
    "cmode": st.sampled_from(["tty", "shell"]),
    "tty": st.integers(0, 6).map(str),
    "debug": st.sampled_from(["0", "1"]),
    "entrypoint": st.just("/sbin/init --now"),
    "env": st.just("A=1"),
    "lxc": st.just("lxc.apparmor.profile: unconfined\nlxc.cap.drop: sys_time"),
    "lock": st.just("backup"),
    "unused0": st.just("x:vm-101-disk-9"),
}


@given(st.fixed_dictionaries({}, optional=KEPT))
def test_what_a_result_shows_can_be_declared_and_changes_nothing(actual: dict[str, str]) -> None:
    shown = json.loads(json.dumps(typed(OPTIONS, actual)))
    declaration, findings = declare_lxc(shown, null_paths(shown))
    assert findings == []
    assert compare(OPTIONS, actual, declaration) == Change()
    assert unmanaged(OPTIONS, actual).keys() == actual.keys() & {"lock", "unused0"}
    assert "env" not in shown


def test_every_option_is_among_those_of_the_property_above() -> None:
    assert {option.key for option in OPTIONS} <= {key.rstrip("0123456789") for key in KEPT}


# Any two declarations with lists: what a guest is brought to is as declared, and nobody else's entry has changed.
mounts = st.lists(
    st.fixed_dictionaries(
        {"mp": st.sampled_from(["/a", "/b", "/c"]), "storage": st.just("x"), "size": st.just("1G")},
        optional={"ro": st.booleans(), "backup": st.booleans()},
    ),
    max_size=3,
    unique_by=lambda entry: entry["mp"],
)
cards = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["eth0", "eth1", "lan", "wan"]), "bridge": st.sampled_from(["vmbr0", "vmbr1"])},
        optional={"tag": st.sampled_from([None, 5, 6]), "mtu": st.sampled_from([1400, 1500])},
    ),
    max_size=3,
    unique_by=lambda entry: entry["name"],
)


@given(mounts, mounts, cards, cards)
def test_a_volume_stays_at_its_path_whatever_the_order(
    first: list[t.Any], second: list[t.Any], one: list[t.Any], two: list[t.Any]
) -> None:
    actual: dict[str, str] = {}
    for number, params in enumerate(
        ({"mount_points": first, "networks": one}, {"mount_points": second, "networks": two})
    ):
        before = homes(actual)
        declaration, findings = declare_lxc(params, null_paths(params))
        assert findings == []
        change = compare(OPTIONS, actual, declaration)
        if change.findings:
            return
        made = {key: text.replace("x:1,", f"x:vm-101-disk-{number}{key},") for key, text in change.set.items()}
        actual = {**actual, **made}
        assert not compare(OPTIONS, actual, declaration)
        assert before.items() <= homes(actual).items()
        assert {entry["mp"] for entry in params["mount_points"]} <= homes(actual).keys()


def homes(actual: dict[str, str]) -> dict[str, str]:
    """The volume at each path."""
    mounted = typed(OPTIONS, actual).get("mount_points", [])
    return {entry["mp"]: entry["volume"] for entry in mounted}
