# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what stands against a plan on this node, all of it, before anything is written.

PVE accepts many things that can only fail later, at the start or never: an unknown bridge, an MTU above the bridge's,
addresses and MACs that a neighbour has. Those are found here. A check reads the node only where the plan touches what
it is about, so an unchanged guest costs nothing.
"""

from __future__ import annotations

import functools
import ipaddress
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model import network, qemu
from ansible_collections.pve.provision.plugins.module_utils._model.diff import SubValues
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import FEATURES
from ansible_collections.pve.provision.plugins.module_utils._model.volume import DEFAULT_SIZE, MOUNT_POINT, storage_of
from ansible_collections.pve.provision.plugins.module_utils._workflow import permissions
from ansible_collections.pve.provision.plugins.module_utils._workflow.guest import Actual, Plan, Wanted
from ansible_collections.pve.provision.plugins.module_utils._workflow.storage import check_storage

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import (
        Access,
        Bridge,
        GuestRef,
        Kind,
        Node,
        Storage,
        Volume,
    )

OTHER_WAYS = "Log in with root's password, or run on the node itself over SSH."


class Facts:
    """What a run reads of a node besides the guest, each thing once and only when it is asked for."""

    def __init__(self, node: Node) -> None:
        self.node = node

    @functools.cached_property
    def storages(self) -> list[Storage]:
        return self.node.storages()

    @functools.cached_property
    def bridges(self) -> dict[str, Bridge]:
        return {bridge.name: bridge for bridge in self.node.bridges()}

    @functools.cached_property
    def pools(self) -> dict[str, frozenset[int]]:
        return self.node.pools()

    @functools.cached_property
    def access(self) -> Access | None:
        return self.node.access()

    @functools.cached_property
    def guests(self) -> list[GuestRef]:
        return self.node.guests()

    @functools.cached_property
    def templates(self) -> list[Volume]:
        holding = [storage for storage in self.storages if "vztmpl" in storage.content and storage.active]
        return [volume for storage in holding for volume in self.node.volumes(storage.name, "vztmpl")]

    @functools.cached_property
    def neighbours(self) -> dict[int, dict[str, SubValues]]:
        """The networks of every guest of this node by vmid."""
        found = {}
        for guest in self.guests:
            config = self.node.config(guest.kind, guest.vmid)
            options = {} if config is None else config.options
            written = NETWORKS[guest.kind]
            found[guest.vmid] = {key: written.parse(text) for key, text in options.items() if is_net(key)}
        return found


# How each kind of guest writes its networks.
NETWORKS: dict[Kind, Fields] = {"lxc": network.NET, "qemu": qemu.NET}


def is_net(key: str) -> bool:
    return key.startswith("net") and key[3:].isdigit()


class Report:
    """Gathers findings and warnings."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.warnings: list[str] = []

    def add(self, option: str, value: object, problem: str, remedy: str = "") -> None:
        self.findings.append(Finding(option, value, problem, remedy))


def preflight(facts: Facts, wanted: Wanted, actual: Actual, plan: Plan, uploads: t.Iterable[str] = ()) -> Report:
    """Everything that stands against carrying out the plan, which puts files of ours on the storages ``uploads``."""
    report = Report()
    for problem in (*wanted.problems, *plan.change.problems):
        report.add(problem.option, problem.value, problem.problem, problem.remedy)
    if wanted.state == "absent":
        _check_absent(report, wanted, actual)
        if (plan or actual.forbidden) and not report.findings:
            _check_permissions(report, facts, wanted, actual, plan, {}, ())
        return report
    _check_guest(report, wanted, actual, plan)
    if plan:
        touched = _touched(wanted, actual, plan)
        networks = {key: value for key, value in touched.items() if is_net(key)}
        _check_bridges(report, facts, wanted, networks)
        _check_neighbours(report, facts, wanted, actual, networks)
        _check_volumes(report, facts, wanted, actual, touched)
        _check_token(report, facts.node, wanted, actual, plan, touched)
        _check_environment(report, facts.node, touched)
        _check_paths(report, facts.node, wanted, touched)
        _check_pool(report, facts, wanted)
        _check_permissions(report, facts, wanted, actual, plan, touched, uploads)
    return report


def creating(plan: Plan) -> bool:
    return any(step.action in {"create", "clone"} for step in plan.steps)


def _touched(wanted: Wanted, actual: Actual, plan: Plan) -> dict[str, t.Any]:
    """The declared values that the plan writes; for property strings as they will be."""
    if creating(plan):
        return {key: value for key, value in wanted.declaration.values.items() if value is not None}
    declared = wanted.declaration.values
    return {key: declared[key] for key in (*plan.change.set, *plan.change.resize) if declared.get(key) is not None}


def _check_absent(report: Report, wanted: Wanted, actual: Actual) -> None:
    if wanted.vmid is None:
        report.add("vmid", None, "is required with state=absent", "Name the vmid, and the hostname to be safe.")
    if actual.config is None:
        return
    has = actual.config.options.get(wanted.type.name_key)
    if wanted.name and has != wanted.name:
        remedy = f"vmid {actual.vmid} is called {has}; nothing was removed."
        report.add(wanted.type.name_key, wanted.name, f"is not the name of {wanted.type.noun} {actual.vmid}", remedy)
    if actual.config.options.get("protection") == "1":
        report.add("state", "absent", f"is refused: {wanted.label} is protected", "Set protection=false first.")
    _check_lock(report, wanted, actual)


def _check_lock(report: Report, wanted: Wanted, actual: Actual) -> None:
    lock = actual.config.options.get("lock") if actual.config else None
    if lock:
        remedy = "Wait for the task that holds it; if there is none, 'pct unlock' (or 'qm unlock') removes it."
        report.add("vmid", actual.vmid, f"is locked ({lock})", remedy)


def _check_guest(report: Report, wanted: Wanted, actual: Actual, plan: Plan) -> None:
    """What concerns the guest as a whole."""
    if actual.taken is not None:
        where = "a VM" if actual.taken.kind == "qemu" else "a container"
        if actual.taken.kind == wanted.type.kind:
            remedy = f"Run against node {actual.taken.node}, or choose another vmid."
        else:
            remedy = "Choose another vmid, or leave it out to get a free one."
        report.add("vmid", actual.vmid, f"is taken by {where} on node {actual.taken.node}", remedy)
    if actual.config is None:
        return
    if plan:
        _check_lock(report, wanted, actual)
    options = actual.config.options
    if options.get("protection") == "1":
        _check_protection(report, wanted, plan)
    if options.get("template") == "1" and any(step.action == "start" for step in plan.steps):
        report.add("state", wanted.state, f"is refused: {wanted.label} is a template", "Clone it, and start the clone.")


def _check_protection(report: Report, wanted: Wanted, plan: Plan) -> None:
    """What PVE refuses to a protected guest, even when the same call ends the protection: to destroy it, to remove a
    volume, and in a container any change of one (pve-container, LXC/Config.pm; qemu-server, API2/Qemu.pm)."""
    refused = f"is refused: {wanted.label} is protected"
    if creating(plan):
        report.add("recreate", True, refused, "Set protection=false first.")
    changed = plan.change.set if wanted.type.kind == "lxc" else ()
    for key in filter(wanted.type.is_volume, (*changed, *plan.change.delete)):
        path = wanted.declaration.paths.get(key, key)
        report.add(path, None, f"{refused}, so are its volumes", "Set protection=false first, in a task of its own.")


def _check_bridges(report: Report, facts: Facts, wanted: Wanted, networks: t.Mapping[str, SubValues]) -> None:
    for key, net in networks.items():
        path, name = wanted.declaration.paths[key], net.get("bridge")
        if not name:
            continue
        bridge = facts.bridges.get(name)
        if bridge is None:
            listed = ", ".join(sorted(facts.bridges)) or "none"
            report.add(f"{path}.bridge", name, f"does not exist on node {facts.node.name}", f"There are: {listed}.")
        elif bridge.mtu and (net.get("mtu") or 0) > bridge.mtu:
            remedy = f"The {wanted.type.noun} could not start. Lower it, or raise the bridge's."
            report.add(f"{path}.mtu", net["mtu"], f"is above the {bridge.mtu} of {name}", remedy)


def _check_neighbours(
    report: Report, facts: Facts, wanted: Wanted, actual: Actual, networks: t.Mapping[str, SubValues]
) -> None:
    """MACs and static addresses that another guest of this node already has."""
    mine = [(wanted.declaration.paths[key], net) for key, net in networks.items()]
    if not any(net.get("hwaddr") or "/" in f"{net.get('ip')}{net.get('ip6')}" for _path, net in mine):
        return
    for vmid, theirs in facts.neighbours.items():
        if vmid == actual.vmid:
            continue
        for path, net in mine:
            for other in theirs.values():
                _check_pair(report, path, net, other, vmid)


def _check_pair(report: Report, path: str, net: SubValues, other: SubValues, vmid: int) -> None:
    if net.get("hwaddr") and net["hwaddr"] == other.get("hwaddr"):
        report.add(f"{path}.hwaddr", net["hwaddr"], f"is the MAC address of guest {vmid}", "Leave it out to get one.")
    same_segment = net.get("bridge") == other.get("bridge") and net.get("tag") == other.get("tag")
    for key in ("ip", "ip6"):
        address, taken = _host(net.get(key)), _host(other.get(key))
        if same_segment and address is not None and address == taken:
            report.add(f"{path}.{key}", net[key], f"is the address of guest {vmid} on the same bridge", "Use another.")


def _host(text: str | None) -> object:
    return ipaddress.ip_interface(text).ip if text and "/" in text else None


def _check_volumes(
    report: Report, facts: Facts, wanted: Wanted, actual: Actual, touched: t.Mapping[str, t.Any]
) -> None:
    """Each storage must be there, take volumes of such guests, and have room for all that goes on it."""
    needs: dict[str, tuple[int, str]] = {}
    current = actual.config.options if actual.config else wanted.clone.options if wanted.clone else {}
    for key, value in touched.items():
        if not wanted.type.is_volume(key):
            continue
        path = wanted.declaration.paths.get(key, key)
        volume = value.get("volume")
        if key not in current and not volume and not value.get("storage"):
            remedy = "State storage and size for a new volume, bind for a directory of the node, or volume for a volid."
            report.add(path, None, "says not what to mount", remedy)
        elif key not in current and key.startswith("mp") and not value.get("mp"):
            report.add(f"{path}.mp", None, "is missing", "Say where it appears in the guest, such as /srv/data.")
        home, more = _more_room(value, current.get(key))
        if home:
            size, first = needs.get(home, (0, f"{path}.storage"))
            needs[home] = (size + more, first)
    for home, (size, path) in needs.items():
        findings, warnings = check_storage(facts.storages, home, wanted.type.content, size, path)
        report.findings += findings
        report.warnings += warnings


def _more_room(value: SubValues, now: str | None) -> tuple[str | None, int]:
    """Which storage a volume takes more room on, and how much: all of a new one, the growth of one that is there."""
    volume = value.get("volume")
    if now is None:
        home = value.get("storage") or (storage_of(volume) if volume else None)
        return home, 0 if volume else value.get("size") or DEFAULT_SIZE
    there = MOUNT_POINT.parse(now)
    grown = (value.get("size") or 0) - (there.get("size") or 0)
    return (storage_of(there["volume"]), grown) if grown > 0 else (None, 0)


def _root_only(
    wanted: Wanted, actual: Actual, touched: t.Mapping[str, t.Any], deleted: t.Collection[str]
) -> t.Iterator[tuple[str, object, str]]:
    """The options that PVE takes from root@pam alone, never from an API token (pve-container, API2/LXC.pm)."""
    path = wanted.declaration.paths
    current = actual.config.options if actual.config else {}
    unprivileged = wanted.declaration.values.get("unprivileged", current.get("unprivileged") == "1" or not current)
    before = FEATURES.normal(FEATURES.parse(current.get("features", "")))
    after = {} if "features" in deleted else FEATURES.normal({**before, **(touched.get("features") or {})})
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name) and (name != "nesting" or not unprivileged):
            which = "of a privileged container" if name == "nesting" else ""
            yield f"features.{name}", after.get(name, False), which
    for key in deleted:
        if key == "hookscript" or (key.startswith("dev") and key[3:].isdigit()):
            yield path.get(key, key), None, ""
    for key, value in touched.items():
        if key.startswith("dev") and key[3:].isdigit():
            yield path[key], value.get("path"), ""
        if key.startswith("mp") and str(value.get("volume") or "").startswith("/"):
            yield f"{path[key]}.bind", value["volume"], ""
        if key == "hookscript":
            yield "hookscript", value, ""


def _check_token(
    report: Report, node: Node, wanted: Wanted, actual: Actual, plan: Plan, touched: t.Mapping[str, t.Any]
) -> None:
    if node.root_login:
        return
    for option, value, which in _root_only(wanted, actual, touched, plan.change.delete):
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
    lacking = permissions.missing(required, facts.access)
    if lacking:
        report.findings.append(permissions.finding(lacking, facts.access))


def _check_paths(report: Report, node: Node, wanted: Wanted, touched: t.Mapping[str, t.Any]) -> None:
    for key, value in touched.items():
        source = str(value.get("volume") or "") if key.startswith("mp") else ""
        if source.startswith("/") and node.has_path(source) is False:
            path = f"{wanted.declaration.paths[key]}.bind"
            report.add(path, source, f"does not exist on node {node.name}", "Make the directory first.")
        if key.startswith("dev") and node.has_path(value.get("path") or "/") is False:
            path = f"{wanted.declaration.paths[key]}.path"
            report.add(path, value["path"], f"does not exist on node {node.name}", "Load its kernel module there.")


def _check_environment(report: Report, node: Node, touched: t.Mapping[str, t.Any]) -> None:
    """PVE keeps the variables apart by NUL, which no command line can carry."""
    if node.transport == "cli" and len(touched.get("env") or ()) > 1:
        remedy = "Set one variable, or run over the API (api_host)."
        report.add("env", list(touched["env"]), "cannot be given to pct: it takes one variable", remedy)


def _check_pool(report: Report, facts: Facts, wanted: Wanted) -> None:
    if wanted.pool is not None:
        pools = facts.pools
        if wanted.pool not in pools:
            listed = ", ".join(sorted(pools)) or "none"
            report.add("pool", wanted.pool, "does not exist", f"Pools of this cluster: {listed}.")
