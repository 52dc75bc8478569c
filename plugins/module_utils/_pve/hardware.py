# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a node can give to its guests besides volumes and networks."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._pve.values import flag

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._model import host_devices as devices


class Hardware(t.Protocol):
    """What the node can give to guests besides volumes and networks. Read only where a guest is to have it."""

    def pci(self) -> list[devices.PciDevice] | None:
        """All PCI devices; None where this login may not look."""

    def graphics(self) -> list[str] | None:
        """The files in /dev by which the node's graphics cards are used; None where nobody tells."""

    def usb(self) -> list[devices.UsbDevice] | None:
        """The USB devices but for the buses' own hubs; None where this login may not look."""

    def mappings(self, kind: devices.DeviceKind) -> dict[str, devices.Mapping]:
        """The cluster's names for devices of one kind, as far as this login may see them."""

    def processors(self) -> int | None:
        """How many CPUs the node has; None where this login may not look."""

    def memory(self) -> int | None:
        """The bytes of the node's memory, swap included; None where this login may not look."""

    def machines(self) -> frozenset[str]:
        """The versions of machines that the node's QEMU knows, such as ``pc-q35-9.2``; none where nobody tells."""

    def cpu_models(self) -> frozenset[str]:
        """The models of a CPU that a VM may be given, ``custom-NAME`` for those that the cluster defines, as far as
        this login may see them. On the node itself this takes a command."""


def cpu_models_of(entries: t.Iterable[t.Mapping[str, t.Any]]) -> frozenset[str]:
    """The names out of ``capabilities/qemu/cpu``, which has those of custom models with their prefix or without."""
    return frozenset(
        f"custom-{str(each['name']).removeprefix('custom-')}" if flag(each.get("custom")) else str(each["name"])
        for each in entries
    )
