# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of containers."""

from __future__ import annotations

import re
import shutil
import time
import typing as t

from ..api import access, cluster, ha
from ..api.routes import Params, route
from ..api.session import Session
from ..errors import ApiError, bad_params
from ..guest import runtime
from ..state import config_file, faults, storage
from ..state.config_file import NET_KEY, GuestFile, Section
from ..state.propstring import format_size, parse_size
from . import config, container, create, status

BASE = "/nodes/{node}/lxc"
GUEST = f"{BASE}/{{vmid}}"
INDEX = (
    "config", "pending", "status", "vncproxy", "termproxy", "vncwebsocket", "spiceproxy", "migrate", "clone", "rrd",
    "rrddata", "firewall", "snapshot", "resize", "interfaces",
)  # fmt: skip
#: What a snapshot does not keep.
NOT_IN_SNAPSHOT = frozenset({"lock", "parent", "snaptime", "snapstate", "template", "description"})


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
    """What there is below a container."""
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
            state.remove_guest("lxc", vmid)

    return session.worker("vzdestroy", str(vmid), work)


def _destroy_volumes(session: Session, vmid: int, conf: GuestFile, unreferenced: bool) -> None:
    mounts = [*container.volumes(conf.options, unused=True), *container.volumes(conf.pending)]
    for volume in dict.fromkeys(mount.volume for mount in mounts if mount.type == "volume"):
        if not storage.NEW_DISK.fullmatch(volume):
            container.delete_volume(session, vmid, volume)
    if unreferenced:
        for store in storage.load(session.state).values():
            if store.enabled and "rootdir" in store.contents:
                container.destroy_disks(session, [item.volid for item in store.images(vmid)])
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


# -- status ------------------------------------------------------------------------------------------------------------


@route("GET", f"{GUEST}/status")
def status_index(session: Session, params: Params) -> list[dict[str, str]]:
    """The verbs."""
    session.state.guest("lxc", params["vmid"])
    return [{"subdir": name} for name in ("current", "start", "stop", "shutdown", "migrate")]


@route("GET", f"{GUEST}/status/current")
def current(session: Session, params: Params) -> dict[str, t.Any]:
    """A container's status."""
    session.state.guest("lxc", params["vmid"])
    vmid = int(params["vmid"])
    return {**container.status(session.state, vmid), "ha": {"managed": int(ha.managed(session.state, "lxc", vmid))}}


cluster.GUEST_STATUS["lxc"] = lambda session, vmid, running: container.status(session.state, vmid, running)


@route("POST", f"{GUEST}/status/start")
def start(session: Session, params: Params) -> str:
    """Start."""
    vmid, skiplock = int(params["vmid"]), status.only_root(session, params, "skiplock")
    if ha.managed(session.state, "lxc", vmid):
        return ha.request(session, "lxc", vmid, "start", lambda manager: status.start(manager, vmid))
    return status.start(session, vmid, skiplock, debug=bool(params.get("debug")))


@route("POST", f"{GUEST}/status/stop")
def stop(session: Session, params: Params) -> str:
    """Kill."""
    vmid, skiplock = int(params["vmid"]), status.only_root(session, params, "skiplock")
    if ha.managed(session.state, "lxc", vmid):
        return ha.request(session, "lxc", vmid, "stop", lambda manager: status.stop(manager, vmid))
    return status.stop(session, vmid, skiplock)


@route("POST", f"{GUEST}/status/shutdown")
def shutdown(session: Session, params: Params) -> str:
    """Shut down."""
    vmid, timeout = int(params["vmid"]), int(params.get("timeout", 60))
    if ha.managed(session.state, "lxc", vmid):
        return ha.request(
            session, "lxc", vmid, "shutdown", lambda manager: status.shutdown(manager, vmid, timeout, True)
        )
    return status.shutdown(session, vmid, timeout, bool(params.get("forceStop")))


@route("POST", f"{GUEST}/status/reboot")
def reboot(session: Session, params: Params) -> str:
    """Shut down and start."""
    return status.reboot(session, int(params["vmid"]), int(params.get("timeout", 60)))


@route("POST", f"{GUEST}/status/suspend")
def suspend(session: Session, params: Params) -> str:
    """Checkpointing needs CRIU, which PVE does not ship."""
    vmid = int(params["vmid"])
    if not container.is_running(session.state, vmid):
        raise ApiError(f"CT {vmid} not running")

    def work() -> None:
        where = "../src/lxc"
        why = "No such file or directory - execing criu failed, is it installed?"
        session.say(f"lxc-checkpoint: {vmid}: {where}/criu.c: criu_version_ok: 767 {why}")
        session.say(
            f"lxc-checkpoint: {vmid}: {where}/tools/lxc_checkpoint.c: checkpoint: 182 Checkpointing {vmid} failed"
        )
        raise ApiError(f"command 'lxc-checkpoint -n {vmid} -s -D /var/lib/vz/dump' failed: exit code 1")

    return session.worker("vzsuspend", str(vmid), work)


@route("POST", f"{GUEST}/status/resume")
def resume(session: Session, params: Params) -> str:
    """Nothing was ever suspended."""
    vmid = int(params["vmid"])
    if container.is_running(session.state, vmid):
        raise ApiError(f"CT {vmid} already running")

    def work() -> None:
        raise ApiError(f"command 'lxc-checkpoint -n {vmid} -r --foreground -D /var/lib/vz/dump' failed: exit code 1")

    return session.worker("vzresume", str(vmid), work)


@route("GET", f"{GUEST}/interfaces")
def interfaces(session: Session, params: Params) -> list[dict[str, t.Any]] | None:
    """A running container's interfaces, None for a stopped one."""
    vmid = int(params["vmid"])
    session.state.guest("lxc", vmid)
    if not container.is_running(session.state, vmid):
        return None
    guest = container.guest(session.state, vmid)
    found = [_interface("lo", "00:00:00:00:00:00", ("127.0.0.1/8", "::1/128"))]
    return found + [_interface(*link) for link in runtime.links(guest)]


def _interface(name: str, mac: str, addresses: tuple[str, ...]) -> dict[str, t.Any]:
    entry: dict[str, t.Any] = {"name": name, "hwaddr": mac, "hardware-address": mac, "ip-addresses": []}
    for address in addresses:
        family = "inet6" if ":" in address else "inet"
        entry.setdefault(family, address)
        ip, prefix = address.split("/")
        entry["ip-addresses"].append({"ip-address": ip, "ip-address-type": family, "prefix": prefix})
    return entry


# -- disks -------------------------------------------------------------------------------------------------------------


@route("PUT", f"{GUEST}/resize")
def resize(session: Session, params: Params) -> str:
    """Grow a volume and the file system on it in a task."""
    vmid, disk, text = int(params["vmid"]), str(params["disk"]), str(params["size"])

    def check() -> tuple[GuestFile, container.MountPoint, int]:
        conf = session.state.guest("lxc", vmid)
        container.check_lock(conf)
        config.Permissions(session, vmid, conf, conf.options.get("unprivileged") == "1").check({"disk": disk})
        container.check_digest(params.get("digest"), conf)
        mount = container.parse_volume(disk, conf.options.get(disk))
        store, volume = storage.locate(session.state, mount.volume)
        owner = store.parse(volume).vmid
        if owner != vmid:
            raise ApiError(f"can't resize mount point owned by another container ({owner})")
        access.need(session, f"/storage/{store.name}", "Datastore.AllocateSpace")
        size = store.activate().size(volume)
        asked = parse_size(text.lstrip("+")) or 0
        wanted = size + asked if text.startswith("+") else asked
        if wanted < size:
            raise ApiError("unable to shrink disk size")
        if wanted == size:
            raise ApiError("disk is already at specified size")
        return conf, mount, wanted

    check()

    def work() -> None:
        with container.lock(session, vmid):
            conf, mount, wanted = check()
            store, volume = storage.locate(session.state, mount.volume)
            before = store.size(volume)
            store.resize(volume, wanted)
            mount.options["size"] = format_size(wanted)
            conf.options[disk] = mount.render()
            session.state.write_guest(vmid, conf)
            if store.parse(volume).format == "raw":
                session.say("Image resized.")
                if faults.take(session.state, "filesystem_stays", vmid=vmid):
                    why = f"command 'resize2fs {store.path(volume)}' failed: exit code 1"
                    session.warn(f"Failed to update the container's filesystem: {why}\n")
                    return
                _grow_text(session, str(store.path(volume)), before, wanted, container.is_running(session.state, vmid))

    return session.worker("resize", str(vmid), work)


def _grow_text(session: Session, path: str, before: int, after: int, running: bool) -> None:
    if running:
        path = "/dev/loop0"
        session.say(
            f"resize2fs 1.47.2 (1-Jan-2025)\nFilesystem at {path} is mounted on /tmp; on-line resizing required"
        )
        session.say("old_desc_blocks = 1, new_desc_blocks = 1")
    else:
        inodes = before // 16384
        session.say("e2fsck 1.47.2 (1-Jan-2025)")
        for number, what in enumerate(
            (
                "inodes, blocks, and sizes",
                "directory structure",
                "directory connectivity",
                "reference counts",
                "group summary information",
            ),
            1,
        ):
            session.say(f"Pass {number}: Checking {what}")
        session.say(f"{path}: 307/{inodes} files (0.0% non-contiguous), 13537/{before // 4096} blocks")
        session.say(f"resize2fs 1.47.2 (1-Jan-2025)\nResizing the filesystem on {path} to {after // 4096} (4k) blocks.")
    session.say(f"The filesystem on {path} is now {after // 4096} (4k) blocks long.\n")


def _copy_disk(
    session: Session, vmid: int, target_store: str, mount: container.MountPoint, snapshot: str | None = None
) -> str:
    """A full copy of a volume; answers its volume id."""
    if mount.type != "volume":
        raise ApiError(f"cannot copy volumes of type {mount.type}")
    source, volume = storage.locate(session.state, mount.volume)
    size = source.size(volume)
    fresh = container.allocate_disk(session, vmid, storage.get(session.state, target_store), size // 1024)
    store, name = storage.locate(session.state, fresh)
    tree = store.tree(name)
    tree.rmdir()
    storage.copy_tree(source.snapshot_tree(volume, snapshot), tree)
    session.write(_rsync_text(tree))
    return fresh


def _rsync_text(tree: t.Any) -> str:
    kinds = {"reg": 0, "dir": 1, "link": 0}
    total = 0
    for path in tree.rglob("*"):
        kind = "link" if path.is_symlink() else "dir" if path.is_dir() else "reg"
        kinds[kind] += 1
        total += path.lstat().st_size if kind != "dir" else 0
    count = sum(kinds.values())
    sent = total + 32 * count
    shown = ", ".join(f"{kind}: {number:,}" for kind, number in kinds.items() if number)
    return (
        f"\nNumber of files: {count:,} ({shown})\nNumber of created files: {count:,} ({shown})\n"
        f"Number of deleted files: 0\nNumber of regular files transferred: {kinds['reg']:,}\n"
        f"Total file size: {total:,} bytes\nTotal transferred file size: {total:,} bytes\n"
        f"Literal data: {total:,} bytes\nMatched data: 0 bytes\nFile list size: 0\n"
        f"File list generation time: 0.001 seconds\nFile list transfer time: 0.000 seconds\n"
        f"Total bytes sent: {sent:,}\nTotal bytes received: 1,012\n\n"
        f"sent {sent:,} bytes  received 1,012 bytes  {2 * (sent + 1012):,.2f} bytes/sec\n"
        f"total size is {total:,}  speedup is 1.00\n"
    )


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
                fresh = _copy_disk(session, newid, params.get("storage") or store.name, mount, plan.snapshot)
            else:
                fresh = store.volid(store.clone(volume, newid, plan.snapshot))
            made.append(fresh)
            copy = container.MountPoint(mount.key, {**mount.options, "volume": fresh})
            options[mount.key] = copy.render()
        state.write_guest(newid, GuestFile("lxc", Section(options)))
        if params.get("pool"):
            access.add_to_pool(session, params["pool"], newid)
    except ApiError as error:
        container.destroy_disks(session, made)
        state.remove_guest("lxc", newid)
        raise ApiError(f"clone failed: {error.message}") from error
    finally:
        container.remove_lock(session, vmid, "disk")


@route("POST", f"{GUEST}/move_volume")
def move_volume(session: Session, params: Params) -> str:
    """Move a volume to another storage, or to another container, in a task."""
    vmid, key = int(params["vmid"]), str(params["volume"])
    if params.get("storage") and params.get("target-vmid"):
        raise ApiError("either set storage or target-vmid, but not both")
    if params.get("target-vmid"):
        return _reassign(session, vmid, key, params)
    if not params.get("storage"):
        why = "both 'storage' and 'target-vmid' missing, either needs to be set"
        raise bad_params(storage=why, target_vmid=why)
    conf = session.state.guest("lxc", vmid)
    container.check_lock(conf)
    if container.is_running(session.state, vmid):
        raise ApiError("cannot move volumes of a running container")
    if container.UNUSED_KEY.fullmatch(key):
        raise ApiError(f"cannot move volume '{key}', only configured volumes can be moved to another storage")
    mount = container.parse_volume(key, conf.options.get(key))
    container.check_digest(params.get("digest"), conf)
    container.set_lock(session, vmid, "disk")
    try:
        return session.worker("move_volume", str(vmid), lambda: _move(session, vmid, mount, params))
    finally:
        container.remove_lock(session, vmid, "disk")


def _move(session: Session, vmid: int, mount: container.MountPoint, params: Params) -> None:
    old = mount.volume
    fresh = _copy_disk(session, vmid, params["storage"], mount)
    with container.lock(session, vmid):
        conf = session.state.guest("lxc", vmid)
        conf.options[mount.key] = container.MountPoint(mount.key, {**mount.options, "volume": fresh}).render()
        if not params.get("delete"):
            container.add_unused(conf, old)
        session.state.write_guest(vmid, conf)
    if params.get("delete"):
        container.destroy_disks(session, [old])


def _reassign(session: Session, vmid: int, key: str, params: Params) -> str:
    state, target = session.state, int(params["target-vmid"])
    target_key = str(params.get("target-volume", key))
    if "rootfs" in (key, target_key):
        raise ApiError("Cannot move to/from 'rootfs'")
    known = state.guests()
    for number in (vmid, target):
        if number not in known:
            raise ApiError(f"could not find CT {number}")
    source, other = state.guest("lxc", vmid), state.guest("lxc", target)
    for conf in (source, other):
        container.check_lock(conf)
    if key not in source.options:
        raise ApiError(f"volume '{key}' for container '{vmid}' does not exist")
    if target_key in other.options:
        raise ApiError(f"Target volume key '{target_key}' is already in use for container '{target}'")

    def work() -> None:
        mount = (
            container.MountPoint(key, {"volume": source.options[key]})
            if container.UNUSED_KEY.fullmatch(key)
            else container.parse_volume(key, source.options[key])
        )
        session.say(f"moving volume '{key}' from container '{vmid}' to '{target}'")
        store, volume = storage.locate(state, mount.volume)
        parsed = store.parse(volume)
        name, _said = store.allocate(target, parsed.format, None, store.size(volume))
        store.path(volume).replace(store.path(name)) if parsed.format != "subvol" else None
        shutil.rmtree(store.tree(name), ignore_errors=True)
        storage.copy_tree(store.tree(volume), store.tree(name))
        shutil.rmtree(store.tree(volume), ignore_errors=True)
        del source.options[key]
        session.say(f"removing volume '{key}' from container '{vmid}' config")
        mount.options["volume"] = store.volid(name)
        other.options[target_key] = store.volid(name) if container.UNUSED_KEY.fullmatch(target_key) else mount.render()
        state.write_guest(vmid, source)
        state.write_guest(target, other)
        session.say(f"target container '{target}' updated with '{target_key}'")

    return session.worker("move_volume", f"{vmid}-{key}>{target}-{target_key}", work)


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


# -- snapshots ---------------------------------------------------------------------------------------------------------


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
            mounts = [mount for mount in container.volumes(conf.options) if mount.type == "volume"]
            for mount in mounts:
                store, volume = storage.locate(state, mount.volume)
                if not store.has_feature("snapshot", volume):
                    raise ApiError("snapshot feature is not available")
            for mount in mounts:
                store, volume = storage.locate(state, mount.volume)
                store.snapshot(volume, name)
            kept = {
                key: value
                for key, value in conf.options.items()
                if key not in NOT_IN_SNAPSHOT and not container.UNUSED_KEY.fullmatch(key)
            }
            kept["snaptime"] = str(int(time.time()))
            if conf.options.get("parent"):
                kept["parent"] = conf.options["parent"]
            if params.get("description"):
                kept["description"] = params["description"]
            conf.snapshots[name] = Section(kept)
            conf.options["parent"] = name
            state.write_guest(vmid, conf)

    return session.worker("vzsnapshot", str(vmid), work)


def _require_snapshot(conf: GuestFile, name: str) -> Section:
    if name not in conf.snapshots:
        raise ApiError(f"snapshot '{name}' does not exist")
    return conf.snapshots[name]


@route("GET", f"{GUEST}/snapshot/{{snapname}}")
def snapshot_directory(session: Session, params: Params) -> list[dict[str, str]]:
    """What there is below a snapshot."""
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
            for mount in container.volumes(section.options):
                store, volume = storage.locate(state, mount.volume)
                store.delete_snapshot(volume, name)
            parent = section.options.get("parent")
            for other in [conf.current, *conf.snapshots.values()]:
                if other.options.get("parent") == name:
                    other.options.pop("parent")
                    if parent:
                        other.options["parent"] = parent
            del conf.snapshots[name]
            state.write_guest(vmid, conf)

    return session.worker("vzdelsnapshot", str(vmid), work)


@route("POST", f"{GUEST}/snapshot/{{snapname}}/rollback")
def rollback(session: Session, params: Params) -> str:
    """Go back to a snapshot in a task."""
    state, vmid, name = session.state, int(params["vmid"]), str(params["snapname"])

    def work() -> None:
        with container.lock(session, vmid):
            conf = state.guest("lxc", vmid)
            container.check_lock(conf)
            section = _require_snapshot(conf, name)
            if container.is_running(state, vmid):
                status.halt(session, vmid)
                conf = state.guest("lxc", vmid)
            for mount in container.volumes(section.options):
                store, volume = storage.locate(state, mount.volume)
                store.rollback(volume, name)
            back = {
                key: value for key, value in section.options.items() if key not in ("snaptime", "parent", "description")
            }
            if "description" in conf.options:
                back["description"] = conf.options["description"]
            conf.current = Section({**back, "parent": name})
            conf.waiting = Section()
            state.write_guest(vmid, conf)
        if params.get("start"):
            status.start(session, vmid)

    return session.worker("vzrollback", str(vmid), work)


def rescan(session: Session, vmid: int, conf: GuestFile) -> bool:
    """Note unreferenced volumes as unused and correct the sizes; answers whether anything changed."""
    changed = False
    sizes = {
        item.volid: item.size
        for store in storage.load(session.state).values()
        if store.enabled and "rootdir" in store.contents
        for item in store.images(vmid)
    }
    for volid in sizes:
        if not container.in_use(conf, volid) and container.add_unused(conf, volid):
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
    """There is nowhere to go from a single node."""
    target = params["target"]
    if target == session.state.name:
        raise bad_params(target="target is local node.")
    if target not in session.state.nodes():
        raise ApiError(f"no such cluster node '{target}'")
    raise ApiError(f"ssh: connect to host {target} port 22: No route to host")
