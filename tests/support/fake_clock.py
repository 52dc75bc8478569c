# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clocks that a test gives to what waits."""

from __future__ import annotations

import time


class FakeClock:
    """Time that passes only when somebody sleeps, or when a test lets it pass. ``slept`` are the pauses."""

    def __init__(self, now: float = 100.0, wall: float = 1_777_629_600.0) -> None:
        self.time = now
        self.offset = wall - now
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time + self.offset

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


class ImpatientClock:
    """The machine's own time, but it runs ahead instead of pausing: what is waited for in vain is given up at once, not
    after a minute. What comes late may be given up too, so it is for tests in which something never comes."""

    def __init__(self) -> None:
        self.paused = 0.0

    def now(self) -> float:
        return time.monotonic() + self.paused

    def wall(self) -> float:
        return time.time() + self.paused

    def sleep(self, seconds: float) -> None:
        self.paused += max(seconds, 15)
        time.sleep(min(seconds, 0.2))
