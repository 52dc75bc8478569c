# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of a node's networks."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ..errors import bad_params
from ..state.root import State
from .routes import Params, route
from .session import Session


def network_interfaces(state: State) -> list[dict[str, t.Any]]:
    """The interfaces of ``/etc/network/interfaces``, as the API describes them."""
    found: dict[str, dict[str, t.Any]] = {}
    automatic: set[str] = set()
    current: dict[str, t.Any] = {}
    for line in state.read("etc/network/interfaces").splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if words[0] == "auto":
            automatic |= set(words[1:])
        elif words[0] == "iface" and len(words) >= 4:
            current = found.setdefault(words[1], {"iface": words[1], "type": "eth", "families": []})
            current["families"].append(words[2])
            current["method" if words[2] == "inet" else "method6"] = words[3]
            current.setdefault("method6", "manual")
        else:
            _network_option(current, words)
    rows: list[dict[str, t.Any]] = []
    for name, entry in found.items():
        if name == "lo":
            continue
        up = state.has_interface(name)
        rows.append(
            {
                **entry,
                "active": int(up),
                "exists": int(up),
                "autostart": int(name in automatic),
                "priority": len(rows) + 3,
            }
        )
    return rows


def _network_option(entry: dict[str, t.Any], words: list[str]) -> None:
    key, value = words[0], " ".join(words[1:])
    if key == "address" and "/" in value:
        own = ipaddress.ip_interface(value)
        six = "6" if own.version == 6 else ""
        entry[f"cidr{six}"] = value
        entry[f"address{six}"] = str(own.ip)
        entry[f"netmask{six}"] = str(own.network.prefixlen)
    elif key == "gateway":
        entry["gateway6" if ":" in value else "gateway"] = value
    elif key in ("bridge-ports", "bridge_ports"):
        entry.update(type="bridge", bridge_ports="" if value == "none" else value)
    elif key in ("bridge-stp", "bridge-fd", "bridge_stp", "bridge_fd"):
        entry[key.replace("-", "_")] = value
    elif key == "vlan-raw-device":
        entry.update({"type": "vlan", key: value})
    elif key == "bond-slaves":
        entry.update(type="bond", slaves=value)
    elif key == "bridge-vlan-aware":
        entry["bridge_vlan_aware"] = 1
    elif key == "bridge-vids":
        entry["bridge_vids"] = value
    elif key == "mtu":
        entry["mtu"] = value


def vnets(state: State) -> list[dict[str, str]]:
    """The SDN vnets of ``/etc/pve/sdn/vnets.cfg``."""
    rows: list[dict[str, str]] = []
    for line in state.read("etc/pve/sdn/vnets.cfg").splitlines():
        head = re.fullmatch(r"vnet:\s*(\S+)\s*", line)
        if head:
            rows.append({"vnet": head[1], "type": "vnet"})
        elif line.strip() and rows:
            key, _sep, value = line.strip().partition(" ")
            rows[-1][key] = value.strip()
    return rows


@route("GET", "/nodes/{node}/network")
def networks(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The node's interfaces, bridges, and with ``any_bridge`` also its vnets."""
    wanted = str(params.get("type", ""))
    rows = network_interfaces(session.state)
    if wanted in ("any_bridge", "any_local_bridge", "include_sdn"):
        rows += [
            {"iface": row["vnet"], "type": "vnet", "active": 1}
            for row in vnets(session.state)
            if wanted != "any_local_bridge"
        ]
        if wanted != "include_sdn":
            rows = [row for row in rows if row["type"] in ("bridge", "OVSBridge", "vnet")]
    elif wanted:
        rows = [row for row in rows if row["type"] == wanted]
    return rows


@route("GET", "/nodes/{node}/network/{iface}")
def network(session: Session, params: Params) -> dict[str, t.Any]:
    """One interface."""
    for row in network_interfaces(session.state):
        if row["iface"] == params["iface"]:
            return {key: value for key, value in row.items() if key != "iface"}
    raise bad_params(iface="interface does not exist")


@route("GET", "/cluster/sdn/vnets")
def sdn_vnets(session: Session, params: Params) -> list[dict[str, str]]:
    """The SDN vnets."""
    return vnets(session.state)
