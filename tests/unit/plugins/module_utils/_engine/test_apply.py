# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How steps are carried out: in order, taken back in the opposite order, and once where several guests share one."""

from __future__ import annotations

import threading
import typing as t
from concurrent import futures
from dataclasses import dataclass, field

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine.apply import carry_out
from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Result
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Shutdown, Start
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError, PveError
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.read import wanted_container

NO_NODE = t.cast("t.Any", None)


@dataclass(frozen=True)
class Note(Step):
    """A step that only notes what is done with it."""

    action = "note"
    phase = Phase.CHANGE

    name: str
    notes: list[str]
    fails: bool = False
    key: str = ""
    begun: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)

    @property
    def shared(self) -> str:
        return self.key

    def run(self, run: Run) -> None:
        self.notes.append(self.name)
        self.begun.set()
        assert not self.key or self.may_end.wait(timeout=60)
        if self.fails:
            raise PveError("it broke", remedy="Mend it.")

    def undo(self, run: Run) -> list[str]:
        self.notes.append(f"undo {self.name}")
        return [f"{self.name} was taken back"]


class Tidy(Part):
    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    def tidy(self, run: Run) -> None:
        self.notes.append("tidy")


def run_of(*steps: Step, facts: Facts | None = None) -> Run:
    """A run over a container that is gone when it has ended, so that nothing is asked of a node."""
    wanted = wanted_container({"state": "absent", "vmid": 101, "hostname": "web1"})
    plan = Plan(steps)
    result = Result(True, 101, "pve1", "stopped", [step.view() for step in steps], {})
    return Run(NO_NODE, wanted, Actual(101), plan, result, facts or Facts(NO_NODE))


def test_steps_are_carried_out_in_order_and_then_the_parts_tidy_up() -> None:
    notes: list[str] = []
    carry_out(run_of(Note("a", notes), Note("b", notes)), [Tidy(notes)])
    assert notes == ["a", "b", "tidy"]


def test_what_was_started_is_undone_in_the_opposite_order_before_the_parts_tidy_up() -> None:
    notes: list[str] = []
    steps = Note("a", notes), Note("b", notes, fails=True), Note("c", notes)
    with pytest.raises(PveError, match=r"^container 101 \(web1\): note failed: it broke") as caught:
        carry_out(run_of(*steps), [Tidy(notes)])
    assert notes == ["a", "b", "undo b", "undo a", "tidy"]
    assert caught.value.remedy == "Mend it. b was taken back. a was taken back"
    assert caught.value.details["step"] == "note"


def test_what_several_guests_share_is_done_once_and_the_others_wait_for_it() -> None:
    notes: list[str] = []
    facts, begun, may_end = Facts(NO_NODE), threading.Event(), threading.Event()
    images = [Note(f"image of {n}", notes, key="alpine", begun=begun, may_end=may_end) for n in range(3)]
    runs = [run_of(image, Note(f"guest {n}", notes), facts=facts) for n, image in enumerate(images)]
    with futures.ThreadPoolExecutor(3) as pool:
        done = [pool.submit(carry_out, run, ()) for run in runs]
        assert begun.wait(timeout=60)
        assert len(notes) == 1, "no guest is created before its image is there"
        may_end.set()
        for each in done:
            each.result()
    assert len([note for note in notes if note.startswith("image")]) == 1
    assert sorted(notes[1:]) == ["guest 0", "guest 1", "guest 2"]


def test_what_failed_once_fails_for_all_that_share_it() -> None:
    notes: list[str] = []
    facts, may_end = Facts(NO_NODE), threading.Event()
    may_end.set()
    for n in range(2):
        step = Note(f"image of {n}", notes, fails=True, key="alpine", may_end=may_end)
        with pytest.raises(ProvisionError, match="it broke"):
            carry_out(run_of(step, facts=facts), ())
    assert [note for note in notes if not note.startswith("undo")] == ["image of 0"]


def test_a_plan_takes_steps_where_they_belong() -> None:
    power: tuple[Step, ...] = (Shutdown(60, force=False), Start())
    note = Note("a", [])
    plan = Plan(power)
    assert plan.insert(note, before=(Shutdown, Start)).steps == (note, *power)
    assert plan.insert(note, before=Start).steps == (power[0], note, power[1])
    assert plan.insert(note, before=Note).steps == (*power, note)
    assert plan.insert_after(note, after=Shutdown).steps == (power[0], note, power[1])
    assert plan.insert_after(note, after=Note).steps == (note, *power)
    assert plan.has(Start) and not plan.has(Note) and not plan.creating
