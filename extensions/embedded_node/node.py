# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An embedded node for tests: started in processes of its own, stopped at the end of the ``with`` block."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import threading
import typing as t
from pathlib import Path

from .command_server import COMMAND_LOG
from .lxc_runtime import programs
from .state import faults, members
from .state.root import LOCK_FILES, State

REQUEST_LOG = "var/log/embedded-node/requests.jsonl"


class EmbeddedNode:
    """A node whose state is in ``root`` (a temporary directory when None, removed at the end).

    ``joins``: a node that runs, to whose cluster this one belongs from its start on. ``settings`` are those of
    ``state.DEFAULTS``: ``lock_timeout`` (s), ``resources_lag`` (s), ``capacity``, ... ``runtime``: ``scripted`` (any
    user) or ``lxc`` (root: real containers).
    """

    def __init__(
        self,
        root: Path | str | None = None,
        node: str = "pve1",
        latency: t.Literal["none", "realistic"] = "none",
        joins: EmbeddedNode | None = None,
        runtime: t.Literal["scripted", "lxc"] = "scripted",
        **settings: t.Any,
    ) -> None:
        self.name = node
        self._temporary = None
        if root is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="pve-node-", ignore_cleanup_errors=True)
            root = self._temporary.name
        self.root = Path(root).resolve()
        self._settings = {"latency": latency, "runtime": runtime, **settings}
        self._joins = joins
        self._process: subprocess.Popen[str] | None = None
        self._released: list[threading.Event] = []
        self.api: dict[str, t.Any] = {}
        self.state = State(self.root)

    @property
    def env(self) -> dict[str, str]:
        """Environment for what shall use this node: the commands first in PATH, and PVE_ROOT."""
        path = f"{self.root / 'usr/sbin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {"PATH": path, "PVE_ROOT": str(self.root)}

    @property
    def python(self) -> str:
        """The Python that runs modules on the node, within the node's network: for ansible_python_interpreter."""
        return str(self.root / "usr/sbin/on-node-python") if self._settings["runtime"] == "lxc" else sys.executable

    def __enter__(self) -> EmbeddedNode:
        if self._settings["runtime"] == "lxc":
            self._check_lxc()
        if self._joins is not None:
            members.join(self._joins.root, self._joins.name, self.root, self.name)
        command = [sys.executable, "-m", "embedded_node", "--root", str(self.root), "--node", self.name]
        command += ["--port", "0", "--machine", "--settings", json.dumps(self._settings)]
        command += ["--temporary"] if self._temporary else []
        package = str(Path(__file__).parent.parent)
        path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        line = t.cast(t.IO[str], self._process.stdout).readline()
        if not line:
            self._process.wait()
            raise RuntimeError(f"the embedded node did not start (exit code {self._process.returncode})")
        self.api = json.loads(line)
        return self

    def _check_lxc(self) -> None:
        why = programs.reason_against()
        if why:
            raise RuntimeError(why)
        if self._joins is not None:
            raise RuntimeError("a node with the runtime lxc is in no cluster: its network and its disks are its own")

    def __exit__(self, *exc: object) -> None:
        for event in self._released:
            event.set()
        process = self._process
        if process is not None:
            t.cast(t.IO[str], process.stdin).close()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            t.cast(t.IO[str], process.stdout).close()
        if self._temporary:
            self._temporary.cleanup()

    # -- what was asked of it --------------------------------------------------------------------------------------
    def _lines(self, name: str) -> list[dict[str, t.Any]]:
        return [json.loads(line) for line in self.state.read(name).splitlines()]

    def commands(self) -> list[list[str]]:
        """The command lines run so far."""
        return [entry["argv"] for entry in self._lines(COMMAND_LOG)]

    def requests(self) -> list[dict[str, t.Any]]:
        """The HTTP requests so far: method, path, status."""
        return self._lines(REQUEST_LOG)

    def forget(self) -> None:
        """Empty both lists."""
        for name in (COMMAND_LOG, REQUEST_LOG):
            self.state.path(name).unlink(missing_ok=True)

    # -- faults ----------------------------------------------------------------------------------------------------
    def fault(self, name: str, **options: t.Any) -> None:
        """Arm a fault, see :mod:`embedded_node.state.faults`."""
        if name == "lock_held":
            self._hold(int(options["vmid"]), float(options.get("seconds", 3600)), str(options.get("kind", "lxc")))
        else:
            faults.add(self.state, name, **options)

    def clear_faults(self) -> None:
        """Disarm all faults."""
        for event in self._released:
            event.set()
        self._released.clear()
        faults.clear(self.state)

    def _hold(self, vmid: int, seconds: float, kind: str) -> None:
        path = self.state.path(LOCK_FILES[kind].format(vmid))
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
        fcntl.flock(handle, fcntl.LOCK_EX)
        release = threading.Event()
        self._released.append(release)

        def wait() -> None:
            release.wait(seconds)
            handle.close()

        threading.Thread(target=wait, daemon=True).start()
