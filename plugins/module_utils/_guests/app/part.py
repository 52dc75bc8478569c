# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what an application adds to the run over its guest."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node


@dataclass
class AppTemplate(Part):
    """A new container is made from the template of its application, where its declaration names none. One that is there
    has been made, from whatever it was."""

    ostemplate: str

    def prepare(self, node: Node, wanted: Wanted) -> Wanted:
        if wanted.source is not None or wanted.copied or wanted.template_made_by_run:
            return wanted
        return dataclasses.replace(wanted, source=self.ostemplate)
