# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``zfs get -Hp -o value creation POOL/VOLUME``: when a volume was made, and nothing else of ZFS."""

from __future__ import annotations

from ..api.session import Session
from ..state import storage
from .command_line import Command, Exit, Params

CREATION = ["get", "-Hp", "-o", "value", "creation"]


def _run(session: Session, params: Params) -> None:
    *words, dataset = params["words"] or [""]
    if words != CREATION:
        told = " ".join(CREATION)
        session.err.write(f'The embedded node\'s zfs knows only "{told} DATASET", not {params["words"]}.\n')
        raise Exit(2)
    pool, _slash, name = dataset.rpartition("/")
    for store in storage.load(session.state).values():
        if store.type == "zfspool" and store.options.get("pool") == pool and store.exists(name):
            session.say(str(int(store.path(name).stat().st_ctime)))
            return
    session.err.write(f"cannot open '{dataset}': dataset does not exist\n")
    raise Exit(1)


TABLE = Command(run=_run, raw=True)
