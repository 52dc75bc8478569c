# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run may go: by the options of every type, old and new, of a guest and of a list."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES, with_defaults

Params = dict[str, t.Any]


def policy_of(kind: str = "lxc", **options: t.Any) -> t.Any:
    """The policy of a guest, and what is wrong with it."""
    checked = TYPES[kind].check({"vmid": 101, "state": "stopped", "timeout": 600, **options})
    assert checked.findings == []
    wanted, _parts = TYPES[kind].read(checked.values, checked.nulls)
    return wanted


LIMITS: list[tuple[Params, Params]] = [
    (
        {},
        {"create": 600, "start": 60, "ip": 0, "download": 600, "shutdown": 60, "post_install": 900},
    ),
    ({"timeout": 100}, {"create": 100, "download": 100, "start": 60}),
    ({"start_timeout": 7, "ip_timeout": 8, "shutdown_timeout": 9}, {"start": 7, "ip": 8, "shutdown": 9}),
    ({"timeouts": {"start": 7, "ip": 0, "create": 5}}, {"start": 7, "ip": 0, "create": 5, "download": 600}),
    ({"timeouts": {"start": 7}, "start_timeout": 7}, {"start": 7}),
]


@pytest.mark.parametrize("kind", ["lxc", "vm"])
@pytest.mark.parametrize(("options", "limits"), LIMITS)
def test_each_thing_may_take_as_long_as_is_said_in_either_way(kind: str, options: Params, limits: Params) -> None:
    policy = policy_of(kind, **options).policy
    assert {name: getattr(policy, f"{name}_timeout") for name in limits} == limits


@pytest.mark.parametrize("options", [{"agent_timeout": 5}, {"timeouts": {"agent": 5}}])
def test_so_does_the_wait_for_the_agent_of_a_vm(options: Params) -> None:
    assert policy_of("vm", **options).type.agent_timeout == 5
    assert policy_of("vm").type.agent_timeout == 30


WRONG: list[tuple[Params, str]] = [
    ({"timeouts": {"start": 7}, "start_timeout": 8}, "timeouts.start: 7 is not the 8 of start_timeout"),
    ({"timeouts": {"ip": -1}}, "timeouts.ip: -1 is negative"),
    ({"ip_timeout": -1}, "ip_timeout: -1 is negative"),
    ({"retries": -1}, "retries: -1 is negative"),
    (
        {"on_failure": "keep", "cleanup_on_failure": True},
        "on_failure: 'keep' is not what cleanup_on_failure=true says",
    ),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
@pytest.mark.parametrize("kind", TYPES)
def test_what_contradicts_itself_is_found(kind: str, options: Params, words: str) -> None:
    name = "name" if kind == "vm" else "hostname"
    found = policy_of(kind, **{name: "a"}, **options).findings
    assert words in [str(finding).partition(". ")[0] for finding in found]


@pytest.mark.parametrize(
    ("options", "cleans"),
    [
        ({}, True),
        ({"on_failure": "keep"}, False),
        ({"on_failure": "cleanup"}, True),
        ({"cleanup_on_failure": False}, False),
        ({"cleanup_on_failure": False, "on_failure": "keep"}, False),
    ],
)
def test_a_failed_creation_is_cleaned_up_or_kept(options: Params, cleans: bool) -> None:
    assert policy_of(**options).policy.cleanup_on_failure is cleans


def test_a_download_is_tried_again_as_often_as_is_said() -> None:
    limits = {"timeout": 9, "attempts": 1}
    assert policy_of(retries=0, timeouts={"download": 9}).policy.download_limits == limits


OVER: list[tuple[Params, Params, Params]] = [
    ({"ip_timeout": 30}, {"timeouts": {"ip": 5}}, {"timeouts": {"ip": 5}}),
    ({"timeouts": {"ip": 30, "start": 9}}, {"ip_timeout": 5}, {"timeouts": {"start": 9}, "ip_timeout": 5}),
    ({"timeouts": {"ip": 30}}, {"timeouts": {"start": 5}}, {"timeouts": {"ip": 30, "start": 5}}),
    ({"cleanup_on_failure": False}, {"on_failure": "cleanup"}, {"on_failure": "cleanup"}),
    ({"on_failure": "keep"}, {"cleanup_on_failure": True}, {"cleanup_on_failure": True}),
]


@pytest.mark.parametrize(("defaults", "guest", "both"), OVER)
def test_a_guest_has_its_own_way_over_the_defaults_by_whichever_option(
    defaults: Params, guest: Params, both: Params
) -> None:
    (merged,) = with_defaults([{"name": "a", "type": "lxc", **guest}], defaults)
    assert {key: value for key, value in merged.items() if key not in ("name", "type")} == both
