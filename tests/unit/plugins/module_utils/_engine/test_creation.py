# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that are made at the same time."""

from __future__ import annotations

import contextlib
import types
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine.creation import turn_at
from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import CloneSource


def waits(turn: contextlib.AbstractContextManager[object]) -> bool:
    """Whether one who comes to his turn now has to wait."""
    return isinstance(turn, contextlib.AbstractContextManager) and hasattr(turn, "locked") and bool(turn.locked())


@pytest.mark.parametrize(
    ("kind", "status", "one_after_the_other"),
    [("lxc", "stopped", True), ("lxc", "running", True), ("qemu", "running", True), ("qemu", "stopped", False)],
)
def test_clones_of_one_guest_wait_for_each_other_where_pve_locks_it(
    kind: str, status: str, one_after_the_other: bool
) -> None:
    node = types.SimpleNamespace(status=lambda _kind, _vmid: status)
    wanted = types.SimpleNamespace(type=types.SimpleNamespace(kind=kind))
    run = t.cast("t.Any", types.SimpleNamespace(node=node, wanted=wanted, facts=Facts(t.cast("t.Any", node))))
    with turn_at(run, CloneSource(vmid=9000)):
        assert waits(turn_at(run, CloneSource(vmid=9000))) == one_after_the_other
        assert not waits(turn_at(run, CloneSource(vmid=9001)))
    assert not waits(turn_at(run, CloneSource(vmid=9000)))
