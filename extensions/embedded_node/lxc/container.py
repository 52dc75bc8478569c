# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every container call needs: its mount points, locks, mounted files and status."""

from __future__ import annotations

import json
import random
import re
import shutil
import time
import typing as t
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..api import validation
from ..api.session import Session
from ..errors import ApiError
from ..guest.runtime import Guest
from ..state import config_file, storage, trees
from ..state.config_file import GuestFile
from ..state.propstring import parse, parse_boolean, parse_size, render
from ..state.root import LOCK_FILES, PRIVATE, State
from ..state.rootfs import GuestFiles

VOLUME_KEY = re.compile(r"rootfs|mp\d+")
UNUSED_KEY = re.compile(r"unused\d+")
GIB = 1024**3
#: What is in a rootfs whose disk was laid out by hand, without ever having had files.
SKELETON = ("dev", "etc", "proc", "root", "run", "sbin", "sys", "tmp", "var")
#: The kernel's name for the pieces of a mounted container, kept as the list of its mount points.
MOUNTS = f"{PRIVATE}/mounts"


@dataclass
class MountPoint:
    """A parsed rootfs or mpN. ``type``: volume, bind or device."""

    key: str
    options: dict[str, str]

    @property
    def volume(self) -> str:
        """The volume id, host directory or device."""
        return self.options["volume"]

    @property
    def type(self) -> str:
        """What is mounted."""
        if self.volume.startswith("/dev/"):
            return "device"
        return "bind" if self.volume.startswith("/") else "volume"

    @property
    def target(self) -> str:
        """Where in the guest."""
        return self.options.get("mp", "/")

    @property
    def size(self) -> int | None:
        """Bytes, when the config tells."""
        return parse_size(self.options["size"]) if "size" in self.options else None

    def render(self) -> str:
        """As the config holds it."""
        return render(self.options, validation.option_format("lxc", self.key))


def parse_volume(key: str, text: str | None) -> MountPoint:
    """Parse a rootfs or mpN value; dies with the format's error when there is nothing to parse."""
    form = validation.option_format("lxc", key)
    if not form:
        raise ApiError(f"parse_volume - unknown type: {key}")
    values = parse(text or "", form)
    missing = [
        name for name in ("volume", "mp") if name in form and not form[name].get("optional") and name not in values
    ]
    if missing:
        raise ApiError("format error", errors=dict.fromkeys(missing, validation.MISSING))
    return MountPoint(key, values)


def volumes(options: Mapping[str, str], unused: bool = False) -> Iterator[MountPoint]:
    """The rootfs, then the mount points by number, then (when asked) the unused volumes."""
    keys = sorted(
        (key for key in options if VOLUME_KEY.fullmatch(key)),
        key=lambda key: (key != "rootfs", int(key[2:]) if key != "rootfs" else 0),
    )
    for key in keys:
        yield parse_volume(key, options[key])
    if unused:
        for key in sorted(key for key in options if UNUSED_KEY.fullmatch(key)):
            yield MountPoint(key, {"volume": options[key]})


def random_mac() -> str:
    """A MAC address as PVE makes them."""
    return "BC:24:11:" + ":".join(f"{random.randrange(256):02X}" for _byte in range(3))


def render_net(text: str) -> str:
    """A netN value as PVE stores it: with a MAC address and a type."""
    form = validation.option_format("lxc", "net0")
    values = parse(text, form)
    values.setdefault("hwaddr", random_mac())
    values.setdefault("type", "veth")
    return render(values, form)


# -- locks -------------------------------------------------------------------------------------------------------------


def lock(session: Session, vmid: int) -> t.ContextManager[None]:
    """Hold a container's config lock."""
    return session.locked(LOCK_FILES["lxc"].format(vmid))


def check_lock(conf: GuestFile) -> None:
    """Die when the config says that somebody works on the container."""
    if conf.options.get("lock"):
        raise ApiError(f"CT is locked ({conf.options['lock']})")


def check_protection(conf: GuestFile, what: str) -> None:
    """Die when the container is protected."""
    if parse_boolean(conf.options.get("protection", "0")):
        raise ApiError(f"{what} - protection mode enabled")


def check_digest(given: str | None, conf: GuestFile) -> None:
    """Die when the config is not the one that the caller has read."""
    if given and given != conf.digest:
        raise ApiError("detected modified configuration - file changed by other user? Try again.")


def is_template(conf: GuestFile) -> bool:
    """Whether the container is a template."""
    return parse_boolean(conf.options.get("template", "0")) == 1


def set_lock(session: Session, vmid: int, name: str) -> GuestFile:
    """Note in the config that somebody works on the container."""
    with lock(session, vmid):
        conf = session.state.guest("lxc", vmid)
        check_lock(conf)
        conf.options["lock"] = name
        session.state.write_guest(vmid, conf)
        return conf


def remove_lock(session: Session, vmid: int, name: str | None = None) -> None:
    """Take a lock out of the config; without a name whatever lock there is."""
    with lock(session, vmid):
        conf = session.state.guest("lxc", vmid)
        held = conf.options.get("lock")
        if not held:
            what = f"lock '{name}'" if name else "any lock"
            raise ApiError(f"no lock found trying to remove {what}")
        if name and held != name:
            raise ApiError(f"found lock '{held}' trying to remove lock '{name}'")
        del conf.options["lock"]
        session.state.write_guest(vmid, conf)


def create_and_lock(session: Session, vmid: int) -> None:
    """Take a vmid: write a config that holds nothing but the lock ``create``."""
    with lock(session, vmid):
        session.state.assert_unused(vmid)
        session.state.write_guest(vmid, config_file.parse("lock: create\n"))


def is_running(state: State, vmid: int) -> bool:
    """Whether the container runs."""
    return vmid in state.running()


# -- mounting ----------------------------------------------------------------------------------------------------------


def root_path(state: State, vmid: int) -> Path:
    """Where a mounted container's files are shown."""
    return state.path(f"var/lib/lxc/{vmid}/rootfs")


def write_for_lxc(state: State, vmid: int, conf: GuestFile) -> None:
    """Write what LXC reads at the next start, as PVE does at each change. Another runtime writes it by itself."""
    if state.settings()["runtime"] == "scripted":
        state.write(f"var/lib/lxc/{vmid}/config", "".join(f"{key} = {value}\n" for key, value in conf.current.raw))


def guest(state: State, vmid: int, env: Mapping[str, str] | None = None) -> Guest:
    """A running container, as what runs in it sees it."""
    return Guest(state, vmid, state.guest("lxc", vmid).options, files(state, vmid), dict(env or {}))


def files(state: State, vmid: int, options: Mapping[str, str] | None = None) -> GuestFiles:
    """A mounted or running container's files; its options when they are not in its config yet."""
    options = state.guest("lxc", vmid).options if options is None else options
    first = trees.trees(state).first_id(options.get("unprivileged") == "1")
    points = frozenset(state.read_json(f"{MOUNTS}/{vmid}.json", []))
    return GuestFiles(root_path(state, vmid).resolve(), points, first)


def mount(session: Session, vmid: int, options: Mapping[str, str]) -> GuestFiles:
    """Show a container's volumes below ``/var/lib/lxc/ID/rootfs``."""
    state = session.state
    shown = root_path(state, vmid)
    shown.parent.mkdir(parents=True, exist_ok=True)
    points: list[str] = []
    for point in volumes(options):
        source = _source(state, point)
        target = shown
        if point.key != "rootfs":
            target = GuestFiles(shown.resolve(), frozenset(points)).resolve(point.target)
            target.parent.mkdir(parents=True, exist_ok=True)
            points.append(str(target.relative_to(shown.resolve())))
        state.write(f"{MOUNTS}/{vmid}.json", json.dumps(points))
        trees.trees(state).attach(source, target)
        inside = files(state, vmid, options)
        if point.type == "volume" and source.stat().st_uid == 0:  # its file system is new
            inside.own(source)
    return files(state, vmid, options)


def host_path(state: State, point: MountPoint) -> Path:
    """A bind or device mount's place on this machine: its own path, or the same one in the state root."""
    found = next((path for path in (Path(point.volume), state.path(point.volume)) if path.exists()), None)
    if found is None:
        raise ApiError(f"directory '{point.volume}' does not exist")
    return found


def _source(state: State, point: MountPoint) -> Path:
    if point.type != "volume":
        return host_path(state, point)
    store, volume = storage.locate(state, point.volume)
    store.check_enabled().activate().require(volume)
    tree = store.tree(volume)
    if not tree.is_dir():
        for folder in SKELETON if point.key == "rootfs" else ():
            (tree / folder).mkdir(parents=True, exist_ok=True)
        tree.mkdir(parents=True, exist_ok=True)
    return tree


def unmount(state: State, vmid: int) -> None:
    """Take the shown volumes apart again; nothing happens when they are not shown."""
    shown = root_path(state, vmid)
    points = state.path(f"{MOUNTS}/{vmid}.json")
    if points.exists():
        root = shown.resolve()
        for name in reversed(state.read_json(f"{MOUNTS}/{vmid}.json", [])):
            trees.trees(state).detach(root / name)
        trees.trees(state).detach(shown)
    shown.mkdir(parents=True, exist_ok=True)
    points.unlink(missing_ok=True)


@contextmanager
def mounted(session: Session, vmid: int, options: Mapping[str, str]) -> Iterator[GuestFiles]:
    """A container's files while its volumes are mounted."""
    try:
        yield mount(session, vmid, options)
    finally:
        unmount(session.state, vmid)


def forget(state: State, vmid: int) -> None:
    """Remove a container's runtime directory."""
    unmount(state, vmid)
    shutil.rmtree(state.path(f"var/lib/lxc/{vmid}"), ignore_errors=True)


# -- status ------------------------------------------------------------------------------------------------------------


def status(state: State, vmid: int, running: Mapping[int, Mapping[str, t.Any]] | None = None) -> dict[str, t.Any]:
    """A container's status as ``pct status --verbose`` and the lists tell it."""
    running = state.running() if running is None else running
    conf = config_file.parse(state.read(f"etc/pve/{state.config_name('lxc', vmid)}")).options  # it may vanish meanwhile
    cpus = conf.get("cores") or conf.get("cpulimit")
    root_size = parse_volume("rootfs", conf["rootfs"]).size if conf.get("rootfs") else None
    entry: dict[str, t.Any] = {
        "type": "lxc",
        "vmid": vmid,
        "status": "running" if vmid in running else "stopped",
        "name": re.sub(r"\s", "", conf.get("hostname") or f"CT{vmid}"),
        "cpus": (int(cpus) if cpus and cpus.isdigit() and "cores" in conf else cpus) or state.settings()["cpus"],
        "maxdisk": root_size or 4 * GIB,
        "maxmem": int(conf.get("memory") or 512) * 1024**2,
        "maxswap": int(conf.get("swap") or 0) * 1024**2,
    }
    entry.update(dict.fromkeys(("cpu", "disk", "diskread", "diskwrite", "mem", "netin", "netout", "swap", "uptime"), 0))
    for key in ("tags", "lock"):
        if conf.get(key):
            entry[key] = conf[key]
    if parse_boolean(conf.get("template", "0")):
        entry["template"] = 1
    if vmid in running:
        entry["pid"] = running[vmid]["pid"]
        entry["uptime"] = max(int(time.time() - running[vmid]["started"]), 0)
        entry["mem"] = min(entry["maxmem"] // 8, 32 * 1024**2)
        entry["disk"] = entry["maxdisk"] // 100
        entry.update({f"pressure{kind}{how}": "0.00" for kind in ("cpu", "io", "memory") for how in ("some", "full")})
    return entry
