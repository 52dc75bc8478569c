# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a guest that has the newest of its declared packages, and a way back.

The guest is asked of which packages there are newer ones. Before it gets them, or anything else in it is changed, a
program of a vendor's among them, a snapshot is taken; where that fails, or the guest does not pass its checks then, it
goes back to what it was before the run.
"""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._access.setup.upgrades import (
    Newer,
    ask_script,
    read,
    upgrade_script,
)
from ansible_collections.pve.provision.plugins.module_utils._access.shell import Shell
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    ProvisionError,
    SetupFailed,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.guest_connection import GuestConnection
from ansible_collections.pve.provision.plugins.module_utils._guests.latest.way_back import (
    with_way_back,
    without_old_backup,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.setup.steps import SetUp
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot.backup import refuse_half_restored
from ansible_collections.pve.provision.plugins.module_utils._guests.snapshot.part import WayBack
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

BLOCK: t.Final = "newer packages"
"""The name of the block that asks, among all that is asked in a guest."""
_LATER: t.Final = "Fix that, or declare state=started."


@dataclass
class LatestPackages(WayBack):
    """``names`` are the packages that are declared; ``fetches``: programs are, too, which the guest fetches by itself.
    ``patience`` is for how many seconds it may fetch its lists. ``saves``: another part takes the snapshot. ``done``
    are those that the run has upgraded."""

    names: tuple[str, ...]
    connection: GuestConnection
    inside: Inside
    patience: int
    fetches: bool = False
    saves: bool = False
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.names:
            self.inside.include(BLOCK, ask_script(self.names), timeout=self.patience)

    # -- the plan --------------------------------------------------------------------------------------------------
    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        """A new guest gets the newest that there is when its packages are installed, and has no way back."""
        if wanted.findings or plan.creating or actual.config is None:
            return plan
        if not (self.names or self.fetches):
            problem = "has nothing to update: no packages, no files by url, and no image"
            return plan.against([Finding("state", wanted.state, problem, "Declare packages, or state=started.")])
        if self.names and actual.running:
            plan = self._with_newer(node, wanted, actual, plan)
        if self.saves:
            return plan
        if plan.has((SetUp, Upgrade)):
            return with_way_back(node, self.facts, wanted, actual, plan)
        return without_old_backup(node, wanted, actual, plan)

    def recover(self, node: Node, wanted: Wanted, *, act: bool) -> list[Step]:
        if self.saves:
            return []
        if not wanted.findings:
            refuse_half_restored(node, wanted)
        return super().recover(node, wanted, act=act)

    def _with_newer(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        """The plan with the upgrade, where the guest tells of anything newer."""
        options = t.cast("GuestConfig", actual.config).options
        try:
            newer = self._ask(self.connection(node, t.cast("int", actual.vmid), options))
            by_agent = self.connection.name(node, options) == "guest agent"
        except ProvisionError as error:
            problem = f"cannot be determined: {error.message}"
            return plan.against([Finding("state", wanted.state, problem, error.remedy or _LATER, unverified=True)])
        if not newer:
            return plan
        step = (UpgradeByAgent if by_agent else Upgrade)(self, tuple(map(str, newer)))
        told = {each.name: each for each in newer}
        before = {**plan.before, "versions": {name: each.held for name, each in told.items()}}
        after = {**plan.after, "versions": {name: each.offered for name, each in told.items()}}
        return dataclasses.replace(plan.append(step), before=before, after=after)

    def _ask(self, shell: Shell) -> tuple[Newer, ...]:
        """The newer packages that the guest tells."""
        done = (self.inside.answers or self.inside.ask(shell))[BLOCK]
        return read(_good(done, "it does not list its upgradable packages").stdout)

    # -- what a run does -------------------------------------------------------------------------------------------
    def carry_out(self, run: Run) -> None:
        """Upgrade, and see what came of it."""
        shell = self.connection(run.node, run.vmid, run.config().options)
        before = {each.name: each for each in self._ask(shell)}
        done = shell(upgrade_script(self.names), timeout=run.wanted.policy.post_install_timeout)
        _good(done, "packages could not be upgraded")
        self.inside.forget()
        left = {each.name for each in self._ask(shell)}
        self.inside.forget()
        self.done = [str(each) for name, each in before.items() if name not in left]
        if left:
            run.result.warnings.append(f"the package manager keeps back {', '.join(sorted(left))}")

    def finish(self, run: Run) -> None:
        if self.done:
            run.result.more["upgraded"] = self.done


def _good(done: Completed, words: str) -> Completed:
    if done.rc:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-4:]
        raise SetupFailed(f"{words}: {' '.join(said) or f'it ended with {done.rc}'}")
    return done


@dataclass(frozen=True)
class Upgrade(Step):
    """Bring packages to their newest versions. ``packages`` are for people."""

    action = "upgrade_packages"
    phase = Phase.INSIDE

    part: LatestPackages = field(repr=False, compare=False)
    packages: tuple[str, ...]

    def details(self) -> dict[str, t.Any]:
        return {"packages": list(self.packages)}

    def run(self, run: Run) -> None:
        self.part.carry_out(run)


@dataclass(frozen=True)
class UpgradeByAgent(Upgrade):
    """The same by the guest's agent, which takes a privilege over the API."""

    privilege = "VM.GuestAgent.Unrestricted"


STEPS: t.Final[tuple[type[Step], ...]] = (Upgrade, UpgradeByAgent)
