# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One storage: what it is, and where its volumes lie as files."""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ApiError
from . import trees
from .root import PRIVATE, State
from .storage_types import CONTENT_FOLDERS, FEATURES, KINDS, NAME_PATTERNS, Capacity, Item, Kind, Volume
from .volume_files import file_format, stat, virtual_size


@dataclass
class StoragePaths:
    """A storage as storage.cfg has it, and the files of its volumes."""

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

    def check_enabled(self) -> t.Self:
        """Die when it is disabled or not for this node."""
        if "disable" in self.options:
            raise ApiError(f"storage '{self.name}' is disabled")
        if not self.enabled:
            raise ApiError(f"storage '{self.name}' is not available on node '{self.state.name}'")
        return self

    def activate(self) -> t.Self:
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
        """The directory that shows the files of a container's volume."""
        tree = self._tree_folder(volume)
        trees.trees(self.state).show(self.path(volume), tree)
        return tree

    def hide(self, volume: str) -> Path:
        """Stop showing a volume's files before it is renamed or removed; returns where they were shown."""
        tree = self._tree_folder(volume)
        trees.trees(self.state).hide(tree)
        return tree

    def _tree_folder(self, volume: str) -> Path:
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
            known = stat(path)
            if known and path.is_file() and NAME_PATTERNS[content].fullmatch(path.name):
                volume = f"{content}/{path.name}"
                form = file_format(content, path.name)
                owner = self.parse(volume).vmid
                found.append(Item(self.volid(volume), content, form, known.st_size, owner, known.st_ctime, path.name))
        return found

    def size(self, volume: str) -> int:
        """A volume's size as its guest sees it; a subvolume's is its quota, 0 for none."""
        path = self.require(volume)
        return self._quota(volume) if path.is_dir() else virtual_size(path)

    def _quota_file(self, volume: str) -> str:
        return f"{PRIVATE}/quota/{self.name}/{self.parse(volume).name}"

    def _quota(self, volume: str) -> int:
        return int(self.state.read(self._quota_file(volume)) or 0)

    # -- snapshots, templates, clones ------------------------------------------------------------------------------
    def has_feature(self, feature: str, volume: str, snapshot: str | None = None) -> bool:
        """What a container's volume on it can do: ``snapshot``, ``clone`` (linked), ``copy``, ..."""
        parsed = self.parse(volume)
        state = "snap" if snapshot else "base" if parsed.is_base else "current"
        return state in FEATURES.get(self.type, FEATURES["dir"]).get(feature, {}).get(parsed.format, ())

    def _snapshot_folder(self, volume: str) -> Path:
        parsed = self.parse(volume)
        return self.state.path(f"{PRIVATE}/snapshots") / self.name / str(parsed.vmid) / parsed.name

    # -- capacity --------------------------------------------------------------------------------------------------
    def status(self) -> Capacity:
        """Its capacity; the setting ``capacity`` (storage -> total and used) takes precedence over the disk's own."""
        configured = self.state.settings()["capacity"].get(self.name, {})
        full = self.state.read_json(f"{PRIVATE}/full.json", [])
        try:
            self.activate()
        except ApiError:
            return Capacity()
        if self.kind.block:
            total = int(configured.get("total", 64 * 1024**3))
            files = [stat(path) for path in self.base.glob("*") if path.is_file()]
            taken = sum(file.st_size if self.type == "lvm" else file.st_blocks * 512 for file in files if file)
            used = int(configured.get("used", taken))
        else:
            usage = shutil.disk_usage(self.base)
            # The rest of the disk that the node lies on is not its own: a tenth is in use, and what is free is free.
            total = int(configured.get("total", usage.free * 10 // 9))
            used = int(configured.get("used", total // 10))
        available = 0 if self.name in full else max(total - used, 0)
        if not configured and not self.kind.block and self.name not in full:
            available = usage.free
        return Capacity(total, total if self.name in full else used, available, True)
