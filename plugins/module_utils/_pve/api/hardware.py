# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the node has for guests, and the cluster's names for devices, over the API."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._model.host_devices import (
    DeviceKind,
    Mapping,
    PciDevice,
    UsbDevice,
    make_mapping,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.hardware import cpu_models_of
from ansible_collections.pve.provision.plugins.module_utils._pve.values import flag, whole_number

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.api.requests import Requests


class ApiHardware:
    """The node's own devices."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def pci(self) -> list[PciDevice] | None:
        told = self._look("hardware/pci", {"pci-class-blacklist": ""})
        return None if told is None else [_pci(each) for each in told]

    def graphics(self) -> list[str] | None:
        return None

    def usb(self) -> list[UsbDevice] | None:
        told = self._look("hardware/usb")
        return None if told is None else [_usb(each) for each in told if each.get("usbpath")]

    def processors(self) -> int | None:
        return whole_number(self._status.get("cpuinfo", {}).get("cpus"))

    def memory(self) -> int | None:
        ram, swap = (whole_number(self._status.get(kind, {}).get("total")) for kind in ("memory", "swap"))
        return None if ram is None else ram + (swap or 0)

    def machines(self) -> frozenset[str]:
        return frozenset(str(each["id"]) for each in self._look("capabilities/qemu/machines") or ())

    def cpu_models(self) -> frozenset[str]:
        return cpu_models_of(self._look("capabilities/qemu/cpu") or ())

    @functools.cached_property
    def _status(self) -> dict[str, t.Any]:
        return self._look("status") or {}

    def _look(self, path: str, params: t.Mapping[str, str] | None = None) -> t.Any:
        """What the node tells; None where this login may not look."""
        try:
            return self._requests.ask("GET", f"/nodes/{self._requests.node}/{path}", params)
        except PveError as error:
            if error.details.get("reason") != "permission":
                raise
            return None

    def mappings(self, kind: DeviceKind) -> dict[str, Mapping]:
        told = self._requests.ask("GET", f"/cluster/mapping/{kind}") or []
        return {each["id"]: make_mapping(each["id"], each.get("map") or []) for each in told}


def _pci(told: t.Mapping[str, t.Any]) -> PciDevice:
    vendor, device, kind = (str(told.get(key, "")).removeprefix("0x") for key in ("vendor", "device", "class"))
    group = int(told.get("iommugroup", -1))
    return PciDevice(
        str(told["id"]), f"{vendor}:{device}", kind[:4], None if group < 0 else group, flag(told.get("mdev"))
    )


def _usb(told: t.Mapping[str, t.Any]) -> UsbDevice:
    port = f"{told['busnum']}-{told['usbpath']}"
    return UsbDevice(port, f"{told['vendid']}:{told['prodid']}", str(told.get("product", "")))
