# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: time, and waiting. Whatever waits does so by a :class:`Clock` that it is given.

Nothing here catches what is raised while it sleeps, so a signal handler that raises ends any waiting.
"""

from __future__ import annotations

import random
import time
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, ProvisionError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt

Answer = t.TypeVar("Answer")

#: Pauses (s) between two questions: they grow from the first to the second.
PAUSES: t.Final = (0.25, 2.0)
#: Pauses (s) between two attempts to do something.
ATTEMPTS: t.Final = (0.5, 10.0)
_GROWTH: t.Final = 1.5
#: The least pause (s), so that time passes when a pause is cut short by a deadline.
_LEAST: t.Final = 0.01


class Clock(t.Protocol):
    """Where time comes from. Seconds."""

    def now(self) -> float:
        """Counts up, from wherever."""

    def wall(self) -> float:
        """The time of day, since the epoch."""

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


#: The clock of a run that was given no other.
SYSTEM: Clock = SystemClock()


def growing(first: float, longest: float) -> t.Iterator[float]:
    """Pauses without end, each half as long again as the one before, up to the longest."""
    while True:
        yield first
        first = min(first * _GROWTH, longest)


def rounds(timeout: float, clock: Clock, pauses: tuple[float, float] = PAUSES) -> t.Iterator[bool]:
    """Rounds of a loop that waits for ``timeout`` (s) at most: yields whether this one is the last, and pauses after
    it. There is always one round, and always one when the time is over."""
    deadline = clock.now() + timeout
    for pause in growing(*pauses):
        last = clock.now() >= deadline
        yield last
        if last:
            return
        clock.sleep(max(min(pause, deadline - clock.now()), _LEAST))


def poll(
    ask: t.Callable[[], Answer],
    until: t.Callable[[Answer], object],
    *,
    timeout: float,
    clock: Clock,
    pauses: tuple[float, float] = PAUSES,
) -> Answer:
    """Ask until the answer is good, for ``timeout`` (s) at most; the last answer, good or not.

    Nobody is asked again once an answer has come when the time was over.
    """
    deadline = clock.now() + timeout
    for _last in rounds(timeout, clock, pauses):
        answer = ask()
        if until(answer) or clock.now() >= deadline:
            break
    return answer


def await_end(is_busy: t.Callable[[], bool], goes_on: str, *, timeout: float, clock: Clock) -> None:
    """Wait for the end of what others do, such as a command that outlives the killed run that had started it. Raises
    Conflict when it ``goes_on``, in words, after the time."""

    def ask() -> bool:
        interrupt.check()
        return is_busy()

    if poll(ask, lambda busy: not busy, timeout=timeout, clock=clock):
        raise Conflict(f"After {timeout:.0f} s {goes_on}.", remedy="Wait for that task, or raise the timeout.")


def retry(
    attempt: t.Callable[[float], Answer],
    again: t.Callable[[ProvisionError], bool],
    *,
    timeout: float,
    clock: Clock,
    pauses: tuple[float, float] = ATTEMPTS,
) -> Answer:
    """Attempt something until it succeeds, as long as ``again`` says of its error that it is worth another attempt.

    ``attempt`` is told how many seconds are left, and is no longer started when they are over. When a later attempt
    runs out of time, the error of the one before is raised: it says why there was so little time.
    """
    deadline = clock.now() + timeout
    before: ProvisionError | None = None
    for pause in growing(*pauses):
        try:
            return attempt(deadline - clock.now())
        except Timeout as late:
            raise before or late from late
        except ProvisionError as error:
            pause *= random.uniform(0.5, 1.5)
            if not again(error) or clock.now() + pause >= deadline:
                raise
            before = error
        clock.sleep(pause)
    raise AssertionError("pauses have no end")
