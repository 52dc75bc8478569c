# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PVE's storage types are: which contents and formats each takes, and what it can do with volumes."""

from __future__ import annotations

import re
from dataclasses import dataclass

ARCHIVE = re.compile(r"\.(?:tar|tgz|tar\.(?:gz|xz|zst|bz2|lzo)|vma(?:\.(?:gz|zst|lzo))?)$")
CONTENT_FOLDERS = {
    "iso": "template/iso",
    "vztmpl": "template/cache",
    "backup": "dump",
    "snippets": "snippets",
    "import": "import",
}
NAME_PATTERNS = {
    "iso": re.compile(r"[^/]+\.(?:iso|img)", re.IGNORECASE),
    "vztmpl": re.compile(r"[^/]+\.(?:tar\.(?:gz|xz|zst|bz2)|tgz|tar)", re.IGNORECASE),
    "backup": re.compile(r"[^/]+\.(?:tgz|tar|tar\.(?:gz|lzo|zst|bz2)|vma|vma\.(?:gz|lzo|zst))"),
    "snippets": re.compile(r"[^/]+"),
    "import": re.compile(r"[^/]+\.(?:ova|ovf|qcow2|raw|vmdk)"),
}


@dataclass(frozen=True)
class Kind:
    """A storage type: its required, fixed and further options, and what it may hold (the defaults first)."""

    required: tuple[str, ...]
    options: frozenset[str]
    contents: frozenset[str]
    default_content: str
    formats: tuple[str, ...]
    block: bool = False
    also: tuple[str, ...] = ()  # formats that it takes when asked for one, but never chooses


COMMON = frozenset({"nodes", "content", "disable", "bwlimit", "shared"})
FILES = COMMON | {
    "prune-backups", "max-protected-backups", "format", "mkdir", "create-base-path", "create-subdirs", "is_mountpoint",
    "content-dirs", "preallocation", "maxfiles", "snapshot-as-volume-chain",
}  # fmt: skip
EVERY_FILE = frozenset({"images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import"})
DISKS = frozenset({"images", "rootdir"})
KINDS: dict[str, Kind] = {
    "dir": Kind(("path",), FILES, EVERY_FILE, "images", ("raw", "qcow2", "vmdk", "subvol")),
    "btrfs": Kind(("path",), FILES | {"nocow"}, EVERY_FILE, "images", ("raw", "subvol"), also=("qcow2", "vmdk")),
    "nfs": Kind(("export", "server"), FILES | {"path", "options"}, EVERY_FILE, "images", ("raw", "qcow2", "vmdk")),
    "cifs": Kind(
        ("server", "share"),
        FILES | {"path", "subdir", "username", "domain", "smbversion", "options", "password"},
        EVERY_FILE,
        "images",
        ("raw", "qcow2", "vmdk"),
    ),
    "lvm": Kind(
        ("vgname",),
        COMMON | {"base", "saferemove", "tagged_only", "snapshot-as-volume-chain"},
        DISKS,
        "images",
        ("raw",),
        True,
    ),
    "lvmthin": Kind(("thinpool", "vgname"), COMMON, DISKS, "images,rootdir", ("raw",), True),
    "zfspool": Kind(
        ("pool",), COMMON | {"blocksize", "sparse", "mountpoint"}, DISKS, "images,rootdir", ("raw", "subvol"), True
    ),
}


@dataclass(frozen=True)
class Volume:
    """A parsed volume name. ``base`` is the volume that a linked clone stands on."""

    content: str
    name: str
    vmid: int | None = None
    base: str | None = None
    is_base: bool = False
    format: str = "raw"


@dataclass(frozen=True)
class Capacity:
    """Bytes; all zero when the storage is not active."""

    total: int = 0
    used: int = 0
    available: int = 0
    active: bool = False


@dataclass(frozen=True)
class Item:
    """Something that lies on a storage."""

    volid: str
    content: str
    format: str
    size: int
    vmid: int | None
    ctime: float
    name: str


FEATURES: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {
    "dir": {
        "snapshot": {"qcow2": ("current", "snap")},
        "copy": {"raw": ("base", "current"), "qcow2": ("base", "current", "snap"), "vmdk": ("base", "current")},
        "template": {"raw": ("current",), "qcow2": ("current",), "vmdk": ("current",), "subvol": ("current",)},
        "clone": {"raw": ("base",), "qcow2": ("base",), "vmdk": ("base",)},
        "rename": {"raw": ("current",), "qcow2": ("current",), "vmdk": ("current",)},
    },
    "btrfs": {
        "snapshot": dict.fromkeys(("raw", "subvol", "qcow2"), ("current", "snap")),
        "copy": dict.fromkeys(("raw", "subvol", "qcow2"), ("base", "current", "snap")),
        "template": dict.fromkeys(("raw", "subvol", "qcow2"), ("current",)),
        "clone": {"raw": ("base", "current", "snap"), "subvol": ("base",), "qcow2": ("base",)},
        "rename": dict.fromkeys(("raw", "subvol", "qcow2"), ("current",)),
    },
    "lvm": {"copy": {"raw": ("base", "current")}, "rename": {"raw": ("current",)}, "template": {"raw": ("current",)}},
    "lvmthin": {
        "snapshot": {"raw": ("current",)},
        "clone": {"raw": ("base", "snap")},
        "template": {"raw": ("current",)},
        "copy": {"raw": ("base", "current", "snap")},
        "rename": {"raw": ("current",)},
    },
    "zfspool": {
        "snapshot": {"raw": ("current", "snap"), "subvol": ("current", "snap")},
        "clone": {"raw": ("base",), "subvol": ("base",)},
        "template": {"raw": ("current",), "subvol": ("current",)},
        "copy": {"raw": ("base", "current", "snap"), "subvol": ("base", "current", "snap")},
        "rename": {"raw": ("current",), "subvol": ("current",)},
    },
}
