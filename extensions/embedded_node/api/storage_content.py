# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of what lies on a storage."""

from __future__ import annotations

import re
import typing as t
from datetime import datetime

from ..errors import ApiError, bad_params
from ..state import faults, storage, storage_types
from ..state.storage_volumes import Storage
from . import access, volume_access
from .routes import Params, route
from .session import Session
from .storage import ONE


def items(session: Session, store: Storage, vmid: int | None = None) -> t.Iterator[storage_types.Item]:
    """What lies on a storage, by kind of content; a disk is what its owner is: rootdir or images."""
    guests = session.state.guests()
    for content in ("images", "rootdir"):
        for item in store.images(vmid) if content in store.contents else []:
            kind = guests.get(item.vmid or 0, ("", ""))[0]
            both = {"images", "rootdir"} <= set(store.contents)
            belongs = {"lxc": "rootdir", "qemu": "images"}.get(kind, "images" if both else content)
            if item.format == "subvol":
                belongs = "rootdir"
            if belongs == content or not both:
                yield storage_types.Item(item.volid, belongs, item.format, item.size, item.vmid, item.ctime, item.name)
    for content in storage_types.CONTENT_FOLDERS:
        if content in store.contents:
            yield from (item for item in store.files(content) if vmid in (None, item.vmid))


@route("GET", f"{ONE}/content")
def content(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """What lies on a storage."""
    store = storage.get(session.state, params["storage"]).check_enabled().activate()
    vmid = int(params["vmid"]) if params.get("vmid") else None
    rows: list[dict[str, t.Any]] = []
    for item in items(session, store, vmid):
        if params.get("content") and item.content != params["content"]:
            continue
        if not volume_access.may(session, item.volid, None):
            continue
        row: dict[str, t.Any] = {
            "volid": item.volid, "content": item.content, "format": item.format, "size": item.size,
            "ctime": int(item.ctime),
        }  # fmt: skip
        if item.vmid is not None:
            row["vmid"] = item.vmid
        if item.content == "backup":
            found = re.match(r"vzdump-(\w+)-\d+-(\d+)_(\d+)_(\d+)-(\d+)_(\d+)_(\d+)", item.name)
            row["subtype"] = found[1] if found else "unknown"
            row |= store.attributes(f"backup/{item.name}")
            if found:
                row["ctime"] = int(datetime.strptime("-".join(found.groups()[1:]), "%Y-%m-%d-%H-%M-%S").timestamp())
        rows.append(row)
    return sorted(rows, key=lambda row: str(row["volid"]))


@route("POST", f"{ONE}/content")
def allocate(session: Session, params: Params) -> str:
    """Allocate a disk."""
    store = storage.get(session.state, params["storage"]).check_enabled()
    found = re.fullmatch(r"(\d+)([MG]?)", str(params["size"]))
    kib = int(found[1]) * {"": 1, "M": 1024, "G": 1024**2}[found[2]] if found else 0
    name = str(params["filename"])
    suffix = re.search(r"\.(raw|qcow2|vmdk|subvol)$", name)
    form = params.get("format") or (suffix[1] if suffix and not store.kind.block else "raw")
    if params.get("format") and suffix and suffix[1] != params["format"]:
        raise bad_params(format=f"different storage formats ({params['format']} != {suffix[1]})")
    if faults.is_full(session.state, store.name):
        raise ApiError("unable to create image: No space left on device")
    volume, said = store.activate().allocate(int(params["vmid"]), form, name or None, kib * 1024)
    session.write(said)
    return store.volid(volume)


def resolve_volume(session: Session, params: Params) -> tuple[Storage, str]:
    """The storage and volume that a path like ``/content/{volume}`` names."""
    volid, name = str(params["volume"]), params.get("storage")
    if ":" not in volid:
        if not name:
            raise bad_params(volume="no storage specified - incomplete volume ID")
        volid = f"{name}:{volid}"
    parts = storage.split_volid(volid)
    if parts is None:
        raise bad_params(volume=f"unable to parse volume ID '{volid}'\n")
    if name not in (None, parts[0]):
        raise bad_params(volume=f"storage ID mismatch ({parts[0]} != {name})\n")
    return storage.locate(session.state, volid)


@route("GET", f"{ONE}/content/{{volume}}")
def volume_info(session: Session, params: Params) -> dict[str, t.Any]:
    """One volume."""
    store, volume = resolve_volume(session, params)
    volume_access.check(session, store.volid(volume), None)
    path = store.check_enabled().require(volume)
    parsed = store.parse(volume)
    row = {"path": str(path), "size": store.size(volume), "used": path.stat().st_blocks * 512, "format": parsed.format}
    return row | (store.attributes(volume, whole=True) if parsed.content == "backup" else {})


@route("PUT", f"{ONE}/content/{{volume}}")
def set_attributes(session: Session, params: Params) -> None:
    """Change a backup's notes, or protect it."""
    store, volume = resolve_volume(session, params)
    volume_access.check(session, store.volid(volume), None)
    path = store.check_enabled().activate().path(volume)
    for name in ("notes", "protected"):
        if name not in params:
            continue
        if store.parse(volume).content != "backup":
            raise ApiError(f"attribute '{name}' is not supported for storage type '{store.type}'")
        beside = path.with_name(f"{path.name}.{name}")
        if params[name]:
            beside.write_text(str(params[name]) if name == "notes" else "", encoding="utf-8")
        else:
            beside.unlink(missing_ok=True)


@route("DELETE", f"{ONE}/content/{{volume}}")
def free(session: Session, params: Params) -> str:
    """Free a volume in a task."""
    store, volume = resolve_volume(session, params)
    parsed = store.parse(volume)
    if parsed.content == "backup" and parsed.vmid:
        access.need(session, f"/storage/{store.name}", "Datastore.AllocateSpace")
        access.need(session, f"/vms/{parsed.vmid}", "VM.Backup")
    else:
        access.need(session, f"/storage/{store.name}", "Datastore.Allocate")

    def work() -> None:
        session.complain(store.check_enabled().activate().remove(volume))
        session.say(f"Removed volume '{store.volid(volume)}'")

    return session.worker("imgdel", f"{parsed.vmid}@{store.name}" if parsed.vmid else store.name, work)


@route("GET", f"{ONE}/prunebackups")
def prune_preview(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """Which backups a prune would keep."""
    store = storage.get(session.state, params["storage"])
    return prune_marks(store, str(params.get("prune-backups", "")), params.get("vmid"))


def prune_marks(store: Storage, rule: str, vmid: t.Any = None) -> list[dict[str, t.Any]]:
    """Backups with their mark: the newest ``keep-last`` of each guest are kept."""
    keep = re.search(r"keep-last=(\d+)", rule)
    number = int(keep[1]) if keep else 10**6
    rows: list[dict[str, t.Any]] = []
    by_guest: dict[int | None, int] = {}
    for item in sorted(store.files("backup"), key=lambda item: item.name, reverse=True):
        if vmid and item.vmid != int(vmid):
            continue
        by_guest[item.vmid] = by_guest.get(item.vmid, 0) + 1
        kind = item.name.split("-")[1] if item.name.startswith("vzdump-") else "unknown"
        mark = "keep" if by_guest[item.vmid] <= number else "remove"
        rows.append({"volid": item.volid, "vmid": item.vmid, "type": kind, "mark": mark, "ctime": int(item.ctime)})
    return rows
