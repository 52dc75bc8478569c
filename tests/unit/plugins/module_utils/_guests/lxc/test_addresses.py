# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses a container has, who says so, and how long it is asked for them."""

from __future__ import annotations

import typing as t

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.addresses import await_addresses
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node


class Witness:
    """A node that can be asked about the addresses of one container."""

    def __init__(self, backend: str, *answers: dict[str, list[str]] | None, met: dict[str, list[str]] | None = None):
        self.backend = backend
        self.answers = list(answers)
        self.met = met or {}
        self.asked = 0
        self.clock = FakeClock()
        self.local = frozenset[str]()

    def interfaces(self, kind: str, vmid: int) -> list[dict[str, t.Any]]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise PveError("nobody answers")
        return [{"name": name, "hwaddr": "bc:24:11:00:00:01", "inet": held} for name, held in answer.items()]

    def local_addresses(self, vmid: int) -> frozenset[str] | None:
        return self.local if self.backend == "cli" else None

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
def test_an_address_names_its_source(
    node: Witness,
    options: dict[str, str],
    timeout: int,
    wait: bool,
    found: list[tuple[str, str]],
    lacking: list[str],
    asked: int,
) -> None:
    addresses, missing = await_addresses(t.cast("Node", node), 101, options, timeout, wait=wait)
    assert [(entry["address"], entry["source"]) for entry in addresses] == found
    assert missing == lacking
    assert node.asked == asked


def test_declared_addresses_of_an_unchanged_container_are_seen_without_a_question() -> None:
    node = Witness("cli", UP)
    node.local = frozenset({"127.0.0.1", "10.0.0.5"})
    addresses, missing = await_addresses(t.cast("Node", node), 101, NETS, 30, wait=False)
    assert [(entry["address"], entry["source"]) for entry in addresses] == [("10.0.0.5", "guest")]
    assert (missing, node.asked) == ([], 0)
