# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small CD images, read back by a reader of the test's own that follows the tables and directories."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._io.iso9660 import SECTOR, make_iso

FILES = {
    "authorized_keys": b"ssh-ed25519 AAAA admin@example.org\n",
    "network/lan": b"[connection]\nid=lan\n",
    "network/wan": b"x" * 5000,
    "empty": b"",
}


def descriptor(image: bytes, kind: int) -> bytes:
    """The descriptor of the old format (1) or of Joliet (2)."""
    place = 16 * SECTOR
    while image[place] != kind:
        assert image[place + 1 : place + 6] == b"CD001"
        assert image[place] != 255, f"no descriptor {kind}"
        place += SECTOR
    return image[place : place + SECTOR]


def label(image: bytes, kind: int) -> str:
    return descriptor(image, kind)[40:72].decode("utf-16-be" if kind == 2 else "ascii").rstrip()


def records(image: bytes, sector: int, length: int) -> list[tuple[bytes, int, int, bool]]:
    """The entries of a directory: name, first sector, length, whether it is a directory."""
    data, place, found = image[sector * SECTOR :][:length], 0, []
    while place < length and data[place]:
        size = data[place]
        at, big_at, long, big_long = struct.unpack_from("<I", data, place + 2) + struct.unpack_from(
            ">I", data, place + 6
        ) + struct.unpack_from("<I", data, place + 10) + struct.unpack_from(">I", data, place + 14)  # fmt: skip
        assert (at, long) == (big_at, big_long)
        name = data[place + 33 : place + 33 + data[place + 32]]
        found.append((name, at, long, bool(data[place + 25] & 2)))
        place += size
    return found


def read(image: bytes, kind: int) -> dict[str, bytes]:
    """All files by their paths, as a system reads them that knows this format."""
    root = descriptor(image, kind)[156:190]
    start, length = struct.unpack_from("<I", root, 2)[0], struct.unpack_from("<I", root, 10)[0]

    def walk(sector: int, long: int, above: str) -> dict[str, bytes]:
        itself, parent, *entries = records(image, sector, long)
        assert itself[:2] == (b"\0", sector)
        assert parent[0] == b"\1"
        assert [name for name, *_rest in entries] == sorted(name for name, *_rest in entries)
        found: dict[str, bytes] = {}
        for name, at, size, folder in entries:
            text = f"{above}{name.decode('utf-16-be' if kind == 2 else 'ascii')}"
            if folder:
                found |= walk(at, size, f"{text}/")
            else:
                found[text.removesuffix(";1")] = image[at * SECTOR :][:size]
        return found

    return walk(start, length, "")


def table(image: bytes, kind: int, order: str) -> list[tuple[bytes, int, int]]:
    """The table of directories: name, sector, number of the parent."""
    head = descriptor(image, kind)
    long = struct.unpack_from("<I", head, 132)[0]
    place = struct.unpack_from(f"{order}I", head, 140 if order == "<" else 148)[0] * SECTOR
    end, found = place + long, []
    while place < end:
        size = image[place]
        sector, parent = struct.unpack_from(f"{order}IH", image, place + 2)
        found.append((image[place + 8 : place + 8 + size], sector, parent))
        place += 8 + size + size % 2
    return found


def test_files_and_label_are_there_under_their_own_names() -> None:
    image = make_iso("CONFIG", FILES)
    assert read(image, 2) == FILES
    assert label(image, 1) == label(image, 2) == "CONFIG"


def test_the_image_is_as_long_as_it_says_and_whole_sectors() -> None:
    image = make_iso("cidata", FILES)
    assert len(image) == struct.unpack_from("<I", descriptor(image, 1), 80)[0] * SECTOR


def test_the_old_format_has_short_names_that_differ() -> None:
    image = make_iso("X", {"user-data": b"1", "user-data.old": b"2", "user-data-2": b"3", "autounattend.xml": b"4"})
    assert read(image, 1) == {"AUTOUNAT.XML": b"4", "USER_DAT.": b"1", "USER_DA1.": b"3", "USER_DAT.OLD": b"2"}


@pytest.mark.parametrize("kind", [1, 2])
def test_the_tables_of_directories_lead_to_the_directories(kind: int) -> None:
    image = make_iso("X", {"a/b/c": b"", "d/e": b"", "f": b""})
    entries = table(image, kind, "<")
    assert entries == table(image, kind, ">")
    named = [name.decode("utf-16-be" if kind == 2 else "ascii") for name, _sector, _parent in entries[1:]]
    assert [name.lower() for name in named] == ["a", "d", "b"]
    assert [parent for _name, _sector, parent in entries] == [1, 1, 1, 2]
    for _name, sector, _parent in entries:
        assert records(image, sector, SECTOR)[0][1] == sector


def test_the_same_files_make_the_same_bytes() -> None:
    assert make_iso("X", FILES) == make_iso("X", dict(reversed(FILES.items())))


NAMES = st.text(st.characters(max_codepoint=0xFFFF, categories=["L", "N"]), min_size=1, max_size=9)
PATHS = NAMES | st.tuples(NAMES, NAMES).map(lambda both: f"+{both[0]}/{both[1]}")


@given(st.dictionaries(PATHS, st.binary(), max_size=8))
def test_what_goes_in_comes_out(files: dict[str, bytes]) -> None:
    assert read(make_iso("X", files), 2) == files


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("", {}),
        ("a label too long for a volume", {}),
        ("X", {"a" * 65: b""}),
        ("X", {"a//b": b""}),
        ("X", {f"file-{number}": b"" for number in range(100)}),
    ],
)
def test_what_cannot_be_stored_is_refused(name: str, files: dict[str, bytes]) -> None:
    with pytest.raises(ValueError):
        make_iso(name, files)
