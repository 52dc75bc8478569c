# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the steps that make a guest a router. Those of its kind of guest are beside it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.errors import ReleaseError

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.router_guest import OpenWrtGuest
    from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.part import UpgradableRouter


@dataclass(frozen=True)
class AwaitUp(Step):
    """Wait until the router has booted."""

    action = "await_up"
    phase = Phase.POWER

    guest: OpenWrtGuest = field(repr=False, compare=False)

    def run(self, run: Run) -> None:
        self.guest.await_up(run)


@dataclass(frozen=True)
class Configure(Step):
    """Bring the running router in line with its description. ``changes`` are for people."""

    action = "configure"
    phase = Phase.INSIDE

    guest: OpenWrtGuest = field(repr=False, compare=False)
    changes: t.Mapping[str, t.Any] = field(default_factory=dict)

    def details(self) -> dict[str, t.Any]:
        return dict(self.changes)

    def run(self, run: Run) -> None:
        _configure(self.guest, run)


@dataclass(frozen=True)
class InstallPackages(Step):
    """Install packages in the running router, and configure what could not be configured before they were there."""

    action = "packages"
    phase = Phase.INSIDE

    guest: OpenWrtGuest = field(repr=False, compare=False)
    names: tuple[str, ...]

    def details(self) -> dict[str, t.Any]:
        return {"install": list(self.names)}

    def run(self, run: Run) -> None:
        """What could not be installed is told, and left to the next run."""
        done = self.guest.router(run.node, run.vmid).install(self.names)
        self.guest.seen = self.guest.drift = None
        if done.note:
            run.result.warnings.append(done.note)
        if done.trouble:
            told = f"not installed: {', '.join(self.names)} ({done.trouble}). The next run tries again."
            run.result.warnings.append(told)
            run.result.changed = any(not isinstance(step, InstallPackages) for step in run.plan.steps)
        else:
            _configure(self.guest, run)


@dataclass(frozen=True)
class UpgradeRouter(Step):
    """Put a guest of a newer release in the router's place. ``keep``: the old one stays beside it."""

    action = "upgrade"
    phase = Phase.INSIDE
    goes_back = True

    guest: UpgradableRouter = field(repr=False, compare=False)
    old: str
    new: str
    keep: bool

    def details(self) -> dict[str, t.Any]:
        return {"from": self.old, "to": self.new, "keep": self.keep}

    def run(self, run: Run) -> None:
        try:
            self.guest.replacement(run, to=self.new, keep=self.keep).carry_out()
        except ReleaseError:
            self.guest.drop_release(run)
            raise
        self.guest.seen = self.guest.drift = None


def _configure(guest: OpenWrtGuest, run: Run) -> None:
    """Bring the running router in line, unless nobody can enter it."""
    if guest.unreachable_reason:
        return
    router = guest.router(run.node, run.vmid)
    seen = guest.seen or router.probe()
    router.apply(guest.drift or router.drift(seen), seen, patience=guest.up_timeout)
    guest.seen = guest.drift = None


STEPS: t.Final[tuple[type[Step], ...]] = (AwaitUp, Configure, InstallPackages, UpgradeRouter)
