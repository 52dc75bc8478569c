# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mirror or node that is interrupted leaves no process and no folder behind, at whatever moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

TIMEOUT = 120  # s, for machines that are busy
# What a shell starts in the background ignores SIGINT, and so does what that starts.
NODE = """\
import signal, time
from embedded_node import EmbeddedNode
signal.signal(signal.SIGINT, signal.default_int_handler)
with EmbeddedNode() as node:
    print("ready", flush=True)
    time.sleep(600)
"""


def start(temporary: Path, *arguments: str) -> subprocess.Popen[str]:
    environ = os.environ | {"TMPDIR": str(temporary)}
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(come: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not come():
        assert time.monotonic() < deadline, "the moment never came"
        time.sleep(0.01)


def processes(folder: Path) -> list[str]:
    """The command lines that name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:  # it has just ended
            continue
        if os.fsencode(folder) in words:
            found.append(words.decode(errors="replace"))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ["making", "serving"])
def test_a_mirror(tmp_path: Path, number: signal.Signals, moment: str) -> None:
    process = start(tmp_path, "-m", "embedded_node.mirror", "--site", "alma", "--site", "openwrt")
    if moment == "making":
        until(lambda: any(tmp_path.glob("mirror-*/.alma.new")) or any(tmp_path.glob("mirror-*/alma")))
    else:
        assert t.cast("t.IO[str]", process.stdout).readline().startswith("http://127.0.0.1:")
    process.send_signal(number)
    _said, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, errors) == (0, "")
    assert list(tmp_path.iterdir()) == []
    assert processes(tmp_path) == []


def test_a_mirror_that_was_killed_while_it_was_made_can_be_made_again(tmp_path: Path) -> None:
    scratch = tmp_path / ".alma.new" / "half"
    scratch.mkdir(parents=True)
    process = start(tmp_path, "-m", "embedded_node.mirror", "--site", "alma", "--root", str(tmp_path))
    assert t.cast("t.IO[str]", process.stdout).readline().startswith("http://127.0.0.1:")
    process.terminate()
    process.communicate(timeout=TIMEOUT)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".keys", "alma"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_node_whose_test_is_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, "-c", NODE)
    assert t.cast("t.IO[str]", process.stdout).readline() == "ready\n"
    process.send_signal(number)
    process.communicate(timeout=TIMEOUT)
    until(lambda: not processes(tmp_path) and not list(tmp_path.iterdir()))
