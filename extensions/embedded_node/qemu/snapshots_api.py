# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of a VM's snapshots."""

from __future__ import annotations

import functools
import typing as t

from ..api import access
from ..api.routes import route
from ..errors import ApiError
from . import process, run, snapshots
from .api import VM, typed

if t.TYPE_CHECKING:
    from ..api.routes import Params
    from ..api.session import Session

#: Since when a rollback that starts the VM asks for the right to do so.
STARTS_BY_RIGHT = (9, 1, 10)


@route("GET", f"{VM}/snapshot")
def list_snapshots(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The VM's snapshots and its present."""
    return snapshots.listed(session.state, params["vmid"])


@route("POST", f"{VM}/snapshot")
def create_snapshot(session: Session, params: Params) -> str:
    """Take a snapshot."""
    vmid, name = params["vmid"], params["snapname"]
    if name == "current" or name.lower() == "pending":
        raise ApiError(f"unable to use snapshot name '{name}' (reserved name)")
    session.state.guest("qemu", vmid)
    memory, description = bool(params.get("vmstate")), params.get("description")
    work = functools.partial(snapshots.create, session, vmid, name, memory, description)
    return session.worker("qmsnapshot", str(vmid), work)


@route("GET", f"{VM}/snapshot/{{snapname}}")
def snapshot_index(session: Session, params: Params) -> list[dict[str, str]]:
    """What lies below a snapshot."""
    return [{"cmd": "rollback"}, {"cmd": "config"}]


@route("GET", f"{VM}/snapshot/{{snapname}}/config")
def snapshot_config(session: Session, params: Params) -> dict[str, t.Any]:
    """A snapshot's options."""
    conf = session.state.guest("qemu", params["vmid"])
    return typed(snapshots.require(conf, params["snapname"]).options)


@route("PUT", f"{VM}/snapshot/{{snapname}}/config")
def describe_snapshot(session: Session, params: Params) -> None:
    """Give a snapshot another description."""
    with process.lock(session, params["vmid"]):
        conf = session.state.guest("qemu", params["vmid"])
        process.check_lock(conf)
        section = snapshots.require(conf, params["snapname"])
        if "description" in params:
            section.options["description"] = params["description"]
        process.write(session.state, params["vmid"], conf)


@route("DELETE", f"{VM}/snapshot/{{snapname}}")
def delete_snapshot(session: Session, params: Params) -> str:
    """Forget a snapshot."""
    vmid = params["vmid"]
    work = functools.partial(snapshots.delete, session, vmid, params["snapname"])
    forced = bool(params.get("force"))
    return session.worker("qmdelsnapshot", str(vmid), lambda: session.delete_snapshot(vmid, work, force=forced))


@route("POST", f"{VM}/snapshot/{{snapname}}/rollback")
def rollback(session: Session, params: Params) -> str:
    """Go back to a snapshot."""
    vmid = params["vmid"]

    def work() -> None:
        with session.replication_locked(vmid):
            snapshots.rollback(session, vmid, params["snapname"])
        if params.get("start") and process.pid(session.state, vmid) is None:
            session.start_aside(lambda: run.start(session, vmid))

    if params.get("start") and session.state.release >= STARTS_BY_RIGHT:
        access.need(session, f"/vms/{vmid}", "VM.PowerMgmt")
    return session.worker("qmrollback", str(vmid), work)
