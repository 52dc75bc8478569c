# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which entry of a guest's list a declared entry without a number means."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model.entries import Doubt, Matching, Rules

Entry = dict[str, t.Any]


def as_declared(current: t.Mapping[str, t.Any], wanted: t.Mapping[str, t.Any]) -> bool:
    return all(current.get(key) == value for key, value in wanted.items())


RULES = Rules(identity=("name",), marks=("mac",), told_by="bridge", as_declared=as_declared)
A: Entry = {"name": "a", "mac": 1, "bridge": "x"}
B: Entry = {"name": "b", "mac": 2, "bridge": "y"}
C: Entry = {"name": "c", "mac": 3, "bridge": "x"}


def match(declared: list[Entry], current: list[Entry], taken: tuple[int, ...] = ()) -> Matching:
    return Matching(RULES, dict(enumerate(declared)), dict(enumerate(current)), frozenset(taken)).run()


@pytest.mark.parametrize(
    ("declared", "current", "found"),
    [
        ([{"name": "a"}, {"name": "b"}], [], [0, 1]),
        ([{"name": "a"}, {"name": "b"}], [A, B], [0, 1]),
        ([{"name": "b"}], [A, B], [1]),
        ([{"name": "b"}, {"name": "a"}], [A, B], [1, 0]),
        ([{"mac": 2}], [A, B], [1]),
        ([{"name": "new", "mac": 2}], [A, B], [1]),
        ([{"name": "a"}, {"name": "new"}, {"name": "b"}], [A, B], [0, 2, 1]),
        ([{"bridge": "x"}], [A], [0]),
        ([{"bridge": "y"}], [A, B], [1]),
        ([{"bridge": "y"}, {"bridge": "x"}], [A, B], [1, 0]),
        ([{"bridge": "z"}, {"bridge": "x"}, {"bridge": "y"}], [A, B], [2, 0, 1]),
        ([{"bridge": "x", "tag": 5}], [A, B], [0]),
        ([{"bridge": "z"}], [A], [0]),
        ([{"bridge": "z"}], [A, B], [0]),
        ([{"bridge": "x"}, {"bridge": "x"}], [A, C], [0, 1]),
        ([{"bridge": "x", "tag": None}, {"bridge": "x"}], [{**A, "tag": 5}], [0, 1]),
        ([{"name": "z", "bridge": "z"}], [A], [1]),
        ([{"mac": 9, "bridge": "x"}], [A, B], [0]),
        # Two have the same address: the one that is as declared is meant, and only then the one at its own place.
        ([{"mac": 1, "bridge": "z"}, {"mac": 1, "bridge": "x"}], [B, {**A, "bridge": "z"}, A], [1, 2]),
        ([{"mac": 1, "bridge": "x"}, {"mac": 1}], [B, A, {**A, "bridge": "z"}], [1, 2]),
    ],
)
def test_an_entry_is_known_by_what_it_is_and_by_its_place_only_otherwise(
    declared: list[Entry], current: list[Entry], found: list[int]
) -> None:
    matched = match(declared, current)
    assert [matched.found[place] for place in range(len(declared))] == found
    assert matched.doubts == {}


@pytest.mark.parametrize(
    ("declared", "current", "doubt"),
    [
        ([{"bridge": "y", "tag": 5}], [A, B], Doubt((0, 1))),
        ([{"name": "z", "bridge": "x"}], [A], Doubt((0,), "name")),
    ],
)
def test_what_may_mean_one_or_another_is_asked_for(declared: list[Entry], current: list[Entry], doubt: Doubt) -> None:
    assert match(declared, current).doubts == {0: doubt}


def test_numbers_that_the_user_gave_are_nobody_elses() -> None:
    assert match([{"name": "new"}], [A], taken=(1,)).found == {0: 2}
    assert match([{"bridge": "x"}], [A, C], taken=(0,)).found == {0: 1}


entries = st.lists(
    st.fixed_dictionaries({}, optional={"bridge": st.sampled_from("xy"), "tag": st.sampled_from([None, 1, 2])}),
    max_size=4,
)


@given(entries, entries)
def test_no_two_entries_mean_the_same_and_what_was_made_so_is_found_again(
    declared: list[Entry], current: list[Entry]
) -> None:
    matched = match(declared, current)
    assert sorted(matched.found) == list(range(len(declared)))
    assert len(set(matched.found.values())) == len(declared)
    made = dict(enumerate(current))
    for place, number in matched.found.items():
        made[number] = {**made.get(number, {}), **declared[place]}
    again = Matching(RULES, dict(enumerate(declared)), made).run()
    assert all(as_declared(made[number], declared[place]) for place, number in again.found.items())
    assert again.doubts == {}
