# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``qmrestore``: VMs out of backups."""

from __future__ import annotations

import typing as t

from ..api import routes, validation
from .command_line import Command, upid_exit

if t.TYPE_CHECKING:
    from ..api.session import Session
    from .command_line import Params

QEMU = "/nodes/{node}/qemu"
OPTIONS = ("vmid", "archive", "storage", "force", "unique", "pool", "bwlimit", "live-restore", "start", "ha-managed")


def _restore(session: Session, params: Params) -> t.Any:
    return routes.run(session, "POST", QEMU, {**params, "node": session.state.name})


def _own() -> dict[str, t.Any]:
    properties = validation.paths()[QEMU]["POST"]["parameters"]["properties"]
    own = {name: {**properties[name]} for name in OPTIONS}
    own["archive"].pop("optional", None)
    return own


TABLE = Command(("archive", "vmid"), own=_own(), run=_restore, show=upid_exit)
