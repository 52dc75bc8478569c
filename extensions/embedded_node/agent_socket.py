# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket of a VM's guest agent, ``run/qemu-server/ID.qga``: a process for each VM that runs, as QEMU is one.

It lives as long as the VM's pid file and the node. One caller is served at a time, the next one waits. A guest without
an agent takes what it is sent and says nothing.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import signal
import socket
import typing as t

from .api.session import Session
from .errors import ApiError
from .qemu import agent, boot, process

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .state.root import State

MARK = b"\xff"
#: Seconds between two looks at whether the VM still runs.
LOOK = 0.25


def serve(state: State, vmid: int, alive: int) -> None:
    """Make the socket, and a process behind it that ends with the VM, or when the pipe ``alive`` closes."""
    path = state.path(f"run/qemu-server/{vmid}.qga")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short_path(path) as short:
        listener.bind(short)
    listener.listen(16)
    child = os.fork()
    if child:
        listener.close()
        os.waitpid(child, 0)
        return
    try:
        if os.fork() == 0:
            _detach(listener.fileno(), alive)
            _Server(state, vmid, listener, alive).run()
    finally:
        os._exit(0)


def _detach(*kept: int) -> None:
    """Let go of the caller's streams and whatever else was open."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(name))


@contextlib.contextmanager
def short_path(path: Path) -> t.Iterator[str]:
    """A socket's path may hold no more than 107 bytes: name it by its folder's descriptor."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class _Server:
    """What is behind one VM's socket."""

    def __init__(self, state: State, vmid: int, listener: socket.socket, alive: int) -> None:
        self.state, self.vmid, self.listener, self.alive = state, vmid, listener, alive
        self.pid_file = state.path(f"run/qemu-server/{vmid}.pid")
        self.identity = self._identity()

    def _identity(self) -> tuple[int, int] | None:
        """Which run of the VM it is; None when it does not run."""
        try:
            found = self.pid_file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def run(self) -> None:
        """Serve one caller after the other."""
        while self._readable(self.listener):
            link, _peer = self.listener.accept()
            with link, contextlib.suppress(OSError):
                self._talk(link)

    def _readable(self, source: socket.socket) -> bool:
        """Wait until something comes; false when the VM has gone, or the node."""
        while self.identity is not None and self._identity() == self.identity:
            readable, _writable, _broken = select.select([source.fileno(), self.alive], [], [], LOOK)
            if self.alive in readable:
                return False
            if readable:
                return True
        return False

    def _talk(self, link: socket.socket) -> None:
        text = b""
        while self._readable(link):
            data = link.recv(1 << 16)
            if not data:
                return
            *lines, text = (text + data).split(b"\n")
            for line in lines:
                reply = self._reply(line.rpartition(MARK)[2])
                if reply:
                    link.sendall(reply)

    def _reply(self, line: bytes) -> bytes:
        """The answer to a line; nothing while nobody is there to answer."""
        options = self.state.guest("qemu", self.vmid).options
        if not line.strip() or process.is_paused(self.state, self.vmid):
            return b""
        if not process.agent_runs(Session(self.state), self.vmid, options):
            return b""
        try:
            told = json.loads(line)
            name, arguments = str(told["execute"]).removeprefix("guest-"), told.get("arguments") or {}
            answer: dict[str, t.Any] = {"return": self._ask(name, arguments)}
        except ApiError as error:
            answer = {"error": {"class": "GenericError", "desc": error.message.removeprefix("Agent error: ")}}
        except (ValueError, KeyError, TypeError) as error:
            answer = {"error": {"class": "GenericError", "desc": f"JSON parse error, {error}"}}
        mark = MARK if b"sync-delimited" in line else b""
        return mark + json.dumps(answer).encode() + b"\n"

    def _ask(self, name: str, arguments: Mapping[str, t.Any]) -> t.Any:
        session = Session(self.state)
        inside = boot.guest(self.state, self.vmid)
        if name in ("sync", "sync-delimited"):
            return arguments.get("id")
        if name == "exec":
            given = base64.b64decode(arguments.get("input-data", ""))
            return agent.execute(session, self.vmid, [arguments["path"], *arguments.get("arg", ())], given)
        if name == "exec-status":
            return agent.job(inside, arguments["pid"])
        return agent.ANSWERS[name](session, inside) if name in agent.ANSWERS else {}
