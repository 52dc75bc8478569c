# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which image lies where, whether it may be trusted, copies, and what may go again.

Beside each file that this collection put into a directory lies its record, ``.NAME.pve-provision.json``, a name that
PVE does not list. The record says what the file is. A file without one is foreign: it is used only when its bytes
prove to be what is wanted, and overwritten only by force. A file with one is replaced or removed only after its bytes
were read and are what the record says. Directories and callables come from above; PVE is not known here.
"""

from __future__ import annotations

import dataclasses
import enum
import errno
import json
import os
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images import download
from ansible_collections.pve.provision.plugins.module_utils._images.checksums import hash_file
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order
from ansible_collections.pve.provision.plugins.module_utils._io.files import (
    write_atomically,
)

SUFFIX: t.Final = ".pve-provision.json"


class State(enum.StrEnum):
    """What is known of a file by a look at its record, without reading it."""

    ABSENT = "absent"
    RECORDED = "recorded"  # size and time are as they were when it was verified
    CHANGED = "changed"  # they are not: its bytes have to be looked at
    FOREIGN = "foreign"  # nobody of us put it there


@dataclass(frozen=True)
class Record:
    """What a file is. ``family`` groups the versions of one image, ``origin`` is the source's own digest of what it
    published (for a file that was unpacked that is not the file's), ``signed_by`` the key that vouched for it."""

    family: str
    version: str
    sha256: str
    size: int
    origin: str = ""
    url: str = ""
    signed_by: str = ""
    mtime_ns: int = 0
    verified: int = 0

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """The record of a file, or None where there is none that can be read."""
        try:
            values = json.loads(record_path(path).read_text(encoding="utf-8"))
            known = {field.name: field.type for field in dataclasses.fields(cls)}
            record = cls(**{name: value for name, value in values.items() if name in known})
        except (OSError, ValueError, TypeError, AttributeError):
            return None
        texts = (record.family, record.version, record.sha256, record.origin, record.url, record.signed_by)
        numbers = (record.size, record.mtime_ns, record.verified)
        sane = all(isinstance(text, str) for text in texts) and all(isinstance(number, int) for number in numbers)
        return record if sane else None

    def write(self, path: Path, part: Path | None = None) -> Record:
        """Keep it beside the file, with the file's present time; returns what was written.

        ``part`` is the file while it has not got its name yet: a record that is there first leaves no moment in which
        the file looks like somebody else's.
        """
        written = dataclasses.replace(self, mtime_ns=(part or path).stat().st_mtime_ns, verified=int(time.time()))
        target = record_path(path)
        try:
            mode = (part or path).stat().st_mode & 0o644
            write_atomically(target, json.dumps(dataclasses.asdict(written), indent=1).encode(), mode)
        except OSError as error:
            raise cannot("written", target, error) from error
        return written


@dataclass(frozen=True)
class Entry:
    """A file of a directory as a look finds it."""

    path: Path
    state: State
    record: Record | None = None
    size: int = 0


@dataclass(frozen=True)
class Capacity:
    """Of a file system, in bytes; ``available`` is what an ordinary user may still write."""

    total: int
    available: int


@dataclass(frozen=True)
class Pruned:
    """What was removed, what would have been but is still in use or no longer ours, and the bytes that came free."""

    removed: tuple[Path, ...] = ()
    in_use: tuple[Path, ...] = ()
    changed: tuple[Path, ...] = ()
    freed: int = 0


def record_path(path: Path) -> Path:
    """Where the record of a file lies."""
    return path.with_name(f".{path.name}{SUFFIX}")


def discard(path: Path) -> None:
    """Remove a file of this run's own, and its record."""
    path.unlink(missing_ok=True)
    record_path(path).unlink(missing_ok=True)


def capacity(directory: Path) -> Capacity:
    """Room of the file system that a directory is on, or will be when it does not exist yet."""
    there = next(each for each in (directory, *directory.parents) if each.exists())
    room = os.statvfs(there)
    return Capacity(room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize)


# -- looking -----------------------------------------------------------------------------------------------------------
def lookup(path: Path) -> Entry:
    """What lies at a path. Nothing is read but the record."""
    record = Record.read(path)
    try:
        found = path.stat()
    except FileNotFoundError:
        return Entry(path, State.ABSENT, record)
    if not path.is_file():
        raise ImageError(f"{path} is not a regular file.", remedy="Remove it, or use another storage.")
    if record is None:
        return Entry(path, State.FOREIGN, None, found.st_size)
    same = (record.size, record.mtime_ns) == (found.st_size, found.st_mtime_ns)
    return Entry(path, State.RECORDED if same else State.CHANGED, record, found.st_size)


def is_trustworthy(entry: Entry, sha256: str = "", *, reverify: bool = False, note: bool = True) -> bool:
    """Whether the bytes of a file are what its record says (and ``sha256``, where that is known).

    They are read again when size or time changed, when the file is foreign but ``sha256`` is known, and when asked. A
    record whose file turns out good is brought up to date, unless ``note`` is off, as in check mode.
    """
    record = entry.record
    if entry.state is State.ABSENT or (record is None and not sha256):
        return False
    if record is not None and sha256 and record.sha256 != sha256:
        return False
    if entry.state is State.RECORDED and not reverify:
        return True
    wanted = sha256 or (record.sha256 if record else "")
    if record is not None and record.size != entry.size:
        return False
    good = hash_file(entry.path)["sha256"] == wanted
    if good and record is not None and note:
        record.write(entry.path)
    return good


def is_ours(entry: Entry) -> bool:
    """Whether a file is, byte by byte, the one that was recorded, and so may be replaced or removed."""
    return entry.record is not None and not entry.path.is_symlink() and is_trustworthy(entry, reverify=True, note=False)


def recorded(directory: Path, family: str = "") -> list[Entry]:
    """The files of a directory that have a record (of one family), the newest version first."""
    names = [p.name[1 : -len(SUFFIX)] for p in directory.glob(f".*{SUFFIX}")] if directory.is_dir() else []
    files = [path for name in names if name not in ("", ".", "..") and (path := directory / name).is_file()]
    entries = [entry for path in files if (entry := lookup(path)).record is not None]
    fitting = [e for e in entries if e.record and e.state is not State.ABSENT and family in ("", e.record.family)]
    return sorted(fitting, key=_age, reverse=True)


def _age(entry: Entry) -> tuple[order.Key, int]:
    record = t.cast("Record", entry.record)
    return order.key(record.version), record.verified


def cannot(what: str, path: Path, error: OSError) -> ImageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "Free some space there, or use another storage." if full else "Check that the storage is mounted."
    return ImageError(f"{path} cannot be {what}: {error.strerror or error}.", remedy=remedy)


# -- removing ----------------------------------------------------------------------------------------------------------
def prune(entries: t.Sequence[Entry], keep: int, in_use: t.Callable[[Path], bool], *, dry: bool = False) -> Pruned:
    """Remove the recorded files of one family but for the ``keep`` newest versions; ``dry`` only tells.

    Only what has a record goes, and nothing that ``in_use`` says is referred to. ``freed`` counts a file's bytes only
    when no other name shares them.
    """
    with_record = sorted((entry for entry in entries if entry.record is not None), key=_age, reverse=True)
    versions = list(dict.fromkeys(t.cast("Record", entry.record).version for entry in with_record))
    surplus = set(versions[max(keep, 0) :])
    removed: list[Path] = []
    held: list[Path] = []
    changed: list[Path] = []
    freed = 0
    for entry in with_record:
        if t.cast("Record", entry.record).version not in surplus:
            continue
        if in_use(entry.path):
            held.append(entry.path)
            continue
        bytes_freed = remove(entry, dry=dry)
        if bytes_freed is None:
            changed.append(entry.path)
            continue
        removed.append(entry.path)
        freed += bytes_freed
    return Pruned(tuple(removed), tuple(held), tuple(changed), freed)


def remove(entry: Entry, *, dry: bool = False) -> int | None:
    """Remove a file and its record; returns the bytes that came free (0 when another name shares them).

    None when its bytes are not those that were recorded: then it is somebody else's, and stays.
    """
    path = entry.path
    try:
        before = download.identity(path)
        if not is_ours(entry):
            return None
        found = path.stat()
        freed = found.st_blocks * 512 if found.st_nlink == 1 else 0
        if download.identity(path) != before:
            return None
        if not dry:
            path.unlink()
            record_path(path).unlink(missing_ok=True)
    except OSError as error:
        raise cannot("removed", path, error) from error
    return min(freed, found.st_size)
