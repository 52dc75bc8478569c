# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses a VM has, who says so, and how long it is asked for them."""

from __future__ import annotations

import typing as t

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.addresses import await_addresses
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

MAC, OTHER = "BC:24:11:00:00:01", "BC:24:11:00:00:02"
NET = {"net0": f"virtio={MAC},bridge=vmbr0", "cores": "1"}
UNPLUGGED = {"net0": f"virtio={MAC},bridge=vmbr0,link_down=1"}
WITH_AGENT = {**NET, "agent": "1"}
TOLD = {**NET, "ipconfig0": "ip=10.0.0.7/24,gw=10.0.0.1,ip6=auto", "ipconfig1": "ip=10.0.1.7/24"}


def card(mac: str, *addresses: str, name: str = "ens18") -> dict[str, t.Any]:
    return {"name": name, "hwaddr": mac.lower(), "inet": [text for text in addresses if "." in text]}


class Witness:
    """A node that can be asked about the addresses of one VM; each answer of its agent is given once, the last ever."""

    def __init__(self, *answers: list[dict[str, t.Any]] | None, met: dict[str, list[str]] | None = None) -> None:
        self.answers = list(answers)
        self.met = met or {}
        self.asked = 0
        self.clock = FakeClock()

    def interfaces(self, kind: str, vmid: int) -> list[dict[str, t.Any]]:
        assert kind == "qemu"
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise PveError("QEMU guest agent is not running")
        return answer

    def neighbours(self) -> dict[str, list[str]]:
        return self.met

    def config(self, kind: str, vmid: int) -> GuestConfig:
        return GuestConfig(NET, NET)


LO = card("00:00:00:00:00:00", "127.0.0.1/8", name="lo")
BOOTING, UP = [LO, card(MAC)], [LO, card(MAC, "10.0.0.5/24")]
BEHIND = [LO, card(OTHER, "172.17.0.1/16", name="docker0")]
MET = {MAC: ["10.0.0.9"]}


@pytest.mark.parametrize(
    ("node", "options", "timeout", "wait", "found", "lacking", "asked"),
    [
        (Witness(UP), WITH_AGENT, 0, True, [], [], 0),
        (Witness(UP), WITH_AGENT, 30, True, [("ens18", "10.0.0.5", "agent")], [], 1),
        (Witness(None, BOOTING, UP), WITH_AGENT, 30, True, [("ens18", "10.0.0.5", "agent")], [], 3),
        (Witness(None, None, UP, met=MET), WITH_AGENT, 30, True, [("ens18", "10.0.0.5", "agent")], [], 3),
        (Witness(BEHIND), WITH_AGENT, 1, True, [], ["net0"], 4),
        (Witness(None, met=MET), WITH_AGENT, 1, True, [("net0", "10.0.0.9", "neighbour")], [], 4),
        (Witness(BOOTING), WITH_AGENT, 30, False, [], ["net0"], 1),
        (Witness(UP, met=MET), NET, 30, True, [("net0", "10.0.0.9", "neighbour")], [], 0),
        (Witness(UP), NET, 30, True, [], ["net0"], 0),
        (Witness(UP), UNPLUGGED, 30, True, [], [], 0),
        (Witness(UP), {"cores": "1"}, 30, True, [], [], 0),
        (Witness(UP), TOLD, 0, True, [("net0", "10.0.0.7", "declared")], [], 0),
        (Witness(UP), {**TOLD, "agent": "1"}, 30, True, [("ens18", "10.0.0.5", "agent")], [], 1),
        (Witness(UP, met=MET), TOLD, 30, True, [("net0", "10.0.0.9", "neighbour")], [], 0),
        (Witness(UP), TOLD, 1, True, [("net0", "10.0.0.7", "declared")], ["net0"], 0),
    ],
)
def test_an_address_names_its_source(
    node: Witness,
    options: dict[str, str],
    timeout: int,
    wait: bool,
    found: list[tuple[str, str, str]],
    lacking: list[str],
    asked: int,
) -> None:
    addresses, missing = await_addresses(t.cast("Node", node), 101, options, timeout, wait=wait)
    assert [(entry["interface"], entry["address"], entry["source"]) for entry in addresses] == found
    assert (missing, node.asked) == (lacking, asked)
    assert all(entry["hwaddr"] == MAC for entry in addresses)


@pytest.mark.parametrize("limit", [2, 20])
def test_an_agent_that_does_not_answer_costs_its_own_limit_and_no_more(limit: int) -> None:
    node = Witness(None, met=MET)
    began = node.clock.now()
    found, missing = await_addresses(t.cast("Node", node), 101, WITH_AGENT, 300, wait=True, agent_timeout=limit)
    assert ([entry["source"] for entry in found], missing) == (["neighbour"], [])
    assert limit <= node.clock.now() - began <= limit + 3
