# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role makes of the results."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.filter.guests import (
    capacity,
    guest_results,
    verdict,
)

Guest = dict[str, t.Any]

NET: Guest = {"bridge": "vmbr0", "ip": "10.0.0.5/24"}


def lxc(**options: t.Any) -> Guest:
    return {"name": "web1", "type": "lxc", **options}


def test_capacity_is_a_line_for_each_storage() -> None:
    gib = 1024**3
    storage = {"name": "lvm", "type": "lvm", "content": ["rootdir"], "total": 100 * gib, "available": 10 * gib}
    off = {**storage, "name": "local", "type": "dir", "content": ["vztmpl", "iso"], "total": None, "available": None}
    assert capacity([storage, off]) == [
        "lvm (lvm, rootdir): 10.0 of 100.0 GiB free",
        "local (dir, iso, vztmpl): not active",
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
        (lxc(state="template"), {"status": "stopped"}, [], ""),
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
        [{"name": guest["name"], "vmid": 101, "node": "pve1", "changed": True, **result}],
        [guest],
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
    (row,) = guest_results([{"name": "web1", **RUNNING, **result}], [guest])
    assert row["checks"] == checks
    assert row["failed_checks"] == []
    sure = {**row, "name": "web2", "unverified_checks": [], "notes": []}
    if said:
        assert verdict([row, sure]) == f"1 of 2 guests are as declared. The others:\nweb1: {said}"
    else:
        assert verdict([row, sure]) == "2 guests are as declared."


def test_the_main_address_tells_its_source() -> None:
    guest = lxc(state="started", networks=[NET])
    (row,) = guest_results([{"name": "web1", **RUNNING, "addresses": [SEEN]}], [guest])
    assert (row["address"], row["address_source"]) == ("10.0.0.5", "guest")
