# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the node's bridges and its other guests say against a guest's network devices."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.network import claims
from ansible_collections.pve.provision.plugins.module_utils._model.option import SubValues

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.planned_guest import PlannedGuest, Report
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Bridge, GuestRef

_SAME_BRIDGE = "is, on the same bridge, the address of"
# What is wrong with a value that another guest has, and what to do.
_TAKEN = {
    "hwaddr": ("is the MAC address of", "Leave it out to get one."),
    "ip": (_SAME_BRIDGE, "Use another."),
    "ip6": (_SAME_BRIDGE, "Use another."),
}


def check_bridges(report: Report, facts: Facts, planned: PlannedGuest) -> None:
    """Each device that changes must have a bridge that is there and takes what the device will have.

    A running container loses its device when PVE cannot plug it into the new bridge, and many things fail only at the
    start.
    """
    for key, net in planned.networks.items():
        path, name = planned.path(key), net.get("bridge")
        if not name:
            continue
        bridge = facts.bridges.get(name)
        if bridge is None:
            listed = ", ".join(sorted(facts.bridges)) or "none"
            report.add(f"{path}.bridge", name, f"does not exist on node {facts.node.name}", f"There are: {listed}.")
            continue
        mtu = net.get("mtu")
        if bridge.mtu and isinstance(mtu, int) and mtu > bridge.mtu:
            remedy = f"{planned.subject} could not start. Lower it, or raise the bridge's."
            report.add(f"{path}.mtu", mtu, f"is above the {bridge.mtu} of {name}", remedy)
        _check_vlans(report, path, net, bridge)


def _check_vlans(report: Report, path: str, net: SubValues, bridge: Bridge) -> None:
    """Tags need a bridge that lets them pass: a VNet does not unless it is VLAN-aware, a bridge makes one of its own
    for a single tag."""
    if bridge.vlan_aware is not False:
        return
    if net.get("trunks"):
        remedy = "Make it VLAN-aware (bridge-vlan-aware yes), or leave trunks out; the guest could not start."
        report.add(f"{path}.trunks", net["trunks"], f"needs a VLAN-aware bridge, and {bridge.name} is none", remedy)
    if net.get("tag") and bridge.kind == "vnet":
        remedy = "Leave it out: a VNet has a tag of its own. Or make the VNet VLAN-aware."
        report.add(f"{path}.tag", net["tag"], f"is not possible on VNet {bridge.name}, which is not VLAN-aware", remedy)


def check_neighbours(report: Report, facts: Facts, planned: PlannedGuest) -> None:
    """MAC addresses and static addresses that another guest of this node has.

    A stopped guest may be there to take turns with this one, so that it is only told of.
    """
    kind = KINDS[planned.wanted.type.kind]
    had = kind.networks({} if planned.new else planned.before)
    for key, net in kind.networks(planned.after).items():
        for name, claim in claims(_new_addresses(net, had.get(key, {}))):
            path = planned.path(key if name == "hwaddr" else kind.key_of_addresses(key))
            for guest in facts.users.get(claim, ()):
                if guest.vmid != planned.vmid:
                    _add(report, f"{path}.{name}", net[name], guest, *_TAKEN[name])


def _new_addresses(net: SubValues, had: SubValues) -> SubValues:
    """A device as the plan makes it, without the addresses that it has had on the same segment."""
    moved = any(net.get(name) != had.get(name) for name in ("bridge", "tag"))
    stays = {"hwaddr"} if moved else {"hwaddr", "ip", "ip6"}
    return {name: value for name, value in net.items() if name not in stays or value != had.get(name)}


def _add(report: Report, option: str, value: object, guest: GuestRef, problem: str, remedy: str) -> None:
    named = f"guest {guest.vmid}{f' ({guest.name})' if guest.name else ''}"
    if guest.status == "stopped":
        report.warnings.append(f"{option}: {value} {problem} {named}, which is stopped; both cannot run at once")
    else:
        report.add(option, value, f"{problem} {named}", remedy)
