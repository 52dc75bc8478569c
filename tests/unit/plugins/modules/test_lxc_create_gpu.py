# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's graphics cards in a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Bench, steps

SITE = {"hostname": "player", "ostemplate": "debian-13-standard", "gpu": True, "state": "started"}
NODES = ("dev/dri/renderD128", "dev/dri/card0", "dev/nvidiactl")


@pytest.fixture
def cards(bench: Bench) -> Bench:
    """A node with a graphics card."""
    if bench.backend == "api":
        pytest.skip("the API does not report which it has")
    root = Path(bench.node.root)
    for name in NODES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to("/dev/null")
    return bench


def devices(bench: Bench, vmid: int) -> dict[str, str]:
    return {value.partition(",")[0]: value for key, value in bench.config(vmid).items() if key.startswith("dev")}


def group(bench: Bench, vmid: int, name: str, number: int) -> None:
    script = f"sed -i /^{name}:/d /etc/group; echo {name}:x:{number}: >> /etc/group"
    bench.pct("exec", str(vmid), "--", "sh", "-c", script)


def test_they_belong_to_the_groups_that_the_container_has(cards: Bench) -> None:
    bench = cards
    foretold = bench.good("lxc_create", check=True, **SITE)
    made = bench.good("lxc_create", **SITE)
    assert foretold.plan == made.plan
    assert steps(made)[-2:] == ["start", "pass_graphics"]
    assert set(devices(bench, made.vmid)) == {f"/dev/{name.removeprefix('dev/')}" for name in NODES}
    bench.node.forget()
    again = bench.good("lxc_create", **SITE)
    assert not again.changed
    assert [argv[:2] for argv in bench.writes()] == [["pct", "exec"]]
    group(bench, made.vmid, "render", 993)
    changed = bench.good("lxc_create", **SITE, restart="when_needed")
    assert steps(changed) == ["set", "shutdown", "start"]
    assert "gid=993" in devices(bench, made.vmid)["/dev/dri/renderD128"]


def test_a_device_that_is_declared_is_left_to_that_and_a_stopped_container_keeps_what_it_has(cards: Bench) -> None:
    bench = cards
    own = {**SITE, "devices": [{"path": "/dev/dri/card0", "gid": 5}]}
    made = bench.good("lxc_create", **own)
    before = devices(bench, made.vmid)
    assert "gid=5" in before["/dev/dri/card0"]
    stopped = bench.good("lxc_create", **{**own, "state": "stopped", "purge_options": True})
    assert devices(bench, made.vmid) == before, stopped.plan


def test_a_node_that_has_none_or_does_not_tell_makes_the_container_and_says_so(bench: Bench) -> None:
    made = bench.good("lxc_create", **SITE)
    why = "no graphics device" if bench.backend == "cli" else "the API does not report"
    assert any(why in str(warning) for warning in made.values["warnings"])
    assert devices(bench, made.vmid) == {}
    again = bench.good("lxc_create", **SITE)
    assert not again.changed
    assert why in str(again.warnings)
    answer = bench.good("guest_verify", guests=[{**SITE, "name": "player", "type": "lxc"}])
    (drift,) = (check for check in answer.guests[0]["checks"] if check["type"] == "drift")
    assert drift["outcome"] == "not_verified"
    assert why in drift["detail"]


def test_a_container_that_does_not_run_is_not_known_to_have_them(cards: Bench) -> None:
    for _each in range(2):
        answer = cards.good("lxc_create", **{**SITE, "state": "present"})
        assert "first run that finds the container running" in str(answer.warnings)
