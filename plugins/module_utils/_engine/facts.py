# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a run reads of a node besides its guests, and what its guests share."""

from __future__ import annotations

import contextlib
import functools
import threading
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.network import Claim, claims

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Result
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
        Access,
        Bridge,
        GuestRef,
        Kind,
        Outcome,
        Storage,
        Volume,
    )

_Kept = t.TypeVar("_Kept")
# The types of storages on which volumes promise more space than they take.
POOLS: t.Final = frozenset({"lvmthin", "zfspool", "rbd"})


@dataclass(frozen=True)
class Planned:
    """A guest that is made before, by the same run: its number, and its options as PVE will have them."""

    vmid: int
    options: t.Mapping[str, str]


class Shared:
    """The steps that several guests of a run need: each is carried out once, and the others wait for that."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}
        self._ended: dict[str, ProvisionError | None] = {}

    def once(self, key: str, act: t.Callable[[], Outcome | None]) -> Outcome | None:
        """Carry out what has this key, unless that was done before; what failed once is not tried again."""
        with self._locks.setdefault(key, threading.Lock()):
            if key not in self._ended:
                try:
                    outcome = act()
                except ProvisionError as error:
                    self._ended[key] = error
                    raise
                self._ended[key] = None
                return outcome
            failed = self._ended[key]
        if failed is not None:
            words = f"it failed for another guest of this run: {failed.message}"
            raise ProvisionError(words, remedy=failed.remedy)
        return None


class Common:
    """What the guests of a run share, on whatever nodes of a cluster. ``reserved``: bytes that what was planned before
    takes on each storage; None once all is planned. ``kept`` is what kinds of guests know of the whole run. ``later``:
    how guests that are as declared end, for whoever plans many to do at once; None where each ends by itself.
    ``at_once``: how many guests are made at once on a storage of each type, where that is limited; ``turns``: those
    that they take there."""

    def __init__(self) -> None:
        self.reserved: dict[str, int] | None = {}
        self.counted: set[str] = set()
        self.shared = Shared()
        self.kept: dict[str, t.Any] = {}
        self.later: list[tuple[Result, t.Callable[[], object]]] | None = None
        self.at_once: t.Mapping[str, int] = {}
        self.turns: dict[str, threading.Semaphore] = {}


class Facts:
    """What a run reads of a node besides the guest, each thing once and only when it is asked for."""

    def __init__(self, node: Node, common: Common | None = None) -> None:
        self.node = node
        self.common = common or Common()
        self._kept: dict[str, t.Any] = {}
        self.planned: dict[tuple[Kind, str], Planned] = {}

    def _everywhere(self, storage: str) -> str:
        """What a storage is called among all nodes: a shared one is the same on each."""
        shared = any(each.name == storage and each.shared for each in self.storages)
        return storage if shared else f"{self.node.name}: {storage}"

    def once(self, key: str, storage: str, act: t.Callable[[], Outcome | None]) -> Outcome | None:
        """Carry out what guests share that need the same on a storage, unless that was done before."""
        return self.common.shared.once(f"{self._everywhere(storage)} {key}" if storage else key, act)

    @contextlib.contextmanager
    def turn_on(self, storages: t.Iterable[str]) -> t.Iterator[None]:
        """Make a guest on some storages when it is its turn there."""
        common = self.common
        types = {each.name: each.type for each in self.storages} if common.at_once else {}
        with contextlib.ExitStack() as held:
            for name in sorted(storages):
                if limit := common.at_once.get(types.get(name, "")):
                    held.enter_context(common.turns.setdefault(self._everywhere(name), threading.Semaphore(limit)))
            yield

    def reserved_on(self, storage: str) -> int:
        """The bytes that were counted as taken on a storage."""
        return (self.common.reserved or {}).get(self._everywhere(storage), 0)

    def promised_on(self, storage: str) -> int:
        """The bytes that the volumes on a pool that takes space as they are written may come to take; elsewhere 0. That
        is read where storages are chosen from alone: to list a pool costs a command."""
        pools = {each.name for each in self.storages if each.type in POOLS and each.active}
        if storage not in pools:
            return 0
        there = self.keep(f"promised {storage}", lambda: self.node.volumes(storage))
        return sum(volume.size for volume in there)

    def reserve(self, storage: str, size: int) -> int:
        """Count bytes that are taken on a storage, as long as guests are planned. What was taken before."""
        if self.common.reserved is None:
            return 0
        home = self._everywhere(storage)
        before = self.common.reserved.get(home, 0)
        self.common.reserved[home] = before + size
        return before

    def reserve_once(self, key: str, storage: str, size: int) -> int:
        """The same for what several guests share: nothing where it was counted."""
        counted = f"{self._everywhere(storage)} {key}"
        if self.common.reserved is None or counted in self.common.counted:
            return 0
        self.common.counted.add(counted)
        return self.reserve(storage, size) + size

    def keep(self, key: str, read: t.Callable[[], _Kept]) -> _Kept:
        """What a kind of guest reads for itself, once for all guests of a run."""
        if key not in self._kept:
            self._kept.setdefault(key, read())  # another guest may have been faster
        return t.cast("_Kept", self._kept[key])

    @functools.cached_property
    def storages(self) -> list[Storage]:
        return self.node.storages()

    @functools.cached_property
    def bridges(self) -> dict[str, Bridge]:
        return {bridge.name: bridge for bridge in self.node.bridges()}

    @functools.cached_property
    def processors(self) -> int | None:
        return self.node.hardware.processors()

    @functools.cached_property
    def pools(self) -> dict[str, frozenset[int]]:
        return self.node.pools()

    @functools.cached_property
    def access(self) -> Access | None:
        return self.node.access()

    @functools.cached_property
    def version(self) -> str:
        return self.node.version()

    @functools.cached_property
    def guests(self) -> list[GuestRef]:
        return self.node.guests()

    @functools.cached_property
    def templates(self) -> list[Volume]:
        return self.volumes_for("vztmpl")

    def volumes_for(self, content: str) -> list[Volume]:
        """The volumes of a content type on all storages."""
        holding = [storage for storage in self.storages if content in storage.content and storage.active]
        return [volume for storage in holding for volume in self.node.volumes(storage.name, content)]

    @functools.cached_property
    def users(self) -> dict[Claim, list[GuestRef]]:
        """The guests of this node that have a MAC address, or an address on a segment. A template never runs."""
        found: dict[Claim, list[GuestRef]] = {}
        for guest, config in self.node.configs(guest for guest in self.guests if not guest.template):
            nets = KINDS[guest.kind].networks(config.options).values()
            for claim in {claim for net in nets for _key, claim in claims(net)}:
                found.setdefault(claim, []).append(guest)
        return found

    def lacks(self, path: str) -> bool:
        """Whether a file or directory is not on the node, as far as that can be known."""
        files = self.node.files
        return files is not None and not files.has(path)

    def find_volume(self, volid: str) -> Volume | None:
        """A volume of a storage of this node, or None when it is not there."""
        storage = volid.partition(":")[0]
        if not any(each.name == storage and each.active for each in self.storages):
            return None
        return next((volume for volume in self.node.volumes(storage) if volume.volid == volid), None)
