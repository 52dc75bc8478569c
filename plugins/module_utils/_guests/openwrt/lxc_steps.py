# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the steps that make a container a router."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seeding import inject_files
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import Files
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import Read, seed
from ansible_collections.pve.provision.plugins.module_utils._store import openwrt_template
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import WantedTemplate

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.lxc import OpenWrtContainer


@dataclass(frozen=True)
class BuildTemplate(Step):
    """Fetch a release and build the template that a container is made from."""

    action = "template"
    phase = Phase.IMAGE

    guest: OpenWrtContainer = field(repr=False, compare=False)
    version: str
    volid: str

    @property
    def shared(self) -> str:
        return self.volid

    def run(self, run: Run) -> None:
        made = openwrt_template.ensure(run.node, t.cast(WantedTemplate, self.guest.template))
        self.guest.made_templates = tuple(sorted({*made.volids} - {*made.kept}))
        run.result.warnings += made.warnings


@dataclass(frozen=True)
class Seed(Step):
    """Write into a new container everything that its first boot is to find."""

    action = "seed"
    phase = Phase.INSIDE

    guest: OpenWrtContainer = field(repr=False, compare=False)
    interfaces: tuple[str, ...]

    def details(self) -> dict[str, t.Any]:
        return {"interfaces": list(self.interfaces)}

    def run(self, run: Run) -> None:
        def files(read: Read, version: str) -> Files:
            return seed(read, self.guest.described, version)

        inject_files(run.node, run.vmid, files)


STEPS: t.Final[tuple[type[Step], ...]] = (BuildTemplate, Seed)
