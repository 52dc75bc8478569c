# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an OpenWrt router in a container, configured before its first boot.

The rule that no option turns off: OpenWrt's own root file system, ``ostype=unmanaged``, privileged. PVE writes nothing
into such a container, so all that it is to be is written into its files between ``pct create`` and ``pct start``.
"""

from __future__ import annotations

import dataclasses
import functools
import typing as t
from dataclasses import dataclass
from pathlib import Path as FilePath

from ansible_collections.pve.provision.plugins.module_utils._access.shell import Shell, by_exec
from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import told_interfaces
from ansible_collections.pve.provision.plugins.module_utils._engine.creation import Create
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Start
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, Timeout
from ansible_collections.pve.provision.plugins.module_utils._guests.guest_connection import forget_hosts
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.addresses import await_static
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.errors import NEVER_ANOTHER
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.lxc_steps import (
    BuildTemplate,
    Seed,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import Router
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seeding import (
    remove_template,
    seeded_template,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seen import Seen
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.steps import (
    AwaitUp,
    Configure,
    InstallPackages,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.container import (
    ContainerUpgrade,
    left_behind,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.part import (
    Release,
    UpgradableRouter,
    unfinished,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.rollback import attempt
from ansible_collections.pve.provision.plugins.module_utils._model.template_name import parse_template
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import (
    is_openwrt_template,
)
from ansible_collections.pve.provision.plugins.module_utils._store import openwrt_template
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_build import seeded
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import WantedTemplate

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

# For how many seconds a router that has its addresses may not answer by SSH.
SSH_PATIENCE: t.Final = 15


@dataclass
class OpenWrtContainer(UpgradableRouter):
    """What OpenWrt adds to a run over a container."""

    kind = "lxc"
    address_source = "guest"
    no_access_reason = "over the API a container can only be reached by SSH, and no ssh_private_key is declared"
    access_remedy = "Declare ssh_private_key, with an address that can be reached from here, or run on the node."
    template: WantedTemplate | None
    mirrors: tuple[str, ...]
    to_fetch: str = ""
    made_from: str = ""
    seeded: str = ""
    target: str = ""
    made_templates: tuple[str, ...] = ()

    def uploads(self, node: Node, plan: Plan) -> t.Sequence[str]:
        makes = plan.has(BuildTemplate)
        return self.template.storages if makes and self.template and node.containers is None else ()

    # -- the plan --------------------------------------------------------------------------------------------------
    def prepare(self, node: Node, wanted: Wanted) -> Wanted:
        """The template that a new router is made from: the one that is there, or the one that the run makes."""
        if self.description is None:  # The declaration cannot be read; the findings say why.
            return dataclasses.replace(wanted, template_made_by_run=True)
        if self.template is None:
            return wanted
        if node.containers is None:
            # Nobody can write into a container over the API, so there the first boot is baked into the template.
            self.template = seeded_template(node, self.template, seeded(self.description))
        expected = openwrt_template.predict(node, self.template)
        self.to_fetch, self.made_from = expected.version if expected.changed else "", expected.volid
        self.seeded = "" if node.containers else expected.volid
        return dataclasses.replace(wanted, source=expected.volid, template_made_by_run=True)

    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        if wanted.state == "absent" or self.description is None:
            return plan
        findings = list(self._wrong_guest(actual))
        if plan.creating:
            findings += self._wrong_template(node, wanted) if self.template is None else ()
            findings += unfinished(node, self.kind, wanted.name) if wanted.name else ()
        if not findings:
            plan = self._extend_inside(node, actual, plan)
        return self.with_findings(node, plan, findings)

    def _extend_inside(self, node: Node, actual: Actual, plan: Plan) -> Plan:
        """The plan with what to do in the router itself."""
        if plan.creating:
            return self._extend_creation(node, plan)
        return self._extend_running(node, actual, plan) if actual.running else self._extend_stopped(node, plan)

    def _wrong_guest(self, actual: Actual) -> t.Iterator[Finding]:
        ostype = actual.config.options.get("ostype") if actual.config else None
        if ostype not in (None, "unmanaged"):
            yield Finding("vmid", actual.vmid, f"is a container with ostype {ostype}, not an OpenWrt", NEVER_ANOTHER)

    def _wrong_template(self, node: Node, wanted: Wanted) -> t.Iterator[Finding]:
        """A template of the user's must be OpenWrt's, and nothing boots that has not been configured."""
        source = wanted.source or ""
        if any(problem.option == "ostemplate" for problem in wanted.findings):
            return  # It is not even there.
        if node.files is None:
            good = parse_template(source).name.startswith("openwrt")
        else:
            good = is_openwrt_template(FilePath(source) if source.startswith("/") else node.files.volume_path(source))
        if not good:
            yield Finding(
                "template", source, "is not an OpenWrt root file system", "Leave it out to get the official one."
            )
        elif node.containers is None:
            problem = "cannot be configured before its first boot over the API"
            yield Finding("template", source, problem, "Leave it out, or run on the node.")

    def _extend_creation(self, node: Node, plan: Plan) -> Plan:
        if self.to_fetch:
            plan = plan.insert(BuildTemplate(self, self.to_fetch, self.made_from), before=Create)
        if node.containers is not None:
            names = tuple(each.name for each in self.described.interfaces)
            plan = plan.insert_after(Seed(self, names), after=Create)
        if plan.has(Start):
            plan = plan.append(AwaitUp(self))
            if self.described.packages and self.can_enter(node):
                plan = plan.append(InstallPackages(self, tuple(self.described.packages)))
        return plan

    def _extend_running(self, node: Node, actual: Actual, plan: Plan) -> Plan:
        vmid = t.cast("int", actual.vmid)
        if self.seen is None:
            return self.with_unknown(plan)
        if (template := self.template) is not None:
            plan = self.with_upgrade(node, actual, plan, lambda: self._release(node, actual, template))
        return self.with_drift(plan, self.router(node, vmid).drift(self.seen))

    def see(self, node: Node, vmid: int) -> Seen | None:
        """On the node a running router answers, or something is wrong with it."""
        return self.router(node, vmid).probe() if node.containers else self.probe(node, vmid)

    def _release(self, node: Node, actual: Actual, template: WantedTemplate) -> Release:
        """The release that is declared, and what stands against it."""
        expected = openwrt_template.predict(node, template)
        self.target = expected.volid
        # Where nobody can write into a container, the new router gets a template of its own.
        needed = expected.changed and node.containers is not None
        findings = []
        if self.by_vmid and node.files is None:
            remedy = "Declare the router by hostname alone (the new container gets another vmid), or run on the node."
            findings.append(Finding("upgrade", True, f"cannot keep vmid {actual.vmid} over the API", remedy))
        return Release(
            expected.version,
            (BuildTemplate(self, expected.version, expected.volid),) if needed else (),
            left_behind(t.cast("GuestConfig", actual.config), stays=self.rollback_keep and not self.by_vmid),
            tuple(findings),
        )

    def replacement(self, run: Run, *, to: str, keep: bool) -> ContainerUpgrade:
        return ContainerUpgrade(
            run,
            lambda vmid: self.router(run.node, vmid),
            lambda vmid: forget_hosts(run.node, vmid),
            self.described,
            patience=self.up_timeout,
            keep=keep,
            to=to,
            template=t.cast("WantedTemplate", self.template),
            volid=self.target,
            in_place=self.by_vmid,
        )

    def drop_release(self, run: Run) -> None:
        for volid in self.made_templates:
            run.result.warnings += attempt(functools.partial(run.node.free, volid))

    def _extend_stopped(self, node: Node, plan: Plan) -> Plan:
        """What is in a stopped router cannot be seen; when it starts, it is looked at and brought in line."""
        if not plan.has(Start):
            return plan
        inside = [Configure(self)] if self.can_enter(node) else []
        return plan.append(AwaitUp(self), *inside)

    # -- the way in ------------------------------------------------------------------------------------------------
    def connect(self, node: Node, vmid: int) -> Shell | None:
        return by_exec(node.containers, vmid) if node.containers else self.by_ssh(node, vmid)

    def router(self, node: Node, vmid: int) -> Router:
        router = super().router(node, vmid)
        router.mirrors = self.mirrors
        if node.containers is not None:
            router.push_files = functools.partial(node.containers.push, vmid, mode="0600")
        return router

    def can_enter(self, node: Node) -> bool:
        """Whether there is a way in, however that turns out."""
        return node.containers is not None or bool(self.ssh_key and self.management_addresses())

    # -- what a run does -------------------------------------------------------------------------------------------
    def await_up(self, run: Run) -> None:
        """Wait until the router is up: by what it says itself; from outside by its addresses, and a while for SSH."""
        node, vmid = run.node, run.vmid
        if node.containers is not None:
            self.router(node, vmid).await_up(self.up_timeout)
            return
        if self.seeded:
            forget_hosts(node, vmid)
        await_static(node, vmid, self.described.static, self.up_timeout)
        if self.can_enter(node):
            try:
                self.router(node, vmid).await_up(min(self.up_timeout, SSH_PATIENCE))
            except Timeout as error:
                self.unreachable_reason = str(error)

    def tidy(self, run: Run) -> None:
        """The template that holds a router's secrets is of no use any more; nor is one that a killed run has left."""
        node, template = run.node, self.template
        if node.containers is not None or template is None or self.description is None:
            return
        if not self.seeded:
            template = seeded_template(node, template, seeded(self.description))
        run.result.warnings += remove_template(node, template)

    # -- afterwards ------------------------------------------------------------------------------------------------
    def told_outside(self, run: Run, seen: Seen | None) -> list[dict[str, t.Any]]:
        return told_interfaces(run.node, "lxc", run.vmid)

    def finish(self, run: Run) -> None:
        super().finish(run)
        if "openwrt" in run.result.more and self.described.packages and not self.can_enter(run.node):
            run.result.warnings.append(f"packages are not installed: {self.no_access_reason}")
