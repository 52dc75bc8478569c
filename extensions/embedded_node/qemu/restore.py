# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs out of backups: ``qmrestore``, and ``POST /nodes/{node}/qemu`` with an archive."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import time
import typing as t
from pathlib import Path

from ..api import access, validation
from ..errors import ApiError, bad_params
from ..state import archive, config_file, storage_volumes, vma
from ..state import disk_image as image
from ..state import storage as storages
from . import config, disk_changes, process, run
from .disks import Disks

if t.TYPE_CHECKING:
    from ..api.routes import Params
    from ..api.session import Session
    from ..state.config_file import GuestFile
    from .permissions import Rights

CONFIG = "qemu-server.conf"
MAP = re.compile(r"#qmdump#map:(\S+):(\S+):(\S*):(\S*):")
LEFT_OUT = re.compile(r"#qmdump#|#vzdump#|lock:|unused\d+:|parent:")
DRIVE = re.compile(r"((?:ide|scsi|virtio|sata|efidisk|tpmstate)\d+):\s*(\S+)\s*")
DECOMPRESSORS = {".zst": "zstd -q -d -c", ".gz": "zcat"}


def restore(session: Session, params: Params, options: config.Options, rights: Rights) -> str:
    """Make a VM out of an archive, as a task."""
    state, vmid = session.state, params["vmid"]
    for name in sorted(filter(config.is_drive, options)):
        raise bad_params(**{name: "option conflicts with option 'archive'"})
    path = _archive(session, params["archive"], rights)
    if options:
        rights.options(options)
        rights.devices(options)
        rights.bridges(options)
    prefix = f"unable to restore VM {vmid} - "
    if params.get("force") and state.has_guest("qemu", vmid):
        conf = state.guest("qemu", vmid)
        process.check_lock(conf)
        conf.options["lock"] = "create"
        process.write(state, vmid, conf)
    else:
        process.claim(state, vmid, prefix)

    def work() -> None:
        try:
            _restore(session, params, options, path, prefix)
        except ApiError:
            conf = state.guest("qemu", vmid)
            conf.options.pop("lock", None)
            process.write(state, vmid, conf)
            session.warn("error before or during data restore, some or all disks were not completely restored. "
                         f"VM {vmid} state is NOT cleaned up.")  # fmt: skip
            raise
        if params.get("start"):
            session.say("Execute autostart")
            run.nested_start(session, vmid)

    return session.worker("qmrestore", str(vmid), work)


def _archive(session: Session, name: str, rights: Rights) -> Path:
    """The archive's file, when the caller may read it."""
    if storages.split_volid(name):
        storage, volume = storages.locate(session.state, name)
        if storage.parse(volume).content != "backup":
            raise ApiError(f"unable to use volume {name} - content type needs to be 'backup'")
    rights.volume(name)
    return storages.absolute_path(session.state, name)


def _restore(session: Session, params: Params, options: config.Options, path: Path, prefix: str) -> None:
    state, vmid = session.state, params["vmid"]
    with process.lock(session, vmid):
        old = state.guest("qemu", vmid)
        if old.options.get("protection") == "1":
            raise ApiError(f"{prefix} - protection mode enabled")
        if process.pid(state, vmid) is not None:
            raise ApiError(f"{prefix} vm is running")
        if ".tar" in path.name:
            _foreign(session, vmid, path)
        if params.get("live-restore"):
            raise ApiError("live-restore is only compatible with backup images from a Proxmox Backup Server")
        tool = DECOMPRESSORS.get(path.suffix, "")
        work = f"/var/tmp/vzdumptmp{os.getpid()}"
        source = f"{tool} {path} | vma extract -v -r {work}.fifo - {work}" if tool else (
            f"vma extract -v -r {work}.fifo {path} {work}")  # fmt: skip
        session.say(f"restore vma archive: {source}")
        try:
            with archive.opened(path) as plain:
                stream = t.cast(t.BinaryIO, io.BufferedReader(t.cast(t.Any, plain)))
                text = _Restore(session, vmid, params, vma.read(stream)).run(old)
        except archive.DAMAGE as error:
            raise ApiError(f"command '{source}' failed: {error}") from error
        conf = config_file.parse(text, "qemu")
        conf.options.update(options)
        process.write(state, vmid, conf)
        session.say("rescan volumes...")
        disk_changes.rescan(session, vmid, dry_run=False)
        if "pool" in params:
            access.add_to_pool(session, params["pool"], vmid)


def _foreign(session: Session, vmid: int, path: Path) -> None:
    """A container's backup is no VM's: PVE reads its config as one, complains, and gives up."""
    with contextlib.suppress(ApiError):
        for name, value in archive.read_backup_config(path).options.items():
            why = _wrong(name, value)
            if why:
                session.warn(f"vm {vmid} - unable to parse value of '{name}' - {why}")
    raise ApiError(f"ERROR: file '{path}' does not look like a QemuServer vzdump backup")


def _wrong(name: str, value: str) -> str:
    """What is wrong with an option of a VM, read from a file: its name, or its form."""
    schema = validation.property_schema(validation.guest_properties("qemu"), name)
    if schema is None:
        return f"unknown setting '{name}'"
    _unused, errors = validation.check({"properties": {name: schema}}, {name: value})
    _before, form, text = errors.get(name, "").partition("invalid format - ")
    return text.replace(f"{name}.", "").rstrip("\n") if form else ""


class _Restore:
    """One archive on its way into a VM's disks."""

    def __init__(self, session: Session, vmid: int, params: Params, source: vma.Archive) -> None:
        self.session, self.vmid, self.params, self.source = session, vmid, params, source
        self.disks = Disks(session, vmid)
        self.places: dict[str, str] = {}

    def run(self, old: GuestFile) -> str:
        """Restore the disks; returns the new config's text. A failure leaves no disk of it."""
        text = self.source.configs.get(CONFIG, b"").decode()
        self.session.say(f"CFG: size: {len(text)} name: {CONFIG}")
        for device in self.source.devices:
            self.session.say(f"DEV: dev_id={device.number} size: {device.size} devname: {device.name}")
        self.session.say(f"CTIME: {time.ctime(self.source.created)}")
        maps = [found.groups() for line in text.splitlines() if (found := MAP.fullmatch(line))]
        try:
            wanted = [self._target(*entry) for entry in maps]
            self._clear(old, {name for name, *_unused in wanted})
            files = {number: self._allocate(name, storage, form, size) for name, number, storage, form, size in wanted}
            for number, path in files.items():
                self.session.say(f"map '{self._device(number).name}' to '{path}' (write zeros = 0)")
            self._fill(files)
        except ApiError:
            self.disks.take_back()
            raise
        return "".join(f"{self._line(line)}\n" for line in text.splitlines() if not LEFT_OUT.match(line))

    def _device(self, number: int) -> vma.Device:
        return next(device for device in self.source.devices if device.number == number)

    def _target(
        self, name: str, device: str, store: str, form: str
    ) -> tuple[str, int, storage_volumes.Storage, str, int]:
        """Where a disk goes: its option, its number in the archive, the storage, the format and the size."""
        found = next((item for item in self.source.devices if item.name == device), None)
        if found is None:
            raise ApiError(f"archive does not contain data for drive '{name}'")
        store = self.params.get("storage") or store or "local"
        storage = storages.get(self.session.state, store)
        if "images" not in storage.contents:
            raise ApiError(f"Content type 'images' is not available on storage '{store}'")
        access.need(self.session, f"/storage/{store}", "Datastore.AllocateSpace")
        return name, found.number, storage, form if form in storage.kind.formats else "raw", found.size

    def _clear(self, old: GuestFile, names: set[str]) -> None:
        """The disks that are restored take the place of those that there were."""
        for name, drive in config.drives(old.options):
            if name in names and self.disks.owns(drive["file"]):
                self.disks.free(drive["file"])

    def _allocate(self, name: str, storage: storage_volumes.Storage, form: str, size: int) -> Path:
        volid = self.disks.allocate(storage, form, size)
        self.session.warn(f"new volume ID is '{volid}'")
        self.places[name] = volid
        return self.disks.path(volid)

    def _fill(self, files: dict[int, Path]) -> None:
        total = sum(device.size for device in self.source.devices)
        written = self._write(files)
        for percent in range(1, 101):
            self.session.say(f"progress {percent}% (read {total * percent // 100} bytes, duration 0 sec)")
        sparse = total - written
        share = 100 * sparse // total if total else 0
        self.session.say(f"total bytes read {total}, sparse bytes {sparse} ({share}%)")
        self.session.say("space reduction due to 4K zero blocks 0%")

    def _write(self, files: dict[int, Path]) -> int:
        """Write the blocks to the disks; returns how many bytes there were."""
        written = 0
        with tempfile.TemporaryDirectory(prefix="embedded-restore-") as folder:
            raws = {number: Path(folder, str(number)) for number in files}
            with contextlib.ExitStack() as stack:
                outs = {number: stack.enter_context(path.open("wb")) for number, path in raws.items()}
                for number, place, data in self.source.blocks:
                    outs[number].seek(place)
                    written += outs[number].write(data)
            for number, path in files.items():
                os.truncate(raws[number], self._device(number).size)
                image.convert(raws[number], "raw", path, "qcow2" if path.suffix == ".qcow2" else "raw")
        return written

    def _line(self, line: str) -> str:
        """A line of the config as the restored VM has it."""
        key, _unused, value = line.partition(": ")
        if found := DRIVE.fullmatch(line):
            drive = config.parse_drive(found[1], found[2])
            if drive.get("backup") == "0":
                return f"#{line}"
            if found[1] in self.places:
                drive.pop("format", None)
                return f"{key}: {config.print_drive(key, {**drive, 'file': self.places[key]})}"
        if key == "vmgenid" and value != "0":
            return f"vmgenid: {config.new_uuid()}"
        if self.params.get("unique") and re.fullmatch(r"net\d+", key):
            return f"{key}: {config.print_net({**config.parse_net(value), 'macaddr': config.new_mac()})}"
        if self.params.get("unique") and key == "smbios1":
            kept = [part for part in value.split(",") if part and not part.startswith("uuid=")]
            return f"smbios1: {','.join([*kept, f'uuid={config.new_uuid()}'])}"
        return line
