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

import contextlib
import dataclasses
import enum
import errno
import fcntl
import hashlib
import json
import os
import stat
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images import download
from ansible_collections.pve.provision.plugins.module_utils._images.checksums import hash_file
from ansible_collections.pve.provision.plugins.module_utils._images.partial import SUFFIX as PART
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM, Clock
from ansible_collections.pve.provision.plugins.module_utils._io.files import (
    free_bytes,
    sync_directory,
    write_atomically,
)
from ansible_collections.pve.provision.plugins.module_utils._io.locks import locked_file

SUFFIX: t.Final = ".pve-provision.json"
#: ioctl of Linux that lets two files share their blocks (linux/fs.h).
_FICLONE: t.Final = 0x40049409
_BLOCK: t.Final = 4 << 20
_LONGEST: t.Final = 7200.0

How = t.Literal["kept", "adopted", "reflink", "hardlink", "copy"]


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
            raise _cannot("written", target, error) from error
        return written


@dataclass(frozen=True)
class Entry:
    """A file of a directory as a look finds it."""

    path: Path
    state: State
    record: Record | None = None
    size: int = 0


@dataclass(frozen=True)
class Placed:
    """A file in its place. ``written`` are the bytes that had to be written for it."""

    path: Path
    how: How
    written: int = 0


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
    there = next(place for place in (directory, *directory.parents) if place.exists())
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
        raise ImageError(f"{path} is no regular file.", remedy="Remove it, or use another storage.")
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


# -- placing -----------------------------------------------------------------------------------------------------------
def place(
    source: Path,
    record: Record,
    targets: t.Sequence[Path],
    *,
    force: bool = False,
    replace: bool = False,
    reverify: bool = False,
) -> list[Placed]:
    """Bring a verified file to several places: kept where it is, linked on the same file system, copied elsewhere.

    Every copy is compared with ``record.sha256`` before it gets its name, and has the mode of the source. What lies in
    the way is adopted when its bytes are the same, and otherwise an error, unless ``force``, or ``replace`` and it is
    another version of ours; ``reverify`` reads it again even when its record fits. Raises ImageError,
    VerificationError.
    """
    return [_place(source, record, target, force, replace, reverify) for target in targets]


def copy(source: Path, record: Record, target: Path) -> How:
    """Give ``target`` the bytes of ``source``, whatever was there, without a record."""
    with _locked(target) as part:
        how = _same_bytes(source, record, part, linked=False)
        if how == "reflink" and (found := hash_file(part)["sha256"]) != record.sha256:
            raise _no_longer(source, found, record)
        _publish(part, target)
    return how


def _publish(part: Path, target: Path) -> None:
    try:
        part.rename(target)
        sync_directory(target.parent)
    except OSError as error:
        raise _cannot("written", target, error) from error


def close(path: Path) -> None:
    """Close a file to everybody but its owner. Raises ImageError where the file system cannot."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _set_mode(path, descriptor, 0o600)
    finally:
        os.close(descriptor)


def _place(source: Path, record: Record, target: Path, force: bool, replace: bool, reverify: bool) -> Placed:
    entry = lookup(target)
    if entry.state in (State.RECORDED, State.CHANGED) and is_trustworthy(entry, record.sha256, reverify=reverify):
        return _kept(entry, record)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target) as part:
        before = download.identity(target)
        standing = _standing(target, record, force, replace, reverify)  # as it is now that nobody else writes it
        if standing is not None:
            return standing
        how = _same_bytes(source, record, part)
        refuse_change(target, before)
        record.write(target, part)
        _publish(part, target)
    return Placed(target, how, record.size if how == "copy" else 0)


def _standing(target: Path, record: Record, force: bool, replace: bool, reverify: bool) -> Placed | None:
    """What lies at the target if it may stay, None when the place is free or may be taken."""
    entry = lookup(target)
    if is_trustworthy(entry, record.sha256, reverify=reverify):
        if entry.state is not State.FOREIGN:
            return _kept(entry, record)
        record.write(target)
        return Placed(target, "adopted")
    ours = replace and entry.record is not None and entry.record.family == record.family and is_ours(entry)
    if entry.state is not State.ABSENT and not force and not ours:
        raise in_the_way(entry, record)
    return None


def _kept(entry: Entry, record: Record) -> Placed:
    """A file that stays. A key that has vouched for it, and that its record does not know, is noted."""
    if entry.record and record.signed_by and record.signed_by != entry.record.signed_by:
        record.write(entry.path)
    return Placed(entry.path, "kept")


def refuse_change(target: Path, before: download.Identity | None) -> None:
    """Raise when another file lies at a path than when it was judged."""
    if download.identity(target) != before:
        raise VerificationError(
            f"{target} was written by somebody else meanwhile; it is left alone.", remedy="Look who did, and run again."
        )


def in_the_way(entry: Entry, wanted: Record) -> VerificationError:
    """The error about a file that is not what is wanted under its name."""
    if entry.record is None:
        what = "was not put there by this collection and is not this image"
    elif entry.record.sha256 == wanted.sha256:
        what = "is damaged or was changed since it was verified"
    else:
        what = f"is {entry.record.family} {entry.record.version}, another image"
    return VerificationError(
        f"{entry.path} {what}; it is neither used nor overwritten.",
        remedy="Move it away, or set force: true to replace it.",
    )


def _locked(target: Path) -> t.ContextManager[Path]:
    """The partial file of a target, empty, ours alone; a download to the same target waits for it too."""
    return _own(target.with_name(f".{target.name}{PART}"), _LONGEST)


def exclusive(target: Path, timeout: float, clock: Clock = SYSTEM) -> t.ContextManager[Path]:
    """Nobody else acquires this file, on any machine that mounts the directory, as long as the context lasts.

    Raises Timeout when another run does for longer than ``timeout`` (s).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    return _own(target.with_name(f".{target.name}.pve-provision.lock"), timeout, clock)


@contextlib.contextmanager
def _own(path: Path, timeout: float, clock: Clock = SYSTEM) -> t.Iterator[Path]:
    """A file that is locked while it is ours, and gone afterwards."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked_file(path, timeout=timeout, clock=clock))
        except OSError as error:
            raise _cannot("written", path, error) from error
        stack.callback(path.unlink, missing_ok=True)
        yield path


def _same_bytes(source: Path, record: Record, part: Path, *, linked: bool = True) -> How:
    """Give the partial file the bytes of the source in the cheapest way that works."""
    try:
        with source.open("rb") as from_file, part.open("r+b") as to_file:
            mode = stat.S_IMODE(os.fstat(from_file.fileno()).st_mode)
            _set_mode(part, to_file.fileno(), mode)
            try:
                fcntl.ioctl(to_file.fileno(), _FICLONE, from_file.fileno())
                os.fsync(to_file.fileno())
                return "reflink"
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS):
                    raise
        if linked and source.stat().st_dev == part.stat().st_dev:
            link = part.with_name(f"{part.name}.link")
            link.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # vfat, CIFS and the like have no hard links
                os.link(source, link)
                link.replace(part)
                return "hardlink"
        _copy(source, record, part)
    except OSError as error:
        raise _cannot("copied", part, error) from error
    return "copy"


def _set_mode(part: Path, descriptor: int, mode: int) -> None:
    """Close a copy to the same users as its source, before it holds a byte."""
    with contextlib.suppress(PermissionError):  # of a file system that knows no modes
        os.fchmod(descriptor, mode)
    if not mode & 0o077 and os.fstat(descriptor).st_mode & 0o077:
        raise ImageError(
            f"{part.parent} keeps no file closed to other users, and this one holds secrets.",
            remedy="Use a storage whose file system knows modes, or bake no secret into the template.",
        )


def _copy(source: Path, record: Record, part: Path) -> None:
    """Copy, 4 MiB at a time, and compare what was read with the record on the way."""
    free = free_bytes(part.parent)
    if record.size > free:
        raise ImageError(
            f"{part.parent} has {free} bytes free, the image needs {record.size}.",
            remedy="Free some space there, or leave this storage out.",
        )
    hasher = hashlib.sha256()
    with source.open("rb", buffering=0) as from_file, part.open("r+b", buffering=0) as to_file:
        while block := from_file.read(_BLOCK):
            hasher.update(block)
            rest = memoryview(block)
            while rest:
                rest = rest[to_file.write(rest) :]
        os.fsync(to_file.fileno())
    if hasher.hexdigest() != record.sha256:
        raise _no_longer(source, hasher.hexdigest(), record)


def _no_longer(source: Path, found: str, record: Record) -> VerificationError:
    return VerificationError(
        f"{source} is no longer what was verified: its sha256 is {found}, not {record.sha256}.",
        remedy="It was not copied. Run again with reverify to fetch it anew.",
    )


def _cannot(what: str, path: Path, error: OSError) -> ImageError:
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
        raise _cannot("removed", path, error) from error
    return min(freed, found.st_size)
