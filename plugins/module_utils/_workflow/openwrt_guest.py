# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what an OpenWrt guest adds to the workflow, be it a container or a VM."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._model.diff import Problem
from ansible_collections.pve.provision.plugins.module_utils._openwrt import description as router_description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description import Description
from ansible_collections.pve.provision.plugins.module_utils._workflow.guest import Companion, Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt import Drift, Router, Seen

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

DESCRIPTION_OPTIONS = (
    *("interfaces", "management", "uci", "packages", "timezone", "zonename", "allow_shared_segment"),
)


@dataclass
class OpenWrtGuest(Companion):
    """A described router and what was seen of it. ``description`` None: the declaration cannot be read.

    Times in seconds.
    """

    declared: dict[str, t.Any]
    description: Description | None
    ip_timeout: int
    require_ip: bool
    confirm_timeout: int
    up_timeout: int
    seen: Seen | None = dataclasses.field(default=None, kw_only=True)
    drift: Drift | None = dataclasses.field(default=None, kw_only=True)

    def router(self, node: Node, vmid: int) -> Router:
        """The running router, by whatever way there is into it."""
        raise NotImplementedError

    def with_problems(self, node: Node, plan: Plan, problems: t.Iterable[Problem]) -> Plan:
        """The plan with what stands against it, networks included once there is anything to do."""
        found = [*problems, *(self._wrong_segments(node) if plan else ())]
        change = dataclasses.replace(plan.change, problems=(*plan.change.problems, *found))
        return dataclasses.replace(plan, change=change)

    def _wrong_segments(self, node: Node) -> list[Problem]:
        """DHCP servers where the node itself lives are refused; that needs the node's own addresses."""
        try:
            addresses = {bridge.name: bridge.addresses for bridge in node.bridges()}
            router_description.parse(self.declared, addresses)
        except InvalidInput as error:
            return [Problem(f.option, f.value, f.problem, f.remedy) for f in error.findings]
        return []

    def with_drift(self, plan: Plan, drift: Drift) -> Plan:
        """The plan with what is to be changed in the running router, before it is restarted."""
        self.drift = drift
        if not drift:
            return plan
        view = drift.view()
        ours = []
        if drift.change or drift.files:
            ours.append(Step("configure", {name: view[name] for name in ("uci", "files") if name in view}))
        if drift.missing:
            ours.append(Step("packages", {"install": view["packages"]}))
        place = next((n for n, step in enumerate(plan.steps) if step.action in {"shutdown", "start"}), len(plan.steps))
        after = {**plan.after, **({"uci": view["uci"]} if "uci" in view else {})}
        return dataclasses.replace(plan, steps=(*plan.steps[:place], *ours, *plan.steps[place:]), after=after)

    def do_configure(self, step: Step, run: Run) -> None:
        """Bring the running router in line."""
        router = self.router(run.node, run.vmid)
        seen = self.seen or router.look()
        router.apply(self.drift or router.drift(seen), seen, patience=self.up_timeout)
        self.seen = self.drift = None

    def do_packages(self, step: Step, run: Run) -> None:
        """Install packages, and configure what could not be configured before they were there."""
        names = step.details["install"]
        done = self.router(run.node, run.vmid).install(names)
        self.seen = self.drift = None
        if done.note:
            run.result.warnings.append(done.note)
        if done.trouble:
            run.result.warnings.append(f"not installed: {', '.join(names)} ({done.trouble}). The next run tries again.")
            run.result.changed = any(other["step"] != "packages" for other in run.result.plan)
        else:
            self.do_configure(step, run)
