# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: on which storages a VM's drive for cloud-init, and the contents in it, are to lie.

``stated`` is the storage that the user states.
"""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.cloud_init_held import (
    DRIVE,
    Options,
    cloud_init_drive,
)
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.content import our_file
from ansible_collections.pve.provision.plugins.module_utils._model.option import HIDDEN
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import file_needs, missing
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import usable

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

NO_AGENT: t.Final = (
    "agent: the guest agent cannot be installed in the VM: no storage takes snippets, nor a CD image from this "
    "login. Use an image that has the agent, or give a storage the content type snippets or iso "
    "(cloud_init.install_agent=true insists on it, false silences this)"
)


def snippet_storage(node: Node, stated: str | None) -> str:
    """Where snippets go; empty where none takes any from here."""
    if node.snippets is None:
        return ""
    storages = [storage.name for storage in usable(node.storages(), "snippets")]
    return stated if stated in storages else next(iter(storages), "")


def image_storage(node: Node, stated: str | None, held: str = "") -> str:
    """Where a CD image goes; empty where none takes any. It stays where it is; whether that takes another is asked when
    another comes."""
    before = held.partition(":")[0] if our_file(held) else ""
    if before and (stated or before) == before:
        return before
    storages = [storage.name for storage in usable(node.storages(), "iso")]
    return next((name for name in (stated, before, *storages) if name and name in storages), "")


def takes_contents(node: Node, stated: str | None) -> bool:
    """Whether contents can come to a new VM at all, with what this login may do."""
    if snippet_storage(node, stated):
        return True
    storage, access = image_storage(node, stated), node.access()
    return bool(storage) and (access is None or not missing(file_needs("upload", storage, ""), access))


def drive_storage(node: Node, stated: str | None, wanted: Wanted, held: Options) -> str:
    """Where PVE's drive goes: where that is declared, or where the VM has its first disk, or the most room."""
    values = wanted.declaration.values.values()
    named = [value["storage"] for value in values if isinstance(value, dict) and value.get("storage")]
    disks = [text.partition(":")[0] for key, text in held.items() if DRIVE.fullmatch(key) and "media=cdrom" not in text]
    named += [storage for storage in disks if storage]
    storages = usable(node.storages(), wanted.type.content) if not (stated or named) else []
    return stated or next(iter(named), "") or next((storage.name for storage in storages), "")


def drive_elsewhere(stated: str | None, wanted: Wanted, held: Options, option: str) -> t.Iterator[Finding]:
    """PVE's drive stays where it is, and in a clone goes where that goes."""
    there = held.get(cloud_init_drive(held), "").split(",")[0]
    storage = (wanted.clone.storage if wanted.clone else None) or there.partition(":")[0]
    if there and stated and storage != stated:
        remedy = "Declare the storage it is on, or leave it out."
        yield Finding(option, stated, f"is not where the drive for cloud-init is: {there}", remedy)


def nowhere(node: Node, contents: t.Iterable[str], group: str) -> Finding:
    """That no storage takes contents."""
    problem = (
        f"cannot be passed to the VM: no storage of node {node.name} takes snippets from here, and none ISO images"
    )
    remedy = "Give a storage with files the content type snippets (and run on the node) or iso."
    return Finding(f"{group}.{next(iter(contents), 'user')}_data", HIDDEN, problem, remedy)
