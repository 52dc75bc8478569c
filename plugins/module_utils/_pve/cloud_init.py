# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a node can do about what its VMs are told by cloud-init."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome


class CloudInit(t.Protocol):
    """What VMs are told by cloud-init."""

    def dump(self, vmid: int, part: str) -> str:
        """What PVE makes of the options of a VM: ``user``, ``network`` or ``meta``. It passes over what ``cicustom``
        names. The password's hash is hidden from a login that may not set it."""

    def regenerate(self, vmid: int) -> Outcome:
        """Rewrite the drive of a VM; a running one reads it when it boots again."""


class Snippets(t.Protocol):
    """Files of the content type snippets, which nobody can upload."""

    def write(self, volid: str, text: str) -> bool:
        """Put a text on a storage; whether it is closed there to all but its owner."""

    def remove(self, volid: str) -> None: ...

    def missing(self, volid: str) -> bool:
        """Whether it is not there, as far as a look that costs nothing tells."""
