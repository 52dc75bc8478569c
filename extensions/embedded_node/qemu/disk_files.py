# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM's disks as volumes of the storages: allocated, freed, looked at."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ..state import disk_image as image
from ..state import storage as storages
from ..state import storage_volumes

if t.TYPE_CHECKING:
    from ..api.session import Session
    from ..state.root import State


class DiskFiles:
    """The volumes behind a VM's disks."""

    def __init__(self, session: Session, vmid: int) -> None:
        self.session, self.vmid = session, vmid
        self.made: list[str] = []
        self.jobs: list[str] = []

    @property
    def state(self) -> State:
        """The node."""
        return self.session.state

    # -- volumes ---------------------------------------------------------------------------------------------------
    def allocate(self, storage: storage_volumes.Storage, form: str, size: int, name: str | None = None) -> str:
        """A new volume; what its tool prints is printed. Sizes in bytes."""
        storage.check_enabled().activate()
        volume, said = storage.allocate(self.vmid, form, name, size)
        path = storage.path(volume)
        if form == "qcow2" and path.is_file():
            image.write_qcow2(path, size)
        if not storage.keeps_subvolumes(form):  # there a file is made without a tool that would say so
            self.session.write(said)
        volid = storage.volid(volume)
        self.made.append(volid)
        return volid

    def free(self, volid: str) -> None:
        """Destroy a volume."""
        storage, volume = storages.locate(self.state, volid)
        self.session.complain(storage.remove(volume))

    def take_back(self) -> None:
        """Destroy what this call made."""
        while self.made:
            self.free(self.made.pop())

    def path(self, volid: str) -> Path:
        """A volume's file."""
        storage, volume = storages.locate(self.state, volid)
        return storage.path(volume)

    def size(self, volid: str) -> int:
        """A volume's size as the guest sees it; dies when it is not there."""
        storage, volume = storages.locate(self.state, volid)
        return storage.check_enabled().activate().size(volume)

    def format(self, volid: str) -> str:
        """A volume's format, by its name."""
        storage, volume = storages.locate(self.state, volid)
        return storage.parse(volume).format

    def owns(self, volid: str) -> bool:
        """Whether a volume is this VM's own."""
        if storages.split_volid(volid) is None:
            return False
        storage, volume = storages.locate(self.state, volid)
        return storage.parse(volume).vmid == self.vmid
