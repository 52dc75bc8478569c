# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: somebody wants the run to end: a signal, or nobody is there any more to take its result.

Neither ends the process: the step in hand is finished, and whoever is about to begin the next one asks first whether it
is still wanted (:func:`reason`). Commands have process groups of their own, so the same signal does not reach them.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
import typing as t
import weakref

from ansible_collections.pve.provision.plugins.module_utils._errors import Interrupted

SIGNALS: t.Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: How a terminal, pipe or socket looks whose other end is gone.
_GONE: t.Final = select.POLLERR | select.POLLHUP


class _Listener:
    """What one run was told. The pipe is readable from the moment when it was; nothing in here takes a lock, since a
    signal may come at any moment."""

    def __init__(self) -> None:
        self.reason = ""
        self._told, self._tell = os.pipe()
        self._connections: list[weakref.ref[socket.socket]] = []

    def note(self, reason: str) -> None:
        if not self.reason:
            self.reason = reason
            os.write(self._tell, b".")

    def wait(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._told, select.POLLIN)
        poll.poll(seconds * 1000)

    def watch(self, descriptor: int) -> None:
        """Wait until the run is to end, or nobody reads any more what is written to a file descriptor."""
        poll = select.poll()
        poll.register(descriptor, 0)
        poll.register(self._told, select.POLLIN)
        if any(number == descriptor and event & _GONE for number, event in poll.poll()):
            self.note("the connection was lost")
        self.end_connections()

    def end_with_run(self, connection: socket.socket) -> None:
        self._connections.append(weakref.ref(connection))
        if self.reason:
            self.end_connections()

    def end_connections(self) -> None:
        for each in list(self._connections):
            connection = each()
            if connection is not None:
                with contextlib.suppress(OSError):  # it was closed meanwhile
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # one of TLS is in use by its reader

    def close(self) -> None:
        os.close(self._told)
        os.close(self._tell)


_listener: _Listener | None = None


@contextlib.contextmanager
def deferred(output: int = 1) -> t.Iterator[None]:
    """As long as the context lasts, signals are noted instead of ending the process, and so is the loss of whoever
    reads the ``output``. Signals that the process was started to ignore stay ignored."""
    global _listener
    listener = _listener = _Listener()

    def handle(number: int, _frame: object) -> None:
        listener.note(f"{signal.Signals(number).name} came")

    before = {number: signal.getsignal(number) for number in SIGNALS}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    watch = threading.Thread(target=listener.watch, args=(output,), daemon=True)
    for number in handled:
        signal.signal(number, handle)
    watch.start()
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number] or signal.SIG_DFL)
        _listener = None
        listener.note("the run has ended")
        watch.join()
        listener.close()


def reason() -> str:
    """Why no further step is to begin; empty while the run is wanted."""
    return _listener.reason if _listener else ""


def check() -> None:
    """Raise Interrupted where the run is not wanted any more."""
    if why := reason():
        raise Interrupted(f"The run was interrupted: {why}.", remedy="Run again.")


def end_with_run(connection: socket.socket) -> None:
    """Have whoever waits for data of a connection wait no longer than the run is wanted."""
    if _listener is not None:
        _listener.end_with_run(connection)


def pause(seconds: float) -> None:
    """Sleep, but no longer than the run is wanted."""
    if _listener is None:
        time.sleep(max(seconds, 0.0))
    else:
        _listener.wait(max(seconds, 0.0))
