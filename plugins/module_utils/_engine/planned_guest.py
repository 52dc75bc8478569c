# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what checks look at, and where they put what they find."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Resize, Set, Shutdown
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.compare import render
from ansible_collections.pve.provision.plugins.module_utils._model.network import networks_in
from ansible_collections.pve.provision.plugins.module_utils._model.place import place


class Report:
    """Gathers findings and warnings."""

    def __init__(self, findings: t.Iterable[Finding] = ()) -> None:
        self.findings = list(findings)
        self.warnings: list[str] = []

    def tells(self, option: str) -> bool:
        return any(finding.option == option for finding in self.findings)

    def add(self, option: str, value: object, problem: str, remedy: str = "") -> None:
        self.findings.append(Finding(option, value, problem, remedy))


class PlannedGuest:
    """A guest as it is and as the plan makes it, by PVE's keys; the entries of its lists have the numbers that they
    have in the guest. ``live`` is what it runs with while it is changed; empty where it does not run by then."""

    def __init__(self, wanted: Wanted, actual: Actual, plan: Plan) -> None:
        table = wanted.type.table
        has: t.Mapping[str, str] = {} if actual.config is None else actual.config.options
        self.new = plan.creating
        if self.new:
            has = wanted.copied.options if wanted.copied else {}
        declaration, _doubts = place(table, has, wanted.declaration, purge=wanted.policy.purge_options)
        made = render(table, declaration) if self.new and not wanted.copied else {}
        self.vmid = actual.vmid
        self.wanted = dataclasses.replace(wanted, declaration=declaration)
        self.before = dict(has)
        changed_running = actual.running and not plan.begins_with(Shutdown, (Set, Resize))
        self.live = dict(actual.config.live) if actual.config and changed_running else {}
        self.change = plan.change
        self.after = plan.change.applied({**has, **made}, actual.config.live if actual.config else {})
        changed = sorted(key for key, value in self.after.items() if self.new or has.get(key) != value)
        self.networks = networks_in({key: self.after[key] for key in changed}, wanted.type.network)

    @property
    def subject(self) -> str:
        return f"The {self.wanted.type.noun}"

    def path(self, key: str) -> str:
        """The user's name of an option; PVE's own, where it is not declared."""
        return self.wanted.declaration.paths.get(key, key)

    def values(self, options: t.Mapping[str, str]) -> dict[str, t.Any]:
        """Options as values; what cannot be read is left out."""
        found = {}
        for key, text in options.items():
            if option := self.wanted.type.table.find(key):
                with contextlib.suppress(ValueError):
                    found[key] = option.codec.parse(text)
        return found
