# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of containers."""

from __future__ import annotations

import typing as t

from ..api import access, migration, related
from ..api.routes import Params, route
from ..api.session import Session
from ..errors import ApiError, bad_params
from ..state import config_file, storage
from ..state.config_file import GuestFile
from ..state.propstring import format_size
from . import allocation, config, container, create, status

BASE = "/nodes/{node}/lxc"
GUEST = f"{BASE}/{{vmid}}"
INDEX = (
    "config", "pending", "status", "vncproxy", "termproxy", "vncwebsocket", "spiceproxy", "migrate", "clone", "rrd",
    "rrddata", "firewall", "snapshot", "resize", "interfaces",
)  # fmt: skip


@route("GET", BASE)
def index(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The containers of this node that the caller may see."""
    running = session.state.running()
    return [
        container.status(session.state, vmid, running)
        for vmid, (kind, node) in session.state.guests().items()
        if kind == "lxc" and node == params["node"] and access.may(session, f"/vms/{vmid}", ["VM.Audit"])
    ]


route("POST", BASE)(create.create)


@route("GET", GUEST)
def directory(session: Session, params: Params) -> list[dict[str, str]]:
    """The entries below a container."""
    session.state.guest("lxc", params["vmid"])
    return [{"subdir": name} for name in INDEX]


@route("DELETE", GUEST)
def destroy(session: Session, params: Params) -> str:
    """Destroy a container and its volumes in a task."""
    state, vmid = session.state, int(params["vmid"])
    force = bool(params.get("force"))

    def check() -> GuestFile:
        conf = state.guest("lxc", vmid)
        container.check_protection(conf, f"can't remove CT {vmid}")
        container.check_lock(conf)
        related.check_purge(state, "lxc", vmid, params.get("purge"))
        if not force and container.is_running(state, vmid):
            raise ApiError(f"unable to destroy CT {vmid} - container is running")
        return conf

    check()

    def work() -> None:
        with container.lock(session, vmid):
            conf = check()
            if container.is_running(state, vmid):
                session.warn(f"forced to stop CT {vmid} before destroying!")
                status.halt(session, vmid)
            _destroy_volumes(session, vmid, conf, bool(params.get("destroy-unreferenced-disks")))
            access.forget_guest(session, vmid)
            if params.get("purge"):
                session.say(f"purging CT {vmid} from related configurations..")
                related.forget(state, "lxc", vmid)
            state.remove_guest("lxc", vmid)

    return session.worker("vzdestroy", str(vmid), work)


def _destroy_volumes(session: Session, vmid: int, conf: GuestFile, unreferenced: bool) -> None:
    mounts = [*container.volumes(conf.options, unused=True), *container.volumes(conf.pending)]
    for volume in dict.fromkeys(mount.volume for mount in mounts if mount.type == "volume"):
        if not storage.NEW_DISK.fullmatch(volume):
            allocation.delete_volume(session, vmid, volume)
    if unreferenced:
        for store in storage.load(session.state).values():
            if store.enabled and "rootdir" in store.contents:
                allocation.destroy_disks(session, [item.volid for item in store.images(vmid)])
    container.forget(session.state, vmid)
    session.state.write_guest(vmid, config_file.parse("lock: destroyed\n"))


@route("GET", f"{GUEST}/config")
def get_config(session: Session, params: Params) -> dict[str, t.Any]:
    """The options, with waiting changes unless ``current``."""
    conf = session.state.guest("lxc", params["vmid"])
    if params.get("current") and params.get("snapshot"):
        raise bad_params(
            snapshot="cannot use 'snapshot' parameter with 'current'",
            current="cannot use 'snapshot' parameter with 'current'",
        )
    return config.view(conf, bool(params.get("current")), params.get("snapshot"))


route("PUT", f"{GUEST}/config")(config.put)


@route("GET", f"{GUEST}/pending")
def get_pending(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """Live and waiting values."""
    return config.pending(session.state.guest("lxc", params["vmid"]))


def rescan(session: Session, vmid: int, conf: GuestFile) -> bool:
    """Note unreferenced volumes as unused and correct the sizes; returns whether anything changed."""
    changed = False
    sizes = {
        item.volid: item.size
        for store in storage.load(session.state).values()
        if store.enabled and "rootdir" in store.contents
        for item in store.images(vmid)
    }
    for volid in sizes:
        if not allocation.in_use(conf, volid) and allocation.add_unused(conf, volid):
            key = next(key for key, value in conf.options.items() if value == volid)
            session.say(f"CT {vmid} add unreferenced volume '{volid}' as '{key}' to config.")
            changed = True
    for mount in list(container.volumes(conf.options)):
        if mount.volume in sizes and sizes[mount.volume] != mount.size:
            session.say(f"CT {vmid}: updated volume size of '{mount.volume}' in config.")
            mount.options["size"] = format_size(sizes[mount.volume])
            conf.options[mount.key] = mount.render()
            changed = True
    return changed


@route("GET", f"{GUEST}/feature")
def feature(session: Session, params: Params) -> dict[str, t.Any]:
    """Whether every volume can be cloned, copied or snapshotted."""
    conf = session.state.guest("lxc", params["vmid"])
    places = [
        storage.locate(session.state, mount.volume)
        for mount in container.volumes(conf.options)
        if mount.type == "volume"
    ]
    able = all(store.has_feature(params["feature"], volume, params.get("snapname")) for store, volume in places)
    return {"hasFeature": int(able)}


@route("POST", f"{GUEST}/migrate")
def migrate(session: Session, params: Params) -> str:
    """Move a container to another node: a running one is shut down, and started there."""
    target, vmid = migration.check_target(session, params), int(params["vmid"])
    conf = session.state.guest("lxc", vmid)
    container.check_lock(conf)
    going = migration.Migration("lxc", vmid, target, _own_volumes(conf))
    if container.is_running(session.state, vmid):
        if not params.get("online") and not params.get("restart"):
            raise ApiError("Can't migrate running container without --online or --restart")
        if params.get("online"):
            raise ApiError("lxc live migration is currently not implemented")
        timeout = int(params.get("timeout") or 180)
        going.leave = lambda here: status.down(here, vmid, timeout, force=False)
        going.arrive = lambda there: status.boot(there, vmid)
    return migration.request(session, going)


def _own_volumes(conf: GuestFile) -> list[str]:
    """The volumes of a container; what is bound into it must be on no other node either."""
    points = list(container.volumes(conf.options, unused=True))
    for point in points:
        if point.type != "volume" and point.options.get("shared") != "1":
            raise ApiError(f"cannot migrate local {point.type} mount point '{point.key}'")
    return [point.volume for point in points if point.type == "volume"]
