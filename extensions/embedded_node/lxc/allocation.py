# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's volumes: allocated, formatted, kept as unused, freed."""

from __future__ import annotations

import typing as t
import uuid
from collections.abc import Mapping

from ..api.session import Session
from ..errors import ApiError
from ..state import faults, storage, storage_volumes, trees
from ..state.config_file import GuestFile
from ..state.propstring import format_size
from .container import UNUSED_KEY, volumes


def mkfs_text(size: int, identifier: str) -> str:
    """What mkfs.ext4 prints for a disk of that many bytes."""
    block = 4096 if size >= 512 * 1024**2 else 1024
    blocks = size // block
    per_group = block * 8
    groups = max(-(-(blocks - (block == 1024)) // per_group), 1)
    ratio = 16384 if block == 4096 else 4096
    table = -(-(-(-(size // ratio) // groups) * 256) // block)
    per_group_inodes = max(table * block // 256 & ~7, 8)
    text = f"Creating filesystem with {blocks} {block // 1024}k blocks and {per_group_inodes * groups} inodes\n"
    text += f"Filesystem UUID: {identifier}\nSuperblock backups stored on blocks: "
    left = 0
    for group in (number for number in range(1, groups) if _has_superblock(number)):
        start = group * per_group + (block == 1024)
        text += ", " if group > 1 else ""
        width = len(str(start)) + 2
        if width > left:
            text += "\n\t"
            left = 72
        left -= width
        text += str(start)
    return text + "\n"


def _has_superblock(group: int) -> bool:
    def power(base: int) -> bool:
        value = base
        while value < group:
            value *= base
        return value == group

    return group == 1 or any(power(base) for base in (3, 5, 7))


def filesystem_id() -> str:
    """A random UUID."""
    return str(uuid.uuid4())


def allocate_disk(session: Session, vmid: int, store: storage_volumes.Storage, kib: int) -> str:
    """Allocate and format a container's volume; returns its volume id."""
    if "rootdir" not in store.contents:
        raise ApiError(f"content type 'rootdir' is not available or configured on storage '{store.name}'")
    if faults.is_full(session.state, store.name):
        raise ApiError(no_room(store))
    subvol = store.type == "zfspool" or (kib == 0 and not store.kind.block)
    volume, said = store.activate().allocate(vmid, "subvol" if subvol else "raw", None, kib * 1024)
    try:
        session.write(said)
        faults.step(session.state, "alloc")
        trees.trees(session.state).format(store.path(volume), store.tree(volume))
        if not subvol:
            session.write(mkfs_text(kib * 1024, filesystem_id()))
            faults.step(session.state, "mkfs")
    except BaseException:
        store.remove(volume)
        raise
    return store.volid(volume)


def no_room(store: storage_volumes.Storage) -> str:
    """What the tool says when a storage is full."""
    if store.type == "lvmthin":
        pool = f"{store.options.get('vgname')}/{store.options.get('thinpool')}"
        why = f"Cannot create new thin volume, free space in thin pool {pool} reached threshold."
        return f"lvcreate '{pool}' error:   {why}"
    if store.type == "zfspool":
        return f"zfs error: cannot create '{store.options.get('pool')}': out of space"
    return f"unable to create image: qemu-img: {store.base}: No space left on device"


def create_disks(session: Session, vmid: int, wanted: Mapping[str, str], options: dict[str, str]) -> list[str]:
    """Allocate the new disks (``storage:GiB``) of ``wanted``, note all in ``options``; returns the new volids."""
    made: list[str] = []
    try:
        for mount in volumes(wanted):
            fresh = storage.NEW_DISK.fullmatch(mount.volume)
            if fresh:
                kib = int(float(fresh[2]) * 1024) * 1024
                mount.options["volume"] = allocate_disk(session, vmid, storage.get(session.state, fresh[1]), kib)
                made.append(mount.volume)
                mount.options["size"] = format_size(kib * 1024)
            options[mount.key] = mount.render()
    except BaseException:
        destroy_disks(session, made)
        raise
    return made


def destroy_disks(session: Session, volids: t.Iterable[str]) -> None:
    """Free volumes; what cannot be freed is complained about."""
    for volid in volids:
        try:
            free_volume(session, volid)
        except ApiError as error:
            session.complain(error.command_text)


def free_volume(session: Session, volid: str) -> None:
    """Free one volume, saying what the storage says."""
    store, volume = storage.locate(session.state, volid)
    session.complain(store.check_enabled().remove(volume))


def delete_volume(session: Session, vmid: int, volume: str) -> None:
    """Free a container's own volume; somebody else's is left alone with a warning."""
    if volume.startswith("/"):
        return
    store, name = storage.locate(session.state, volume)
    if store.parse(name).vmid == vmid:
        free_volume(session, volume)
    else:
        session.warn(f"ignore deletion of '{volume}', CT {vmid} isn't the owner!")


def in_use(conf: GuestFile, volume: str, skip: str = "") -> bool:
    """Whether a config uses a volume, now or in a snapshot."""
    sections = [conf.options, *(snapshot.options for snapshot in conf.snapshots.values())]
    return any(
        mount.volume == volume
        for section in sections
        for mount in volumes(section)
        if not (section is conf.options and mount.key == skip)
    )


def add_unused(conf: GuestFile, volume: str) -> str | None:
    """Note a volume as unused; returns the key, None when it is known already."""
    if any(UNUSED_KEY.fullmatch(key) and value == volume for key, value in conf.options.items()):
        return None
    key = next(f"unused{number}" for number in range(256) if f"unused{number}" not in conf.options)
    conf.options[key] = volume
    return key
