# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses a guest has: how they are shown, and how long somebody is asked for them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine import addresses as health
from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._model.network import NET
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node


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


class Witness:
    """A node that can be asked about the addresses of one container."""

    def __init__(self, transport: str, *answers: dict[str, list[str]] | None, met: dict[str, list[str]] | None = None):
        self.transport = transport
        self.answers = list(answers)
        self.met = met or {}
        self.asked = 0
        self.local = frozenset[str]()

    def interfaces(self, kind: str, vmid: int) -> list[dict[str, t.Any]]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise PveError("nobody answers")
        return [{"name": name, "hwaddr": "bc:24:11:00:00:01", "inet": held} for name, held in answer.items()]

    def local_addresses(self, vmid: int) -> frozenset[str] | None:
        return self.local if self.transport == "cli" else None

    def neighbours(self) -> dict[str, list[str]]:
        return self.met

    def config(self, kind: str, vmid: int) -> GuestConfig:
        return GuestConfig(NETS, NETS)


MAC = "BC:24:11:00:00:01"
NETS = {"net0": f"name=eth0,bridge=vmbr0,hwaddr={MAC},ip=10.0.0.5/24,type=veth", "cores": "1"}
LEASED = {"net0": f"name=eth0,bridge=vmbr0,hwaddr={MAC},ip=dhcp,type=veth"}
LO: dict[str, list[str]] = {"lo": ["127.0.0.1/8"]}
UP = {**LO, "eth0": ["10.0.0.5/24"]}
OTHER = {**LO, "eth0": ["10.0.0.9/24"]}


@pytest.mark.parametrize(
    ("node", "options", "timeout", "wait", "found", "lacking", "asked"),
    [
        (Witness("cli", UP), NETS, 0, False, [("10.0.0.5", "declared")], [], 0),
        (Witness("cli", UP), NETS, 30, False, [("10.0.0.5", "guest")], [], 1),
        (Witness("cli", LO), NETS, 30, False, [], ["eth0"], 1),
        (Witness("cli", OTHER), NETS, 30, False, [("10.0.0.9", "guest")], ["eth0"], 1),
        (Witness("cli", LO, LO, UP), NETS, 30, True, [("10.0.0.5", "guest")], [], 3),
        (Witness("cli", None), NETS, 30, False, [("10.0.0.5", "declared")], [], 1),
        (Witness("cli", None, met={MAC: ["10.0.0.5"]}), NETS, 30, False, [("10.0.0.5", "neighbour")], [], 1),
        (Witness("cli", None, met={MAC: ["10.0.0.9"]}), NETS, 30, False, [("10.0.0.5", "declared")], [], 1),
        (Witness("cli", LO), LEASED, 30, False, [], ["eth0"], 1),
        (Witness("cli", UP), LEASED, 30, False, [("10.0.0.5", "guest")], [], 1),
        (Witness("cli", UP), {"cores": "1"}, 30, True, [], [], 0),
        (Witness("api", UP), NETS, 30, False, [("10.0.0.5", "declared")], [], 0),
        (Witness("api", UP), NETS, 30, True, [("10.0.0.5", "guest")], [], 1),
        (Witness("api", UP), LEASED, 30, False, [("10.0.0.5", "guest")], [], 1),
    ],
)
def test_an_address_tells_who_has_seen_it(
    monkeypatch: pytest.MonkeyPatch,
    node: Witness,
    options: dict[str, str],
    timeout: int,
    wait: bool,
    found: list[tuple[str, str]],
    lacking: list[str],
    asked: int,
) -> None:
    Clock(monkeypatch)
    addresses, missing = health.await_addresses(t.cast("Node", node), 101, options, NET, timeout, wait=wait)
    assert [(entry["address"], entry["source"]) for entry in addresses] == found
    assert missing == lacking
    assert node.asked == asked


def test_declared_addresses_of_an_unchanged_container_are_seen_without_a_question() -> None:
    node = Witness("cli", UP)
    node.local = frozenset({"127.0.0.1", "10.0.0.5"})
    addresses, missing = health.await_addresses(t.cast("Node", node), 101, NETS, NET, 30, wait=False)
    assert [(entry["address"], entry["source"]) for entry in addresses] == [("10.0.0.5", "guest")]
    assert (missing, node.asked) == ([], 0)
