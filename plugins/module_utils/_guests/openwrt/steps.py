# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the steps that make a guest a router. How each is done, its kind of guest says."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Run, Step

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.lxc import OpenWrtContainer
    from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.router_guest import OpenWrtGuest
    from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.vm import OpenWrtVm


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

    def details(self) -> dict[str, t.Any]:
        return {"version": self.version, "volid": self.volid}

    def run(self, run: Run) -> None:
        self.guest.build_template(run)


@dataclass(frozen=True)
class FetchDisk(Step):
    """Fetch a release's disk image, once for all routers of a run that are made from it."""

    action = "fetch_disk"
    phase = Phase.IMAGE

    guest: OpenWrtVm = field(repr=False, compare=False)
    name: str
    url: str
    size: int | None = None

    @property
    def shared(self) -> str:
        return self.name

    def details(self) -> dict[str, t.Any]:
        size = {} if self.size is None else {"size": self.size}
        return {"name": self.name, "url": self.url, **size}

    def run(self, run: Run) -> None:
        self.guest.fetch_disk(run)


@dataclass(frozen=True)
class PrepareDisk(Step):
    """Put the router's first configuration into a copy of a release's disk image."""

    action = "image"
    phase = Phase.IMAGE

    guest: OpenWrtVm = field(repr=False, compare=False)
    version: str
    variant: str

    def details(self) -> dict[str, t.Any]:
        return {"version": self.version, "variant": self.variant}

    def run(self, run: Run) -> None:
        self.guest.prepare_disk(run)


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
        self.guest.seed(run)


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
        self.guest.configure(run)


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
        done = self.guest.install_packages(run, self.names)
        if done.note:
            run.result.warnings.append(done.note)
        if done.trouble:
            told = f"not installed: {', '.join(self.names)} ({done.trouble}). The next run tries again."
            run.result.warnings.append(told)
            run.result.changed = any(not isinstance(step, InstallPackages) for step in run.plan.steps)
        else:
            self.guest.configure(run)


@dataclass(frozen=True)
class Upgrade(Step):
    """Put a container of a newer release in the router's place. ``keep``: the old one stays beside it."""

    action = "upgrade"
    phase = Phase.INSIDE

    guest: OpenWrtContainer = field(repr=False, compare=False)
    old: str
    new: str
    keep: bool

    def details(self) -> dict[str, t.Any]:
        return {"from": self.old, "to": self.new, "keep": self.keep}

    def run(self, run: Run) -> None:
        self.guest.upgrade_to(run, self.new)


STEPS: t.Final[tuple[type[Step], ...]] = (
    BuildTemplate,
    FetchDisk,
    PrepareDisk,
    Seed,
    AwaitUp,
    Configure,
    InstallPackages,
    Upgrade,
)
