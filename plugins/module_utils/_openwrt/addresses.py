# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which addresses a running OpenWrt says it has, by what it can be asked."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

_LINE = re.compile(r"\d+: (?P<device>[^\s@]+)\S*\s+inet6? (?P<address>\S+) (?P<rest>.*)")


@dataclass(frozen=True)
class InterfaceStatus:
    """One interface as netifd sees it; ``addresses`` with prefix length, IPv4 first, none that is link-local."""

    up: bool
    pending: bool
    proto: str
    device: str
    addresses: tuple[str, ...]


def status_argv(interface: str) -> list[str]:
    """What to run for :func:`parse_status`. Exit code 4: netifd knows no such interface (or not yet)."""
    return ["ubus", "call", f"network.interface.{interface}", "status"]


def parse_status(text: str) -> InterfaceStatus | None:
    """What ``ubus call network.interface.NAME status`` prints; None when it is none of that."""
    try:
        status = json.loads(text)
    except ValueError:
        return None
    if not isinstance(status, dict):
        return None
    given = [*status.get("ipv4-address", []), *status.get("ipv6-address", [])]
    given += [each["local-address"] for each in status.get("ipv6-prefix-assignment", []) if "local-address" in each]
    return InterfaceStatus(
        up=status.get("up") is True,
        pending=status.get("pending") is True,
        proto=str(status.get("proto", "")),
        device=str(status.get("l3_device", status.get("device", ""))),
        addresses=tuple(f"{each['address']}/{each['mask']}" for each in given),
    )


ADDR_ARGV: t.Final = (["ip", "-4", "-o", "addr"], ["ip", "-6", "-o", "addr"])


def parse_addr(text: str) -> dict[str, list[str]]:
    """What ``ip -4 -o addr`` (or ``-6``) prints: device -> addresses with prefix length.

    Of global scope only, and none that is deprecated. The busybox ``ip`` of OpenWrt knows no ``-j``.
    """
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and "scope global" in match["rest"] and "deprecated" not in match["rest"]:
            found.setdefault(match["device"], []).append(match["address"])
    return found
