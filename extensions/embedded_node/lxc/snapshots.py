# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of a container's snapshots."""

from __future__ import annotations

import time
import typing as t

from ..api.routes import Params, route
from ..api.session import Session
from ..errors import ApiError
from ..state import faults, storage
from ..state.config_file import GuestFile, Section
from . import config, container, status
from .api import GUEST

#: What a snapshot does not keep.
NOT_IN_SNAPSHOT = frozenset({"lock", "parent", "snaptime", "snapstate", "template", "description"})


@route("GET", f"{GUEST}/snapshot")
def snapshots(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """All snapshots and, last, the present."""
    conf = session.state.guest("lxc", params["vmid"])
    rows = [_snapshot_row(name, section) for name, section in sorted(conf.snapshots.items())]
    running = int(container.is_running(session.state, int(params["vmid"])))
    now: dict[str, t.Any] = {
        "name": "current",
        "digest": conf.digest,
        "running": running,
        "description": "You are here!",
    }
    if conf.options.get("parent"):
        now["parent"] = conf.options["parent"]
    return [*rows, now]


def _snapshot_row(name: str, section: Section) -> dict[str, t.Any]:
    row: dict[str, t.Any] = {
        "name": name,
        "snaptime": int(section.options.get("snaptime", 0)),
        "description": section.options.get("description", ""),
    }
    if section.options.get("parent"):
        row["parent"] = section.options["parent"]
    return row


@route("POST", f"{GUEST}/snapshot")
def make_snapshot(session: Session, params: Params) -> str:
    """Take a snapshot in a task."""
    state, vmid, name = session.state, int(params["vmid"]), str(params["snapname"])
    if name == "current":
        raise ApiError("unable to use snapshot name 'current' (reserved name)")
    if name == "vzdump":
        raise ApiError("unable to use snapshot name 'vzdump' (reserved name)")

    def work() -> None:
        with container.lock(session, vmid):
            conf = state.guest("lxc", vmid)
            container.check_lock(conf)
            if name in conf.snapshots:
                raise ApiError(f"snapshot name '{name}' already used")
            if not all(_takes_snapshots(session, mount) for mount in container.volumes(conf.options)):
                raise ApiError("snapshot feature is not available")
            conf.snapshots[name] = _prepared(conf, params.get("description"))
            conf.options["lock"] = "snapshot"
            state.write_guest(vmid, conf)
        faults.step(state, "snapshot")
        for mount in container.volumes(conf.options):
            store, volume = storage.locate(state, mount.volume)
            store.snapshot(volume, name)
        with container.lock(session, vmid):
            conf = state.guest("lxc", vmid)
            del conf.options["lock"], conf.snapshots[name].options["snapstate"]
            conf.options["parent"] = name
            state.write_guest(vmid, conf)

    return session.worker("vzsnapshot", str(vmid), work)


def _takes_snapshots(session: Session, mount: container.MountPoint) -> bool:
    """What is the node's own has none."""
    if mount.type != "volume":
        return False
    store, volume = storage.locate(session.state, mount.volume)
    return bool(store.has_feature("snapshot", volume))


def _prepared(conf: GuestFile, description: str | None) -> Section:
    """What a snapshot keeps of the config, before those of the volumes are taken."""
    kept = {
        key: value
        for key, value in conf.options.items()
        if key not in NOT_IN_SNAPSHOT and not container.UNUSED_KEY.fullmatch(key)
    }
    kept |= {"snaptime": str(int(time.time())), "snapstate": "prepare"}
    if conf.options.get("parent"):
        kept["parent"] = conf.options["parent"]
    if description:
        kept["description"] = description
    return Section(kept)


def _require_snapshot(conf: GuestFile, name: str) -> Section:
    if name not in conf.snapshots:
        raise ApiError(f"snapshot '{name}' does not exist")
    return conf.snapshots[name]


@route("GET", f"{GUEST}/snapshot/{{snapname}}")
def snapshot_directory(session: Session, params: Params) -> list[dict[str, str]]:
    """The entries below a snapshot."""
    return [{"cmd": "rollback"}, {"cmd": "config"}]


@route("GET", f"{GUEST}/snapshot/{{snapname}}/config")
def snapshot_config(session: Session, params: Params) -> dict[str, t.Any]:
    """A snapshot's options."""
    section = _require_snapshot(session.state.guest("lxc", params["vmid"]), params["snapname"])
    return config.typed(section.options)


@route("PUT", f"{GUEST}/snapshot/{{snapname}}/config")
def describe_snapshot(session: Session, params: Params) -> None:
    """Change a snapshot's description."""
    vmid = int(params["vmid"])
    with container.lock(session, vmid):
        conf = session.state.guest("lxc", vmid)
        section = _require_snapshot(conf, params["snapname"])
        if "description" in params:
            section.options["description"] = params["description"]
        session.state.write_guest(vmid, conf)


@route("DELETE", f"{GUEST}/snapshot/{{snapname}}")
def delete_snapshot(session: Session, params: Params) -> str:
    """Delete a snapshot in a task."""
    state, vmid, name = session.state, int(params["vmid"]), str(params["snapname"])

    def work() -> None:
        with container.lock(session, vmid):
            conf = state.guest("lxc", vmid)
            container.check_lock(conf)
            section = _require_snapshot(conf, name)
            conf.options["lock"], section.options["snapstate"] = "snapshot-delete", "delete"
            state.write_guest(vmid, conf)
        faults.step(state, "delsnapshot")
        for mount in container.volumes(section.options):
            store, volume = storage.locate(state, mount.volume)
            store.delete_snapshot(volume, name)
        with container.lock(session, vmid):
            conf = state.guest("lxc", vmid)
            conf.options.pop("lock")
            parent = section.options.get("parent")
            for other in [conf.current, *conf.snapshots.values()]:
                if other.options.get("parent") == name:
                    other.options.pop("parent")
                    if parent:
                        other.options["parent"] = parent
            del conf.snapshots[name]
            state.write_guest(vmid, conf)

    forced = bool(params.get("force"))
    return session.worker("vzdelsnapshot", str(vmid), lambda: session.delete_snapshot(vmid, work, force=forced))


@route("POST", f"{GUEST}/snapshot/{{snapname}}/rollback")
def rollback(session: Session, params: Params) -> str:
    """Go back to a snapshot in a task."""
    state, vmid, name = session.state, int(params["vmid"]), str(params["snapname"])

    def work() -> None:
        with container.lock(session, vmid):
            conf = state.guest("lxc", vmid)
            container.check_lock(conf)
            section = _require_snapshot(conf, name)
            if section.options.get("snapstate"):
                snapstate = section.options["snapstate"]
                raise ApiError(f"unable to rollback to incomplete snapshot (snapstate = {snapstate})")
            if container.is_running(state, vmid):
                status.halt(session, vmid)
                conf = state.guest("lxc", vmid)
            conf.options["lock"] = "rollback"
            state.write_guest(vmid, conf)
        faults.step(state, "rollback")
        for mount in container.volumes(section.options):
            store, volume = storage.locate(state, mount.volume)
            store.rollback(volume, name)
        with container.lock(session, vmid):
            conf = state.guest("lxc", vmid)
            back = {
                key: value for key, value in section.options.items() if key not in ("snaptime", "parent", "description")
            }
            if "description" in conf.options:
                back["description"] = conf.options["description"]
            conf.current = Section({**back, "parent": name})
            conf.waiting = Section()
            state.write_guest(vmid, conf)
        if params.get("start"):
            session.start_aside(lambda: status.start(session, vmid))

    def when_not_replicated() -> None:
        with session.replication_locked(vmid):
            work()

    return session.worker("vzrollback", str(vmid), when_not_replicated)
