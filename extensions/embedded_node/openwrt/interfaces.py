# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A router's ports as PVE plugged them in, and the interfaces of its network configuration."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field

from ..api.validation import option_format
from ..guest.runtime import Guest
from ..state.config_file import NET_KEY
from ..state.propstring import parse
from .uci import Section


@dataclass(frozen=True)
class Port:
    """An interface that PVE plugged in. ``tag`` is the VLAN that the guest's side sees untagged."""

    name: str
    mac: str
    bridge: str
    tag: int | None
    mtu: int


@dataclass(frozen=True)
class Place:
    """Where frames come out: a bridge of the node and a VLAN on it."""

    bridge: str
    tag: int | None


@dataclass
class Interface:
    """One UCI interface as netifd runs it. Addresses with prefix length; ``ready`` is the time from which it is up."""

    name: str
    proto: str
    device: str
    autostart: bool = True
    available: bool = True
    addresses: list[str] = field(default_factory=list)
    addresses6: list[str] = field(default_factory=list)
    gateway: str = ""
    dns: list[str] = field(default_factory=list)
    metric: int = 0
    prefix: str = ""
    ready: float | None = None
    places: list[list[t.Any]] = field(default_factory=list)  # bridge and tag, as JSON keeps them

    @property
    def up(self) -> bool:
        """Whether it is up now."""
        return self.ready is not None and time.time() >= self.ready

    @property
    def pending(self) -> bool:
        """Whether it is still being set up."""
        return self.autostart and self.available and not self.up


def items(value: str | list[str] | None) -> list[str]:
    """An option that may be a list or words in one string."""
    return value if isinstance(value, list) else (value or "").split()


def text(section: Section, option: str, default: str = "") -> str:
    """An option that is one value."""
    value = section.options.get(option, default)
    return value if isinstance(value, str) else " ".join(value)


def ports(guest: Guest) -> dict[str, Port]:
    """The guest's ports by name, in the order of their netN. One whose link is down is plugged in nowhere."""
    found = {}
    keys = sorted((key for key in guest.options if NET_KEY.fullmatch(key)), key=lambda key: int(key[3:]))
    for key in keys:
        net = parse(guest.options[key], option_format("lxc", key))
        tag = int(net["tag"]) if net.get("tag") else None
        bridge = "" if net.get("link_down") == "1" else net.get("bridge", "")
        found[net["name"]] = Port(net["name"], net.get("hwaddr", "").lower(), bridge, tag, int(net.get("mtu", 1500)))
    return found
