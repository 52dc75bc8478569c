# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storages: ``storage.cfg`` and what lies on each kind of them, as real files.

A raw disk is a sparse file of the right size. The files of a container's volume are kept as a directory beside it (its
``tree``), because no user may mount; a subvolume is its own tree. Sizes are bytes unless a name says otherwise.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ApiError
from .root import PRIVATE, State

CONFIG = "etc/pve/storage.cfg"
NEW_DISK = re.compile(r"([^:\s]+):(\d+(?:\.\d+)?)")
VOLUME_ID = re.compile(r"([A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9]):(.+)", re.DOTALL)
ARCHIVE = re.compile(r"\.(?:tar|tgz|tar\.(?:gz|xz|zst|bz2|lzo)|vma(?:\.(?:gz|zst|lzo))?)$")
DISK_NAME = re.compile(r"(vm|base|subvol|basevol)-(\d+)-[\w-]+")
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


@dataclass
class Storage:
    """One storage of ``storage.cfg``."""

    state: State
    name: str
    type: str
    options: dict[str, str] = field(default_factory=dict)

    # -- what it is ------------------------------------------------------------------------------------------------
    @property
    def kind(self) -> Kind:
        """What its type can do; types that the node does not know behave as directories."""
        return KINDS.get(self.type, KINDS["dir"])

    @property
    def contents(self) -> list[str]:
        """What it may hold, in the order of the config."""
        return [item for item in self.options.get("content", self.kind.default_content).split(",") if item != "none"]

    @property
    def enabled(self) -> bool:
        """Not disabled, and meant for this node."""
        nodes = self.options.get("nodes")
        return "disable" not in self.options and (not nodes or self.state.name in nodes.split(","))

    @property
    def shared(self) -> bool:
        """Whether other nodes see the same volumes."""
        return self.type in ("nfs", "cifs") or self.options.get("shared") == "1"

    @property
    def base(self) -> Path:
        """Where its files are on this machine."""
        if self.kind.block:
            group = self.options.get("vgname") or self.options.get("pool", self.name)
            return self.state.path("dev") / group
        path = Path(self.options.get("path", f"/mnt/pve/{self.name}"))
        return path if path.is_relative_to(self.state.root) else self.state.path(str(path))

    def keeps_subvolumes(self, form: str) -> bool:
        """Whether volumes of this format are subvolumes, as btrfs has them."""
        return self.type == "btrfs" and form in ("raw", "subvol")

    def check_enabled(self) -> Storage:
        """Die when it is disabled or not for this node."""
        if "disable" in self.options:
            raise ApiError(f"storage '{self.name}' is disabled")
        if not self.enabled:
            raise ApiError(f"storage '{self.name}' is not available on node '{self.state.name}'")
        return self

    def activate(self) -> Storage:
        """Make its folders, as PVE does when it first uses a storage."""
        if self.type in ("nfs", "cifs") and not self.base.is_dir():
            raise ApiError(f"storage '{self.name}' is not online", exit_code=errno.ENOENT)
        if not self.kind.block and "none" in self.options.get("content", "").split(","):
            raise ApiError("unknown vtype 'none'")
        if not self.kind.block and self.options.get("create-base-path", self.options.get("mkdir", "1")) == "0":
            if not self.base.is_dir():
                why = f"directory '{self.base}' does not exist or is unreachable"
                raise ApiError(f"unable to activate storage '{self.name}' - {why}")
            return self
        mount = self.options.get("is_mountpoint", "0")
        if mount not in ("0", "no", "off", "false"):
            place = mount if mount.startswith("/") else self.options.get("path", "")
            raise ApiError(
                f"unable to activate storage '{self.name}' - "
                f"directory is expected to be a mount point but is not mounted: '{place}'"
            )
        self.base.mkdir(parents=True, exist_ok=True)
        if not self.kind.block:
            for content in self.contents:
                (self.base / CONTENT_FOLDERS.get(content, "images")).mkdir(parents=True, exist_ok=True)
        return self

    # -- names -----------------------------------------------------------------------------------------------------
    def parse(self, volume: str) -> Volume:
        """A volume name's meaning; dies with PVE's words when it has none."""
        if self.kind.block:
            return self._parse_block(volume)
        folder, _sep, name = volume.partition("/")
        if folder in NAME_PATTERNS and NAME_PATTERNS[folder].fullmatch(name):
            owner = re.match(r"vzdump-(?:openvz|lxc|qemu)-(\d+)-", name) if folder == "backup" else None
            form = name.rsplit(".", 1)[-1] if folder == "import" else "raw"
            return Volume(folder, name, int(owner[1]) if owner else None, format=form)
        linked = re.fullmatch(r"(\d+/[^/\s]+)/(\d+)/([^/\s]+)", volume)
        plain = re.fullmatch(r"(\d+)/([^/\s]+)", volume)
        if not linked and not plain:
            raise ApiError(f"unable to parse directory volume name '{volume}'")
        vmid, name = (linked[2], linked[3]) if linked else t.cast(re.Match[str], plain).group(1, 2)
        stem, _sep, extension = name.rpartition(".")
        if extension not in ("raw", "qcow2", "vmdk", "subvol") or not stem:
            raise ApiError(f"unable to parse volume filename '{name}'")
        is_base = name.startswith(("base-", "basevol-"))
        return Volume("images", name, int(vmid), linked[1] if linked else None, is_base, extension)

    def _parse_block(self, volume: str) -> Volume:
        linked = re.fullmatch(r"((?:base|basevol)-\d+-[^/\s]+)/(\S+)", volume)
        name = linked[2] if linked else volume
        found = re.fullmatch(r"(vm|base|subvol|basevol)-(\d+)-\S+", name)
        if not found:
            what = "zfs" if self.type == "zfspool" else "lvm"
            raise ApiError(f"unable to parse {what} volume name '{volume}'")
        form = "subvol" if found[1] in ("subvol", "basevol") else "raw"
        return Volume("images", name, int(found[2]), linked[1] if linked else None, found[1].startswith("base"), form)

    def path(self, volume: str) -> Path:
        """Where a volume is. Nothing checks that it is there."""
        parsed = self.parse(volume)
        if parsed.content != "images":
            return self.base / CONTENT_FOLDERS[parsed.content] / parsed.name
        if self.kind.block:
            return self.base / parsed.name
        folder = self.base / "images" / str(parsed.vmid)
        if self.keeps_subvolumes(parsed.format):
            stem = parsed.name.rpartition(".")[0]
            return folder / stem if parsed.format == "subvol" else folder / stem / "disk.raw"
        return folder / parsed.name

    def tree(self, volume: str) -> Path:
        """The directory that holds the files of a container's volume."""
        parsed = self.parse(volume)
        if parsed.format == "subvol":
            return self.path(volume)
        return self.state.path(f"{PRIVATE}/trees") / self.name / str(parsed.vmid) / parsed.name

    def volid(self, volume: str) -> str:
        """The volume's name with the storage's."""
        return f"{self.name}:{volume}"

    # -- volumes ---------------------------------------------------------------------------------------------------
    def attributes(self, volume: str, whole: bool = False) -> dict[str, t.Any]:
        """What is noted of a backup: its notes (their first line, unless ``whole``) and that it is protected."""
        path = self.path(volume)
        notes = path.with_name(f"{path.name}.notes")
        found: dict[str, t.Any] = {}
        if notes.exists():
            text = notes.read_text(encoding="utf-8", errors="replace")
            found["notes"] = text if whole else text.partition("\n")[0]
        if path.with_name(f"{path.name}.protected").exists():
            found["protected"] = 1
        return found

    def exists(self, volume: str) -> bool:
        """Whether the volume is there."""
        return self.path(volume).exists()

    def require(self, volume: str) -> Path:
        """The volume's path; dies when it is not there."""
        path = self.path(volume)
        if not path.exists():
            if self.kind.block:
                raise ApiError(f"no such logical volume {self.base.name}/{path.name}", exit_code=5)
            raise ApiError(f"volume '{self.volid(volume)}' does not exist", exit_code=errno.ENOENT)
        return path

    def free_name(self, vmid: int, form: str) -> str:
        """The next free disk name of a guest, ``vm-101-disk-0.raw`` on a directory, without extension elsewhere."""
        prefix = "subvol" if form == "subvol" else "vm"
        taken = {
            found[1]
            for item in self.images(vmid)
            if (found := re.search(r"(?:vm|base|subvol|basevol)-\d+-disk-(\d+)", item.name))
        }
        number = next(index for index in range(10000) if str(index) not in taken)
        return f"{prefix}-{vmid}-disk-{number}" + ("" if self.kind.block else f".{form}")

    def allocate(self, vmid: int, form: str, name: str | None, size: int) -> tuple[str, str]:
        """Make a volume; answers its name and what the tool that made it printed."""
        if form not in self.kind.formats + self.kind.also:
            raise ApiError(f"unsupported format '{form}'")
        volume_name = name or self.free_name(vmid, form)
        if self.kind.block:
            if not re.match(rf"(?:vm|base|subvol|basevol)-{vmid}-", volume_name):
                raise ApiError(f"illegal name '{volume_name}' - should be 'vm-{vmid}-*'")
            volume = volume_name
        else:
            extension = self.parse(f"{vmid}/{volume_name}").format
            if extension != form:
                raise ApiError(f"illegal name '{volume_name}' - wrong extension for format ('{extension} != '{form}')")
            volume = f"{vmid}/{volume_name}"
        path = self.path(volume)
        if path.exists():
            group = self.base.name
            why = f'Logical Volume "{volume}" already exists in volume group "{group}"'
            taken = (
                f"lvcreate '{group}/{volume}' error:   {why}"
                if self.kind.block
                else f"disk image '{path}' already exists"
            )
            raise ApiError(taken, exit_code=25)
        if form == "subvol" and size and self.type == "dir":
            raise ApiError("storage does not support subvol quotas")
        path.parent.mkdir(parents=True, exist_ok=True)
        if form == "subvol":
            path.mkdir()
            self._set_quota(volume, size)
        else:
            self._write_empty(path, form, size)
        return volume, self._said(path, form, size)

    @staticmethod
    def _write_empty(path: Path, form: str, size: int) -> None:
        with path.open("wb") as out:
            if form == "qcow2":
                out.write(
                    QCOW2 + (3).to_bytes(4, "big") + bytes(12) + (16).to_bytes(4, "big") + size.to_bytes(8, "big")
                )
                out.truncate(196616)
            else:
                out.truncate(size)

    def _said(self, path: Path, form: str, size: int) -> str:
        if form == "subvol" or self.type == "zfspool" or self.keeps_subvolumes(form):
            return ""
        if self.kind.block:
            return f'  Logical volume "{path.name}" created.\n'
        extra = {
            "raw": f"size={size} preallocation=off",
            "qcow2": "cluster_size=65536 extended_l2=off preallocation=metadata compression_type=zlib "
            f"size={size} lazy_refcounts=off refcount_bits=16",
            "vmdk": f"size={size} compat6=off hwversion=undefined",
        }[form]
        return f"Formatting '{path}', fmt={form} {extra}\n"

    def remove(self, volume: str) -> str:
        """Remove a volume; answers what is printed when it was not there."""
        parsed = self.parse(volume)
        path = self.path(volume)
        if parsed.content != "images":
            if path.with_name(f"{path.name}.protected").exists():
                raise ApiError(f"cannot remove protected volume '{volume}' on '{self.name}'")
            if not path.exists():
                return f"disk image '{path}' does not exist\n"
            path.unlink()
            if parsed.content == "backup":
                for beside in (f"{path.name}.notes", re.sub(ARCHIVE, ".log", path.name)):
                    path.with_name(beside).unlink(missing_ok=True)
            return ""
        if parsed.is_base and self.clones_of(volume):
            raise ApiError(f"base volume '{volume}' is still in use by linked clones")
        shutil.rmtree(self.tree(volume), ignore_errors=True)
        for snapshot in self._snapshot_folder(volume).glob("*"):
            shutil.rmtree(snapshot, ignore_errors=True)
        if parsed.format == "subvol":
            self.state.path(self._quota_file(volume)).unlink(missing_ok=True)
            return ""
        if not path.is_file():
            return f"disk image '{path}' does not exist\n" if not self.kind.block else ""
        path.unlink()
        for folder in (path.parent, path.parent.parent):
            if folder.name.isdigit() or self.keeps_subvolumes(parsed.format):
                with contextlib.suppress(OSError):
                    folder.rmdir()
        return (
            f'  Logical volume "{path.name}" successfully removed.\n'
            if self.kind.block and self.type != "zfspool"
            else ""
        )

    def clones_of(self, volume: str) -> list[str]:
        """The linked clones that stand on a base volume."""
        bases = self.state.read_json(f"{PRIVATE}/bases.json", {})
        return [
            name for name, base in bases.items() if base == self.volid(volume) and self.exists(name.partition(":")[2])
        ]

    def images(self, vmid: int | None = None) -> list[Item]:
        """The guest disks on it."""
        found: list[Item] = []
        pattern = str(vmid) if vmid is not None else "[1-9]*"
        folders = [self.base] if self.kind.block else sorted((self.base / "images").glob(pattern))
        for folder in folders:
            for path in sorted(folder.glob("*")):
                with contextlib.suppress(FileNotFoundError):  # another command removed it meanwhile
                    item = self._image(folder, path)
                    if item and vmid in (None, item.vmid):
                        found.append(item)
        return found

    def _image(self, folder: Path, path: Path) -> Item | None:
        name = path.name
        if self.type == "btrfs" and path.is_dir():
            name = f"{name}.subvol" if name.startswith(("subvol", "basevol")) else f"{name}.raw"
        volume = name if self.kind.block else f"{folder.name}/{name}"
        bases = self.state.read_json(f"{PRIVATE}/bases.json", {})
        base = str(bases.get(self.volid(volume), "")).partition(":")[2]
        volume = f"{base}/{volume}" if base else volume
        try:
            parsed = self.parse(volume)
        except ApiError:
            return None
        size = self._quota(volume) if parsed.format == "subvol" else virtual_size(self.path(volume))
        return Item(self.volid(volume), "images", parsed.format, size, parsed.vmid, path.stat().st_ctime, parsed.name)

    def files(self, content: str) -> list[Item]:
        """The templates, ISO images, backups, snippets or images to import on it."""
        if self.kind.block:
            return []
        found: list[Item] = []
        for path in sorted((self.base / CONTENT_FOLDERS[content]).glob("*")):
            known = _stat(path)
            if known and path.is_file() and NAME_PATTERNS[content].fullmatch(path.name):
                volume = f"{content}/{path.name}"
                form = _file_format(content, path.name)
                owner = self.parse(volume).vmid
                found.append(Item(self.volid(volume), content, form, known.st_size, owner, known.st_ctime, path.name))
        return found

    def size(self, volume: str) -> int:
        """A volume's size as its guest sees it; a subvolume's is its quota, 0 for none."""
        path = self.require(volume)
        return self._quota(volume) if path.is_dir() else virtual_size(path)

    def resize(self, volume: str, size: int) -> None:
        """Give a volume a new size."""
        path = self.require(volume)
        if path.is_file():
            set_virtual_size(path, size)
        else:
            self._set_quota(volume, size)

    def _quota_file(self, volume: str) -> str:
        return f"{PRIVATE}/quota/{self.name}/{self.parse(volume).name}"

    def _quota(self, volume: str) -> int:
        return int(self.state.read(self._quota_file(volume)) or 0)

    def _set_quota(self, volume: str, size: int) -> None:
        if size:
            self.state.write(self._quota_file(volume), str(size))

    # -- snapshots, templates, clones ------------------------------------------------------------------------------
    def has_feature(self, feature: str, volume: str, snapshot: str | None = None) -> bool:
        """What a container's volume on it can do: ``snapshot``, ``clone`` (linked), ``copy``, ..."""
        parsed = self.parse(volume)
        state = "snap" if snapshot else "base" if parsed.is_base else "current"
        return state in FEATURES.get(self.type, FEATURES["dir"]).get(feature, {}).get(parsed.format, ())

    def _snapshot_folder(self, volume: str) -> Path:
        parsed = self.parse(volume)
        return self.state.path(f"{PRIVATE}/snapshots") / self.name / str(parsed.vmid) / parsed.name

    def snapshot(self, volume: str, name: str) -> None:
        """Keep a copy of a volume's files."""
        copy_tree(self.tree(volume), self._snapshot_folder(volume) / name)

    def rollback(self, volume: str, name: str) -> None:
        """Take a volume's files back to a snapshot."""
        shutil.rmtree(self.tree(volume), ignore_errors=True)
        copy_tree(self._snapshot_folder(volume) / name, self.tree(volume))

    def delete_snapshot(self, volume: str, name: str) -> None:
        """Forget a snapshot."""
        shutil.rmtree(self._snapshot_folder(volume) / name, ignore_errors=True)

    def snapshot_tree(self, volume: str, name: str | None) -> Path:
        """The files of a volume now, or at a snapshot."""
        return self._snapshot_folder(volume) / name if name else self.tree(volume)

    def make_base(self, volume: str) -> str:
        """Turn a volume into a base volume (``vm-...`` -> ``base-...``); answers its new name."""
        parsed = self.parse(volume)
        if parsed.is_base:
            return volume
        renamed = re.sub(r"^(vm|subvol)-", lambda found: "basevol-" if found[1] == "subvol" else "base-", parsed.name)
        target = renamed if self.kind.block else f"{parsed.vmid}/{renamed}"
        tree = self.tree(volume)
        path, new_path = self.path(volume), self.path(target)
        if self.keeps_subvolumes("raw") and parsed.format == "raw":
            path, new_path = path.parent, new_path.parent
        path.rename(new_path)
        self._set_quota(target, self._quota(volume))
        if tree.exists() and tree != path:
            tree.rename(self.tree(target))
        return target

    def clone(self, volume: str, vmid: int, snapshot: str | None = None) -> str:
        """A linked clone of a base volume or snapshot."""
        parsed = self.parse(volume)
        same = self.kind.block or self.keeps_subvolumes(parsed.format)
        form = parsed.format if same else "qcow2"  # only that format can stand on another file
        target, _said = self.allocate(vmid, form, self.free_name(vmid, form), self.size(volume))
        shutil.rmtree(self.tree(target), ignore_errors=True)
        copy_tree(self.snapshot_tree(volume, snapshot), self.tree(target))
        if snapshot or self.type in ("btrfs", "lvmthin"):  # these do not tell what a clone stands on
            return target
        bases = self.state.read_json(f"{PRIVATE}/bases.json", {})
        bases[self.volid(target)] = self.volid(volume)
        self.state.write(f"{PRIVATE}/bases.json", json.dumps(bases))
        return f"{volume}/{target}"

    # -- capacity --------------------------------------------------------------------------------------------------
    def status(self) -> Capacity:
        """Its capacity; the setting ``capacity`` (storage -> total and used) goes before what the disk says."""
        configured = self.state.settings()["capacity"].get(self.name, {})
        full = self.state.read_json(f"{PRIVATE}/full.json", [])
        try:
            self.activate()
        except ApiError:
            return Capacity()
        if self.kind.block:
            total = int(configured.get("total", 64 * 1024**3))
            files = [_stat(path) for path in self.base.glob("*") if path.is_file()]
            taken = sum(file.st_size if self.type == "lvm" else file.st_blocks * 512 for file in files if file)
            used = int(configured.get("used", taken))
        else:
            usage = shutil.disk_usage(self.base)
            total = int(configured.get("total", usage.total))
            used = int(configured.get("used", usage.used if "total" not in configured else total // 10))
        available = 0 if self.name in full else max(total - used, 0)
        if not configured and not self.kind.block and self.name not in full:
            available = usage.free
        return Capacity(total, total if self.name in full else used, available, True)


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

QCOW2 = b"QFI\xfb"


def _stat(path: Path) -> os.stat_result | None:
    """A file's status; None for one that another command removed meanwhile."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def virtual_size(path: Path) -> int:
    """A disk file's size as a guest sees it: a qcow2 header names it, anything else is its length."""
    if not path.is_file():
        return 0
    with path.open("rb") as disk:
        head = disk.read(32)
    return int.from_bytes(head[24:32], "big") if head[:4] == QCOW2 else path.stat().st_size


def set_virtual_size(path: Path, size: int) -> None:
    """Change what :func:`virtual_size` tells."""
    with path.open("r+b") as disk:
        if disk.read(4) == QCOW2:
            disk.seek(24)
            disk.write(size.to_bytes(8, "big"))
        else:
            disk.truncate(size)


def copy_tree(source: Path, target: Path) -> None:
    """Copy files, links and times; a missing source is an empty one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        target.mkdir(parents=True, exist_ok=True)


def _file_format(content: str, name: str) -> str:
    if content == "vztmpl":
        compression = name.rsplit(".", 1)[-1].lower()
        return {"gz": "tgz", "tgz": "tgz", "xz": "txz", "zst": "tzst", "bz2": "tbz2"}.get(compression, "tar")
    if content == "backup":
        found = re.search(r"\.((?:tar|vma)(?:\.\w+)?|tgz)$", name)
        return found[1] if found else "raw"
    return {"iso": "iso", "snippets": "snippet"}.get(content, name.rsplit(".", 1)[-1])


# -- storage.cfg -------------------------------------------------------------------------------------------------------

FLAGS = frozenset({"disable"})


def load(state: State) -> dict[str, Storage]:
    """All storages by name. A node without a config has ``local``."""
    found: dict[str, Storage] = {}
    current: Storage | None = None
    for line in state.read(CONFIG).splitlines():
        head = re.fullmatch(r"(\w+):\s*(\S+)\s*", line)
        if head:
            current = found.setdefault(head[2], Storage(state, head[2], head[1]))
        elif line.strip() and not line.startswith("#") and current is not None:
            key, _sep, value = line.strip().partition(" ")
            current.options[key] = value.strip() or "1"
    if "local" not in found:
        everything = {"path": "/var/lib/vz", "content": "backup,images,iso,rootdir,snippets,vztmpl"}
        found = {"local": Storage(state, "local", "dir", everything), **found}
    for store in found.values():
        store.options.setdefault("content", store.kind.default_content)
    return found


def save(state: State, storages: dict[str, Storage]) -> None:
    """Write the config as PVE does: the flag ``disable``, what the type requires, then the rest by name."""
    text = ""
    for storage in storages.values():
        required = storage.kind.required
        keys = sorted(storage.options, key=lambda key: (key not in FLAGS, key not in required, key))
        lines = [f"\t{key}" if key in FLAGS else f"\t{key} {storage.options[key]}" for key in keys]
        text += "\n".join([f"{storage.type}: {storage.name}", *lines]) + "\n\n"
    state.write(CONFIG, text)


def digest(state: State) -> str:
    """The config's digest."""
    path = state.path(CONFIG)
    return hashlib.sha1(path.read_bytes() if path.exists() else b"", usedforsecurity=False).hexdigest()


def get(state: State, name: str) -> Storage:
    """One storage; dies when there is none of that name."""
    storages = load(state)
    if name not in storages:
        raise ApiError(f"storage '{name}' does not exist")
    return storages[name]


def split_volid(volid: str) -> tuple[str, str] | None:
    """Storage and volume name, None when it is no volume id."""
    found = VOLUME_ID.fullmatch(volid)
    return (found[1], found[2]) if found else None


def locate(state: State, volid: str) -> tuple[Storage, str]:
    """The storage of a volume id and the volume's name there; dies when either cannot be."""
    parts = split_volid(volid)
    if parts is None:
        raise ApiError(f"unable to parse volume ID '{volid}'")
    return get(state, parts[0]), parts[1]


def absolute_path(state: State, volume: str) -> Path:
    """The file of a volume id or of a path on the node; dies when it is not there."""
    if split_volid(volume):
        storage, name = locate(state, volume)
        path = storage.check_enabled().activate().require(name)
    else:
        path = Path(volume) if Path(volume).is_file() else state.path(os.path.abspath(volume))
    if not path.is_file() or not volume:
        raise ApiError(f"can't find file '{volume}'", exit_code=errno.ENOENT)
    return path


def check_hookscript(state: State, volid: str) -> None:
    """Die unless it is an executable snippet."""
    storage, volume = locate(state, volid)
    if storage.parse(volume).content != "snippets":
        raise ApiError(f"'{volid}' is not in the snippets directory")
    path = storage.path(volume)
    if not path.is_file():
        raise ApiError(f"script '{volid}' does not exist", exit_code=errno.ENOENT)
    if not path.stat().st_mode & 0o111:
        raise ApiError(f"script '{volid}' is not executable")
