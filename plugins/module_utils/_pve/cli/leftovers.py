# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a killed creation leaves on the node, and how to tell that it is its own.

A note in the journal says what a run was about to do; everything here is evidence that it did, and nobody else. Where
the evidence is missing, the answer is no. Only the node itself can look; over the API nothing is left to look for,
since a task outlives whoever started it.
"""

from __future__ import annotations

import os
import re
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._pve import processes
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.commands import COMMAND, Commands
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.root import Root
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.storages import CliStorages
from ansible_collections.pve.provision.plugins.module_utils._pve.journal import Journal
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Notes
from ansible_collections.pve.provision.plugins.module_utils._pve.tasks import Upid
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind, Volume, Window

# The volumes that a creation makes; not those of templates, snapshots' memory or somebody's own naming.
_MADE = r"(?:vm|subvol)-{vmid}-(?:disk-\d+|cloudinit)(?:\.\w+)?"
# Storages whose creation time of a volume is just that. Elsewhere it is the time of the last write, or is not told.
_DATED = frozenset({"lvm", "lvmthin"})
_ZFS = "zfspool"


class CliLeftovers:
    """What killed creations left on the node."""

    def __init__(self, root: Root, commands: Commands, storages: CliStorages) -> None:
        self._root = root
        self._commands = commands
        self._storages = storages
        self.moves: Notes = Journal(root.path / "var/lib/pve-provision/moves")

    # -- whose is it -----------------------------------------------------------------------------------------------
    def tasks(self, vmid: int, since: float) -> list[Upid]:
        """PVE's tasks on a guest that had not ended then, by their log files: those that were killed have one too."""
        logs = (self._root.path / "var/log/pve/tasks").glob(f"[0-9A-F]/UPID:*:{vmid}:*")
        upids = (Upid.parse(path.name) for path in logs if (_written(path) or 0) >= since)
        return [upid for upid in upids if upid.id == str(vmid)]

    def written(self, kind: Kind, vmid: int) -> float | None:
        """When a guest's config was written last."""
        return _written(self._root.path / self._root.config_path(kind, vmid))

    def only_made(self, vmid: int, task: str, window: Window) -> bool:
        """Whether nothing was done to a guest since then but one creation, started in time."""
        found = self.tasks(vmid, window.since)
        return len(found) <= 1 and all(upid.type == task and upid.started in window for upid in found)

    def _was_begun(self, vmid: int, task: str, window: Window) -> bool:
        """Whether PVE began such a creation in that time. The task of a clone names the guest that is cloned."""
        number = "*" if task.endswith("clone") else vmid
        logs = (self._root.path / "var/log/pve/tasks").glob(f"[0-9A-F]/UPID:*:{task}:{number}:*")
        return any(Upid.parse(path.name).started in window for path in logs)

    # -- volumes ---------------------------------------------------------------------------------------------------
    def orphans(self, vmid: int, storages: t.Iterable[str], task: str, window: Window) -> tuple[list[str], list[str]]:
        """The volumes with this vmid that no guest of the cluster names: those that such a task made in that time, and
        all others."""
        begun = self._was_begun(vmid, task, window)
        ours: list[str] = []
        others: list[str] = []
        texts: list[str] | None = None
        for storage in storages:
            for volume in self._storages.volumes(storage):
                if volume.vmid != vmid or volume.content not in {"images", "rootdir"}:
                    continue
                name = volume.volid.rpartition("/")[2].rpartition(":")[2]
                texts = list(self._root.guest_configs()) if texts is None else texts
                if _is_named(name, texts):
                    continue
                made = begun and re.fullmatch(_MADE.format(vmid=vmid), name) and self._born(storage, volume) in window
                (ours if made else others).append(volume.volid)
        return ours, others

    def _born(self, storage: str, volume: Volume) -> int | None:
        """When a volume was made, where that can be known."""
        kind = self._storages.type_of(storage)
        if kind in _DATED:
            return volume.ctime
        if kind == _ZFS:
            pool, name = self._root.storage(storage).section.options["pool"], volume.volid.partition(":")[2]
            ask = ["zfs", "get", "-Hp", "-o", "value", "creation", f"{pool}/{name.rpartition('/')[2]}"]
        else:
            path = self._storages.volume_path(volume.volid)
            if not os.path.isfile(path) and not os.path.isdir(path):  # a volume's device is as old as the last boot
                return None
            ask = ["stat", "--format=%W", path]
        told = self._commands.run(ask).stdout.strip()
        return int(told) or None if told.isdigit() else None

    def moving(self, vmid: int) -> bool:
        return processes.is_moving(vmid, self._root.path)

    def is_open(self, vmid: int, volid: str) -> bool:
        """By the files that its process has open: the copy of a running VM's disk is QEMU's own work, which goes on
        when the command is killed; it may even be the disk by now."""
        process = self._text(f"run/qemu-server/{vmid}.pid").strip()
        files = list((self._root.path / "proc" / process / "fd").glob("*")) if process.isdecimal() else []
        return bool(files) and os.path.realpath(self._storages.volume_path(volid)) in map(os.path.realpath, files)

    # -- locks and mounts ------------------------------------------------------------------------------------------
    def unlock(self, kind: Kind, vmid: int) -> None:
        """Remove the lock that a killed command left in a guest's config."""
        self._commands.write([COMMAND[kind], "unlock", str(vmid)])

    def release(self, vmid: int) -> None:
        """Unmount a container's file systems that an unpacking or a mount left on the node, and detach their devices.

        PVE does neither when the container is destroyed: the deleted image would keep its space until a reboot.
        """
        place = f"/var/lib/lxc/{vmid}/rootfs"
        mounts = [line.split(" ") for line in self._text("proc/mounts").splitlines()]
        below = [(target, source) for source, target, *_rest in mounts if f"{target}/".startswith(f"{place}/")]
        for target, _source in reversed(below):
            self._commands.run(["umount", str(self._root.path / target.lstrip("/"))])
        devices = {source for _target, source in below if source.startswith("/dev/loop")}
        for device in sorted(devices | self._loops(vmid)):
            if self._backing(device.rpartition("/")[2]):
                self._commands.run(["losetup", "--detach", device])

    def _loops(self, vmid: int) -> set[str]:
        """The loop devices over the images of a guest."""
        devices = (path.name for path in (self._root.path / "sys/block").glob("loop*"))
        pattern = re.compile(_MADE.format(vmid=vmid))
        return {f"/dev/{name}" for name in devices if pattern.fullmatch(Path(self._backing(name)).name)}

    def _backing(self, device: str) -> str:
        """The file that a loop device is over, nothing when it is free."""
        return self._text(f"sys/block/{device}/loop/backing_file").strip().removesuffix(" (deleted)")

    def _text(self, path: str) -> str:
        try:
            return (self._root.path / path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def _is_named(name: str, texts: t.Iterable[str]) -> bool:
    """Whether a text names a volume, on whatever storage: two entries may stand for the same place."""
    pattern = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])")
    return any(pattern.search(text) for text in texts)


def _written(path: Path) -> float | None:
    """When a file was written last; None when it is not there, or no longer."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None
