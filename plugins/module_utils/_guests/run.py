# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the module for many guests, from its parameters to its return values."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import Ended, Fleet, workers
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, Interrupted
from ansible_collections.pve.provision.plugins.module_utils._guests import report
from ansible_collections.pve.provision.plugins.module_utils._guests.declaration import (
    Ownership,
    declared_guests,
    on_node,
    read_declaration,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import Guest, with_defaults
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt, progress
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node


def run_guests(params: t.Mapping[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    """Make a node match the declared guests. ``msg`` is among the return values when a guest failed."""
    node = open_node(params)
    fleet = Fleet(node, (), concurrency=workers(params["concurrency"], os.cpu_count() or 1))
    fleet.on_failure = params["on_failure"]
    guests = with_defaults(params["guests"], params["defaults"])
    names = {str(guest.get("name")) for guest in guests}
    fleet.view.configs(declared_guests(fleet.view.guests(), guests))  # read ahead, several at once
    ownership = Ownership(params.get("owner_tag") or "", frozenset(params.get("adopt") or ()), params["prune"])
    wished, gone = on_node(fleet.facts.node, guests, ownership)
    declaration = read_declaration(wished)
    findings = [*_unknown_names("limit", params, names), *_unknown_names("adopt", params, names)]
    findings += [*_needs_tag(params), *declaration.findings]
    limit = params.get("limit")
    fleet.members = declaration.members
    planned = [each for each in fleet.plan(findings) if not limit or each.member.name in limit]
    if check_mode:
        return _answer(planned, planned, gone, params)
    if any(each.result and each.result.changed for each in planned):
        progress.note("plan (validate, storage, template, network)", report.plan_lines(planned)[-1])
    return _answer(planned, fleet.carry_out(planned), gone, params)


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
