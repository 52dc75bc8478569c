# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node has for new guests."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from conftest import Bench


def test_it_reports_what_new_guests_can_be_made_from_and_the_next_number(bench: Bench) -> None:
    told = bench.good("node_info", gather=["offered", "images", "next_vmid", "guests"])
    assert "debian-13-standard" in [each["package"] for each in told.offered]
    assert {frozenset(each) for each in told.offered} == {frozenset({"package", "version", "arch"})}
    assert all(":import/" in volid for volid in told.images)
    assert told.next_vmid == 100
    made = bench.good("vm_create", name="vm1", state="present", cores=1, memory=128)
    assert made.vmid == told.next_vmid
    assert bench.good("node_info", gather=["next_vmid"]).next_vmid == 101


def test_they_are_reported_only_when_they_are_asked_for(bench: Bench) -> None:
    assert {"offered", "images", "next_vmid"}.isdisjoint(bench.good("node_info").values)
