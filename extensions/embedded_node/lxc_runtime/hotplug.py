# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mount point for a container that runs: what the node shows is cloned and moved into the container's own mounts."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ApiError
from . import programs

HERE = -100
CLONE, RECURSIVE, EMPTY_PATH = 1, 0x8000, 4
#: The numbers of these calls are the same on every architecture; the C library has had them since 2.36.
OPEN_TREE, MOVE_MOUNT = 428, 429


def mount(pid: int, source: Path, target: str) -> None:
    """Show a folder of the node at a path of the container with that first process."""
    tree = programs.call(OPEN_TREE, HERE, str(source), CLONE | RECURSIVE)
    child = os.fork()  # only a process without threads may enter another mount namespace
    if not child:
        code = 1
        try:
            programs.enter(Path("/proc", str(pid), "ns/mnt"))
            os.makedirs(target, exist_ok=True)
            programs.call(MOVE_MOUNT, tree, "", HERE, target, EMPTY_PATH)
            code = 0
        finally:
            os._exit(code)
    os.close(tree)
    if os.waitpid(child, 0)[1]:
        raise ApiError(f"unable to mount '{target}' in the running container")
