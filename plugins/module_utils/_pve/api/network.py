# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the network of the node, over the API."""

from __future__ import annotations

from ansible_collections.pve.provision.plugins.module_utils._model.segments import Link, make_link
from ansible_collections.pve.provision.plugins.module_utils._pve.api.requests import Requests
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Bridge
from ansible_collections.pve.provision.plugins.module_utils._pve.values import flag, whole_number

# PVE tells the MTU of a bridge only where /etc/network/interfaces sets one.
_DEFAULT_MTU = 1500


class ApiNetwork:
    """The node's own network."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def bridges(self) -> list[Bridge]:
        return [
            Bridge(
                name=entry["iface"],
                kind=entry.get("type", "bridge"),
                mtu=whole_number(entry.get("mtu")) or _DEFAULT_MTU,
                addresses=tuple(entry[key] for key in ("cidr", "cidr6") if entry.get(key)),
                vlan_aware=None
                if entry.get("type") == "vnet"
                else flag(entry.get("bridge_vlan_aware")) or entry.get("type") == "OVSBridge",
            )
            for entry in self._requests.ask("GET", f"/nodes/{self._requests.node}/network", {"type": "any_bridge"})
            or []
        ]

    def links(self) -> list[Link]:
        return [
            make_link(entry["iface"], [entry[key] for key in ("cidr", "cidr6") if entry.get(key)], entry)
            for entry in self._requests.ask("GET", f"/nodes/{self._requests.node}/network") or []
        ]

    def neighbours(self) -> dict[str, list[str]]:
        """PVE tells nobody the neighbour table of a node."""
        return {}
