# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of a container that not every node or login takes, the same on the node and over the API."""

from __future__ import annotations

import typing as t

import pytest

from .conftest import Bench, steps

Params = dict[str, t.Any]

APP: Params = {
    "vmid": 105,
    "hostname": "app",
    "ostemplate": "alpine-3.22-default",
    "rootfs": {"storage": "local-lvm", "size": "1G"},
}
DATA: Params = {"storage": "local-lvm", "size": "1G", "mp": "/srv"}


def test_a_mount_point_maps_ids_where_the_node_knows_of_that(bench: Bench) -> None:
    mapped = {**APP, "mount_points": [{**DATA, "idmap": ["u:1000:1000:1", "g:1000:1000:1"]}]}
    with bench.release("9.1.9"):
        refused = bench.bad("lxc_create", check=True, **mapped)
        assert [finding["option"] for finding in refused.findings] == ["mount_points[0].idmap"]
        assert "needs Proxmox VE 9.2" in refused.msg
        assert "has 9.1.9" in refused.msg
    with bench.release("9.2.11"):
        made = bench.good("lxc_create", **mapped)
        assert ",idmap=g:1000:1000:1;u:1000:1000:1," in bench.config(105)["mp0"]
        assert made.config["mount_points"][0]["idmap"] == ["g:1000:1000:1", "u:1000:1000:1"]
        assert not bench.good("lxc_create", **mapped).changed
        through = {**APP, "mount_points": [{**DATA, "idmap": ["passthrough"]}]}
        assert bench.good("lxc_create", **through).changed
        assert "idmap=passthrough" in bench.config(105)["mp0"]


RAW = ["lxc.cgroup2.devices.allow=c 10:200 rwm", "lxc.idmap: u 0 100000 65536", "lxc.idmap: g 0 100000 65536"]
WRITTEN = ["lxc.cgroup2.devices.allow: c 10:200 rwm", *RAW[1:]]


class TestRawLines:
    """Lines for LXC itself, which only root on the node can write."""

    @pytest.fixture(autouse=True)
    def on_the_node(self, bench: Bench) -> None:
        if bench.backend == "api":
            pytest.skip("the API does not write such lines")

    def lines(self, bench: Bench) -> list[str]:
        text = (bench.node.root / "etc/pve/lxc/105.conf").read_text(encoding="utf-8")
        return [line for line in text.splitlines() if line.startswith("lxc.")]

    def test_they_are_there_before_the_first_start_and_then_left_alone(self, bench: Bench) -> None:
        made = bench.good("lxc_create", **APP, raw=RAW, state="started")
        assert self.lines(bench) == WRITTEN
        assert made.config["raw"] == WRITTEN
        assert made.pending == {}
        bench.node.forget()
        assert not bench.good("lxc_create", **APP, raw=RAW, state="started").changed
        assert bench.writes() == []

    def test_check_mode_shows_them_and_writes_nothing(self, bench: Bench) -> None:
        bench.good("lxc_create", **APP, raw=RAW)
        less = bench.good("lxc_create", check=True, **APP, raw=RAW[:1], purge_options=True)
        assert (less.diff["before"], less.diff["after"]) == ({"lxc": WRITTEN}, {"lxc": WRITTEN[:1]})
        assert self.lines(bench) == WRITTEN

    def test_a_running_container_takes_a_change_at_its_next_start(self, bench: Bench) -> None:
        bench.good("lxc_create", **APP, raw=RAW, state="started")
        other = ["lxc.cgroup2.devices.allow: c 10:229 rwm"]
        changed = bench.good("lxc_create", **APP, raw=other)
        assert changed.changed
        assert list(changed.pending) == ["lxc"]
        assert list(bench.good("lxc_create", **APP, raw=other).pending) == ["lxc"]
        restarted = bench.good("lxc_create", **APP, raw=other, restart="when_needed")
        assert steps(restarted) == ["shutdown", "start"]
        assert bench.good("lxc_create", **APP, raw=other).pending == {}

    @pytest.mark.parametrize("by_pve", [True, False])
    def test_they_wait_whatever_else_is_changed_meanwhile(self, bench: Bench, by_pve: bool) -> None:
        """PVE rewrites what LXC has read at each change."""
        bench.good("lxc_create", **APP, raw=RAW, state="started")
        bench.good("lxc_create", **APP, raw=RAW[:1], purge_options=True)
        other = ["lxc.cgroup2.devices.allow: c 10:229 rwm"]
        assert list(bench.good("lxc_create", **APP, raw=other).pending) == ["lxc"]
        if by_pve:
            bench.pct("set", "105", "--description", "a note of somebody's")
        else:
            bench.good("lxc_create", **APP, memory=300)
        assert list(bench.good("lxc_create", **APP, raw=other).pending) == ["lxc"]
        bench.good("lxc_create", **APP, raw=other, restart="when_needed")
        bench.pct("set", "105", "--description", "another")
        assert bench.good("lxc_create", **APP, raw=other).pending == {}
        assert list(bench.good("lxc_create", **APP, raw=RAW).pending) == ["lxc"]

    def test_lines_with_other_keys_stay(self, bench: Bench) -> None:
        bench.good("lxc_create", **APP, raw=RAW)
        bench.good("lxc_create", **APP, memory=256)
        bench.good("lxc_create", **APP, raw=["lxc.cgroup2.devices.allow: a"])
        assert sorted(self.lines(bench)) == ["lxc.cgroup2.devices.allow: a", RAW[2], RAW[1]]

    def test_purging_options_leaves_only_the_declared_ones_and_null_none(self, bench: Bench) -> None:
        bench.good("lxc_create", **APP, raw=RAW)
        bench.good("lxc_create", **APP, purge_options=True)
        assert self.lines(bench) == WRITTEN
        bench.good("lxc_create", **APP, raw=RAW[:1], purge_options=True)
        assert self.lines(bench) == WRITTEN[:1]
        bench.good("lxc_create", **APP, raw=None)
        assert self.lines(bench) == []


def test_over_the_api_raw_lines_are_refused_before_anything_is_written(bench: Bench) -> None:
    if bench.backend == "cli":
        pytest.skip("on the node they are written")
    refused = bench.bad("lxc_create", **APP, raw=RAW)
    assert [finding["option"] for finding in refused.findings] == ["raw"]
    assert "without api_host" in refused.msg
    assert not bench.exists(105)
