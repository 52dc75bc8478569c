# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the checks of one guest made, all at once, until they pass or are given up.

Connections are made from where the module runs. All that a guest's own shell is asked goes into one script a round.
"""

from __future__ import annotations

import datetime
import typing as t
from concurrent import futures
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError, Unsupported
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock, growing
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import (
    Answer,
    Check,
    Completed,
    not_verified,
)
from ansible_collections.pve.provision.plugins.module_utils._model.checks.known import Known
from ansible_collections.pve.provision.plugins.module_utils._model.checks.network import Reply
from ansible_collections.pve.provision.plugins.module_utils._model.checks.table import TYPES

# Seconds between two looks at a guest: at first, and at most.
PAUSES: t.Final = (1.0, 10.0)
# How many questions go over the network at once.
_AT_ONCE: t.Final = 8
_LEAST: t.Final = 0.01

Blocks = t.Mapping[str, str]
Answers = t.Mapping[str, Completed]


Ask = t.Callable[[str, Blocks], Answers]
"""Has the shell of a guest, by its name or the empty one, run blocks of a script, each by itself. Raises Unsupported
where there is no way in, and another ProvisionError when nobody answers."""


def nobody(_guest: str, _blocks: Blocks) -> Answers:
    raise Unsupported("the guest cannot be accessed")


@dataclass(frozen=True)
class Target:
    """A guest as it can be asked: by its addresses, by its shell, by what is known. ``on_node``: whether the module
    runs on the node itself."""

    addresses: t.Sequence[str] = ()
    ask: Ask = nobody
    known: Known = field(default_factory=Known)
    on_node: bool = True


@dataclass(frozen=True)
class Verdict:
    """A check and what came of it in the end. ``seconds``: how long that took; ``at``: when it was answered, in seconds
    since the epoch; ``attempts``: how often it was made."""

    check: Check
    answer: Answer
    seconds: float = 0.0
    at: float = 0.0
    attempts: int = 1

    def view(self) -> dict[str, t.Any]:
        """As results show it."""
        answer = self.answer
        when = datetime.datetime.fromtimestamp(self.at, datetime.UTC)
        return {
            "name": self.check.name,
            "type": self.check.type,
            "outcome": answer.outcome,
            "asked": answer.asked,
            "detail": answer.detail,
            "by": answer.by,
            "at": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "attempts": self.attempts,
            "seconds": round(self.seconds, 1),
        }


def examine(
    checks: t.Sequence[Check],
    look: t.Callable[[], Target],
    clock: Clock,
    *,
    waits: bool = True,
    timeout: int | None = None,
) -> list[Verdict]:
    """Make the checks until each has passed or is given up: where the run ``waits`` for the guest, after ``timeout``
    seconds or the check's own time, and in any case after its retries. ``look`` tells how the guest can be asked at the
    moment."""
    begun = clock.now()
    limits = [(check.timeout if timeout is None else timeout) if waits else 0 for check in checks]
    verdicts: dict[int, Verdict] = {}
    due = list(range(len(checks)))
    for pause in growing(*PAUSES):
        answers = _ask_all([checks[number] for number in due], look()) if due else []
        for number, answer in zip(due, answers, strict=True):
            before = verdicts.get(number)
            seconds, attempts = clock.now() - begun, before.attempts + 1 if before else 1
            verdicts[number] = Verdict(checks[number], answer, seconds, clock.wall(), attempts)
        due = [number for number in due if _again(verdicts[number], limits[number])]
        if not due or interrupt.reason():
            break
        left = max(limits[number] - verdicts[number].seconds for number in due)
        clock.sleep(max(min(pause, left) if left > 0 else pause, _LEAST))
    return [verdicts[number] for number in sorted(verdicts)]


def _again(verdict: Verdict, limit: float) -> bool:
    if verdict.answer.outcome == "passed" or verdict.answer.final:
        return False
    return verdict.seconds < limit or verdict.attempts <= verdict.check.retries


def _ask_all(checks: t.Sequence[Check], target: Target) -> list[Answer]:
    """What comes of each check now."""
    inside = [check for check in checks if _way(check) == "inside"]
    asked = {check.guest: [each for each in inside if each.guest == check.guest] for check in inside}
    with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        told = [pool.submit(_ask_inside, guest, these, target) for guest, these in asked.items()]
        outside = [(check, pool.submit(_ask_outside, check, target)) for check in checks if _way(check) != "inside"]
        answers = {id(check): answer for each in told for check, answer in each.result()}
        answers |= {id(check): each.result() for check, each in outside}
    return [answers[id(check)] for check in checks]


def _way(check: Check) -> str:
    return TYPES[check.type].way


def _ask_outside(check: Check, target: Target) -> Answer:
    if _way(check) == "known":
        return TYPES[check.type].judge(check, target.known)
    if target.known.status not in ("", "running"):
        return not_verified(check.name, f"it is {target.known.status}", final=True)
    # What asks over the network is read from disk only where something is asked by it.
    from ansible_collections.pve.provision.plugins.module_utils._engine.verify.probes import PROBES, SEGMENTS

    segment = SEGMENTS.get(check.type)
    return _on_segment(check, target, segment) if segment else _by_address(check, target, PROBES[check.type])


def _on_segment(check: Check, target: Target, probe: t.Callable[[Check, t.Sequence[str]], Reply]) -> Answer:
    judge = TYPES[check.type].judge
    if not target.on_node:
        return judge(check, Reply("lacking", check.name, "only the node itself can ask on its bridges"))
    return judge(check, probe(check, target.addresses))


def _by_address(check: Check, target: Target, probe: t.Callable[[Check, str], Reply]) -> Answer:
    """Ask at each address; the first that passes counts, else the first that has answered at all."""
    judge, answers = TYPES[check.type].judge, list[Answer]()
    for address in [check["address"]] if check["address"] else target.addresses:
        answer = judge(check, probe(check, address))
        told = Answer(answer.outcome, answer.asked, answer.detail, address, answer.final)
        if told.outcome == "passed":
            return told
        answers.append(told)
    heard = [answer for answer in answers if answer.outcome == "failed"]
    unknown = not_verified(check.name, "no address of the guest is known")
    return [*heard, *answers, unknown][0]


def _ask_inside(guest: str, checks: t.Sequence[Check], target: Target) -> list[tuple[Check, Answer]]:
    """Ask a guest's shell all that it is to be asked, by one script."""
    if not guest and target.known.status not in ("", "running"):
        return [(check, not_verified(check.name, f"it is {target.known.status}", final=True)) for check in checks]
    try:
        told = target.ask(guest, blocks_of(checks))
    except Unsupported as reason:
        return [(check, not_verified(check.name, reason.message, final=True)) for check in checks]
    except ProvisionError as error:
        return [(check, not_verified(check.name, str(error))) for check in checks]
    return [(check, _judged(check, told.get(block_name(check)))) for check in checks]


def _judged(check: Check, done: Completed | None) -> Answer:
    if done is None:
        return not_verified(check.name, "the guest's shell ended before this check")
    return TYPES[check.type].judge(check, done)


def block_name(check: Check) -> str:
    """What the answer to a check goes by, the same for checks that ask the same."""
    return f"check {check.type} {' '.join(str(check.options[name]) for name in sorted(check.options))}".replace(
        "\n", " "
    )


def blocks_of(checks: t.Iterable[Check]) -> dict[str, str]:
    """What a guest's shell is asked for checks."""
    found = {}
    for check in checks:
        script = TYPES[check.type].script
        if script is not None:
            found[block_name(check)] = script(check)
    return found
