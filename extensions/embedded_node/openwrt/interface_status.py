# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A router's interface as netifd's status call tells it."""

from __future__ import annotations

import ipaddress
import time
import typing as t

from .interfaces import Interface


def _split(address: str) -> tuple[str, int]:
    ip, _other, length = address.partition("/")
    return ip, int(length or 32)


def status(interface: Interface, full: bool = True) -> dict[str, t.Any]:
    """What ``network.interface.X status`` answers."""
    shown: dict[str, t.Any] = {
        "up": interface.up,
        "pending": interface.pending,
        "available": interface.available,
        "autostart": interface.autostart,
        "dynamic": False,
    }
    if not interface.up:
        return {**shown, "proto": interface.proto, "device": interface.device, "data": {}}
    shown |= {
        "uptime": int(time.time() - (interface.ready or 0)),
        "l3_device": interface.device,
        "proto": interface.proto,
        "device": interface.device,
    }
    if interface.addresses or interface.addresses6:
        shown["updated"] = ["addresses"] + (["routes"] if interface.gateway else [])
    assigned = [interface.prefix] if interface.prefix else []
    own6 = [address for address in interface.addresses6 if not interface.prefix or address != interface.addresses6[-1]]
    shown |= {
        "metric": interface.metric,
        "dns_metric": 0,
        "delegation": True,
        "ipv4-address": [dict(zip(("address", "mask"), _split(one), strict=True)) for one in interface.addresses],
        "ipv6-address": [dict(zip(("address", "mask"), _split(one), strict=True)) for one in own6],
        "ipv6-prefix": [],
        "ipv6-prefix-assignment": [_assignment(prefix) for prefix in assigned],
        "route": _routes(interface),
        "dns-server": interface.dns,
        "dns-search": ["lan"] if interface.proto == "dhcp" else [],
        "neighbors": [],
        "inactive": {
            name: [] for name in ("ipv4-address", "ipv6-address", "route", "dns-server", "dns-search", "neighbors")
        },
        "data": {"leasetime": 43200} if interface.proto == "dhcp" else {},
    }
    return shown if full else {key: shown[key] for key in ("up", "proto", "device")}


def _assignment(prefix: str) -> dict[str, t.Any]:
    network = ipaddress.IPv6Network(prefix, strict=False)
    own = {"address": str(network.network_address + 1), "mask": network.prefixlen}
    return {"address": str(network.network_address), "mask": network.prefixlen, "local-address": own}


def _routes(interface: Interface) -> list[dict[str, t.Any]]:
    if not interface.gateway or not interface.addresses:
        return []
    source = f"{_split(interface.addresses[0])[0]}/32"
    return [{"target": "0.0.0.0", "mask": 0, "nexthop": interface.gateway, "source": source}]
