# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control group of a node: all that runs for it is in there, and ends with it.

Nobody else's is touched: a group belongs to the node that holds the lock of the same name. A node that was killed holds
none any more, and the next one to start ends what that node has left.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

PREFIX = "embedded-node-"
ROOT = Path("/sys/fs/cgroup")
LOCKS = Path("/run/lock")
TIMEOUT = 60.0


def name_of(root: Path) -> str:
    """The group of the node whose files are in ``root``."""
    return PREFIX + hashlib.sha256(str(root).encode()).hexdigest()[:12]


def base() -> Path:
    """Where LXC makes its groups: below that of this machine's first process."""
    lines = Path("/proc/1/cgroup").read_text(encoding="utf-8").splitlines()
    path = next((line[3:] for line in lines if line.startswith("0::")), "/")
    return ROOT / path.removesuffix("/init.scope").lstrip("/")


@contextlib.contextmanager
def held(name: str, root: Path, locks: Path = LOCKS) -> Iterator[Path]:
    """A group of that name, emptied and removed at the end; those of nodes that are gone go first."""
    for left in sorted(root.glob(f"{PREFIX}*")):
        lock = _lock(locks / f"{left.name}.lock")
        if lock:
            _end(left)
            _unlock(locks / f"{left.name}.lock", lock)
    lock = _lock(locks / f"{name}.lock")
    if lock is None:
        raise OSError(f"another embedded node runs on the same files ({locks / name}.lock is held)")
    group = root / name
    try:
        group.mkdir()
        _hand_down(group)
        yield group
    finally:
        _end(group)
        _unlock(locks / f"{name}.lock", lock)


def _lock(path: Path) -> t.IO[str] | None:
    """The lock, unless somebody has it."""
    handle = path.open("a")
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(path.stat(), os.fstat(handle.fileno())):  # and not that of one who has just removed it
            return handle
    handle.close()
    return None


def _unlock(path: Path, handle: t.IO[str]) -> None:
    path.unlink(missing_ok=True)
    handle.close()


def _hand_down(group: Path) -> None:
    """The groups below it have the controllers that it has."""
    for controller in (group / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def controllers(group: Path) -> frozenset[str]:
    """The controllers that groups below it have."""
    return frozenset((group / "cgroup.subtree_control").read_text().split())


def join(group: Path, name: str, pid: int) -> None:
    """Put a process into a group below it."""
    (group / name).mkdir(exist_ok=True)
    (group / name / "cgroup.procs").write_text(str(pid))


def await_empty(group: Path) -> None:
    """Until nothing runs in it any more, or it is gone."""
    deadline = time.monotonic() + TIMEOUT
    with contextlib.suppress(FileNotFoundError, OSError):
        while "populated 1" in (group / "cgroup.events").read_text() and time.monotonic() < deadline:
            time.sleep(0.01)


def _end(group: Path) -> None:
    """Kill all that runs in it, and remove it."""
    if not group.is_dir():
        return
    (group / "cgroup.kill").write_text("1")
    await_empty(group)
    for folder in sorted(group.rglob("*"), key=lambda path: -len(path.parts)):
        if folder.is_dir():
            folder.rmdir()
    group.rmdir()
