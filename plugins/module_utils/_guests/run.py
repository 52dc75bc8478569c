# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the module for many guests, from its parameters to its return values."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import Ended, Fleet, Member, workers
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, Interrupted
from ansible_collections.pve.provision.plugins.module_utils._guests import report
from ansible_collections.pve.provision.plugins.module_utils._guests.declaration import (
    Ownership,
    pruned,
    read_declaration,
    wishes,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.homes import Homes
from ansible_collections.pve.provision.plugins.module_utils._guests.peers import Peers
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import Guest, with_defaults
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt, progress
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node


def run_guests(params: t.Mapping[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    """Make a node, or the cluster behind an API, match the declared guests. ``msg`` is among the return values when a
    guest failed."""
    node = open_node(params, any_node=True)
    fleet = Fleet(node, (), concurrency=workers(params["concurrency"], os.cpu_count() or 1))
    fleet.on_failure = params["on_failure"]
    fleet.limit = frozenset(params["limit"]) if params.get("limit") else None
    guests = with_defaults(params["guests"], params["defaults"])
    peers = Peers.read(params["peers"], node.name) if params.get("peers") else None
    chosen = not params.get("api_host") or bool(params.get("node")) or len(fleet.cluster.nodes()) == 1
    homes = Homes(fleet.cluster, guests, peers, chosen=chosen, everywhere=params["prune"])
    homes.check_words()
    ownership = Ownership(params.get("owner_tag") or "", frozenset(params.get("adopt") or ()), params["prune"])
    wished = wishes(homes, fleet.cluster, guests, ownership)
    declaration = read_declaration(wished.guests)
    members = homes.settle(declaration.members)
    fleet.members = [member for member in members if homes.is_mine(member)]
    fleet.known = frozenset(str(guest.get("name")) for guest in guests)
    findings = [*_unknown_names("limit", params, fleet.known), *_unknown_names("adopt", params, fleet.known)]
    findings += [*_needs_tag(params), *declaration.findings, *homes.findings, *_out_of_reach(fleet.members, members)]
    if ownership.tag and ownership.prune:
        fleet.members = [*fleet.members, *pruned(homes, fleet.cluster, guests, ownership.tag)]
    planned = [each for each in fleet.plan(findings) if fleet.limit is None or each.member.name in fleet.limit]
    for each in planned:
        if each.result and each.member.name in homes.notes:
            each.result.warnings.append(homes.notes[each.member.name])
    gone = {name: guest for name, guest in wished.gone.items() if homes.answers_for(guest)}
    if check_mode:
        return _answer(planned, planned, gone, params)
    if any(each.result and each.result.changed for each in planned):
        progress.note("plan (validate, storage, template, network)", report.plan_lines(planned)[-1])
    return _answer(planned, fleet.carry_out(planned), gone, params)


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
    for name in params.get(option) or ():
        if name not in names:
            yield Finding(option, name, "is no guest of this list", f"There are: {', '.join(sorted(names))}.")


def _needs_tag(params: t.Mapping[str, t.Any]) -> t.Iterator[Finding]:
    for option in ("adopt", "prune"):
        if params.get(option) and not params.get("owner_tag"):
            yield Finding(option, params[option], "needs the tag that marks guests", "State owner_tag.")


def _answer(
    planned: t.Sequence[Ended], ended: t.Sequence[Ended], gone: t.Mapping[str, Guest], params: t.Mapping[str, t.Any]
) -> dict[str, t.Any]:
    entries = [report.entry(each, details=params["details"]) for each in ended]
    entries += [
        {"name": name, "type": guest.get("type"), "changed": False, "status": "absent"} for name, guest in gone.items()
    ]
    lines = report.plan_lines(planned)
    warnings = [f"{entry['name']}: {warning}" for entry in entries for warning in entry.pop("warnings", ())]
    answer = {
        "changed": any(entry["changed"] for entry in entries),
        "guests": entries,
        "plan": lines,
        "warnings": warnings,
        "diff": {"prepared": "".join(f"{line}\n" for line in lines)},
    }
    failed = report.failures(ended, interrupt.reason())
    if not failed:
        return answer
    kind = {"error": Interrupted.kind} if interrupt.reason() else {}
    return {**answer, **kind, "msg": failed}
