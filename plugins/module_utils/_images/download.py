# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: bytes from the network into a file, whole and verified or not at all.

:func:`fetch` streams one image beside its target, hashes while it writes, resumes, retries, falls back to the next
mirror, and renames only what is complete and has the declared digest. All times are in seconds, all sizes in bytes.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images.checksums import hash_file, normalise
from ansible_collections.pve.provision.plugins.module_utils._images.http import (
    RETRIES,
    TIMEOUTS,
    Deadline,
    Retries,
    Timeouts,
    try_mirrors,
)
from ansible_collections.pve.provision.plugins.module_utils._images.partial import SUFFIX, Partial, origin_file
from ansible_collections.pve.provision.plugins.module_utils._images.transfer import Meter, Progress, Request, Transfer
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM, Clock
from ansible_collections.pve.provision.plugins.module_utils._io.locks import try_lock

if t.TYPE_CHECKING:
    from pathlib import Path


#: Partial files of other targets are removed when nothing has touched them for so long.
ABANDONED: t.Final = 24 * 3600


Identity = tuple[int, int, int, int]


@dataclass(frozen=True)
class Fetched:
    """A complete file. ``url`` is empty and ``transferred`` 0 when it was there already."""

    path: Path
    size: int
    digests: dict[str, str]
    url: str = ""
    resumed: bool = False
    attempts: int = 0
    transferred: int = 0


def fetch(
    request: Request,
    *,
    timeouts: Timeouts = TIMEOUTS,
    retries: Retries = RETRIES,
    progress: Progress | None = None,
    clock: Clock = SYSTEM,
) -> Fetched:
    """Bring the file to ``request.target``; nothing is transferred when it is there.

    ``progress`` gets bytes done, bytes in total (None: unknown) and bytes per second, at most every 0.5 s.
    Raises VerificationError (wrong bytes), Timeout, or ImageError (everything else).
    """
    digest = normalise(request.digest) if request.digest else None
    algorithms = tuple(dict.fromkeys([digest[0], *request.algorithms] if digest else request.algorithms))
    deadline = Deadline.start(request.target.name, timeouts, clock)
    before = identity(request.target)
    if before and (standing := _standing(request, digest, algorithms, ours=False)):
        return standing
    _remove_abandoned(request.target.parent, clock)
    with Partial.locked(request.target, digest, algorithms, deadline) as partial:
        now = identity(request.target)
        # Another file than before: a run beside us finished it while we waited for the lock.
        if now not in (None, before) and (standing := _standing(request, digest, algorithms, ours=True)):
            partial.discard()
            return standing
        partial.adopt()
        transfer = Transfer(request, digest, partial, Meter(progress, clock), timeouts, deadline)
        url = _transfer(transfer, retries, now)
        digests = partial.publish()
        return Fetched(
            request.target, partial.size, digests, url, transfer.resumed, transfer.attempts, transfer.transferred
        )


def _transfer(transfer: Transfer, retries: Retries, before: Identity | None) -> str:
    """Get the whole file, have it checked, and return the URL that it came from. What no digest can vouch for later is
    gone after a failure. ``before`` is the file that it takes the place of."""
    request, partial = transfer.request, transfer.partial
    try:
        url = try_mirrors(
            request.target.name,
            request.urls,
            transfer.attempt,
            retries=retries,
            deadline=transfer.deadline,
            position=lambda: partial.size,
        )
        if request.check:
            partial.let_pass(request.check)
        if identity(request.target) != before:
            raise VerificationError(f"{request.target} was written by somebody else meanwhile; it is left alone.")
    except BaseException:
        if transfer.digest is None or not partial.size:
            partial.discard()
        raise
    return url


def identity(path: Path) -> Identity | None:
    """Which file lies at a path, as far as a look at it tells; None when there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _standing(
    request: Request, digest: tuple[str, str] | None, algorithms: tuple[str, ...], *, ours: bool
) -> Fetched | None:
    """The file at the target if it is the one wanted. ``ours``: another run of us has just put it there."""
    if digest is not None or ours:
        digests = hash_file(request.target, algorithms)
        if digest is None or digests[digest[0]] == digest[1]:
            return Fetched(request.target, request.target.stat().st_size, digests)
    if request.overwrite:
        return None
    raise VerificationError(
        f"{request.target} exists and "
        + ("cannot be checked, as no digest is known." if digest is None else f"its {digest[0]} is not {digest[1]}."),
        remedy="It is left alone: remove it, or ask for it to be replaced.",
    )


def _remove_abandoned(directory: Path, clock: Clock) -> None:
    """Remove partial files that nobody writes and nobody came back for."""
    for path in directory.glob(f".*{SUFFIX}"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            if clock.wall() - os.fstat(file.fileno()).st_mtime > ABANDONED and try_lock(file.fileno()):
                origin_file(path).unlink(missing_ok=True)
                path.unlink()
