# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how far an upgrade of a router came, and what its two guests are now.

A note tells of which kind they are; what is said of containers alone, backups and half restorations, no note of VMs
has.
"""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind


def kind_of(note: t.Mapping[str, t.Any]) -> Kind:
    """Of which kind the two guests are that a note is about."""
    return t.cast("Kind", note["kind"])


def router_name(note: t.Mapping[str, t.Any]) -> str | None:
    """How the router is called whose upgrade a note is about."""
    return t.cast("str | None", note["place"].get(KINDS[kind_of(note)].name_option))


def lock(node: Node, kind: Kind, old: int) -> t.ContextManager[None]:
    """Holds off everybody else who would upgrade a router, or clean up after that, by whatever name they call it."""
    return node.lock(f"{kind}-upgrade-{old}")


def interim(name: str) -> str:
    """What the new guest is called until it takes over."""
    return f"{name}-upgrade"


def kept_name(name: str) -> str:
    """What is left of the old router is called."""
    return f"{name}-rollback"


def name_of(node: Node, kind: Kind, vmid: int) -> str | None:
    config = node.config(kind, vmid)
    return config.options.get(KINDS[kind].name_option) if config else None


def is_running(node: Node, kind: Kind, vmid: int) -> bool:
    return node.config(kind, vmid) is not None and node.status(kind, vmid) == "running"


def is_interim(node: Node, vmid: int, note: t.Mapping[str, t.Any]) -> bool:
    """Whether what the cluster has under the new guest's number is that guest, by its name."""
    guest = node.locate(vmid)
    return guest is not None and (guest.kind, guest.node, guest.name) == (kind_of(note), node.name, note["name"])


def is_old_router(node: Node, new: int, note: t.Mapping[str, t.Any]) -> bool:
    """Whether what has the old router's number is that router, or what is left of it: the number may be another's, and
    so may be the name."""
    old, name, kind = note["upgrade_of"], str(router_name(note)), kind_of(note)
    config = node.config(kind, old)
    if any(guest.vmid not in (old, new) for guest in node.named(kind, name)):
        return False
    if config is None:
        return "archive" in note and node.locate(old) is None
    if config.options.get("lock") == "create":
        return "archive" in note and is_half_restored(node, note)
    return config.options.get(KINDS[kind].name_option) in (name, kept_name(name))


def is_half_restored(node: Node, note: t.Mapping[str, t.Any]) -> bool:
    """Whether the old router's number has what a restoration of this upgrade has left when it was killed."""
    old, span = note["upgrade_of"], cleanup.window_of(note.get("over", {}))
    config = node.config(kind_of(note), old)
    if config is None or config.options.get("lock") != "create" or span is None or node.leftovers is None:
        return False
    return node.leftovers.written(kind_of(note), old) in span


def use_of(node: Node, new: int, note: t.Mapping[str, t.Any]) -> str:
    """What shows that somebody has come to use the new guest, in words; nothing while it only waits for its turn,
    and of a guest of somebody else that has got its number."""
    kind, place = kind_of(note), note["place"]
    guest, config = node.locate(new), node.config(kind, new)
    if guest is None or guest.kind != kind or (config is not None and config.options.get("lock") == "create"):
        return ""
    if config is None:
        return f"is on node {guest.node} now"
    options, runs = config.options, is_running(node, kind, new)
    if guest.name != note["name"]:
        begun = note.get("back") and guest.name == router_name(note) and not runs
        return f"is called {guest.name} now" if _macs(kind, options) & _macs(kind, place) and not begun else ""
    written = KINDS[kind].network
    if runs and any(not written.parse(text).get("link_down") for key, text in options.items() if is_net(key)):
        return "is on the network now"
    signs = {
        "is protected now": options.get("protection") == "1",
        "is a template now": options.get("template") == "1",
        "has snapshots now": bool(config.snapshots),
    }
    return next((words for words, seen in signs.items() if seen), "")


def _macs(kind: Kind, options: t.Mapping[str, str]) -> set[str]:
    written = KINDS[kind].network
    found = {str(written.parse(text).get("hwaddr", "")).upper() for key, text in options.items() if is_net(key)}
    return found - {""}
