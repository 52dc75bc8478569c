# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an image by its name to what runs in the VM: the guest really reads what was written for it."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests import guest_connection
from embedded_node import commands
from embedded_node.linux import distributions, package_database
from embedded_node.mirror import Mirror
from embedded_node.qemu import boot, process
from embedded_node.state.root import State

from .conftest import Bench, Params, pvesh, ssh_to_vms, steps

PASSWORD = "Planted-Secret-7"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample me@example.org"


@pytest.fixture(scope="module", autouse=True)
def mirror() -> t.Iterator[Mirror]:
    """The download site of Debian's images."""
    commands.load()
    with Mirror(sites=("debian",)) as running:
        yield running


def vm(mirror: Mirror, name: str, number: int, **more: t.Any) -> Params:
    image = {"name": "debian-13", "mirrors": [mirror.base("debian")]}
    return {
        "name": name, "state": "started", "checks_timeout": 60,
        "disks": [{"storage": "local-lvm", "size": "4G", "image": image}],
        "cloud_init": {
            "user": "ops", "password": PASSWORD, "ssh_keys": [KEY],
            "ip": [{"ip": f"192.0.2.{number}/24", "gateway": "192.0.2.1"}],
        },
        **more,
    }  # fmt: skip


def test_docker_runs_in_a_vm_from_an_image(bench: Bench, mirror: Mirror) -> None:
    declared = vm(mirror, "dock", 5, profile="docker")
    made = bench.good("vm_create", **declared)
    assert [check["outcome"] for check in made.checks] == ["passed"]
    assert made.cloud_init["status"] == "done"
    inside = boot.guest(State(bench.node.root), made.vmid)
    assert inside.hostname == "dock"
    assert inside.files.read("/home/ops/.ssh/authorized_keys") == f"{KEY}\n"
    assert [card.addresses for card in inside.interfaces] == [("192.0.2.5/24",)]
    assert PASSWORD not in str(made.values) + str(bench.node.commands())
    bench.node.forget()
    again = bench.good("vm_create", **declared)
    assert (again.changed, again.plan, bench.writes()) == (False, [], [])


def test_the_nodes_of_a_k3s_cluster_find_each_other(bench: Bench, mirror: Mirror) -> None:
    cluster = {"type": "vm", "profile": "kubernetes"}
    guests = [
        vm(mirror, "k2", 7, **cluster, cluster={"name": "lab", "role": "agent"}),
        vm(mirror, "k1", 6, **cluster, cluster={"name": "lab", "role": "server"}),
    ]
    made = bench.good("guests", guests=guests)
    assert [guest["checks"][0]["outcome"] for guest in made.guests] == ["passed"] * 2
    state = State(bench.node.root)
    server = boot.guest(state, next(guest["vmid"] for guest in made.guests if guest["name"] == "k1"))
    token = server.files.read("/var/lib/rancher/k3s/server/node-token").strip()
    listed = server.run(["kubectl", "get", "nodes", "--no-headers"]).stdout.decode().splitlines()
    assert [line.split()[:2] for line in listed] == [["k1", "Ready"], ["k2", "Ready"]]
    assert token and token not in str(made.values) + str(bench.node.commands())
    bench.node.forget()
    assert not bench.good("guests", guests=guests).changed
    assert bench.writes() == []


def test_a_vm_is_set_up_by_its_agent_and_then_left_alone_for_one_look(bench: Bench, mirror: Mirror) -> None:
    files = [{"path": "/etc/big", "secret_content": PASSWORD * 8000}]  # more than the API takes at once
    inside = {"packages": ["nginx"], "services": {"nginx": True}, "timezone": "Europe/Berlin", "files": files}
    declared = vm(mirror, "web", 8, profile="cloud", **inside)
    made = bench.good("vm_create", **declared)
    assert made.setup["verified_by"] == "guest agent"
    assert "packages: nginx: install" in made.setup["changed"]
    guest = boot.guest(State(bench.node.root), made.vmid)
    assert guest.run(["readlink", "/etc/localtime"]).stdout == b"/usr/share/zoneinfo/Europe/Berlin\n"
    assert guest.files.read("/etc/big") == PASSWORD * 8000
    assert PASSWORD not in str(made.values) + str(bench.node.commands())
    bench.node.forget()
    again = bench.good("vm_create", **declared)
    assert (again.changed, again.setup) == (False, {"changed": [], "verified_by": "guest agent"})
    assert bench.writes() == []  # the agent's socket costs no command


def test_what_is_not_ascii_comes_to_the_guest_and_back_as_it_is(bench: Bench, mirror: Mirror) -> None:
    text = "Grüße \u2013 5 €\n"
    checks = [{"type": "command", "command": "cat /etc/motd", "expect": "5 €"}]
    inside = {"files": [{"path": "/etc/motd", "content": text}], "checks": checks}
    declared = vm(mirror, "utf8", 11, profile="cloud", **inside)
    declared["cloud_init"]["ssh_keys"] = [KEY.replace("me@", "Jörg@")]
    made = bench.good("vm_create", **declared)
    guest = boot.guest(State(bench.node.root), made.vmid)
    assert guest.files.read("/etc/motd") == text
    assert [check["outcome"] for check in made.checks] == ["passed"]
    assert "cloud_init: " not in str(made.values.get("warnings", ""))
    assert "Jörg@" in guest.files.read("/home/ops/.ssh/authorized_keys")
    assert not bench.good("vm_create", **declared).changed


def test_a_vm_gets_the_newest_packages_by_its_agent_or_goes_back(bench: Bench, mirror: Mirror) -> None:
    declared = {**vm(mirror, "new", 10, profile="cloud", packages=["nginx"]), "state": "latest"}
    made = bench.good("vm_create", **declared)
    state = State(bench.node.root)
    state.write(package_database.OFFERED, json.dumps({"nginx": "1.1-1"}))
    done = bench.good("vm_create", **declared)
    assert steps(done) == ["snapshot", "upgrade_packages", "prune_snapshots"]
    assert done.upgraded == ["nginx: 1.0-1 -> 1.1-1"]
    assert package_database.installed(boot.guest(state, made.vmid).files)["nginx"].version == "1.1-1"
    assert not bench.good("vm_create", **declared).changed
    state.write(package_database.OFFERED, json.dumps({"nginx": "1.2-1"}))
    checks = [{"type": "command", "command": "false", "timeout": 1}]
    failed = bench.bad("vm_create", **{**declared, "checks": checks, "checks_timeout": 1})
    assert failed.rolled_back is True


def test_a_vm_on_a_storage_without_snapshots_goes_back_to_a_backup(bench: Bench, mirror: Mirror) -> None:
    place = "/var/lib/pve-provision" if bench.backend == "cli" else "local"
    pvesh(bench, "set", "/storage/local", "--content", "iso,vztmpl,backup,snippets,images,import")
    declared = {**vm(mirror, "plain", 12, profile="cloud", packages=["nginx"]), "state": "latest"}
    declared["disks"] = [{**declared["disks"][0], "storage": "local", "format": "raw"}]
    made = bench.good("vm_create", **declared)
    state = State(bench.node.root)
    state.write(package_database.OFFERED, json.dumps({"nginx": "1.1-1"}))
    done = bench.good("vm_create", **declared)
    assert steps(done) == ["backup", "upgrade_packages", "drop_backup"]
    assert done.degraded[0]["instead"] == f"a backup on {place}"
    assert not bench.good("vm_create", **declared).changed
    state.write(package_database.OFFERED, json.dumps({"nginx": "1.2-1"}))
    before = state.guest("qemu", made.vmid).options
    failing = {"checks": [{"type": "command", "command": "false", "timeout": 1}], "checks_timeout": 1}
    failed = bench.bad("vm_create", **{**declared, "description": "Newer", **failing})
    assert failed.rolled_back is True
    after = state.guest("qemu", made.vmid).options
    assert (after.get("description"), after["net0"]) == (before.get("description"), before["net0"])
    assert process.pid(state, made.vmid) is not None
    assert not list((bench.node.root / "var/lib/pve-provision/archives").glob("*"))
    assert not list((bench.node.root / "var/lib/vz/dump").glob("vzdump-qemu-*"))


def test_a_vm_whose_agent_does_not_answer_is_not_looked_at(bench: Bench, mirror: Mirror) -> None:
    declared = vm(mirror, "mute", 9, profile="cloud")
    made = bench.good("vm_create", **declared)
    boot.guest(State(bench.node.root), made.vmid).files.resolve(distributions.AGENT).unlink()
    answer = bench.good("vm_create", **declared, packages=["nginx"])
    assert not answer.changed
    assert answer.setup["verified_by"] == ""
    assert "its setup was not checked: " in str(answer.warnings)


def test_a_vm_without_an_agent_has_no_way_in(bench: Bench, mirror: Mirror) -> None:
    answer = bench.bad("vm_create", **vm(mirror, "closed", 9, agent={"enabled": False}, packages=["nginx"]))
    assert "packages: cannot be done: it has no guest agent. Set agent.enabled" in answer.msg


@pytest.fixture
def by_ssh(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A VM without guest agent that can be entered by SSH, which is played: it goes to who has the address."""
    monkeypatch.setattr(guest_connection, "ssh", ssh_to_vms(bench))
    return {"agent": {"enabled": False}, "ssh_private_key": "/root/.ssh/id_ed25519", "packages": ["nginx"]}


def test_a_vm_without_an_agent_is_set_up_and_checked_by_ssh(bench: Bench, mirror: Mirror, by_ssh: Params) -> None:
    declared = vm(mirror, "shut", 12, profile="cloud", checks=[{"type": "package", "package": "nginx"}], **by_ssh)
    made = bench.good("vm_create", **declared)
    assert made.setup == {"changed": ["packages: nginx: install"], "verified_by": "ssh"}
    assert [check["outcome"] for check in made.checks] == ["passed"]
    again = bench.good("vm_create", **declared)
    assert (again.changed, again.setup) == (False, {"changed": [], "verified_by": "ssh"})


def test_a_vm_whose_agent_runs_no_commands_is_entered_by_ssh(bench: Bench, mirror: Mirror, by_ssh: Params) -> None:
    """As an administrator may wish for, who filters what the agent does."""
    with_agent = {"agent": {"enabled": True}, "ssh_private_key": by_ssh["ssh_private_key"]}
    declared = vm(mirror, "filter", 14, profile="cloud", **with_agent)
    made = bench.good("vm_create", **declared)
    guest = boot.guest(State(bench.node.root), made.vmid)
    guest.files.write("/etc/sysconfig/qemu-ga", "FILTER_RPC_ARGS=--block-rpcs=guest-exec\n")
    guest.run(["systemctl", "restart", "qemu-guest-agent"])
    checks = [{"type": "package", "package": "nginx"}]
    done = bench.good("vm_create", **declared, packages=["nginx"], checks=checks)
    assert done.setup == {"changed": ["packages: nginx: install"], "verified_by": "ssh"}
    assert [check["outcome"] for check in done.checks] == ["passed"]


def test_a_vm_whose_address_nobody_can_tell_is_refused_before_it_is_made(
    bench: Bench, mirror: Mirror, by_ssh: Params
) -> None:
    if bench.backend == "cli":
        pytest.skip("the node may meet it on its own networks")
    declared = {
        **vm(mirror, "shy", 13, profile="cloud", **by_ssh),
        "cloud_init": {"user": "ops", "ip": [{"ip": "dhcp"}]},
    }
    answer = bench.bad("vm_create", **declared)
    assert "packages: cannot be done: over the API the address of a VM without guest agent is not known. " in answer.msg
    assert "cloud_init.ip" in answer.msg
    assert not list((bench.node.root / "etc/pve/qemu-server").glob("*.conf"))
