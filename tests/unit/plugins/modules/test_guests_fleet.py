# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""guests as a whole: against the modules for one guest, when it is killed, and with another run beside it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import threading
import time
import typing as t

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._access.shell import SHELL, Shell
from ansible_collections.pve.provision.plugins.module_utils._guests import guest_connection
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import DeclaredType
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Containers
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed
from ansible_collections.pve.provision.plugins.module_utils._pve.view import NodeView
from embedded_node import commands

from .conftest import Bench, Params, spawn

DEFAULTS: Params = {"type": "lxc", "ostemplate": "alpine-3.22-default", "rootfs": {"storage": "local-lvm", "size": 1}}
NAMES = ("db1", "mail1", "web1", "web2")
LIST: list[Params] = [
    {"name": name, "memory": 64 * (place + 1), "state": "started", "networks": [{"bridge": "vmbr0", "ip": "dhcp"}]}
    for place, name in enumerate(NAMES)
]
VM: t.Final = "vm1"
"""The name of the guest that is a VM; the others are containers."""
DATA = [{"storage": "local-lvm", "size": 1, "mp": "/srv"}]


# What is another one's each time: MAC addresses, numbers of volumes, what tells a VM from its copies.
OWN = re.compile(r"(?:(?<=hwaddr=)|(?<=virtio=))[0-9A-F:]{17}|(?<=vm-)\d+(?=-disk-)|(?<=uuid=)[\w-]+|(?<=ctime=)\d+")


def configs(bench: Bench) -> dict[str, dict[str, str]]:
    """The guests by name, without what is another one's each time."""
    found = {}
    for path in (*bench.node.root.glob("etc/pve/lxc/*.conf"), *bench.node.root.glob("etc/pve/qemu-server/*.conf")):
        lines = (line.partition(": ") for line in path.read_text(encoding="utf-8").splitlines())
        config = {key: OWN.sub("N", value) for key, _colon, value in lines if key != "vmgenid"}
        found[config.get("hostname") or config["name"]] = config
    return found


def remove_all(bench: Bench, names: t.Iterable[str] = NAMES) -> None:
    gone = [{"name": name, "type": "lxc", "state": "absent", "force": True} for name in names]
    gone.append({"name": VM, "type": "vm", "state": "absent", "force": True})
    bench.good("guests", guests=gone)
    assert configs(bench) == {}
    assert all_volumes(bench) == []


def all_volumes(bench: Bench) -> list[str]:
    """What lies on the storage that the guests are made on."""
    rc, out, err = commands.run(["pvesm", "list", "local-lvm"], bench.node.root, b"")
    assert rc == 0, err
    return [line.split()[0] for line in out.splitlines()[1:]]


# -- the list is its guests, one after another -----------------------------------------------------------------------

OPTIONS: dict[str, st.SearchStrategy[t.Any]] = {
    "memory": st.sampled_from([64, 128, 512]),
    "cores": st.integers(1, 4),
    "swap": st.sampled_from([0, 64]),
    "onboot": st.booleans(),
    "tags": st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=2),
    "description": st.sampled_from(["", "one line", "two\nlines: and %"]),
    "startup": st.fixed_dictionaries({"order": st.integers(1, 3)}),
    "nameserver": st.lists(st.sampled_from(["10.0.0.1", "fd00::1"]), unique=True, max_size=2),
    "networks": st.lists(
        st.fixed_dictionaries({"bridge": st.just("vmbr0"), "ip": st.just("dhcp"), "firewall": st.booleans()}),
        max_size=2,
    ),
    "mount_points": st.sampled_from([[], DATA]),
    "state": st.sampled_from(["present", "started", "stopped"]),
}


VM_OPTIONS: dict[str, st.SearchStrategy[t.Any]] = {
    **{name: OPTIONS[name] for name in ("memory", "onboot", "tags", "description", "startup", "state")},
    "cores": st.integers(1, 2),
    "balloon": st.sampled_from([0, 64]),
    "disks": st.lists(st.just({"storage": "local-lvm", "size": "1G"}), max_size=2),
    "networks": st.lists(st.fixed_dictionaries({"bridge": st.just("vmbr0"), "firewall": st.booleans()}), max_size=2),
    "agent": st.fixed_dictionaries({"enabled": st.booleans()}),
}


def declared(name: str) -> st.SearchStrategy[Params]:
    """A VM that waits for an agent, and has none, is stopped hard."""
    if name == VM:
        fixed = {"name": st.just(name), "type": st.just("vm"), "force": st.just(True)}
        return st.fixed_dictionaries(fixed, optional=VM_OPTIONS)
    return st.fixed_dictionaries({"name": st.just(name), "type": st.just("lxc")}, optional=OPTIONS)


def declarations(names: tuple[str, ...]) -> st.SearchStrategy[list[Params]]:
    """Some guests of these names, each with some of the options of its type."""
    return st.lists(st.sampled_from(names), unique=True, min_size=1).flatmap(
        lambda chosen: st.tuples(*map(declared, chosen)).map(list)
    )


def one_by_one(bench: Bench, guests: list[Params]) -> None:
    common = {key: value for key, value in DEFAULTS.items() if key != "type"}
    for guest in guests:
        options = {key: value for key, value in guest.items() if key not in ("name", "type")}
        if guest["type"] == "vm":
            bench.good("vm_create", **{"name": guest["name"], **options})
        else:
            bench.good("lxc_create", **{**common, "hostname": guest["name"], **options})


def is_the_same(bench: Bench, first: list[Params], then: list[Params]) -> None:
    for guests in (first, then):
        bench.good("guests", defaults=DEFAULTS, guests=guests)
        assert not bench.good("guests", defaults=DEFAULTS, guests=guests).changed
    together = configs(bench)
    remove_all(bench)
    for guests in (first, then):
        one_by_one(bench, guests)
    assert configs(bench) == together
    remove_all(bench)


WAITING: Params = {"name": VM, "type": "vm", "force": True, "agent": {"enabled": True}}
UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@settings(max_examples=3, **UNHURRIED)
@given(declarations((NAMES[0], VM)), declarations((NAMES[0], VM)))
@example([{**WAITING, "state": "started"}], [{**WAITING, "state": "stopped"}])
def test_a_list_is_its_guests_one_after_another(bench: Bench, first: list[Params], then: list[Params]) -> None:
    is_the_same(bench, first, then)


@pytest.mark.thorough
@settings(max_examples=40, **UNHURRIED)
@given(declarations((*NAMES, VM)), declarations((*NAMES, VM)))
def test_any_list_is_its_guests_one_after_another(bench: Bench, first: list[Params], then: list[Params]) -> None:
    is_the_same(bench, first, then)


# -- killed ----------------------------------------------------------------------------------------------------------


def kill_somewhere(bench: Bench, process: subprocess.Popen[str], chance: random.Random) -> None:
    """Kill a run once so many commands have been started, and a moment later, with or without its commands."""
    nth, moment, group = chance.randint(1, 2 * len(LIST)), chance.uniform(0, 0.4), chance.random() < 0.5
    deadline = time.monotonic() + 300
    while len(bench.writes()) < nth and process.poll() is None:
        assert time.monotonic() < deadline, "the commands never came"
        time.sleep(0.002)
    time.sleep(moment)
    with contextlib.suppress(ProcessLookupError):  # it may have ended by itself just now
        os.killpg(process.pid, signal.SIGKILL) if group else process.kill()
    process.communicate()


def check_killed_runs(bench: Bench, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    params = {**bench.connection, "defaults": DEFAULTS, "guests": LIST, "concurrency": "3"}
    bench.good("guests", **params)
    right, volumes = configs(bench), len(all_volumes(bench))
    for _number in range(kills):
        remove_all(bench)
        bench.node.forget()
        kill_somewhere(bench, spawn(params, "guests"), chance)
        made = bench.good("guests", **params)
        assert configs(bench) == right
        assert [entry["status"] for entry in made.guests] == ["running"] * len(LIST)
        assert len(all_volumes(bench)) == volumes
        assert list((bench.node.root / "var/lib/pve-provision/journal").glob("*.json")) == []
        assert not bench.good("guests", **params).changed


@pytest.fixture
def killable(bench: Bench) -> Bench:
    if bench.backend == "api":
        pytest.skip("over the API the task goes on in PVE, whoever asked for it")
    return bench


def test_what_a_killed_run_left_is_made_good_by_the_next(killable: Bench) -> None:
    check_killed_runs(killable, 3, seed=1)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(10))
def test_what_any_killed_run_left_is_made_good_by_the_next(killable: Bench, seed: int) -> None:
    check_killed_runs(killable, 5, seed)


# -- two at once -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"), [(LIST, LIST), (LIST[:3], LIST[1:]), (LIST[:2], LIST[2:])], ids=["same", "overlap", "apart"]
)
def test_two_runs_at_once_make_each_guest_once(bench: Bench, one: list[Params], other: list[Params]) -> None:
    runs = [
        spawn({**bench.connection, "defaults": DEFAULTS, "guests": guests, "concurrency": "2"}, "guests")
        for guests in (one, other)
    ]
    answers = []
    for run in runs:
        out, err = run.communicate(timeout=600)
        assert out, err
        answers.append(json.loads(out))
    assert [answer.get("msg") for answer in answers if answer.get("failed")] == []
    assert sorted(configs(bench)) == sorted(NAMES)
    assert len(list((bench.node.root / "etc/pve/lxc").glob("*.conf"))) == len(NAMES)
    assert len(all_volumes(bench)) == len(NAMES)
    assert not bench.good("guests", defaults=DEFAULTS, guests=LIST).changed


# -- planned together ------------------------------------------------------------------------------------------------


def test_guests_are_asked_inside_at_the_same_time_when_they_are_planned(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bench.backend == "api":
        pytest.skip("on the node containers are entered by pct exec")
    guests = [{**each, "packages": ["nginx"]} for each in LIST[:2]]
    bench.good("guests", defaults=DEFAULTS, guests=guests)
    together = threading.Barrier(len(guests), timeout=60)  # one that comes alone breaks it
    asked: list[int] = []

    def by_exec(containers: Containers, vmid: int) -> Shell:
        def shell(script: str, *, timeout: int) -> Completed:
            together.wait()
            asked.append(vmid)
            return containers.exec(vmid, SHELL, stdin=script, timeout=timeout)

        return shell

    monkeypatch.setattr(guest_connection, "by_exec", by_exec)
    answer = bench.good("guests", defaults=DEFAULTS, guests=guests, concurrency=2)
    assert [(guest["name"], guest["setup"]) for guest in answer.guests] == [
        (guest["name"], {"changed": [], "verified_by": "pct exec"}) for guest in guests
    ]
    assert (answer.changed, sorted(asked)) == (False, sorted(guest["vmid"] for guest in answer.guests))


def test_storages_are_asked_for_while_the_declarations_of_new_guests_are_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes half a second on a node."""
    asked = threading.Event()
    ask, read = NodeView.__getattr__, DeclaredType.read

    def told(view: NodeView, name: str) -> t.Any:
        if name == "storages":
            asked.set()
        return ask(view, name)

    def waiting(kind: DeclaredType, values: Params, nulls: frozenset[Path]) -> t.Any:
        assert asked.wait(60)
        return read(kind, values, nulls)

    monkeypatch.setattr(NodeView, "__getattr__", told)
    monkeypatch.setattr(DeclaredType, "read", waiting)
    assert bench.good("guests", defaults=DEFAULTS, guests=LIST[:2]).changed
