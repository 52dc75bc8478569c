# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a kind of guest, or something in it, adds to the run that all guests share."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
    from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run, Step
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node


class Part:
    """One of them: a router, an application, checks. A guest has any number, asked in their order. This one adds
    nothing.

    A part belongs to one run over one guest, and may keep what it has seen from one question to the next. ``facts`` is
    what all guests of a run share, there before anything is asked.
    """

    facts: Facts
    looks: t.ClassVar[bool] = False
    """Whether it has anything to :meth:`look` for."""

    def observing(self) -> Part:
        """The part of a run that only looks: it insists on nothing and waits for nobody."""
        return self

    def look(self, node: Node, actual: Actual) -> None:
        """Ask a guest that runs what the plan will need of its inside, which takes long: many guests at once. Raises
        nothing, and writes nothing; what fails is tried again, or told, when its turn comes."""

    def recover(self, node: Node, wanted: Wanted, *, act: bool) -> list[Step]:
        """Put right what a killed run of the part's own steps left, before anything is read; the steps that this took,
        or takes: without ``act`` nothing is written."""
        return []

    def resolve(self, node: Node, wanted: Wanted, actual: Actual, *, act: bool) -> Wanted:
        """What is wanted of an existing guest, by the numbers that its parts have there. Without ``act`` nothing is
        waited for."""
        return wanted

    def prepare(self, node: Node, wanted: Wanted) -> Wanted:
        """What a new guest is made from, where that is for the part to say. Writes nothing."""
        return wanted

    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        """The plan with the part's own steps, and with its findings. May read the guest; writes nothing."""
        return plan

    def uploads(self, node: Node, plan: Plan) -> t.Sequence[str]:
        """The storages that the plan puts files on, and removes them from again."""
        return ()

    def begin(self, run: Run) -> None:
        """Look at the guest before the first step. Raises nothing, and writes nothing."""

    def tidy(self, run: Run) -> None:
        """Remove what only this run needed, however it ended. Raises nothing."""

    def finish(self, run: Run) -> None:
        """Add to the result what the part knows."""
