# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that go from one node of the cluster to another: volumes that only one of the two sees are copied, then the
config changes its place.
"""

from __future__ import annotations

import time
import typing as t
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import ApiError, bad_params
from ..state import storage
from ..state.root import GUEST_NAMES, LOCK_FILES
from ..state.storage_volumes import Storage
from . import cluster, ha
from .routes import Params
from .session import Session

TASKS = {"lxc": "vzmigrate", "qemu": "qmigrate"}
Move = Callable[[Session], object]


@dataclass
class Migration:
    """One guest's way. ``leave`` takes it down on the node that the caller is at, ``arrive`` lets it run on the other;
    ``problems`` are those with its volumes, by volume."""

    kind: str
    vmid: int
    target: str
    volids: Sequence[str]
    leave: Move | None = None
    arrive: Move | None = None
    problems: t.Mapping[str, str] | None = None

    def carry_out(self, session: Session) -> None:
        """The task's work."""
        target, began = session.at(self.target), time.monotonic()
        noun = GUEST_NAMES[self.kind]
        place = f"node '{self.target}' ({cluster.own_address(target.state)})"
        _log(session, f"starting migration of {noun} {self.vmid} to {place}")
        try:
            with session.locked(LOCK_FILES[self.kind].format(self.vmid)):
                self._go(session, target)
        except ApiError as error:
            _log(session, f"ERROR: migration aborted (duration {_duration(began)}): {error.message}")
            raise ApiError("migration aborted") from error
        _log(session, f"migration finished successfully (duration {_duration(began)})")

    def _go(self, session: Session, target: Session) -> None:
        local = [volid for volid in self.volids if not _checked(session, target, volid).shared]
        for volid in local:
            _log(session, f"found local volume '{volid}' (in current VM config)")
        for volid, problem in (self.problems or {}).items():
            _log(session, f"can't migrate local disk '{volid}': {problem}")
            raise ApiError("Problem found while scanning volumes - can't migrate VM - check log")
        if self.leave is not None:
            self.leave(session)
        for volid in local:
            store, name = storage.locate(session.state, volid)
            store.send(name, storage.get(target.state, store.name))
        source = session.state.path(f"etc/pve/{session.state.config_name(self.kind, self.vmid)}")
        source.rename(session.state.path(f"etc/pve/{session.state.config_name(self.kind, self.vmid, self.target)}"))
        session.state.publish()
        for volid in local:
            store, name = storage.locate(session.state, volid)
            store.remove(name)
        if self.arrive is not None:
            self.arrive(target)


def request(session: Session, migration: Migration) -> str:
    """Migrate in a task, or leave it to the HA manager."""
    kind, vmid = migration.kind, migration.vmid

    def act(at: Session) -> str:
        return at.worker(TASKS[kind], str(vmid), lambda: migration.carry_out(at))

    if ha.managed(session.state, kind, vmid):
        return ha.request(session, kind, vmid, "migrate", act, migration.target)
    return act(session)


def check_target(session: Session, params: Params) -> str:
    """The name of the node to go to; dies when nobody can go there."""
    target = str(params["target"])
    if target == session.state.name:
        raise bad_params(target="target is local node.")
    if target not in session.state.nodes():
        raise ApiError(f"no such cluster node '{target}'")
    if session.state.member(target) is None:
        raise ApiError(f"ssh: connect to host {target} port 22: No route to host")
    return target


def _checked(session: Session, target: Session, volid: str) -> Storage:
    """A volume's storage, which both nodes must have."""
    store, _name = storage.locate(session.state, volid)
    storage.get(target.state, store.name).check_enabled()
    return store


def _log(session: Session, text: str) -> None:
    session.say(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")


def _duration(began: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(time.monotonic() - began))
