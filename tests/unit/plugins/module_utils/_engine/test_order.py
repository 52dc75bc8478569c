# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guests of a run come before which, and when each may begin."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import Ended, Member
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Result
from ansible_collections.pve.provision.plugins.module_utils._engine.order import befores, in_order, unordered
from ansible_collections.pve.provision.plugins.module_utils._engine.schedule import Schedule
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError


def member(name: str, *after: str, order: int | None = None, up: int = 0) -> Member:
    return Member(name, "lxc", lambda: pytest.fail("nobody reads it"), frozenset(after), order, up)


def ended(guest: Member, *steps: str, fails: bool = False) -> Ended:
    plan = [{"step": step} for step in steps]
    error = ProvisionError("no room") if fails else None
    return Ended(guest, Result(True, 100, "pve1", "running", plan, {"before": {}, "after": {}}), error)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([member("a"), member("b", "a")], {"a": set(), "b": {"a"}}),
        ([member("a", order=2), member("b", order=1), member("c")], {"a": {"b"}, "b": set(), "c": set()}),
        ([member("a", order=1), member("b", order=1)], {"a": set(), "b": set()}),
        # a clone of a lower order than what it is made from
        ([member("base", order=5), member("clone", "base", order=1)], {"base": set(), "clone": {"base"}}),
        ([member("a", "c", order=1), member("b", order=2), member("c", order=3)],
         {"a": {"b", "c"}, "b": set(), "c": {"b"}}),
        ([member("a", "x", order=1), member("x", "b"), member("b", order=2)],
         {"a": {"x"}, "x": {"b"}, "b": set()}),
        ([member("a", "elsewhere")], {"a": set()}),
    ],
)  # fmt: skip
def test_who_comes_before_whom(members: list[Member], expected: dict[str, set[str]]) -> None:
    assert befores(members) == expected


def test_guests_in_a_circle_are_reported() -> None:
    (finding,) = unordered([member("a", "b"), member("b", "a"), member("c")], frozenset())
    assert (finding.option, finding.value) == ("after", "a, b")


@given(st.data())
def test_whatever_the_orders_are_each_guest_has_its_turn(data: st.DataObject) -> None:
    names = [f"g{n}" for n in range(data.draw(st.integers(1, 8)))]
    orders = st.none() | st.integers(0, 3)
    members = [
        member(name, *data.draw(st.sets(st.sampled_from(names[:n] or ["none"]))), order=data.draw(orders))
        for n, name in enumerate(names)
    ]
    schedule, began = Schedule(data.draw(st.permutations(members)), {}), list[str]()
    while (found := schedule.next(0.0)) is not None:
        began.append(found.name)
        schedule.end(ended(found), 0.0)
    assert sorted(began) == names
    assert all(began.index(name) < began.index(each.name) for each in members for name in each.after & set(names))
    assert [each.name for each in in_order(members)] != []


def begun(schedule: Schedule, now: float = 0.0) -> list[str]:
    found: list[str] = []
    while (each := schedule.next(now)) is not None:
        found.append(each.name)
    return found


def test_what_was_started_is_given_its_time_and_what_was_only_changed_is_not() -> None:
    first, second, third = member("db", order=1, up=8), member("web", order=2, up=8), member("mail", order=3)
    schedule = Schedule([first, second, third], {})
    assert begun(schedule) == ["db"]
    assert schedule.pause(0.0) is None
    schedule.end(ended(first, "set", "start"), 10.0)
    assert (begun(schedule, 10.0), schedule.pause(10.0)) == ([], 8.0)
    assert begun(schedule, 18.0) == ["web"]
    schedule.end(ended(second, "set"), 20.0)
    assert begun(schedule, 20.0) == ["mail"]


@pytest.mark.parametrize(
    ("second", "on_failure", "expected"),
    [
        (member("web", "db"), "continue", [("web", "comes after db, which failed")]),
        (member("web", order=2), "continue", []),
        (member("web"), "stop", [("web", "db failed, and on_failure is stop")]),
    ],
)
def test_a_failure_stops_only_what_comes_after_it_or_all(
    second: Member, on_failure: t.Literal["continue", "stop"], expected: list[tuple[str, str]]
) -> None:
    first = member("db", order=1)
    schedule = Schedule([first, second], {}, on_failure)
    schedule.next(0.0)
    schedule.end(ended(first, fails=True), 0.0)
    assert [(each.name, why) for each, why in schedule.blocked()] == expected
    assert begun(schedule) == ([] if expected else ["web"])


def test_an_interrupted_run_begins_nothing_more() -> None:
    schedule = Schedule([member("a"), member("b")], {})
    assert [why for _each, why in schedule.blocked("SIGTERM")] == ["SIGTERM", "SIGTERM"]
    assert begun(schedule) == []
