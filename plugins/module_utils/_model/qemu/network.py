# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the network devices of a VM (``netN``). Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.codec import (
    BOOLEAN,
    Canonical,
    choice,
    integer,
    number,
    vlans,
)
from ansible_collections.pve.provision.plugins.module_utils._model.network import BRIDGE, HWADDR, TAG
from ansible_collections.pve.provision.plugins.module_utils._model.option import Resolved, SubValues, merge
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Field, Fields

NET_MODELS = (
    "virtio", "e1000", "e1000e", "e1000-82540em", "e1000-82544gc", "e1000-82545em", "i82551", "i82557b", "i82559er",
    "ne2k_isa", "ne2k_pci", "pcnet", "rtl8139", "vmxnet3",
)  # fmt: skip


class NetFields(Fields):
    """``virtio=BC:24:11:00:00:01,bridge=vmbr0``: the model is a key whose value is the MAC address."""

    def parse(self, value: str) -> dict[str, Canonical]:
        values = super().parse(value)
        for model in NET_MODELS:
            if model in values:
                values = {"model": model, "hwaddr": HWADDR.parse(values.pop(model)), **values}
        if "macaddr" in values:
            values["hwaddr"] = HWADDR.parse(values.pop("macaddr"))
        return values

    def render(self, values: t.Mapping[str, Canonical]) -> str:
        rest = super().render({key: value for key, value in values.items() if key not in {"model", "hwaddr"}})
        model, hwaddr = values.get("model") or "virtio", values.get("hwaddr")
        head = f"{model}={hwaddr}" if hwaddr else str(model)
        return f"{head},{rest}" if rest else head


NET = NetFields(
    {
        "model": Field(choice(*NET_MODELS), preserve=True),
        "hwaddr": Field(HWADDR, preserve=True),
        "bridge": Field(BRIDGE),
        "firewall": Field(BOOLEAN, default=False),
        "host-tunnel": Field(BOOLEAN, param="host_tunnel", default=False, since="9.2"),
        "link_down": Field(BOOLEAN, default=False),
        "mtu": Field(integer(1, 65520, "an MTU")),
        "queues": Field(integer(0, 64)),
        "rate": Field(number(0, 10000)),
        "tag": Field(TAG),
        "trunks": Field(vlans(ranges=True), default=()),
    },
    default_key="model",
)
# All else of a device changes on the node's side of it (qemu-server, vmconfig_update_net).
REPLUG: t.Final = frozenset({"model", "hwaddr", "queues", "mtu", "host-tunnel"})


def resolve_net(key: str, path: str, current: SubValues | None, wanted: SubValues, purge: bool) -> Resolved:
    """A new device without a model is a virtio one."""
    return merge(key, path, current, wanted if current else {"model": "virtio", **wanted}, purge)
