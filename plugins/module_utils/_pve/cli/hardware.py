# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the node has for guests, as its kernel and its QEMU tell, and the cluster's names
for devices."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.host_devices import (
    DeviceKind,
    Mapping,
    PciDevice,
    UsbDevice,
    make_mapping,
)
from ansible_collections.pve.provision.plugins.module_utils._pve import config_text
from ansible_collections.pve.provision.plugins.module_utils._pve.hardware import cpu_models_of

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import Commands
    from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root

_PCI = "sys/bus/pci/devices"
_TOLD = ("vendor", "device", "class")
_USB = "sys/bus/usb/devices"
_GRAPHICS: t.Final = re.compile(r"(card|renderD)\d+")
_COMPUTING: t.Final = re.compile(r"kfd|nvidia(\d+|ctl|-uvm|-uvm-tools|-modeset)")
_MACHINES = "usr/share/kvm/machine-versions-x86_64.json"  # where PVE has its own list from
_FILES: t.Final[dict[DeviceKind, str]] = {"pci": "pci", "usb": "usb", "dir": "directory"}


class CliHardware:
    """The node's own devices."""

    def __init__(self, root: Root, commands: Commands) -> None:
        self._root = root
        self._commands = commands

    def pci(self) -> list[PciDevice] | None:
        return [self._pci(address) for address in self._root.names(_PCI)]

    def _pci(self, address: str) -> PciDevice:
        folder = f"{_PCI}/{address}"
        vendor, device, kind = (self._line(f"{folder}/{name}").removeprefix("0x") for name in _TOLD)
        group = (self._root.path / folder / "iommu_group").resolve().name
        return PciDevice(
            address,
            f"{vendor}:{device}",
            kind[:4],
            int(group) if group.isdigit() else None,
            any((self._root.path / folder / name).is_dir() for name in ("mdev_supported_types", "nvidia")),
        )

    def graphics(self) -> list[str] | None:
        cards = [f"/dev/dri/{name}" for name in self._root.names("dev/dri") if _GRAPHICS.fullmatch(name)]
        return [*cards, *(f"/dev/{name}" for name in self._root.names("dev") if _COMPUTING.fullmatch(name))]

    def usb(self) -> list[UsbDevice] | None:
        return [
            UsbDevice(
                port,
                f"{self._line(f'{_USB}/{port}/idVendor')}:{self._line(f'{_USB}/{port}/idProduct')}",
                self._line(f"{_USB}/{port}/product"),
            )
            for port in self._root.names(_USB)
            if re.fullmatch(r"\d+-\d+(\.\d+)*", port)
        ]

    def mappings(self, kind: DeviceKind) -> dict[str, Mapping]:
        found = config_text.parse_mappings(self._root.text(f"etc/pve/mapping/{_FILES[kind]}.cfg"))
        return {name: make_mapping(name, entries) for name, entries in found.items()}

    def processors(self) -> int | None:
        return len(re.findall(r"^processor\s*:", self._root.text("proc/cpuinfo"), re.MULTILINE)) or None

    def memory(self) -> int | None:
        found = re.findall(r"^(?:MemTotal|SwapTotal):\s*(\d+) kB", self._root.text("proc/meminfo"), re.MULTILINE)
        return sum(map(int, found)) * 1024 or None

    def machines(self) -> frozenset[str]:
        return frozenset(str(each["id"]) for each in json.loads(self._root.text(_MACHINES) or "[]"))

    def cpu_models(self) -> frozenset[str]:
        path = f"/nodes/{self._root.node}/capabilities/qemu/cpu"
        return cpu_models_of(self._commands.json(["pvesh", "get", path]) or ())

    def _line(self, path: str) -> str:
        return self._root.text(path).strip()
