# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the network of the node, as its files and its kernel tell."""

from __future__ import annotations

import ipaddress

from ansible_collections.pve.provision.plugins.module_utils._model.segments import Link, make_link
from ansible_collections.pve.provision.plugins.module_utils._pve import config_text
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import Commands
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Bridge

# What the kernel says of a neighbour that has not answered.
_SILENT = frozenset({"FAILED", "INCOMPLETE"})


class CliNetwork:
    """The node's own network."""

    def __init__(self, root: Root, commands: Commands) -> None:
        self._root = root
        self._commands = commands

    def bridges(self) -> list[Bridge]:
        configured = config_text.parse_interfaces(self._root.text("etc/network/interfaces"))
        vnets = self._vnets()
        live = self._live_addresses()
        net = self._root.path / "sys/class/net"
        found = {}
        for name in [*self._root.names(net), *sorted(vnets)]:
            interface = configured.get(name, config_text.InterfaceStanza())
            ovs = interface.options.get("ovs_type") == "OVSBridge"
            if name not in vnets and not ovs and not (net / name / "bridge").is_dir():
                continue
            mtu = self._root.text(net / name / "mtu").strip()
            aware = (
                self._root.text(net / name / "bridge/vlan_filtering").strip() == "1"
                or interface.options.get("bridge-vlan-aware") == "yes"
                or vnets.get(name) is True
            )
            found[name] = Bridge(
                name=name,
                kind="vnet" if name in vnets else "OVSBridge" if ovs else "bridge",
                mtu=int(mtu) if mtu.isdigit() else None,
                addresses=tuple(live.get(name, interface.addresses)),
                vlan_aware=aware or ovs,
            )
        return list(found.values())

    def links(self) -> list[Link]:
        configured = config_text.parse_interfaces(self._root.text("etc/network/interfaces"))
        live = self._live_addresses()
        return [
            make_link(name, live.get(name, each.addresses), each.options)
            for name in dict.fromkeys([*configured, *live])
            for each in [configured.get(name, config_text.InterfaceStanza())]
        ]

    def _vnets(self) -> dict[str, bool]:
        """The SDN networks whose zone reaches this node, and whether they let a guest's tags pass."""
        zones = {zone.name: zone for zone in config_text.parse_section_config(self._root.text("etc/pve/sdn/zones.cfg"))}
        vnets = config_text.parse_section_config(self._root.text("etc/pve/sdn/vnets.cfg"))
        return {
            vnet.name: vnet.options.get("vlanaware") == "1"
            for vnet in vnets
            if (zone := zones.get(vnet.options.get("zone", ""))) is None or zone.on_node(self._root.node)
        }

    def _live_addresses(self) -> dict[str, list[str]]:
        """Addresses as the kernel has them, without the link-local ones, which every bridge that is up has."""
        return {
            link["ifname"]: [
                f"{address['local']}/{address['prefixlen']}"
                for address in link.get("addr_info", [])
                if address.get("scope") != "link"
            ]
            for link in self._commands.ip("addr")
        }

    def neighbours(self) -> dict[str, list[str]]:
        heard: dict[str, list[str]] = {}
        for entry in sorted(self._commands.ip("neigh"), key=lambda entry: "REACHABLE" not in entry.get("state", [])):
            silent = "lladdr" not in entry or _SILENT.intersection(entry.get("state", []))
            if not silent and not ipaddress.ip_address(entry["dst"]).is_link_local:
                heard.setdefault(entry["lladdr"].upper(), []).append(entry["dst"])
        return heard
