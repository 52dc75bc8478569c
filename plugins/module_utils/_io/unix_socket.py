# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: connect to a program of this machine by its socket."""

from __future__ import annotations

import contextlib
import os
import socket
import typing as t
from pathlib import Path


def connected(stack: contextlib.ExitStack, path: Path, timeout: float) -> tuple[socket.socket, t.BinaryIO]:
    """The connection to a socket and what comes from there, open as long as ``stack``. No call takes longer than
    ``timeout`` (s); raises OSError."""
    link = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    # A socket's path may hold no more than 107 bytes: it is named by its folder's descriptor.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, folder)
    link.settimeout(timeout)
    link.connect(f"/proc/self/fd/{folder}/{path.name}")
    return link, stack.enter_context(link.makefile("rb"))
