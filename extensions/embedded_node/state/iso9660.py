# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ISO 9660 images with Rock Ridge names, as ``genisoimage -R`` makes and Linux reads them.

Written are small trees of regular files. Read is what others write, too: names by Rock Ridge, else by Joliet, else as
Linux shows plain ones (lower case, no version).
"""

from __future__ import annotations

import struct
import time
import typing as t
from dataclasses import dataclass, field

SECTOR = 2048
FIRST = 16
MAGIC = b"CD001"
PRIMARY, JOLIET, END = 1, 2, 255
JOLIET_ESCAPES = (b"%/@", b"%/C", b"%/E")
FOLDER = 2
RECORD = struct.Struct("<BBI4xI4x7sBBBH2xB")


def label(head: bytes) -> str | None:
    """The volume label of an image that begins so; None when it is no ISO 9660."""
    volume = head[FIRST * SECTOR :]
    return volume[40:72].decode("ascii", "replace").strip() if volume[1:6] == MAGIC else None


# -- reading -----------------------------------------------------------------------------------------------------------


def read(image: bytes) -> dict[str, bytes]:
    """Path to content of every file; empty when it is no ISO 9660."""
    volumes: dict[int, bytes] = {}
    for at in range(FIRST * SECTOR, len(image), SECTOR):
        volume = image[at : at + SECTOR]
        if volume[1:6] != MAGIC or volume[0] == END:
            break
        if volume[0] != JOLIET or volume[88:91] in JOLIET_ESCAPES:
            volumes[volume[0]] = volume
    if PRIMARY not in volumes:
        return {}
    root = volumes[PRIMARY][156:190]
    rock = b"SP\x07\x01\xbe\xef" in _extent(image, root)[:SECTOR]
    if not rock and JOLIET in volumes:
        return dict(_walk(image, volumes[JOLIET][156:190], "", _joliet_name))
    return dict(_walk(image, root, "", _rock_name if rock else _plain_name))


def _extent(image: bytes, record: bytes) -> bytes:
    start, size = RECORD.unpack_from(record)[2:4]
    return image[start * SECTOR : start * SECTOR + size]


def _walk(
    image: bytes, folder: bytes, prefix: str, name_of: t.Callable[[bytes, bytes], str]
) -> t.Iterator[tuple[str, bytes]]:
    for record in _records(_extent(image, folder)):
        if record[32] == 1 and record[33] < 2:  # itself and its parent
            continue
        path = prefix + name_of(image, record)
        if record[25] & FOLDER:
            yield from _walk(image, record, f"{path}/", name_of)
        else:
            yield path, _extent(image, record)


def _records(data: bytes) -> t.Iterator[bytes]:
    """A folder's records; none of them crosses a sector's end."""
    at = 0
    while at < len(data):
        if not data[at]:
            at = (at // SECTOR + 1) * SECTOR
            continue
        yield data[at : at + data[at]]
        at += data[at]


def _plain_name(_image: bytes, record: bytes) -> str:
    return record[33 : 33 + record[32]].decode("ascii", "replace").partition(";")[0].rstrip(".").lower()


def _joliet_name(_image: bytes, record: bytes) -> str:
    return record[33 : 33 + record[32]].decode("utf-16-be", "replace").partition(";")[0]


def _rock_name(image: bytes, record: bytes) -> str:
    entries = list(_system_use(image, record[33 + record[32] + (record[32] + 1) % 2 :]))
    return b"".join(data[1:] for kind, data in entries if kind == b"NM").decode() or _plain_name(image, record)


def _system_use(image: bytes, area: bytes) -> t.Iterator[tuple[bytes, bytes]]:
    """The entries of a system use area and of where it goes on."""
    at = 0
    while at + 4 <= len(area) and area[at + 2] >= 4:
        kind, data = area[at : at + 2], area[at + 4 : at + area[at + 2]]
        at += area[at + 2]
        if kind == b"CE":
            start, offset, size = struct.unpack("<I4xI4xI4x", data)
            yield from _system_use(image, image[start * SECTOR + offset :][:size])
        elif kind == b"ST":
            return
        else:
            yield kind, data


# -- writing -----------------------------------------------------------------------------------------------------------


@dataclass
class _Folder:
    parent: _Folder | None = None
    folders: dict[str, _Folder] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    sector: int = 0
    size: int = 0

    def add(self, path: str, content: bytes) -> None:
        first, slash, rest = path.partition("/")
        if slash:
            self.folders.setdefault(first, _Folder(self)).add(rest, content)
        else:
            self.files[first] = content

    def tree(self) -> t.Iterator[_Folder]:
        """The folders, level by level, as the path table lists them."""
        level = [self]
        while level:
            yield from level
            level = [folder for parent in level for _name, folder in sorted(parent.folders.items())]


def write(files: t.Mapping[str, bytes], volume: str) -> bytes:
    """An image of this label with these files."""
    root = _Folder()
    for path, content in sorted(files.items()):
        root.add(path.lstrip("/"), content)
    folders = list(root.tree())
    at = FIRST + 4
    for folder in folders:
        folder.size = len(_listing(folder, {}))
        folder.sector, at = at, at + folder.size // SECTOR
    places: dict[int, int] = {}
    data = b""
    for folder in folders:
        for name in sorted(folder.files):
            places[id(folder.files[name])] = at + len(data) // SECTOR
            data += _padded(folder.files[name])
    table = [_path_table(folders, order) for order in "<>"]
    end = at + len(data) // SECTOR
    head = _descriptor(root, volume, end, len(_path_table(folders, "<")))
    listings = b"".join(_listing(folder, places) for folder in folders)
    return bytes(FIRST * SECTOR) + head + b"".join(map(_padded, table)) + listings + data


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % SECTOR)


def _both(number: int, code: str = "I") -> bytes:
    """A number in both byte orders."""
    return struct.pack(f"<{code}", number) + struct.pack(f">{code}", number)


def _identifier(name: str, folder: bool) -> bytes:
    plain = "".join(char if char.isascii() and (char.isalnum() or char == ".") else "_" for char in name).upper()
    return plain.replace(".", "_").encode() if folder else (plain if "." in plain else f"{plain}.").encode() + b";1"


def _record(identifier: bytes, sector: int, size: int, folder: bool, use: bytes) -> bytes:
    now = time.gmtime()
    when = bytes([now.tm_year - 1900, now.tm_mon, now.tm_mday, now.tm_hour, now.tm_min, now.tm_sec, 0])
    fixed = _both(sector) + _both(size) + when + bytes([FOLDER if folder else 0, 0, 0]) + _both(1, "H")
    body = b"\0" + fixed + bytes([len(identifier)]) + identifier + bytes((len(identifier) + 1) % 2) + use
    body += bytes((len(body) + 1) % 2)
    return bytes([len(body) + 1]) + body


def _mode(folder: bool) -> bytes:
    """Rock Ridge's PX: everybody may read, root owns it."""
    mode, links = (0o40555, 2) if folder else (0o100444, 1)
    return b"PX\x24\x01" + _both(mode) + _both(links) + _both(0) + _both(0)


def _named(name: str) -> bytes:
    encoded = name.encode()
    return b"NM" + bytes([5 + len(encoded), 1, 0]) + encoded


def _listing(folder: _Folder, places: t.Mapping[int, int]) -> bytes:
    """A folder's records, in whole sectors."""
    parent = folder.parent or folder
    extensions = b"" if folder.parent else b"SP\x07\x01\xbe\xef\0ER\x12\x01\x0a\0\0\x01RRIP_1991A"
    records = [_record(b"\0", folder.sector, folder.size, True, extensions + _mode(True)),
               _record(b"\1", parent.sector, parent.size, True, _mode(True))]  # fmt: skip
    named = [(_identifier(name, True), name, child.sector, child.size, True) for name, child in folder.folders.items()]
    named += [(_identifier(name, False), name, places.get(id(content), 0), len(content), False)
              for name, content in folder.files.items()]  # fmt: skip
    records += [_record(plain, sector, size, is_folder, _mode(is_folder) + _named(name))
                for plain, name, sector, size, is_folder in sorted(named)]  # fmt: skip
    data = b""
    for record in records:
        if len(data) % SECTOR + len(record) > SECTOR:
            data = _padded(data)
        data += record
    return _padded(data)


def _path_table(folders: list[_Folder], order: str) -> bytes:
    names = {id(child): name for folder in folders for name, child in folder.folders.items()}
    table = b""
    for folder in folders:
        identifier = _identifier(names[id(folder)], True) if folder.parent else b"\0"
        number = 1 + folders.index(folder.parent) if folder.parent else 1
        table += struct.pack(f"{order}BBIH", len(identifier), 0, folder.sector, number)
        table += identifier + bytes(len(identifier) % 2)
    return table


def _descriptor(root: _Folder, volume: str, end: int, table_size: int) -> bytes:
    """The primary volume descriptor and what ends the list of descriptors."""
    never = b"0" * 16 + b"\0"
    texts = b" " * (128 * 4 + 37 * 3)
    head = bytes([PRIMARY]) + MAGIC + b"\x01\0" + b"LINUX".ljust(32) + volume.encode().ljust(32)[:32]
    sizes = bytes(8) + _both(end) + bytes(32) + _both(1, "H") * 2 + _both(SECTOR, "H") + _both(table_size)
    tables = struct.pack("<II", FIRST + 2, 0) + struct.pack(">II", FIRST + 3, 0)
    descriptor = head + sizes + tables + _record(b"\0", root.sector, root.size, True, b"") + texts + never * 4 + b"\x01"
    return _padded(descriptor) + _padded(bytes([END]) + MAGIC + b"\x01")
