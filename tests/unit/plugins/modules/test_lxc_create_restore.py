# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that are restored from a backup, the same on the node and over the API."""

from __future__ import annotations

import typing as t

import pytest

from embedded_node import commands

from .conftest import Bench, grant, pvesh, steps

Params = dict[str, t.Any]

ORIGINAL: Params = {
    "vmid": 115,
    "hostname": "dns1",
    "ostemplate": "alpine-3.22-default",
    "memory": 256,
    "rootfs": {"storage": "local-lvm", "size": "1G"},
    "networks": [{"bridge": "vmbr0", "hwaddr": "BC:24:11:00:01:15"}],
    "description": "as it was",
    "tags": ["kept"],
}
LATEST: Params = {"restore_from": {"backup": "latest"}}


def back_up(bench: Bench, vmid: int = 115) -> None:
    argv = ["vzdump", str(vmid), "--storage", "local", "--compress", "zstd"]
    rc, _out, err = commands.run(argv, bench.node.root, b"")
    assert rc == 0, err


@pytest.fixture
def backup(bench: Bench) -> str:
    """The one backup of a container that is gone."""
    bench.good("lxc_create", **ORIGINAL)
    back_up(bench)
    bench.pct("destroy", "115")
    folder = bench.node.root / "var/lib/vz/dump"
    (path,) = folder.glob("vzdump-lxc-115-*.tar.zst")
    return f"local:backup/{path.name}"


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
    assert bench.config(115)["tags"] == "kept"
    assert "tags" not in bench.config(116), "what its tags say is said of the original"


@pytest.mark.parametrize(
    ("params", "option", "problem"),
    [
        ({"restore_from": {"backup": "local:backup/vzdump-lxc-9-x.tar.zst"}}, "restore_from.backup", "is not on any"),
        ({"restore_from": {"backup": "local:vztmpl/x.tar.zst"}}, "restore_from.backup", "is not the volid of"),
        ({"vmid": 117, **LATEST}, "restore_from.backup", "is not a backup of container 117"),
        ({"password": "geheim12", **LATEST}, "password", "has no effect on what is restored"),
        ({"rootfs": {"storage": "nowhere"}, **LATEST}, "rootfs.storage", "does not exist on this node"),
        ({"rootfs": {"size": "500M"}, **LATEST}, "rootfs.size", "is smaller than the 1G it has"),
    ],
)
def test_what_cannot_be_restored_is_reported(
    bench: Bench, backup: str, params: Params, option: str, problem: str
) -> None:
    refused = bench.bad("lxc_create", **{"vmid": 115, **params})
    assert [finding["option"] for finding in refused.findings] == [option]
    assert problem in refused.msg
    assert not bench.exists(115)


def test_two_of_one_run_have_addresses_of_their_own(bench: Bench, backup: str) -> None:
    guests = [{"name": name, "type": "lxc", "restore_from": {"backup": backup}} for name in ("one", "two")]
    first, second = bench.good("guests", guests=guests).guests
    assert "hwaddr=BC:24:11:00:01:15" in bench.config(first["vmid"])["net0"]
    assert "hwaddr=BC:24:11:00:01:15" not in bench.config(second["vmid"])["net0"]
    assert not bench.good("guests", guests=guests).changed


def test_one_that_is_recreated_from_its_backup_keeps_its_addresses(bench: Bench, backup: str) -> None:
    bench.good("lxc_create", vmid=115, **LATEST)
    declared = {"vmid": 115, "unprivileged": False, "recreate": True, **LATEST}
    refused = bench.bad("lxc_create", **declared, rootfs={"size": "500M"})
    assert [finding["option"] for finding in refused.findings] == ["rootfs.size"]
    predicted = bench.good("lxc_create", check=True, **declared)
    made = bench.good("lxc_create", **declared)
    assert made.plan == predicted.plan
    assert steps(made) == ["destroy", "restore"]
    assert "hwaddr=BC:24:11:00:01:15" in bench.config(115)["net0"]
    assert not bench.good("lxc_create", **declared).changed


def test_the_plan_of_a_list_tells_that_a_container_is_destroyed_for_it(bench: Bench, backup: str) -> None:
    bench.good("lxc_create", vmid=115, **LATEST)
    anew = {"name": "dns1", "type": "lxc", "vmid": 115, "unprivileged": False, "recreate": True, **LATEST}
    told = bench.good("guests", check=True, guests=[anew])
    assert told.plan[0] == "-/+ recreate dns1 (115)"


def test_the_room_for_its_volumes_is_counted(bench: Bench, backup: str) -> None:
    with bench.settings(capacity={name: {"total": 1 << 40, "used": 1 << 40} for name in ("local", "local-lvm")}):
        refused = bench.bad("lxc_create", check=True, vmid=115, **LATEST)
    assert [finding["option"] for finding in refused.findings] == ["restore_from"]
    assert "1.0 GiB are needed" in refused.msg


@pytest.mark.parametrize("vmid", [115, 116])
def test_what_it_takes_over_the_api_is_reported_before(
    bench: Bench,
    backup: str,
    token: Params,
    vmid: int,
) -> None:
    declared = {"vmid": vmid, "hostname": "back", "restore_from": {"backup": backup}, **token}
    pvesh(bench, "set", "/access/acl", "--path", "/", "--users", "ansible@pve", "--roles", "PVEAuditor")
    unseen = bench.bad("lxc_create", check=True, **declared).findings[-1]
    assert "Datastore.AllocateSpace on /storage/local (restore_from)" in unseen["problem"]
    assert "VM.Backup on /vms/115 (restore_from)" in unseen["problem"]
    grant(bench, unseen["remedy"])
    (seen,) = bench.bad("lxc_create", check=True, **declared).findings
    assert "Datastore.AllocateSpace on /storage/local-lvm (restore_from)" in seen["problem"]
    for path in ("/storage/local-lvm", "/sdn/zones/localnetwork/vmbr0"):
        pvesh(bench, "set", "/access/acl", "--path", path, "--users", "ansible@pve", "--roles", "Administrator")
    assert steps(bench.good("lxc_create", **declared)) == ["restore"]


@pytest.mark.parametrize("source", ["clone_from", "restore_from"])
def test_one_that_was_protected_at_once_is_taken_back_when_it_does_not_start(
    bench: Bench, backup: str, source: str
) -> None:
    bench.good("lxc_create", vmid=116, restore_from={"backup": backup})
    bench.node.fault("fail_start", nth=1)
    given = {"clone_from": {"vmid": 116}, "restore_from": {"backup": backup}}[source]
    failed = bench.bad("lxc_create", vmid=115, protection=True, state="started", **{source: given})
    assert "which this run had created, was removed again" in failed.msg
    assert not bench.exists(115)


def test_it_is_one_of_three_sources(bench: Bench) -> None:
    refused = bench.bad("lxc_create", vmid=115, ostemplate="alpine-3.22-default", **LATEST)
    assert "mutually exclusive" in refused.msg
