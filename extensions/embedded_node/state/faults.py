# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on demand, kept in the state root so that commands and API see the same ones.

========================  ==============================================================================================
name                      what happens
========================  ==============================================================================================
``fail_create``           the ``nth`` create of a container fails ``after`` a step (lock, alloc, mkfs, extract, config)
``fail_start``            the ``nth`` start of a container (of ``vmid``, if given) fails
``storage_full``          ``storage`` has no room: allocations and extractions fail, its status says so
``lock_held``             somebody holds the config lock of ``vmid`` for ``seconds``; with ``kind`` ``migration``
                          replication holds that of its migration
``kill``                  the command kills itself (SIGKILL) ``at`` a step, the ``nth`` time (also: extracting,
                          snapshot, delsnapshot, rollback; move, when a disk is copied, and moved, when the VM has the
                          copy)
``slow``                  the command takes ``seconds`` ``at`` a step (also: start)
``interrupt``             the command is interrupted, as by SIGTERM, ``at`` a step
``api_drop``              the ``nth`` HTTP request from now is dropped without an answer
``http_error``            requests whose path holds ``path`` are answered with ``status`` (``times``, default for ever)
``shutdown_ignored``      the container ``vmid`` does not react to a shutdown
``filesystem_stays``      the file system of the container ``vmid`` does not grow with its volume
``no_quorum``             the cluster has no quorum, as its status says
``packages_locked``       another package manager is at work in the guest (``vmid``, if given) for ``seconds``
========================  ==============================================================================================
"""

from __future__ import annotations

import json
import os
import signal
import time
import typing as t

from ..errors import ApiError, Interrupted
from .root import PRIVATE, State

FILE = f"{PRIVATE}/faults.json"
FULL = f"{PRIVATE}/full.json"
NAMES = frozenset({
    "fail_create", "fail_start", "storage_full", "lock_held", "kill", "interrupt", "api_drop", "http_error",
    "shutdown_ignored", "slow", "filesystem_stays", "packages_locked", "no_quorum",
})  # fmt: skip
LASTING = frozenset({"http_error", "no_quorum", "shutdown_ignored"})
Fault = dict[str, t.Any]


def add(state: State, name: str, **options: t.Any) -> None:
    """Arm a fault. ``lock_held`` is not stored: see :mod:`embedded_node.node`."""
    if name not in NAMES:
        raise ValueError(f"no such fault: {name} (there are {', '.join(sorted(NAMES))})")
    with state.locked("/run/lock/embedded-faults.lck"):
        armed = state.read_json(FILE, [])
        state.write(FILE, json.dumps([*armed, {"name": name, **options}]))
    if name == "storage_full":
        state.write(FULL, json.dumps(sorted({*state.read_json(FULL, []), str(options["storage"])})))


def clear(state: State) -> None:
    """Disarm everything."""
    for name in (FILE, FULL):
        state.path(name).unlink(missing_ok=True)


def take(state: State, name: str, **match: t.Any) -> Fault | None:
    """The first armed fault of that name whose options fit, when its turn has come; its counters go down."""
    if not state.path(FILE).exists():
        return None
    with state.locked("/run/lock/embedded-faults.lck"):
        armed: list[Fault] = state.read_json(FILE, [])
        hit = next((fault for fault in armed if fault["name"] == name and _fits(fault, match)), None)
        if hit is None:
            return None
        due = int(hit.get("nth", 1)) <= 1
        if not due:
            hit["nth"] = int(hit["nth"]) - 1
        elif "times" in hit or name not in LASTING:
            hit["times"] = int(hit.get("times", 1)) - 1
            if hit["times"] <= 0:
                armed.remove(hit)
        state.write(FILE, json.dumps(armed))
        return hit if due else None


def _fits(fault: Fault, match: t.Mapping[str, t.Any]) -> bool:
    return all(
        key not in fault or str(fault[key]) == str(value) or (key == "path" and str(fault[key]) in str(value))
        for key, value in match.items()
    )


def is_full(state: State, storage: str) -> bool:
    """Whether a storage has no room left."""
    return storage in state.read_json(FULL, [])


def step(state: State, name: str) -> None:
    """A step of a create is done: die here when a fault says so."""
    slow = take(state, "slow", at=name)
    if slow:
        time.sleep(float(slow["seconds"]))
    if take(state, "kill", at=name):
        os.kill(os.getpid(), signal.SIGKILL)
    if take(state, "interrupt", at=name):
        raise Interrupted
    if take(state, "fail_create", after=name):
        raise ApiError(f"fault injected after {name}")
