# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The namespaces of a node: its own network, with its bridges, and its own mounts. They end with the node.

Nothing of them is seen outside. The node's commands run inside; ``on-node`` in the node's PATH runs any other program
there, as modules and checks have to be.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from ..state import kernel
from ..state.root import State
from . import devices as machine
from . import groups, programs, site
from .mounts import ALL_IDS, FIRST_ID

HOLDER = "run/embedded-node/namespace.pid"
#: Where LXC keeps what runs; nobody but the node sees it.
RUN = Path("/run/lxc")
#: A private temporary folder keeps a container's own users from what lies in it: here they see their files.
SHOWN = RUN / "rootfs"
LXC_PATH = RUN / "containers"
DEVICES = RUN / "devices"
#: Which users root may give to an unprivileged container: newuidmap asks for them where it is installed.
IDS = ("/etc/subuid", "/etc/subgid")
GROUP = "run/embedded-node/group"
ON_NODE = """#!/bin/sh
root=$(dirname "$(dirname "$(dirname "$(realpath "$0")")")")
exec {nsenter} --target "$(cat "$root/{holder}")" --mount --net -- sh -c 'cd "$0" && exec "$@"' "$PWD" {program}"$@"
"""


@contextlib.contextmanager
def of(state: State) -> Iterator[None]:
    """This process has the node's namespaces until the end of the block; what runs in them is killed then."""
    programs.unshare(programs.NEW_MOUNTS | programs.NEW_NETWORK)
    _own_mounts()
    with groups.held(groups.name_of(state.root), groups.base()) as group:
        state.write(GROUP, str(group))
        state.write(HOLDER, f"{os.getpid()}\n")
        _boot(state)
        site.build(state, group)
        _install(state)
        yield


def _own_mounts() -> None:
    """What the node mounts is its own matter; the kernel's network and control groups are seen from here."""
    programs.run(["mount", "--make-rprivate", "/"])
    programs.run(["mount", "-t", "sysfs", "none", "/sys"])
    programs.run(["mount", "-t", "cgroup2", "none", groups.ROOT])
    RUN.mkdir(exist_ok=True)
    programs.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", RUN])
    for folder in (SHOWN, LXC_PATH, DEVICES):
        folder.mkdir()
    for path in filter(os.path.exists, IDS):
        own = RUN / Path(path).name
        own.write_text(f"root:{FIRST_ID}:{ALL_IDS}\n", encoding="utf-8")
        programs.run(["mount", "--bind", own, path])


def _boot(state: State) -> None:
    """Nothing runs yet, whatever ran when the node was stopped; and the node has the devices that this machine has."""
    for vmid in state.running():
        kernel.set_running(state, vmid, None)
    for points in state.path("var/lib/embedded-node/mounts").glob("*.json"):
        points.unlink()
    for name in machine.LOADED:
        link = state.path(name)
        if Path("/", name).exists() and not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(Path("/", name))


def _install(state: State) -> None:
    """The programs that run others on the node. The nsenter that the node itself has is for modules."""
    nsenter = shutil.which("nsenter", path=programs.PATH)
    for name, program in (("on-node", ""), ("on-node-python", f"{sys.executable} ")):
        path = state.path(f"usr/sbin/{name}")
        text = ON_NODE.format(nsenter=nsenter, holder=HOLDER, program=program)
        path.write_text(text, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def group(state: State) -> Path:
    """The node's control group."""
    return Path(state.read(GROUP))


def shown(vmid: int) -> Path:
    """Where a container's files are shown to itself."""
    return SHOWN / str(vmid)


def devices(vmid: int) -> Path:
    """Where the devices are that a container has of this machine."""
    return DEVICES / str(vmid)
