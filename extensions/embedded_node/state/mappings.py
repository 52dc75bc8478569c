# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names that a cluster has for devices of its nodes: ``/etc/pve/mapping``, one file for each kind of device."""

from __future__ import annotations

import re
import typing as t

from ..errors import ApiError
from . import hardware, propstring

if t.TYPE_CHECKING:
    from .root import State

FILES = {"pci": "pci", "usb": "usb", "dir": "directory"}
NOT_FOUND = {
    "pci": "PCI device mapping not found for '{0}'",
    "usb": "USB device mapping not found for '{0}'",
    "dir": "Directory ID {0} does not exist.",
}
Entry = dict[str, t.Any]


def load(state: State, kind: str) -> dict[str, Entry]:
    """The mappings of one kind: name -> its keys, ``map`` being a list."""
    found: dict[str, Entry] = {}
    entry: Entry = {}
    for line in state.read(f"etc/pve/mapping/{FILES[kind]}.cfg").splitlines():
        if re.fullmatch(r"\S+\s*", line):
            entry = found.setdefault(line.strip(), {})
        elif line.strip():
            key, _sep, value = line.strip().partition(" ")
            if key == "map":
                entry.setdefault("map", []).append(value)
            else:
                entry[key] = int(value) if value in ("0", "1") else propstring.decode_text(value)
    return found


def save(state: State, kind: str, entries: t.Mapping[str, Entry]) -> None:
    """Write the file."""
    lines: list[str] = []
    for name in sorted(entries):
        lines.append(name)
        for key, value in sorted(entries[name].items()):
            texts = value if isinstance(value, list) else [propstring.encode_text(str(value))]
            lines += [f"\t{key} {text}" for text in texts]
        lines.append("")
    state.write(f"etc/pve/mapping/{FILES[kind]}.cfg", "".join(f"{line}\n" for line in lines))


def on_node(state: State, entry: Entry, node: str = "") -> list[dict[str, str]]:
    """What a mapping names on a node, this one where none is told."""
    parsed = [propstring.parse(text, {}) for text in entry.get("map", ())]
    return [each for each in parsed if each.get("node") == (node or state.name)]


def find(state: State, kind: str, name: str) -> list[dict[str, str]]:
    """What a mapping names on this node; dies with PVE's words where it names nothing."""
    entry = load(state, kind).get(name)
    found = on_node(state, entry) if entry else []
    if not found:
        missing = entry is not None and kind == "dir"
        words = f"No directory mapping for node {state.name}." if missing else NOT_FOUND[kind].format(name)
        raise ApiError(words)
    return found


def check(state: State, kind: str, name: str, entry: Entry, device: t.Mapping[str, str]) -> None:
    """Die when what a mapping names is not there, or is something else by now."""
    CHECKS[kind](state, name, entry, device)


def _check_pci(state: State, name: str, entry: Entry, device: t.Mapping[str, str]) -> None:
    for number, path in enumerate(device.get("path", "").split(";")):
        first = path if re.search(r"\.[0-9a-f]$", path) else f"{path}.0"
        found = next(iter(hardware.lspci(state, first)), None)
        if found is None:
            raise ApiError(f"pci device '{first}' not found")
        real = {
            "id": f"{found['vendor']}:{found['device']}",
            "iommugroup": str(found["iommugroup"]) if found["iommugroup"] >= 0 and not number else None,
            "mdev": str(found.get("mdev", 0)),
            "subsystem-id": f"{found['subsystem_vendor']}:{found['subsystem_device']}",
        }
        _compare(name, first, real, {**device, "mdev": str(entry.get("mdev", 0))}, skip=number > 0)


def _compare(name: str, path: str, real: t.Mapping[str, str | None], told: t.Mapping[str, str], *, skip: bool) -> None:
    for key, expected in real.items():
        if key == "iommugroup" and skip:
            continue
        if expected is not None and key not in told:
            raise ApiError(f"missing expected property '{key}' for device '{path}'")
        if expected is None and key in told:
            raise ApiError(f"unexpected property '{key}' configured for device '{path}'")
        bare = (expected or "").replace("0x", "")
        if expected is not None and bare != told[key].replace("0x", ""):
            raise ApiError(f"'{key}' does not match for '{name}' ({bare} != {told[key]})")


def _check_usb(state: State, name: str, entry: Entry, device: t.Mapping[str, str]) -> None:
    ids, path = device.get("id", ""), device.get("path", "")
    real = {f"{each['busnum']}-{each.get('usbpath')}": f"{each['vendid']}:{each['prodid']}"
            for each in hardware.lsusb(state)}  # fmt: skip
    if path and path not in real:
        raise ApiError(f"usb device '{path}' not found")
    if path and real[path] != ids:
        raise ApiError(f"'id' does not match for '{name}' ({real[path]} != {ids})")
    if ids not in real.values():
        raise ApiError(f"usb device '{ids}' not found")


def _check_dir(state: State, name: str, entry: Entry, device: t.Mapping[str, str]) -> None:
    folder = state.path(device.get("path", ""))
    if not folder.exists():
        raise ApiError(f"Path {device.get('path')} does not exist")
    if not folder.is_dir():
        raise ApiError(f"Path {device.get('path')} exists, but is not a directory")


CHECKS = {"pci": _check_pci, "usb": _check_usb, "dir": _check_dir}
