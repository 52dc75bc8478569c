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
import time
import typing as t

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedded_node import commands

from .conftest import Bench, Params, spawn

DEFAULTS: Params = {"type": "lxc", "ostemplate": "alpine-3.22-default", "rootfs": {"storage": "local-lvm", "size": 1}}
NAMES = ("db1", "mail1", "web1", "web2")
LIST: list[Params] = [
    {"name": name, "memory": 64 * (place + 1), "state": "started", "networks": [{"bridge": "vmbr0", "ip": "dhcp"}]}
    for place, name in enumerate(NAMES)
]
DATA = [{"storage": "local-lvm", "size": 1, "mp": "/srv"}]


def configs(bench: Bench) -> dict[str, dict[str, str]]:
    """The containers by name, without what is another one's each time: MAC addresses, and volumes' numbers."""
    found = {}
    for path in (bench.node.root / "etc/pve/lxc").glob("*.conf"):
        config = bench.config(int(path.stem))
        for key, value in config.items():
            config[key] = re.sub(r"hwaddr=[0-9A-F:]+", "hwaddr=X", re.sub(r"vm-\d+-disk-\d+", "vm-N-disk-N", value))
        found[config["hostname"]] = config
    return found


def remove_all(bench: Bench, names: t.Iterable[str] = NAMES) -> None:
    gone = [{"name": name, "type": "lxc", "state": "absent", "force": True} for name in names]
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


def declarations(names: tuple[str, ...]) -> st.SearchStrategy[list[Params]]:
    """Some guests of these names, each with some of the options."""
    return st.lists(st.sampled_from(names), unique=True, min_size=1).flatmap(
        lambda chosen: st.tuples(
            *(st.fixed_dictionaries({"name": st.just(name)}, optional=OPTIONS) for name in chosen)
        ).map(list)
    )


def one_by_one(bench: Bench, guests: list[Params]) -> None:
    common = {key: value for key, value in DEFAULTS.items() if key != "type"}
    for guest in guests:
        options = {key: value for key, value in guest.items() if key != "name"}
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


UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@settings(max_examples=3, **UNHURRIED)
@given(declarations(NAMES[:2]), declarations(NAMES[:2]))
def test_a_list_is_its_guests_one_after_another(bench: Bench, first: list[Params], then: list[Params]) -> None:
    is_the_same(bench, first, then)


@pytest.mark.thorough
@settings(max_examples=40, **UNHURRIED)
@given(declarations(NAMES), declarations(NAMES))
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
