# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: taking back what a run made, and nothing else.

A ``pct create`` that is killed leaves a config that holds only ``lock: create``, and volumes that no config names. PVE
lets nobody write into that config, so our mark is a note in the node's journal, written before the creation starts and
removed when it has ended: vmid, name, storages, and the time before which a volume cannot be ours.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import split
from ansible_collections.pve.provision.plugins.module_utils._model.volume import storage_of
from ansible_collections.pve.provision.plugins.module_utils._workflow.guest import Actual, Wanted

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import GuestConfig, Kind, Node

POLL = 1.0
# What PVE locks a guest for while it makes, copies or backs it up, and leaves locked when that is killed.
UNFINISHED: t.Final = ("create", "disk", "backup")
# How often another run may take a free vmid before us until we give up.
VMID_RACES = 20
Made = t.TypeVar("Made")


def begin(node: Node, wanted: Wanted, vmid: int, options: t.Mapping[str, str], **more: t.Any) -> bool:
    """Note that this run is about to create a guest; False when another run has noted the same vmid before.

    ``more`` adds to the note, or says otherwise than ``wanted``.
    """
    volumes = [split(text, "volume") for key, text in options.items() if wanted.type.is_volume(key)]
    homes = {storage_of(volume["volume"]) for volume in volumes}
    note = {
        "kind": wanted.type.kind,
        "name": wanted.name,
        "storages": sorted(home for home in homes if home),
        "since": int(time.time()),
        **more,
    }
    return node.journal.setdefault(vmid, note) == note


def claim(
    node: Node,
    wanted: Wanted,
    options: t.Mapping[str, str],
    make: t.Callable[[int], Made],
    *,
    vmid: int | None = None,
    **more: t.Any,
) -> Made:
    """Make a guest under this vmid, or under a free one: when another run takes that first, under the next.

    What :func:`begin` notes stays noted until somebody says that the guest is whole, or it is removed."""
    for _attempt in range(VMID_RACES):
        number = vmid or node.next_vmid(skip=node.journal)
        if not begin(node, wanted, number, options, **more):
            continue
        try:
            return make(number)
        except Conflict as error:
            if error.details.get("reason") != "vmid_taken":
                raise
            node.journal.pop(number, None)
            if vmid is not None:
                raise
    raise Conflict(f"{VMID_RACES} free vmids in a row were taken by others.", remedy="Give the guest a vmid.")


def leftover(node: Node, wanted: Wanted, vmid: int | None) -> tuple[int, dict[str, t.Any]] | None:
    """Our note about a killed creation of this guest, by vmid or by name, if there is one."""
    for number, note in list(node.journal.items()):
        same = number == vmid if vmid is not None else wanted.name is not None and note.get("name") == wanted.name
        if same and note.get("kind") == wanted.type.kind:
            return number, note
    return None


def is_ours(wanted: Wanted, vmid: int, note: t.Mapping[str, t.Any], config: GuestConfig | None) -> bool:
    """Whether what is at a noted vmid can be of our making: nothing, half a guest, or one of the noted name.

    A note may outlive its guest, and somebody else may have got the vmid since.
    """
    if config is None or config.options.get("lock") == "create":
        return True
    unnamed = {"lxc": f"CT{vmid}", "qemu": None}[wanted.type.kind]
    return config.options.get(wanted.type.name_key) == (note.get("name") or unnamed)


def await_creator(node: Node, kind: Kind, vmid: int, timeout: int) -> None:
    """Wait while somebody is creating the guest: a module may be killed and its ``pct create`` live on."""
    deadline = time.monotonic() + timeout
    while node.busy(kind, vmid):
        if time.monotonic() > deadline:
            raise Conflict(
                f"{vmid} is still being created after {timeout} s.", remedy="Wait for that task, or raise the timeout."
            )
        time.sleep(POLL)


def recover(node: Node, wanted: Wanted, actual: Actual, *, sure: bool = False) -> list[str]:
    """Remove what a killed creation of ours left: the guest and the volumes made since. Returns warnings.

    ``sure``: this very run made the guest, so that nobody has to look whose it is.
    """
    vmid, note = t.cast("int", actual.vmid), actual.leftover or {}
    kind = wanted.type.kind
    config = node.config(kind, vmid)
    if not sure and not is_ours(wanted, vmid, note, config):
        node.journal.pop(vmid, None)
        return []
    if config is not None:
        lock = config.options.get("lock")
        if lock == "mounted":
            node.unmount(vmid)
        elif lock in UNFINISHED:
            node.unlock(kind, vmid)
        elif node.status(kind, vmid) == "running":
            node.stop(kind, vmid, timeout=wanted.policy.shutdown_timeout)
        node.destroy(kind, vmid, purge=False, timeout=wanted.policy.timeout)
    warnings = free_orphans(node, vmid, note)
    node.journal.pop(vmid, None)
    return warnings


def free_orphans(
    node: Node, vmid: int, note: t.Mapping[str, t.Any], options: t.Mapping[str, str] | None = None
) -> list[str]:
    """Remove the volumes of a guest that were made since the note, and that its options, if it has any, do not name.

    Returns warnings. What a storage calls the time of creation is that of the last write on some."""
    used = {value.partition(",")[0] for value in (options or {}).values()}
    warnings = []
    for storage in note.get("storages", []):
        for volume in node.volumes(storage):
            if volume.vmid != vmid or volume.volid in used:
                continue
            if volume.ctime is not None and volume.ctime >= note["since"]:
                node.free(volume.volid)
            else:
                warnings.append(f"{volume.volid} belongs to no guest; it is left alone, for this run did not make it")
    return warnings


def undo(node: Node, wanted: Wanted, vmid: int, *, made: bool) -> list[str]:
    """After a failed creation: remove the guest this run made. Returns what could not be removed, in words.

    A creation that failed (``made`` False) never leaves a whole guest, so a whole one is somebody else's.
    """
    kind = wanted.type.kind
    note = node.journal.get(vmid)
    if note is None:
        return []
    try:
        config = node.config(kind, vmid)
        if not made and (node.busy(kind, vmid) or (config is not None and config.options.get("lock") != "create")):
            node.journal.pop(vmid, None)
            return []
        return recover(node, wanted, Actual(vmid, leftover=note), sure=made)
    except ProvisionError as error:
        return [f"{wanted.type.noun} {vmid} could not be removed again: {error}"]
