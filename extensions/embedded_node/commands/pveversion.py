# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pveversion``."""

from __future__ import annotations

import os

from ..api.nodes import version
from ..api.session import Session
from .command_line import FLAG, Command, Params


def _run(session: Session, params: Params) -> None:
    told = version(session, params)
    session.say(f"pve-manager/{told['version']}/{told['repoid']} (running kernel: {os.uname().release})")


TABLE = Command((), own={"verbose": FLAG}, run=_run)
