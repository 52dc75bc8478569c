# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: verified files brought to their places, in the cheapest way that works.

Nobody else writes a place meanwhile, on any machine that mounts the directory, and nothing appears there that is not
what was verified.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images import download
from ansible_collections.pve.provision.plugins.module_utils._images.cache import (
    Entry,
    Record,
    State,
    cannot,
    is_ours,
    is_trustworthy,
    lookup,
)
from ansible_collections.pve.provision.plugins.module_utils._images.checksums import hash_file
from ansible_collections.pve.provision.plugins.module_utils._images.partial import SUFFIX as PART
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM, Clock
from ansible_collections.pve.provision.plugins.module_utils._io.files import (
    free_bytes,
    sync_directory,
)
from ansible_collections.pve.provision.plugins.module_utils._io.locks import locked_file

#: ioctl of Linux that lets two files share their blocks (linux/fs.h).
_FICLONE: t.Final = 0x40049409
_BLOCK: t.Final = 4 << 20
_LONGEST: t.Final = 7200.0

How = t.Literal["kept", "adopted", "reflink", "hardlink", "copy"]


@dataclass(frozen=True)
class Placed:
    """A file in its place. ``written`` are the bytes that had to be written for it."""

    path: Path
    how: How
    written: int = 0


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
    return [_place_at(source, record, target, force, replace, reverify) for target in targets]


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
        raise cannot("written", target, error) from error


def close(path: Path) -> None:
    """Close a file to everybody but its owner. Raises ImageError where the file system cannot."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _set_mode(path, descriptor, 0o600)
    finally:
        os.close(descriptor)


def _place_at(source: Path, record: Record, target: Path, force: bool, replace: bool, reverify: bool) -> Placed:
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
            raise cannot("written", path, error) from error
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
        raise cannot("copied", part, error) from error
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
        remedy="It was not copied. Run again with reverify to fetch it again.",
    )
