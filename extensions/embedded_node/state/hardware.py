# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's own devices: files below ``/sys``, in the form of the kernel's. A test adds some, and takes some away."""

from __future__ import annotations

import os
import re
import shutil
import typing as t

if t.TYPE_CHECKING:
    from pathlib import Path

    from .root import State

PCI = "sys/bus/pci/devices"
USB = "sys/bus/usb/devices"
ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]")


def add_pci(
    state: State, address: str, ids: str, kind: str, group: int | None = None, mdev_types: t.Collection[str] = ()
) -> None:
    """A PCI device. ``ids`` are vendor and device (``10de:2504``), ``kind`` is the class (``0300``)."""
    folder = state.path(f"{PCI}/{address}")
    folder.mkdir(parents=True)
    vendor, device = ids.split(":")
    told = {"vendor": vendor, "device": device, "subsystem_vendor": vendor, "subsystem_device": "0001"}
    _write(folder, {**{name: f"0x{value}" for name, value in told.items()}, "class": f"0x{kind}00", "irq": "16"})
    if kind == "0604":
        (folder / "pci_bus").mkdir()
    for name in mdev_types:
        _write(folder / "mdev_supported_types" / name, {"available_instances": "4", "description": name})
    if group is not None:
        home = state.path(f"sys/kernel/iommu_groups/{group}/devices")
        home.mkdir(parents=True, exist_ok=True)
        (folder / "iommu_group").symlink_to(os.path.relpath(home.parent, folder))
        (home / address).symlink_to(os.path.relpath(folder, home))
        state.path("sys/class/iommu/dmar0").mkdir(parents=True, exist_ok=True)


def add_usb(state: State, path: str, ids: str, product: str = "", manufacturer: str = "") -> None:
    """A USB device in a port (``1-1.2``: bus 1, port 1, port 2 of the hub there)."""
    bus, _sep, port = path.partition("-")
    root = state.path(f"{USB}/usb{bus}")
    if not root.exists():
        hub = {"idVendor": "1d6b", "idProduct": "0002", "bDeviceClass": "09", "product": "xHCI Host Controller"}
        _write(root, {**hub, "busnum": bus, "devnum": "1", "speed": "480"})
    vendor, device = ids.split(":")
    number = str(len(list(state.path(USB).glob(f"{bus}-*"))) + 2)
    told = {"idVendor": vendor, "idProduct": device, "bDeviceClass": "00", "busnum": bus, "devnum": number}
    words = {name: text for name, text in (("product", product), ("manufacturer", manufacturer)) if text}
    _write(state.path(f"{USB}/{path}"), {**told, "devpath": port, "speed": "12", **words})


def forget(state: State) -> None:
    """Take all devices away, and the IOMMU."""
    for name in (PCI, USB, "sys/kernel/iommu_groups", "sys/class/iommu"):
        shutil.rmtree(state.path(name), ignore_errors=True)


def names(state: State) -> list[str]:
    """What devices there are, by their addresses and ports."""
    return [name for folder in (PCI, USB) for name in _names(state.path(folder))]


def _write(folder: Path, files: t.Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n", encoding="utf-8")


def has_iommu(state: State) -> bool:
    """Whether the kernel has an IOMMU."""
    folder = state.path("sys/class/iommu")
    return folder.is_dir() and any(folder.iterdir())


def lspci(state: State, address: str = "") -> list[dict[str, t.Any]]:
    """The PCI devices whose address begins so (``01:00`` is all functions of a device), in their order."""
    start = address if re.match(r"[0-9a-f]{4,}:", address) or not address else f"0000:{address}"
    return [_pci(state, name) for name in _names(state.path(PCI)) if ADDRESS.fullmatch(name) and name.startswith(start)]


def _pci(state: State, name: str) -> dict[str, t.Any]:
    folder = state.path(f"{PCI}/{name}")
    told = {key: _line(folder / key) for key in ("class", "device", "vendor", "subsystem_device", "subsystem_vendor")}
    group = int((folder / "iommu_group").readlink().name) if (folder / "iommu_group").is_symlink() else -1
    mediated = {"mdev": 1} if (folder / "mdev_supported_types").is_dir() else {}
    return {"id": name, **told, "iommugroup": group, **mediated}


def mdev_types(state: State, address: str) -> list[dict[str, t.Any]]:
    """The mediated devices that a device can make."""
    folder = state.path(f"{PCI}/{address}/mdev_supported_types")
    return [
        {
            "type": name,
            "available": int(_line(folder / name / "available_instances")),
            "description": _line(folder / name / "description"),
        }
        for name in _names(folder)
    ]


def lsusb(state: State) -> list[dict[str, t.Any]]:
    """The USB devices, the hubs of the buses first."""
    names = [name for name in _names(state.path(USB)) if re.fullmatch(r"usb\d+|\d+-\d+(\.\d+)*", name)]
    return [_usb(state.path(f"{USB}/{name}")) for name in sorted(names, key=lambda name: (name[:3] != "usb", name))]


def _usb(folder: Path) -> dict[str, t.Any]:
    port = folder.name.partition("-")[2]
    found: dict[str, t.Any] = {
        "busnum": int(_line(folder / "busnum")), "class": int(_line(folder / "bDeviceClass"), 16),
        "devnum": int(_line(folder / "devnum")), "level": len(port.split(".")) if port else 0,
        "port": int(port.split(".")[-1]) - 1 if port else 0, "prodid": _line(folder / "idProduct"),
        "speed": _line(folder / "speed"), "vendid": _line(folder / "idVendor"),
    }  # fmt: skip
    words = {key: text for key in ("manufacturer", "product") if (text := _line(folder / key))}
    return {**found, **words, **({"usbpath": port} if port else {})}


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _line(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
