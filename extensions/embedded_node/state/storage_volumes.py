# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One storage and the volumes on it: made, resized, copied, kept as snapshots and removed."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from pathlib import Path

from ..errors import ApiError
from . import trees
from .root import PRIVATE
from .storage_paths import StoragePaths
from .storage_types import ARCHIVE
from .volume_files import QCOW2, copy_tree, set_virtual_size


class Storage(StoragePaths):
    """One storage of ``storage.cfg``."""

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
        """Make a volume; returns its name and what the tool that made it printed."""
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
                try:
                    out.truncate(size)
                except (OSError, OverflowError) as error:  # larger than what this machine's file system takes
                    raise ApiError(f"unable to create image: {error}") from error

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

    def send(self, volume: str, target: Storage) -> None:
        """Copy a volume to the storage of this name of another node."""
        source, copy = self.path(volume), target.activate().path(volume)
        if copy.exists():
            raise ApiError(f"volume '{self.volid(volume)}' already exists")
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            copy_tree(source, copy)
            target._set_quota(volume, self._quota(volume))
            return
        subprocess.run(["cp", "--sparse=always", "--preserve=timestamps", str(source), str(copy)], check=True)
        if self.tree(volume).is_dir():
            copy_tree(self.tree(volume), target.tree(volume))

    def remove(self, volume: str) -> str:
        """Remove a volume; returns what is printed when it was not there."""
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
        shutil.rmtree(self.hide(volume), ignore_errors=True)
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

    def resize(self, volume: str, size: int) -> None:
        """Give a volume a new size."""
        path = self.require(volume)
        if path.is_file():
            set_virtual_size(path, size)
        else:
            self._set_quota(volume, size)

    def grow(self, volume: str) -> None:
        """Grow the file system of a container's volume to the volume's size."""
        trees.trees(self.state).grow(self.path(volume), self._tree_folder(volume))

    def _set_quota(self, volume: str, size: int) -> None:
        if size:
            self.state.write(self._quota_file(volume), str(size))

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
        """Turn a volume into a base volume (``vm-...`` -> ``base-...``); returns its new name."""
        parsed = self.parse(volume)
        if parsed.is_base:
            return volume
        renamed = re.sub(r"^(vm|subvol)-", lambda found: "basevol-" if found[1] == "subvol" else "base-", parsed.name)
        target = renamed if self.kind.block else f"{parsed.vmid}/{renamed}"
        tree = self.hide(volume)
        path, new_path = self.path(volume), self.path(target)
        if self.keeps_subvolumes("raw") and parsed.format == "raw":
            path, new_path = path.parent, new_path.parent
        path.rename(new_path)
        self._set_quota(target, self._quota(volume))
        if tree.exists() and tree != path:
            tree.rename(self._tree_folder(target))
        return target

    def clone(self, volume: str, vmid: int, snapshot: str | None = None) -> str:
        """A linked clone of a base volume or snapshot."""
        parsed = self.parse(volume)
        same = self.kind.block or self.keeps_subvolumes(parsed.format)
        form = parsed.format if same else "qcow2"  # only that format can stand on another file
        target, _said = self.allocate(vmid, form, self.free_name(vmid, form), self.size(volume))
        shutil.rmtree(self._tree_folder(target), ignore_errors=True)
        if self._tree_folder(volume).is_dir():
            trees.trees(self.state).format(self.path(target), self._tree_folder(target))
        copy_tree(self.snapshot_tree(volume, snapshot), self.tree(target))
        if snapshot or self.type in ("btrfs", "lvmthin"):  # these do not tell what a clone stands on
            return target
        bases = self.state.read_json(f"{PRIVATE}/bases.json", {})
        bases[self.volid(target)] = self.volid(volume)
        self.state.write(f"{PRIVATE}/bases.json", json.dumps(bases))
        return f"{volume}/{target}"
