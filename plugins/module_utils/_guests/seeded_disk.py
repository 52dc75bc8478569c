# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the disk of a new VM that is imported from a copy of an image, made for this VM alone.

The copy holds what the first boot reads. It is prepared on the machine this runs on; over the API it is uploaded to a
storage for imports. It may hold secrets, and is gone when the run ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._engine.creation import Create
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Destroy, Shutdown
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, ImageError
from ansible_collections.pve.provision.plugins.module_utils._guests.sweep import sweep
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.disks import FITTING
from ansible_collections.pve.provision.plugins.module_utils._io.qcow2 import write_qcow2
from ansible_collections.pve.provision.plugins.module_utils._openwrt.disk_image import unpack_image
from ansible_collections.pve.provision.plugins.module_utils._pve.cache import cache_directory
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import usable
from ansible_collections.pve.provision.plugins.module_utils._store.local_image import (
    Disk,
    PredictedDisk,
    make_directory,
)

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

DISK: t.Final = "scsi0"
# The name of a copy on a storage.
SEEDED: t.Final = re.compile(r"pve-provision-.+\.qcow2")
# For how many seconds what a killed run has left in the work directory may still be in use.
STALE: t.Final = 86400


@dataclass(frozen=True)
class SeededDisk:
    """The copy for one VM: ``path`` on this machine, ``import_storage`` where it is uploaded to, if it is.

    ``bring`` makes the image present that it is a copy of, and ``fill`` puts in what the first boot reads.
    """

    path: Path
    import_storage: str
    bring: t.Callable[[Node], Disk] = field(repr=False)
    fill: t.Callable[[Run, Path, Disk], None] = field(repr=False)

    @property
    def source(self) -> str:
        """What PVE imports the disk from."""
        return f"{self.import_storage}:import/{self.path.stem}.qcow2" if self.import_storage else str(self.path)

    def import_from(self, wanted: Wanted) -> Wanted:
        """The VM with its first disk imported from the copy."""
        values, paths = dict(wanted.declaration.values), {DISK: "disk", **wanted.declaration.paths}
        values[DISK] = {**(values.get(DISK) or {}), "import-from": self.source}
        declaration = dataclasses.replace(wanted.declaration, values=values, paths=paths)
        return dataclasses.replace(wanted, declaration=declaration, more={**wanted.more, FITTING: (DISK,)})

    def extend(self, plan: Plan, expected: PredictedDisk, variant: str) -> Plan:
        """The plan with what makes the copy; a VM that is recreated is not lost for a bad image."""
        fetch = [FetchDisk(self, expected.name, expected.url, expected.size)] if expected.url else []
        plan = plan.insert(PrepareDisk(self, expected.version, variant), before=(Destroy, Create))
        plan = plan.insert(*fetch, before=(Shutdown, Destroy, PrepareDisk))
        first, *others = plan.after["disks"]
        named = {**first, "import_from": expected.name}  # people are told which image it is, not where its copy lies
        return dataclasses.replace(plan, after={**plan.after, "disks": [named, *others]})

    def make(self, run: Run) -> None:
        """Bring the image, copy and fill it, and upload the copy where the node cannot read it here."""
        disk = self.bring(run.node)
        run.result.warnings += disk.warnings
        try:
            make_directory(self.path.parent)
            for left in self.path.parent.iterdir():
                if left == self.path or left.stat().st_mtime < time.time() - STALE:
                    left.unlink()
            unpack_image(disk.path, self.path)
            self.fill(run, self.path, disk)
            if self.import_storage:
                self._upload(run)
        except OSError as error:
            words = f"{self.path} cannot be written: {error.strerror}."
            raise ImageError(words, remedy="Free some space there.") from error

    def _upload(self, run: Run) -> None:
        """Bring the copy to a storage for imports, as a qcow2: most of it is empty."""
        packed = self.path.with_suffix(".qcow2")
        packed.unlink(missing_ok=True)
        write_qcow2(self.path, packed)
        if any(volume.volid == self.source for volume in run.node.volumes(self.import_storage, "import")):
            run.node.free(self.source)  # a killed run has left it
        timeout = run.wanted.policy.timeout
        outcome = run.node.upload(self.import_storage, "import", str(packed), packed.name, timeout=timeout)
        run.result.warnings += outcome.warnings


def work_file(node: Node, wanted: Wanted) -> Path:
    """Where a VM's image is prepared, on the machine this runs on: every run for it knows the place. A controller may
    have VMs of one name on several nodes."""
    folder = cache_directory(node) / "work"
    folder = folder / node.name if node.files is None else folder
    return folder / f"pve-provision-{wanted.name or wanted.vmid}.raw"


def find_import_storage(node: Node, option: str = "disk") -> tuple[str, list[Finding]]:
    """Where a copy for the disk of an option is uploaded to, and what stands against it; none on the node itself."""
    if node.files is not None:
        return "", []
    storages = usable(node.storages(), "import")
    if storages:
        return storages[0].name, []
    remedy = "Give a storage with files the content type import (PVE 8.4 and newer), or run on the node."
    return "", [Finding(option, None, "cannot be filled over the API: no storage takes imports", remedy)]


def no_room(path: Path, needed: int, option: str = "disk") -> t.Iterator[Finding]:
    """Whether this machine has too little space for a copy of so many bytes."""
    place = next((folder for folder in path.parents if folder.is_dir()), Path("/"))
    space = os.statvfs(place)
    free = space.f_bavail * space.f_frsize
    if free < needed:
        words = f"has {free // 1024**2} MiB free, and the image needs {needed // 1024**2} MiB to be prepared"
        yield Finding(option, str(place), words, "Free some space there.")


def remove_copies(run: Run) -> None:
    """A copy is of no use any more when the run ends; nor is one that a killed run has left."""
    work = work_file(run.node, run.wanted)
    for copy in (work, work.with_suffix(".qcow2")):
        with contextlib.suppress(OSError):
            copy.unlink(missing_ok=True)
    if run.node.files is None:
        run.result.warnings += sweep(run.node, "import", SEEDED, f"{work.stem}.qcow2")


@dataclass(frozen=True)
class FetchDisk(Step):
    """Fetch a disk image, once for all VMs of a run that have copies of it."""

    action = "fetch_disk"
    phase = Phase.IMAGE

    disk: SeededDisk = field(repr=False, compare=False)
    name: str
    url: str
    size: int | None = None

    @property
    def shared(self) -> str:
        return self.name

    def details(self) -> dict[str, t.Any]:
        size = {} if self.size is None else {"size": self.size}
        return {"name": self.name, "url": self.url, **size}

    def run(self, run: Run) -> None:
        run.result.warnings += self.disk.bring(run.node).warnings


@dataclass(frozen=True)
class PrepareDisk(Step):
    """Put what the first boot reads into a copy of a disk image."""

    action = "image"
    phase = Phase.IMAGE

    disk: SeededDisk = field(repr=False, compare=False)
    version: str
    variant: str

    def run(self, run: Run) -> None:
        self.disk.make(run)


STEPS: t.Final[tuple[type[Step], ...]] = (FetchDisk, PrepareDisk)
