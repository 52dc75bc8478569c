# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark of the guests that runs over a list have made."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.read import wanted_container
from ansible_collections.pve.provision.plugins.module_utils._guests.mark import MarkPart, check_tag, is_marked
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

NEW: t.Final = None


def tags_after(declared: dict[str, t.Any], has: str | None, mark: str = "ours", *, adopt: bool = False) -> str | None:
    """The tags of a guest after a run over it, as PVE writes them. ``has``: those before it; None: it is new."""
    checked = TYPES["lxc"].check({"name": "web1", "vmid": 101, **declared})
    assert checked.findings == []
    wanted = wanted_container(checked.values, checked.nulls)
    options = {"hostname": "web1", **({"tags": has} if has else {})}
    config = None if has is NEW else GuestConfig(options, options)
    wanted = MarkPart(mark, adopt).resolve(t.cast(t.Any, None), wanted, Actual(101, config), act=True)
    if config is None:
        return wanted.options.get("tags")
    change = wanted.difference(101, config, purge=wanted.policy.purge_options)
    return "" if "tags" in change.delete else change.set.get("tags", has)


@pytest.mark.parametrize(
    ("declared", "tags"),
    [
        ({}, "ours"),
        ({"tags": ["web"]}, "ours;web"),
        ({"tags": "web,prod"}, "ours;prod;web"),
        ({"tags": 5}, "5;ours"),
        ({"tags": None}, "ours"),
        ({"purge_options": True}, "ours"),
    ],
)
def test_a_guest_has_the_mark_from_its_creation_on(declared: dict[str, t.Any], tags: str) -> None:
    assert tags_after(declared, NEW) == tags


@pytest.mark.parametrize("mark", ["ours", "Ours"])
@pytest.mark.parametrize(
    ("declared", "has", "tags"),
    [
        ({}, "ours", "ours"),
        ({}, "home;ours", "home;ours"),
        ({"tags": ["web"]}, "ours;web", "ours;web"),
        ({"tags": ["web"]}, "home;ours", "ours;web"),
        ({"tags": None}, "ours", "ours"),
        ({"tags": None}, "home;ours", "ours"),
        ({"purge_options": True}, "ours", "ours"),
        ({"purge_options": True}, "home;ours", "ours"),
    ],
)
def test_a_marked_guest_keeps_the_mark_whatever_tags_are_declared(
    declared: dict[str, t.Any], has: str, tags: str, mark: str
) -> None:
    """PVE writes tags small, however the mark is spelt."""
    assert tags_after(declared, has, mark) == tags


@pytest.mark.parametrize(("declared", "tags"), [({}, "home"), ({"tags": ["web"]}, "web"), ({"tags": None}, "")])
def test_a_guest_that_has_no_mark_gets_none(declared: dict[str, t.Any], tags: str) -> None:
    assert tags_after(declared, "home") == tags


@pytest.mark.parametrize(("declared", "tags"), [({}, "home;ours"), ({"tags": ["web"]}, "ours;web")])
def test_a_guest_that_is_adopted_gets_the_mark(declared: dict[str, t.Any], tags: str) -> None:
    assert tags_after(declared, "home", adopt=True) == tags


def test_a_mark_is_a_tag() -> None:
    assert is_marked("home;ours", "Ours") and not is_marked("oursome", "ours") and not is_marked(None, "ours")
    assert not list(check_tag("owner_tag", "Ours"))
    assert [str(finding) for finding in check_tag("owner_tag", "a b")] == [
        "owner_tag: 'a b' is not a tag; use letters, digits, _ - + ."
    ]
