# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the serial console of a VM, listened to."""

from __future__ import annotations

import contextlib
import re
import socket
import typing as t
from pathlib import Path as FilePath

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

# What procd says when it comes to OpenWrt's user land, and what it then offers at each console that it knows.
READY = re.compile(rb"procd: - init -|Please press Enter to activate this console")


class Console:
    """What a VM says on its serial console from now on. QEMU serves one listener at a time."""

    def __init__(self, path: FilePath | None) -> None:
        self.heard = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(1)
        try:
            self._socket.connect(str(path))
            self.open = path is not None
        except OSError:
            self.open = False

    def listen(self) -> bool:
        """Whether OpenWrt has said that its user land is there."""
        with contextlib.suppress(OSError):
            while self.open and (said := self._socket.recv(65536, socket.MSG_DONTWAIT)):
                self.heard += said
        return READY.search(self.heard) is not None

    @property
    def last_line(self) -> str:
        lines = self.heard.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""

    def close(self) -> None:
        self._socket.close()


def console_of(node: Node, vmid: int) -> Console:
    """The serial console of a running VM, which only the node itself can listen to."""
    return Console(None if node.files is None else node.files.serial_console(vmid))
