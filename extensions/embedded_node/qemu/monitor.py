# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitor of a VM that stands still: it answers ``query-status`` until the VM goes on or is gone.

Run as ``python monitor.py SOCKET MARK``; ``MARK`` is the file that is there as long as the VM stands still.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

GREETING = {"QMP": {"version": {"qemu": {"major": 10, "minor": 1, "micro": 2}}, "capabilities": []}}
ANSWERS = {"query-status": {"status": "paused", "running": False}}
LOOK = 0.2
UP_WITHIN = 60


def start(path: Path, mark: Path) -> None:
    """Start one, and wait until it listens."""
    argv = [sys.executable, __file__, str(path), str(mark)]
    null = subprocess.DEVNULL
    subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True)
    until = time.monotonic() + UP_WITHIN
    while not path.is_socket() and time.monotonic() < until:
        time.sleep(0.01)


def serve(path: Path, mark: Path) -> None:
    """Answer one client after the other."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)  # a socket's path may hold no more than 107 bytes
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, contextlib.suppress(OSError):
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        listener.listen(8)
        listener.settimeout(LOOK)
        while mark.exists():
            with contextlib.suppress(TimeoutError):
                link, _peer = listener.accept()
                with link:
                    talk(link)
    path.unlink(missing_ok=True)


def talk(link: socket.socket) -> None:
    link.settimeout(LOOK * 10)
    with contextlib.suppress(OSError, ValueError), link.makefile("rwb") as lines:
        lines.write(json.dumps(GREETING).encode() + b"\n")
        lines.flush()
        for line in lines:
            answer = {"return": ANSWERS.get(json.loads(line).get("execute"), {})}
            lines.write(json.dumps(answer).encode() + b"\n")
            lines.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
