# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``pct`` does with a container's volumes: fsck, df, rescan, fstrim."""

from __future__ import annotations

from ..api.session import Session
from ..errors import ApiError
from ..lxc import api, container
from ..state import storage
from .command_line import Params


def fsck(session: Session, params: Params) -> None:
    """Check a volume of a stopped container."""
    vmid, key = int(params["vmid"]), str(params.get("device", "rootfs"))
    with container.lock(session, vmid):
        conf = session.state.guest("lxc", vmid)
        if key not in conf.options:
            raise ApiError(f"cannot run command on non-existing mount point {key}")
        if container.is_running(session.state, vmid):
            raise ApiError("cannot run fsck when container is running")
        mount = container.parse_volume(key, conf.options[key])
        if mount.type != "volume":
            raise ApiError(f"path '{mount.volume}' does not point to a block device")
        store, volume = storage.locate(session.state, mount.volume)
        form = store.parse(volume).format
        if form != "raw":
            raise ApiError(f"unable to run fsck for '{mount.volume}' (format == {form})")
        blocks = store.size(volume) // 4096
        used = f"307/{blocks // 4} files, {blocks // 36}/{blocks} blocks"
        session.say(f"fsck from util-linux 2.41.5\n{store.path(volume)}: clean, {used}")


def _human(size: float) -> str:
    for unit in ("", "K", "M", "G"):
        if size < 1024:
            return f"{size:.1f}{unit}" if unit else f"{size:g}"
        size /= 1024
    return f"{size:.1f}T"


def df(session: Session, params: Params) -> None:
    """Print how full its volumes are."""
    vmid = int(params["vmid"])
    if not session.state.has_guest("lxc", vmid):
        session.warn(f"{vmid} doesn't exist")
    conf = session.state.guest("lxc", vmid)
    if not container.is_running(session.state, vmid):
        container.check_lock(conf)
    rows = [["MP", "Volume", "Size", "Used", "Avail", "Use%", "Path"]]
    for mount in container.volumes(conf.options):
        total = int((mount.size or 0) * 0.97) or 64 * 1024**3
        used = _used(session, mount)
        rows.append(
            [
                mount.key,
                mount.volume,
                _human(total),
                _human(used),
                _human(total - used - total // 20),
                f"{100 * used / total:.1f}",
                mount.target,
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        left = " ".join(cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True))
        right = " ".join(cell.rjust(width) for cell, width in zip(row[2:6], widths[2:], strict=True))
        session.say(f"{left} {right} {row[6]}")


def _used(session: Session, mount: container.MountPoint) -> int:
    if mount.type != "volume":
        return 0
    store, volume = storage.locate(session.state, mount.volume)
    return sum(path.lstat().st_size for path in store.tree(volume).rglob("*") if not path.is_dir())


def rescan(session: Session, params: Params) -> None:
    """Find volumes and sizes that the configs do not have."""
    if params.get("dryrun"):
        session.say("NOTE: running in dry-run mode, won't write changes out!")
    session.say("rescan volumes...")
    guests = [
        vmid for vmid, (kind, node) in session.state.guests().items() if kind == "lxc" and node == session.state.name
    ]
    for vmid in [int(params["vmid"])] if params.get("vmid") else guests:
        with container.lock(session, vmid):
            conf = session.state.guest("lxc", vmid)
            container.check_lock(conf)
            if api.rescan(session, vmid, conf) and not params.get("dryrun"):
                session.state.write_guest(vmid, conf)


def fstrim(session: Session, params: Params) -> None:
    """Give free blocks back to the storage."""
    vmid = int(params["vmid"])
    conf = container.set_lock(session, vmid, "fstrim")
    try:
        for mount in container.volumes(conf.options):
            if (
                mount.type == "bind"
                or mount.options.get("ro") == "1"
                or (params.get("ignore-mountpoints") and mount.key != "rootfs")
            ):
                continue
            free = int((mount.size or 0) * 0.97) - _used(session, mount)
            session.say(
                f"/var/lib/lxc/{vmid}/rootfs{mount.target}: {free / container.GIB:.1f} GiB ({free} bytes) trimmed"
            )
    finally:
        container.remove_lock(session, vmid, "fstrim")
