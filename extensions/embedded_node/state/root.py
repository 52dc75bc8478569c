# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state root: the files that are the node. Everything is read from them and written to them at once.

The layout is a real node's (``etc/pve``, ``var/lib/vz``, ``run/lock``, ...); what a real node keeps in its kernel
(which containers run) is kept in files of the same meaning. ``var/lib/embedded-node`` holds what has no counterpart.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import re
import tempfile
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

from ..errors import ApiError, no_such_file
from . import config_file

FOLDERS = {"lxc": "lxc", "qemu": "qemu-server"}
GUEST_NAMES = {"lxc": "CT", "qemu": "VM"}
LOCK_FILES = {
    "lxc": "/run/lock/lxc/pve-config-{0}.lock",
    "qemu": "/var/lock/qemu-server/lock-{0}.conf",
    "migration": "/var/lock/pve-manager/pve-migrate-{0}",
}
COMMAND_SOCKET = "@/var/lib/lxc/{0}/command"
PRIVATE = "var/lib/embedded-node"

DEFAULTS: dict[str, t.Any] = {
    "release": "9.1.9",
    "latency": "none",
    "runtime": "scripted",
    "lock_timeout": 10.0,
    "resources_lag": 0.0,
    "ha_delay": 0.2,
    "cpus": 2,
    "memory": 24 * 1024**3,
    "capacity": {},
    "mirrors": [],
    "local_ports": [],
    "guest_ports": False,
}


class State:
    """A state root. Cheap to make; nothing is cached beyond one command or request."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).resolve()
        self._held: dict[str, int] = {}

    # -- names and settings ----------------------------------------------------------------------------------------
    @functools.cached_property
    def name(self) -> str:
        """This node's name: where ``etc/pve/local`` points."""
        local = self.root / "etc/pve/local"
        return local.readlink().name if local.is_symlink() else "pve1"

    def settings(self) -> dict[str, t.Any]:
        """What the node was started with, see DEFAULTS: seconds for times, bytes for sizes."""
        return {**DEFAULTS, **self.read_json(f"{PRIVATE}/settings.json", {})}

    @property
    def release(self) -> tuple[int, ...]:
        """The version of PVE that the node behaves as."""
        return tuple(map(int, self.settings()["release"].split(".")))

    # -- files -----------------------------------------------------------------------------------------------------
    def path(self, name: str) -> Path:
        """A node path (``/etc/pve/...``) as a path on this machine."""
        return self.root / name.lstrip("/")

    def read(self, name: str) -> str:
        """A file's text, empty when it is not there."""
        try:
            return self.path(name).read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return ""

    def write(self, name: str, text: str) -> None:
        """Replace a file in one step; one that is another's, which is a link, where it is."""
        target = self.path(name)
        target = target.resolve() if target.is_symlink() else target
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as out:
            out.write(text)
        os.chmod(temporary, 0o640)
        os.replace(temporary, target)

    def read_json(self, name: str, default: t.Any) -> t.Any:
        """A JSON file's value, or the default when it is not there."""
        text = self.read(name)
        return json.loads(text) if text.strip() else default

    def append(self, name: str, line: str) -> None:
        """Add one line to a log."""
        target = self.path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a", encoding="utf-8", errors="surrogateescape") as out:
            out.write(line + "\n")

    # -- locks -----------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def locked(
        self, name: str, timeout: float | None = None, waiting: t.Callable[[str], None] = lambda text: None
    ) -> Iterator[None]:
        """Hold the lock file ``name`` (a node path). Nested use in one process is fine, as on a real node.

        Waits ``timeout`` seconds at most (default: the setting ``lock_timeout``), then dies with PVE's words.
        """
        if self._held.get(name):
            self._held[name] += 1
            try:
                yield
            finally:
                self._held[name] -= 1
            return
        target = self.path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a") as handle:
            self._acquire(handle.fileno(), name, timeout, waiting)
            self._held[name] = 1
            try:
                yield
            finally:
                del self._held[name]

    def _acquire(self, handle: int, name: str, timeout: float | None, waiting: t.Callable[[str], None]) -> None:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        waiting("trying to acquire lock...\n")
        deadline = time.monotonic() + (self.settings()["lock_timeout"] if timeout is None else timeout)
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                waiting(" OK\n")
                return
            time.sleep(0.02)
        raise ApiError(f"can't lock file '{name}' - got timeout", exit_code=4)

    # -- guests ----------------------------------------------------------------------------------------------------
    def config_name(self, kind: str, vmid: int | str, node: str = "") -> str:
        """A guest's config file below ``etc/pve``, as PVE names it in its messages."""
        return f"nodes/{node or self.name}/{FOLDERS[kind]}/{vmid}.conf"

    def has_guest(self, kind: str, vmid: int | str) -> bool:
        """Whether this node has the guest."""
        return self.path(f"etc/pve/{self.config_name(kind, vmid)}").is_file()

    def guest(self, kind: str, vmid: int | str) -> config_file.GuestFile:
        """A guest's config; dies as PVE does when there is none."""
        name = self.config_name(kind, vmid)
        try:
            text = self.path(f"etc/pve/{name}").read_bytes().decode("utf-8", "surrogateescape")  # line ends as they are
        except FileNotFoundError as error:
            raise no_such_file(f"Configuration file '{name}' does not exist") from error
        return config_file.parse(text, kind)

    def write_guest(self, vmid: int | str, conf: config_file.GuestFile) -> None:
        """Write a guest's config and keep ``.vmlist`` true."""
        known = self.has_guest(conf.kind, vmid)
        self.write(f"etc/pve/{self.config_name(conf.kind, vmid)}", config_file.render(conf))
        if not known:
            self.publish()

    def remove_guest(self, kind: str, vmid: int | str) -> None:
        """Forget a guest's config."""
        self.path(f"etc/pve/{self.config_name(kind, vmid)}").unlink(missing_ok=True)
        self.publish()

    def guests(self) -> dict[int, tuple[str, str]]:
        """Every guest of the cluster: vmid -> (kind, node)."""
        found: dict[int, tuple[str, str]] = {}
        for node in self.nodes():
            for kind, folder in FOLDERS.items():
                for file in self.path(f"etc/pve/nodes/{node}/{folder}").glob("[1-9]*.conf"):
                    if file.stem.isdigit():
                        found[int(file.stem)] = (kind, node)
        return dict(sorted(found.items()))

    def nodes(self) -> list[str]:
        """The cluster's nodes."""
        return sorted({self.name, *(path.name for path in self.path("etc/pve/nodes").glob("*"))})

    def member(self, name: str) -> State | None:
        """The state of another node of the cluster; None for this node, and for one that is a name alone."""
        root = self.read(f"etc/pve/nodes/{name}/embedded-root").strip()
        return State(root) if root and name != self.name else None

    def assert_unused(self, vmid: int) -> None:
        """Die when any guest has this vmid."""
        taken = self.guests().get(vmid)
        if taken:
            raise ApiError(f"{GUEST_NAMES[taken[0]]} {vmid} already exists on node '{taken[1]}'")

    def publish(self) -> None:
        """Write ``etc/pve/.vmlist`` from the config files."""
        with self.locked("/run/lock/vmlist.lck"):
            version = int(self.read_json("etc/pve/.vmlist", {}).get("version", 0)) + 1
            ids = {
                str(vmid): {"node": node, "type": kind, "version": version}
                for vmid, (kind, node) in self.guests().items()
            }
            self.write("etc/pve/.vmlist", json.dumps({"version": version, "ids": ids}, indent=1))

    # -- which containers run --------------------------------------------------------------------------------------
    def running(self) -> dict[int, dict[str, t.Any]]:
        """The containers that run: vmid -> pid and start time (seconds since the epoch)."""
        found = re.findall(r"@/var/lib/lxc/(\d+)/command$", self.read("proc/net/unix"), re.MULTILINE)
        started: dict[str, dict[str, t.Any]] = self.read_json(f"{PRIVATE}/running.json", {})
        return {int(vmid): started.get(vmid, {"pid": 4000 + int(vmid), "started": time.time()}) for vmid in found}

    # -- bridges ---------------------------------------------------------------------------------------------------
    def bridge_mtu(self, bridge: str) -> int:
        """A bridge's MTU; dies with PVE's words when there is no such bridge."""
        text = self.read(f"sys/class/net/{bridge}/mtu").strip()
        if not text:
            raise ApiError(f"bridge '{bridge}' does not exist")
        return int(text)

    def has_interface(self, name: str) -> bool:
        """Whether the node has a network interface of that name."""
        return self.path(f"sys/class/net/{name}").is_dir()
