# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations of the cluster that name a guest: of HA, and of replication jobs (``etc/pve/replication.cfg``).

A guest is destroyed with these only by ``purge`` (pve-container, API2/LXC.pm; qemu-server, API2/Qemu.pm).
"""

from __future__ import annotations

import re

from ..errors import ApiError
from ..state.root import GUEST_NAMES, State
from . import ha

HA = "etc/pve/ha/resources.cfg"
REPLICATION = "etc/pve/replication.cfg"


def replication_jobs(state: State) -> list[dict[str, str | int]]:
    """The replication jobs, each of which is called after its guest."""
    found = re.findall(r"^local: *(\d+)-(\d+)\s*$", state.read(REPLICATION), re.MULTILINE)
    return [{"id": f"{vmid}-{number}", "type": "local", "guest": int(vmid)} for vmid, number in found]


def check_purge(state: State, kind: str, vmid: int, purge: object) -> None:
    """Die when a guest that something names is to be destroyed without that."""
    if purge:
        return
    if ha.managed(state, kind, vmid):
        guest = f"{GUEST_NAMES[kind]} {vmid}"
        raise ApiError(f"unable to remove {guest} - used in HA resources and purge parameter not set.")
    for job in replication_jobs(state):
        if job["guest"] == vmid:
            raise ApiError(f"There is a replication job '{job['id']}' for guest '{vmid}' - Please remove that first.")


def forget(state: State, kind: str, vmid: int) -> None:
    """Nothing names a guest that was destroyed."""
    for path, name in ((HA, f"{ha.SERVICES[kind]}: *{vmid}"), (REPLICATION, rf"local: *{vmid}-\d+")):
        before = state.read(path)
        after = re.sub(rf"^{name}[ ]*\n(?:[ \t]+.*\n?)*\n*", "", before, flags=re.MULTILINE)
        if after != before:
            state.write(path, after)
