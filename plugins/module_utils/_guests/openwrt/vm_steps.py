# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the steps that make the disk of a router in a VM."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.first_boot import first_files
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import answers
from ansible_collections.pve.provision.plugins.module_utils._io.qcow2 import write_qcow2
from ansible_collections.pve.provision.plugins.module_utils._openwrt.disk_image import prepare_image, unpack_image
from ansible_collections.pve.provision.plugins.module_utils._store import openwrt_template

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.vm import OpenWrtVm

DISK: t.Final = "scsi0"
# For how many seconds what a killed run has left in the work directory may still be in use.
STALE: t.Final = 86400


@dataclass(frozen=True)
class FetchDisk(Step):
    """Fetch a release's disk image, once for all routers of a run that are made from it."""

    action = "fetch_disk"
    phase = Phase.IMAGE

    guest: OpenWrtVm = field(repr=False, compare=False)
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
        run.result.warnings += openwrt_template.ensure_image(run.node, self.guest.image).warnings


@dataclass(frozen=True)
class PrepareDisk(Step):
    """Put the router's first configuration into a copy of a release's disk image."""

    action = "image"
    phase = Phase.IMAGE

    guest: OpenWrtVm = field(repr=False, compare=False)
    version: str
    variant: str

    def run(self, run: Run) -> None:
        guest = self.guest
        guest.silent = [address for address in guest.management_addresses() if not answers(address)]
        disk = openwrt_template.ensure_image(run.node, guest.image)
        run.result.warnings += disk.warnings
        work = t.cast("Path", guest.work)
        size = run.wanted.declaration.values[DISK]["size"]
        try:
            openwrt_template.make_directory(work.parent)
            for left in work.parent.iterdir():
                if left == work or left.stat().st_mtime < time.time() - STALE:
                    left.unlink()
            unpack_image(disk.path, work)
            prepare_image(work, size=size, files=first_files(guest.described, disk.version))
            if guest.import_storage:
                self._upload(run, work)
        except OSError as error:
            raise ImageError(f"{work} cannot be written: {error.strerror}.", remedy="Free some space there.") from error

    def _upload(self, run: Run, work: Path) -> None:
        """Bring the copy to a storage for imports, as a qcow2: most of it is empty."""
        packed = work.with_suffix(".qcow2")
        volid = f"{self.guest.import_storage}:import/{packed.name}"
        packed.unlink(missing_ok=True)
        write_qcow2(work, packed)
        if any(volume.volid == volid for volume in run.node.volumes(self.guest.import_storage, "import")):
            run.node.free(volid)  # a killed run has left it
        timeout = run.wanted.policy.timeout
        outcome = run.node.upload(self.guest.import_storage, "import", str(packed), packed.name, timeout=timeout)
        run.result.warnings += outcome.warnings


STEPS: t.Final[tuple[type[Step], ...]] = (FetchDisk, PrepareDisk)
