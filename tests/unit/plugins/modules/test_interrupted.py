# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are told to end, or whose reader has gone: the step in hand is finished or taken back, and no other one
begins. What is there is exact, and the next run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import typing as t

import pytest

from .conftest import Bench, Params, answer, spawn

ENTRIES: tuple[Params, ...] = (
    {"name": "web1", "networks": [{"bridge": "vmbr0", "ip": "10.0.0.1/24"}]},
    {"name": "web2", "networks": [{"bridge": "vmbr0", "ip": "10.0.0.2/24"}], "after": ["web1"]},
    {"name": "web3", "networks": [{"bridge": "vmbr0", "ip": "10.0.0.3/24"}]},
)


def fleet(**more: t.Any) -> Params:
    """Three guests, one after the other."""
    defaults = {"type": "lxc", "ostemplate": "alpine-3.22-default", "rootfs": {"storage": "local-lvm", "size": 1}}
    return {"defaults": {**defaults, **more}, "guests": list(ENTRIES), "concurrency": "1"}


def begun(bench: Bench, params: Params) -> subprocess.Popen[str]:
    """A run in a process of its own that is in the middle of creating its first guest."""
    bench.node.fault("slow", at="extract", seconds=3)
    process = spawn({**bench.connection, **params}, "guests")
    deadline = time.monotonic() + 120
    while "create" not in locks(bench):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing was created"
        time.sleep(0.01)
    return process


def configs(bench: Bench) -> dict[str, dict[str, str]]:
    """The configs of all containers by hostname."""
    vmids = [int(path.stem) for path in (bench.node.root / "etc/pve/lxc").glob("*.conf")]
    return {config.get("hostname", str(vmid)): config for vmid in vmids for config in [bench.config(vmid)]}


def locks(bench: Bench) -> set[str | None]:
    return {config.get("lock") for config in configs(bench).values()}


def assert_exact(bench: Bench, *names: str) -> None:
    """Whole guests of these names, and nothing else that a run may leave: no lock, no volume, no note."""
    there = configs(bench)
    assert sorted(there) == sorted(names)
    assert locks(bench) <= {None}
    named = {config["rootfs"].split(",")[0] for config in there.values()}
    volumes = {volid for vmid in range(100, 110) for volid in bench.volumes("local-lvm", vmid)}
    assert volumes == named
    assert list((bench.node.root / "var/lib/pve-provision/journal").glob("*.json")) == []


def assert_next_run_ends_it(bench: Bench, params: Params) -> None:
    bench.good("guests", **params)
    assert_exact(bench, "web1", "web2", "web3")
    assert not bench.good("guests", **params).changed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_the_step_in_hand_is_finished_and_no_guest_begins(bench: Bench, number: signal.Signals) -> None:
    process = begun(bench, fleet())
    os.killpg(process.pid, number)
    failed = answer(process)
    assert failed["error"] == "interrupted"
    assert failed["msg"].splitlines() == [
        f"The run was interrupted: {number.name} came. Run again to continue.",
        "done: web1",
        f"not started: web2, web3 ({number.name} came)",
    ]
    assert [entry.get("skipped") for entry in failed["guests"]] == [None, *2 * [f"{number.name} came"]]
    assert failed["changed"]
    assert_exact(bench, "web1")
    if number == signal.SIGTERM:  # what is left is the same with each
        assert_next_run_ends_it(bench, fleet())


def test_a_guest_that_lacks_a_step_is_taken_back(bench: Bench) -> None:
    process = begun(bench, fleet(state="started"))
    os.killpg(process.pid, signal.SIGTERM)
    failed = answer(process)
    assert "start was not started. The run was interrupted: SIGTERM came. Run again." in failed["msg"]
    assert "which this run had created, was removed again" in failed["msg"]
    assert "done: none" in failed["msg"]
    assert_exact(bench)
    assert_next_run_ends_it(bench, fleet(state="started"))


def test_without_cleanup_on_failure_it_stays_and_the_next_run_goes_on_with_it(bench: Bench) -> None:
    params = fleet(state="started", cleanup_on_failure=False)
    process = begun(bench, params)
    os.killpg(process.pid, signal.SIGTERM)
    failed = answer(process)
    assert "removed again" not in failed["msg"]
    assert list(configs(bench)) == ["web1"]
    made = bench.good("guests", **params)
    assert [step["step"] for step in made.guests[0]["plan"]] == ["start"]
    assert_exact(bench, "web1", "web2", "web3")


def test_a_lost_connection_interrupts_as_a_signal_does(bench: Bench) -> None:
    process = begun(bench, fleet())
    assert process.stdout and process.stderr
    process.stdout.close()
    process.stderr.close()
    assert process.wait(300) != 0
    assert_exact(bench, "web1")
    assert_next_run_ends_it(bench, fleet())


def test_a_module_for_one_guest_is_interrupted_between_two_steps(bench: Bench) -> None:
    params = {"hostname": "web1", "state": "started", **fleet()["defaults"]}
    del params["type"]
    bench.node.fault("slow", at="extract", seconds=3)
    process = spawn({**bench.connection, **params}, "lxc_create")
    while "create" not in locks(bench) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    failed = answer(process)
    assert (failed["error"], failed["step"]) == ("interrupted", "start")
    assert_exact(bench)
    assert bench.good("lxc_create", **params).status == "running"
