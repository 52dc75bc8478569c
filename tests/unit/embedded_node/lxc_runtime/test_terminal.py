# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command says of a container is seen by whoever started it, in a terminal or not."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys

PROGRAM = """
import os, sys
from embedded_node.lxc_runtime import terminal
sys.exit(terminal.run(["sh", "-c", sys.argv[1]], dict(os.environ)))
"""


def in_a_terminal(script: str, typed: bytes = b"") -> tuple[int, str]:
    """The exit code, and what is seen."""
    pid, ours = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM, script])
    os.write(ours, typed)
    seen = b""
    with contextlib.suppress(OSError):
        while data := os.read(ours, 4096):
            seen += data
    os.close(ours)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()


def test_a_terminal_shows_it_once_and_hands_on_the_exit_code() -> None:
    code, seen = in_a_terminal("echo one; echo two >&2; test -t 0 && test -t 1 && echo three > /dev/tty; exit 7")
    assert (code, seen) == (7, "one\r\ntwo\r\nthree\r\n")


def test_what_is_typed_in_a_terminal_arrives() -> None:
    code, seen = in_a_terminal("read -r word; echo it is $word", b"hello\n")
    assert (code, seen.splitlines()[-1]) == (0, "it is hello")


def test_without_a_terminal_the_streams_are_those_of_the_caller() -> None:
    argv = [sys.executable, "-c", PROGRAM, "cat; echo no >&2; exit 3"]
    done = subprocess.run(argv, input=b"\x04a\r\n", capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"\x04a\r\n", b"no\n")
