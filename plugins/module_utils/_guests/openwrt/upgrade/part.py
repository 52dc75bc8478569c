# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a router that can be upgraded, whatever kind of guest it is in."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Shutdown, Start
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.router_guest import OpenWrtGuest
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.steps import UpgradeRouter
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.migrate import NOT_KEPT, not_kept
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.resume import Resume
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.state import interim
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.upgrade import Upgrade
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._pve.types import same_name

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Kind


@dataclass(frozen=True)
class Release:
    """What a router may be upgraded to. ``fetch`` are the steps that bring it, ``left`` is what cannot be taken along,
    ``findings`` are what else stands against that."""

    version: str
    fetch: tuple[Step, ...] = ()
    left: t.Sequence[str] = ()
    findings: tuple[Finding, ...] = ()


@dataclass
class UpgradableRouter(OpenWrtGuest):
    """``upgrade``: one of an older release is replaced; ``rollback_keep``: what was before stays. ``by_vmid``: it is
    declared by its number. ``access_remedy`` is what to declare where nobody can look into it."""

    kind: t.ClassVar[Kind]
    access_remedy: t.ClassVar[str]

    upgrade: bool = field(kw_only=True)
    rollback_keep: bool = field(kw_only=True)
    by_vmid: bool = field(kw_only=True)
    resumed: list[str] = field(default_factory=list, kw_only=True)

    def replacement(self, run: Run, *, to: str, keep: bool) -> Upgrade:
        """What makes the new router, of this version, and lets it take over."""
        raise NotImplementedError

    def drop_release(self, run: Run) -> None:
        """Let nobody else get the release that does not serve, where this run has brought it."""

    def recover(self, node: Node, wanted: Wanted, *, act: bool) -> list[Step]:
        """Nothing is done for a declaration that will be refused."""
        if wanted.findings:
            return []
        upgrade = Resume(node, wanted, lambda vmid: self.router(node, vmid), self.up_timeout)
        steps = upgrade.carry_out(act=act)
        self.resumed = upgrade.warnings
        return steps

    # -- the plan --------------------------------------------------------------------------------------------------
    def with_unknown(self, plan: Plan) -> Plan:
        """Nobody can say whether a router is older that cannot be seen."""
        if not self.upgrade:
            return plan
        problem = f"needs access to the router: {self.unreachable_reason}"
        return plan.against([Finding("upgrade", True, problem, self.access_remedy, unverified=True)])

    def with_upgrade(self, node: Node, actual: Actual, plan: Plan, find: t.Callable[[], Release]) -> Plan:
        """A newer release takes the old one's place after everything else is in line. One that is shut down stays as
        it is."""
        if not self.upgrade or self.seen is None or (plan.has(Shutdown) and not plan.has(Start)):
            return plan
        release = find()
        if order.key(release.version) <= order.key(self.seen.version):
            return plan
        config, kind = t.cast("GuestConfig", actual.config), self.kind
        findings = [*unfinished(node, kind, str(config.options.get(KINDS[kind].name_option))), *release.findings]
        if release.left:
            remedy = "Move their data into the root volume and remove them, or make a new router by hand."
            findings.append(Finding("upgrade", True, f"cannot migrate {', '.join(release.left)}", remedy))
        upgrade = UpgradeRouter(self, self.seen.version, release.version, self.rollback_keep)
        change = plan.against(findings).change
        before = {**plan.before, "version": self.seen.version}
        after = {**plan.after, "version": release.version}
        warnings = not_kept(self.router(node, t.cast("int", actual.vmid)).ask(NOT_KEPT))
        return Plan((*plan.steps, *release.fetch, upgrade), change, before, after, (*plan.warnings, *warnings))

    # -- afterwards ------------------------------------------------------------------------------------------------
    def finish(self, run: Run) -> None:
        super().finish(run)
        run.result.warnings += self.resumed


def unfinished(node: Node, kind: Kind, name: str) -> t.Iterator[Finding]:
    """What an upgrade left that was killed, where no note of it is: nobody may say which of the two is the router."""
    for guest in node.guests(kind):
        if same_name(guest.name, interim(name)) and guest.vmid not in node.journal:
            there = f"{KINDS[kind].noun} {guest.vmid} is called {guest.name}"
            problem = f"was being upgraded by an unfinished run: {there}"
            remedy = f"Give the one that is to serve the name {name}, and remove the other."
            yield Finding(KINDS[kind].name_option, name, problem, remedy)
