# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of a VM's disks, copies and templates."""

from __future__ import annotations

import typing as t

from ..api import access, migration
from ..api.routes import route
from ..errors import ApiError, bad_params
from ..state import storage
from . import config, copies, disk_changes, process, run, snapshots
from .api import VM, root_only
from .permissions import Rights

if t.TYPE_CHECKING:
    from ..api.routes import Params
    from ..api.session import Session


@route("PUT", f"{VM}/resize")
def resize(session: Session, params: Params) -> str:
    """Grow a disk."""
    root_only(session, params, "skiplock")
    vmid = params["vmid"]
    return session.worker("resize", str(vmid), lambda: disk_changes.resize(session, params))


@route("POST", f"{VM}/move_disk")
def move_disk(session: Session, params: Params) -> str:
    """Copy a disk to another storage, or give it to another VM."""
    vmid, target = params["vmid"], params.get("target-vmid")
    if target and params.get("storage"):
        message = "either set 'storage' or 'target-vmid', but not both"
        raise bad_params(**{"target-vmid": message, "storage": message})
    if target:
        Rights(session, target).need("VM.Config.Disk")
        if target == vmid:
            raise bad_params(**{"target-vmid": "must be different than source VMID to reassign disk"})
        _source, _other, drive = disk_changes.check_reassign(session, params)
        access.need(session, f"/storage/{drive['file'].partition(':')[0]}", "Datastore.AllocateSpace")
        name = f"{vmid}-{params['disk']}>{target}-{params.get('target-disk', params['disk'])}"
        return session.worker("qmmove", name, lambda: disk_changes.reassign(session, params))
    if not params.get("storage"):
        message = "both 'storage' and 'target-vmid' missing, either needs to be set"
        raise bad_params(**{"target-vmid": message, "storage": message})
    access.need(session, f"/storage/{params['storage']}", "Datastore.AllocateSpace")
    disk_changes.check_move(session, params)
    return session.worker("qmmove", str(vmid), lambda: disk_changes.move(session, params))


@route("POST", f"{VM}/clone")
def clone(session: Session, params: Params) -> str:
    """Make a copy of a VM."""
    copies.check_clone(session, params)
    return session.worker("qmclone", str(params["vmid"]), lambda: copies.clone(session, params))


@route("POST", f"{VM}/template")
def template(session: Session, params: Params) -> str:
    """Turn a VM into a template."""
    copies.check_template(session, params)
    return session.worker("qmtemplate", str(params["vmid"]), lambda: copies.template(session, params))


@route("GET", f"{VM}/feature")
def feature(session: Session, params: Params) -> dict[str, t.Any]:
    """Whether a VM's disks can be snapshotted, cloned or copied."""
    conf = session.state.guest("qemu", params["vmid"])
    options = snapshots.require(conf, params["snapname"]).options if params.get("snapname") else conf.options
    able = copies.has_feature(session.state, params["feature"], options, params.get("snapname"))
    return {"hasFeature": int(able), "nodes": [session.state.name]}


@route("POST", f"{VM}/migrate")
def migrate(session: Session, params: Params) -> str:
    """Move a VM to another node, as it runs or while it is stopped."""
    target, vmid = migration.check_target(session, params), int(params["vmid"])
    conf = session.state.guest("qemu", vmid)
    process.check_lock(conf)
    drives = [drive for _name, drive in config.drives(conf.options, unused=True)]
    volids = [drive["file"] for drive in drives if storage.split_volid(drive["file"])]
    local = [volid for volid in volids if not storage.locate(session.state, volid)[0].shared]
    images = {drive["file"] for drive in drives if config.is_cdrom(drive, exclude_cloudinit=True)}
    problems = {volid: "local cdrom image" for volid in local if volid in images}
    going = migration.Migration("qemu", vmid, target, [volid for volid in volids if volid not in images])
    if process.pid(session.state, vmid) is None:
        if params.get("online"):
            session.warn("VM isn't running. Doing offline migration instead.")
    else:
        if not params.get("online"):
            raise ApiError("can't migrate running VM without --online")
        if not params.get("with-local-disks"):
            words = "can't live migrate attached local disks without with-local-disks option"
            problems |= {volid: words for volid in local if volid not in images}
        going.leave = lambda here: process.forget(here.state, vmid)
        going.arrive = lambda there: run.go_on(there.state, vmid)
    going.problems = problems
    return migration.request(session, going)
