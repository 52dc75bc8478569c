# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that are restored from a backup, the same on the node and over the API."""

from __future__ import annotations

import typing as t

import pytest

from embedded_node import commands

from .conftest import Answer, Bench

Params = dict[str, t.Any]

ORIGINAL: Params = {
    "vmid": 115,
    "hostname": "dns1",
    "ostemplate": "alpine-3.22-default",
    "memory": 256,
    "rootfs": {"storage": "local-lvm", "size": "1G"},
    "networks": [{"bridge": "vmbr0", "hwaddr": "BC:24:11:00:01:15"}],
    "description": "as it was",
}
LATEST: Params = {"restore_from": {"backup": "latest"}}


def steps(answer: Answer) -> list[str]:
    return [step["step"] for step in answer.plan]


def back_up(bench: Bench, vmid: int = 115) -> None:
    argv = ["vzdump", str(vmid), "--storage", "local", "--compress", "zstd"]
    rc, _out, err = commands.run(argv, bench.node.root, b"")
    assert rc == 0, err


@pytest.fixture
def backup(bench: Bench) -> t.Iterator[str]:
    """The one backup of a container that is gone."""
    bench.good("lxc_create", **ORIGINAL)
    back_up(bench)
    bench.pct("destroy", "115")
    folder = bench.node.root / "var/lib/vz/dump"
    (path,) = folder.glob("vzdump-lxc-115-*.tar.zst")
    yield f"local:backup/{path.name}"
    for each in folder.iterdir():
        each.unlink()


def test_a_container_that_is_gone_comes_back_as_it_was(bench: Bench, backup: str) -> None:
    predicted = bench.good("lxc_create", check=True, vmid=115, **LATEST)
    assert not bench.exists(115)
    made = bench.good("lxc_create", vmid=115, **LATEST)
    assert made.plan == predicted.plan == [{"step": "restore", "backup": backup}]
    config = bench.config(115)
    assert (config["hostname"], config["memory"]) == ("dns1", "256")
    assert "hwaddr=BC:24:11:00:01:15" in config["net0"]
    assert made.config["description"] == "as it was"
    bench.node.forget()
    again = bench.good("lxc_create", vmid=115, **LATEST)
    assert (again.changed, bench.writes()) == (False, [])


def test_what_is_declared_is_changed_after_that(bench: Bench, backup: str) -> None:
    declared = {"vmid": 115, "hostname": "dns2", "memory": 512, "tags": ["back"], "rootfs": {"size": "2G"}}
    predicted = bench.good("lxc_create", check=True, **declared, **LATEST, state="started")
    made = bench.good("lxc_create", **declared, **LATEST, state="started")
    assert steps(made) == ["restore", "resize", "set", "start"]
    assert made.plan == predicted.plan
    config = bench.config(115)
    assert (config["hostname"], config["memory"], config["tags"]) == ("dns2", "512", "back")
    assert "size=2G" in config["rootfs"]
    assert not bench.good("lxc_create", **declared, **LATEST, state="started").changed


def test_the_newest_backup_of_that_name_is_found_without_a_number(bench: Bench, backup: str) -> None:
    made = bench.good("lxc_create", hostname="dns1", restore_from={"backup": "latest", "storage": "local"})
    assert made.plan[0] == {"step": "restore", "backup": backup}
    assert bench.config(made.vmid)["hostname"] == "dns1"


def test_a_container_that_is_there_is_never_restored_over(bench: Bench, backup: str) -> None:
    bench.good("lxc_create", vmid=115, restore_from={"backup": backup})
    bench.pct("set", "115", "--description", "changed since")
    assert not bench.good("lxc_create", vmid=115, restore_from={"backup": backup}).changed
    assert bench.good("lxc_create", vmid=115).config["description"] == "changed since"


def test_a_second_one_beside_the_original_has_addresses_of_its_own(bench: Bench, backup: str) -> None:
    bench.good("lxc_create", vmid=115, restore_from={"backup": backup})
    bench.good("lxc_create", vmid=116, hostname="copy", restore_from={"backup": backup})
    assert "hwaddr=BC:24:11:00:01:15" in bench.config(115)["net0"]
    assert "hwaddr=BC:24:11:00:01:15" not in bench.config(116)["net0"]


@pytest.mark.parametrize(
    ("params", "option", "problem"),
    [
        ({"restore_from": {"backup": "local:backup/vzdump-lxc-9-x.tar.zst"}}, "restore_from.backup", "is not on any"),
        ({"restore_from": {"backup": "local:vztmpl/x.tar.zst"}}, "restore_from.backup", "is not the volid of"),
        ({"vmid": 117, **LATEST}, "restore_from.backup", "is no backup of container 117"),
        ({"password": "geheim12", **LATEST}, "password", "has no effect on what is restored"),
    ],
)
def test_what_cannot_be_restored_is_told(bench: Bench, backup: str, params: Params, option: str, problem: str) -> None:
    refused = bench.bad("lxc_create", **{"vmid": 115, **params})
    assert [finding["option"] for finding in refused.findings] == [option]
    assert problem in refused.msg
    assert not bench.exists(115)


def test_it_is_one_of_three_sources(bench: Bench) -> None:
    refused = bench.bad("lxc_create", vmid=115, ostemplate="alpine-3.22-default", **LATEST)
    assert "mutually exclusive" in refused.msg
