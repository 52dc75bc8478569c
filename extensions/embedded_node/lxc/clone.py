# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of a container's copies and templates."""

from __future__ import annotations

import re
import typing as t

from ..api import access
from ..api.routes import Params, route
from ..api.session import Session
from ..errors import ApiError
from ..state import storage
from ..state.config_file import NET_KEY, GuestFile, Section
from . import allocation, container
from .api import GUEST
from .disks import copy_disk


@route("POST", f"{GUEST}/clone")
def clone(session: Session, params: Params) -> str:
    """Copy a container: linked from a template or snapshot where the storage can, else in full."""
    state, vmid, newid = session.state, int(params["vmid"]), int(params["newid"])
    if params.get("target", state.name) not in (*state.nodes(), "localhost"):
        raise ApiError(f"no such cluster node '{params['target']}'")
    if params.get("pool"):
        access.require_pool(session, params["pool"])
    if params.get("storage"):
        storage.get(state, params["storage"]).check_enabled()
    source = container.set_lock(session, vmid, "disk")
    try:
        container.create_and_lock(session, newid)
    except ApiError:
        container.remove_lock(session, vmid, "disk")
        raise
    try:
        plan = _plan_clone(session, vmid, source, params)
        state.write_guest(newid, GuestFile("lxc", Section({**plan.options, "lock": "create"})))
    except ApiError:
        container.remove_lock(session, vmid, "disk")
        state.remove_guest("lxc", newid)
        raise
    return session.worker("vzclone", str(vmid), lambda: _clone(session, vmid, newid, plan, params))


class ClonePlan(t.NamedTuple):
    """What a clone will be made of."""

    options: dict[str, str]
    mounts: list[container.MountPoint]
    full: bool
    snapshot: str | None


def _plan_clone(session: Session, vmid: int, source: GuestFile, params: Params) -> ClonePlan:
    snapshot = params.get("snapname")
    full = bool(params["full"]) if "full" in params else not container.is_template(source)
    if params.get("storage") and not full:
        raise ApiError("parameter 'storage' not allowed for linked clones")
    if snapshot and snapshot not in source.snapshots:
        raise ApiError(f"snapshot '{snapshot}' does not exist")
    old = source.snapshots[snapshot].options if snapshot else source.options
    running = container.is_running(session.state, vmid)
    options: dict[str, str] = {}
    mounts = list(container.volumes(old))
    for mount in mounts:
        if mount.type != "volume":
            raise ApiError(f"unable to clone mountpoint '{mount.key}' (type {mount.type})")
        store, volume = storage.locate(session.state, mount.volume)
        access.need(session, f"/storage/{params.get('storage') or store.name}", "Datastore.AllocateSpace")
        if full and running and not snapshot:
            raise ApiError("Full clone of a running container is only possible from a snapshot")
        can_link = store.has_feature("clone", volume, snapshot) and store.type != "dir"
        if not full and not can_link:
            raise ApiError(f"Linked clone feature for '{mount.volume}' is not available", exit_code=2)
    for key, value in old.items():
        if NET_KEY.fullmatch(key):
            options[key] = container.render_net(re.sub(r",hwaddr=[^,]*", "", value))
        elif not container.VOLUME_KEY.fullmatch(key) and not container.UNUSED_KEY.fullmatch(key):
            options[key] = value
    for key in ("lock", "parent", "snaptime", "snapstate", "template"):
        options.pop(key, None)
    for key in ("hostname", "description"):
        if params.get(key):
            options[key] = params[key]
    return ClonePlan(options, mounts, full, snapshot)


def _clone(session: Session, vmid: int, newid: int, plan: ClonePlan, params: Params) -> None:
    made: list[str] = []
    state = session.state
    session.say(f"creating a clone of container {vmid} with ID {newid}")
    try:
        options = dict(plan.options)
        for mount in plan.mounts:
            what = "full clone of mountpoint" if plan.full else "linked clone of mount point"
            session.say(f"create {what} {mount.key} ({mount.volume})")
            store, volume = storage.locate(state, mount.volume)
            if plan.full:
                fresh = copy_disk(session, newid, params.get("storage") or store.name, mount, plan.snapshot)
            else:
                fresh = store.volid(store.clone(volume, newid, plan.snapshot))
            made.append(fresh)
            copy = container.MountPoint(mount.key, {**mount.options, "volume": fresh})
            options[mount.key] = copy.render()
        state.write_guest(newid, GuestFile("lxc", Section(options)))
        if params.get("pool"):
            access.add_to_pool(session, params["pool"], newid)
    except ApiError as error:
        allocation.destroy_disks(session, made)
        state.remove_guest("lxc", newid)
        raise ApiError(f"clone failed: {error.message}") from error
    finally:
        container.remove_lock(session, vmid, "disk")


@route("POST", f"{GUEST}/template")
def template(session: Session, params: Params) -> None:
    """Turn a container into a template."""
    state, vmid = session.state, int(params["vmid"])
    with container.lock(session, vmid):
        conf = state.guest("lxc", vmid)
        container.check_lock(conf)
        if conf.snapshots:
            raise ApiError("unable to create template, because CT contains snapshots")
        if container.is_template(conf):
            raise ApiError("you can't convert a template to a template")
        if container.is_running(state, vmid):
            raise ApiError("you can't convert a CT to template if the CT is running")
        mounts = list(container.volumes(conf.options))
        for mount in mounts:
            able = mount.type == "volume"
            if able:
                store, volume = storage.locate(state, mount.volume)
                able = store.has_feature("template", volume)
            if not able:
                raise ApiError(f"Template feature is not available for '{mount.volume}'")

        def work() -> None:
            for mount in mounts:
                store, volume = storage.locate(state, mount.volume)
                mount.options["volume"] = store.volid(store.make_base(volume))
                conf.options[mount.key] = mount.render()
            conf.options["template"] = "1"
            state.write_guest(vmid, conf)

        session.worker("vztemplate", str(vmid), work)
