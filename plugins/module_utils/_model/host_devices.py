# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the devices of a node that guests can be given, and the cluster's names for them. Pure.

PVE knows a PCI device by its address, where an address without a function is all functions of that device, and a USB
device by its port or by its vendor and product. A mapping is a name for devices, other ones on each node.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

DeviceKind = t.Literal["pci", "usb", "dir"]

# What people call the classes of PCI devices that are passed through, by the first digits of the class.
_CLASSES: t.Final = {
    "0108": "NVMe disk", "01": "disk controller", "02": "network", "03": "display", "0401": "audio", "0403": "audio",
    "04": "multimedia", "07": "serial", "0c03": "USB controller", "12": "accelerator",
}  # fmt: skip
# Memory, bridges and processors: parts of the board that nobody passes through.
_BOARD: t.Final = ("05", "06", "0b")


@dataclass(frozen=True)
class PciDevice:
    """``ids``: vendor and device, such as ``10de:2504``; ``kind``: the class, such as ``0300``; ``group``: the IOMMU
    group, None where there is no IOMMU; ``mediated``: it can make devices of its own for several guests."""

    address: str
    ids: str
    kind: str
    group: int | None = None
    mediated: bool = False

    @property
    def board(self) -> bool:
        """Whether it is a part of the board, such as a bridge."""
        return self.kind.startswith(_BOARD)

    @property
    def slot(self) -> str:
        """The address that all functions of the device share."""
        return self.address.rpartition(".")[0]

    def __str__(self) -> str:
        name = next((_CLASSES[start] for start in (self.kind, self.kind[:2]) if start in _CLASSES), "")
        return f"{self.address} ({name or f'class {self.kind}'}, {self.ids})"


@dataclass(frozen=True)
class UsbDevice:
    """``port``: bus and ports such as ``1-2.4``; ``ids``: vendor and product."""

    port: str
    ids: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.ids} at {self.port}{f' ({self.name})' if self.name else ''}"


@dataclass(frozen=True)
class Mapped:
    """What a mapping names on one node: ``path`` is a place (of a USB device it may be empty), ``ids`` are those that
    it had when it was mapped."""

    node: str
    path: str = ""
    ids: str = ""
    group: int | None = None


@dataclass(frozen=True)
class Mapping:
    """A name for devices or directories of the cluster's nodes."""

    name: str
    devices: tuple[Mapped, ...] = ()

    def on(self, node: str) -> list[Mapped]:
        return [each for each in self.devices if each.node == node]


def make_mapping(name: str, entries: t.Iterable[str]) -> Mapping:
    """A mapping from its entries: ``node=pve1,path=0000:01:00,id=10de:2504,iommugroup=2``."""
    devices = []
    for entry in entries:
        said = dict(part.split("=", 1) for part in entry.split(",") if "=" in part)
        group = said.get("iommugroup", "")
        number = int(group) if group.isdigit() else None
        devices.append(Mapped(said.get("node", ""), said.get("path", ""), said.get("id", "").lower(), number))
    return Mapping(name, tuple(devices))


def full_address(address: str) -> str:
    """A PCI address with its domain."""
    low = address.lower()
    return low if re.match(r"[0-9a-f]{4,}:", low) else f"0000:{low}"


def find_pci(devices: t.Iterable[PciDevice], address: str) -> list[PciDevice]:
    """The device at an address, or all functions of one."""
    wanted = full_address(address)
    return [each for each in devices if wanted in (each.address, each.slot)]


def find_usb(devices: t.Iterable[UsbDevice], host: str) -> list[UsbDevice]:
    """The devices in a port, or those of a vendor and product."""
    wanted = host.lower().replace("0x", "")
    return [each for each in devices if wanted in (each.port, each.ids)]
