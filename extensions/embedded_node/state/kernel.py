# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel of a real node shows of a running container in ``/proc`` and ``/sys``, as files.

Its first process in its control group and in ``/proc`` (the namespace of host names is a plain file with the name), and
the node's end of each network device. A device keeps the MTU that it was made with until the container starts again.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import time
from collections.abc import Mapping

from .root import COMMAND_SOCKET, PRIVATE, State

NET = re.compile(r"net(\d+)")


def set_running(state: State, vmid: int, pid: int | None) -> None:
    """Note that a container runs (as this pid) or, with None, that it stopped."""
    with state.locked("/run/lock/embedded-running.lck"):
        lines = [
            line for line in state.read("proc/net/unix").splitlines() if not line.endswith(COMMAND_SOCKET.format(vmid))
        ]
        started = state.read_json(f"{PRIVATE}/running.json", {})
        started.pop(str(vmid), None)
        if pid is not None:
            lines.append(f"0000000000000000: 00000002 00000000 00010000 0001 01 {pid} {COMMAND_SOCKET.format(vmid)}")
            started[str(vmid)] = {"pid": pid, "started": time.time()}
        _show(state, vmid, pid)
        state.write("proc/net/unix", "".join(f"{line}\n" for line in lines))
        state.write(f"{PRIVATE}/running.json", json.dumps(started))


def _show(state: State, vmid: int, pid: int | None) -> None:
    if pid is None:
        vanish(state, vmid)
    elif state.has_guest("lxc", vmid):
        appear(state, vmid, pid, state.guest("lxc", vmid).options)


def appear(state: State, vmid: int, pid: int, options: Mapping[str, str]) -> None:
    """The container has started with these options."""
    vanish(state, vmid)
    state.write(f"sys/fs/cgroup/lxc/{vmid}/ns/cgroup.procs", "")
    state.write(f"sys/fs/cgroup/lxc/{vmid}/ns/init.scope/cgroup.procs", f"{pid}\n")
    if state.settings()["runtime"] != "scripted":  # the kernel tells by itself
        state.path(f"proc/{pid}").symlink_to(f"/proc/{pid}")
    else:
        state.write(f"proc/{pid}/status", f"Name:\tinit\nPid:\t{pid}\nNSpid:\t{pid}\t1\n")
        state.write(f"proc/{pid}/ns/uts", options.get("hostname", f"CT{vmid}"))
    plug(state, vmid, options)


def plug(state: State, vmid: int, options: Mapping[str, str]) -> None:
    """The network devices are those of the options; one that is there stays as it is."""
    wanted = {f"veth{vmid}i{match[1]}": text for key, text in options.items() if (match := NET.fullmatch(key))}
    for path in state.path("sys/class/net").glob(f"veth{vmid}i*"):
        if path.name not in wanted:
            shutil.rmtree(path)
    for name, text in wanted.items():
        if not state.has_interface(name):
            net = dict(part.partition("=")[::2] for part in text.split(","))
            mtu = net.get("mtu") or state.read(f"sys/class/net/{net.get('bridge')}/mtu").strip() or "1500"
            state.write(f"sys/class/net/{name}/mtu", f"{mtu}\n")
            state.write(f"sys/class/net/{name}/address", "fe:00:00:00:00:01\n")
    _route(state, vmid, options)


def _route(state: State, vmid: int, options: Mapping[str, str]) -> None:
    """The addresses that PVE gives a container that it manages, in the kernel's own tables of its network."""
    pid = state.read(f"sys/fs/cgroup/lxc/{vmid}/ns/init.scope/cgroup.procs").strip()
    if not pid or state.path(f"proc/{pid}").is_symlink():
        return
    nets = [
        dict(part.partition("=")[::2] for part in text.split(",")) for key, text in options.items() if NET.match(key)
    ]
    given = [net[name] for net in nets for name in ("ip", "ip6") if "/" in net.get(name, "")]
    held = [ipaddress.ip_interface(text).ip for text in given if options.get("ostype") != "unmanaged"]
    four = [str(ip) for ip in held if ip.version == 4]
    trie = "".join(f"           |-- {ip}\n              /32 host LOCAL\n" for ip in ["127.0.0.1", *four])
    state.write(f"proc/{pid}/net/fib_trie", f"Local:\n{trie}")
    six = [ip.packed.hex() for ip in [ipaddress.ip_address("::1"), *held] if ip.version == 6]
    state.write(f"proc/{pid}/net/if_inet6", "".join(f"{ip} 02 40 00 80     eth0\n" for ip in six))


def vanish(state: State, vmid: int) -> None:
    """The container has stopped."""
    group = f"sys/fs/cgroup/lxc/{vmid}"
    for pid in state.read(f"{group}/ns/init.scope/cgroup.procs").split():
        process = state.path(f"proc/{pid}")
        process.unlink() if process.is_symlink() else shutil.rmtree(process, ignore_errors=True)
    shutil.rmtree(state.path(group), ignore_errors=True)
    plug(state, vmid, {})


def link_local(mac: str) -> str:
    """The address that Linux gives an interface that is up, made of its MAC address (RFC 4291, appendix A)."""
    octets = [int(octet, 16) for octet in mac.split(":")]
    number = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(ipaddress.IPv6Address(bytes.fromhex("fe80000000000000") + number))


def host_name(state: State, vmid: int) -> str | None:
    """The name that the processes of a running container see."""
    pid = state.read(f"sys/fs/cgroup/lxc/{vmid}/ns/init.scope/cgroup.procs").strip()
    return state.read(f"proc/{pid}/ns/uts").strip() or None if pid else None
