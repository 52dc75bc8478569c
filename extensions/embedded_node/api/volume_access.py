# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may use a volume: its owner, or whoever has rights on the storage and on the guest that it belongs to."""

from __future__ import annotations

from ..errors import ApiError
from ..state import storage
from . import access
from .session import Session


def check(session: Session, volid: str, vmid: int | None, content: str = "") -> None:
    """Die unless the caller may use a volume, as its owner or by its rights."""
    if not storage.split_volid(volid):
        if not session.is_root:
            where = "/usr/share/perl5/PVE/Storage.pm line 651."
            raise ApiError(f"Only root can pass arbitrary filesystem paths. at {where}")
        return
    store, volume = storage.locate(session.state, volid)
    parsed = store.parse(volume)
    if content and parsed.content != content and (content, parsed.content) != ("rootdir", "images"):
        raise ApiError(f"unable to use volume {volid} - content type needs to be '{content}'")
    path = f"/storage/{store.name}"
    if access.may(session, path, ["Datastore.Allocate"]):
        return
    if parsed.content in ("iso", "vztmpl", "import"):
        access.need(session, path, "Datastore.AllocateSpace", "Datastore.Audit", any_of=True)
    elif parsed.vmid is not None and parsed.vmid == vmid:
        return
    elif parsed.content == "backup" and parsed.vmid:
        access.need(session, path, "Datastore.AllocateSpace")
        access.need(session, f"/vms/{parsed.vmid}", "VM.Backup")
    elif parsed.content == "images" and parsed.vmid:
        access.need(session, path, "Datastore.Audit")
        access.need(session, f"/vms/{parsed.vmid}", "VM.Config.Disk")
    else:
        raise ApiError(f"missing privileges to access {volid}")


def may(session: Session, volid: str, vmid: int | None) -> bool:
    """Whether the caller may use a volume."""
    try:
        check(session, volid, vmid)
    except ApiError:
        return False
    return True
