# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the step that brings a running guest in line with what is to be in it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Run, Step

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._guests.setup.part import SetupPart


@dataclass(frozen=True)
class SetUp(Step):
    """Install, write, switch and run what differs. ``changes`` are for people; None: the guest does not run yet, and
    tells what differs when it does."""

    action = "set_up"
    phase = Phase.INSIDE

    part: SetupPart = field(repr=False, compare=False)
    changes: tuple[str, ...] | None = None

    def details(self) -> dict[str, t.Any]:
        return {} if self.changes is None else {"changes": list(self.changes)}

    def run(self, run: Run) -> None:
        self.part.carry_out(run)


@dataclass(frozen=True)
class SetUpByAgent(SetUp):
    """The same by the guest's agent, which takes a privilege over the API."""

    privilege = "VM.GuestAgent.Unrestricted"


STEPS: t.Final[tuple[type[Step], ...]] = (SetUp, SetUpByAgent)
