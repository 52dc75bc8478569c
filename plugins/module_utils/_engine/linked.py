# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: templates that a run removes, and the guests whose volumes are linked to theirs."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.volume import is_linked

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import Ended
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef
    from ansible_collections.pve.provision.plugins.module_utils._pve.view import NodeView


def clones_first(
    planned: t.Sequence[Ended], view_of: t.Callable[[Ended], NodeView]
) -> tuple[dict[str, frozenset[str]], list[Finding]]:
    """By the names of removed templates the guests that go before them, for PVE keeps a volume as long as another is
    linked to it; and what stands against removing those that a guest still needs."""
    removed = {ended.result.vmid: ended for ended in planned if ended.result and ended.destroys_guest}
    order: dict[str, frozenset[str]] = {}
    findings: list[Finding] = []
    for vmid, ended in removed.items():
        clones = _linked_to(view_of(ended), vmid) if vmid else []
        kept = [clone for clone in clones if clone.vmid not in removed or removed[clone.vmid].makes_guest]
        if kept:
            listed = ", ".join(f"{clone.name} ({clone.vmid})" for clone in kept)
            remedy = "Remove them before it, or keep it."
            findings.append(Finding(ended.member.name, vmid, f"is what the disks of {listed} are linked to", remedy))
        elif clones:
            order[ended.member.name] = frozenset(removed[clone.vmid].member.name for clone in clones)
    return order, findings


def _linked_to(view: NodeView, vmid: int) -> list[GuestRef]:
    if not any(guest.template for guest in view.guests() if guest.vmid == vmid):
        return []
    return [guest for guest, config in view.configs(view.guests()) if is_linked(vmid, config.options.values())]
