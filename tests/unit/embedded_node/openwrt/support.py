# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A state root with one OpenWrt container in it, without the rest of a node."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from embedded_node import commands
from embedded_node.guest import runtime
from embedded_node.lxc import container
from embedded_node.openwrt.network import SEGMENTS
from embedded_node.state import kernel
from embedded_node.state.root import State

if t.TYPE_CHECKING:
    from pathlib import Path

VMID = 400
CONF = """\
arch: amd64
hostname: owrt
memory: 256
ostype: unmanaged
net0: name=eth0,bridge=vmbr1,hwaddr=BC:24:11:00:AA:01,tag=20,type=veth
net1: name=eth1,bridge=vmbr0,hwaddr=BC:24:11:00:AA:02,type=veth
rootfs: local:400/vm-400-disk-0.raw,size=1G
"""
INTERFACES = """\
auto vmbr0
iface vmbr0 inet static
\taddress 203.0.113.2/24

auto vmbr1
iface vmbr1 inet manual
"""
RELEASE = """\
DISTRIB_ID='OpenWrt'
DISTRIB_RELEASE='{version}'
DISTRIB_REVISION='r28959-29397011cc'
DISTRIB_TARGET='x86/64'
DISTRIB_ARCH='x86_64'
DISTRIB_DESCRIPTION='OpenWrt {version} r28959-29397011cc'
DISTRIB_TAINTS=''
"""
DHCP = """\
config dnsmasq
\toption domainneeded '1'

config dhcp 'lan'
\toption interface 'lan'
\toption start '100'
\toption limit '150'
\toption ra 'server'

config dhcp 'wan'
\toption interface 'wan'
\toption ignore '1'

config odhcpd 'odhcpd'
\toption maindhcp '0'
"""
FIREWALL = """\
config defaults
\toption input REJECT

config zone
\toption name lan
\tlist network 'lan'

# a comment
config zone
\toption name wan
\tlist network 'wan'
\tlist network 'wan6'

config rule
\toption name 'Allow-Ping'
"""
SERVICES = {
    "boot": (10, 90),
    "dnsmasq": (19, None),
    "dropbear": (19, 50),
    "firewall": (19, None),
    "network": (20, 90),
    "odhcpd": (35, 85),
    "system": (10, None),
    "uhttpd": (50, None),
}
SEED = """\
config interface 'loopback'
\toption device 'lo'
\toption proto 'static'
\toption ipaddr '127.0.0.1'
\toption netmask '255.0.0.0'

config interface 'lan'
\toption device 'eth0'
\toption proto 'static'
\toption ipaddr '192.168.20.1'
\toption netmask '255.255.255.0'
"""


@dataclass
class Box:
    """The container under test."""

    state: State
    root: Path

    def start(self) -> None:
        """Boot it."""
        runtime.Scripted().start(container.guest(self.state, VMID))
        kernel.set_running(self.state, VMID, 4711)

    def stop(self) -> None:
        """Stop it."""
        runtime.Scripted().stop(container.guest(self.state, VMID))
        kernel.set_running(self.state, VMID, None)

    def run(self, *argv: str, stdin: str = "") -> tuple[int, str, str]:
        """``pct exec`` of a command."""
        answer = runtime.Scripted().exec(container.guest(self.state, VMID), argv, stdin.encode())
        return answer.rc, answer.stdout.decode(), answer.stderr.decode()

    def sh(self, script: str) -> str:
        """What a script prints; it must succeed."""
        rc, out, err = self.run("sh", "-c", script)
        assert (rc, err) == (0, ""), (script, rc, out, err)
        return out

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Put a file in, as ``pct mount`` would."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def read(self, name: str) -> str:
        """A file's text."""
        return (self.root / name).read_text()

    def heard(self, event: str) -> list[tuple[str, int | None, str]]:
        """What somebody listening on the bridges heard so far, of one kind."""
        path = self.state.path(SEGMENTS)
        lines = path.read_text().splitlines() if path.exists() else []
        entries = [json.loads(line) for line in lines]
        return [(entry["bridge"], entry["tag"], entry["value"]) for entry in entries if entry["event"] == event]


def box(folder: Path, version: str = "24.10.4", conf: str = CONF) -> Box:
    """A stopped container with a small root file system, as the mirror's template gives one."""
    commands.load()
    state = State(folder)
    (folder / "etc/pve/nodes/pve1/lxc").mkdir(parents=True)
    (folder / "etc/pve/local").symlink_to("nodes/pve1")
    (folder / f"etc/pve/nodes/pve1/lxc/{VMID}.conf").write_text(conf)
    (folder / "etc/network").mkdir()
    (folder / "etc/network/interfaces").write_text(INTERFACES)
    made = Box(state, folder / f"var/lib/lxc/{VMID}/rootfs")
    for name in ("root", "tmp", "etc/rc.d", "etc/uci-defaults"):
        (made.root / name).mkdir(parents=True)
    (made.root / "var").symlink_to("tmp")
    made.write("etc/openwrt_release", RELEASE.format(version=version))
    made.write("etc/config/dhcp", DHCP)
    made.write("etc/config/firewall", FIREWALL)
    made.write("etc/shadow", "root:::0:99999:7:::\nnobody:*:0:0:99999:7:::\n", 0o600)
    made.write("lib/preinit/00_preinit.conf", 'pi_preinit_no_failsafe="y"\n')
    for name, (start, stop) in SERVICES.items():
        numbers = f"START={start:02d}\n" + (f"STOP={stop}\n" if stop else "")
        made.write(f"etc/init.d/{name}", f"#!/bin/sh /etc/rc.common\n{numbers}USE_PROCD=1\n", 0o755)
        (made.root / f"etc/rc.d/S{start:02d}{name}").symlink_to(f"../init.d/{name}")
    return made
