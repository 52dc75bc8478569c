# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of a container that not every node or login takes, the same on the node and over the API."""

from __future__ import annotations

import typing as t

from .conftest import Bench

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
        assert "came with Proxmox VE 9.2" in refused.msg
        assert "has 9.1.9" in refused.msg
    with bench.release("9.2.11"):
        made = bench.good("lxc_create", **mapped)
        assert ",idmap=g:1000:1000:1;u:1000:1000:1," in bench.config(105)["mp0"]
        assert made.config["mount_points"][0]["idmap"] == ["g:1000:1000:1", "u:1000:1000:1"]
        assert not bench.good("lxc_create", **mapped).changed
        through = {**APP, "mount_points": [{**DATA, "idmap": ["passthrough"]}]}
        assert bench.good("lxc_create", **through).changed
        assert "idmap=passthrough" in bench.config(105)["mp0"]
