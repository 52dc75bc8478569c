# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a few small files as the bytes of a CD image, for systems that look for a label.

ISO 9660 (ECMA-119) with Joliet: systems of today see the names as they are, and the old format's directories hold
shortened ones. The same files give the same bytes: no date of ours is in them. A directory is one sector long.
"""

from __future__ import annotations

import re
import struct
import typing as t
from dataclasses import dataclass, field

SECTOR: t.Final = 2048
# First comes an empty system area of 16 sectors; then two descriptors and the one that ends them.
_SYSTEM_AREA: t.Final = 16
# The table of directories of each of the two trees, in both byte orders.
_TABLES: t.Final = _SYSTEM_AREA + 3
_DIRECTORIES: t.Final = _TABLES + 4
_LONGEST_NAME: t.Final = 64
_LONGEST_LABEL: t.Final = 16
_ITSELF, _PARENT = b"\0", b"\1"
_DATE: t.Final = bytes((100, 1, 1, 0, 0, 0, 0))  # 2000-01-01 00:00:00 UTC
_LONG_DATE: t.Final = b"2000010100000000\0"
_NEVER: t.Final = b"0" * 16 + b"\0"


@dataclass
class _Folder:
    """A directory. ``number`` is its place among all of them; ``files`` hold the first sector and the length."""

    name: str = ""
    parent: _Folder | None = None
    folders: dict[str, _Folder] = field(default_factory=dict)
    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    number: int = 0


def make_iso(label: str, files: t.Mapping[str, bytes]) -> bytes:
    """A CD image with a label and files by their paths (``network/lan``). ValueError where a name is too long, or they
    are too many."""
    if not 0 < len(label) <= _LONGEST_LABEL:
        raise ValueError(f"{label!r} is not a label of 1 to {_LONGEST_LABEL} characters")
    folders = _folders(files)
    content = _DIRECTORIES + 2 * len(folders)
    body = b""
    for folder in folders:
        for name in folder.files:
            data = files[_path(folder, name)]
            folder.files[name] = (content + len(body) // SECTOR, len(data))
            body += _whole(data)
    trees = [_Tree(folders, joliet=joliet) for joliet in (False, True)]
    sectors = [
        *(tree.descriptor(label, content + len(body) // SECTOR) for tree in trees),
        b"\xffCD001\x01",
        *(tree.table(order) for tree in trees for order in "<>"),
        *(tree.directory(folder) for tree in trees for folder in folders),
    ]
    return bytes(_SYSTEM_AREA * SECTOR) + b"".join(map(_sector, sectors)) + body


def _folders(files: t.Mapping[str, bytes]) -> list[_Folder]:
    """The directories of the files, the root first and each level after the one above it."""
    root = _Folder()
    for path in sorted(files):
        *above, name = path.split("/")
        if not all(0 < len(part) <= _LONGEST_NAME for part in (*above, name)):
            raise ValueError(f"{path!r}: a name has 1 to {_LONGEST_NAME} characters")
        folder = root
        for part in above:
            folder = folder.folders.setdefault(part, _Folder(part, folder))
        folder.files[name] = (0, 0)
    found = [root]
    for folder in found:
        folder.number = found.index(folder)
        found.extend(folder.folders.values())
    return found


def _path(folder: _Folder, name: str) -> str:
    return name if folder.parent is None else _path(folder.parent, f"{folder.name}/{name}")


def _both(number: int, form: str) -> bytes:
    """A number in both byte orders."""
    return struct.pack(f"<{form}", number) + struct.pack(f">{form}", number)


def _whole(data: bytes) -> bytes:
    """Data in whole sectors."""
    return data + bytes(-len(data) % SECTOR)


def _sector(data: bytes) -> bytes:
    if len(data) > SECTOR:
        raise ValueError("there are more files or directories than a sector can list")
    return data.ljust(SECTOR, b"\0")


def _record(name: bytes, sector: int, length: int, *, folder: bool) -> bytes:
    """An entry of a directory."""
    size = 33 + len(name) + (len(name) + 1) % 2
    head = bytes((size, 0)) + _both(sector, "I") + _both(length, "I") + _DATE
    return (head + bytes((2 if folder else 0, 0, 0)) + _both(1, "H") + bytes((len(name),)) + name).ljust(size, b"\0")


class _Tree:
    """The directories as one of the two formats has them."""

    def __init__(self, folders: list[_Folder], *, joliet: bool) -> None:
        self._folders = folders
        self._joliet = joliet
        self._names = [_joliet_names(folder) if joliet else _short_names(folder) for folder in folders]
        self._first = _DIRECTORIES + (len(folders) if joliet else 0)

    def _text(self, text: str, length: int) -> bytes:
        """Text of a descriptor, filled up with blanks."""
        if self._joliet:
            return text.ljust(length // 2).encode("utf-16-be").ljust(length, b"\0")
        return text.encode("ascii", "replace").ljust(length, b" ")

    def _link(self, name: bytes, folder: _Folder) -> bytes:
        return _record(name, self._first + folder.number, SECTOR, folder=True)

    def directory(self, folder: _Folder) -> bytes:
        """The entries of a directory."""
        records = [self._link(_ITSELF, folder), self._link(_PARENT, folder.parent or folder)]
        for name, stored in sorted(self._names[folder.number].items(), key=lambda each: each[1]):
            if name in folder.folders:
                records.append(self._link(stored, folder.folders[name]))
            else:
                records.append(_record(stored, *folder.files[name], folder=False))
        return b"".join(records)

    def table(self, order: str) -> bytes:
        """The table of all directories, by which some systems find them."""
        entries = b""
        for folder in self._folders:
            parent = folder.parent or folder
            name = self._names[parent.number][folder.name] if folder.parent else _ITSELF
            entries += bytes((len(name), 0))
            entries += struct.pack(f"{order}IH", self._first + folder.number, parent.number + 1)
            entries += name + bytes(len(name) % 2)
        return entries

    def descriptor(self, label: str, sectors: int) -> bytes:
        """What the volume is called, and where it begins."""
        text = self._text
        tables = _TABLES + (2 if self._joliet else 0)
        return b"".join(
            (
                bytes((2 if self._joliet else 1,)) + b"CD001\x01\0",
                text("", 32) + text(label, 32) + bytes(8) + _both(sectors, "I"),
                (b"%/E" if self._joliet else b"").ljust(32, b"\0"),
                _both(1, "H") + _both(1, "H") + _both(SECTOR, "H") + _both(len(self.table("<")), "I"),
                struct.pack("<II", tables, 0) + struct.pack(">II", tables + 1, 0),
                self._link(_ITSELF, self._folders[0]),
                text("", 128) * 4 + text("", 37) * 3,
                _LONG_DATE * 2 + _NEVER * 2 + b"\x01\0",
            )
        )


def _entries(folder: _Folder) -> list[str]:
    return sorted({**folder.folders, **folder.files})


def _joliet_names(folder: _Folder) -> dict[str, bytes]:
    return {name: name.encode("utf-16-be") for name in _entries(folder)}


def _short_names(folder: _Folder) -> dict[str, bytes]:
    """Names of eight characters and three, each its own."""
    named: dict[str, bytes] = {}
    for name in _entries(folder):
        stem, _dot, extension = name.upper().partition(".")
        stem, extension = (re.sub(r"[^A-Z0-9_]", "_", part) for part in (stem or "_", extension))
        end = "" if name in folder.folders else f".{extension[:3]};1"
        tries = (f"{stem[: 8 - len(number)]}{number}{end}".encode() for number in ("", *map(str, range(1, 100))))
        named[name] = next(each for each in tries if each not in named.values())
    return named
