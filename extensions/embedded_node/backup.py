# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``vzdump``: backups of containers as real archives, which ``pct restore`` reads. VMs are not backed up here."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
import typing as t
from contextlib import contextmanager
from pathlib import Path

import zstandard

from . import config_file, lxc, lxc_status, storage
from .api import Params, route
from .archive import BACKUP_CONFIG
from .command_line import Command, Exit
from .config_file import GuestFile, Section
from .errors import ApiError
from .propstring import split_list
from .session import Session

PATH = "/nodes/{node}/vzdump"
SUFFIXES = {"0": "tar", "gzip": "tar.gz", "1": "tar.lzo", "lzo": "tar.lzo", "zstd": "tar.zst"}


@route("POST", PATH)
def vzdump(session: Session, params: Params) -> str:
    """Back up guests in one task."""
    state = session.state
    name = str(params.get("storage", "local"))
    folder = Path(params["dumpdir"]) if params.get("dumpdir") else _dump_folder(session, name)
    here = [vmid for vmid, (_kind, node) in state.guests().items() if node == state.name]
    wanted = here if params.get("all") else [int(item) for item in split_list(str(params.get("vmid", "")))]
    if not wanted:
        raise ApiError("you didn't specify any vmid" if not params.get("all") else "no guests")
    shown = " ".join(f"--{key} {value}" for key, value in sorted(params.items()) if key not in ("node", "vmid"))
    title = " ".join(["vzdump", *map(str, wanted), shown]).strip()

    def work() -> None:
        session.say(f"INFO: starting new backup job: {title}")
        failed = [vmid for vmid in wanted if not _one(session, vmid, folder, params)]
        session.say(f"INFO: Backup job finished {'with errors' if failed else 'successfully'}")
        if failed:
            raise ApiError("job errors")

    return session.worker("vzdump", str(wanted[0]) if len(wanted) == 1 else "", work)


def _dump_folder(session: Session, name: str) -> Path:
    try:
        store = storage.get(session.state, name).check_enabled()
        if "backup" not in store.contents:
            raise ApiError(f"can't use storage '{name}' for backups - wrong content type")
        return store.activate().base / storage.CONTENT_FOLDERS["backup"]
    except ApiError as error:
        raise ApiError(f"could not get storage information for '{name}': {error.message}") from error


def _one(session: Session, vmid: int, folder: Path, params: Params) -> bool:
    """Back up one guest; answers whether it worked."""
    began = time.time()
    try:
        kind = session.state.guests().get(vmid, ("", ""))[0]
        if not kind:
            raise ApiError(f"unable to find VM '{vmid}'")
        session.say(f"INFO: Starting Backup of VM {vmid} ({kind})\nINFO: Backup started at {_stamp(began)}")
        if kind != "lxc":
            raise ApiError("the embedded node backs up containers only")
        _container(session, vmid, folder, params, began)
    except ApiError as error:
        session.say(f"ERROR: Backup of VM {vmid} failed - {error.message}\nINFO: Failed at {_stamp(time.time())}")
        return False
    took = time.strftime("%H:%M:%S", time.gmtime(time.time() - began))
    session.say(f"INFO: Finished Backup of VM {vmid} ({took})\nINFO: Backup finished at {_stamp(time.time())}")
    return True


def _stamp(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _container(session: Session, vmid: int, folder: Path, params: Params, began: float) -> None:
    state = session.state
    running = lxc.is_running(state, vmid)
    mode = str(params.get("mode", "snapshot")) if running else "stop"
    session.say(
        f"INFO: status = {'running' if running else 'stopped'}\nINFO: backup mode: {mode}\nINFO: ionice priority: 7"
    )
    conf = lxc.set_lock(session, vmid, "backup")
    try:
        session.say(f"INFO: CT Name: {conf.options.get('hostname', f'CT{vmid}')}")
        included = [mount for mount in lxc.volumes(conf.options) if _belongs(session, mount)]
        suffix = SUFFIXES.get(str(params.get("compress", "0")), "tar.zst")
        stamp = time.strftime("%Y_%m_%d-%H_%M_%S", time.localtime(began))
        target = folder / f"vzdump-lxc-{vmid}-{stamp}.{suffix}"
        session.say(f"INFO: creating vzdump archive '{target}'")
        folder.mkdir(parents=True, exist_ok=True)
        with _stopped(session, vmid, running and mode == "stop"):
            written = _write(session, target, conf, included, lxc.files(state, vmid).mounts)
        session.say(f"INFO: Total bytes written: {written} ({written / 1024**2:.1f}MiB, 250MiB/s)")
        session.say(f"INFO: archive file size: {max(target.stat().st_size // 1024**2, 1)}MB")
    finally:
        lxc.remove_lock(session, vmid, "backup")


def _belongs(session: Session, mount: lxc.MountPoint) -> bool:
    inside = mount.type == "volume" and (mount.key == "rootfs" or mount.options.get("backup") == "1")
    why = "" if inside else " (disabled)" if mount.type == "volume" else " (not a volume)"
    kind = "mount point" if mount.type == "volume" else f"{mount.type} mount point"
    verb, side = ("including", "in") if inside else ("excluding", "from")
    session.say(f"INFO: {verb} {kind} {mount.key} ('{mount.target}') {side} backup{why}")
    return inside


@contextmanager
def _stopped(session: Session, vmid: int, stop: bool) -> t.Iterator[None]:
    if stop:
        lxc_status.halt(session, vmid)
    try:
        yield
    finally:
        if stop:
            lxc_status.boot(session, vmid)


def _write(
    session: Session, target: Path, conf: GuestFile, mounts: list[lxc.MountPoint], linked: frozenset[str]
) -> int:
    """The archive: the config as PVE keeps it, then the files without what is only linked in; answers its bytes."""
    options = {key: value for key, value in conf.options.items() if key not in ("lock", "parent", "snaptime")}
    text = config_file.render(GuestFile("lxc", Section(options, conf.current.raw))).encode()
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        member = tarfile.TarInfo(BACKUP_CONFIG)
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
        for mount in mounts:
            store, volume = storage.locate(session.state, mount.volume)
            tree = store.tree(volume)
            if tree.is_dir():
                tar.add(tree, f".{mount.target.rstrip('/')}", filter=lambda member: _plain(member, linked))
    data = raw.getvalue()
    pack: dict[str, t.Callable[[bytes], bytes]] = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}
    target.write_bytes(pack.get(target.name.rsplit(".", 1)[-1], bytes)(data))
    return len(data)


def _plain(member: tarfile.TarInfo, linked: frozenset[str]) -> tarfile.TarInfo | None:
    return None if member.issym() and member.name.removeprefix("./") in linked else member


def _exit(session: Session, upid: t.Any) -> None:
    if session.task_failed:
        raise Exit(255)


TABLE = Command(("vmid",), "POST", PATH, show=_exit)
