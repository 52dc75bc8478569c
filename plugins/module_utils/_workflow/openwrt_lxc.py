# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an OpenWrt router in a container, configured before its first boot.

The rule that no option turns off: OpenWrt's own root file system, ``ostype=unmanaged``, privileged. PVE writes nothing
into such a container, so all that it is to be is written into its files between ``pct create`` and ``pct start``.
"""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass
from pathlib import Path as FilePath

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._images.releases import versions as order
from ansible_collections.pve.provision.plugins.module_utils._model.diff import Path, Problem
from ansible_collections.pve.provision.plugins.module_utils._model.template_name import parse_template
from ansible_collections.pve.provision.plugins.module_utils._openwrt import description as router_description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.commit_confirm import SHELL
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import is_openwrt_template, parse_release
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import RELEASE, seed
from ansible_collections.pve.provision.plugins.module_utils._workflow import openwrt_template
from ansible_collections.pve.provision.plugins.module_utils._workflow.guest import (
    Actual,
    Plan,
    Run,
    Step,
    Wanted,
)
from ansible_collections.pve.provision.plugins.module_utils._workflow.health import guest_addresses, make_address
from ansible_collections.pve.provision.plugins.module_utils._workflow.lxc import wanted_container
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt import Router, RouterError, Seen
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt_guest import (
    DESCRIPTION_OPTIONS,
    OpenWrtGuest,
)
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt_template import WantedTemplate
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt_upgrade import (
    Upgrade,
    own_volumes,
    resume,
)
from ansible_collections.pve.provision.plugins.module_utils._workflow.preflight import creating
from ansible_collections.pve.provision.plugins.module_utils._workflow.template_source import UserKey
from ansible_collections.pve.provision.plugins.module_utils._workflow.tree import Tree

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Completed, Node

# What a new router gets where nothing is declared, by PVE's keys; the disk in bytes.
DEFAULTS: t.Final[dict[str, t.Any]] = {
    "cores": 1,
    "memory": 256,
    "swap": 0,
    "onboot": True,
    "rootfs": {"size": 512 * 1024**2},
}
# The rule, as options a user might try to set otherwise.
_RULE = (
    ("ostype", "unmanaged", "PVE knows no OpenWrt; a managed ostype would write Debian's or another's files into it."),
    ("unprivileged", False, "OpenWrt needs a privileged container for its networking."),
)


def read_router(
    params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()
) -> tuple[Wanted, OpenWrtContainer]:
    """Read a router's parameters: the container that is wanted, and the router inside it."""
    problems = [
        Problem(name, params[name], "is not possible for OpenWrt", reason)
        for name, only, reason in _RULE
        if params.get(name) is not None and params[name] != only
    ]
    declared = {name: params[name] for name in DESCRIPTION_OPTIONS if params.get(name) is not None}
    declared.setdefault("hostname", params.get("hostname"))
    description = None
    if params["state"] != "absent":
        try:
            description = router_description.parse(declared)
        except InvalidInput as error:
            problems += [Problem(f.option, f.value, f.problem, f.remedy) for f in error.findings]
    networks = router_description.devices(description, "lxc") if description else None
    container = {
        **params,
        "timezone": None,
        "ostype": None if params["state"] == "absent" else "unmanaged",
        "unprivileged": None if params["state"] == "absent" else False,
        "features": {"nesting": True} if params["state"] != "absent" else None,
        "networks": networks,
        "ostemplate": params.get("template"),
        "ip_timeout": 0,
    }
    wanted = wanted_container(container, nulls)
    wanted = dataclasses.replace(
        wanted,
        defaults=DEFAULTS,
        whole=True,
        problems=(*problems, *wanted.problems),
        notes=description.warnings if description else (),
    )
    return wanted, OpenWrtContainer.of(params, declared, description)


def wanted_template(params: t.Mapping[str, t.Any]) -> WantedTemplate:
    """The release that a router is made from."""
    return WantedTemplate(
        version=params["version"],
        arch=params.get("arch") or "amd64",
        verify=params.get("verify") or "",
        keys=tuple(UserKey(key) for key in params.get("keys") or ()),
        mirrors=tuple(params.get("mirrors") or ()),
        offline_ok=params["offline_ok"],
        storages=(params["template_storage"],) if params.get("template_storage") else (),
    )


@dataclass
class OpenWrtContainer(OpenWrtGuest):
    """What OpenWrt adds to the workflow of a container."""

    template: WantedTemplate | None
    mirrors: tuple[str, ...]
    upgrade: bool
    rollback_keep: bool
    by_vmid: bool
    to_fetch: str = ""
    target: str = ""

    @classmethod
    def of(
        cls, params: t.Mapping[str, t.Any], declared: dict[str, t.Any], description: Description | None
    ) -> OpenWrtContainer:
        template = None if params.get("template") else wanted_template(params)
        return cls(
            declared=declared,
            description=description,
            template=template,
            mirrors=tuple(params.get("mirrors") or ()),
            ip_timeout=params["ip_timeout"],
            require_ip=params["require_ip"],
            confirm_timeout=params["confirm_timeout"],
            up_timeout=params["start_timeout"],
            upgrade=params["upgrade"],
            rollback_keep=params["rollback_keep"],
            by_vmid=params.get("vmid") is not None,
        )

    def recover(self, node: Node, wanted: Wanted) -> None:
        if wanted.name and wanted.state != "absent":
            resume(node, wanted)

    # -- the plan --------------------------------------------------------------------------------------------------
    def prepare(self, node: Node, wanted: Wanted) -> Wanted:
        """The template that a new router is made from: the one that is there, or the one that the run makes."""
        if self.description is None:  # The declaration cannot be read; the findings say why.
            return dataclasses.replace(wanted, source_made=True)
        if self.template is None:
            return wanted
        if node.transport == "api":
            # Nobody can write into a container over the API, so there the first boot is baked into the template.
            self.template = dataclasses.replace(self.template, defaults=openwrt_template.seeded(self.description))
        expected = openwrt_template.predict(node, self.template)
        self.to_fetch = expected.version if expected.changed else ""
        return dataclasses.replace(wanted, source=expected.volid, source_made=True)

    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        if wanted.state == "absent" or self.description is None:
            return plan
        problems = list(self._wrong_guest(actual))
        if creating(plan) and self.template is None:
            problems += self._wrong_template(node, wanted)
        if not problems:
            plan = self._extend_inside(node, actual, plan)
        return self.with_problems(node, plan, problems)

    def _extend_inside(self, node: Node, actual: Actual, plan: Plan) -> Plan:
        """The plan with what there is to do in the router itself."""
        if creating(plan):
            return self._extend_creation(node, plan)
        if node.transport == "api":
            return plan
        return self._extend_running(node, actual, plan) if actual.running else self._extend_stopped(plan)

    def _wrong_guest(self, actual: Actual) -> t.Iterator[Problem]:
        ostype = actual.config.options.get("ostype") if actual.config else None
        if ostype not in (None, "unmanaged"):
            remedy = "Choose another name or vmid; this module never makes another system into OpenWrt."
            yield Problem("vmid", actual.vmid, f"is a container with ostype {ostype}, no OpenWrt", remedy)

    def _wrong_template(self, node: Node, wanted: Wanted) -> t.Iterator[Problem]:
        """A template of the user's must be OpenWrt's. Over the API only its name can be looked at."""
        source = wanted.source or ""
        if any(problem.option == "ostemplate" for problem in wanted.problems):
            return  # It is not even there.
        if node.transport == "cli":
            good = is_openwrt_template(FilePath(source if source.startswith("/") else node.volume_path(source)))
        else:
            good = parse_template(source).name.startswith("openwrt")
        if not good:
            yield Problem("template", source, "is no OpenWrt root file system", "Leave it out to get the official one.")

    def _extend_creation(self, node: Node, plan: Plan) -> Plan:
        description = t.cast("Description", self.description)
        steps: list[Step] = []
        for step in plan.steps:
            if step.action == "create" and self.to_fetch:
                steps.append(Step("template", {"version": self.to_fetch}))
            steps.append(step)
            if step.action == "create" and node.transport == "cli":
                steps.append(Step("seed", {"interfaces": [each.name for each in description.interfaces]}))
        if node.transport == "cli" and any(step.action == "start" for step in plan.steps):
            steps.append(Step("await_up"))
            if description.packages:
                steps.append(Step("packages", {"install": list(description.packages)}))
        return dataclasses.replace(plan, steps=tuple(steps))

    def _extend_running(self, node: Node, actual: Actual, plan: Plan) -> Plan:
        router = self.router(node, t.cast("int", actual.vmid))
        self.seen = router.look()
        return self.with_drift(self._extend_upgrade(node, actual, plan), router.drift(self.seen))

    def _extend_upgrade(self, node: Node, actual: Actual, plan: Plan) -> Plan:
        """A newer release takes the old one's place after everything else is in line."""
        if not self.upgrade or self.template is None or self.seen is None:
            return plan
        expected = openwrt_template.predict(node, self.template)
        if order.key(expected.version) <= order.key(self.seen.version):
            return plan
        volumes = own_volumes(actual.config.options) if actual.config else []
        problems = []
        if volumes:
            remedy = "Move their data into the root volume, or make a new router by hand."
            problems.append(Problem("upgrade", True, f"cannot take volumes along: {', '.join(volumes)}", remedy))
        if self.by_vmid:
            remedy = "Declare the router by hostname alone: the new container gets a number of its own."
            problems.append(Problem("upgrade", True, f"cannot keep vmid {actual.vmid}", remedy))
        self.target = expected.volid
        fetch = [Step("template", {"version": expected.version})] if expected.changed else []
        upgrade = Step("upgrade", {"from": self.seen.version, "to": expected.version, "keep": self.rollback_keep})
        change = dataclasses.replace(plan.change, problems=(*plan.change.problems, *problems))
        before = {**plan.before, "version": self.seen.version}
        after = {**plan.after, "version": expected.version}
        return Plan((*plan.steps, *fetch, upgrade), change, before, after)

    def _extend_stopped(self, plan: Plan) -> Plan:
        """What is in a stopped router cannot be seen; when it starts, it is looked at and brought in line."""
        if any(step.action == "start" for step in plan.steps):
            return dataclasses.replace(plan, steps=(*plan.steps, Step("await_up"), Step("configure")))
        return plan

    # -- the steps -------------------------------------------------------------------------------------------------
    def router(self, node: Node, vmid: int) -> Router:
        def shell(script: str, *, timeout: int) -> Completed:
            return node.exec(vmid, SHELL, stdin=script, timeout=timeout)

        def hand_in(source: str, target: str) -> None:
            node.push(vmid, source, target, mode="0600")

        return Router(
            shell,
            t.cast("Description", self.description),
            confirm_timeout=self.confirm_timeout,
            hand_in=hand_in,
            mirrors=self.mirrors,
        )

    def do_template(self, step: Step, run: Run) -> None:
        made = openwrt_template.ensure(run.node, t.cast("WantedTemplate", self.template))
        run.result.warnings += made.warnings

    def do_seed(self, step: Step, run: Run) -> None:
        """Write everything that the first boot is to find. A mounted container is locked, so always unmount."""
        description = t.cast("Description", self.description)
        tree = Tree(run.node.mount(run.vmid))
        try:
            version = parse_release((tree.read(RELEASE) or b"").decode()).version
            for path, (mode, content) in seed(tree.read, description, version).items():
                tree.write(path, mode, content)
        finally:
            run.node.unmount(run.vmid)

    def do_await_up(self, step: Step, run: Run) -> None:
        self.router(run.node, run.vmid).await_up(self.up_timeout)

    def do_upgrade(self, step: Step, run: Run) -> None:
        Upgrade(
            run,
            self.target,
            lambda vmid: self.router(run.node, vmid),
            patience=self.up_timeout,
            keep=self.rollback_keep,
        ).carry_out()
        self.seen = self.drift = None

    # -- afterwards ------------------------------------------------------------------------------------------------
    def finish(self, run: Run) -> None:
        """Which addresses the router has and who says so, and what it runs."""
        result = run.result
        if result.status != "running" or self.description is None:
            return
        if run.node.transport == "api":
            self._finish_outside(run)
            return
        router = self.router(run.node, run.vmid)
        seen = self.seen or router.look()
        waiting = self._waiting(seen)
        patience, pause = float(self.ip_timeout), 0.5
        while waiting and patience > 0:
            router.sleep(pause)
            patience, pause = patience - pause - 0.5, min(pause * 1.5, 4.0)
            seen = router.look()
            waiting = self._waiting(seen)
        if waiting and self.ip_timeout:
            words = f"no address on {', '.join(waiting)} after {self.ip_timeout} s"
            if self.require_ip:
                raise RouterError(f"{run.wanted.label}: {words}.", remedy="Look for a DHCP server on that bridge.")
            result.warnings.append(words)
        result.addresses = self._addresses(seen)
        result.more = {"openwrt": {"version": seen.version, "interfaces_up": sorted(seen.up)}}

    def _finish_outside(self, run: Run) -> None:
        """Over the API nobody looks inside: PVE tells the addresses of the running container, and no more."""
        names = {each.device: each.name for each in t.cast("Description", self.description).interfaces}
        found = guest_addresses(run.node, run.vmid)
        run.result.addresses = [{**entry, "interface": names.get(entry["interface"], "")} for entry in found]
        run.result.more = {"openwrt": {"drift": "unknown"}}
        if t.cast("Description", self.description).packages:
            run.result.warnings.append("packages are installed only where the router can be entered: on the node")

    def _waiting(self, seen: Seen) -> list[str]:
        """The interfaces that ask for an address and have none."""
        asking = [each for each in t.cast("Description", self.description).interfaces if each.proto == "dhcp"]
        return [each.name for each in asking if not seen.statuses.get(each.name) and not seen.addr.get(each.device)]

    def _addresses(self, seen: Seen) -> list[dict[str, t.Any]]:
        """By the sources in order of trust: netifd, the kernel, and what was declared."""
        found = []
        for each in t.cast("Description", self.description).interfaces:
            sources = (
                ("ubus", seen.statuses.get(each.name) or []),
                ("ip", seen.addr.get(each.device) or []),
                ("declared", [str(address) for address in each.addresses]),
            )
            source, held = next(((name, held) for name, held in sources if held), ("", []))
            found += [make_address(each.name, text, source, each.hwaddr or None) for text in held]
        return found
