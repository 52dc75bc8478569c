# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM's copies and templates."""

from __future__ import annotations

import re
import typing as t

from ..api import access
from ..errors import ApiError, bad_params
from ..state import faults
from ..state import storage as storages
from . import boot, config, process, snapshots
from .disks import Disks
from .permissions import Rights

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..api.routes import Params
    from ..api.session import Session
    from ..state.config_file import GuestFile
    from ..state.root import State


def has_feature(state: State, feature: str, options: Mapping[str, str], snapshot: str | None) -> bool:
    """Whether all disks of a VM can do something."""
    drives = (drive for _unused, drive in config.drives(options) if config.holds_data(drive))
    found = (storages.locate(state, drive["file"]) for drive in drives)
    return all(storage.has_feature(feature, volume, snapshot) for storage, volume in found)


def check_clone(session: Session, params: Params) -> tuple[config.Options, bool]:
    """The config that is copied and whether its disks are copied in full, when it may be."""
    state, vmid, newid = session.state, params["vmid"], params["newid"]
    process.require_guest(state, vmid)
    if params.get("pool"):
        access.require_pool(session, params["pool"])
    target = params.get("target")
    if target and target not in (state.name, "localhost"):
        raise ApiError(f"no such cluster node '{target}'")
    if params.get("storage"):
        storage = storages.get(state, params["storage"]).check_enabled()
        if "images" not in storage.contents:
            raise bad_params(storage=f"storage '{params['storage']}' does not support vm images")
    conf = state.guest("qemu", vmid)
    process.check_lock(conf)
    snapname = params.get("snapname")
    options = snapshots.require(conf, snapname).options if snapname else conf.options
    full = bool(params.get("full", not process.is_template(conf)))
    for name in ("storage", "format"):
        if params.get(name) and not full:
            raise ApiError(f"parameter '{name}' not allowed for linked clones")
    _check_clone_rights(session, vmid, options, params.get("storage"))
    if state.has_guest("qemu", newid):
        raise ApiError(f"unable to create VM {newid}: config file already exists", exit_code=2)
    _check_clonable(session, options, full, snapname, process.pid(state, vmid) is not None)
    return options, full


def _check_clone_rights(session: Session, vmid: int, options: config.Options, storage: str | None) -> None:
    """Die when the caller may not have what the copy would hold."""
    for _unused, drive in config.drives(options):
        if drive["file"] == "cdrom":
            access.need(session, "/", "Sys.Console")
        elif not config.is_cdrom(drive):
            place = storage or drive["file"].partition(":")[0]
            access.need(session, f"/storage/{place}", "Datastore.AllocateSpace")
    if "vmstatestorage" in options:
        access.need(session, f"/storage/{options['vmstatestorage']}", "Datastore.AllocateSpace")
    rights = Rights(session, vmid)
    rights.mappings(options)
    rights.bridges(options)


def _check_clonable(
    session: Session, options: Mapping[str, str], full: bool, snapname: str | None, running: bool
) -> None:
    for name, drive in config.drives(options):
        if config.is_cdrom(drive, exclude_cloudinit=True):
            continue
        if full and running and not snapname and name == "tpmstate0":
            raise ApiError("cannot clone TPM state while VM is running")
        whole = full or config.is_cloudinit(drive) or name == "tpmstate0"
        storage, volume = storages.locate(session.state, drive["file"])
        if not storage.has_feature("copy" if whole else "clone", volume, snapname):
            of = " a snapshot of" if snapname else ""
            kind = "Full" if whole else "Linked"
            raise ApiError(f"{kind} clone feature is not supported for{of} '{drive['file']}' ({name})", exit_code=2)


def clone(session: Session, params: Params) -> None:
    """Make the copy. A failure leaves nothing of it."""
    state, vmid, newid = session.state, params["vmid"], params["newid"]
    with process.lock(session, vmid), process.lock(session, newid):
        options, full = check_clone(session, params)
        session.say(f"creating a clone of VM {vmid} with ID {newid}")
        new = {key: value for key, value in options.items()
               if key not in config.SNAPSHOT_OPTIONS and not re.match(r"unused\d+$|template$", key)}  # fmt: skip
        new.pop("lock", None)
        if "description" in options and params.get("snapname"):
            new["description"] = options["description"]
        _renew(new, params, vmid)
        state.write(f"etc/pve/{state.config_name('qemu', newid)}", "lock: clone\n")
        state.publish()
        faults.step(state, "lock")
        disks = Disks(session, newid)
        mirror = process.pid(state, vmid) is not None and not params.get("snapname")
        try:
            for name, drive in sorted(config.drives(options)):
                if config.is_cdrom(drive, exclude_cloudinit=True):
                    continue
                whole = full or config.is_cloudinit(drive) or name == "tpmstate0"
                copy = disks.clone(name, drive, whole, params.get("storage"), params.get("format"),
                                   params.get("snapname"), mirror)  # fmt: skip
                new[name] = config.print_drive(name, copy)
            faults.step(state, "alloc")
            if disks.jobs:
                wanted = config.freezes(options)
                disks.let_go(wanted, wanted and process.agent_runs(session, vmid, options, say=True))
        except ApiError as error:
            disks.take_back()
            state.remove_guest("qemu", newid)
            raise ApiError(f"clone failed: {error.message}") from error
        conf = state.guest("qemu", newid)
        conf.current.options = new
        process.write(state, newid, conf)
        boot.copy_files(state, vmid, newid)
        if params.get("pool"):
            access.add_to_pool(session, params["pool"], newid)


def _renew(options: config.Options, params: Params, vmid: int) -> None:
    """What a copy must not share with its source."""
    for name in options:
        if re.fullmatch(r"net\d+", name):
            options[name] = config.print_net({**config.parse_net(options[name]), "macaddr": config.new_mac()})
    kept = [part for part in options.get("smbios1", "").split(",") if part and not part.startswith("uuid=")]
    options["smbios1"] = ",".join([*kept, f"uuid={config.new_uuid()}"])
    if "vmgenid" in options:
        options["vmgenid"] = config.new_uuid()
    options["name"] = params.get("name") or f"Copy-of-VM-{options.get('name', vmid)}"
    if params.get("description"):
        options["description"] = params["description"]


def check_template(session: Session, params: Params) -> GuestFile:
    """The VM that becomes a template, when it may."""
    conf = session.state.guest("qemu", params["vmid"])
    process.check_lock(conf)
    if conf.snapshots:
        raise ApiError("unable to create template, because VM contains snapshots")
    if process.is_template(conf) and not params.get("disk"):
        raise ApiError("you can't convert a template to a template")
    if process.pid(session.state, params["vmid"]) is not None:
        raise ApiError("you can't convert a VM to template if VM is running", exit_code=25)
    return conf


def template(session: Session, params: Params) -> None:
    """Mark the VM and turn its disks into base volumes."""
    state, vmid = session.state, params["vmid"]
    with process.lock(session, vmid):
        conf = check_template(session, params)
        conf.options["template"] = "1"
        for name, drive in list(config.drives(conf.options)):
            if config.holds_data(drive) and params.get("disk", name) == name:
                make_base(session, conf, name)
        process.write(state, vmid, conf)


def make_base(session: Session, conf: GuestFile, name: str) -> None:
    """Turn a drive into a base volume."""
    drive = config.parse_drive(name, conf.options[name])
    storage, volume = storages.locate(session.state, drive["file"])
    storage.require(volume)
    if storage.has_feature("template", volume):
        drive["file"] = storage.volid(storage.make_base(volume))
        conf.options[name] = config.print_drive(name, drive)
