# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a guest: made at once, again while there is time, and told with who was asked what and when."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._engine.verify import probes
from ansible_collections.pve.provision.plugins.module_utils._engine.verify.examine import (
    Answers,
    Blocks,
    Target,
    examine,
)
from ansible_collections.pve.provision.plugins.module_utils._errors import PveError, Unsupported
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.known import Known
from ansible_collections.pve.provision.plugins.module_utils._model.checks.network import Reply
from ansible_collections.pve.provision.plugins.module_utils._model.checks.table import TYPES
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

OPTIONS = {
    "query": "example.org", "service": "nginx", "package": "nginx", "command": "true", "interface": "lan",
    "min_seconds": 1, "port": 80, "bridge": "vmbr1",
}  # fmt: skip
INFO = check("command", command="docker info", expect=r"Server Version: \S+")


def any_check(kind: str) -> Check:
    return check(kind, **{name: OPTIONS[name] for name in TYPES[kind].options if name in OPTIONS})


INSIDE = [kind for kind, known in TYPES.items() if known.way == "inside"]
NETWORK = [kind for kind, known in TYPES.items() if known.way == "network"]


def answering(rc: int = 0, out: str = "", err: str = "") -> Target:
    return Target(ask=lambda _guest, blocks: {name: Completed(rc, out, err) for name in blocks})


def refusing(error: Exception) -> Target:
    def ask(_guest: str, _blocks: Blocks) -> Answers:
        raise error

    return Target(ask=ask)


def outcome(asked: Check, target: Target) -> str:
    (verdict,) = examine([asked], lambda: target, FakeClock(), waits=False)
    return f"{verdict.answer.outcome}: {verdict.answer.detail}"


# -- what cannot be asked --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", INSIDE)
def test_where_there_is_no_way_in_nothing_is_verified(kind: str) -> None:
    assert outcome(any_check(kind), refusing(Unsupported("only the node"))) == "not_verified: only the node"


@pytest.mark.parametrize("kind", INSIDE)
def test_a_shell_that_does_not_answer_verifies_nothing(kind: str) -> None:
    assert outcome(any_check(kind), refusing(PveError("no answer"))) == "not_verified: no answer"


@pytest.mark.parametrize("kind", INSIDE)
def test_a_shell_that_ended_too_early_verifies_nothing(kind: str) -> None:
    target = Target(ask=lambda _guest, _blocks: {})
    assert outcome(any_check(kind), target) == "not_verified: the guest's shell ended before this check"


@pytest.mark.parametrize("kind", [*INSIDE, *NETWORK, "address", "agent"])
def test_of_a_guest_that_is_stopped_nothing_is_verified_and_nobody_asks_again(kind: str) -> None:
    target = Target(["127.0.0.1"], refusing(AssertionError()).ask, Known("pve1", "stopped", "running"))
    (verdict,) = examine([replace(any_check(kind), retries=3)], lambda: target, FakeClock(), waits=True)
    assert (verdict.answer.outcome, verdict.answer.detail) == ("not_verified", "it is stopped")
    assert verdict.attempts == 1


@pytest.mark.parametrize("kind", [kind for kind in NETWORK if kind != "dhcp"])
def test_without_an_address_nothing_is_verified(kind: str) -> None:
    assert outcome(any_check(kind), Target()) == "not_verified: no address of the guest is known"


def test_on_bridges_only_the_node_itself_can_ask() -> None:
    target = Target(["192.0.2.1"], on_node=False)
    assert outcome(any_check("dhcp"), target) == "not_verified: only the node itself can ask on its bridges"


# -- addresses -------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were asked; 192.0.2.1 cannot be reached, 192.0.2.2 refuses, 192.0.2.3 answers."""
    asked: list[str] = []
    ends: dict[str, t.Any] = {"192.0.2.1": "no_way", "192.0.2.2": "refused", "192.0.2.3": "answered"}

    def probe(_check: Check, address: str) -> Reply:
        asked.append(address)
        return Reply(ends[address], "tcp", ends[address])

    monkeypatch.setitem(probes.PROBES, "tcp", probe)
    return asked


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ([1, 2, 3], "passed: answered"),
        ([3, 2], "passed: answered"),
        ([1, 2], "failed: refused"),
        ([2, 1], "failed: refused"),
        ([1], "not_verified: no_way"),
    ],
)
def test_one_address_that_answers_is_enough(addresses: list[int], expected: str, asked: list[str]) -> None:
    target = Target([f"192.0.2.{number}" for number in addresses])
    assert outcome(check("tcp", port=80), target) == expected


def test_an_address_of_the_check_goes_before_those_of_the_guest(asked: list[str]) -> None:
    (verdict,) = examine([check("tcp", port=80, address="192.0.2.3")], lambda: Target(["192.0.2.1"]), FakeClock())
    assert (asked, verdict.answer.by) == (["192.0.2.3"], "192.0.2.3")


# -- one script ------------------------------------------------------------------------------------------------------


def test_all_that_a_guest_is_asked_goes_into_one_script() -> None:
    scripts: list[tuple[str, list[str]]] = []

    def ask(guest: str, blocks: Blocks) -> Answers:
        scripts.append((guest, [name.split()[1] for name in blocks]))
        return {name: Completed(0, "systemd\nactive\nenabled\n", "") for name in blocks}

    checks = [any_check("service"), any_check("package"), check("command", command="x", guest="k1"), any_check("disk")]
    examine(checks, lambda: Target(ask=ask), FakeClock(), waits=False)
    assert sorted(scripts) == [("", ["service", "package", "disk"]), ("k1", ["command"])]


def test_what_has_passed_is_not_asked_again() -> None:
    asked: list[list[str]] = []

    def ask(_guest: str, blocks: Blocks) -> Answers:
        asked.append([name.split()[1] for name in blocks])
        rc = 1 if len(asked) < 3 else 0
        return {name: Completed(0 if "package" in name else rc, "1.0\n", "") for name in blocks}

    examine([any_check("package"), any_check("command")], lambda: Target(ask=ask), FakeClock())
    assert asked == [["package", "command"], ["command"], ["command"]]


# -- waiting ---------------------------------------------------------------------------------------------------------


def states(*targets: Target) -> t.Callable[[], Target]:
    left = iter(targets)
    return lambda: next(left)


def test_a_guest_that_boots_is_asked_until_it_is_green() -> None:
    clock = FakeClock()
    look = states(answering(127), answering(1), answering(0, "Server Version: 1"))
    (verdict,) = examine([INFO], look, clock)
    assert (verdict.answer.outcome, verdict.attempts) == ("passed", 3)
    assert verdict.seconds == sum(clock.slept)
    assert len(clock.slept) == 2


def test_what_stays_red_is_given_up_when_its_time_is_over() -> None:
    clock = FakeClock()
    short, long = (check("command", command=name, timeout=time) for name, time in (("x", 10), ("y", 60)))
    verdicts = examine([short, long], lambda: answering(1), clock)
    assert [each.answer.outcome for each in verdicts] == ["failed", "failed"]
    assert sum(clock.slept) == pytest.approx(60)
    assert verdicts[0].seconds < verdicts[1].seconds


@pytest.mark.parametrize(("waits", "timeout"), [(False, None), (True, 0)])
def test_without_time_it_is_looked_at_once(waits: bool, timeout: int | None) -> None:
    clock = FakeClock()
    examine([INFO], lambda: answering(1), clock, waits=waits, timeout=timeout)
    assert clock.slept == []


@pytest.mark.parametrize(("red", "attempts", "expected"), [(1, 2, "passed"), (2, 3, "passed"), (3, 3, "failed")])
def test_a_check_is_made_again_as_often_as_it_says(red: int, attempts: int, expected: str) -> None:
    asked = check("command", command="x", retries=2)
    look = states(*[answering(1)] * red, answering(0))
    (verdict,) = examine([asked], look, FakeClock(), waits=False)
    assert (verdict.answer.outcome, verdict.attempts) == (expected, attempts)


def test_what_can_never_be_asked_is_not_waited_for() -> None:
    clock = FakeClock()
    examine([INFO], lambda: refusing(Unsupported("no")), clock)
    assert clock.slept == []


def test_without_checks_there_is_nothing_to_wait_for() -> None:
    clock = FakeClock()
    assert examine([], answering, clock) == []
    assert clock.slept == []


def test_a_verdict_reports_who_was_asked_what_and_when() -> None:
    (verdict,) = examine([INFO], lambda: answering(0, "Server Version: 1"), FakeClock())
    told = verdict.view()
    assert told.pop("at").endswith("Z")
    assert told == {
        "name": "docker info",
        "type": "command",
        "outcome": "passed",
        "asked": "docker info",
        "detail": "Server Version: 1",
        "by": "guest",
        "attempts": 1,
        "seconds": 0.0,
    }
