# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of this machine that real containers need, and how they are run."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import typing as t
from collections.abc import Sequence
from pathlib import Path

from ..errors import ApiError

#: By the package of Debian that brings them.
PROGRAMS = {
    "lxc": ("lxc-start", "lxc-stop", "lxc-attach", "lxc-info", "lxc-usernsexec"),
    "iproute2": ("ip", "bridge"),
    "dnsmasq-base": ("dnsmasq",),
    "e2fsprogs": ("mkfs.ext4", "resize2fs"),
    "mount": ("mount", "umount", "losetup"),
    "util-linux": ("nsenter", "unshare"),
    "tar": ("tar",),
}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENV = {"PATH": PATH, "LC_ALL": "C"}
NEW_MOUNTS, NEW_NETWORK = 0x00020000, 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def reason_against() -> str | None:
    """Why this machine runs no real containers for this user, and what to do; None when it does."""
    if os.geteuid() != 0:
        return (
            "the runtime lxc boots real containers, which only root may: run it as root, or take the runtime scripted"
        )
    missing = [
        package for package, names in PROGRAMS.items() if not all(shutil.which(name, path=PATH) for name in names)
    ]
    if missing:
        return f"the runtime lxc needs programs that are not installed: apt-get install {' '.join(missing)}"
    return _reason_of_kernel()


def _reason_of_kernel() -> str | None:
    """What this needs of the kernel, tried in a process of its own, so that nothing of it stays."""
    tries = {
        "namespaces of its own": "true",
        "to mount the control groups (cgroup2)": "mount -t cgroup2 none /sys/fs/cgroup",
        "network bridges": "ip link add name vmbr0 type bridge",
        "pairs of network devices (veth)": "ip link add name one type veth peer name two",
    }
    for what, script in tries.items():
        argv = ["unshare", "--mount", "--net", "sh", "-c", f"mount --make-rprivate / && {script}"]
        tried = subprocess.run(argv, capture_output=True, text=True, check=False, env=ENV)
        if tried.returncode:
            why = tried.stderr.strip() or f"exit code {tried.returncode}"
            return f"the runtime lxc needs {what}, which this machine does not give ({why}): take the runtime scripted"
    if not Path("/dev/loop-control").exists():
        return "the runtime lxc needs loop devices, which this machine does not give: take the runtime scripted"
    return None


def run(argv: Sequence[str | Path], **options: t.Any) -> str:
    """Run a program of this machine, never one of the node's; returns its stdout, dies with its stderr."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=ENV, **options)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise ApiError(f"command '{' '.join(words)}' failed: exit code {done.returncode}\n{said}".rstrip())
    return done.stdout


def unshare(flags: int) -> None:
    """Have namespaces of one's own from now on."""
    _check(_LIBC.unshare(flags))


def enter(namespace: Path) -> None:
    """The calling thread enters a namespace."""
    with namespace.open("rb") as handle:
        _check(_LIBC.setns(handle.fileno(), 0))


def end_with_parent() -> None:
    """The calling process is killed when the one that started it ends."""
    _check(_LIBC.prctl(1, 9))


def call(number: int, *arguments: int | str) -> int:
    """A system call that the standard library does not have."""
    words = [word.encode() if isinstance(word, str) else word for word in arguments]
    answer = int(_LIBC.syscall(number, *words))
    _check(min(answer, 0))
    return answer


def _check(answer: int) -> None:
    if answer:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
