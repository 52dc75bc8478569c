# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: start a command, never wait for it longer than was said, and see who else runs one."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import Timeout, Unreachable
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed, Kind

_GRACE = 10.0
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Runner(t.Protocol):
    """How a command is started. ``timeout`` in seconds; raises Timeout when the command was ended for its sake."""

    def __call__(self, argv: t.Sequence[str], *, stdin: str = "", timeout: float = 60) -> Completed: ...


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Ask the process group to end (PVE's commands clean up on SIGTERM), then make it."""
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
            return
        except ProcessLookupError:
            process.wait()
            return
        except subprocess.TimeoutExpired:
            continue


def _attend(process: subprocess.Popen[bytes], stdin: bytes, timeout: float) -> None:
    """Give a process what it reads, and wait for its end. The kernel tells of both; ``Popen`` looks again and again,
    and sees an end up to 50 ms late. Raises TimeoutExpired."""
    try:
        ended = os.pidfd_open(process.pid)
    except OSError:  # a kernel, or a sandbox, without
        process.communicate(stdin, timeout=timeout)
        return
    deadline = time.monotonic() + timeout
    pipe = t.cast("t.IO[bytes]", process.stdin)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, ended)
        stack.callback(pipe.close)
        events = select.poll()
        events.register(ended, select.POLLIN)
        events.register(pipe, select.POLLOUT)
        os.set_blocking(pipe.fileno(), False)
        while ended not in (ready := dict(events.poll(max(deadline - time.monotonic(), 0) * 1000))):
            if not ready:
                raise subprocess.TimeoutExpired(process.args, timeout)
            try:
                stdin = stdin[os.write(pipe.fileno(), stdin) :]
            except BrokenPipeError:  # it reads no more
                stdin = b""
            if not stdin:
                events.unregister(pipe)
                pipe.close()
    process.wait()


def run(argv: t.Sequence[str], *, stdin: str = "", timeout: float = 60, grace: float = _GRACE) -> Completed:
    """Run a command in a process group of its own.

    Output goes through files, not pipes: a daemon that a command leaves behind would hold a pipe open for ever.
    """
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": f"{os.environ.get('PATH', '')}:{_PATH}".lstrip(":")}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=out, stderr=err, env=environment, start_new_session=True
            )
        except FileNotFoundError as error:
            raise Unreachable(
                f"The command {argv[0]} is not there.",
                remedy="Run this on a Proxmox VE node, or set api_host to speak to its API.",
            ) from error
        try:
            _attend(process, stdin.encode(), max(timeout, 0.1))
        except subprocess.TimeoutExpired as error:
            _end(process, grace)
            raise Timeout(
                f"{' '.join(argv[:3])} did not end within {timeout:.0f} s and was stopped.", remedy="Raise timeout."
            ) from error
        except BaseException:
            _end(process, grace)
            raise
        out.seek(0)
        err.seek(0)
        return Completed(process.returncode, out.read().decode(errors="replace"), err.read().decode(errors="replace"))


# How the command line of a process shows what it does with a guest: it is a command, or PVE's worker, which names its
# task there. A clone's task names the source alone, so any clone may be the one that makes this guest.
_COMMANDS: dict[Kind, str] = {
    "lxc": r"pct\x00(?:create|clone\x00\d+|restore)",
    "qemu": r"(?:qm\x00(?:create|clone\x00\d+|importdisk|importovf|disk\x00import)|qmrestore\x00[^\x00]+)",
}
_TASKS: dict[Kind, str] = {
    "lxc": r"(?:vzcreate|vzrestore|vzdump):{vmid}|vzclone:\d+",
    "qemu": r"(?:qmcreate|qmrestore|importdisk|imgcopy|vzdump):{vmid}|qmclone:\d+",
}
# What makes or deletes a snapshot, or goes back to one.
_SNAPSHOTS: dict[Kind, tuple[str, str]] = {
    "lxc": ("pct", "(?:vzsnapshot|vzdelsnapshot|vzrollback)"),
    "qemu": ("qm", "(?:qmsnapshot|qmdelsnapshot|qmrollback)"),
}


def is_creating(kind: Kind, vmid: int, root: Path, proc: Path = Path("/proc")) -> bool:
    """Whether a process is making, filling or backing up this guest on the node that lives under ``root``."""
    command, task = _COMMANDS[kind], _TASKS[kind].format(vmid=vmid)
    return _is_run(rf"(?:{command}|vzdump)\x00{vmid}\x00", task, root, proc)


def is_snapshotting(kind: Kind, vmid: int, root: Path, proc: Path = Path("/proc")) -> bool:
    """Whether a process makes or deletes a snapshot of this guest there, or takes it back to one."""
    command, task = _SNAPSHOTS[kind]
    return _is_run(rf"{command}\x00(?:snapshot|delsnapshot|rollback)\x00{vmid}\x00", f"{task}:{vmid}", root, proc)


def is_moving(vmid: int, root: Path, proc: Path = Path("/proc")) -> bool:
    """Whether a process moves a disk of this VM there."""
    return _is_run(rf"qm\x00(?:disk\x00move|move[-_]disk)\x00{vmid}\x00", f"qmmove:{vmid}", root, proc)


def _is_run(command: str, task: str, root: Path, proc: Path) -> bool:
    """Whether a process runs such a command, or such a task, on the node that lives under ``root``."""
    pattern = re.compile(rf"(?:^|[\x00/]){command}|^task UPID(?::[^:]*){{4}}:(?:{task}):")
    for folder in proc.glob("[0-9]*"):
        try:
            if pattern.search(_words(folder / "cmdline")) and _root_of(folder) == root:
                return True
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return False


def _words(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")


def _root_of(process: Path) -> Path:
    """The state root that a process works on."""
    environment = _words(process / "environ").split("\0")
    return Path(next((entry[9:] for entry in environment if entry.startswith("PVE_ROOT=")), "") or "/")
