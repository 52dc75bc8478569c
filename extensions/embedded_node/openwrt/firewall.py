# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``fw4`` and ``nft`` of a scripted OpenWrt guest."""

from __future__ import annotations

import ipaddress
import typing as t

from ..guest.runtime import Command, Completed, Guest, done
from .interfaces import items, text
from .network import Network
from .uci import UciError
from .uci_command import Uci

#: Connection tracking helpers: name -> (protocol, family).
HELPERS = {
    "amanda": ("udp", "inet"),
    "ftp": ("tcp", "inet"),
    "RAS": ("udp", "inet"),
    "Q.931": ("tcp", "inet"),
    "irc": ("tcp", "ip"),
    "netbios-ns": ("udp", "ip"),
    "sane": ("tcp", "inet"),
    "sip": ("udp", "inet"),
    "snmp": ("udp", "ip"),
    "tftp": ("udp", "inet"),
}


def _fw4(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
    command = argv[1] if len(argv) > 1 else ""
    try:
        Uci(guest.files).load("firewall", staged=False)
    except UciError:
        return done(rc=1, err="Error: no firewall configuration\n")
    if command == "check":
        return done("Ruleset passes nftables check.\n")
    if command == "print":
        return done(_ruleset(guest))
    if command in ("start", "stop", "restart", "reload", "flush"):
        guest.remember("firewall", command not in ("stop", "flush"))
        return done()
    return done("Usage:\n  fw4 [-v] [-q] start|stop|flush|restart|reload|reload-sets|check|print\n", 1)


def _ruleset(guest: Guest) -> str:
    """The head of what fw4 makes of the zones, and their policies."""
    zones = Uci(guest.files).load("firewall", staged=False).of_type("zone")
    network = Network(guest).interfaces
    lines = ["table inet fw4", "flush table inet fw4", "", "table inet fw4 {", *_title("CT helper definitions")]
    for name, (protocol, _other) in HELPERS.items():
        lines += [f"\tct helper {name} {{", f'\t\ttype "{name}" protocol {protocol};', "\t}", ""]
    lines += ["", *_title("Defines")]
    for zone in zones:
        known = [network[one] for one in items(zone.options.get("network")) if one in network]
        devices = ", ".join(f'"{one}"' for one in dict.fromkeys(interface.device for interface in known))
        held = [
            address for interface in known if interface.up for address in interface.addresses + interface.addresses6
        ]
        subnets = ", ".join(str(ipaddress.ip_interface(address).network) for address in held)
        name = text(zone, "name")
        lines += [f"\tdefine {name}_devices = {{ {devices} }}", f"\tdefine {name}_subnets = {{ {subnets} }}", ""]
    for zone in zones:
        name = text(zone, "name")
        for chain in ("input", "output", "forward"):
            verdict = text(zone, chain, "DROP").lower()
            lines += ["", f"\tchain {chain}_{name} {{", f"\t\tjump {verdict}_to_{name}", "\t}"]
    return "\n".join([*lines, "}", ""])


def _title(words: str) -> list[str]:
    return ["\t#", f"\t# {words}", "\t#", ""]


def _nft(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    if list(argv[1:]) == ["list", "table", "inet", "fw4"]:
        if not guest.recall("firewall", True):
            return done(rc=1, err="Error: No such file or directory\nlist table inet fw4\n                ^^^\n")
        return done(_ruleset(guest).partition("flush table inet fw4\n")[2].lstrip())
    if list(argv[1:3]) != ["list", "ruleset"]:
        return done()
    lines = ["table inet fw4 {"]
    for name, (protocol, family) in HELPERS.items():
        lines += [
            f"\tct helper {name} {{",
            f'\t\ttype "{name}" protocol {protocol}',
            f"\t\tl3proto {family}",
            "\t}",
            "",
        ]
    return done("\n".join([*lines, "}", ""]))


COMMANDS: dict[str, Command] = {
    "fw4": _fw4,
    "nft": _nft,
}
