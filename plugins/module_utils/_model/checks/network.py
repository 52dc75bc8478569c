# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: checks of a guest from outside: what came of one attempt, and what that says. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import (
    Answer,
    Check,
    failed,
    found,
    not_verified,
    passed,
)

End = t.Literal["answered", "refused", "silent", "no_way", "nonsense", "lacking"]


@dataclass(frozen=True)
class Reply:
    """One attempt at an address.

    ``end``: ``answered``; ``refused`` by the machine; ``silent``: nothing came from a machine that can be reached;
    ``no_way``: nothing there can be reached from here; ``nonsense``: an answer in another protocol, or a certificate
    that is not believed; ``lacking``: what it takes to ask is missing here. ``days``: how long the certificate lasts.
    """

    end: End
    asked: str
    detail: str = ""
    status: int = 0
    text: str = ""
    days: float | None = None


_OUTCOMES: t.Final[dict[End, t.Callable[[str, str], Answer]]] = {
    "refused": failed,
    "silent": failed,
    "nonsense": failed,
    "no_way": not_verified,
    "lacking": not_verified,
}


def _unanswered(reply: Reply) -> Answer | None:
    """What to say when the question itself came to nothing."""
    judge = _OUTCOMES.get(reply.end)
    return judge(reply.asked, reply.detail) if judge else None


def judge_answered(check: Check, reply: Reply) -> Answer:
    """For checks that are green by any answer."""
    return _unanswered(reply) or passed(reply.asked, reply.detail)


def judge_http(check: Check, reply: Reply) -> Answer:
    """A page by its status and text, and the certificate by the days that it lasts."""
    if unanswered := _unanswered(reply):
        return unanswered
    told = [f"status {reply.status}"]
    wanted = check["status"]
    if reply.status not in wanted if wanted else reply.status >= 400:
        return failed(reply.asked, f"{told[0]}{', not ' + ' or '.join(map(str, wanted)) if wanted else ''}")
    if not found(check["expect"], reply.text):
        return failed(reply.asked, f"{told[0]}, and nothing in the page matches {check['expect']!r}")
    if check["certificate_days"] is not None:
        if reply.days is None:
            return not_verified(reply.asked, f"{told[0]}, and the certificate cannot be read")
        if reply.days < 0:
            return failed(reply.asked, f"the certificate expired {-reply.days:.0f} days ago")
        told.append(f"certificate valid for {reply.days:.0f} days")
        if reply.days < check["certificate_days"]:
            return failed(reply.asked, f"{told[1]}, fewer than {check['certificate_days']}")
    return passed(reply.asked, ", ".join(told))


def judge_lookup(check: Check, reply: Reply) -> Answer:
    """The guest as a DNS server, by the addresses that it answers."""
    if unanswered := _unanswered(reply):
        return unanswered
    if not reply.text:
        return failed(reply.asked, reply.detail or "no address")
    if not found(check["expect"], reply.text):
        return failed(reply.asked, f"{', '.join(reply.text.split())}: nothing matches {check['expect']!r}")
    return passed(reply.asked, ", ".join(reply.text.split()))
