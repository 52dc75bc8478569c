# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: find guests by their names, the same way on the node and over the API."""

from __future__ import annotations

import abc
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef, Kind, same_name

#: What to do where a guest that may be the declared one cannot be looked at.
UNSEEN_REMEDY: t.Final = "Wait until the node is up again, or give a new guest a vmid: no guest is created twice."


def unseen(guests: t.Iterable[GuestRef], kind: Kind) -> str:
    """That a guest may have any name, in words: the cluster's list tells none of those on a node that is down. Empty:
    all names are known."""
    found = [f"{KINDS[kind].noun} {guest.vmid} on node {guest.node}" for guest in guests if _is_unseen(guest, kind)]
    return f"may be {' or '.join(found)}, whose name is not known while that node does not answer" if found else ""


def _is_unseen(guest: GuestRef, kind: Kind) -> bool:
    return guest.kind == kind and guest.name is None


def check_seen(guests: t.Iterable[GuestRef], kind: Kind, name: str) -> None:
    """Raise Conflict where one of the guests may have the name."""
    if why := unseen(guests, kind):
        raise Conflict(f"{name} {why}.", remedy=UNSEEN_REMEDY)


class FindsByName(abc.ABC):
    """Finds guests by name in the lists that a way to a node reads."""

    @abc.abstractmethod
    def here(self, kind: Kind | None = None) -> list[GuestRef]:
        """The guests of this node."""

    @abc.abstractmethod
    def elsewhere(self, kind: Kind) -> list[GuestRef]:
        """The guests of the other nodes of the cluster."""

    def named(self, kind: Kind, name: str, *, everywhere: bool = False, sure: bool = False) -> list[GuestRef]:
        """The guests with this name. The other nodes are asked when this one has none, or with ``everywhere``. Where
        nobody has it, ``sure`` raises Conflict if a guest may have whose name is not known."""
        found = [guest for guest in self.here(kind) if same_name(guest.name, name)]
        if found and not everywhere:
            return found
        there = self.elsewhere(kind)
        found += [guest for guest in there if same_name(guest.name, name)]
        if sure and not found:
            check_seen(there, kind, name)
        return sorted(found, key=lambda guest: guest.vmid)
