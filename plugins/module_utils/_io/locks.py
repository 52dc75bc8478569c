# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: locks on files. The kernel lets go of them when the process dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM, Clock, poll
from ansible_collections.pve.provision.plugins.module_utils._io.private import open_private

_PAUSES: t.Final = (0.005, 0.5)


def try_lock(descriptor: int) -> bool:
    """Lock an open file or directory, unless somebody else has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock(
    descriptor: int, path: Path, *, timeout: float, clock: Clock = SYSTEM, meanwhile: t.Callable[[], None] | None = None
) -> None:
    """Lock an open file, which is called ``path``. Raises Timeout when somebody else holds it for too long, and what
    ``meanwhile`` raises, which is called while it is waited for."""

    def attempt() -> bool:
        if try_lock(descriptor):
            return True
        if meanwhile:
            meanwhile()
        return False

    if not poll(attempt, bool, timeout=timeout, clock=clock, pauses=_PAUSES):
        raise Timeout(
            f"Another run has held {path} for {timeout:.0f} s.",
            remedy="Wait until it has ended, or end it if it hangs.",
        )


@contextlib.contextmanager
def held(
    path: Path, *, timeout: float, clock: Clock = SYSTEM, meanwhile: t.Callable[[], None] | None = None
) -> t.Iterator[None]:
    """Hold a lock file in a directory of this user's while the block runs. The file stays."""
    try:
        descriptor = open_private(path)
    except OSError as error:
        raise ProvisionError(
            f"The lock {error.filename or path} cannot be used: {error.strerror}.",
            remedy="Look who made it, and remove it when no other run is at work.",
        ) from error
    try:
        lock(descriptor, path, timeout=timeout, clock=clock, meanwhile=meanwhile)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked_file(path: Path, *, timeout: float, clock: Clock = SYSTEM) -> t.Iterator[int]:
    """A descriptor of the file that has this name, made (0600) when there is none, and locked while the block runs.

    Whoever has locked it may rename or remove it: then the next one locks the file that has the name by then.
    """
    deadline = clock.now() + timeout
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            lock(descriptor, path, timeout=deadline - clock.now(), clock=clock)
            if is_still(path, descriptor):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def is_still(path: Path, descriptor: int) -> bool:
    """Whether the file that was opened still has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
