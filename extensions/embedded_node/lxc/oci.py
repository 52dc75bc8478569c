# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers from OCI images: recognised by the members of the archive, unpacked layer by layer, their
config made options.

As pve-container (LXC/Create.pm) and proxmox-oci do it, with their words.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import shlex
import shutil
import tarfile
import typing as t
from pathlib import Path, PurePosixPath

import zstandard

from ..api.session import Session
from ..api.validation import option_format
from ..errors import ApiError
from ..state.config_file import NET_KEY, GuestFile
from ..state.propstring import parse
from ..state.rootfs import GuestFiles
from . import container

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = re.compile(r"application/vnd\.oci\.image\.layer\.v1\.tar(?:\+(gzip|zstd))?")
CONTROL = re.compile(r"[\x00-\x08\x10-\x1f\x7f]")
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
SEARCHED = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
Json = dict[str, t.Any]


def is_image(archive: Path) -> bool:
    """Whether an archive has the members of an image layout."""
    if archive.suffix != ".tar":
        return False
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    return {"oci-layout", "index.json"} <= set(names) and any(name.startswith("blobs/") for name in names)


def create(session: Session, archive: Path, files: GuestFiles, conf: GuestFile) -> None:
    """Unpack an image into the file system of a new container, and make its config options."""
    session.say("Detected OCI archive")
    if conf.options.get("unprivileged") != "1":  # a privileged one has no user namespace to unpack it in
        raise ApiError("Invalid argument")
    try:
        with tarfile.open(archive) as tar:
            config = _unpack(tar, files.root)
    except (KeyError, ValueError, tarfile.TarError, OSError, EOFError) as error:
        raise ApiError(f"Error while extracting OCI image: {error}") from error
    _check(config)
    for path in config.get("Volumes") or {}:
        session.say(f"creating base directory for volume at {path}")
        files.resolve(path).mkdir(parents=True, exist_ok=True)
    _run_by(session, conf, [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())])
    conf.current.raw += [("lxc.init." + key, value) for key, value in _user(config.get("User"), files)]
    if config.get("WorkingDir"):
        conf.current.raw.append(("lxc.init.cwd", config["WorkingDir"]))
    if config.get("Env"):
        conf.options["env"] = "\0".join(config["Env"])
    conf.current.raw.append(("lxc.signal.halt", config.get("StopSignal") or "SIGTERM"))


def _check(config: Json) -> None:
    for key in ("User", "WorkingDir", "StopSignal"):
        if CONTROL.search(config.get(key) or ""):
            raise ApiError(f"OCI config value for '{key}' contains forbidden control characters!")
    for key in ("Entrypoint", "Cmd", "Env"):
        if any(CONTROL.search(text) for text in config.get(key) or ()):
            raise ApiError(f"OCI config array-value for '{key}' contains forbidden control characters!")


def _run_by(session: Session, conf: GuestFile, command: list[str]) -> None:
    """What runs in place of an init takes over from what was asked for."""
    if not command or command[0] == "/sbin/init":
        return
    conf.options["entrypoint"] = shlex.join(command)
    conf.options["cmode"] = "console"
    for key in sorted(key for key in conf.options if NET_KEY.fullmatch(key)):
        if "host-managed" not in parse(conf.options[key], option_format("lxc", key)):
            session.say(f"Auto-Enabling host-managed network for network device {key}.")
            conf.options[key] = container.render_net(f"{conf.options[key]},host-managed=1")


def _user(told: str | None, files: GuestFiles) -> t.Iterator[tuple[str, str]]:
    if not told:
        return
    user, _colon, group = told.partition(":")
    rows = [row.split(":") for row in files.read("/etc/passwd").splitlines()]
    found = next((row for row in rows if user in (row[0], row[2])), None)
    uid = user if user.isdigit() else found[2] if found else None
    gid = group or (found[3] if found else None)
    yield from ((key, value) for key, value in (("uid", uid), ("gid", gid)) if value is not None)


# -- unpacking -------------------------------------------------------------------------------------------------------
def _unpack(tar: tarfile.TarFile, root: Path) -> Json:
    """Unpack the first image of an archive; the part of its config about how it is run."""

    def blob(digest: str) -> bytes:
        return t.cast(t.IO[bytes], tar.extractfile(f"blobs/{digest.replace(':', '/')}")).read()

    index = json.loads(t.cast(t.IO[bytes], tar.extractfile("index.json")).read())
    found = next((each for each in index["manifests"] if each["mediaType"] == MANIFEST), None)
    if found is None:
        raise ValueError("Unsupported CPU architecture")
    manifest = json.loads(blob(found["digest"]))
    if manifest["config"]["mediaType"] != CONFIG:
        raise ValueError("Wrong media type")
    config: Json = json.loads(blob(manifest["config"]["digest"]))
    layers = [_plain(each["mediaType"], blob(each["digest"])) for each in manifest["layers"]]
    if len(layers) != len(config["rootfs"]["diff_ids"]):
        raise ValueError("Unknown layer digest found in rootfs.diff_ids")
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as members:
            _apply(members, root)
    return config.get("config") or {}


def _plain(kind: str, layer: bytes) -> bytes:
    known = LAYER.fullmatch(kind)
    if known is None:
        raise ValueError(f"Layer has wrong media type: {kind}")
    if known[1] == "gzip":
        return gzip.decompress(layer)
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(layer)).read() if known[1] else layer


def _apply(layer: tarfile.TarFile, root: Path) -> None:
    """Take away what a layer whites out, and put what it has over what is there."""
    for member in layer.getmembers():
        name = PurePosixPath(member.name)
        if ".." in name.parts or name.is_absolute():
            continue
        if name.name == OPAQUE:
            for path in (root / name.parent).glob("*"):
                _remove(path)
        elif name.name.startswith(WHITEOUT):
            _remove(root / name.with_name(name.name.removeprefix(WHITEOUT)))
    for member in layer.getmembers():
        name = PurePosixPath(member.name)
        if ".." in name.parts or name.is_absolute() or name.name.startswith(WHITEOUT) or member.isdev():
            continue
        _put(layer, member, root / name)


def _put(layer: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(path)
    if member.issym():
        path.symlink_to(member.linkname)
    elif member.isfile():
        path.write_bytes(t.cast(t.IO[bytes], layer.extractfile(member)).read())
        path.chmod(member.mode | 0o600)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# -- running ---------------------------------------------------------------------------------------------------------
def ends_at_once(vmid: int, conf: GuestFile, files: GuestFiles) -> bool:
    """Whether an image's program ends as soon as it is started; dies where there is none."""
    command = shlex.split(conf.options.get("entrypoint", ""))
    if not command or not any(key == "lxc.signal.halt" for key, _value in conf.current.raw):
        return False
    places = [command[0]] if "/" in command[0] else [f"{folder}/{command[0]}" for folder in SEARCHED]
    program = next((path for place in places if (path := files.resolve(place)).is_file()), None)
    if program is None:
        raise ApiError(f"startup for container '{vmid}' failed")
    return program.read_bytes()[:12] == b"#!/bin/false"
