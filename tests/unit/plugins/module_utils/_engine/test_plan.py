# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which steps lead from what is there to what is wanted; pure."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual
from ansible_collections.pve.provision.plugins.module_utils._engine.plan import make_plan
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.read import wanted_container
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.read import wanted_vm
from ansible_collections.pve.provision.plugins.module_utils._model.declare import null_paths
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

Params = dict[str, t.Any]

OPTIONS = {
    "hostname": "web1",
    "memory": "1024",
    "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:01:02:03,ip=dhcp,type=veth",
    "rootfs": "local-lvm:vm-101-disk-0,size=4G",
    "unprivileged": "1",
}
ABSENT = Actual(101)
LEFTOVER = Actual(101, leftover={"kind": "lxc", "name": "web1"})
SHUTDOWN = {"step": "shutdown", "timeout": 60, "force": False}
START = {"step": "start"}
MEMORY = {"step": "set", "options": {"memory": "2048"}}
TIMEZONE = {"step": "set", "options": {"timezone": "host"}}
HOSTNAMED = {"hostname": "web1", "memory": "1024"}


def there(status: str = "running", **pending: str) -> Actual:
    return Actual(101, GuestConfig({**OPTIONS, **pending}, OPTIONS, dict(pending)), status)


def plan(actual: Actual, **declared: t.Any) -> Plan:
    params: Params = {"state": "present", "vmid": 101, "hostname": "web1", **declared}
    return make_plan(wanted_container(params, null_paths(declared)), actual)


def steps(actual: Actual, **declared: t.Any) -> list[Params]:
    return [step.view() for step in plan(actual, **declared).steps]


@pytest.mark.parametrize(
    ("state", "on_running", "on_stopped"),
    [
        ("present", [], []),
        ("started", [], [START]),
        ("stopped", [SHUTDOWN], []),
        ("restarted", [SHUTDOWN, START], [START]),
        ("absent", [SHUTDOWN, {"step": "destroy", "purge": False}], [{"step": "destroy", "purge": False}]),
    ],
)
def test_states_of_a_container_that_is_as_declared(
    state: str, on_running: list[Params], on_stopped: list[Params]
) -> None:
    assert steps(there("running"), state=state) == on_running
    assert steps(there("stopped"), state=state) == on_stopped


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"memory": 2048}, [MEMORY]),
        ({"memory": 2048, "state": "stopped"}, [SHUTDOWN, MEMORY]),
        ({"rootfs": {"size": 6}}, [{"step": "resize", "disk": "rootfs", "size": "6G"}]),
        (
            {"rootfs": {"size": 6}, "memory": 2048, "state": "restarted"},
            [{"step": "resize", "disk": "rootfs", "size": "6G"}, MEMORY, SHUTDOWN, START],
        ),
        (
            {"timezone": "host", "rootfs": {"size": 6}, "state": "stopped"},
            [SHUTDOWN, {"step": "resize", "disk": "rootfs", "size": "6G"}, TIMEZONE],
        ),
        ({"timezone": "host", "state": "template"}, [SHUTDOWN, TIMEZONE, {"step": "make_template"}]),
        ({"memory": 2048, "state": "template"}, [SHUTDOWN, MEMORY, {"step": "make_template"}]),
        (
            {"rootfs": {"size": 6}, "state": "stopped"},
            [{"step": "resize", "disk": "rootfs", "size": "6G"}, SHUTDOWN],
        ),
        ({"timezone": "host", "state": "restarted"}, [TIMEZONE, SHUTDOWN, START]),
        ({"networks": None}, [{"step": "set", "delete": ["net0"]}]),
        (
            {"timezone": "host", "networks": None},
            [{"step": "set", "options": {"timezone": "host"}, "delete": ["net0"]}],
        ),
        ({"memory": 2048, "restart": "when_needed"}, [MEMORY]),
        (
            {"timezone": "host", "restart": "when_needed"},
            [TIMEZONE, SHUTDOWN, START],
        ),
        (
            {"state": "stopped", "force": True, "shutdown_timeout": 5},
            [{"step": "shutdown", "timeout": 5, "force": True}],
        ),
        ({"state": "absent", "purge": True}, [SHUTDOWN, {"step": "destroy", "purge": True}]),
    ],
)
def test_steps_on_a_running_container(declared: Params, expected: list[Params]) -> None:
    assert steps(there(), **declared) == expected


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"cores": 4, "state": "stopped"}, ["shutdown", "set"]),
        ({"tags": ["a"], "state": "stopped"}, ["shutdown", "set"]),
        ({"tags": ["a"], "cores": 4, "state": "template"}, ["shutdown", "set", "make_template"]),
        ({"cores": 4, "state": "restarted"}, ["set", "shutdown", "start"]),
        ({"cores": 4, "state": "suspended"}, ["set", "suspend"]),
    ],
)
def test_what_a_running_vm_would_leave_waiting_is_set_when_it_is_shut_down(
    declared: Params, expected: list[str]
) -> None:
    has = {"name": "web1", "cores": "2"}
    actual = Actual(101, GuestConfig(has, has, {}), "running")
    made = make_plan(wanted_vm({"vmid": 101, "name": "web1", **declared}), actual)
    assert [step.action for step in made.steps] == expected


def test_what_waits_for_a_restart_gets_it_when_asked_also_without_a_change() -> None:
    assert steps(there(features="nesting=1")) == []
    assert steps(there(features="nesting=1"), restart="when_needed") == [SHUTDOWN, START]
    assert steps(there("stopped", features="nesting=1"), restart="when_needed") == []


@pytest.mark.parametrize(
    ("state", "after"),
    [
        ("present", ["create"]),
        ("started", ["create", "start"]),
        ("stopped", ["create"]),
        ("restarted", ["create", "start"]),
        ("absent", []),
    ],
)
def test_states_of_a_new_container(state: str, after: list[str]) -> None:
    assert [step["step"] for step in steps(ABSENT, state=state)] == after
    assert [step["step"] for step in steps(LEFTOVER, state=state)] == ["clean_up", *after]


def test_a_creation_reports_all_it_writes_and_no_secret() -> None:
    (create,) = steps(ABSENT, ostemplate="local:vztmpl/a.tar.gz", memory=1024, password="secret12", bwlimit=100)
    assert create["ostemplate"] == "local:vztmpl/a.tar.gz"
    assert create["options"] == {**HOSTNAMED, "bwlimit": "100", "password": "********"}


@pytest.mark.parametrize(("source", "named"), [({"vmid": 9}, 9), ({"name": "golden"}, "golden")])
def test_a_clone_gets_the_declared_options_after_it_is_made(source: Params, named: object) -> None:
    assert steps(ABSENT, clone_from=source, memory=1024, state="started") == [
        {"step": "clone", "source": named},
        {"step": "set", "options": HOSTNAMED},
        START,
    ]


def test_what_cannot_change_is_a_problem_and_a_new_container_only_when_that_is_asked_for() -> None:
    refused = plan(there(), unprivileged=False)
    assert [problem.option for problem in refused.change.findings] == ["unprivileged"]
    assert not refused
    anew = plan(there(), unprivileged=False, recreate=True)
    assert [step.action for step in anew.steps] == ["shutdown", "destroy", "create"]
    assert anew.change.findings == ()
    assert anew.before["memory"] == 1024
    assert plan(there(), recreate=True).steps == ()


@pytest.mark.parametrize(
    ("actual", "declared", "before", "after"),
    [
        (there(), {"memory": 2048}, {"memory": 1024}, {"memory": 2048}),
        (there(), {"memory": 1024}, {}, {}),
        (there("stopped"), {"state": "started"}, {"status": "stopped"}, {"status": "running"}),
        (there(), {"state": "restarted"}, {}, {}),
        (there(), {"rootfs": {"size": 6}}, {"rootfs.size": "4G"}, {"rootfs.size": "6G"}),
        (ABSENT, {"memory": 512}, {}, {"hostname": "web1", "memory": 512, "status": "stopped"}),
        (ABSENT, {"state": "absent"}, {}, {}),
    ],
)
def test_the_diff_holds_what_changes(actual: Actual, declared: Params, before: Params, after: Params) -> None:
    made = plan(actual, **declared)
    assert (made.before, made.after) == (before, after)


def test_the_diff_of_a_removal_shows_what_was_there() -> None:
    gone = plan(there(), state="absent")
    assert gone.before["status"] == "running"
    assert gone.before["hostname"] == "web1"
    assert gone.after == {}
