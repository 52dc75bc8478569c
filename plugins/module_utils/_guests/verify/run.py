# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: declared guests looked at, and nothing changed: from the module's parameters to its
return values."""

from __future__ import annotations

import dataclasses
import typing as t
from concurrent import futures

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import Fleet, Member
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.reconcile import Reconciliation
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Run
from ansible_collections.pve.provision.plugins.module_utils._engine.verify.examine import Target, examine
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    InvalidInput,
    ProvisionError,
    Unsupported,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.errors import AnotherSystem
from ansible_collections.pve.provision.plugins.module_utils._guests.run import declare
from ansible_collections.pve.provision.plugins.module_utils._guests.verify import report
from ansible_collections.pve.provision.plugins.module_utils._guests.verify.part import VerifyPart, nowhere
from ansible_collections.pve.provision.plugins.module_utils._io import progress
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.known import EXPECTED, Known
from ansible_collections.pve.provision.plugins.module_utils._model.checks.table import ROUTERS
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
    from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock

Entry = dict[str, t.Any]
# Columns of the table that is among the return values.
WIDTH: t.Final = 120


def run_verify(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Look at the declared guests. ``msg`` is among the return values when a check failed."""
    node = open_node(params, any_node=True)
    declared = declare(node, params)
    fleet = declared.fleet
    read = [(member, *member.read()) for member in fleet.members if fleet.limit is None or member.name in fleet.limit]
    wrong = [finding.of(member.name) for member, wanted, _parts in read for finding in wanted.findings]
    if declared.findings or wrong:
        raise InvalidInput([*declared.findings, *wrong])
    for name in {_place(member) for member, _wanted, _parts in read}:
        fleet.site(name)  # opened by one thread
    with futures.ThreadPoolExecutor(fleet.concurrency) as pool:
        looks = [pool.submit(_look, fleet, member, wanted, parts) for member, wanted, parts in read]
        entries = [look.result() for look in looks]
    gone = {name: guest for name, guest in declared.gone.items() if fleet.limit is None or name in fleet.limit}
    entries += [_gone(name, str(guest.get("type")), node.name, node.clock) for name, guest in gone.items()]
    return answer(entries, strict=params["strict"])


def answer(entries: t.Sequence[Entry], *, strict: bool) -> dict[str, t.Any]:
    """The return values. ``strict``: what is not verified counts as failed."""
    checks = [(entry["name"], each) for entry in entries for each in entry["checks"]]
    bad = ("failed", "not_verified") if strict else ("failed",)
    failed = [f"{name}: {report.words(each)}" for name, each in checks if each["outcome"] in bad]
    not_verified = [f"{name}: not verified: {report.words(each)}" for name, each in checks if _is_open(each)]
    told = {
        "changed": False,
        "guests": list(entries),
        "summary": report.summary(each for _name, each in checks),
        "table": report.table(entries, WIDTH),
        "warnings": [] if strict else not_verified,
    }
    if not failed:
        return told
    return {**told, "failed": True, "msg": "\n".join([f"{len(failed)} of {len(checks)} checks failed.", *failed])}


def _is_open(check: t.Mapping[str, t.Any]) -> bool:
    return bool(check["outcome"] == "not_verified")


def _place(member: Member) -> str:
    """The node that a guest is on now."""
    return member.moves.node if member.moves else member.node


# -- one guest -------------------------------------------------------------------------------------------------------


def _look(fleet: Fleet, member: Member, wanted: Wanted, parts: t.Sequence[Part]) -> Entry:
    """A guest and what came of its checks."""
    parts = [part.observing() for part in parts]
    others = [part for part in parts if not isinstance(part, VerifyPart)]
    own = (part for part in parts if isinstance(part, VerifyPart))
    verify = next(own, None) or VerifyPart((), nowhere, Inside(), active=False)
    try:
        with progress.step(member.name, "verify"):
            return _observed(fleet, member, _asking(wanted), others, verify)
    except ProvisionError as error:
        return _unseen(fleet, member, [*_defaults(member.type, wanted), *verify.checks], error)


def _asking(wanted: Wanted) -> Wanted:
    """The guest is asked for its addresses at least once."""
    policy = dataclasses.replace(wanted.policy, ip_timeout=max(wanted.policy.ip_timeout, 1))
    return dataclasses.replace(wanted, policy=policy)


def _observed(fleet: Fleet, member: Member, wanted: Wanted, others: list[Part], verify: VerifyPart) -> Entry:
    site = fleet.site(_place(member))
    if site is None:
        raise Unsupported(f"it is on node {_place(member)}, which is not reached from here")
    run, plan = Reconciliation(site.facts.node, wanted, [*others, verify], site.facts).observe()
    if member.moves:
        plan = dataclasses.replace(plan, after={**plan.after, "node": member.node})
        plan = dataclasses.replace(plan, before={**plan.before, "node": member.moves.node})
    verify.undone = plan
    verdicts = verify.examine(run, waits=False, more=_missing(verify.checks, _defaults(member.type, wanted)))
    return _entry(member.name, member.type, run, [verdict.view() for verdict in verdicts])


def _entry(name: str, kind: str, run: Run, checks: list[dict[str, t.Any]]) -> Entry:
    result = run.result
    told = {"name": name, "type": kind, "vmid": result.vmid, "node": result.node, "status": result.status}
    return {**told, "addresses": result.addresses, "outcome": report.overall(checks), "checks": checks}


def _defaults(kind: str, wanted: Wanted) -> list[Check]:
    """What is looked at of every guest: its status, its differences, and its addresses where it is to have some."""
    runs = EXPECTED[wanted.state] == "running"
    addressed = kind in ROUTERS or bool(wanted.type.declared_addresses(wanted.options)) or _asks(wanted)
    return [check("status"), *([check("address")] if runs and addressed else []), check("drift")]


def _asks(wanted: Wanted) -> bool:
    """Whether it is to get an address from somebody else."""
    return any(word in text.split(",") for text in wanted.options.values() for word in ("ip=dhcp", "ip6=dhcp"))


def _missing(declared: t.Sequence[Check], defaults: t.Sequence[Check]) -> list[Check]:
    kinds = {each.type for each in declared}
    return [each for each in defaults if each.type not in kinds]


# -- guests that cannot be looked at ---------------------------------------------------------------------------------


def _unseen(fleet: Fleet, member: Member, checks: t.Sequence[Check], error: ProvisionError) -> Entry:
    """A guest that nobody could look at: the first check tells why, red where the guest is not what was declared."""
    wrong = isinstance(error, (Conflict, InvalidInput, AnotherSystem))
    known = Known(differs=[str(error)] if wrong else (), not_verified=str(error))
    return _made(member.name, member.type, _place(member) or fleet.node.name, checks, known, fleet.node.clock)


def _gone(name: str, kind: str, node: str, clock: Clock) -> Entry:
    """A guest that is to be absent, and is nowhere."""
    return _made(name, kind, node, [check("status")], Known(node, "absent", "absent"), clock)


def _made(name: str, kind: str, node: str, checks: t.Sequence[Check], known: Known, clock: Clock) -> Entry:
    def ask(_guest: str, _blocks: t.Mapping[str, str]) -> t.NoReturn:
        raise Unsupported(known.not_verified)

    verdicts = examine(checks, lambda: Target((), ask, known), clock, waits=False)
    views = [verdict.view() for verdict in verdicts]
    told = {"name": name, "type": kind, "node": node, "status": known.status or "unknown", "addresses": []}
    return {**told, "outcome": report.overall(views), "checks": views}
