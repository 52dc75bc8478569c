# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks as a part of a run: what the run has asked already is not asked again, and whose addresses count."""

from __future__ import annotations

import types
import typing as t
from dataclasses import dataclass, field

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._access.shell import NO_ANSWER, Shell
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Result, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Resume
from ansible_collections.pve.provision.plugins.module_utils._errors import ChecksFailed, PveError
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.kind import LXC
from ansible_collections.pve.provision.plugins.module_utils._guests.verify.part import VerifyPart
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.kind import QEMU
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import check
from ansible_collections.pve.provision.plugins.module_utils._model.option import Declaration
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed, GuestRef

MAC = "BC:24:11:00:00:01"
OPTIONS = {"net0": f"name=eth0,bridge=vmbr0,hwaddr={MAC},ip=192.0.2.5/24,type=veth"}
DECLARED = {"interface": "eth0", "address": "192.0.2.5", "family": "ipv4", "hwaddr": MAC, "source": "declared"}
ETH0 = {"name": "eth0", "hwaddr": MAC, "inet": ["192.0.2.5/24"], "inet6": []}
DOCKER = {"name": "docker0", "hwaddr": "02:42:00:00:00:01", "inet": ["172.17.0.1/16"], "inet6": []}
TRUE = check("command", command="true")


@dataclass
class Node:
    """A node that tells what is asked of it."""

    told: list[list[dict[str, t.Any]]] = field(default_factory=list)
    met: dict[str, list[str]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    name: str = "pve1"
    clock: FakeClock = field(default_factory=FakeClock)
    containers: object = None

    def interfaces(self, _kind: str, _vmid: int) -> list[dict[str, t.Any]]:
        if not self.told:
            raise PveError("no agent")
        return self.told.pop(0)

    def neighbours(self) -> dict[str, list[str]]:
        return self.met

    def config(self, _kind: str, _vmid: int) -> t.Any:
        return types.SimpleNamespace(live=OPTIONS)

    def named(self, _kind: str, name: str) -> list[GuestRef]:
        return [GuestRef(301, "qemu", "pve1", name)] if name == "k1" else []

    def on(self, _name: str) -> Node:
        return self

    @property
    def agent(self) -> Node:
        return self

    def run(self, vmid: int, _argv: t.Sequence[str], *, stdin: str, timeout: int) -> Completed:
        self.asked.append(vmid)
        return answering(stdin)


def answering(script: str) -> Completed:
    """Every block of a script ends with 0."""
    mark = next(word for word in script.split() if word.strip("'\"").startswith("@@")).strip("'\"")
    blocks = script.count("() {")
    return Completed(0, "".join(f"\n{mark} {number} 0\n\n{mark}\n" for number in range(blocks)), "")


@dataclass
class Entered:
    """A guest's shell, and what it was asked."""

    scripts: list[str] = field(default_factory=list)
    answer: t.Callable[[str], Completed] = answering

    def __call__(self, _node: object, _vmid: int, _options: object) -> Shell:
        def shell(script: str, *, timeout: int) -> Completed:
            self.scripts.append(script)
            return self.answer(script)

        return shell


def run(node: Node, plan: Plan | None = None, kind: t.Any = LXC, **more: t.Any) -> Run:
    wanted = Wanted(kind, Declaration({}, {}), "started")
    result = Result(bool(plan), 100, "pve1", "running", [], {}, options={**OPTIONS, **more}, addresses=[DECLARED])
    return Run(t.cast("t.Any", node), wanted, Actual(100), plan or Plan(), result, t.cast("t.Any", None))


def part(way: Entered, *checks: Check, inside: Inside | None = None) -> VerifyPart:
    return VerifyPart(checks, t.cast("t.Any", way), inside or Inside())


def test_what_another_part_has_asked_is_not_asked_again() -> None:
    way, inside = Entered(), Inside()
    verify = part(way, TRUE, inside=inside)
    inside.ask(way(None, 100, None), {"setup": ":"})
    verify.finish(run(Node()))
    assert len(way.scripts) == 1


def test_after_a_change_it_is_asked_again() -> None:
    way, inside = Entered(), Inside()
    verify = part(way, TRUE, inside=inside)
    inside.ask(way(None, 100, None), {"setup": ":"})
    verify.finish(run(Node(), Plan((Resume(),))))
    assert len(way.scripts) == 2


def test_a_shell_that_says_nothing_verifies_nothing() -> None:
    way = Entered(answer=lambda _script: Completed(NO_ANSWER, "", "QEMU guest agent is not running"))
    told = run(Node())
    part(way, TRUE).finish(told)
    assert told.result.more["checks"][0]["outcome"] == "not_verified"
    assert told.result.warnings == ["not verified: true: QEMU guest agent is not running"]


def test_a_check_may_ask_another_vm_by_its_agent() -> None:
    node, way = Node(), Entered()
    told = run(node)
    checks = [check("command", name, command="x", guest=name) for name in ("k1", "k2")]
    part(way, *checks).finish(told)
    assert (node.asked, way.scripts) == ([301], [])
    assert [each["outcome"] for each in told.result.more["checks"]] == ["passed", "not_verified"]
    assert told.result.more["checks"][1]["detail"] == "k2 is not a running VM with a guest agent"


def test_a_part_that_only_looks_fails_no_run() -> None:
    way = Entered(answer=lambda script: Completed(0, answering(script).stdout.replace(" 0\n", " 1\n"), ""))
    verify = part(way, TRUE)
    with pytest.raises(ChecksFailed):
        verify.finish(run(Node()))
    looking = verify.observing()
    looking.finish(run(Node()))
    assert looking.examine(run(Node()), waits=False)[0].answer.outcome == "failed"


# -- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "met", "outcome", "by"),
    [
        ([ETH0, DOCKER], {}, "passed", "guest"),
        ([DOCKER], {}, "not_verified", ""),
        ([], {MAC: ["192.0.2.5"]}, "passed", "neighbour"),
        ([], {}, "not_verified", ""),
    ],
)
def test_an_address_counts_when_it_was_seen_on_a_card_of_the_guest(
    told: list[t.Any], met: dict[str, list[str]], outcome: str, by: str
) -> None:
    (verdict,) = part(Entered(), check("address")).examine(run(Node([told], met)), waits=False)
    assert (verdict.answer.outcome, verdict.answer.by) == (outcome, by)


def test_an_address_that_comes_later_is_waited_for() -> None:
    later = {**ETH0, "inet6": ["2001:db8::5/64"]}
    node = Node([[ETH0], [ETH0], [later]])
    (verdict,) = part(Entered(), check("address", family="ipv6")).examine(run(node), waits=True)
    assert (verdict.answer.outcome, verdict.answer.detail, verdict.attempts) == ("passed", "2001:db8::5", 3)


def test_a_vm_without_an_agent_is_not_asked() -> None:
    node = Node([[ETH0]])
    net = f"virtio={MAC},bridge=vmbr0"
    part(Entered(), check("address")).examine(run(node, kind=QEMU, net0=net), waits=False)
    assert len(node.told) == 1
