# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the module for many guests, from its parameters to its return values."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._argspec import STORAGE_LIMITS
from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import AUTO, Ended, Fleet, Member, workers
from ansible_collections.pve.provision.plugins.module_utils._engine.order import with_sources
from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, Finding, Interrupted, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._given import names_of
from ansible_collections.pve.provision.plugins.module_utils._guests import report
from ansible_collections.pve.provision.plugins.module_utils._guests.declaration import (
    Ownership,
    pruned,
    read_declaration,
    wishes,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.locations import Locations
from ansible_collections.pve.provision.plugins.module_utils._guests.mark import check_tag
from ansible_collections.pve.provision.plugins.module_utils._guests.peers import Peers
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import Guest, split_defaults, with_defaults
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.golden_name import CROWDED, crowds
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt, progress
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import AT_ONCE

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node


@dataclass(frozen=True)
class Declared:
    """The guests of a declaration as members of a run, and what is wrong with it. ``notes`` are about some of them by
    name; ``gone`` are those that are to be absent and are nowhere."""

    fleet: Fleet
    findings: list[Finding]
    notes: t.Mapping[str, str]
    gone: dict[str, Guest]


@dataclass(frozen=True)
class Planned:
    """A run that was planned, and what it will tell: ``gone`` are the guests that are to be absent and are nowhere;
    ``notes``, what is told of guests by their names."""

    fleet: Fleet
    guests: list[Ended]
    gone: dict[str, Guest]
    notes: t.Mapping[str, str]


def run_guests(params: t.Mapping[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    """Make a node, or the cluster behind an API, match the declared guests. ``failed`` is among the return values when
    a guest failed."""
    node = open_node(params, any_node=True)
    planned = plan_guests(node, params) if check_mode else _plan_when_made(node, params)
    if check_mode:
        return _answer(planned, planned.guests, params)
    if any(each.result and each.result.changed for each in planned.guests):
        site = planned.fleet.site()
        if params["concurrency"] == AUTO and site is not None:
            planned.fleet.concurrency = workers(AUTO, site.facts.processors or 0)
        progress.note("plan (validate, storage, template, network)", report.plan_lines(planned.guests)[-1])
    return _answer(planned, planned.fleet.carry_out(planned.guests), params)


def _plan_when_made(node: Node, params: t.Mapping[str, t.Any]) -> Planned:
    """The plan; half a guest, that somebody is creating, is looked at again when it is made."""
    deadline = node.clock.now() + params["timeout"]
    while True:
        going = cleanup.creations(node)
        try:
            return plan_guests(node, params)
        except InvalidInput:
            going |= cleanup.creations(node)
            if not going or node.clock.now() >= deadline:
                raise
        for vmid, note in going.items():
            with contextlib.suppress(Conflict):  # whatever takes so long, it will be looked at once more
                cleanup.await_creator(node, note["kind"], vmid, int(deadline - node.clock.now()))


def declare(node: Node, params: t.Mapping[str, t.Any]) -> Declared:
    """The declared guests where they are or come to be, and all that is wrong with the declaration."""
    fleet = Fleet(node, (), concurrency=workers(params["concurrency"], os.cpu_count() or 1))
    fleet.common.at_once = AT_ONCE if params["concurrency"] == AUTO else {}
    fleet.limit = frozenset(names_of(params.get("limit"))) or None
    defaults, wrong = split_defaults({**_limits(params), **params["defaults"]})
    declaration = read_declaration(with_defaults(params["guests"], defaults))
    guests = declaration.options
    fleet.common.kept[CROWDED] = crowds(guests)
    peers = Peers.read(params["peers"], node.name) if params.get("peers") else None
    chosen = not params.get("api_host") or bool(params.get("node")) or len(fleet.cluster.nodes()) == 1
    ownership = Ownership.of(params, fleet.limit)
    locations = Locations(fleet.cluster, guests, peers, chosen=chosen, everywhere=ownership.prune)
    wished = wishes(locations, fleet.cluster, declaration.guests)
    common = {"app_profiles": params.get("app_profiles")}
    members = locations.assign_nodes([each.member(declaration.names, common, ownership) for each in wished.guests])
    fleet.members = [member for member in members if locations.is_mine(member)]
    fleet.known = declaration.names
    limit = fleet.limit
    left_alone = declaration.names - limit - with_sources(members, limit) if limit is not None else frozenset()
    findings = [
        *_wrong(params, fleet.known),
        *wrong,
        *declaration.findings,
        *(finding for finding in locations.findings if finding.option.partition(":")[0] not in left_alone),
        *_out_of_reach(fleet.members, members),
    ]
    findings += [finding for each in members if locations.refuses(each) for finding in _of_refused(each)]
    if ownership.prune:
        lost = pruned(locations, fleet.cluster, guests, ownership.tag)
        findings += _all_pruned(lost) if not params["guests"] else ()
        fleet.members = [*fleet.members, *lost]
    gone = {name: guest for name, guest in wished.gone.items() if locations.answers_for(guest)}
    return Declared(fleet, findings, locations.notes, gone)


@contextlib.contextmanager
def _collecting_rarely() -> t.Iterator[None]:
    """Planning makes many objects that stay, and hardly any that hold each other: to look for these as often as Python
    does takes a third of its time."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@_collecting_rarely()
def plan_guests(node: Node, params: t.Mapping[str, t.Any]) -> Planned:
    """What a run would do. Raises InvalidInput with all that stands against it."""
    declared = declare(node, params)
    fleet = declared.fleet
    fleet.on_failure = params["on_failure"]
    planned = [each for each in fleet.plan(declared.findings) if fleet.limit is None or each.member.name in fleet.limit]
    for each in planned:
        if each.result and each.member.name in declared.notes:
            each.result.warnings.append(declared.notes[each.member.name])
    return Planned(fleet, planned, declared.gone, declared.notes)


def _of_refused(member: Member) -> t.Iterator[Finding]:
    """What is wrong with a guest by itself that is not planned, as it cannot be where it is declared."""
    wanted, _parts = member.read()
    yield from (finding.of(member.name) for finding in wanted.findings)


def _all_pruned(lost: t.Sequence[Member]) -> t.Iterator[Finding]:
    """That an empty list would have all guests destroyed: it may be one that was not read."""
    if lost:
        problem = f"would destroy all guests, as the list is empty: {', '.join(member.name for member in lost)}"
        yield Finding("prune", True, problem, "Where that is meant, declare one of them with state: absent.")


def _limits(params: t.Mapping[str, t.Any]) -> dict[str, int]:
    """The limits of storages that the run states for all its guests."""
    return {name: params[name] for name in STORAGE_LIMITS if params.get(name) is not None}


def _out_of_reach(mine: t.Sequence[Member], members: t.Sequence[Member]) -> t.Iterator[Finding]:
    """Guests that are to come after those of another host of the play, which nobody waits for."""
    nodes = {member.name: member.moves.node if member.moves else member.node for member in members}
    elsewhere = nodes.keys() - {member.name for member in mine}
    for member in mine:
        for name in sorted(member.after & elsewhere):
            option = "clone_from" if name == member.source else "after"
            problem = f"is on node {nodes[name]}, and the hosts of a play do not wait for each other"
            remedy = "Put both on one node, use a play for each, or let one task over the API do all nodes."
            yield Finding(f"{member.name}: {option}", name, problem, remedy)


def _unknown_names(option: str, params: t.Mapping[str, t.Any], names: t.Collection[str]) -> t.Iterator[Finding]:
    for name in names_of(params.get(option)):
        if name not in names:
            yield Finding(option, name, "is not a guest of this list", f"There are: {', '.join(sorted(names))}.")


def _wrong(params: t.Mapping[str, t.Any], names: t.Collection[str]) -> t.Iterator[Finding]:
    """What is wrong with the options of the run itself."""
    yield from _unknown_names("limit", params, names)
    yield from _unknown_names("adopt", params, names)
    concurrency = params["concurrency"]
    if concurrency != AUTO and not re.fullmatch("[1-9][0-9]*", concurrency):
        yield Finding("concurrency", concurrency, "is not a number of guests", "State auto, or 1 or more.")
    if params.get("owner_tag"):
        yield from check_tag("owner_tag", params["owner_tag"])
    for option in ("adopt", "prune"):
        if params.get(option) and not params.get("owner_tag"):
            yield Finding(option, params[option], "needs the tag that marks guests", "State owner_tag.")


def _answer(planned: Planned, ended: t.Sequence[Ended], params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    entries = [report.entry(each, details=params["details"]) for each in ended]
    for name, guest in planned.gone.items():
        told = {"warnings": [planned.notes[name]]} if name in planned.notes else {}
        entries.append({"name": name, "type": guest.get("type"), "changed": False, "status": "absent", **told})
    lines = report.plan_lines(planned.guests)
    warnings = [f"{entry['name']}: {warning}" for entry in entries for warning in entry.pop("warnings", ())]
    answer = {
        "changed": any(entry["changed"] for entry in entries),
        "msg": "\n".join(lines),
        "guests": entries,
        "plan": lines,
        "warnings": warnings,
        "degraded": [{"name": entry["name"], **told} for entry in entries for told in entry.get("degraded", ())],
        "diff": {"prepared": "".join(f"{line}\n" for line in lines)},
    }
    failed = report.failures(ended, interrupt.reason())
    if not failed:
        return answer
    kind = {"error": Interrupted.kind} if interrupt.reason() else {}
    return {**answer, **kind, "failed": True, "msg": failed}
