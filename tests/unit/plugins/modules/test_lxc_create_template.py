# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that are turned into templates, the same on the node and over the API."""

from __future__ import annotations

import typing as t

import pytest

from .conftest import Bench, steps

Params = dict[str, t.Any]

GOLDEN: Params = {
    "vmid": 110,
    "hostname": "golden",
    "ostemplate": "alpine-3.22-default",
    "rootfs": {"storage": "local-lvm", "size": "1G"},
}


def test_a_new_container_becomes_a_template_and_is_then_left_alone(bench: Bench) -> None:
    predicted = bench.good("lxc_create", check=True, **GOLDEN, state="template")
    made = bench.good("lxc_create", **GOLDEN, state="template")
    assert predicted.plan == made.plan
    assert predicted.diff == made.diff
    assert steps(made) == ["create", "make_template"]
    assert (made.status, bench.config(110)["template"]) == ("stopped", "1")
    assert bench.config(110)["rootfs"].startswith("local-lvm:base-110-disk-0")
    bench.node.forget()
    again = bench.good("lxc_create", **GOLDEN, state="template")
    assert (again.changed, again.plan) == (False, [])
    assert bench.writes() == []


def test_a_running_container_is_shut_down_first(bench: Bench) -> None:
    bench.good("lxc_create", **GOLDEN, state="started")
    predicted = bench.good("lxc_create", check=True, **GOLDEN, state="template", memory=256)
    assert bench.config(110).get("template") is None
    made = bench.good("lxc_create", **GOLDEN, state="template", memory=256)
    assert steps(made) == ["shutdown", "set", "make_template"]
    assert predicted.plan == made.plan
    assert (bench.config(110)["memory"], bench.config(110)["template"]) == ("256", "1")


def test_the_options_of_a_template_are_still_changed(bench: Bench) -> None:
    bench.good("lxc_create", **GOLDEN, state="template")
    changed = bench.good("lxc_create", **GOLDEN, state="template", tags=["golden"], memory=256)
    assert steps(changed) == ["set"]
    assert bench.config(110)["tags"] == "golden"
    assert not bench.good("lxc_create", **GOLDEN, tags=["golden"], memory=256).changed


@pytest.mark.parametrize("state", ["started", "restarted"])
def test_a_template_is_not_started(bench: Bench, state: str) -> None:
    bench.good("lxc_create", **GOLDEN, state="template")
    refused = bench.bad("lxc_create", **GOLDEN, state=state)
    assert [(finding["option"], finding["value"]) for finding in refused.findings] == [("state", state)]
    assert "is a template" in refused.msg


def test_what_cannot_be_in_a_template_is_reported_before_anything_is_written(bench: Bench) -> None:
    bound = {**GOLDEN, "mount_points": [{"bind": str(bench.node.root / "srv"), "mp": "/srv"}]}
    (bench.node.root / "srv").mkdir(exist_ok=True)
    refused = bench.bad("lxc_create", **bound, state="template")
    assert [finding["option"] for finding in refused.findings] == ["mount_points[0]"]
    assert not bench.exists(110)


def test_snapshots_stand_against_it(bench: Bench) -> None:
    bench.good("lxc_create", **GOLDEN)
    bench.pct("snapshot", "110", "before")
    refused = bench.bad("lxc_create", **GOLDEN, state="template")
    assert "has snapshots (before)" in refused.msg
    bench.pct("delsnapshot", "110", "before")
    assert steps(bench.good("lxc_create", **GOLDEN, state="template")) == ["make_template"]


def test_others_are_cloned_from_it_linked(bench: Bench) -> None:
    bench.good("lxc_create", **GOLDEN, state="template")
    bench.good("lxc_create", vmid=111, hostname="copy", clone_from={"name": "golden"})
    assert bench.config(111)["rootfs"].startswith("local-lvm:vm-111-disk-0")
    assert "template" not in bench.config(111)
    bench.good("lxc_create", vmid=111, hostname="copy", state="absent")
