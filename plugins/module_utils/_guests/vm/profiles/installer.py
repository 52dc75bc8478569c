# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the installer of Windows starts from its CD image when somebody presses a key."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Start
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.own_iso import OwnIso
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import rounds

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

KEY: t.Final = "ret"
# The question comes some seconds after the start, and waits for five: a key is pressed each second (s).
LASTS: t.Final = 15
PAUSES: t.Final = (1.0, 1.0)


@dataclass(frozen=True)
class PressKey(Step):
    """Answer the question whether the VM is to start from its CD."""

    action = "press_key"
    phase = Phase.POWER
    privilege = "VM.Console"

    key: str

    def run(self, run: Run) -> None:
        for _last in rounds(LASTS, run.node.clock, PAUSES):
            run.node.send_key(run.vmid, self.key)
            if interrupt.reason():
                break


class Installer(OwnIso):
    """The answers for the installer. As long as they are in the drive, each start may be one from CD: from a disk with
    a system on it nobody asks for a key."""

    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        plan = super().extend(node, wanted, actual, plan)
        answers = self.volid and wanted.state != "absent" and self.drive not in plan.change.set
        return plan.insert_after(PressKey(KEY), after=Start) if answers and plan.has(Start) else plan


STEPS: t.Final[tuple[type[Step], ...]] = (PressKey,)
