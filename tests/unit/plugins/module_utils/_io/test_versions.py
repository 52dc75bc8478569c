# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ordering of version names is one total order that reads names as people do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._io import versions

ASCENDING = [
    ("9", "10"),
    ("24.10.9", "24.10.10"),
    ("24.10.0-rc1", "24.10.0-rc2"),
    ("24.10.0-rc7", "24.10.0"),
    ("24.10.0-rc10", "24.10.0"),
    ("24.10", "24.10.1"),
    ("23.05.6", "24.10.0-rc1"),
    ("v1.9.6", "1.10.0-alpha.0"),
    ("1.10.0-alpha.3", "1.10.0-beta.0"),
    ("1.10.0-beta.1", "v1.10.0"),
    ("12-20241125-1942", "12-20250316-2053"),
    ("13.6~rc1-1", "13.6-1"),
    ("44-1.7", "45_Beta-1.3"),
    ("45_Beta-1.3", "45-1.1"),
    ("25.1", "25.7"),
]


@pytest.mark.parametrize(("older", "newer"), ASCENDING)
def test_the_older_sorts_first(older: str, newer: str) -> None:
    assert versions.key(older) < versions.key(newer)
    assert versions.descending([older, newer]) == (newer, older)


@pytest.mark.parametrize(
    ("wanted", "version", "fits"),
    [
        ("24", "24.10.4", True),
        ("24.10", "24.10.4", True),
        ("24.10.4", "24.10.4", True),
        ("24.1", "24.10.4", False),
        ("24.10.4", "24.10", False),
        ("2", "24.10.4", False),
        ("", "24.10.4", True),
        ("v1.10", "1.10.3", True),
    ],
)
def test_a_wanted_version_covers_its_points(wanted: str, version: str, fits: bool) -> None:
    assert versions.matches(wanted, version) is fits


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", "25.12.0"),
        ("24", "24.10.10"),
        ("24.10.9", "24.10.9"),
        ("26", None),
        ("26.02.0-rc1", "26.02.0-rc1"),
        ("23", None),
    ],
)
def test_newest_takes_a_prerelease_only_when_it_is_named(wanted: str, found: str | None) -> None:
    available = ["24.10.9", "24.10.10", "24.10.0-rc1", "25.12.0", "26.02.0-rc1"]
    assert versions.newest(available, wanted) == found


NAMES = st.from_regex(r"v?[0-9]{1,3}(\.[0-9]{1,3}){0,3}(-(rc|beta|alpha)[0-9]{1,2})?", fullmatch=True)


@settings(max_examples=100, deadline=None)
@given(st.tuples(*[st.integers(0, 999)] * 3), st.tuples(*[st.integers(0, 999)] * 3))
def test_releases_sort_as_their_numbers(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    name, other_name = (".".join(map(str, numbers)) for numbers in (one, other))
    assert (versions.key(name) < versions.key(other_name)) is (one < other)


@settings(max_examples=100, deadline=None)
@given(NAMES, st.integers(1, 99))
def test_a_candidate_comes_between_the_release_before_and_its_own(name: str, candidate: int) -> None:
    release = name.split("-")[0]
    assert versions.key(f"{release}-rc{candidate}") < versions.key(release) < versions.key(f"{release}.1")


@settings(max_examples=100, deadline=None)
@given(st.lists(NAMES, max_size=12))
def test_descending_keeps_every_name_once_and_newest_is_its_head(names: list[str]) -> None:
    ordered = versions.descending(names)
    assert sorted(ordered) == sorted(set(names))
    assert list(map(versions.key, ordered)) == sorted(map(versions.key, set(names)), reverse=True)
    released = [name for name in ordered if not versions.is_prerelease(name)]
    found = versions.newest(names)
    assert (found is None) is (not released)
    assert found is None or versions.key(found) == versions.key(released[0])
