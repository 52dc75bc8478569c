# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What LXC is told of a container: the options of PVE as lines of LXC's configuration."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..api import validation
from ..state.config_file import NET_KEY
from ..state.propstring import parse
from . import devices
from .mounts import ALL_IDS, FIRST_ID

ARCHITECTURES = {"amd64": "x86_64", "i386": "i686", "arm64": "aarch64", "armhf": "armv7l", "riscv64": "riscv64"}
SHARED = Path("/usr/share/lxc/config")


Lines = Iterator[tuple[str, t.Any]]


@dataclass(frozen=True)
class Place:
    """Where a container runs: its files, the node's control group and the controllers that it has, the log, what LXC
    runs when it begins and ends, and the devices that were made for it.
    """

    rootfs: Path
    group: str
    controllers: frozenset[str]
    log: Path
    hook: Path
    devices: Path


def text(vmid: int, options: Mapping[str, str], place: Place) -> str:
    """The lines without those that the container's own config has for LXC."""
    limits = ((key, value) for key, value in _limits(options) if key.split(".")[2] in place.controllers)
    lines = [*_frame(vmid, options, place), *limits, *_cards(vmid, options)]
    return "".join(f"{key} = {value}\n" for key, value in lines)


def _frame(vmid: int, options: Mapping[str, str], place: Place) -> Lines:
    features = parse(options.get("features", ""), validation.option_format("lxc", "features"))
    yield "lxc.include", SHARED / "common.conf"
    if options.get("unprivileged") == "1":
        yield "lxc.include", SHARED / "userns.conf"
        for kind in "ug":
            yield "lxc.idmap", f"{kind} 0 {FIRST_ID} {ALL_IDS}"
    yield "lxc.cap.drop", "sys_module"  # which systemd would try, and fail, wherever it sees it
    yield "lxc.arch", ARCHITECTURES.get(options.get("arch", "amd64"), "x86_64")
    yield "lxc.uts.name", options.get("hostname", f"CT{vmid}")
    yield "lxc.rootfs.path", f"dir:{place.rootfs}"
    yield "lxc.apparmor.profile", "unconfined"
    mixed = "rw" if features.get("nesting") == "1" else "mixed"
    yield "lxc.mount.auto", f"cgroup:{mixed} proc:{mixed} sys:{mixed}"
    if options.get("entrypoint"):
        yield "lxc.init.cmd", options["entrypoint"]
    for variable in filter(None, options.get("env", "").split("\0")):
        yield "lxc.environment", variable
    yield from devices.lines(options, place.devices)
    for name, folder in (("container", vmid), ("monitor", f"monitor-{vmid}"), ("monitor.pivot", "pivot")):
        yield f"lxc.cgroup.dir.{name}", f"{place.group}/{folder}"
    yield "lxc.cgroup.dir.container.inner", "ns"
    yield "lxc.log.file", place.log
    yield "lxc.log.level", "INFO"
    for event in ("start-host", "post-stop"):
        yield f"lxc.hook.{event}", place.hook
    yield "lxc.tty.max", options.get("tty", "2")


def _limits(options: Mapping[str, str]) -> Lines:
    yield "lxc.cgroup2.memory.max", int(options.get("memory", "512")) * 1024**2
    yield "lxc.cgroup2.memory.swap.max", int(options.get("swap", "512")) * 1024**2
    cores = float(options.get("cpulimit") or options.get("cores") or 0)
    if cores:
        yield "lxc.cgroup2.cpu.max", f"{int(cores * 100_000)} 100000"


def _cards(vmid: int, options: Mapping[str, str]) -> Lines:
    for key in sorted((key for key in options if NET_KEY.fullmatch(key)), key=lambda key: int(key[3:])):
        net = parse(options[key], validation.option_format("lxc", key))
        prefix = f"lxc.net.{key[3:]}"
        yield f"{prefix}.type", "veth"
        yield f"{prefix}.veth.pair", f"veth{vmid}i{key[3:]}"
        yield f"{prefix}.name", net["name"]
        yield f"{prefix}.hwaddr", net["hwaddr"]
        yield f"{prefix}.flags", "up"
        if net.get("mtu"):
            yield f"{prefix}.mtu", net["mtu"]
        if net.get("bridge"):
            yield f"{prefix}.link", net["bridge"]
