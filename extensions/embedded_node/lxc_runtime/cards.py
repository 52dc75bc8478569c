# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network cards of real containers: the node's end of each, and its bridge."""

from __future__ import annotations

from collections.abc import Mapping

from .programs import run

Net = Mapping[str, str]


def device(vmid: int, key: str) -> str:
    """The node's end of a container's card netN."""
    return f"veth{vmid}i{key[3:]}"


def insert(name: str, pid: int, net: Net) -> None:
    """A new card for a container that runs, up."""
    peer = ["peer", "name", net["name"], "address", net["hwaddr"], "netns", str(pid)]
    run(["ip", "link", "add", "name", name, "type", "veth", *peer])
    run(["nsenter", "--target", str(pid), "--net", "--", "ip", "link", "set", net["name"], "up"])


def link(name: str, net: Net) -> None:
    """Its bridge, the virtual network in there, and whether its link is up."""
    run(["ip", "link", "set", name, *(["master", net["bridge"]] if net.get("bridge") else ["nomaster"])])
    if net.get("mtu"):
        run(["ip", "link", "set", name, "mtu", net["mtu"]])
    if net.get("tag"):
        run(["ip", "link", "set", net["bridge"], "type", "bridge", "vlan_filtering", "1"])
        run(["bridge", "vlan", "add", "dev", name, "vid", net["tag"], "pvid", "untagged"])
    run(["ip", "link", "set", name, "down" if net.get("link_down") == "1" else "up"])
