# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of declared guests, read without a node."""

from __future__ import annotations

import copy
import types
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.declaration import pruned, read_declaration
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES, split_defaults, with_defaults
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, GuestRef

Guest = dict[str, t.Any]


def lxc(**options: t.Any) -> Guest:
    return {"name": "web1", "type": "lxc", **options}


# -- defaults ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("guest", "defaults", "result"),
    [
        (lxc(), {"cores": 2}, lxc(cores=2)),
        (lxc(cores=1), {"cores": 2}, lxc(cores=1)),
        (lxc(cores=None), {"cores": 2}, lxc(cores=None)),
        (lxc(rootfs={"size": 8}), {"rootfs": {"storage": "a"}}, lxc(rootfs={"storage": "a", "size": 8})),
        (lxc(tags=["db"]), {"tags": ["home"]}, lxc(tags=["db"])),
        ({"name": "web1"}, {"type": "lxc"}, lxc()),
        ({"hostname": "web1", "type": "lxc"}, {}, lxc()),
        (lxc(hostname="web1"), {}, lxc()),
        (lxc(hostname="other"), {}, lxc(hostname="other")),
        ({"name": "gw", "type": "openwrt_lxc"}, {"features": {"nesting": True}}, {"name": "gw", "type": "openwrt_lxc"}),
        (lxc(), {"memroy": 1}, lxc(memroy=1)),
        (lxc(clone_from={"name": "a"}), {"ostemplate": "b"}, lxc(clone_from={"name": "a"})),
        (lxc(), {"interfaces": {}}, lxc()),
    ],
)
def test_defaults_hold_for_what_a_guest_does_not_say(guest: Guest, defaults: Guest, result: Guest) -> None:
    given = copy.deepcopy((guest, defaults))
    assert with_defaults([guest], defaults) == [result]
    assert (guest, defaults) == given


# -- findings ----------------------------------------------------------------------------------------------------------
MAC = "BC:24:11:00:00:01"
NET: Guest = {"bridge": "vmbr0", "ip": "10.0.0.5/24"}


def vm(name: str, address: str, **more: t.Any) -> Guest:
    return {
        "name": name,
        "type": "vm",
        "networks": [{"bridge": "vmbr0"}],
        "cloud_init": {"ip": [{"ip": address}]},
        **more,
    }


def router(name: str, address: t.Any, kind: str = "openwrt_lxc") -> Guest:
    return {"name": name, "type": kind, "interfaces": {"lan": {"bridge": "vmbr0", "address": address}, "wan": 5}}


NET6: Guest = {"bridge": "vmbr0", "ip6": "fd00::1/64"}


@pytest.mark.parametrize(
    "guests",
    [
        [lxc(networks=[NET], vmid=101, state="absent"), lxc(name="web2", networks=[NET], vmid=101)],
        [vm("a", "10.0.0.5/24"), vm("b", "10.0.0.5/24", networks=[{"bridge": "vmbr0", "tag": 5}])],
        [vm("a", "dhcp"), vm("b", "dhcp")],
        [router("a", ["10.0.0.5/24", "fd00::1/64"]), router("b", "10.0.0.6/24")],
        [],
        [lxc()],
        [lxc(memory="1024", cores="2", onboot="yes", rootfs={"size": "8G"}, tags="a,b")],
        [lxc(networks=[NET]), lxc(name="web2", networks=[{**NET, "tag": 20}])],
        [lxc(networks=[NET]), lxc(name="web2", networks=[{**NET, "bridge": "vmbr1"}])],
        [lxc(networks=[{**NET, "ip": None}], cores=None)],
        [lxc(vmid=101), lxc(name="web2", vmid=102)],
    ],
)
def test_nothing_is_found_where_nothing_is_wrong(guests: list[Guest]) -> None:
    assert read_declaration(guests).findings == []


@pytest.mark.parametrize(
    ("guests", "found"),
    [
        ([{"type": "lxc"}], ["guests[0]: has no name"]),
        ([{"name": "web1"}], ["web1: type: is not a type of guest"]),
        ([lxc(type="jail")], ["web1: type: 'jail' is not a type of guest"]),
        ([lxc(hostname="web2")], ["web1: hostname: 'web2' differs from"]),
        ([lxc(memroy=1)], ["web1: memroy: is not an option. Did you mean memory?"]),
        ([lxc(api_host="pve")], ["web1: api_host: is not an option"]),
        ([lxc(networks=[{"brdige": "vmbr0"}])], ["web1: networks[0].brdige: is not an option. Did you mean bridge?"]),
        ([lxc(memroy=1, cores="many")], ["web1: memroy: is not an option", "web1: cores: 'many'"]),
        ([lxc(nod="pve1")], ["web1: nod: is not an option. Did you mean node?"]),
        ([lxc(aftr=["a"])], ["web1: aftr: is not an option. Did you mean after?"]),
        ([lxc(networks=[NET, {"mtu": "big"}])], ["web1: networks[1].mtu: 'big' argument 'mtu' is of type"]),
        ([lxc(rootfs={"size": 8, "quota": "x"})], ["web1: rootfs.quota: 'x' argument 'quota' is of type"]),
        ([lxc(networks=[NET, 5])], ["networks[1]: 5 is of type int, but has to be a dictionary"]),
        ([lxc(memory="lots")], ["'lots'"]),
        ([lxc(state="up")], ["web1: state: 'up' value of state must be one of"]),
        ([lxc(networks="vmbr0")], ["web1: "]),
        ([lxc(ostemplate="a", clone_from={"vmid": 1})], ["mutually exclusive: ostemplate|clone_from"]),
        ([lxc(vmid=[1])], ["web1: vmid: [1] "]),
        ([lxc(tags={"a": 1})], ["web1: tags: {'a': 1} "]),
        ([lxc(name=["a"])], ["guests[0]: name: ['a'] "]),
        ([lxc(type=["lxc"])], ["web1: type: ['lxc'] is not a type of guest"]),
        ([lxc(after={"a": 1})], ["web1: after: {'a': 1} "]),
        ([lxc(hostname="web2", memroy=1)], ["web1: hostname: 'web2' differs from", "web1: memroy: "]),
        ([{"type": "lxc", "memroy": 1}], ["guests[0]: has no name", "guests[0]: memroy: "]),
        ([lxc(), lxc()], ["name: 'web1' is declared more than once: web1, web1"]),
        ([lxc(vmid=101), lxc(name="b", vmid="101")], ["vmid: '101' is declared more than once: web1, b"]),
        (
            [lxc(networks=[NET]), lxc(name="b", networks=[{**NET, "ip": "10.0.0.5/16"}])],
            ["address: '10.0.0.5 on vmbr0' is declared more than once: web1, b"],
        ),
        (
            [lxc(networks=[NET6]), lxc(name="b", networks=[{**NET6, "ip6": "FD00:0::1/64"}])],
            ["address: 'fd00::1 on vmbr0' is declared more than once: web1, b"],
        ),
        (
            [vm("a", "10.0.0.5/24"), vm("b", "10.0.0.5/16"), lxc(networks=[NET]), router("gw", "10.0.0.5/24")],
            ["address: '10.0.0.5 on vmbr0' is declared more than once: a, b, web1, gw"],
        ),
        (
            [router("a", "10.0.0.1/24"), router("b", ["10.0.0.2/24", "10.0.0.1/24"], "openwrt_vm")],
            ["address: '10.0.0.1 on vmbr0' is declared more than once: a, b"],
        ),
        (
            [lxc(networks=[{"hwaddr": MAC}]), lxc(name="b", networks=[{"hwaddr": MAC.lower()}])],
            [f"hwaddr: '{MAC}' is declared more than once: web1, b"],
        ),
    ],
)
def test_each_fault_is_found_and_said_by_name(guests: list[Guest], found: list[str]) -> None:
    told = [str(finding) for finding in read_declaration(guests).findings]
    assert len(told) >= len(found)
    for words in found:
        assert any(words in line for line in told), told


def test_a_wrong_entry_hides_nothing_of_the_others() -> None:
    """What is right of an option goes on to be checked."""
    wrong = lxc(networks=[{"bridge": "vmbr9", "mtu": "big"}, NET], rootfs={"storage": "nowhere", "quota": "x"})
    (guest,) = read_declaration([wrong]).options
    assert [net["bridge"] for net in guest["networks"]] == ["vmbr9", "vmbr0"]
    assert guest["rootfs"]["storage"] == "nowhere"


@pytest.mark.parametrize(
    "wrong",
    [
        {"pasword": "hunter2"},
        {"pasword": {"is": "hunter2"}},
        {"cloud_init": {"pasword": "hunter2"}},
        {"cloud_init": {"password": ["hunter2"]}},
        {"haos": {"mqtt": [{"pasword": "hunter2"}], "ssh_keys": "hunter2"}},
    ],
)
def test_no_finding_about_what_is_no_option_tells_a_value(wrong: Guest) -> None:
    """Under a name that nothing has, nobody knows what is secret."""
    findings = read_declaration([{"name": "vm1", "type": "vm", **wrong}]).findings
    assert "hunter2" not in str([str(finding) for finding in findings if "is not an option" in str(finding)])


def test_what_no_guest_has_is_reported_once_of_the_defaults() -> None:
    good, (finding,) = split_defaults({"memroy": 1, "type": "lxc", "interfaces": {}, "node": "auto", "after": ["a"]})
    assert str(finding) == "defaults: memroy: is not an option. Did you mean memory?"
    assert good == {"type": "lxc", "interfaces": {}, "node": "auto", "after": ["a"]}


def test_options_have_their_types_before_anything_reads_them() -> None:
    """In templates numbers are texts before ansible-core 2.19, and lists are often written as texts."""
    given = lxc(vmid="101", tags="a,b", after="db1,db2", migrate="yes", clone_from={"vmid": "100"}, name=5)
    (guest,) = read_declaration([given]).options
    told = {key: guest[key] for key in ("name", "vmid", "tags", "after", "migrate")}
    assert told == {"name": "5", "vmid": 101, "tags": ["a", "b"], "after": ["db1", "db2"], "migrate": True}
    assert guest["clone_from"]["vmid"] == 100


def test_an_option_that_no_check_has_is_reported_once() -> None:
    checks = [{"type": "tcp", "port": 80, "prot": 1}, {"type": "ping", "port": 3}]
    checked = TYPES["lxc"].check({"hostname": "web1", "checks": checks})
    wanted, _parts = TYPES["lxc"].read(checked.values, checked.nulls)
    assert [str(finding) for finding in (*checked.findings, *wanted.findings)] == [
        "checks[0].prot: is not an option. Did you mean port?",
        "checks[1].port: 3 is not an option of a check of type ping. It has address.",
    ]


# -- pruning -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("declared", "removed"),
    [
        ({"type": "openwrt_vm"}, ["db"]),
        ({"type": "openwrt_lxc", "rollback_keep": True}, ["db"]),
        ({"type": "openwrt_vm", "rollback_keep": False}, ["gw-rollback", "db"]),
        ({"type": "vm"}, ["gw-rollback", "db"]),
    ],
)
def test_what_was_a_router_before_its_upgrade_is_not_pruned_as_long_as_it_is_to_be_kept(
    declared: Guest, removed: list[str]
) -> None:
    names = {100: "gw", 101: "gw-rollback", 102: "db"}
    refs = [GuestRef(vmid, "qemu", "pve1", name) for vmid, name in names.items()]
    config = GuestConfig({"tags": "ours"}, {"tags": "ours"})
    view = types.SimpleNamespace(config=lambda _kind, _vmid: config, configs=lambda refs: [(r, config) for r in refs])
    cluster: t.Any = types.SimpleNamespace(on=lambda _node: view, own=types.SimpleNamespace(name="pve1"))
    locations: t.Any = types.SimpleNamespace(here=lambda: refs)
    assert [member.name for member in pruned(locations, cluster, [{"name": "gw", **declared}], "ours")] == removed
