# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM's disks: grown, moved, given to another VM, imported, found and destroyed."""

from __future__ import annotations

import os
import shutil
import typing as t

from ..api import access
from ..errors import ApiError, bad_params
from ..state import faults, propstring
from ..state import storage as storages
from ..state.root import PRIVATE
from . import config, pending, process, update
from .copies import make_base
from .disks import Disks, source_file

if t.TYPE_CHECKING:
    from ..api.routes import Params
    from ..api.session import Session
    from ..state.config_file import GuestFile


def resize(session: Session, params: Params) -> None:
    """Grow a disk; a smaller size dies before anything is done."""
    state, vmid, name = session.state, params["vmid"], params["disk"]
    with process.lock(session, vmid):
        conf = state.guest("qemu", vmid)
        if params.get("digest") and params["digest"] != conf.digest:
            raise ApiError("checksum mismatch (file change by other user?)")
        if not params.get("skiplock"):
            process.check_lock(conf)
        if name not in conf.options:
            raise ApiError(f"disk '{name}' does not exist")
        drive = config.parse_drive(name, conf.options[name])
        if config.is_cdrom(drive):
            raise ApiError("you can't resize a cdrom")
        access.need(session, f"/storage/{drive['file'].partition(':')[0]}", "Datastore.AllocateSpace")
        disks = Disks(session, vmid)
        old = disks.size(drive["file"])
        asked = params["size"]
        size = (propstring.parse_size(asked.lstrip("+")) or 0) + (old if asked.startswith("+") else 0)
        if size < old:
            raise ApiError("shrinking disks is not supported")
        if size == old:
            return
        store = drive["file"].partition(":")[0]
        if faults.is_full(state, store):
            raise ApiError(f"not enough space on storage '{store}'")
        _check_writable(session, drive["file"], size)
        disks.resize(name, drive, size)
        if process.pid(state, vmid) is None:
            session.say("Image resized.")
        conf.options[name] = config.print_drive(name, drive)
        process.write(state, vmid, conf)


def _check_writable(session: Session, volid: str, size: int) -> None:
    """A base volume cannot be written: qemu-img says so."""
    storage, volume = storages.locate(session.state, volid)
    parsed = storage.parse(volume)
    if parsed.is_base:
        path = storage.path(volume)
        why = "Read-only file system" if storage.keeps_subvolumes(parsed.format) else "Operation not permitted"
        session.say(f"qemu-img: Could not open '{path}': Could not open '{path}': {why}")
        reserve = f"'--preallocation={'metadata' if parsed.format == 'qcow2' else 'off'}'"
        command = f"/usr/bin/qemu-img resize {reserve} -f {parsed.format} {path} {size}"
        raise ApiError(f"command '{command}' failed: exit code 1")


def _movable(session: Session, params: Params) -> tuple[GuestFile, config.Drive]:
    state, name = session.state, params["disk"]
    conf = state.guest("qemu", params["vmid"])
    process.check_lock(conf)
    if params.get("digest") and params["digest"] != conf.digest:
        raise ApiError("detected modified configuration - file changed by other user? Try again.")
    if name not in conf.options:
        raise ApiError(f"disk '{name}' does not exist")
    drive = config.parse_drive(name, conf.options[name]) if config.is_drive(name) else {"file": conf.options[name]}
    if config.is_cdrom(drive, exclude_cloudinit=True):
        raise ApiError("you can't move a cdrom")
    return conf, drive


def check_move(session: Session, params: Params) -> tuple[GuestFile, config.Drive]:
    """What moves, when it may."""
    conf, drive = _movable(session, params)
    old, target, form = drive["file"].partition(":")[0], params["storage"], params.get("format")
    if old == target and (not form or Disks(session, params["vmid"]).format(drive["file"]) == form):
        raise ApiError("you can't move to the same storage with same format")
    storage = storages.get(session.state, target).check_enabled()
    if "images" not in storage.contents:
        raise bad_params(storage=f"storage '{target}' does not support vm images")
    if params.get("delete") and _in_snapshot(conf, drive["file"]):
        raise ApiError("you can't move a disk with snapshots and delete the source")
    return conf, drive


def _in_snapshot(conf: GuestFile, volid: str) -> bool:
    sections = (section.options for section in conf.snapshots.values())
    return any(drive["file"] == volid for options in sections for _unused, drive in config.drives(options))


def move(session: Session, params: Params) -> None:
    """Copy a disk to another storage and use the copy."""
    vmid, name = params["vmid"], params["disk"]
    with process.lock(session, vmid):
        conf, drive = check_move(session, params)
        running = process.pid(session.state, vmid) is not None
        old = drive["file"]
        disks = Disks(session, vmid)
        where = f"from current storage '{old.partition(':')[0]}' to target storage '{params['storage']}'"
        disks.tell(f"copying volume '{old}' {where}")
        if _in_snapshot(conf, old):
            session.warn("moving disk with snapshots, snapshots will not be moved!")
        try:
            if running and name == "tpmstate0":
                raise ApiError("cannot move TPM state while VM is running")
            new = disks.clone(name, drive, True, params["storage"], params.get("format"), mirror=running)
            faults.step(session.state, "move")
            disks.switch_over()
        except ApiError as error:
            disks.take_back()
            raise ApiError(f"storage migration failed: {error.message}") from error
        conf.options[name] = config.print_drive(name, new) if config.is_drive(name) else new["file"]
        if not params.get("delete"):
            key = config.add_unused(conf.options, old)
            disks.tell(f"adding source volume '{old}' as '{key}' to config")
        if process.is_template(conf) and config.is_drive(name):
            make_base(session, conf, name)
        process.write(session.state, vmid, conf)
        faults.step(session.state, "moved")
        if params.get("delete"):
            disks.tell(f"removing source volume '{old}' after successful copy")
            disks.free(old)


def check_reassign(session: Session, params: Params) -> tuple[GuestFile, GuestFile, config.Drive]:
    """The disk that goes to another VM, when it may."""
    state, vmid, target = session.state, params["vmid"], params["target-vmid"]
    name, new_name = params["disk"], params.get("target-disk") or params["disk"]
    known = state.guests()
    if vmid not in known:
        raise ApiError(f"could not find VM {vmid}")
    if target not in known:
        raise ApiError(f"could not find target VM {target}")
    source, other = state.guest("qemu", vmid), state.guest("qemu", target)
    process.check_lock(source)
    process.check_lock(other)
    if process.is_template(source) or process.is_template(other):
        raise ApiError("Can't move disks from or to template VMs")
    if name not in source.options:
        raise ApiError(f"Disk '{name}' for VM '{vmid}' does not exist")
    if new_name in other.options:
        raise ApiError(f"Target disk key '{new_name}' is already in use for VM '{target}'")
    drive = config.parse_drive(name, source.options[name]) if config.is_drive(name) else {"file": source.options[name]}
    if config.is_cdrom(drive, exclude_cloudinit=True):
        raise ApiError("CD drive contents can't be moved to another VM")
    if _in_snapshot(source, drive["file"]):
        raise ApiError("Can't move disk used by a snapshot to another VM")
    storage, volume = storages.locate(state, drive["file"])
    if not storage.has_feature("rename", volume):
        raise ApiError("Storage does not support moving of this disk to another VM")
    if process.pid(state, vmid) is not None and not name.startswith("unused"):
        raise ApiError("Cannot move disk to another VM while the source VM is running - detach first")
    return source, other, drive


def reassign(session: Session, params: Params) -> None:
    """Give a disk to another VM: its volume gets the other's name."""
    vmid, target = params["vmid"], params["target-vmid"]
    name, new_name = params["disk"], params.get("target-disk") or params["disk"]
    with process.lock(session, vmid), process.lock(session, target):
        source, _other, drive = check_reassign(session, params)
        session.say(f"reassign disk '{name}' from VM '{vmid}' as '{new_name}' to VM '{target}'")
        renamed = _renamed(session, drive["file"], target)
        source.options.pop(name)
        order = config.boot_order(source.options)
        if name in order:
            session.say(f"removing disk '{name}' from boot order config")
            source.options["boot"] = config.print_boot(item for item in order if item != name)
        session.say(f"removing disk '{name}' from VM '{vmid}' config")
        process.write(session.state, vmid, source)
        drive["file"] = renamed
        text = config.print_drive(new_name, drive) if config.is_drive(new_name) else renamed
        if config.is_drive(new_name):
            update.Change.of(session, {"vmid": target, new_name: text}).apply()
        else:
            conf = session.state.guest("qemu", target)
            conf.options[new_name] = text
            process.write(session.state, target, conf)


def _renamed(session: Session, volid: str, vmid: int) -> str:
    """Give a volume to another VM; returns its new name."""
    storage, volume = storages.locate(session.state, volid)
    path, form = storage.require(volume), storage.parse(volume).format
    renamed, _unused = storage.allocate(vmid, form, None, 0)
    os.replace(path, storage.path(renamed))
    if storage.keeps_subvolumes(form):
        path.parent.rmdir()
    return storage.volid(renamed)


def import_disk(session: Session, vmid: int, source: str, store: str, form: str | None, target: str | None) -> None:
    """``qm disk import``: a new disk with the content of a file."""
    state = session.state
    if target and not config.is_drive(target):
        target = None
    process.check_lock(state.guest("qemu", vmid))
    path = source_file(state, source)
    storage = storages.get(state, store).check_enabled()
    if "images" not in storage.contents:
        raise ApiError(f"storage {store} does not support vm images")
    session.say(f"importing disk '{source}' to VM {vmid} ...")
    disks = Disks(session, vmid)
    try:
        volid = disks.import_file(path, source, storage, form)
    except ApiError:
        disks.take_back()
        raise
    with process.lock(session, vmid):
        conf = state.guest("qemu", vmid)
        process.check_lock(conf)
        if target is None:
            target = config.add_unused(conf.options, volid) or "unused0"
            process.write(state, vmid, conf)
        elif target in conf.options:
            disks.take_back()
            raise ApiError(f"cowardly refusing to overwrite existing entry: {target}")
        else:
            conf.pending[target] = volid
            if process.pid(state, vmid) is None:
                pending.apply_pending(session, vmid, conf)
            else:
                pending.plug_pending(session, vmid, conf, {target})
    conf = state.guest("qemu", vmid)
    shown = conf.options.get(target, conf.pending.get(target, volid))
    session.say(f"{target}: successfully imported disk '{shown}'")


def destroy_disks(session: Session, vmid: int, conf: GuestFile, unreferenced: bool) -> None:
    """Destroy every volume that is the VM's own; dies when a linked clone stands on one."""
    disks = Disks(session, vmid)
    volids: list[str] = []
    for options in (conf.options, *(section.options for section in conf.snapshots.values()), conf.pending):
        for name, drive in config.drives(options, unused=True):
            if not config.is_cdrom(drive, exclude_cloudinit=True) and drive["file"] not in ("none", "cdrom"):
                volids.append(drive["file"])
            if name.startswith("unused"):
                disks.owns(drive["file"])
        if "vmstate" in options:
            volids.append(options["vmstate"])
    if process.is_template(conf):
        for volid in volids:
            storage, volume = storages.locate(session.state, volid)
            if storage.parse(volume).is_base and storage.clones_of(volume):
                raise ApiError(f"base volume '{volid}' is still in use by linked cloned")
    for volid in dict.fromkeys(volids):
        if disks.owns(volid):
            _free_or_warn(session, disks, volid)
    if unreferenced:
        for storage in storages.load(session.state).values():
            if storage.enabled and "images" in storage.contents:
                for item in storage.images(vmid):
                    disks.free(item.volid)
    for folder in ("vm-snapshots", "vm-trees"):
        shutil.rmtree(session.state.path(f"{PRIVATE}/{folder}/{vmid}"), ignore_errors=True)
    session.state.path(f"{PRIVATE}/vm-trees/{vmid}.seed").unlink(missing_ok=True)


def rescan(session: Session, vmid: int, dry_run: bool) -> None:
    """Bring the sizes in a config to what the volumes are, and note volumes that no option names."""
    with process.lock(session, vmid):
        conf = session.state.guest("qemu", vmid)
        process.check_lock(conf)
        disks = Disks(session, vmid)
        before = dict(conf.options)
        named = {drive["file"] for _unused, drive in config.drives(conf.options, unused=True)}
        for name, drive in list(config.drives(conf.options)):
            if not config.holds_data(drive):
                continue
            size = propstring.format_size(disks.size(drive["file"]))
            if size != drive.get("size"):
                change = f"updated from {drive.get('size', '0T')} to {size}"
                session.say(f"VM {vmid} ({name}): size of disk '{drive['file']}' {change}")
                conf.options[name] = config.print_drive(name, {**drive, "size": size})
        for storage in storages.load(session.state).values():
            if storage.enabled and "images" in storage.contents:
                for item in storage.images(vmid):
                    if item.volid not in named and not config.is_cloudinit({"file": item.volid}):
                        key = config.add_unused(conf.options, item.volid)
                        session.say(f"VM {vmid} add unreferenced volume '{item.volid}' as '{key}' to config")
        if conf.options != before and not dry_run:
            process.write(session.state, vmid, conf)


def _free_or_warn(session: Session, disks: Disks, volid: str) -> None:
    try:
        disks.free(volid)
    except ApiError as error:
        session.log_warning(f"Could not remove disk '{volid}', check manually: {error.message}")
