# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which storage can take a volume, and whether there is room. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Storage

WORDS = {"rootdir": "containers", "images": "VM disks", "vztmpl": "container templates", "iso": "ISO images"}


def usable(storages: t.Iterable[Storage], content: str) -> list[Storage]:
    """The storages that are active and take this content, the one with the most room first."""
    fitting = [s for s in storages if s.active and s.enabled and content in s.content]
    return sorted(fitting, key=lambda storage: (-(storage.available or 0), storage.name))


def check_storage(
    storages: t.Sequence[Storage], name: str, content: str, need: int, option: str, *, written: bool = False
) -> tuple[list[Finding], list[str]]:
    """What stands against ``need`` bytes of new volumes on a storage: findings, and warnings. ``written``: all of it is
    written at once, so that it does not help when the storage is thin."""
    found = next((storage for storage in storages if storage.name == name), None)
    others = ", ".join(storage.name for storage in usable(storages, content)) or "none"
    remedy = f"Storages for {WORDS.get(content, content)} here: {others}."
    if found is None:
        return [Finding(option, name, "does not exist on this node", remedy)], []
    if content not in found.content:
        return [Finding(option, name, f"takes no {WORDS.get(content, content)} (content type {content})", remedy)], []
    if not (found.enabled and found.active):
        return [Finding(option, name, f"is {'not active' if found.enabled else 'disabled'}", remedy)], []
    return _check_room(found, need, option, thin=found.thin and not written)


def _check_room(storage: Storage, need: int, option: str, *, thin: bool) -> tuple[list[Finding], list[str]]:
    room = storage.available
    if room is None or need <= room:
        return [], []
    told = f"has {gib(room)} GiB free, {gib(need)} GiB are asked for"
    if thin and room > 0:
        return [], [f"{option}: {storage.name} {told}; it is thin, so this works until the space is really written"]
    return [Finding(option, storage.name, told, "Free some space, or choose another storage or a smaller size.")], []


def gib(size: int) -> str:
    """Bytes as GiB for people."""
    return f"{size / 1024**3:.1f}"
