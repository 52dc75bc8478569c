# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: golden templates, as what tells one from another. Pure.

A golden template is a VM with the disk of one image on one storage, and with what the VMs of that image have in common;
their disks are linked clones of its own. A clone has all options of its template, so what the template was made of
stands in the one that it has not: the name.
"""

from __future__ import annotations

import collections
import hashlib
import json
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._model.option import base_of
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import BOOT

PREFIX: t.Final = "golden-"
# From this many VMs of one image on one storage on, a template of it pays.
CROWD: t.Final = 3
# Under this name a run keeps which VMs these are.
CROWDED: t.Final = "crowded"
# The types of storages that can make linked clones of a template's disk.
LINKING: t.Final = frozenset({"dir", "nfs", "cifs", "glusterfs", "btrfs", "lvmthin", "zfspool", "zfs", "rbd"})
# The description of a clone that has still to lose options of its template: the run that made it was killed.
UNFINISHED: t.Final = "A clone of a golden template, which has options of that still."
# The options that VMs of one image may have in common: neither what tells one from another, nor devices of the node.
_COMMON: t.Final = frozenset(
    {
        *("acpi", "agent", "balloon", "cores", "cpu", "cpulimit", "cpuunits", "hotplug", "keyboard", "kvm"),
        *(
            "localtime",
            "machine",
            "memory",
            "net",
            "numa",
            "onboot",
            "ostype",
            "scsihw",
            "serial",
            "shares",
            "sockets",
            "startup",
        ),
        *("tablet", "vcpus", "vga"),
        *("ciupgrade", "ciuser", "citype", "ipconfig", "nameserver", "searchdomain", "sshkeys"),
    }
)
_DRIVE: t.Final = re.compile(r"[^:/]+:(?:\d+/)?(?:vm-\d+-)?cloudinit(?:\.\w+)?(?:,|$)")
_NAME: t.Final = re.compile(rf"{PREFIX}(?:[a-z0-9-]+-)?([0-9a-f]{{8}})-([0-9a-f]{{6}})")


@dataclass(frozen=True)
class Origin:
    """What a template was made of: the image as it was declared, the file that it was, the digest of its bytes; the
    node and the storage, the place of the disk, its size in bytes (0: the image's own), and the firmware, which no VM
    can change."""

    image: str
    file: str
    digest: str
    node: str
    storage: str
    disk: str
    firmware: str = "seabios"
    size: int = 0

    @property
    def name(self) -> str:
        """The template's name: no two of a cluster share one."""
        stem = re.sub(r"[^A-Za-z0-9]+", "-", self.file.rpartition("/")[2].rpartition(".")[0]).lower()[:36].strip("-")
        return f"{PREFIX}{stem}{'-' if stem else ''}{self._line}-{self._build}"

    @property
    def _line(self) -> str:
        """What is the same for all builds of the image."""
        return _digest(self.image, self.node, self.storage, self.disk, self.firmware, str(self.size))[:8]

    @property
    def _build(self) -> str:
        return _digest(self.digest)[:6]

    def succeeds(self, name: str | None) -> bool:
        """Whether this is what has come of the same image since a template was made."""
        told = _NAME.fullmatch(name or "")
        return told is not None and told[1] == self._line and told[2] != self._build


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def is_golden(name: str | None) -> bool:
    """Whether a template has a name that we give."""
    return _NAME.fullmatch(name or "") is not None


def in_common(values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options, as declared or as PVE holds them, that a template has of its VMs: no MAC address is."""
    return {key: value for key, value in values.items() if value is not None and _is_common(key, value)}


def _is_common(key: str, value: t.Any) -> bool:
    if isinstance(value, dict) and ("hwaddr" in value or str(value.get("device", "")).startswith("/")):
        return False
    drive = value.get("volume", "") if isinstance(value, dict) else value
    return base_of(key) in _COMMON or (isinstance(drive, str) and _DRIVE.match(drive) is not None)


def without_more(options: t.Mapping[str, str], declared: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What a clone is to have so that it keeps nothing of its template's ``options`` that is not ``declared``."""
    more = [key for key in in_common(options) if key not in declared]
    if not more:
        return {}
    order = BOOT.read(options.get("boot", "")).get("order") or ()
    left = tuple(device for device in order if device not in more)
    return {**dict.fromkeys(more), "description": "", **({} if left == order else {"boot": {"order": left}})}


def crowds(guests: t.Iterable[t.Mapping[str, t.Any]]) -> frozenset[str]:
    """The names of declared VMs of which there are many of one image on one storage."""
    alike: dict[str, set[str]] = collections.defaultdict(set)
    for guest in guests:
        made_of = _made_of(guest)
        if made_of is not None and guest.get("state") != "absent":
            alike[json.dumps(made_of, sort_keys=True, default=str)].add(str(guest.get("name")))
    return frozenset(name for names in alike.values() if len(names) >= CROWD for name in names)


def _made_of(guest: t.Mapping[str, t.Any]) -> list[t.Any] | None:
    """What the first disk of a declared VM is made of, and where it goes, with all that a template differs by; None
    where that is not told, or the VM is a copy of another."""
    disks = guest.get("disks")
    first = disks[0] if isinstance(disks, list) and disks and isinstance(disks[0], dict) else {}
    image = first.get("image") or guest.get("image")
    copied = guest.get("clone_from") or guest.get("restore_from")
    if guest.get("type") != "vm" or copied or not (image or guest.get("profile")):
        return None
    place = [first.get(key) for key in ("storage", "bus", "index", "size")]
    firmware = [guest.get(key) for key in ("bios", "efidisk", "arch")]
    return [image, None if image else guest.get("profile"), guest.get("node"), *place, *firmware]
