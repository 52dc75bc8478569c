# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the checks of a guest as the last part of a run over it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._access.shell import NO_ANSWER, Shell, by_agent
from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import (
    Address,
    make_address,
    neighbour_addresses,
    seen_addresses,
    told_interfaces,
)
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run
from ansible_collections.pve.provision.plugins.module_utils._engine.verify.examine import (
    Answers,
    Blocks,
    Target,
    Verdict,
    blocks_of,
    examine,
)
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    ChecksFailed,
    Finding,
    ProvisionError,
    PveError,
    Timeout,
    Unsupported,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.report import changes
from ansible_collections.pve.provision.plugins.module_utils._guests.verify import report
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check, Outcome
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import declare_checks
from ansible_collections.pve.provision.plugins.module_utils._model.checks.known import DECLARED, EXPECTED, Known
from ansible_collections.pve.provision.plugins.module_utils._model.checks.table import TYPES
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.network import networks_in
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.hardware import has_agent

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

Connect = t.Callable[["Node", int, t.Mapping[str, str]], Shell]
"""A shell in a running guest of such a vmid and config. Raises Unsupported where there is no way in."""

SOURCES: t.Final[dict[str, str]] = {"lxc": "guest", "qemu": "agent"}
"""What an address is told by that a guest of a kind tells itself."""
# Seconds that a guest may take to answer all that its shell is asked.
TIMEOUT: t.Final = 120


def nowhere(_node: Node, _vmid: int, _options: t.Mapping[str, str]) -> Shell:
    raise Unsupported("guests of this type cannot be checked inside")


@dataclass
class VerifyPart(Part):
    """The checks of a guest. ``connect`` gives a shell in it, ``inside`` is what all parts of the run ask it by.

    ``active``: whether the run makes them at its end. ``timeout``: seconds that a guest which the run has changed may
    take to pass them, None: what each check says. ``undone`` is what a run would do and this one only looks for.
    ``answered`` are the checks that could be answered before a change from which the guest can go back.
    """

    checks: tuple[Check, ...]
    connect: Connect
    inside: Inside
    active: bool = True
    timeout: int | None = None
    undone: Plan = field(default_factory=Plan)
    answered: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name, script in blocks_of(each for each in self.checks if not each.guest).items():
            self.inside.include(name, script)

    def observing(self) -> VerifyPart:
        return dataclasses.replace(self, active=False)

    def begin(self, run: Run) -> None:
        """Where the guest can go back from its change, see which checks can be answered before it: one that cannot be
        afterwards has failed, whoever cuts the way to a guest."""
        config, goes_back = run.actual.config, any(step.until_verified for step in run.plan.steps)
        if not (self.active and self.checks and goes_back and run.actual.running and config):
            return
        once = dataclasses.replace(self, checks=tuple(dataclasses.replace(each, retries=0) for each in self.checks))
        held = self.inside.answers
        with contextlib.suppress(ProvisionError):
            addresses, _lacking = run.wanted.type.await_addresses(run.node, run.vmid, config.options, 0, wait=False)
            now = dataclasses.replace(run.result, status="running", options=config.options, addresses=addresses)
            verdicts = once.examine(dataclasses.replace(run, plan=Plan(), result=now), waits=False)
            self.answered = frozenset(v.check.name for v in verdicts if v.answer.outcome != "not_verified")
        self.inside.answers = held

    def finish(self, run: Run) -> None:
        """Make the checks: again and again where the run has changed the guest, else once. Of one that does not run
        it is told that they are not verified."""
        if not (self.active and self.checks):
            return
        checks = [self._against_before(verdict.view()) for verdict in self.examine(run, waits=bool(run.plan))]
        run.result.more["checks"] = checks
        run.result.warnings += [f"not verified: {words}" for words in report.told(checks, "not_verified")]
        if failed := report.told(checks, "failed"):
            raise ChecksFailed(
                f"{run.wanted.label} runs, and does not pass its checks: {'; '.join(failed)}.",
                remedy="Look into it. Raise checks_timeout if it needs more time.",
                checks=checks,
                vmid=run.vmid,
            )

    def _against_before(self, check: dict[str, t.Any]) -> dict[str, t.Any]:
        if check["outcome"] != "not_verified" or check["name"] not in self.answered:
            return check
        return {**check, "outcome": "failed", "detail": f"{check['detail']}, and before the change it was answered"}

    def examine(self, run: Run, *, waits: bool, more: t.Sequence[Check] = ()) -> list[Verdict]:
        """What comes of the checks, and of some ``more``."""
        checks = [*more, *self.checks]
        fresh = {} if run.plan else dict(self.inside.answers)  # before a change they say nothing of the guest

        def ask(guest: str, blocks: Blocks) -> Answers:
            if guest:
                return _heard(_ask_other(run, guest, blocks))
            if blocks.keys() <= fresh.keys():
                return _heard({name: fresh.pop(name) for name in blocks})
            shell = self.connect(run.node, run.vmid, run.result.options)
            return _heard(self.inside.ask(shell, blocks, timeout=TIMEOUT))

        looks = itertools.count()

        def look() -> Target:
            again = next(looks) > 0
            addresses, told = _addresses(run, again=again) if _needs_addresses(checks) else ([], False)
            known = dataclasses.replace(self._known(run), addresses=addresses, told=told)
            if any(check.type == "agent" for check in checks) and has_agent(run.result.options):
                known = dataclasses.replace(known, agent=_agent(run))
            hosts = tuple(dict.fromkeys(entry["address"] for entry in addresses))
            return Target(hosts, ask, known, run.node.containers is not None)

        return examine(checks, look, run.node.clock, waits=waits, timeout=self.timeout)

    def _known(self, run: Run) -> Known:
        result = run.result
        router, setup = result.more.get("openwrt") or {}, result.more.get("setup") or {}
        findings = [*run.wanted.findings, *self.undone.change.findings]
        lacking = [each.problem for each in findings if each.unverified]
        reasons = result.not_verified
        reasons = [*reasons, *(words for words in lacking if not any(why in words for why in reasons))]
        differs = [*changes(self.undone.before, self.undone.after)]
        differs += dict.fromkeys(f"{each.option}: {each.problem}" for each in findings if not each.unverified)
        if not differs:
            differs = [step.action for step in self.undone.steps]
        if result.pending:
            differs.append(f"waits for a restart: {', '.join(sorted(result.pending))}")
        if (router.get("drift") == "present" or setup.get("differs")) and not self.undone:
            differs.append(f"inside: {router.get('differs') or setup['differs']}")
        expected = EXPECTED[run.wanted.state]
        return Known(result.node, result.status, expected, differs=tuple(differs), not_verified="; ".join(reasons))


def verify_part(
    params: t.Mapping[str, t.Any], guest: str, connect: Connect, inside: Inside, of_profile: tuple[Check, ...] = ()
) -> tuple[VerifyPart, list[Finding]]:
    """The part of a type of guest with the declared checks, and those of its profile; and what is wrong with them."""
    declared, findings = declare_checks(params.get("checks") or (), guest)
    checks = (*of_profile, *declared)
    return VerifyPart(checks, connect, inside, bool(params.get("run_checks")), params.get("checks_timeout")), findings


def _heard(told: Answers) -> Answers:
    """What was answered. Raises PveError when nothing was."""
    heard = {name: done for name, done in told.items() if done.rc != NO_ANSWER}
    if told and not heard:
        raise PveError(next(done.stderr for done in told.values()))
    return heard


def _agent(run: Run) -> tuple[Outcome, str]:
    """What came of asking the guest agent, by nobody in its stead. Each has this question, be it of Windows."""
    if run.result.status != "running":
        return "not_verified", f"it is {run.result.status}"
    try:
        run.node.interfaces(run.wanted.type.kind, run.vmid)
    except ProvisionError as error:
        silent = isinstance(error, (PveError, Timeout)) and error.details.get("reason") != "permission"
        return "failed" if silent else "not_verified", str(error)
    return "passed", "it answers"


def _ask_other(run: Run, name: str, blocks: Blocks) -> Answers:
    """Ask another VM by its guest agent."""
    for ref in run.node.named("qemu", name):
        node = run.node.on(ref.node)
        if node is not None:
            return Inside().ask(by_agent(node, ref.vmid), blocks, timeout=TIMEOUT)
    raise PveError(f"{name} is not a running VM with a guest agent")


# -- addresses -------------------------------------------------------------------------------------------------------


def _needs_addresses(checks: t.Iterable[Check]) -> bool:
    return any(check.type == "address" or TYPES[check.type].way == "network" for check in checks)


def _addresses(run: Run, *, again: bool) -> tuple[list[Address], bool]:
    """The addresses of a running guest's own network devices, those that somebody has seen and then those that are only
    declared; and whether anybody has told any. ``again``: it is asked although the run has asked it."""
    result, held = run.result, run.result.addresses
    known = [entry for entry in held if entry["source"] != DECLARED]
    if result.status != "running" or (known and not again):
        return held, True
    seen, told = _seen(run)
    found = {entry["address"]: entry for entry in [*held, *seen, *known]}
    return sorted(found.values(), key=lambda entry: bool(entry["source"] == DECLARED)), told or bool(known)


def _seen(run: Run) -> tuple[list[Address], bool]:
    """What the guest itself tells, else the node: addresses of containers and VMs in it are nobody's business."""
    node, kind, options = run.node, run.wanted.type.kind, run.result.options
    cards = {str(net.get("hwaddr")).upper(): key for key, net in networks_in(options, KINDS[kind].network).items()}
    told = told_interfaces(node, kind, run.vmid) if kind == "lxc" or has_agent(options) else []
    ours = [entry for entry in seen_addresses(told, SOURCES[kind]) if entry["hwaddr"] in cards]
    met = {} if ours else neighbour_addresses(node, kind, run.vmid)
    macs = {key: mac for mac, key in cards.items()}
    found = [make_address(key, text, "neighbour", macs.get(key)) for key, texts in met.items() for text in texts]
    return ours or found, bool(told or found)
