# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of storages: their config and status."""

from __future__ import annotations

import re
import typing as t

from ..errors import ApiError, bad_params
from ..state import archive, storage, storage_types
from ..state.propstring import split_list
from ..state.storage_volumes import Storage
from . import access, validation
from .routes import Params, route
from .session import Session

NODE = "/nodes/{node}/storage"
ONE = f"{NODE}/{{storage}}"
CONFIG_LOCK = "/var/lock/pve-manager/pve-storage-cfg"
USES = ("Datastore.Audit", "Datastore.AllocateSpace")


def visible(session: Session) -> list[Storage]:
    """The storages that the caller may see."""
    return [
        store
        for store in storage.load(session.state).values()
        if access.may(session, f"/storage/{store.name}", USES, any_of=True)
    ]


# -- the config --------------------------------------------------------------------------------------------------------


def _entry(store: Storage, digest: str) -> dict[str, t.Any]:
    entry: dict[str, t.Any] = {"storage": store.name, "type": store.type, "digest": digest, **store.options}
    entry["content"] = ",".join(store.contents) or "none"
    if "content-dirs" in entry:
        entry["content-dirs"] = dict(item.split("=", 1) for item in store.options["content-dirs"].split(","))
    for key in ("disable", "shared"):
        if key in entry:
            entry[key] = int(entry[key])
    return entry


@route("GET", "/storage")
def index(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """All storages' configs."""
    digest = storage.digest(session.state)
    wanted = params.get("type")
    return [_entry(store, digest) for store in visible(session) if wanted in (None, store.type)]


@route("GET", "/storage/{storage}")
def read(session: Session, params: Params) -> dict[str, t.Any]:
    """One storage's config."""
    return _entry(storage.get(session.state, params["storage"]), storage.digest(session.state))


def _stored(name: str, value: t.Any) -> str:
    if name == "content":
        return ",".join(dict.fromkeys(split_list(str(value))))
    if name == "nodes":
        return ",".join(sorted(split_list(str(value))))
    return str(value)


@route("POST", "/storage")
def create(session: Session, params: Params) -> dict[str, t.Any]:
    """Define a storage."""
    name, kind = str(params.pop("storage")), str(params.pop("type"))
    store = Storage(session.state, name, kind, {})
    for key in sorted(params):
        if key not in store.kind.options and key not in store.kind.required:
            raise ApiError(f"unexpected property '{key}'")
        store.options[key] = _stored(key, params[key])
    for key in store.kind.required:
        if key not in store.options:
            raise ApiError(f"missing value for required option '{key}'")
    _check_content(session, store)
    if "path" in store.options:
        store.options["path"] = str(store.base)
    if store.options.get("disable") == "0":
        del store.options["disable"]
    with session.locked(CONFIG_LOCK):
        storages = storage.load(session.state)
        if name in storages:
            raise ApiError(f"create storage failed: storage ID '{name}' already defined")
        try:
            if store.type == "btrfs" and not _is_btrfs(session, store, storages.values()):
                raise ApiError(f"'{store.base}' is not a btrfs file system", exit_code=2)
            if store.enabled:
                store.activate()
        except ApiError as error:
            raise ApiError(f"create storage failed: {error.message}", exit_code=error.exit_code) from error
        storages[name] = store
        storage.save(session.state, storages)
    return {"storage": name, "type": kind}


def _is_btrfs(session: Session, store: Storage, others: t.Iterable[Storage]) -> bool:
    """Whether a folder is on btrfs: where a storage of that type is already, or the node has such a mount."""
    mounts = re.findall(r"^\S+ (\S+) btrfs ", session.state.read("proc/mounts"), re.MULTILINE)
    places = [session.state.path(mount.lstrip("/")) for mount in mounts]
    places += [other.base for other in others if other.type == "btrfs"]
    return any(store.base.is_relative_to(place) for place in places)


def _check_content(session: Session, store: Storage) -> None:
    """Leave out what this type cannot hold, with a warning."""
    if "content" not in store.options:
        return
    wanted = store.options["content"].split(",")
    for content in wanted:
        if content not in {*store.kind.contents, "none"}:
            session.warn(f"storage does not support content type '{content}'")
    kept = [content for content in wanted if content in {*store.kind.contents, "none"}]
    if "none" in kept and len(kept) > 1:
        raise ApiError("unable to combine 'none' with other content types")
    store.options["content"] = ",".join(kept) or "none"
    if "mkdir" in store.options:
        session.warn(
            f"NOTE: The 'mkdir' option set for '{store.name}' is deprecated and will be removed"
            " in Proxmox VE 9. Use 'create-base-path' or 'create-subdirs' instead."
        )


@route("PUT", "/storage/{storage}")
def update(session: Session, params: Params) -> dict[str, t.Any]:
    """Change a storage's options."""
    name = str(params.pop("storage"))
    digest = params.pop("digest", None)
    delete = split_list(str(params.pop("delete", "")))
    with session.locked(CONFIG_LOCK):
        storages = storage.load(session.state)
        if digest and digest != storage.digest(session.state):
            raise ApiError("detected modified configuration - file changed by other user? Try again.")
        if name not in storages:
            raise ApiError(f"update storage failed: storage '{name}' does not exist")
        store = storages[name]
        for key in params:
            if key not in store.kind.options and key not in store.kind.required:
                raise ApiError(f"update storage failed: unexpected property '{key}'")
        for key in delete:
            if key not in store.kind.options:
                what = "unable to delete required option" if key in store.kind.required else "no such option"
                raise ApiError(f"update storage failed: {what} '{key}'")
            if key in params:
                raise ApiError(f"update storage failed: cannot set and delete property '{key}' at the same time!")
            store.options.pop(key, None)
        store.options.update({key: _stored(key, value) for key, value in params.items()})
        if store.options.get("disable") == "0":
            del store.options["disable"]
        _check_content(session, store)
        storage.save(session.state, storages)
    return {"storage": name, "type": store.type}


@route("DELETE", "/storage/{storage}")
def delete(session: Session, params: Params) -> None:
    """Forget a storage; its files stay."""
    with session.locked(CONFIG_LOCK):
        storages = storage.load(session.state)
        if params["storage"] not in storages:
            raise ApiError(f"delete storage failed: storage '{params['storage']}' does not exist")
        del storages[params["storage"]]
        storage.save(session.state, storages)


# -- status ------------------------------------------------------------------------------------------------------------


def status_of(session: Session, store: Storage) -> dict[str, t.Any]:
    """A storage's capacity and state. Why one cannot be used is a warning."""
    try:
        capacity = store.activate().status() if store.enabled else storage_types.Capacity()
    except ApiError as error:
        session.warn(error.message)
        capacity = storage_types.Capacity()
    return {
        "type": store.type,
        "content": ",".join(store.contents),
        "shared": int(store.shared),
        "enabled": int(store.enabled),
        "active": int(capacity.active),
        "total": capacity.total,
        "used": capacity.used,
        "avail": capacity.available,
    }


@route("GET", NODE)
def node_index(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The storages with their state. All are looked at, whichever were asked for."""
    wanted, target = params.get("storage"), params.get("target")
    contents = set(split_list(str(params.get("content", ""))))
    every = storage.load(session.state).values()
    looked = {store.name: status_of(session, store) for store in every if not contents or contents & {*store.contents}}
    if wanted and wanted not in looked:
        raise bad_params(storage="No such storage.")
    rows: list[dict[str, t.Any]] = []
    for store in visible(session):
        if store.name not in looked or wanted not in (None, store.name):
            continue
        if (params.get("enabled") or contents) and not store.enabled:
            continue
        if target not in (None, session.state.name, "localhost") and not store.shared:
            continue
        entry = {"storage": store.name, **looked[store.name]}
        if entry["total"]:
            entry["used_fraction"] = entry["used"] / entry["total"]
        rows.append(entry)
    return rows


@route("GET", ONE)
def directory(session: Session, params: Params) -> list[dict[str, str]]:
    """The entries below a storage."""
    return [{"subdir": name} for name in validation.children(ONE) if name != "identity"]


@route("GET", f"{ONE}/status")
def node_status(session: Session, params: Params) -> dict[str, t.Any]:
    """One storage's state."""
    found = storage.load(session.state).get(str(params["storage"]))
    if found is None:
        raise bad_params(storage="No such storage.")
    return status_of(session, found)


# -- uploads and downloads ---------------------------------------------------------------------------------------------


@route("GET", "/nodes/{node}/vzdump/extractconfig")
def extract_config(session: Session, params: Params) -> str:
    """The guest config inside a backup."""
    store, volume = storage.locate(session.state, str(params["volume"]))
    return archive.backup_config(store.check_enabled().require(volume))
