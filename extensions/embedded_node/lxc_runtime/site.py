# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network around a node: its bridges, and behind the one with a gateway the router of its site.

The router is a network namespace of its own at the other end of the bridge's port. It has the gateway's address, leases
addresses and answers names by dnsmasq, and leads nowhere, but to the package mirrors of the setting ``mirrors``: each
has an address there, where :mod:`relay` listens. One whose name ends with ``.localhost`` is on this machine itself.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ..state.root import State
from . import groups, programs
from .programs import run

ROUTER = "run/embedded-node/router.pid"
LAN = "lan0"
#: Addresses for documentation (RFC 5737): those of the mirrors, which nobody else has.
MIRRORS = ipaddress.IPv4Network("192.0.2.0/24")


@dataclass
class Interface:
    """A stanza of ``/etc/network/interfaces``."""

    name: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> ipaddress.IPv4Interface | None:
        """Its address."""
        text = self.options.get("address", "")
        return ipaddress.IPv4Interface(text) if text and ":" not in text else None

    @property
    def port(self) -> str | None:
        """The network card behind it."""
        first = self.options.get("bridge-ports", "none").split()[0]
        return None if first == "none" else first


def interfaces(text: str) -> list[Interface]:
    """Those that the node configures."""
    found: list[Interface] = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["iface"] and words[1] != "lo":
            found.append(Interface(words[1]))
        elif found and line[:1].isspace() and len(words) > 1:
            found[-1].options[words[0]] = " ".join(words[1:])
    return found


def build(state: State, group: Path) -> None:
    """Make the bridges that the node has, and the router."""
    run(["ip", "link", "set", "lo", "up"])
    configured = {each.name: each for each in interfaces(state.read("etc/network/interfaces"))}
    for folder in sorted(state.path("sys/class/net").glob("*/bridge")):
        ensure_bridge(state, folder.parent.name)
    for bridge in configured.values():
        if bridge.address and bridge.port and bridge.options.get("gateway"):
            _router(state, group, bridge, bridge.address, bridge.port)


def ensure_bridge(state: State, name: str) -> None:
    """The bridge of that name, with the node's addresses on it."""
    if Path("/sys/class/net", name).exists():
        return
    known = state.read(f"sys/class/net/{name}/address").strip()
    run(["ip", "link", "add", "name", name, "type", "bridge"])
    run(["ip", "link", "set", name, "address", known, "mtu", str(state.bridge_mtu(name)), "up"])
    for each in interfaces(state.read("etc/network/interfaces")):
        if each.name == name and each.address:
            run(["ip", "address", "add", str(each.address), "dev", name])


def _router(state: State, group: Path, bridge: Interface, own: ipaddress.IPv4Interface, port: str) -> None:
    pid = _namespace(group)
    state.write(ROUTER, f"{pid}\n")
    gateway = bridge.options["gateway"]
    run(["ip", "link", "add", "name", port, "type", "veth", "peer", "name", LAN, "netns", str(pid)])
    run(["ip", "link", "set", port, "master", bridge.name, "up"])
    inside = ["nsenter", "--target", str(pid), "--net", "--"]
    run([*inside, "ip", "link", "set", "lo", "up"])
    run([*inside, "ip", "address", "add", f"{gateway}/{own.network.prefixlen}", "dev", LAN])
    run([*inside, "ip", "link", "set", LAN, "up"])
    for _host, address in mirrors(state).items():
        run([*inside, "ip", "address", "add", f"{address}/32", "dev", "lo"])
    run(["ip", "route", "add", "default", "via", gateway])
    state.write("etc/resolv.conf", f"nameserver {gateway}\n")
    command = [*inside, *_dnsmasq(state, own, gateway)]
    process = subprocess.Popen(command, env=programs.ENV, stdin=subprocess.DEVNULL)
    groups.join(group, "site", process.pid)


def _namespace(group: Path) -> int:
    """A process that holds a network namespace, and does nothing else; it ends with the node's group."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid:
        os.close(told)
        os.read(ready, 1)
        os.close(ready)
        groups.join(group, "site", pid)
        return pid
    try:
        programs.end_with_parent()
        programs.unshare(programs.NEW_NETWORK)
        os.write(told, b"1")
        os.close(told)
        while True:
            signal.pause()
    finally:
        os._exit(1)


def _dnsmasq(state: State, own: ipaddress.IPv4Interface, gateway: str) -> list[str]:
    first, last = leased(own.network)
    log = state.path("var/log/embedded-node/dnsmasq.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    words = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=", "--no-hosts"]
    words += ["--no-resolv", "--no-poll", f"--interface={LAN}", "--bind-interfaces", "--dhcp-authoritative"]
    words += [f"--dhcp-range={first},{last},{own.network.netmask},1h", f"--dhcp-option=option:router,{gateway}"]
    words += [f"--dhcp-leasefile={state.path('var/lib/embedded-node/dnsmasq.leases')}", f"--log-facility={log}"]
    words += [f"--host-record={state.name},{own.ip}"]
    return words + [f"--address=/{host}/{address}" for host, address in mirrors(state).items() if not _is_address(host)]


def leased(network: ipaddress.IPv4Network) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    """The first and the last address that the router leases: the second half, without the broadcast address."""
    half = network.num_addresses // 2
    return network.network_address + half, network.broadcast_address - 1


def mirrors(state: State) -> dict[str, str]:
    """The hosts of the package mirrors that are reachable, and the router's address for each."""
    hosts = dict.fromkeys(str(urlsplit(url).hostname) for url in state.settings()["mirrors"])
    return {host: host if _is_address(host) else str(MIRRORS[number]) for number, host in enumerate(hosts, 1)}


def ports(state: State) -> list[tuple[str, int]]:
    """Host and port of each of them."""
    found = [urlsplit(url) for url in state.settings()["mirrors"]]
    ports = [(str(url.hostname), url.port or {"http": 80, "https": 443}[url.scheme]) for url in found]
    return list(dict.fromkeys(ports))


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdigit()
