# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""High availability, as far as the power of a guest goes: the manager takes note of what is asked, and does it later.

Managed are the guests of ``etc/pve/ha/resources.cfg`` (``ct: 101``, ``vm: 200``). The setting ``ha_delay`` (seconds)
says how long the manager takes; None: it never does anything.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

from ..state.root import GUEST_NAMES, State
from .session import Session

SERVICES = {"lxc": "ct", "qemu": "vm"}


def managed(state: State, kind: str, vmid: int) -> bool:
    """Whether the guest's power is the manager's business."""
    pattern = rf"^{SERVICES[kind]}: *{vmid}\s*$"
    return re.search(pattern, state.read("etc/pve/ha/resources.cfg"), re.MULTILINE) is not None


def services(state: State) -> list[dict[str, str]]:
    """What is managed, as the list of the manager tells it."""
    found = re.findall(r"^(ct|vm): *(\d+)\s*$", state.read("etc/pve/ha/resources.cfg"), re.MULTILINE)
    return [{"sid": f"{word}:{vmid}", "type": word, "state": "started"} for word, vmid in found]


def request(
    session: Session, kind: str, vmid: int, verb: str, act: Callable[[Session], object], target: str = ""
) -> str:
    """Take note, in a task that ends at once; ``act`` is then carried out by the manager."""

    def work() -> None:
        wish = {"start": "start", "migrate": "migration"}.get(verb, "stop")
        session.say(f"Requesting HA {wish} for {GUEST_NAMES[kind]} {vmid}{f' to node {target}' if target else ''}")
        delay = session.state.settings()["ha_delay"]
        if delay is not None:
            _later(session.state, float(delay), act)

    return session.worker(f"ha{verb}", str(vmid), work)


def _later(state: State, delay: float, act: Callable[[Session], object]) -> None:
    """Do it in a process of its own, which outlives the caller's."""
    if os.fork():
        return
    try:
        os.setsid()
        os.closerange(0, 1024)
        for _number in range(3):
            os.open(os.devnull, os.O_RDWR)
        time.sleep(delay)
        act(Session(State(state.root)))
    finally:
        os._exit(0)
