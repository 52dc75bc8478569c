# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM's disks: made, imported, copied, grown, set aside and destroyed, as files of the storages."""

from __future__ import annotations

import errno
import math
import re
import typing as t
from pathlib import Path

from ..errors import ApiError
from ..state import disk_image as image
from ..state import faults, storage_volumes
from ..state import storage as storages
from ..state.propstring import format_size
from . import config
from .disk_checks import DiskChecks

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..state.root import State


CLOUDINIT_SIZE = 4 << 20
TPM_SIZE = 4 << 20
# What the firmware's variable stores take, by their name.
EFI_STORES = {"4m": ("OVMF_VARS_4M", 540672), "2m": ("OVMF_VARS", 131072)}
# Since this release it is told where copies go and what becomes of their sources.
TELLS_MORE = (9, 1, 9)
FIRMWARE = "/usr/share/pve-edk2-firmware/"


class Disks(DiskChecks):
    """Disk work for one VM in one call. What it made is remembered, to be taken back when the call fails."""

    # -- making drives ---------------------------------------------------------------------------------------------
    def create(self, options: dict[str, str], wanted: dict[str, str], default: str | None = None) -> dict[str, str]:
        """Make what the wanted drives ask for; returns them as they go into the config. A failure leaves nothing."""
        done: dict[str, str] = {}
        made = len(self.made)
        try:
            for name in sorted(filter(config.is_drive, wanted)):
                drive = config.parse_drive(name, wanted[name])
                maker = self._maker(name, drive)
                done[name] = maker(name, drive, {**options, **done}, default)
        except ApiError:
            while len(self.made) > made:
                self.free(self.made.pop())
            raise
        return done

    def _maker(self, name: str, drive: config.Drive) -> Callable[[str, config.Drive, dict[str, str], str | None], str]:
        found = storages.split_volid(drive["file"])
        if drive["file"] in ("none", "cdrom"):
            return self._empty
        if found and found[1] == "cloudinit":
            return self._cloudinit
        if not config.NEW_DISK.fullmatch(drive["file"]):
            return self._existing
        if "import-from" in drive:
            return self._imported
        return {"efidisk0": self._efidisk, "tpmstate0": self._tpmstate}.get(name, self._blank)

    def _empty(self, name: str, drive: config.Drive, options: dict[str, str], default: str | None) -> str:
        drive.pop("size", None)
        return config.print_drive(name, drive)

    def _cloudinit(self, name: str, drive: config.Drive, options: dict[str, str], default: str | None) -> str:
        there = {key: text for key, text in options.items() if ":cloudinit" not in text}
        taken = config.cloudinit_drive(there, skip=name)
        if taken:
            raise ApiError(f"{name} - cloud-init drive is already attached at '{taken}'")
        storage, _unused = storages.locate(self.state, drive["file"])
        form = drive.pop("format", "") or ("raw" if storage.kind.block else "qcow2")
        suffix = "" if storage.kind.block else f".{form}"
        drive["file"] = self.allocate(storage, form, CLOUDINIT_SIZE, f"vm-{self.vmid}-cloudinit{suffix}")
        drive["media"] = "cdrom"
        return self._created(name, drive)

    def _blank(self, name: str, drive: config.Drive, options: dict[str, str], default: str | None) -> str:
        storage, gib = self._target(drive, default)
        size = math.ceil(gib * (1 << 20)) << 10
        return self._finish(name, drive, self.allocate(storage, drive.pop("format", "") or "raw", size), size)

    def _efidisk(self, name: str, drive: config.Drive, options: dict[str, str], default: str | None) -> str:
        storage, _unused = self._target(drive, default)
        store, size = EFI_STORES[drive.get("efitype", "2m")]
        keys = drive.get("pre-enrolled-keys") == "1" and drive.get("efitype") == "4m"
        if drive.get("efitype", "2m") == "2m":
            raise ApiError(f"EFI base image '{FIRMWARE}/OVMF_CODE.fd' not found")
        volid = self.allocate(storage, drive.pop("format", "") or "raw", size)
        self._progress(size)
        if keys:
            self.session.say(f"INFO: reading raw edk2 varstore from {FIRMWARE}/{store}.ms.fd")
            self.session.say("INFO: var store range: 0x64 -> 0x40000")
        return self._finish(name, drive, volid, size)

    def _tpmstate(self, name: str, drive: config.Drive, options: dict[str, str], default: str | None) -> str:
        storage, _unused = self._target(drive, default)
        return self._finish(name, drive, self.allocate(storage, drive.pop("format", "") or "raw", TPM_SIZE), TPM_SIZE)

    def _existing(self, name: str, drive: config.Drive, options: dict[str, str], default: str | None) -> str:
        volid = drive["file"]
        if storages.split_volid(volid):
            form = self.format(volid)
            if drive.get("format", form) != form:
                given = f"'format={drive['format']}' option different from storage format '{form}'"
                raise ApiError(f"drive '{name}' - volume '{volid}' - {given}")
            taken = config.cloudinit_drive(options, skip=name) if config.is_cloudinit(drive) else None
            if taken:
                raise ApiError(f"{name} - cloud-init drive is already attached at '{taken}'")
            drive["size"] = format_size(self.size(volid))
        elif not self.state.path(volid).exists():
            raise ApiError(f"volume {volid} does not exist")
        return config.print_drive(name, drive)

    def _imported(self, name: str, drive: config.Drive, options: dict[str, str], default: str | None) -> str:
        storage, _unused = self._target(drive, default)
        source = drive.pop("import-from")
        if storages.split_volid(source):
            self._check_there(source)
            try:
                volid = self._import_volume(source, storage, drive.get("format"))
            except ApiError as error:
                raise ApiError(f"cannot import from '{source}' - {error.message}", exit_code=error.exit_code) from error
        else:
            path = storages.absolute_path(self.state, source)
            volid = self.import_file(path, source, storage, drive.get("format"))
        drive.pop("format", None)
        return self._finish(name, drive, volid, self.size(volid))

    def _import_volume(self, source: str, storage: storage_volumes.Storage, form: str | None) -> str:
        size = self.size(source)
        if config.is_cloudinit({"file": source}):
            raise ApiError("cannot import from cloudinit disk")
        self.session.say(f"create full clone of drive ({source})")
        target = self._target_volume(storage, self._supported(storage, form or self.format(source)), size)
        self._copy(self.path(source), self.format(source), target, size)
        return target

    def import_file(self, path: Path, shown: str, storage: storage_volumes.Storage, form: str | None) -> str:
        """A new volume with the content of a file on the node."""
        size = image.sniffed_size(path)
        if not size:
            raise ApiError(f"could not get file size of {shown}")
        wanted = self._supported(storage, form or "raw")
        if form and form != wanted:
            self.session.warn(f"format '{form}' is not supported by the target storage - using '{wanted}' instead")
        target = self.allocate(storage, wanted, size)
        source_format = image.named_format(path)
        if source_format == "raw" and image.is_qcow2(path):
            source_format = "qcow2"
        self._copy(path, source_format, target, size)
        return target

    def _copy(self, source: Path, source_format: str, target: str, size: int) -> None:
        """Fill a new volume; a copy that fails says why as qemu-img does, and leaves the volume to be taken back."""
        form, path = self.format(target), self.path(target)
        self.session.say(f"transferred 0.0 B of {shown_size(size)} (0.00%)")
        try:
            if faults.is_full(self.state, target.partition(":")[0]):
                raise ApiError("qemu-img: error while writing at byte 0: No space left on device")
            image.convert(source, source_format, path, form)
        except ApiError as error:
            self.session.say(error.message)
            zero = "" if form == "qcow2" else "zeroinit:"
            command = f"/usr/bin/qemu-img convert -p -n -f {source_format} -O {form} {source} {zero}{path}"
            raise ApiError(f"copy failed: command '{command}' failed: exit code 1") from error
        self._progress(size)

    def _progress(self, size: int) -> None:
        self.session.say(f"transferred {shown_size(size)} of {shown_size(size)} (100.00%)")

    def _target(self, drive: config.Drive, default: str | None) -> tuple[storage_volumes.Storage, float]:
        new = t.cast(re.Match[str], config.NEW_DISK.fullmatch(drive["file"]))
        store = new[1] or default
        if not store:
            raise ApiError("no storage ID specified (and no default storage)")
        return storages.get(self.state, store), float(new[2])

    @staticmethod
    def _supported(storage: storage_volumes.Storage, form: str) -> str:
        return form if form in storage.kind.formats else "raw"

    def _finish(self, name: str, drive: config.Drive, volid: str, size: int) -> str:
        drive["file"], drive["size"] = volid, format_size(size)
        return self._created(name, drive)

    def _created(self, name: str, drive: config.Drive) -> str:
        text = config.print_drive(name, drive)
        self.session.say(f"{name}: successfully created disk '{text}'")
        return text

    # -- copies ----------------------------------------------------------------------------------------------------
    def clone(
        self, name: str, drive: config.Drive, full: bool, target: str | None = None, form: str | None = None,
        snapshot: str | None = None, mirror: bool = False,
    ) -> config.Drive:  # fmt: skip
        """A copy of another drive for this VM: linked, or full with its own bytes. ``mirror``: the source VM runs."""
        volid = drive["file"]
        source, volume = storages.locate(self.state, volid)
        self.session.say(f"create {'full' if full else 'linked'} clone of drive {name} ({volid})")
        if full:
            storage = storages.get(self.state, target) if target else source
            wanted = self._supported(storage, form or self.format(volid))
            copy = self._full_clone(name, drive, storage, wanted, mirror)
        else:
            copy = self._linked_clone(source, volume, snapshot)
        new = {key: value for key, value in drive.items() if key != "format"}
        new["file"] = copy
        if not name.startswith("unused"):
            new["size"] = format_size(self.size(copy))
        return new

    def _full_clone(
        self, name: str, drive: config.Drive, storage: storage_volumes.Storage, form: str, mirror: bool
    ) -> str:
        volid = drive["file"]
        if config.is_cloudinit(drive):
            suffix = "" if storage.kind.block else f".{form}"
            return self._target_volume(storage, form, CLOUDINIT_SIZE, f"vm-{self.vmid}-cloudinit{suffix}")
        size = EFI_STORES[drive.get("efitype", "2m")][1] if name == "efidisk0" else self.size(volid)
        copy = self._target_volume(storage, form, size)
        if mirror:
            image.convert(self.path(volid), self.format(volid), self.path(copy), form)
            self._say_mirrored(name, size)
        else:
            self._copy(self.path(volid), self.format(volid), copy, size)
        return copy

    def _target_volume(self, storage: storage_volumes.Storage, form: str, size: int, name: str | None = None) -> str:
        """A new volume for a copy."""
        volid = self.allocate(storage, form, size, name)
        self.tell(f"allocated target volume '{volid}'")
        return volid

    def tell(self, line: str) -> None:
        """What older releases did not say."""
        if self.state.release >= TELLS_MORE:
            self.session.say(line)

    def _say_mirrored(self, name: str, size: int) -> None:
        job, shown = f"mirror-{name}", shown_size(size)
        done = f"{job}: transferred {shown} of {shown} (100.00%)"
        for line in (f"drive mirror is starting for drive-{name}", f"{done} in 1s", f"{done} in 2s, ready",
                     "all 'mirror' jobs are ready"):  # fmt: skip
            self.session.say(line)
        self.jobs.append(job)

    def switch_over(self) -> None:
        """The running VM goes on with the copies."""
        while self.jobs:
            job = self.jobs.pop(0)
            for what in ("Completing block job...", "Completed successfully.", "mirror-job finished"):
                self.session.say(f"{job}: {what}")

    def let_go(self, wanted: bool, frozen: bool) -> None:
        """The copies are another VM's: while they are cut off, the source or its file systems stand still."""
        if not wanted:
            self.session.say("skipping guest-agent 'guest-fsfreeze-freeze', disabled in VM options")
        elif not frozen:
            why = "the agent is not running inside of the guest"
            self.session.say(f"skipping guest agent 'guest-fsfreeze-freeze' command: {why}")
        freeze, thaw = (f"issuing guest agent 'guest-fsfreeze-{verb}' command" for verb in ("freeze", "thaw"))
        self.session.say(freeze if frozen else "suspend vm")
        for job in self.jobs:
            self.session.say(f"{job}: Cancelling block job")
        while self.jobs:
            self.session.say(f"{self.jobs.pop(0)}: Done.")
        self.session.say(thaw if frozen else "resume vm")

    def _linked_clone(self, storage: storage_volumes.Storage, volume: str, snapshot: str | None) -> str:
        parsed = storage.parse(volume)
        source = storage.path(volume)
        clone = storage.clone(volume, self.vmid, snapshot)
        path = storage.path(clone)
        form = storage.parse(clone).format
        image.convert(source, parsed.format, path, form)
        if form == "qcow2":
            folder = volume.partition("/")[0]
            base = f"../{folder}/{parsed.name}"
            self.session.say(f"clone {volume}: images, {path.name}, {self.vmid} to {path.name} (base={base})")
            reserved = "metadata" if parsed.format == "qcow2" else "off"
            self.session.say(
                f"Formatting '{path}', fmt=qcow2 cluster_size=131072 extended_l2=on preallocation={reserved}"
                f" compression_type=zlib size={image.sniffed_size(path)} backing_file={base}"
                f" backing_fmt={parsed.format} lazy_refcounts=off refcount_bits=16"
            )
        self.made.append(storage.volid(clone))
        return storage.volid(clone)

    # -- drives that leave the config ------------------------------------------------------------------------------
    def set_aside(self, options: config.Options, drive: config.Drive) -> None:
        """A drive that is no longer used: its volume becomes ``unusedN``, cloud-init data are destroyed."""
        if config.is_cloudinit(drive):
            self.free(drive["file"])
        elif not config.is_cdrom(drive) and self.owns(drive["file"]):
            config.add_unused(options, drive["file"])

    def drop_unused(self, options: config.Options, snapshots: Iterator[config.Options], name: str) -> None:
        """Destroy the volume of ``unusedN``, or of a drive that is deleted by force."""
        volid = config.parse_drive(name, options[name])["file"] if config.is_drive(name) else options[name]
        if not self.owns(volid):
            return
        others = [{key: value for key, value in options.items() if key != name}, *snapshots]
        if any(drive["file"] == volid for other in others for _unused, drive in config.drives(other)):
            raise ApiError(f"unable to delete '{volid}' - volume is still in use (snapshot?)")
        self.free(volid)

    def resize(self, name: str, drive: config.Drive, size: int) -> None:
        """Give a drive a new size in bytes."""
        storage, volume = storages.locate(self.state, drive["file"])
        storage.resize(volume, size)
        drive["size"] = format_size(size)


def shown_size(size: int) -> str:
    """A size as progress lines show it: ``64.0 MiB``."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.1f} {units[0]}"


def source_file(state: State, source: str) -> Path:
    """A file on the node that ``qm disk import`` is given; dies when it is none."""
    path = Path(source) if Path(source).is_file() else state.path(source)
    if not path.is_file():
        raise ApiError(f"{source}: non-existent or non-regular file", exit_code=errno.ENOENT)
    return path
