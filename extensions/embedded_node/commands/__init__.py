# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of a node: ``pct``, ``pvesm``, ``pveam``, ``pvesh``, ``qm``, and the little that is
asked of ``ip``, ``nsenter`` and ``zfs``."""

from __future__ import annotations

import functools
import importlib
import io
import time
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..api.session import Session
from ..errors import Interrupted
from ..state.root import State
from . import command_line

PROGRAMS = (
    *("pct", "pvesm", "pveam", "pvesh", "vzdump", "pveversion", "qm", "qmrestore"),
    *("ip", "nsenter", "zfs", "lxc-hook"),
)
#: What else enters itself into a table when it is imported: handlers of the API, and the systems that guests run.
PARTS = (
    *("api.access_control", "api.users", "api.pools", "api.cluster", "api.nodes", "api.networks", "api.tasks"),
    *("api.storage", "api.storage_content", "api.storage_upload", "api.hardware"),
    *("lxc.api", "lxc.status_api", "lxc.disks", "lxc.clone", "lxc.snapshots"),
    *("qemu.api", "qemu.status_api", "qemu.disks_api", "qemu.snapshots_api", "qemu.agent"),
    *("linux.commands", "openwrt.commands", "cloud.cloud_init", "cloud.appliances", "lxc_runtime.runtime"),
)
#: What a command costs on a real node, seconds (latency "realistic"), as medians of recorded runs; Perl's start alone
#: is half a second.
COSTS = {
    ("pct", "list"): 0.51, ("pct", "config"): 0.51, ("pct", "set"): 0.54, ("pct", "create"): 0.94,
    ("pct", "start"): 1.29, ("pct", "exec"): 0.54, ("pct", "stop"): 1.6, ("pct", "destroy"): 0.61,
    ("qm", "config"): 0.55, ("qm", "create"): 0.77, ("qm", "clone"): 0.87, ("qm", "template"): 0.69,
    ("qm", "resize"): 0.65, ("qm", "disk"): 0.71, ("qm", "snapshot"): 0.69, ("qm", "delsnapshot"): 0.67,
    ("qm", "rollback"): 0.81, ("qm", "guest"): 0.71, ("qm", "start"): 1.52, ("qm", "stop"): 1.88,
    ("pveam", "list"): 0.69,
    ("pvesh", "get"): 0.7, ("pvesm", "status"): 0.42,
    ("ip", "-j"): 0.002, ("nsenter", "-t"): 0.004, ("zfs", "get"): 0.01,
}  # fmt: skip
USUAL_COST = 0.55


@functools.cache
def load() -> Mapping[str, t.Any]:
    """Import all that the node can do; returns the sub-command tables of its programs."""
    package = __package__.rpartition(".")[0]
    for part in PARTS:
        importlib.import_module(f"{package}.{part}")
    return {name: importlib.import_module(f"{__package__}.{name.replace('-', '_')}").TABLE for name in PROGRAMS}


def execute(session: Session, argv: Sequence[str]) -> int:
    """Run a command line in a session; returns its exit code."""
    tables = load()
    if argv[0] not in tables:
        session.err.write(f"{argv[0]}: command not found\n")
        return 127
    if session.state.settings()["latency"] == "realistic":
        time.sleep(COSTS.get((argv[0], argv[1] if len(argv) > 1 else ""), USUAL_COST))
    try:
        return command_line.execute(session, argv[0], tables[argv[0]], argv[1:])
    except Interrupted:
        return command_line.FAILED


def run(argv: Sequence[str], root: Path | str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Run a command in this process on a state root: (exit code, stdout, stderr)."""
    session = Session(State(root), cli=True, stdin=io.BytesIO(stdin))
    code = execute(session, argv)
    return code, t.cast(io.StringIO, session.out).getvalue(), t.cast(io.StringIO, session.err).getvalue()
