# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what lies in the folder of a storage of type ``dir``, without asking ``pvesm``."""

from __future__ import annotations

import contextlib
import functools
import re
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._pve.config_text import StorageEntry
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Volume

_SUBDIRECTORY = {
    "images": "images",
    "iso": "template/iso",
    "vztmpl": "template/cache",
    "backup": "dump",
    "snippets": "snippets",
    "import": "import",
}
# Which files PVE takes for that content, and what it calls their format (None: the suffix).
_FILES: dict[str, tuple[re.Pattern[str], str | None]] = {
    "iso": (re.compile(r".+\.(iso|img)", re.IGNORECASE), "iso"),
    "vztmpl": (re.compile(r".+\.(tar(?:\.(?:gz|xz|zst|bz2))?)"), None),
    "backup": (re.compile(r"vzdump-.+\.(tgz|(?:tar|vma)(?:\.(?:gz|lzo|zst|bz2))?)"), None),
    "snippets": (re.compile(r"(.+)"), "snippet"),
    "import": (re.compile(r".+\.(ova|ovf|qcow2|raw|vmdk)", re.IGNORECASE), None),
}
_SHORT = {"tar.gz": "tgz", "tar.xz": "txz", "tar.zst": "tzst", "tar.bz2": "tbz2"}
_DISK = re.compile(r".+\.(raw|qcow2|vmdk|subvol)")
_OWNER = re.compile(r"vzdump-(?:lxc|qemu|openvz)-(\d+)-")


def _folder(entry: StorageEntry, content: str) -> Path:
    """The folder of a content type, which ``content-dirs`` may name."""
    own = dict(part.split("=", 1) for part in entry.section.options.get("content-dirs", "").split(",") if "=" in part)
    return Path(entry.path or "/", own.get(content, _SUBDIRECTORY[content]))


def _qcow2_head(path: Path) -> tuple[int, str]:
    """Virtual size and backing file of a qcow2 image, from its header."""
    with path.open("rb") as file:
        head = file.read(32)
        if len(head) < 32 or head[:4] != b"QFI\xfb":
            return path.stat().st_size, ""
        offset, length = int.from_bytes(head[8:16], "big"), int.from_bytes(head[16:20], "big")
        file.seek(offset)
        return int.from_bytes(head[24:32], "big"), file.read(length).decode(errors="replace") if offset else ""


def _read(read: t.Callable[[Path], Volume | None], paths: t.Iterable[Path]) -> t.Iterator[Volume]:
    """What is told of each file that is a volume. One may go while its folder is read."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            if (volume := read(path)) is not None:
                yield volume


def _disk(entry: StorageEntry, containers: t.Collection[int], path: Path) -> Volume | None:
    """A guest's disk, ``images/VMID/NAME``: ``rootdir`` when a container owns it."""
    match = _DISK.fullmatch(path.name)
    if not match or not path.parent.name.isdigit():
        return None
    vmid, form, stat = int(path.parent.name), match[1], path.stat()
    size, backing = stat.st_size if form != "subvol" else 0, ""
    if form == "qcow2":
        size, backing = _qcow2_head(path)
    base = re.fullmatch(r"\.\./(\d+/base-[^/]+)", backing)
    volid = f"{entry.name}:{base[1] + '/' if base else ''}{vmid}/{path.name}"
    return Volume(volid, "rootdir" if vmid in containers else "images", size, form, vmid, int(stat.st_ctime))


def _file(entry: StorageEntry, content: str, path: Path) -> Volume | None:
    pattern, form = _FILES[content]
    match = pattern.fullmatch(path.name)
    if not match or not path.is_file() or path.name.startswith("."):
        return None
    owner = _OWNER.match(path.name) if content == "backup" else None
    suffix = match[1].lower()
    kind = form or (suffix if content == "backup" else _SHORT.get(suffix, suffix))
    stat = path.stat()
    vmid = int(owner[1]) if owner else None
    return Volume(f"{entry.name}:{content}/{path.name}", content, stat.st_size, kind, vmid, int(stat.st_ctime))


def list_volumes(entry: StorageEntry, containers: t.Collection[int], content: str | None) -> list[Volume]:
    """The volumes of a storage as ``pvesm list`` names them, all or of one content type it is configured for."""
    volumes: list[Volume] = []
    for each in sorted(entry.content & _FILES.keys()):
        folder = _folder(entry, each)
        if content in (None, each) and folder.is_dir():
            volumes += _read(functools.partial(_file, entry, each), folder.iterdir())
    if entry.content & {"images", "rootdir"} and content in (None, "images", "rootdir"):
        disks = _read(functools.partial(_disk, entry, containers), _folder(entry, "images").glob("[0-9]*/*"))
        volumes += (disk for disk in disks if content in (None, disk.content))
    return sorted(volumes, key=lambda volume: volume.volid)


def volume_path(entry: StorageEntry, name: str) -> Path | None:
    """The file of a volume (``vztmpl/NAME``, ``VMID/NAME``); None when that is no volume name."""
    head, *rest = name.split("/")
    if not rest or rest[-1] in ("", ".", ".."):
        return None
    if head in _FILES and len(rest) == 1:
        return _folder(entry, head) / rest[0]
    if match := re.fullmatch(r"(?:\d+/base-[^/]+/)?(\d+/[^/]+)", name):
        return _folder(entry, "images") / match[1]
    return None
