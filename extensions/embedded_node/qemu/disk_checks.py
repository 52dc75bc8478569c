# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the caller asks for as a disk: whether it is possible and allowed."""

from __future__ import annotations

import typing as t

from ..api import access
from ..errors import ApiError, bad_params
from ..state import storage as storages
from . import config
from .disk_files import DiskFiles

if t.TYPE_CHECKING:
    from .permissions import Rights


class DiskChecks(DiskFiles):
    """What is refused before a disk is made."""

    # -- checks before anything is written -------------------------------------------------------------------------
    def complete(self, options: dict[str, str]) -> None:
        """Check the drives among new options for what they say, and complete them."""
        for name in sorted(filter(config.is_drive, options)):
            drive = config.parse_drive(name, options[name])
            if (problem := config.drive_problem(name, drive)) is not None:
                self.session.complain(problem)
                raise bad_params(**{name: "unable to parse drive options"})
            self._check_import(name, drive)
            if drive["file"] in ("none", "cdrom"):
                drive.setdefault("media", "cdrom")
            self._check_plain_path(name, drive)
            self._check_volume_type(name, drive)
            options[name] = config.print_drive(name, drive)

    def check_access(self, options: dict[str, str], rights: Rights, default: str | None = None) -> None:
        """Check that storages and volumes of the drives among new options may be used for them."""
        for name in sorted(filter(config.is_drive, options)):
            drive = config.parse_drive(name, options[name])
            if config.drive_problem(name, drive) is None:  # what cannot be read is refused elsewhere
                self._check_access(name, drive, rights, default)
        if "vmstatestorage" in options:
            access.need(self.session, f"/storage/{options['vmstatestorage']}", "Datastore.AllocateSpace")

    @staticmethod
    def _check_import(name: str, drive: config.Drive) -> None:
        if "import-from" not in drive:
            return
        new = config.NEW_DISK.fullmatch(drive["file"])
        if not new or float(new[2]):
            message = "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>"
            raise bad_params(**{name: message})
        needed = {"efidisk0": ("efitype", "pre-enrolled-keys"), "tpmstate0": ("version",)}.get(name, ())
        for key in needed:
            if key not in drive:
                raise bad_params(**{name: f"need to specify '{key}' when using 'import-from'"})

    def _check_plain_path(self, name: str, drive: config.Drive) -> None:
        file = drive["file"]
        if file in ("none", "cdrom") or file.startswith("/dev/") or ":" in file or file.isdigit():
            return
        for storage in storages.load(self.state).values():
            for item in (*storage.images(), *storage.files("iso")):
                if str(self.path(item.volid)) in (file, str(self.state.path(file))):
                    drive["file"] = item.volid
                    if item.content == "iso":
                        drive.setdefault("media", "cdrom")
                    return
        raise bad_params(**{name: f"unable to associate path '{file}' to any storage"})

    def _check_volume_type(self, name: str, drive: config.Drive) -> None:
        found = storages.split_volid(drive["file"])
        if not found or config.NEW_DISK.fullmatch(drive["file"]) or found[1] == "cloudinit":
            return
        storage, volume = storages.locate(self.state, drive["file"])
        if storage.parse(volume).content == "iso" and drive.get("media") != "cdrom":
            raise bad_params(**{name: "explicit 'media=cdrom' is required for iso images"})

    def _check_access(self, name: str, drive: config.Drive, rights: Rights, default: str | None) -> None:
        file, cdrom = drive["file"], config.is_cdrom(drive)
        new, found = config.NEW_DISK.fullmatch(file), storages.split_volid(file)
        if cdrom and file == "cdrom":
            access.need(self.session, "/", "Sys.Console")
        elif new and not cdrom:
            store = new[1] or default
            if not store:
                raise ApiError("no storage ID specified (and no default storage)")
            access.need(self.session, f"/storage/{store}", "Datastore.AllocateSpace")
            if "images" not in storages.get(self.state, store).contents:
                raise bad_params(storage=f"storage '{store}' does not support vm images")
        elif file not in ("none", "cdrom", "cloudinit") and not (found and found[1] == "cloudinit"):
            rights.volume(file)
            if found and self._content(file) not in ("images", "iso"):
                raise bad_params(**{name: "content type needs to be 'images' or 'iso'"})
        if "import-from" in drive:
            self._check_source(name, drive["import-from"], rights)

    def _check_source(self, name: str, source: str, rights: Rights) -> None:
        owner = None
        if storages.split_volid(source):
            kind = self._content(source)
            if kind not in ("images", "import"):
                raise bad_params(**{name: f"{source} has wrong type '{kind}' - needs to be 'images' or 'import'"})
            storage, volume = storages.locate(self.state, source)
            owner = storage.parse(volume).vmid
        if owner:
            access.need(self.session, f"/vms/{owner}", "VM.Clone")
        else:
            rights.volume(source)

    def _content(self, volid: str) -> str:
        storage, volume = storages.locate(self.state, volid)
        return storage.parse(volume).content

    def _check_there(self, source: str) -> None:
        """Die when a volume to import from is not there. What somebody uploaded is looked at first."""
        path = self.path(source)
        if path.is_file():
            return
        lost = f"failed to stat '{path}'"
        if self._content(source) == "import":
            raise ApiError(lost)
        self.session.warn(lost)
        raise ApiError(f"cannot import from '{source}' - could not get size of {source}")
