# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of this machine in a container. Each is made as a new node, as PVE does, with the owner and the
mode that its option says: the machine's own may be root's alone, who is nobody in an unprivileged container."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..api import validation
from ..errors import ApiError
from ..state.propstring import parse

KEY = re.compile(r"dev\d+")
FUSE = "/dev/fuse"
#: What a node has once its kernel module is loaded, where this machine has it.
LOADED = ("dev/net/tun",)


@dataclass(frozen=True)
class Device:
    """One that a container is to have. ``optional``: it is left out where the node does not have it."""

    path: str
    mode: int = 0o660
    uid: int = 0
    gid: int = 0
    optional: bool = False


def wanted(options: Mapping[str, str]) -> Iterator[Device]:
    """Those of a container."""
    if parse(options.get("features", ""), validation.option_format("lxc", "features")).get("fuse") == "1":
        yield Device(FUSE, 0o666, optional=True)
    for key in sorted(filter(KEY.fullmatch, options), key=lambda key: int(key[3:])):
        told = parse(options[key], validation.option_format("lxc", key))
        mode = int(told.get("mode") or "0660", 8)
        yield Device(told["path"], mode, int(told.get("uid") or 0), int(told.get("gid") or 0))


def make(options: Mapping[str, str], node: Path, folder: Path, first_id: int) -> None:
    """Make a container's, below a folder; ``node`` is where the node's files are."""
    for device in wanted(options):
        try:
            found = os.stat(node / device.path.lstrip("/") if not device.optional else device.path)
        except FileNotFoundError as error:
            if device.optional:
                continue
            raise ApiError(f"Device {device.path} does not exist") from error
        if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
            raise ApiError(f"{device.path} is not a device")
        place = folder / device.path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        os.mknod(place, stat.S_IFMT(found.st_mode) | device.mode, found.st_rdev)
        os.chown(place, first_id + device.uid, first_id + device.gid)
        place.chmod(device.mode)


def lines(options: Mapping[str, str], folder: Path) -> Iterator[tuple[str, str]]:
    """What LXC is told of them. It keeps no device from an unprivileged container, which can make none."""
    for device in wanted(options):
        name = device.path.lstrip("/")
        yield "lxc.mount.entry", f"{folder / name} {name} none bind,create=file,optional 0 0"
        if options.get("unprivileged") != "1" and (folder / name).exists():
            number, kind = (folder / name).stat().st_rdev, "b" if (folder / name).is_block_device() else "c"
            yield "lxc.cgroup2.devices.allow", f"{kind} {os.major(number)}:{os.minor(number)} rw"
