# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting: how often somebody is asked, when for the last time, and what is tried again."""

from __future__ import annotations

import itertools
import random
import time

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, ProvisionError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM, growing, poll, retry, rounds


class Interrupted(BaseException):
    """What a signal handler raises."""


class InterruptedClock(FakeClock):
    def sleep(self, seconds: float) -> None:
        raise Interrupted


def test_the_clock_of_the_machine_counts_on() -> None:
    before, of_the_day = SYSTEM.now(), SYSTEM.wall()
    SYSTEM.sleep(0.001)
    assert SYSTEM.now() > before
    assert abs(of_the_day - time.time()) < 60


def test_pauses_grow_up_to_the_longest() -> None:
    assert list(itertools.islice(growing(1.0, 3.0), 5)) == [1.0, 1.5, 2.25, 3.0, 3.0]


@pytest.mark.parametrize(
    ("timeout", "takes", "enough_at", "asked"),
    [
        (0, 0, None, [(0, True)]),
        (-5, 0, None, [(0, True)]),
        (10, 0, 1, [(0, False)]),
        (10, 0, 3, [(0, False), (1, False), (2.5, False)]),
        (10, 0, None, [(0, False), (1, False), (2.5, False), (4.5, False), (6.5, False), (8.5, False), (10, True)]),
        (10, 4, None, [(0, False), (5, False), (10, True)]),
        (10, 30, None, [(0, False), (30.01, True)]),
    ],
)
def test_rounds_end_by_the_clock(
    timeout: float, takes: float, enough_at: int | None, asked: list[tuple[float, bool]]
) -> None:
    """However long a round takes, the last one is when the time is over."""
    clock = FakeClock()
    seen: list[tuple[float, bool]] = []
    for last in rounds(timeout, clock, (1.0, 2.0)):
        seen.append((round(clock.now() - 100, 6), last))
        clock.time += takes
        if len(seen) == enough_at:
            break
    assert seen == asked


def test_a_poll_ends_with_the_first_good_answer() -> None:
    clock, answers = FakeClock(), iter(range(100))
    assert poll(lambda: next(answers), lambda answer: answer == 3, timeout=60, clock=clock) == 3
    assert clock.slept == [0.25, 0.375, 0.5625]


def test_a_poll_in_vain_ends_with_the_last_answer_when_the_time_is_over() -> None:
    clock = FakeClock()
    assert poll(lambda: "not yet", lambda answer: answer == "now", timeout=60, clock=clock) == "not yet"
    assert 160 <= clock.now() < 160.1


def test_nobody_is_asked_again_once_an_answer_took_all_the_time() -> None:
    clock, asked = FakeClock(), []

    def ask() -> bool:
        asked.append(clock.now())
        clock.time += 60
        return False

    assert poll(ask, bool, timeout=60, clock=clock) is False
    assert asked == [100]


def test_what_a_signal_handler_raises_ends_a_poll() -> None:
    with pytest.raises(Interrupted):
        poll(lambda: False, bool, timeout=60, clock=InterruptedClock())


class Attempts:
    """Something that fails in a row of ways before it succeeds; each attempt takes some time."""

    def __init__(self, clock: FakeClock, *errors: ProvisionError, takes: float = 0.0) -> None:
        self.clock, self.errors, self.takes = clock, list(errors), takes
        self.left: list[float] = []

    def __call__(self, left: float) -> str:
        self.left.append(left)
        self.clock.time += self.takes
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    def run(self, timeout: float) -> str:
        return retry(self, lambda error: error.message == "locked", timeout=timeout, clock=self.clock)


def test_an_attempt_that_is_worth_it_is_made_again() -> None:
    attempts = Attempts(FakeClock(), Conflict("locked"), Conflict("locked"))
    assert attempts.run(60) == "done"
    assert attempts.left[0] == 60
    assert attempts.left == sorted(attempts.left, reverse=True)
    assert len(attempts.left) == 3


def test_another_error_is_raised_at_once() -> None:
    attempts = Attempts(FakeClock(), Conflict("locked"), Conflict("no such guest"))
    with pytest.raises(Conflict, match="no such guest"):
        attempts.run(60)
    assert len(attempts.left) == 2


def test_no_attempt_begins_when_the_time_is_over() -> None:
    attempts = Attempts(FakeClock(), *[Conflict("locked")] * 9, takes=25)
    with pytest.raises(Conflict, match="locked"):
        attempts.run(60)
    assert all(left > 0 for left in attempts.left)
    assert len(attempts.left) == 3


def test_a_pause_that_would_outlast_the_time_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause is drawn at random: what counts is the one that was drawn."""
    monkeypatch.setattr(random, "uniform", lambda _least, most: most)
    attempts = Attempts(FakeClock(), *[Conflict("locked")] * 9)
    with pytest.raises(Conflict, match="locked"):
        attempts.run(0.6)
    assert len(attempts.left) == 1


def test_the_error_before_is_reported_where_a_later_attempt_had_too_little_time() -> None:
    with pytest.raises(Conflict, match="locked") as caught:
        Attempts(FakeClock(), Conflict("locked"), Timeout("too late")).run(60)
    assert isinstance(caught.value.__cause__, Timeout)


def test_a_timeout_of_the_first_attempt_is_reported_as_it_is() -> None:
    with pytest.raises(Timeout, match="too late"):
        Attempts(FakeClock(), Timeout("too late")).run(60)
