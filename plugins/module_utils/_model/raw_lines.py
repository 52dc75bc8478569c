# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the ``lxc.*`` lines of a container's config, which PVE hands on to LXC as they are."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.codec import Canonical, Codec, accept_each

_LINE = re.compile(r"(lxc\.[a-z0-9_.-]+)(?::|\s*=)\s*(.*?)\s*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What PVE itself writes for each start, by the option that says it; a second line would stand beside PVE's own.
_MANAGED = {
    "lxc.arch": "arch",
    "lxc.cgroup2.cpu.max": "cpulimit",
    "lxc.cgroup2.cpu.weight": "cpuunits",
    "lxc.cgroup2.memory.high": "memory",
    "lxc.cgroup2.memory.max": "memory",
    "lxc.cgroup2.memory.swap.max": "swap",
    "lxc.environment": "env",
    "lxc.environment.runtime": "env",
    "lxc.init.cmd": "entrypoint",
    "lxc.rootfs.options": "rootfs.mountoptions",
    "lxc.rootfs.path": "rootfs",
    "lxc.tty.max": "tty",
    "lxc.uts.name": "hostname",
}
# What PVE takes of LXC's own keys (pve-container, LXC/Config.pm); it ignores others with a warning at each start.
_TAKEN = re.compile(
    r"lxc\.(apparmor\.(profile|allow_incomplete|allow_nesting|raw)|selinux\.context|include|signal\.(halt|reboot|stop)"
    r"|init\.(cwd|uid|gid|groups)|pty\.max|console\.(logfile|path)|devtty\.dir|autodev|kmsg|mount\.(fstab|entry|auto)"
    r"|rootfs\.mount|cap\.(drop|keep)|seccomp\.(profile|notify\.(proxy|cookie))|idmap|log\.(level|file)"
    r"|hook\.(autodev|pre-start|pre-mount|mount|start|stop|post-stop|clone|destroy|version)"
    r"|start\.(auto|delay|order)|group|environment\.hooks|(cgroup2|prlimit|sysctl)\..+)"
)


def _accept(value: t.Any) -> str:
    text = str(value)
    line = _LINE.fullmatch(text.strip(" "))
    if _CONTROL.search(text):
        raise ValueError("holds a line break or another control character; give each line an entry of its own")
    if not line:
        raise ValueError("is not a line for LXC, such as lxc.cgroup2.devices.allow=c 10:200 rwm")
    option = "networks" if line[1].startswith("lxc.net.") else _MANAGED.get(line[1])
    if option:
        raise ValueError(f"is what Proxmox VE itself writes; use the option {option}")
    if not _TAKEN.fullmatch(line[1]):
        raise ValueError(f"has the key {line[1]}, which Proxmox VE does not hand on to LXC")
    return f"{line[1]}: {line[2]}"


_ONE = Codec(parse=str, accept=_accept, render=str)
RAW = Codec(
    parse=lambda text: tuple(text.splitlines()),
    accept=lambda lines: tuple(accept_each(_ONE, [lines] if isinstance(lines, str) else lines)),
    render="\n".join,
    type="list",
    elements="str",
)


def merge_lines(current: Canonical, declared: Canonical) -> Canonical:
    """The lines that a container has, with the declared ones in the place of those with the same keys."""
    keys = {line.partition(":")[0] for line in declared}
    return (*(line for line in current if line.partition(":")[0] not in keys), *declared)
