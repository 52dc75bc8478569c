# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program on the standard streams of this process, also where they are somebody's terminal.

A command of the node is done by another process than the one that was started in that terminal. LXC talks to the
terminal of its own session, so it gets one, and what it says is passed on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import subprocess
import termios
import tty
from collections.abc import Iterator, Mapping, Sequence

CHUNK = 1 << 16


def run(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Run it; returns its exit code."""
    terminals = [stream for stream in range(3) if os.isatty(stream)]
    if not terminals:
        return subprocess.run(argv, env=env, check=False).returncode
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, fcntl.ioctl(terminals[0], termios.TIOCGWINSZ, bytes(8)))
    given = [theirs if stream in terminals else stream for stream in range(3)]
    with _raw(terminals[-1]), open(ours, "r+b", buffering=0):
        child = subprocess.Popen(
            argv, env=env, stdin=given[0], stdout=given[1], stderr=given[2], start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        _pass_on(ours, terminals)
        return child.wait()


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """It passes on what is typed and shown as it is: the other one does the rest."""
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _pass_on(ours: int, terminals: Sequence[int]) -> None:
    """Until nobody has the other end open any more."""
    targets = {ours: terminals[-1], **({0: ours} if 0 in terminals else {})}
    while ours in targets:
        for source in select.select(list(targets), [], [])[0]:
            data = b""
            with contextlib.suppress(OSError):  # what a terminal says of itself whose other end is closed
                data = os.read(source, CHUNK)
            if not data:
                del targets[source]
            while data:
                data = data[os.write(targets[source], data) :]
