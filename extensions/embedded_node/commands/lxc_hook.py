# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What LXC runs when a real container begins and ends, by itself as well: reboots, and one that powers itself off."""

from __future__ import annotations

from ..api.session import Session
from ..guest import runtime
from ..lxc import container
from ..state import kernel
from .command_line import Command, Params


def _run(session: Session, params: Params) -> None:
    name, _section, event = params["words"]
    state, vmid = session.state, int(name)
    if event == "start-host":
        kernel.set_running(state, vmid, int(session.env["LXC_PID"]))
    elif session.env.get("LXC_TARGET") != "reboot":
        kernel.set_running(state, vmid, None)
        runtime.runtime(state).put_away(vmid)
        container.unmount(state, vmid)


TABLE = Command(run=_run, raw=True)
