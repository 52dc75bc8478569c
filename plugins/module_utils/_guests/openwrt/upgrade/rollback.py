# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: let the router from before an upgrade serve again."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.state import (
    is_half_restored,
    kept_name,
    kind_of,
)
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node


def attempt(act: t.Callable[[], object]) -> list[str]:
    """Do something that is to be tried whatever has failed before. Why it failed, in words."""
    try:
        act()
    except ProvisionError as error:
        return [str(error)]
    return []


def restore_identity(node: Node, wanted: Wanted, old: int, place: t.Mapping[str, str]) -> None:
    """Let the old router be what it was, and run unless it is to be stopped."""
    kind, name_key = wanted.type.kind, wanted.type.name_key
    config = node.config(kind, old)
    has = config.options if config else {}
    taken = has.get(name_key) == kept_name(place[name_key])
    back = {key: text for key, text in place.items() if not is_net(key)} if taken else protection_of(place, has)
    if back:
        node.set_config(kind, old, back)
    if wanted.state != "stopped":
        node.start(kind, old, timeout=wanted.policy.start_timeout)


def protection_of(place: t.Mapping[str, str], has: t.Mapping[str, str]) -> dict[str, str]:
    """What gives a router back the protection that was taken from it to replace it."""
    return {"protection": "1"} if place.get("protection") == "1" != has.get("protection") else {}


def restore_backup(node: Node, wanted: Wanted, note: t.Mapping[str, t.Any]) -> None:
    """Let the old router run again under its number: from its backup once it may be gone, and before that as it is."""
    old, place = note["upgrade_of"], note["place"]
    release(node, old, note)
    if "archive" in note:
        there = node.config("lxc", old) is not None  # a restore that fails removes what it was to go over
        if there:
            node.stop("lxc", old, timeout=wanted.policy.timeout)
            node.set_config("lxc", old, {"protection": "0"})
        options = {**place, "storage": note["storage"]}
        node.backups.restore(old, note["archive"], options, over=there, timeout=wanted.policy.timeout)
    restore_identity(node, wanted, old, place)


def release(node: Node, vmid: int, note: t.Mapping[str, t.Any]) -> None:
    """Free a guest of what PVE was doing to it for this upgrade when it was killed: of the lock of a backup or a
    restoration, and of volumes that nobody has."""
    kind = kind_of(note)
    config = node.config(kind, vmid)
    lock = config.options.get("lock") if config else None
    ours = {
        "backup": note.get("archiving") == vmid and (vmid != note["upgrade_of"] or "archive" not in note),
        "create": note["upgrade_of"] == vmid and is_half_restored(node, note),
    }
    if lock is None or not ours.get(lock) or node.leftovers is None or node.busy(kind, vmid):
        return
    node.leftovers.unlock(kind, vmid)
    if lock == "create":
        cleanup.free_orphans(node, vmid, {"storages": [note["storage"]], "task": "vzrestore", **note["over"]})


def drop_archives(node: Node, *vmids: int) -> None:
    """Remove the backups of an upgrade: they hold the routers' secrets."""
    for vmid in vmids if node.files is not None else ():
        node.backups.discard(vmid)
