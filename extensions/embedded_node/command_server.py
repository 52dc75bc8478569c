# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that runs commands and API calls: it has everything imported and forks for each.

A command's child has the caller's streams and dies with the caller. An API call's child answers as soon as the
answer is known; a task goes on behind it, as behind a real node's worker.
"""

from __future__ import annotations

import array
import contextlib
import functools
import gc
import json
import marshal
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
import typing as t
from pathlib import Path

from . import agent_socket, commands
from .api import routes
from .api.session import Session, standard
from .commands.client import SOCKET
from .errors import ApiError, Interrupted
from .qemu import boot
from .state.root import State

COMMAND_LOG = "var/log/embedded-node/commands.jsonl"


def serve(root: Path, alive: int, ready: t.Callable[[], None]) -> None:
    """Serve the root's socket until the pipe ``alive`` closes. Call it in a process of its own, with a single
    thread.
    """
    commands.load()
    gc.freeze()  # else a child's garbage collection would copy all of this memory
    path = root / SOCKET
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with agent_socket.short_path(path) as short:
        listener.bind(short)
    listener.listen(64)
    children: dict[int, tuple[list[str], float]] = {}
    boot.AGENT_SOCKETS.append(functools.partial(agent_socket.serve, alive=alive))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    wake, waker = socket.socketpair()
    for end in (wake, waker):
        end.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    ready()
    while True:
        readable, _writable, _broken = select.select([listener.fileno(), wake.fileno(), alive], [], [])
        if alive in readable:
            break
        if wake.fileno() in readable:
            with contextlib.suppress(BlockingIOError):
                wake.recv(4096)
        _reap(State(root), children)
        if listener.fileno() in readable:
            link, _peer = listener.accept()
            with link:
                _take(root, listener, link, children)
    signal.set_wakeup_fd(-1)
    for child in children:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _take(
    root: Path, listener: socket.socket, link: socket.socket, children: dict[int, tuple[list[str], float]]
) -> None:
    try:
        request, files = _receive(link)
    except (OSError, ValueError):
        return
    child = os.fork()
    if child:
        children[child] = (request.get("argv", []), time.monotonic())
        for handle in files:
            os.close(handle)
        return
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        listener.close()
        if request["kind"] == "command":
            _run_command(State(root), link, request, files)
        else:
            _run_call(State(root), link, request)
        code = 0
    except BrokenPipeError:
        pass
    finally:
        if code and sys.exc_info()[0] is None and code != 1:
            traceback.print_exc()
        os._exit(code)


def _receive(link: socket.socket) -> tuple[dict[str, t.Any], list[int]]:
    files = array.array("i")
    data, ancillary, _flags, _peer = link.recvmsg(65536, socket.CMSG_LEN(8 * files.itemsize))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            files.frombytes(content[: len(content) - len(content) % files.itemsize])
    if len(data) < 4:
        raise ValueError("no request")
    length = int.from_bytes(data[:4], "big")
    body = data[4:]
    while len(body) < length:
        more = link.recv(65536)
        if not more:
            raise ValueError("short request")
        body += more
    return marshal.loads(body), list(files)


def _reap(state: State, children: dict[int, tuple[list[str], float]]) -> None:
    """Note the commands that were killed; the others note themselves."""
    for child in list(children):
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(child, os.WNOHANG)
            if not pid:
                continue
            argv, began = children.pop(child)
            if argv and os.WIFSIGNALED(status):
                _note(state, argv, -os.WTERMSIG(status), time.monotonic() - began)


def _note(state: State, argv: list[str], code: int, seconds: float) -> None:
    state.append(COMMAND_LOG, json.dumps({"argv": argv, "rc": code, "seconds": round(seconds, 3)}))


# -- commands ----------------------------------------------------------------------------------------------------------


def _run_command(state: State, link: socket.socket, request: dict[str, t.Any], files: list[int]) -> None:
    began = time.monotonic()
    for number, handle in enumerate(files[:3]):
        os.dup2(handle, number)
    os.fchdir(files[3])
    for handle in files:
        os.close(handle)
    sys.stdin = os.fdopen(0, "r", closefd=False, errors="surrogateescape")
    sys.stdout = os.fdopen(1, "w", closefd=False, encoding="utf-8", errors="surrogateescape")
    sys.stderr = os.fdopen(2, "w", closefd=False, encoding="utf-8", errors="surrogateescape", buffering=1)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, _interrupt)
    finished = threading.Event()
    threading.Thread(target=_watch, args=(link.dup(), finished), daemon=True).start()
    session = standard(state)
    session.env = {**request["env"]}
    code = 255
    try:
        code = commands.execute(session, request["argv"])
    except Interrupted:
        pass
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        finished.set()
        _note(state, request["argv"], code, time.monotonic() - began)
        with contextlib.suppress(OSError):
            link.sendall(bytes([code & 255]))


def _interrupt(number: int, frame: t.Any) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise Interrupted


def _watch(link: socket.socket, finished: threading.Event) -> None:
    """Pass the caller's signals on; when the caller is gone, so is this process."""
    while True:
        try:
            data = link.recv(1)
        except OSError:
            return
        if finished.is_set():
            return
        os.kill(os.getpid(), data[0] if data else signal.SIGKILL)


# -- API calls ---------------------------------------------------------------------------------------------------------


def _run_call(state: State, link: socket.socket, request: dict[str, t.Any]) -> None:
    answered = False

    def answer(reply: dict[str, t.Any]) -> None:
        nonlocal answered
        if not answered:
            answered = True
            data = json.dumps(reply).encode("utf-8", "surrogateescape")
            link.sendall(struct.pack(">I", len(data)) + data)
            link.shutdown(socket.SHUT_WR)

    signal.signal(signal.SIGTERM, _interrupt)
    session = Session(state, user=request["user"], on_upid=lambda upid: answer({"data": upid}))
    try:
        data = routes.call(session, request["method"], request["path"], request["params"])
    except ApiError as error:
        answer({"status": error.status, "message": error.message, "errors": error.errors})
    except Interrupted:
        pass
    else:
        answer({"data": data})
    finally:
        if not answered:
            traceback.print_exc()
            answer(
                {"status": 500, "message": f"internal error of the embedded node: {sys.exc_info()[1]!r}", "errors": {}}
            )


def call(root: Path, request: dict[str, t.Any]) -> dict[str, t.Any]:
    """Ask a root's command server for an API call: the parameters of ``api.call`` and the user."""
    data = marshal.dumps({"kind": "call", **request})
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        with agent_socket.short_path(root / SOCKET) as short:
            link.connect(short)
        link.sendall(struct.pack(">I", len(data)) + data)
        chunks: list[bytes] = []
        while chunk := link.recv(1 << 16):
            chunks.append(chunk)
    return t.cast("dict[str, t.Any]", json.loads(b"".join(chunks)[4:].decode("utf-8", "surrogateescape")))
