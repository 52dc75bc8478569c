# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: find guests by their names, the same way on the node and over the API."""

from __future__ import annotations

import abc

from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef, Kind, same_name


class FindsByName(abc.ABC):
    """Finds guests by name in the lists that a way to a node reads."""

    @abc.abstractmethod
    def here(self, kind: Kind | None = None) -> list[GuestRef]:
        """The guests of this node."""

    @abc.abstractmethod
    def elsewhere(self, kind: Kind) -> list[GuestRef]:
        """The guests of the other nodes of the cluster."""

    def named(self, kind: Kind, name: str, *, everywhere: bool = False) -> list[GuestRef]:
        """The guests with this name. The other nodes are asked when this one has none, or with ``everywhere``."""
        found = [guest for guest in self.here(kind) if same_name(guest.name, name)]
        if found and not everywhere:
            return found
        others = [guest for guest in self.elsewhere(kind) if same_name(guest.name, name)]
        return sorted(found + others, key=lambda guest: guest.vmid)
