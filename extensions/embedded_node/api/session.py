# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is calling and where the answer goes: one command run or one API request.

A task (``worker``) has a UPID, a log and an exit status in ``var/log/pve/tasks``. Started by a command it runs in the
foreground and its output is the command's; started over HTTPS its UPID is answered first.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
import typing as t
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from ..errors import ApiError, Interrupted, failure_text
from ..state.root import LOCK_FILES, State

TASKS = "var/log/pve/tasks"
#: Seconds that a task takes on a real node (latency "realistic").
TASK_COSTS = {"vzcreate": 0.45, "vzstart": 0.8, "vzstop": 1.1, "vzshutdown": 1.1, "vzdestroy": 0.12, "qmcreate": 0.4,
              "qmclone": 0.37}  # fmt: skip


@dataclass
class Session:
    """One caller. ``user`` may be a token (``root@pam!name``), which is never the same as its user."""

    state: State
    user: str = "root@pam"
    cli: bool = False
    out: t.TextIO = field(default_factory=io.StringIO)
    err: t.TextIO = field(default_factory=io.StringIO)
    stdin: t.BinaryIO = field(default_factory=io.BytesIO)
    env: dict[str, str] = field(default_factory=dict)
    on_upid: Callable[[str], None] | None = None
    task_failed: bool = False
    _log: t.TextIO | None = None
    _warnings: int = 0
    _sequence: int = 0

    @property
    def is_root(self) -> bool:
        """Whether this is root@pam itself: a password login or a command, never a token."""
        return self.user == "root@pam"

    @property
    def in_task(self) -> bool:
        """Whether what is said goes to a task's log."""
        return self._log is not None

    # -- output ----------------------------------------------------------------------------------------------------
    def write(self, text: str) -> None:
        """Text for stdout; inside a task also for its log."""
        if self._log is not None:
            self._log.write(text)
            self._log.flush()
        if self._log is None or self.cli:
            self.out.write(text)

    def say(self, line: str) -> None:
        """One line for stdout."""
        self.write(line + "\n")

    def complain(self, text: str) -> None:
        """Text for stderr; a task's stderr is its stdout."""
        if self._log is None:
            self.err.write(text)
        else:
            self.write(text)

    def write_bytes(self, stdout: bytes, stderr: bytes) -> None:
        """What another program printed, byte for byte."""
        for stream, data in ((self.out, stdout), (self.err, stderr)):
            stream.flush()
            buffer = getattr(stream, "buffer", None)
            if buffer is None:
                stream.write(data.decode(errors="surrogateescape"))
            else:
                buffer.write(data)
                buffer.flush()

    def warn(self, line: str) -> None:
        """One line for stderr."""
        self.complain(line + "\n")

    def log_warning(self, line: str) -> None:
        """A warning that makes the task end with ``WARNINGS: n`` instead of OK."""
        self._warnings += 1
        self.say(f"WARN: {line}")

    # -- bytes -----------------------------------------------------------------------------------------------------
    def perl_bytes(self, text: str) -> bytes:
        """The bytes that Perl makes of a text: over HTTPS it is characters, of which those beyond bytes are refused."""
        if self.cli:
            return text.encode("utf-8", "surrogateescape")
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError as error:
            raise ApiError("Wide character in subroutine entry at PVE/QemuServer/Agent.pm.") from error

    def perl_text(self, data: bytes) -> str:
        """Bytes as Perl tells them: a command prints them, over HTTPS each is encoded as if it were a character."""
        return data.decode("utf-8", "surrogateescape") if self.cli else data.decode("latin-1")

    # -- the node and its cluster --------------------------------------------------------------------------------
    def locked(self, name: str, timeout: float | None = None) -> contextlib.AbstractContextManager[None]:
        """Hold a lock file of the node, saying so on stderr when it takes time."""
        return self.state.locked(name, timeout, self.complain)

    def replication_locked(self, vmid: int) -> contextlib.AbstractContextManager[None]:
        """Keep a guest's replication and migration away."""
        return self.locked(LOCK_FILES["migration"].format(vmid))

    def delete_snapshot(self, vmid: int, work: Callable[[], object], *, force: bool) -> None:
        """Delete a snapshot of a guest while it is not replicated; PVE says in words of its own that it is."""
        with contextlib.ExitStack() as held:
            try:
                if not force:
                    held.enter_context(self.replication_locked(vmid))
            except ApiError as error:
                raise ApiError("Failed to obtain guest migration lock - replication running?") from error
            work()

    def at(self, node: str) -> Session:
        """The same caller at another node of the cluster; as it is where there is no such other node."""
        state = self.state.member(node)
        return self if state is None else replace(self, state=state)

    def members(self) -> list[Session]:
        """The caller at each node of the cluster, by their names."""
        found = {name: self.at(name) for name in self.state.nodes()}
        return [each for name, each in found.items() if each.state.name == name]

    # -- tasks -----------------------------------------------------------------------------------------------------
    def worker(self, kind: str, target: str, work: Callable[[], object]) -> str:
        """Run a task and answer its UPID. A failed task does not raise: its exit status tells."""
        if self._log is not None:
            work()
            return ""
        upid = self._upid(kind, target)
        status = "unexpected status"
        self.state.append(f"{TASKS}/active", f"{upid} 0")
        try:
            with self._logging(upid):
                if self.on_upid is not None:
                    self.on_upid(upid)  # only now can anybody ask for the task
                    self._take_time(kind)
                try:
                    work()
                    status = f"WARNINGS: {self._warnings}" if self._warnings else "OK"
                except (ApiError, OSError) as error:
                    status = failure_text(error).replace("\n", " ")
                except Interrupted:
                    status = "interrupted by signal"
                self._write_end(status)
        finally:
            self.state.append(f"{TASKS}/index", f"{upid} {int(time.time()):08X} {status}")
            self._deactivate(upid)
        self.task_failed = status != "OK" and not status.startswith("WARNINGS")
        if self.cli and status.startswith("WARNINGS"):
            self.err.write(f"Task finished with {self._warnings} warning(s)!\n")
        elif self.cli and status != "OK":
            self.err.write(status + "\n")
        return upid

    def start_aside(self, start: Callable[[], object]) -> None:
        """Start a guest from within a task: that is a task of its own, and its result is not reported."""
        with contextlib.suppress(ApiError):
            start()

    def _take_time(self, kind: str) -> None:
        """A task started over HTTPS costs what the command costs without Perl's start."""
        if self.state.settings()["latency"] == "realistic":
            time.sleep(TASK_COSTS.get(kind, 0.1))

    def _write_end(self, status: str) -> None:
        """The log's last line; it is not part of what the command prints."""
        log = t.cast(t.TextIO, self._log)
        failed = status != "OK" and not status.startswith("WARNINGS")
        log.write(f"TASK {'ERROR: ' if failed else ''}{status}\n")

    def _upid(self, kind: str, target: str) -> str:
        self._sequence += 1
        pid = os.getpid()
        with open("/proc/self/stat", encoding="utf-8") as stat:
            started = int(stat.read().rsplit(")", 1)[1].split()[19]) + self._sequence + time.monotonic_ns() // 10**7
        stamp = int(time.time())
        return f"UPID:{self.state.name}:{pid:08X}:{started & 0xFFFFFFFF:08X}:{stamp:08X}:{kind}:{target}:{self.user}:"

    @contextlib.contextmanager
    def _logging(self, upid: str) -> Iterator[None]:
        path = self.state.path(log_name(upid))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._warnings = 0
        with path.open("w", encoding="utf-8", errors="surrogateescape") as log:
            self._log = log
            try:
                yield
            finally:
                self._log = None

    def _deactivate(self, upid: str) -> None:
        with self.state.locked("/run/lock/pve-tasks.lck"):
            lines = self.state.read(f"{TASKS}/active").splitlines()
            kept = [line for line in lines if not line.startswith(upid)]
            self.state.write(f"{TASKS}/active", "".join(f"{line}\n" for line in kept))


def log_name(upid: str) -> str:
    """Where a task's log is kept: by the last digit of its start time, as PVE spreads them."""
    return f"{TASKS}/{upid.split(':')[4][-1]}/{quote(upid, safe=':@!+.,=- ')}"


def standard(state: State) -> Session:
    """A session on this process's own standard streams."""
    return Session(state, cli=True, out=sys.stdout, err=sys.stderr, stdin=sys.stdin.buffer, env=dict(os.environ))
