# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of storages and what lies on them."""

from __future__ import annotations

import re
import shutil
import tarfile
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from ..errors import ApiError, bad_params
from ..state import archive, faults, storage
from ..state.config_file import render
from ..state.propstring import split_list
from ..state.storage import Storage
from . import access, appliance, transfer, validation, volume_access
from .routes import Params, route
from .session import Session

Check = Callable[[Path], None]
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
        capacity = store.activate().status() if store.enabled else storage.Capacity()
    except ApiError as error:
        session.warn(error.message)
        capacity = storage.Capacity()
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
    """What there is below a storage."""
    return [{"subdir": name} for name in validation.children(ONE) if name != "identity"]


@route("GET", f"{ONE}/status")
def node_status(session: Session, params: Params) -> dict[str, t.Any]:
    """One storage's state."""
    found = storage.load(session.state).get(str(params["storage"]))
    if found is None:
        raise bad_params(storage="No such storage.")
    return status_of(session, found)


# -- content -----------------------------------------------------------------------------------------------------------


def items(session: Session, store: Storage, vmid: int | None = None) -> t.Iterator[storage.Item]:
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
                yield storage.Item(item.volid, belongs, item.format, item.size, item.vmid, item.ctime, item.name)
    for content in storage.CONTENT_FOLDERS:
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


# -- uploads and downloads ---------------------------------------------------------------------------------------------


def _target(store: Storage, kind: str, given: str) -> tuple[Path, Check]:
    """Where a file of that name goes, and what has to hold of it; dies when the name does not fit its content."""
    name = re.sub(r"[^\w.+-]", "_", given.rpartition("/")[2].rpartition("\\")[2])
    if not storage.NAME_PATTERNS[kind].fullmatch(name):
        wrong = "invalid filename or wrong extension" if kind == "import" else "wrong file extension"
        raise bad_params(filename=wrong)
    form = name.rsplit(".", 1)[-1]
    checks: dict[str, Check] = {"qcow2": _check_qcow2, "vmdk": _check_vmdk, "ova": _check_ova}
    return store.path(f"{kind}/{name}"), checks.get(form, _accept) if kind == "import" else _accept


def _accept(path: Path) -> None:
    """Any file will do."""


def _check_qcow2(path: Path) -> None:
    if path.read_bytes()[:4] != storage.QCOW2:
        raise ApiError(f"qemu-img: Could not open '{path}': Image is not in qcow2 format")


def _check_vmdk(path: Path) -> None:
    if path.read_bytes()[:4] not in (b"KDMV", b"COWD", b"# Di"):
        raise ApiError(f"qemu-img: Could not open '{path}': invalid VMDK image descriptor")


def _check_ova(path: Path) -> None:
    try:
        with tarfile.open(path) as tar:
            names = tar.getnames()
    except tarfile.TarError as error:
        raise ApiError(f"command 'tar -t -f {path}' failed: exit code 2") from error
    if not any(name.endswith(".ovf") for name in names):
        raise ApiError("ova archive has no .ovf file inside")


@route("POST", f"{ONE}/download-url")
def download_url(session: Session, params: Params) -> str:
    """Fetch a file into a storage in a task, and check its hash."""
    store = storage.get(session.state, params["storage"]).check_enabled()
    if store.kind.block:
        raise ApiError(f"can't upload to storage type '{store.type}', not a file based storage!")
    if params["content"] not in store.contents:
        raise ApiError(f"storage '{store.name}' is not configured for content-type '{params['content']}'")
    target, check = _target(store.activate(), str(params["content"]), str(params["filename"]))
    algorithm, checksum = params.get("checksum-algorithm"), params.get("checksum")
    return session.worker(
        "download",
        quote(target.name, safe="+-._~"),
        lambda: transfer.download(session, str(params["url"]), target, algorithm, checksum, check),
    )


@route("POST", f"{ONE}/upload")
def upload(session: Session, params: Params) -> str:
    """Take a file that the HTTPS server has received, in a task."""
    store = storage.get(session.state, params["storage"]).check_enabled()
    if store.kind.block:
        raise ApiError(f"can't upload to storage type '{store.type}'")
    kind = str(params["content"])
    received = session.state.path(str(params["tmpfilename"]).lstrip("/"))
    target, check = _target(store, kind, str(params["filename"]))
    if kind not in store.contents:
        raise ApiError(f"storage '{store.name}' does not support '{kind}' content")
    store.activate()

    def work() -> None:
        session.say(f"starting file import from: {received}")
        try:
            if params.get("checksum-algorithm"):
                transfer.compare(session, received, str(params["checksum-algorithm"]), str(params["checksum"]))
            check(received)
            session.say(f"target node: {session.state.name}\ntarget file: {target}")
            session.say(f"file size is: {received.stat().st_size}\ncommand: cp -- {received} {target}")
            shutil.move(received, target)
        finally:
            received.unlink(missing_ok=True)
        session.say("finished file import successfully")

    return session.worker("imgcopy", "", work)


@route("GET", "/nodes/{node}/query-url-metadata")
def query_url(session: Session, params: Params) -> dict[str, t.Any]:
    """What a server tells of a file without handing it out."""
    url = str(params["url"])
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=30) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:
        raise ApiError(f"invalid server response: '{error.code} {error.reason}'") from error
    except OSError as error:
        place = urllib.parse.urlsplit(url)
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        why = f"Can't connect to {place.hostname}:{place.port or 80} ({getattr(reason, 'strerror', reason)})"
        raise ApiError(f"invalid server response: '500 {why}'") from error
    named = headers.get_filename() or urllib.parse.urlsplit(url).path.rpartition("/")[2]
    size = headers.get("Content-Length")
    mimetype = headers.get_content_type() if headers.get("Content-Type") else ""
    found = {"filename": named, "size": int(size or 0), "mimetype": mimetype}
    return {key: value for key, value in found.items() if value}


@route("GET", "/nodes/{node}/aplinfo")
def appliances(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The templates that can be downloaded."""
    return appliance.listing(session.state)


@route("POST", "/nodes/{node}/aplinfo")
def download_appliance(session: Session, params: Params) -> str:
    """Download a template of the list in a task."""
    return appliance.download(session, str(params["storage"]), str(params["template"]))


@route("GET", "/nodes/{node}/vzdump/extractconfig")
def extract_config(session: Session, params: Params) -> str:
    """The guest config inside a backup."""
    store, volume = storage.locate(session.state, str(params["volume"]))
    return render(archive.read_backup_config(store.check_enabled().require(volume)))
