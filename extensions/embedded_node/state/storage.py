# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storages of ``storage.cfg``, and where the volume lies that a volume id names.

A raw disk is a sparse file of the right size. The files of a container's volume are kept as a directory beside it (its
``tree``), because no user may mount; a subvolume is its own tree. Sizes are bytes unless a name says otherwise.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from pathlib import Path

from ..errors import ApiError
from .root import State
from .storage_volumes import Storage

CONFIG = "etc/pve/storage.cfg"
NEW_DISK = re.compile(r"([^:\s]+):(\d+(?:\.\d+)?)")
VOLUME_ID = re.compile(r"([A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9]):(.+)", re.DOTALL)


FLAGS = frozenset({"disable"})


def load(state: State) -> dict[str, Storage]:
    """All storages by name. A node without a config has ``local``."""
    found: dict[str, Storage] = {}
    current: Storage | None = None
    for line in state.read(CONFIG).splitlines():
        head = re.fullmatch(r"(\w+):\s*(\S+)\s*", line)
        if head:
            current = found.setdefault(head[2], Storage(state, head[2], head[1]))
        elif line.strip() and not line.startswith("#") and current is not None:
            key, _sep, value = line.strip().partition(" ")
            current.options[key] = value.strip() or "1"
    if "local" not in found:
        everything = {"path": "/var/lib/vz", "content": "backup,images,iso,rootdir,snippets,vztmpl"}
        found = {"local": Storage(state, "local", "dir", everything), **found}
    for store in found.values():
        store.options.setdefault("content", store.kind.default_content)
    return found


def save(state: State, storages: dict[str, Storage]) -> None:
    """Write the config as PVE does: the flag ``disable``, what the type requires, then the rest by name."""
    text = ""
    for storage in storages.values():
        required = storage.kind.required
        keys = sorted(storage.options, key=lambda key: (key not in FLAGS, key not in required, key))
        lines = [f"\t{key}" if key in FLAGS else f"\t{key} {storage.options[key]}" for key in keys]
        text += "\n".join([f"{storage.type}: {storage.name}", *lines]) + "\n\n"
    state.write(CONFIG, text)


def digest(state: State) -> str:
    """The config's digest."""
    path = state.path(CONFIG)
    return hashlib.sha1(path.read_bytes() if path.exists() else b"", usedforsecurity=False).hexdigest()


def get(state: State, name: str) -> Storage:
    """One storage; dies when there is none of that name."""
    storages = load(state)
    if name not in storages:
        raise ApiError(f"storage '{name}' does not exist")
    return storages[name]


def split_volid(volid: str) -> tuple[str, str] | None:
    """Storage and volume name, None when it is no volume id."""
    found = VOLUME_ID.fullmatch(volid)
    return (found[1], found[2]) if found else None


def locate(state: State, volid: str) -> tuple[Storage, str]:
    """The storage of a volume id and the volume's name there; dies when either cannot be."""
    parts = split_volid(volid)
    if parts is None:
        raise ApiError(f"unable to parse volume ID '{volid}'")
    return get(state, parts[0]), parts[1]


def absolute_path(state: State, volume: str) -> Path:
    """The file of a volume id or of a path on the node; dies when it is not there."""
    if split_volid(volume):
        storage, name = locate(state, volume)
        path = storage.check_enabled().activate().require(name)
    else:
        path = Path(volume) if Path(volume).is_file() else state.path(os.path.abspath(volume))
    if not path.is_file() or not volume:
        raise ApiError(f"can't find file '{volume}'", exit_code=errno.ENOENT)
    return path


def check_hookscript(state: State, volid: str) -> None:
    """Die unless it is an executable snippet."""
    storage, volume = locate(state, volid)
    if storage.parse(volume).content != "snippets":
        raise ApiError(f"'{volid}' is not in the snippets directory")
    path = storage.path(volume)
    if not path.is_file():
        raise ApiError(f"script '{volid}' does not exist", exit_code=errno.ENOENT)
    if not path.stat().st_mode & 0o111:
        raise ApiError(f"script '{volid}' is not executable")
