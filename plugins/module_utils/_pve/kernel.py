# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the node's kernel knows of a running container, which PVE does not tell.

Read from files below ``root`` (``/`` on a real node), so that it costs no command.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import os
import re
import threading
import typing as t
from pathlib import Path

_CLONE_NEWUTS = 0x04000000


def _text(path: Path) -> str:
    """A file's text; nothing when it is not there, or its process has ended."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def first_process(root: Path, vmid: int) -> int | None:
    """The process of a running container that is number 1 inside it; None when there is none."""
    for folder, _folders, files in os.walk(root / "sys/fs/cgroup/lxc" / str(vmid)):
        for word in _text(Path(folder, "cgroup.procs")).split() if "cgroup.procs" in files else ():
            lines = _text(root / "proc" / word / "status").splitlines()
            inside = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
            if inside[1:] == ["1"]:
                return int(word)
    return None


def time_of(path: str) -> float | None:
    """When a file was last written, in seconds since the epoch; None when it is not there."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return os.stat(path).st_mtime
    return None


def host_name(root: Path, pid: int) -> str | None:
    """The host name that a process sees; None when it has ended, or this process may not look.

    The name belongs to a namespace, which only a thread that enters it can read. Where there is a plain file instead of
    a namespace, as below an embedded node's root, that holds the name.
    """
    found: list[str] = []

    def look() -> None:
        with contextlib.suppress(OSError), (root / "proc" / str(pid) / "ns/uts").open("rb") as namespace:
            if ctypes.CDLL(None).setns(namespace.fileno(), _CLONE_NEWUTS) == 0:
                found.append(os.uname().nodename)
            else:
                found.append(namespace.read().decode(errors="replace").strip())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0] if found else None


def device_mtu(root: Path, vmid: int, number: str) -> int | None:
    """The MTU of a running container's network device ``netN``, by the node's end of it, which the guest cannot set."""
    text = _text(root / "sys/class/net" / f"veth{vmid}i{number}" / "mtu").strip()
    return int(text) if text.isdigit() else None


def local_addresses(root: Path, pid: int) -> frozenset[str]:
    """The addresses that a process's network has, whatever device they are on."""
    net = root / "proc" / str(pid) / "net"
    ipv4 = re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", _text(net / "fib_trie"))
    ipv6 = [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in _text(net / "if_inet6").splitlines()]
    return frozenset([*ipv4, *map(str, ipv6)])


def addresses_of(links: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The interfaces that ``ip -j addr show`` tells, as PVE would tell them."""
    return [
        {
            "name": link["ifname"],
            "hwaddr": link.get("address", ""),
            **{
                family: [f"{a['local']}/{a['prefixlen']}" for a in link.get("addr_info", []) if a["family"] == family]
                for family in ("inet", "inet6")
            },
        }
        for link in links
    ]
