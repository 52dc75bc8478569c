# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what stands against a plan on this node, all of it, before anything is written.

PVE accepts many things that can only fail later, at the start or never: an unknown bridge, an MTU above the bridge's,
addresses and MACs that a neighbour has. Those are found here. A check reads the node only where the plan touches what
it is about, so an unchanged guest costs nothing.
"""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine import permissions
from ansible_collections.pve.provision.plugins.module_utils._engine.check_networks import (
    check_bridges,
    check_neighbours,
)
from ansible_collections.pve.provision.plugins.module_utils._engine.check_support import check_reach, check_version
from ansible_collections.pve.provision.plugins.module_utils._engine.check_template import check_template
from ansible_collections.pve.provision.plugins.module_utils._engine.check_volumes import check_files, check_volumes
from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.planned_guest import PlannedGuest, Report
from ansible_collections.pve.provision.plugins.module_utils._engine.read import is_declared_guest
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Destroy, Start
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, PveError
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net
from ansible_collections.pve.provision.plugins.module_utils._pve import privileges

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef

# The lock of a VM whose memory is saved on disk.
SUSPENDED: t.Final = "suspended"
OTHER_WAYS = "Log in with root's password, or run on the node itself over SSH."


def preflight(facts: Facts, wanted: Wanted, actual: Actual, plan: Plan, uploads: t.Iterable[str] = ()) -> Report:
    """Everything that stands against carrying out the plan, which puts files of ours on the storages ``uploads``."""
    _check_quorum(facts, plan)
    report = Report([*wanted.findings, *plan.change.findings])
    if wanted.state == "absent":
        report.findings += removal_findings(wanted, actual)
        _check_lock(report, actual, plan)
        _check_purge(report, facts, wanted, actual, plan)
        if (plan or actual.forbidden) and not report.findings:
            _check_permissions(report, facts, wanted, actual, plan, {}, ())
        return report
    check_reach(report, facts, wanted)
    if not plan:
        _check_guest(report, wanted, actual, plan)
        return report
    planned = PlannedGuest(wanted, actual, plan)
    wanted = planned.wanted
    touched = {**_touched(wanted, actual, plan), **planned.networks}
    _check_guest(report, wanted, actual, plan)
    _check_purge(report, facts, wanted, actual, plan)
    _check_whole(report, planned)
    check_bridges(report, facts, planned)
    check_neighbours(report, facts, planned)
    check_files(report, facts, plan, wanted.policy.storage_limits)
    check_volumes(report, facts, planned, touched)
    wanted.type.check_node(report, facts, planned, touched)
    _check_token(report, facts.node, wanted, actual, plan, touched)
    _check_pool(report, facts, wanted)
    check_version(report, facts, wanted, touched)
    check_template(report, facts, planned, actual, plan)
    _check_permissions(report, facts, wanted, actual, plan, touched, uploads)
    return report


def _check_quorum(facts: Facts, plan: Plan) -> None:
    """Said before an image is fetched in vain: PVE says the same of the first thing that is written, also to those who
    may not see the cluster. Over the API to look takes a request, so it is done where something is fetched."""
    if not plan or (facts.node.files is None and not any(step.file for step in plan.steps)):
        return
    try:
        quorate = facts.node.membership().quorate
    except PveError as error:
        if error.details.get("reason") != "permission":
            raise
        return
    if not quorate:
        raise PveError(
            f"The cluster of node {facts.node.name} has no quorum. Nothing was changed.",
            reason="quorum",
            remedy="Bring enough of its nodes back (see pvecm status), then run again.",
        )


def _check_whole(report: Report, planned: PlannedGuest) -> None:
    """What is wrong with the guest as it will be, declared or not, and was not wrong before."""
    check, paths = planned.wanted.type.check, planned.wanted.declaration.paths
    known = check(planned.values(planned.before), paths)
    for problem in check(planned.values(planned.after), paths):
        if problem not in known and not report.tells(problem.option):
            report.add(problem.option, problem.value, problem.problem, problem.remedy)


def _touched(wanted: Wanted, actual: Actual, plan: Plan) -> dict[str, t.Any]:
    """The declared values that the plan writes; for property strings as they will be."""
    if plan.creating:
        return {key: value for key, value in wanted.declaration.values.items() if value is not None}
    declared = wanted.declaration.values
    return {key: declared[key] for key in (*plan.change.set, *plan.change.resize) if declared.get(key) is not None}


def removal_findings(wanted: Wanted, actual: Actual) -> list[Finding]:
    """What stands against removing a guest, but for a lock, which a killed run of ours may have left."""
    report = Report()
    if wanted.vmid is None:
        report.add("vmid", None, "is required with state=absent", "Name the vmid, and the hostname to be safe.")
    if actual.taken is not None and actual.taken.kind == wanted.type.kind:
        _check_taken(report, wanted, actual.taken)
    if actual.config is not None:
        _check_name(report, wanted, actual, "Nothing was removed.")
        if actual.config.protected:
            report.add("state", "absent", f"is refused: {wanted.label} is protected", "Set protection=false first.")
    return report.findings


def _check_purge(report: Report, facts: Facts, wanted: Wanted, actual: Actual, plan: Plan) -> None:
    """PVE refuses to destroy what the cluster's configuration names, but only when the guest was stopped for it."""
    if wanted.policy.purge or not plan.has(Destroy):
        return
    option, value = ("state", "absent") if wanted.state == "absent" else ("recreate", True)
    remedy = "Set purge=true to take it out of HA, of backup jobs and of replication, too."
    if actual.vmid in facts.node.ha_managed():
        report.add(option, value, f"is refused: HA manages {wanted.label}", remedy)
    if actual.vmid in facts.node.replicated():
        report.add(option, value, f"is refused: {wanted.label} has a replication job", remedy)


def _check_name(report: Report, wanted: Wanted, actual: Actual, remedy: str) -> None:
    """The declared name is that of the guest under the declared vmid."""
    has = actual.config.options.get(wanted.type.name_key) if actual.config else None
    if not is_declared_guest(wanted, actual):
        other = f", which is called {has}" if has else ", which has no name"
        problem = f"is not the name of {wanted.type.noun} {actual.vmid}{other}"
        report.add(wanted.type.name_key, wanted.name, problem, remedy)


def _check_taken(report: Report, wanted: Wanted, taken: GuestRef) -> None:
    """The vmid or the name is that of a guest which is not on this node, or of another kind."""
    noun = KINDS[taken.kind].noun
    if wanted.vmid is None:
        remedy = f"Run against node {taken.node}: this guest is not created a second time."
        report.add(wanted.type.name_key, wanted.name, f"is {noun} {taken.vmid} on node {taken.node}", remedy)
        return
    called = f", called {taken.name}" if taken.name else ""
    remedy = "Choose another vmid, or leave it out to get a free one."
    if taken.kind == wanted.type.kind:
        remedy = f"Run against node {taken.node}, or choose another vmid."
    report.add("vmid", taken.vmid, f"is taken by a {noun} on node {taken.node}{called}", remedy)


def _check_lock(report: Report, actual: Actual, plan: Plan) -> None:
    lock = actual.config.lock if actual.config else None
    if lock == SUSPENDED:
        if any(not isinstance(step, Start) for step in plan.steps):
            remedy = "Start it first (state=started alone): that takes its memory up again."
            report.add("vmid", actual.vmid, "is suspended to disk, and PVE changes nothing of it then", remedy)
    elif lock:
        remedy = "Wait for the task that holds it; if there is none, 'pct unlock' (or 'qm unlock') removes it."
        report.add("vmid", actual.vmid, f"is locked ({lock})", remedy)


def _check_guest(report: Report, wanted: Wanted, actual: Actual, plan: Plan) -> None:
    """What concerns the guest as a whole."""
    if actual.taken is not None:
        _check_taken(report, wanted, actual.taken)
    if actual.config is None:
        return
    if plan.creating:
        _check_name(report, wanted, actual, "A guest with another name is never recreated; choose another vmid.")
    elif not wanted.policy.rename:
        _check_name(report, wanted, actual, "Choose another vmid, or set rename: true to give it this name.")
    if plan:
        _check_lock(report, actual, plan)
    if actual.config.protected:
        _check_protection(report, wanted, plan)
    if actual.config.template and plan.has(Start):
        report.add("state", wanted.state, f"is refused: {wanted.label} is a template", "Clone it, and start the clone.")


def _check_protection(report: Report, wanted: Wanted, plan: Plan) -> None:
    """What PVE refuses to a protected guest, even when the same call ends the protection: to destroy it, to remove a
    volume, and in a container any change of one (pve-container, LXC/Config.pm; qemu-server, API2/Qemu.pm)."""
    refused = f"is refused: {wanted.label} is protected"
    if plan.creating:
        report.add("recreate", True, refused, "Set protection=false first.")
    changed = plan.change.set if wanted.type.keeps_volumes else ()
    for key in filter(wanted.type.is_volume, (*changed, *plan.change.delete)):
        path = wanted.declaration.paths.get(key, key)
        report.add(path, None, f"{refused}, so are its volumes", "Set protection=false first, in a task of its own.")


def _check_token(
    report: Report, node: Node, wanted: Wanted, actual: Actual, plan: Plan, touched: t.Mapping[str, t.Any]
) -> None:
    if node.root_login:
        return
    deleted = (*plan.change.delete, *plan.change.revert)
    for option, value, which in wanted.type.root_only(wanted, actual, touched, deleted):
        problem = f"{which} is reserved by PVE to root@pam itself; an API token may not set it".strip()
        report.add(option, value, problem, OTHER_WAYS)


def _check_permissions(
    report: Report,
    facts: Facts,
    wanted: Wanted,
    actual: Actual,
    plan: Plan,
    touched: t.Mapping[str, t.Any],
    uploads: t.Iterable[str],
) -> None:
    """PVE would refuse one privilege at a time, and only when its step is reached."""
    if facts.access is None:
        return
    bridges = facts.bridges if any(map(is_net, touched)) else {}
    required = permissions.needs(wanted, actual, plan, touched, bridges, uploads)
    lacking = privileges.missing(required, facts.access)
    if lacking:
        report.findings.append(privileges.finding(lacking, facts.access))


def _check_pool(report: Report, facts: Facts, wanted: Wanted) -> None:
    if wanted.pool is not None:
        pools = facts.pools
        if wanted.pool not in pools:
            listed = ", ".join(sorted(pools)) or "none"
            report.add("pool", wanted.pool, "does not exist", f"Pools of this cluster: {listed}.")
