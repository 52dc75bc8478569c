# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network commands of a scripted OpenWrt guest, in BusyBox's words: ip, ifconfig, ping, nslookup, wget."""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass

from ..guest.runtime import Command, Completed, Guest, done
from .network import Network

BUSYBOX = "BusyBox v1.36.1 (2025-10-19 16:37:45 UTC) multi-call binary."
USAGE = f"""\
{BUSYBOX}

Usage: ip [OPTIONS] address|route|link|neigh|rule [ARGS]

OPTIONS := -f[amily] inet|inet6|link | -o[neline]

ip addr add|del IFADDR dev IFACE | show|flush [dev IFACE] [to PREFIX]
ip route list|flush|add|del|change|append|replace|test ROUTE
ip link set IFACE [up|down] [arp on|off] [multicast on|off]
\t[promisc on|off] [mtu NUM] [name NAME] [qlen NUM] [address MAC]
\t[master IFACE | nomaster] [netns PID]
ip neigh show|flush [to PREFIX] [dev DEV] [nud STATE]
ip rule [list] | add|del SELECTOR ACTION
"""
FOREVER = "valid_lft forever preferred_lft forever"


@dataclass(frozen=True)
class Link:
    """A network device as ``ip`` shows it."""

    index: int
    name: str
    shown: str
    mac: str
    mtu: int
    master: str
    addresses: tuple[str, ...]

    @property
    def head(self) -> str:
        """The two parts of ``ip link``'s answer, joined by a newline."""
        if self.name == "lo":
            flags, state, kind, broadcast = "LOOPBACK,UP,LOWER_UP", "UNKNOWN", "loopback", "00:00:00:00:00:00"
        else:
            peer = ",M-DOWN" if "@" in self.shown else ""
            flags, state = f"BROADCAST,MULTICAST,UP,LOWER_UP{peer}", "UP"
            kind, broadcast = "ether", "ff:ff:ff:ff:ff:ff"
        master = f" master {self.master}" if self.master else ""
        first = f"{self.index}: {self.shown}: <{flags}> mtu {self.mtu} qdisc noqueue{master} state {state} qlen 1000"
        return f"{first}\n    link/{kind} {self.mac} brd {broadcast}"

    def lines(self, family: str) -> list[str]:
        """The addresses of a family (``inet``, ``inet6``, empty for both), each in two parts."""
        shown = []
        for address in self.addresses:
            own = ipaddress.ip_interface(address)
            if own.version == 4 and family != "inet6":
                broadcast = "" if self.name == "lo" else f" brd {own.network.broadcast_address}"
                scope = "host lo" if self.name == "lo" else f"global {self.name}"
                shown.append(f"    inet {address}{broadcast} scope {scope}\n       {FOREVER}")
            elif own.version == 6 and family != "inet":
                scope = "host" if own.ip.is_loopback else "link" if own.ip.is_link_local else "global noprefixroute"
                shown.append(f"    inet6 {address} scope {scope} \n       {FOREVER}")
        return shown


def links(guest: Guest) -> list[Link]:
    """The guest's devices in the kernel's order: loopback, ports, then what netifd made."""
    network = Network(guest)
    addresses, bridges = network.addresses(), network.bridges
    masters = {member: name for name, members in bridges.items() for member in members}
    found = [Link(1, "lo", "lo", "00:00:00:00:00:00", 65536, "", tuple(addresses["lo"]))]
    for index, port in enumerate(network.ports.values(), 2):
        own = (*addresses[port.name], *(() if port.name in masters else (_link_local(port.mac),)))
        shown, master = f"{port.name}@if{index + 40}", masters.get(port.name, "")
        found.append(Link(index, port.name, shown, port.mac, port.mtu, master, own))
    made = [name for name in addresses if name != "lo" and name not in network.ports]
    for index, name in enumerate(dict.fromkeys([*bridges, *made]), len(found) + 1):
        members = [
            network.ports[one] for one in (*bridges.get(name, []), name.partition(".")[0]) if one in network.ports
        ]
        mac, mtu = (members[0].mac, members[0].mtu) if members else ("02:00:00:00:00:01", 1500)
        found.append(Link(index, name, name, mac, mtu, "", (*addresses.get(name, []), _link_local(mac))))
    return found


def _link_local(mac: str) -> str:
    parts = [int(part, 16) for part in mac.split(":")] if mac else [2, 0, 0, 0, 0, 1]
    words = [parts[0] ^ 2, *parts[1:3], 0xFF, 0xFE, *parts[3:]]
    text = ":".join(f"{words[at] << 8 | words[at + 1]:x}" for at in range(0, 8, 2))
    return str(ipaddress.IPv6Interface(f"fe80::{text}/64"))


def _ip(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
    words, flags, family = list(argv[1:]), set(), ""
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        if flag in ("-f", "-family") and words:
            flag = {"inet": "-4", "inet6": "-6"}.get(words.pop(0), "")
        family = {"-4": "inet", "-6": "inet6"}.get(flag, family)
        flags.add({"-oneline": "-o"}.get(flag, flag))
    if not words or flags - {"-4", "-6", "-o"}:
        return done(rc=1, err=USAGE)
    what, rest = words[0], words[1:]
    if "address".startswith(what):
        return _show(guest, rest, flags, family, addresses=True)
    if "link".startswith(what):
        return done() if rest[:1] == ["set"] else _show(guest, rest, flags, family, addresses=False)
    if "route".startswith(what):
        return done("".join(f"{line}\n" for line in _routes(guest, family)))
    if "neigh".startswith(what) or "rule".startswith(what):
        return done()
    return done(rc=1, err=USAGE)


def _show(guest: Guest, words: list[str], flags: set[str], family: str, *, addresses: bool) -> Completed:
    if words[:1] and words[0] in ("add", "del", "flush"):
        return done()
    names = [word for word in words if word not in ("show", "list", "ls", "s", "sh", "dev")]
    chosen = [link for link in links(guest) if not names or link.name == names[0]]
    if not chosen:
        return done(rc=1, err=f"ip: can't find device '{names[0]}'\n")
    out = []
    for link in chosen:
        lines = link.lines(family) if addresses else []
        if "-o" not in flags:
            out += [link.head, *lines] if not addresses or lines or not family else []
        elif addresses:
            head = [] if family else [link.head.replace("\n", "\\")]
            out += [*head, *(f"{link.index}: {link.name}{line}".replace("\n", "\\") for line in lines)]
        else:
            out.append(link.head.replace("\n", "\\"))
    return done("".join(f"{line}\n" for line in out))


def _routes(guest: Guest, family: str) -> list[str]:
    network = Network(guest)
    defaults = [
        f"default via {one.gateway} dev {one.device} "
        + (f" src {one.addresses[0].split('/')[0]} " * (one.proto == "dhcp"))
        for one in network.interfaces.values()
        if one.up and one.gateway and one.addresses
    ]
    local = []
    for device, held in network.addresses().items():
        for address in held:
            own = ipaddress.ip_interface(address)
            if device == "lo" or (own.version == 6) != (family == "inet6"):
                continue
            local.append(
                f"{own.network} dev {device} scope link  src {own.ip} "
                if own.version == 4
                else f"{own.network} dev {device}  metric 256 "
            )
    return [*(defaults if family != "inet6" else []), *local]


# -- reaching others ---------------------------------------------------------------------------------------------------
def _reachable(guest: Guest, target: str) -> bool:
    """Whether a ping comes back: from the guest itself, and from the router that leads out."""
    network = Network(guest)
    own = {address.split("/")[0] for held in network.addresses().values() for address in held}
    gateways = {interface.gateway for interface in network.interfaces.values() if interface.up and interface.gateway}
    return target in own | gateways | {"localhost", "127.0.0.1", "::1"}


def _ping(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
    words, count = list(argv[1:]), 1
    target = ""
    while words:
        word = words.pop(0)
        if word in ("-c", "-W", "-w", "-s", "-I", "-i", "-t") and words:
            value = words.pop(0)
            count = int(value) if word == "-c" else count
        elif not word.startswith("-"):
            target = word
    if not re.fullmatch(r"[\d.]+|[0-9a-fA-F:]+|localhost", target):
        return done(rc=1, err=f"ping: bad address '{target}'\n")
    shown = "127.0.0.1" if target == "localhost" else target
    text = f"PING {target} ({shown}): 56 data bytes\n"
    ok = _reachable(guest, target)
    if ok:
        text += "".join(f"64 bytes from {shown}: seq={number} ttl=64 time=0.136 ms\n" for number in range(count))
    received, lost = (count, 0) if ok else (0, 100)
    text += f"\n--- {target} ping statistics ---\n"
    text += f"{count} packets transmitted, {received} packets received, {lost}% packet loss\n"
    return done(text + ("round-trip min/avg/max = 0.136/0.136/0.136 ms\n" if ok else ""), int(not ok))


def _nslookup(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
    name, server = argv[1] if len(argv) > 1 else "", argv[2] if len(argv) > 2 else "127.0.0.1"
    head = f"Server:\t\t{server}\nAddress:\t{server}:53\n\n"
    if name in ("localhost", guest.hostname):
        return done(f"{head}Name:\t{name}\nAddress: 127.0.0.1\n\n")
    return done(f"{head}** server can't find {name}: REFUSED\n\n** server can't find {name}: REFUSED\n\n", 1)


def _wget(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
    """The guest's own web server answers with its files; nobody else does."""
    url = next((word for word in argv[1:] if "://" in word), "")
    match = re.fullmatch(r"https?://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?/?(.*)", url)
    if match is None:
        return done(rc=4, err="Failed to send request: Operation not permitted\n")
    path = guest.files.resolve(f"/www/{match[1] or 'index.html'}")
    if not guest.recall("services", {}).get("uhttpd"):
        return done(rc=4, err="Failed to connect: Connection refused\n")
    return Completed(0, path.read_bytes()) if path.is_file() else done(rc=8, err="HTTP error 404\n")


COMMANDS: dict[str, Command] = {
    "ip": _ip,
    "ping": _ping,
    "nslookup": _nslookup,
    "wget": _wget,
    "uclient-fetch": _wget,
}
