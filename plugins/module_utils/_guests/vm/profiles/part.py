# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a profile adds to a run over its VM: what holds for a new one alone."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

_DISK = re.compile(r"disks\[(\d+)\]")


@dataclass
class ProfilePart(Part):
    """A profile's part. ``declared``: the entries of ``disks`` as the user states them."""

    declared: t.Sequence[t.Mapping[str, t.Any]] = ()

    def resolve(self, node: Node, wanted: Wanted, actual: Actual, *, act: bool) -> Wanted:
        """The disks of a VM that is there, and their sizes, are what they became since it was made: of those the
        profile says nothing."""
        if actual.config is None:
            return wanted
        values = dict(wanted.declaration.values)
        for key, path in wanted.declaration.paths.items():
            match = _DISK.fullmatch(path)
            if not match or key not in values or values[key] is None:
                continue
            place = int(match[1])
            if place >= len(self.declared):
                del values[key]
            elif self.declared[place].get("size") is None:
                values[key] = {name: value for name, value in values[key].items() if name != "size"}
        return dataclasses.replace(wanted, declaration=dataclasses.replace(wanted.declaration, values=values))
