# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: upgrade a router that is a VM.

The new VM is imported from a copy of the release's image that carries the old router's configuration, as at its
creation. While its links are down only its console tells whether it boots; what else there is to see is seen at its
place, by the way in that the old one was read by. Packages are installed by the router itself, once it has its network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import typing as t
from dataclasses import dataclass
from pathlib import Path as FilePath

from ansible_collections.pve.provision.plugins.module_utils._engine.step import Run
from ansible_collections.pve.provision.plugins.module_utils._errors import Timeout
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.console import console_of
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.errors import RouterError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.first_boot import with_packages
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import Router
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seeding import MakeFiles
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.migrate import (
    goes_with_it,
    options_to_keep,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.upgrade import Note, Upgrade
from ansible_collections.pve.provision.plugins.module_utils._guests.seeded_disk import DISK, SeededDisk
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import disks
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.options import OPTIONS
from ansible_collections.pve.provision.plugins.module_utils._model.volume import storage_of
from ansible_collections.pve.provision.plugins.module_utils._openwrt.disk_image import prepare_image
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import unknown
from ansible_collections.pve.provision.plugins.module_utils._store.local_image import Disk

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

# The firmware's own variables, which a new VM generates again.
_FIRMWARE: t.Final = "efidisk0"
# What only one running VM can have, and what may name such a thing.
_EXCLUSIVE: t.Final = re.compile(r"(?:hostpci|parallel)\d+|ivshmem|args")
_OF_THE_NODE: t.Final = re.compile(r"usb\d+: (?!(?:host=)?spice)|serial\d+: /")


def new_options(options: t.Mapping[str, str], source: str) -> dict[str, str]:
    """The options of the VM that is to replace one: the same, with its disk imported and its links down."""
    kept = options_to_keep("qemu", OPTIONS, options)
    kept[DISK] = disks.DISK.render({**_anew(disks.DISK, options[DISK], "0"), "import-from": source})
    if _FIRMWARE in kept:
        kept[_FIRMWARE] = disks.EFIDISK.render(_anew(disks.EFIDISK, options[_FIRMWARE], "1"))
    return kept


def _anew(written: Fields, text: str, size: str) -> dict[str, t.Any]:
    """A volume like the one that is there, on the same storage and of the same format."""
    there = written.parse(text)
    volume = str(there["volume"])
    form = FilePath(volume).suffix.removeprefix(".")
    given = {} if form in ("", "raw") else {"format": form}
    rest = {key: value for key, value in there.items() if key != "size"}
    return {**rest, "volume": f"{storage_of(volume)}:{size}", **given}


def disk_size(options: t.Mapping[str, str]) -> int | None:
    """The size of a router's disk in bytes, where its config tells it."""
    size = disks.DISK.parse(options[DISK]).get("size")
    return size if isinstance(size, int) else None


def left_behind(config: GuestConfig, *, stays: bool) -> list[str]:
    """What a router has that its upgrade cannot migrate: further disks, a TPM, what one VM alone can have, and what
    goes with the old VM unless that ``stays``."""
    options = {key: text for key, text in config.options.items() if not key.startswith("unused")}
    volumes = {key for key in options if disks.is_volume(key)} - {DISK, _FIRMWARE}
    found = {key for key in volumes if not disks.is_drive(disks.DISK.parse(options[key]))}
    found |= {key for key, text in options.items() if _EXCLUSIVE.fullmatch(key) or _OF_THE_NODE.match(f"{key}: {text}")}
    return [*sorted(found), *([] if stays else goes_with_it(config))]


@dataclass(kw_only=True)
class VmUpgrade(Upgrade):
    """``disk`` is the copy of the release's image that the new VM is imported from."""

    disk: SeededDisk

    def _make(self, config: GuestConfig, note: Note, files: MakeFiles, digest: str) -> None:
        declared = self.description.packages
        wished = [name for name in note["packages"] if name not in declared]

        def fill(_run: Run, path: FilePath, disk: Disk) -> None:
            made = with_packages(files(unknown, disk.version), disk.version, declared, wished)
            prepare_image(path, size=disk_size(config.options), files=made)

        dataclasses.replace(self.disk, fill=fill).make(self.run)
        self._claim(new_options(config.options, self.disk.source), note)

    def _await_boot(self) -> None:
        with contextlib.closing(console_of(self.node, self.new)) as console:
            if not console.open:
                return
            booted = poll(console.listen, bool, timeout=self.patience, clock=self.node.clock)
            if not booted and console.heard:
                raise Timeout(f"it did not boot within {self.patience} s; last on its console: {console.last_line}")

    def _prove(self, vmid: int, router: Router) -> None:
        self._bring_in_line(router)
        version = router.probe().version
        if version == self._note()["from"]:
            raise RouterError(f"it is still OpenWrt {version}")
