# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role asks about declared guests, without a node."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.filter.guests import (
    capacity,
    findings,
    guest_results,
    missing_templates,
    new_guests,
    storage_findings,
    verdict,
    with_defaults,
)

Guest = dict[str, t.Any]

GIB = 1024**3
ALPINE = "local:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz"


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


@pytest.mark.parametrize(
    "guests",
    [
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
    assert findings(guests) == []


@pytest.mark.parametrize(
    ("guests", "found"),
    [
        ([{"type": "lxc"}], ["guest number 1: has no name."]),
        ([{"name": "web1"}], ["web1: type: None is none of "]),
        ([lxc(type="jail")], ["web1: type: 'jail' is none of lxc"]),
        ([lxc(hostname="web2")], ["web1: hostname: 'web2' is another name"]),
        ([lxc(memroy=1)], ["web1: memroy: is not an option"]),
        ([lxc(api_host="pve")], ["web1: api_host: is not an option"]),
        ([lxc(networks=[{"brdige": "vmbr0"}])], ["web1: networks.brdige: is not an option"]),
        ([lxc(memroy=1, tags=["b!"])], ["web1: memroy: is not an option", "web1: tags[0]: "]),
        ([lxc(memory="lots")], ["'lots'"]),
        ([lxc(state="up")], ["web1: value of state must be one of"]),
        ([lxc(networks="vmbr0")], ["web1: "]),
        ([lxc(ostemplate="a", clone_from={"vmid": 1})], ["mutually exclusive: ostemplate|clone_from"]),
        ([lxc(name="a_b")], ["a_b: hostname: 'a_b' is not a valid DNS name"]),
        ([lxc(ssh_public_keys=["x"])], ["web1: ssh_public_keys[0]: 'x' is not an SSH public key"]),
        ([lxc(), lxc()], ["name web1 is declared more than once: web1, web1."]),
        ([lxc(vmid=101), lxc(name="b", vmid="101")], ["vmid 101 is declared more than once: web1, b."]),
        (
            [lxc(networks=[NET]), lxc(name="b", networks=[{**NET, "ip": "10.0.0.5/16"}])],
            ["address 10.0.0.5 on vmbr0 is declared more than once: web1, b."],
        ),
        (
            [lxc(networks=[{"hwaddr": MAC}]), lxc(name="b", networks=[{"hwaddr": MAC.lower()}])],
            [f"hwaddr {MAC} is declared more than once: web1, b."],
        ),
    ],
)
def test_each_fault_is_found_and_said_by_name(guests: list[Guest], found: list[str]) -> None:
    told = findings(guests)
    assert len(told) >= len(found)
    for words in found:
        assert any(words in line for line in told), told


def test_a_password_is_never_told() -> None:
    told = findings([lxc(password="abc"), lxc(name="b", password="line\nbreak")])
    assert len(told) == 2
    assert not any("abc" in line or "break\n" in line or "'line" in line for line in told)


# -- against a node ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("guest", "is_new"),
    [
        (lxc(), False),
        (lxc(name="web2"), True),
        (lxc(name="web2", vmid=101), False),
        (lxc(vmid=102), True),
        (lxc(name="web2", state="absent"), False),
    ],
)
def test_new_guests_are_those_that_no_number_or_name_tells(guest: Guest, is_new: bool) -> None:
    assert bool(new_guests([guest], [{"vmid": 101, "name": "web1"}])) == is_new


@pytest.mark.parametrize(
    ("template", "missing"),
    [
        (ALPINE, []),
        ("alpine-3.22-default", []),
        ("alpine", []),
        ("/srv/own.tar.gz", []),
        ("debian-13-standard", ["debian-13-standard"]),
        ("local:vztmpl/other.tar.gz", ["local:vztmpl/other.tar.gz"]),
    ],
)
def test_missing_templates(template: str, missing: list[str]) -> None:
    assert missing_templates([lxc(ostemplate=template), lxc()], [ALPINE]) == missing


def storage(name: str, kind: str, free: int, *content: str) -> Guest:
    entry = {"name": name, "type": kind, "content": list(content), "active": True, "enabled": True, "shared": False}
    return {**entry, "total": 100 * GIB, "available": free * GIB, "used": (100 - free) * GIB}


STORAGES = [
    storage("lvm", "lvm", 10, "rootdir"),
    storage("thin", "lvmthin", 10, "rootdir"),
    storage("local", "dir", 90, "vztmpl"),
]


@pytest.mark.parametrize(
    ("guests", "found"),
    [
        ([lxc()], []),
        ([lxc(rootfs={"storage": "lvm", "size": 10})], []),
        ([lxc(rootfs={"storage": "lvm", "size": "11G"})], ["10.0 GiB free, 11.0 GiB are asked for"]),
        ([lxc(rootfs={"storage": "lvm"}), lxc(name="b", rootfs={"storage": "lvm", "size": 7})], ["web1, b: 'lvm' has"]),
        (
            [lxc(rootfs={"storage": "lvm", "size": 6}, mount_points=[{"storage": "lvm", "size": 5}, {"bind": "/srv"}])],
            ["11.0 GiB are asked for"],
        ),
        ([lxc(rootfs={"storage": "thin", "size": 500})], []),
        ([lxc(rootfs={"storage": "local"})], ["takes no containers"]),
        ([lxc(rootfs={"storage": "tank"})], ["does not exist"]),
    ],
)
def test_storages_have_room_for_all_new_guests_together(guests: list[Guest], found: list[str]) -> None:
    told = storage_findings(guests, STORAGES)
    assert [words in line for words, line in zip(found, told, strict=True)] == [True] * len(found)


def test_capacity_is_a_line_for_each_storage() -> None:
    off = {**STORAGES[2], "total": None, "available": None}
    assert capacity([STORAGES[0], off]) == [
        "lvm (lvm, rootdir): 10.0 of 100.0 GiB free",
        "local (dir, vztmpl): not active",
    ]


# -- results -----------------------------------------------------------------------------------------------------------
V4 = {"interface": "eth0", "address": "10.0.0.5", "family": "ipv4"}
V6 = {"interface": "eth0", "address": "fd00::5", "family": "ipv6"}


@pytest.mark.parametrize(
    ("guest", "result", "failed", "address"),
    [
        (lxc(), {"status": "stopped"}, [], ""),
        (lxc(state="started"), {"status": "running"}, [], ""),
        (lxc(state="started"), {"status": "stopped"}, ["state"], ""),
        (lxc(state="stopped"), {"status": "running"}, ["state"], ""),
        (lxc(state="absent"), {"status": "absent"}, [], ""),
        (lxc(state="started", networks=[NET]), {"status": "running", "addresses": [V6, V4]}, [], "10.0.0.5"),
        (lxc(state="started", networks=[NET]), {"status": "running", "addresses": [V6]}, ["address"], "fd00::5"),
        (lxc(state="started", networks=[{"ip": "dhcp"}]), {"status": "running", "addresses": []}, ["address"], ""),
        (lxc(state="started", networks=[{"ip": None}]), {"status": "running", "addresses": []}, [], ""),
        (lxc(networks=[NET]), {"status": "stopped", "addresses": []}, [], ""),
    ],
)
def test_a_result_says_what_is_not_as_declared(guest: Guest, result: Guest, failed: list[str], address: str) -> None:
    (row,) = guest_results(
        [{"provision_name": guest["name"], "vmid": 101, "node": "pve1", "changed": True, **result}],
        {guest["name"]: guest},
    )
    assert (row["failed_checks"], row["address"]) == (failed, address)
    assert (row["vmid"], row["name"], row["type"], row["node"], row["changed"]) == (101, "web1", "lxc", "pve1", True)
    assert all(f"{name} FAILED" in row["checks"] for name in failed)


DECLARED = {**V4, "source": "declared"}
SEEN = {**V4, "source": "guest"}
RUNNING: Guest = {"status": "running", "vmid": 101, "node": "pve1"}


@pytest.mark.parametrize(
    ("result", "checks", "said"),
    [
        ({"addresses": [SEEN]}, "state ok, address ok", ""),
        ({"addresses": [DECLARED]}, "state ok, address declared, not verified", "address declared, not verified"),
        ({"addresses": [DECLARED, {**SEEN, "address": "10.0.0.6"}]}, "state ok, address declared, not verified",
         "address declared, not verified"),
        ({"addresses": [SEEN], "pending": {"net0": "x", "hostname": "y"}},
         "state ok, address ok, waits for a restart (hostname, net0)", "waits for a restart (hostname, net0)"),
        ({"addresses": [SEEN], "openwrt": {"drift": "unknown"}}, "state ok, address ok, configuration not seen",
         "configuration not seen"),
        ({"addresses": [SEEN], "openwrt": {"drift": "present"}}, "state ok, address ok, configuration differs",
         "configuration differs"),
        ({"addresses": [SEEN], "openwrt": {"drift": "none"}, "pending": {}}, "state ok, address ok", ""),
    ],
)  # fmt: skip
def test_what_nobody_has_seen_is_told_as_that(result: Guest, checks: str, said: str) -> None:
    guest = lxc(state="started", networks=[NET])
    (row,) = guest_results([{"provision_name": "web1", **RUNNING, **result}], {"web1": guest})
    assert row["checks"] == checks
    assert row["failed_checks"] == []
    sure = {**row, "name": "web2", "unverified_checks": [], "notes": []}
    if said:
        assert verdict([row, sure]) == f"1 of 2 guests are as declared. The others:\nweb1: {said}"
    else:
        assert verdict([row, sure]) == "2 guests are as declared."


def test_the_main_address_tells_its_source() -> None:
    guest = lxc(state="started", networks=[NET])
    (row,) = guest_results([{"provision_name": "web1", **RUNNING, "addresses": [SEEN]}], {"web1": guest})
    assert (row["address"], row["address_source"]) == ("10.0.0.5", "guest")
