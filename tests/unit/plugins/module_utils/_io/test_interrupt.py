# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run is told that it is not wanted any more, and goes on until it asks."""

from __future__ import annotations

import os
import pty
import signal
import socket
import threading
import time
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._io import interrupt

AN_HOUR = 3600.0


@pytest.fixture
def defaults() -> t.Iterator[None]:
    """Every signal ends the process, as when it was started from a shell."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in interrupt.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler or signal.SIG_DFL)


@pytest.mark.usefixtures("defaults")
@pytest.mark.parametrize("number", interrupt.SIGNALS, ids=lambda number: number.name)
def test_a_signal_is_noted_and_the_first_one_counts(number: signal.Signals) -> None:
    with interrupt.deferred():
        assert interrupt.reason() == ""
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.reason() == f"{number.name} came"
    assert interrupt.reason() == ""
    assert signal.getsignal(number) == signal.SIG_DFL


@pytest.mark.usefixtures("defaults")
def test_what_was_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interrupt.deferred():
        os.kill(os.getpid(), signal.SIGHUP)
        assert interrupt.reason() == ""
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


@pytest.mark.usefixtures("defaults")
def test_an_interrupted_run_sleeps_no_more() -> None:
    with interrupt.deferred():
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        interrupt.pause(AN_HOUR)
        assert interrupt.reason() == "SIGTERM came"
        threads = [threading.Thread(target=interrupt.pause, args=(AN_HOUR,)) for _number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)


@pytest.mark.usefixtures("defaults")
def test_an_interrupted_run_waits_for_no_connection() -> None:
    """Nor for one that is opened afterwards."""
    first, _peer = socket.socketpair()
    late, _other = socket.socketpair()
    for connection in (first, late):
        connection.settimeout(AN_HOUR)
    with interrupt.deferred():
        interrupt.end_with_run(first)
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert first.recv(1) == b""
        interrupt.end_with_run(late)
        assert late.recv(1) == b""


def test_a_connection_of_a_run_that_nobody_interrupts_stays() -> None:
    ours, theirs = socket.socketpair()
    with interrupt.deferred():
        interrupt.end_with_run(ours)
        theirs.send(b"1")
        assert ours.recv(1) == b"1"


def test_sleep_is_sleep_where_nothing_interrupts() -> None:
    began = time.monotonic()
    interrupt.pause(0.02)
    interrupt.pause(-1)
    with interrupt.deferred():
        interrupt.pause(0.02)
        interrupt.pause(-1)
    assert time.monotonic() - began >= 0.04


def _pipe() -> tuple[int, int]:
    return os.pipe()


def _socket_pair() -> tuple[int, int]:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


@pytest.mark.parametrize("make", [_pipe, _socket_pair, pty.openpty], ids=["pipe", "socket", "terminal"])
def test_a_run_whose_reader_has_gone_is_told_so(make: t.Callable[[], tuple[int, int]]) -> None:
    """What sshd, sudo and Ansible's local connection give a module as its output."""
    theirs, ours = make()
    with interrupt.deferred(ours):
        assert interrupt.reason() == ""
        os.close(theirs)
        interrupt.pause(AN_HOUR)
        assert interrupt.reason() == "the connection was lost"
    os.close(ours)


@pytest.mark.parametrize("path", ["/dev/null", "file"])
def test_a_file_is_read_by_nobody_and_does_not_go_away(path: str, tmp_path: t.Any) -> None:
    output = os.open(tmp_path / path, os.O_WRONLY | os.O_CREAT)
    with interrupt.deferred(output):
        interrupt.pause(0.02)
        assert interrupt.reason() == ""
    os.close(output)


def test_nothing_is_left_behind() -> None:
    def open_files() -> list[str]:
        return os.listdir("/proc/self/fd")

    before = threading.active_count(), len(open_files())
    for _turn in range(3):
        with interrupt.deferred():
            pass
    assert (threading.active_count(), len(open_files())) == before
