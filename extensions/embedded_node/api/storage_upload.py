# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths that bring files to a storage: uploads, downloads and appliances."""

from __future__ import annotations

import re
import shutil
import tarfile
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from ..errors import ApiError, bad_params
from ..state import storage, storage_types, volume_files
from ..state.storage_volumes import Storage
from . import appliance, transfer
from .routes import Params, route
from .session import Session
from .storage import ONE

Check = Callable[[Path], None]


def _target(store: Storage, kind: str, given: str) -> tuple[Path, Check]:
    """Where a file of that name goes, and what has to hold of it; dies when the name does not fit its content."""
    name = re.sub(r"[^\w.+-]", "_", given.rpartition("/")[2].rpartition("\\")[2])
    if not storage_types.NAME_PATTERNS[kind].fullmatch(name):
        wrong = "invalid filename or wrong extension" if kind == "import" else "wrong file extension"
        raise bad_params(filename=wrong)
    form = name.rsplit(".", 1)[-1]
    checks: dict[str, Check] = {"qcow2": _check_qcow2, "vmdk": _check_vmdk, "ova": _check_ova}
    return store.path(f"{kind}/{name}"), checks.get(form, _accept) if kind == "import" else _accept


def _accept(path: Path) -> None:
    """Any file will do."""


def _check_qcow2(path: Path) -> None:
    if path.read_bytes()[:4] != volume_files.QCOW2:
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
