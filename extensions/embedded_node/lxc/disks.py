# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of a container's volumes: grown, moved to another storage, given to another container."""

from __future__ import annotations

import shutil
import typing as t

from ..api import access
from ..api.routes import Params, route
from ..api.session import Session
from ..errors import ApiError, bad_params
from ..state import faults, storage, volume_files
from ..state.config_file import GuestFile
from ..state.propstring import format_size, parse_size
from . import allocation, container, permissions
from .api import GUEST


@route("PUT", f"{GUEST}/resize")
def resize(session: Session, params: Params) -> str:
    """Grow a volume and the file system on it in a task."""
    vmid, disk = int(params["vmid"]), str(params["disk"])
    _check_resize(session, params)

    def work() -> None:
        with container.lock(session, vmid):
            conf, mount, wanted = _check_resize(session, params)
            store, volume = storage.locate(session.state, mount.volume)
            before = store.size(volume)
            store.resize(volume, wanted)
            mount.options["size"] = format_size(wanted)
            conf.options[disk] = mount.render()
            session.state.write_guest(vmid, conf)
            if store.parse(volume).format == "raw":
                session.say("Image resized.")
                try:
                    if faults.take(session.state, "filesystem_stays", vmid=vmid):
                        raise ApiError(f"command 'resize2fs {store.path(volume)}' failed: exit code 1")
                    store.grow(volume)
                except ApiError as error:
                    session.warn(f"Failed to update the container's filesystem: {error.message}\n")
                    return
                _grow_text(session, str(store.path(volume)), before, wanted, container.is_running(session.state, vmid))

    return session.worker("resize", str(vmid), work)


def _check_resize(session: Session, params: Params) -> tuple[GuestFile, container.MountPoint, int]:
    """Die unless the volume can grow to the size; returns the config, the mount point and the new size."""
    vmid, disk, text = int(params["vmid"]), str(params["disk"]), str(params["size"])
    conf = session.state.guest("lxc", vmid)
    container.check_lock(conf)
    permissions.Permissions(session, vmid, conf, conf.options.get("unprivileged") == "1").check({"disk": disk})
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


def copy_disk(
    session: Session, vmid: int, target_store: str, mount: container.MountPoint, snapshot: str | None = None
) -> str:
    """A full copy of a volume; returns its volume id."""
    if mount.type != "volume":
        raise ApiError(f"cannot copy volumes of type {mount.type}")
    source, volume = storage.locate(session.state, mount.volume)
    size = source.size(volume)
    fresh = allocation.allocate_disk(session, vmid, storage.get(session.state, target_store), size // 1024)
    store, name = storage.locate(session.state, fresh)
    tree = store.tree(name)
    tree.rmdir()
    volume_files.copy_tree(source.snapshot_tree(volume, snapshot), tree)
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
    fresh = copy_disk(session, vmid, params["storage"], mount)
    with container.lock(session, vmid):
        conf = session.state.guest("lxc", vmid)
        conf.options[mount.key] = container.MountPoint(mount.key, {**mount.options, "volume": fresh}).render()
        if not params.get("delete"):
            allocation.add_unused(conf, old)
        session.state.write_guest(vmid, conf)
    if params.get("delete"):
        allocation.destroy_disks(session, [old])


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
        volume_files.copy_tree(store.tree(volume), store.tree(name))
        shutil.rmtree(store.tree(volume), ignore_errors=True)
        del source.options[key]
        session.say(f"removing volume '{key}' from container '{vmid}' config")
        mount.options["volume"] = store.volid(name)
        other.options[target_key] = store.volid(name) if container.UNUSED_KEY.fullmatch(target_key) else mount.render()
        state.write_guest(vmid, source)
        state.write_guest(target, other)
        session.say(f"target container '{target}' updated with '{target_key}'")

    return session.worker("move_volume", f"{vmid}-{key}>{target}-{target_key}", work)
