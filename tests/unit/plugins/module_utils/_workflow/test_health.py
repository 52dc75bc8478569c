# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses a guest has: how they are shown, and how long somebody is asked for them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._workflow import health


class Clock:
    """Time that passes only when somebody sleeps, or takes his time to answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(health.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(health.time, "sleep", self.pass_by)

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("timeout", "takes", "enough_at", "asked"),
    [
        (0, 0, None, [(0, True)]),
        (10, 0, 1, [(0, False)]),
        (10, 0, 3, [(0, False), (1, False), (2.5, False)]),
        (10, 0, None, [(0, False), (1, False), (2.5, False), (4.5, False), (6.5, False), (8.5, False), (10, True)]),
        (10, 4, None, [(0, False), (5, False), (10, True)]),
        (10, 30, None, [(0, False), (30, True)]),
    ],
)
def test_asking_ends_by_the_clock(
    monkeypatch: pytest.MonkeyPatch,
    timeout: float,
    takes: float,
    enough_at: int | None,
    asked: list[tuple[float, bool]],
) -> None:
    """Pauses grow from 1 s to 2 s; however long an answer takes, the last time is when the time is over."""
    clock, seen = Clock(monkeypatch), []

    def ask(last: bool) -> int:
        seen.append((clock.now - 100, last))
        clock.pass_by(takes)
        return len(seen)

    answer = health.ask_until(ask, lambda answer: answer == enough_at, timeout, (1.0, 2.0))
    assert seen == asked
    assert answer == len(asked)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10.0.0.5/24", ("10.0.0.5", 24, "ipv4")),
        ("10.0.0.5/32", ("10.0.0.5", 32, "ipv4")),
        ("10.0.0.5", ("10.0.0.5", None, "ipv4")),
        ("fd00::5/64", ("fd00::5", 64, "ipv6")),
        ("fd00::5", ("fd00::5", None, "ipv6")),
    ],
)
def test_an_address_has_the_prefix_that_somebody_told(text: str, shown: tuple[t.Any, ...]) -> None:
    address = health.make_address("wan", text, "neighbour", None)
    assert (address["address"], address["prefix"], address["family"]) == shown
