# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is done once the new router serves in the place of the old one."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import Router
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.rollback import (
    attempt,
    drop_archives,
    protection_of,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.state import (
    kept_name,
    router_name,
)

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig


def install(router: Router, wished: t.Iterable[str], patience: int) -> list[str]:
    """Install what the old router had and the new one has not, and configure what that brought. Returns warnings."""
    seen, warnings = router.probe(), []
    missing = [name for name in wished if name not in seen.packages]
    if missing:
        done = router.install(missing)
        warnings += [done.note] if done.note else []
        warnings += [f"not installed: {', '.join(missing)} ({done.trouble})"] if done.trouble else []
        seen = router.probe()
    router.apply(router.drift(seen), seen, patience=patience)
    return warnings


def finish_by_name(node: Node, wanted: Wanted, new: int, note: t.Mapping[str, t.Any]) -> list[str]:
    """The new guest is the router from now on. The old one goes, unless it is to be kept, or somebody has come to
    use it. Returns why it is still there, in words."""
    kind, old, name = wanted.type.kind, note["upgrade_of"], str(router_name(note))
    config = node.config(kind, old)
    words = []
    if not note["keep"] and config is not None and config.options.get(wanted.type.name_key) == kept_name(name):
        words = _remove_old(node, wanted, old, config, note["place"])
    node.journal.pop(new, None)
    return words


def _remove_old(node: Node, wanted: Wanted, old: int, config: GuestConfig, place: t.Mapping[str, str]) -> list[str]:
    kind = wanted.type.kind
    kept = f"{wanted.type.noun} {old}, the router from before its upgrade, stays"
    protected = config.options.get("protection") == "1"
    if protected and place.get("protection") != "1":
        return [f"{kept}: it is protected"]
    if node.status(kind, old) == "running":
        return [f"{kept}: it runs"]
    words = attempt(lambda: node.set_config(kind, old, {"protection": "0"})) if protected else []
    words += attempt(lambda: node.destroy(kind, old, purge=False, timeout=wanted.policy.timeout))
    return [f"{kept}: {'; '.join(words)}"] if words else []


def finish_in_place(node: Node, wanted: Wanted, new: int, note: dict[str, t.Any]) -> list[str]:
    """The router has been replaced: it gets back what was taken from it for that, and a copy of the old one is kept.

    Returns why there is no copy, in words; the backup of the old one then stays."""
    old, config = note["upgrade_of"], node.config("lxc", note["upgrade_of"])
    if config is not None and (back := protection_of(note["place"], config.options)):
        node.set_config("lxc", old, back)
    words = keep_copy(node, wanted, note) if note["keep"] else []
    if not words:
        node.journal[new] = {**note, "keep": False}
        drop_archives(node, old, new)
    return words


def keep_copy(node: Node, wanted: Wanted, note: t.Mapping[str, t.Any]) -> list[str]:
    """What was before stays as a container that does not start by itself. Why not, in words, when it cannot."""
    storage, archive = note["storage"], note["archive"]
    options = {"hostname": kept_name(note["place"]["hostname"]), "onboot": "0", "protection": "0", "unique": "1"}
    ours: dict[str, t.Any] = {"name": options["hostname"], "copy_of": note["upgrade_of"]}
    made: list[int] = []

    def restore(vmid: int) -> None:
        made.append(vmid)
        node.backups.restore(vmid, archive, {**options, "storage": storage}, timeout=wanted.policy.timeout)

    try:
        cleanup.claim(node, wanted, {"rootfs": f"{storage}:0"}, restore, by="restore", **ours)
    except ProvisionError as error:
        for vmid in made:
            cleanup.undo(node, wanted, vmid, made=False)
        return [f"the old router could not be kept as a container ({error}); its backup is {archive}"]
    node.journal.pop(made[-1], None)
    return []
