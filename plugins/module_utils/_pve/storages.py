# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which storage can take a volume, which one does best, and whether there is room. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Storage

WORDS = {"rootdir": "containers", "images": "VM disks", "vztmpl": "container templates", "iso": "ISO images"}
_KEEPS: t.Final = {"rbd": 2, "cephfs": 2, "zfspool": 1, "zfs": 1, "btrfs": 1}
# In the order in which they count.
_MERITS: t.Final = ("is emptier", "keeps its data better", "is seen by all nodes", "has more room")
AT_ONCE: t.Final = {"dir": 2, "btrfs": 2, "nfs": 2, "cifs": 2, "cephfs": 2}
"""How many guests are made at once on a storage of a type that keeps files: more only take turns at the same disk."""
_REMEDY: t.Final = "Free some space, or choose another storage or a smaller size."


@dataclass(frozen=True)
class Limits:
    """How full a storage may become, in percent of it: above ``warn`` that is told, above ``refuse`` it is refused."""

    warn: int = 85
    refuse: int = 95


@dataclass(frozen=True)
class Demand:
    """What is to go on a storage: bytes of a content. ``taken``: the bytes that others of the run take of each;
    ``promised``: the bytes that the volumes of each may come to take, which on a thin one is more than they do."""

    content: str
    size: int
    taken: t.Callable[[str], int] = field(default=lambda _storage: 0)
    promised: t.Callable[[str], int] = field(default=lambda _storage: 0)

    def on(self, storage: Storage) -> int:
        """The bytes that are gone of a storage with all that."""
        return self.size + self.taken(storage.name)


@dataclass(frozen=True)
class Ranking:
    """The storages for a demand, the best first; why each of the others that could take it is ``behind``, and why the
    rest is ``refused``. ``crowded``: those of the rest that have no room, the best first."""

    fitting: tuple[Storage, ...]
    behind: t.Mapping[str, str]
    refused: t.Mapping[str, str]
    crowded: tuple[Storage, ...] = ()


def rank(
    storages: t.Iterable[Storage], demand: Demand, limits: Limits | None = None, *, clustered: bool = False
) -> Ranking:
    """Order storages by how well each takes a demand: those that stay below the limit of a warning come first, even if
    all is written that is promised of a thin one; then those that keep their data better, in a cluster those that all
    nodes see, and then those with more room left."""
    limits = limits or Limits()
    refused: dict[str, str] = {}
    fitting: list[Storage] = []
    crowded: list[Storage] = []
    for storage in storages:
        if unfit := _unfit(storage, demand.content):
            refused[storage.name] = unfit
        elif full := _too_full(storage, demand.on(storage), limits, thin=storage.thin):
            refused[storage.name] = full
            crowded.append(storage)
        else:
            fitting.append(storage)

    def merits(storage: Storage) -> tuple[int, ...]:
        """What it has over others, in the order in which it counts; less is better."""
        unwritten = max(demand.promised(storage.name) - (storage.used or 0), 0)
        after = _percent(storage, demand.on(storage) + unwritten)
        left = (storage.available or 0) - demand.taken(storage.name) - unwritten
        full, local = after is not None and after > limits.warn, clustered and not storage.shared
        return int(full), -keeps(storage), int(local), -left

    def place(storage: Storage) -> tuple[tuple[int, ...], str]:
        return merits(storage), storage.name

    ordered = sorted(fitting, key=place)
    behind = {each.name: f"{ordered[0].name} {_advantage(merits(ordered[0]), merits(each))}" for each in ordered[1:]}
    return Ranking(tuple(ordered), behind, refused, tuple(sorted(crowded, key=place)))


def _advantage(one: tuple[int, ...], other: tuple[int, ...]) -> str:
    """In words, the first merit that one storage has over another."""
    return next((words for words, mine, theirs in zip(_MERITS, one, other, strict=True) if mine < theirs), _MERITS[-1])


def keeps(storage: Storage) -> int:
    """How well a storage keeps its data, by its type: 2 with copies on several nodes, 1 with checksums of all of it."""
    return _KEEPS.get(storage.type, 0)


def _unfit(storage: Storage, content: str) -> str:
    """Why a storage takes no such content, whatever its size; empty where it does."""
    if content not in storage.content:
        return f"takes no {WORDS.get(content, content)}"
    if not (storage.enabled and storage.active):
        return f"is {'not active' if storage.enabled else 'disabled'}"
    return ""


def usable(storages: t.Iterable[Storage], content: str) -> list[Storage]:
    """The storages that are active and take this content, the one with the most room first."""
    fitting = [s for s in storages if s.active and s.enabled and content in s.content]
    return sorted(fitting, key=lambda storage: (-(storage.available or 0), storage.name))


def check_storage(
    storages: t.Sequence[Storage],
    name: str,
    content: str,
    need: int,
    option: str,
    *,
    written: bool = False,
    limits: Limits | None = None,
) -> tuple[list[Finding], list[str]]:
    """What stands against ``need`` bytes of new volumes on a storage: findings, and warnings. ``written``: all of it is
    written at once, so that it does not help when the storage is thin."""
    found = next((storage for storage in storages if storage.name == name), None)
    others = ", ".join(storage.name for storage in usable(storages, content)) or "none"
    remedy = f"Storages for {WORDS.get(content, content)} here: {others}."
    if found is None:
        return [Finding(option, name, "does not exist on this node", remedy)], []
    if content not in found.content:
        return [Finding(option, name, f"{_unfit(found, content)} (content type {content})", remedy)], []
    if unfit := _unfit(found, content):
        return [Finding(option, name, unfit, remedy)], []
    thin, limits = found.thin and not written, limits or Limits()
    if problem := _too_full(found, need, limits, thin=thin):
        return [Finding(option, name, problem, _REMEDY)], []
    return [], [f"{option}: {name} {told}" for told in _told_of_room(found, need, limits)]


def _percent(storage: Storage, need: int) -> float | None:
    """How full a storage is with so many bytes more; None where PVE does not tell."""
    if not storage.total or storage.used is None:
        return None
    return (storage.used + need) * 100 / storage.total


def _too_full(storage: Storage, need: int, limits: Limits, *, thin: bool) -> str:
    """Why there is no room for so many bytes; empty where there is. A thin storage promises what is not written yet."""
    room = storage.available
    if need <= 0 or room is None:
        return ""
    if need > room and not (thin and room > 0):
        return f"has {gib(max(room, 0))} GiB free, {gib(need)} GiB are needed"
    full = _percent(storage, 0 if thin else need)
    if full is None or full <= limits.refuse:
        return ""
    return f"{'is' if thin else 'would be'} {full:.0f} % full, and storage_refuse is {limits.refuse}"


def _told_of_room(storage: Storage, need: int, limits: Limits) -> t.Iterator[str]:
    """What is to be known of a storage that has room."""
    room, full = storage.available, _percent(storage, need)
    if need <= 0 or room is None:
        return
    if need > room:
        told = f"has {gib(room)} GiB free, {gib(need)} GiB are needed"
        yield f"{told}; it is thin, so this works until the space is really written"
    elif full is not None and full > limits.warn:
        yield f"would be {full:.0f} % full with all that is declared (storage_warn is {limits.warn})"


def gib(size: int) -> str:
    """Bytes as GiB for people."""
    return f"{size / 1024**3:.1f}"
