# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: checks by what a run knows of a guest: status, addresses, differences. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import (
    Answer,
    Check,
    Outcome,
    failed,
    not_verified,
    passed,
)

DECLARED: t.Final = "declared"
"""The source of an address that nobody has seen."""
EXPECTED: t.Final[dict[str, str]] = {
    "present": "",
    "started": "running",
    "latest": "running",
    "restarted": "running",
    "suspended": "suspended",
    "stopped": "stopped",
    "template": "stopped",
    "absent": "absent",
}
"""The status that goes with each declared state."""


@dataclass(frozen=True)
class Known:
    """What a run knows of a guest. ``expected`` is the status that goes with its declared state, empty for any.

    ``told``: whether anybody tells the addresses that it has. ``differs`` are the differences from the declaration,
    ``not_verified`` is why nobody could look for some of them. ``agent``: what came of asking its guest agent.
    """

    node: str = ""
    status: str = ""
    expected: str = ""
    addresses: t.Sequence[t.Mapping[str, t.Any]] = ()
    told: bool = True
    differs: t.Sequence[str] = ()
    not_verified: str = ""
    agent: tuple[Outcome, str] = ("not_verified", "its config has no guest agent that could be asked")


def judge_status(check: Check, known: Known) -> Answer:
    asked = "status"
    if not known.status:
        return not_verified(asked, "its status is not known")
    if known.expected and known.status != known.expected:
        return failed(asked, f"is {known.status}, not {known.expected}", known.node)
    return passed(asked, known.status, known.node)


def judge_address(check: Check, known: Known) -> Answer:
    """Whether there is an address as it is to be, according to a source that has seen it."""
    narrowed = {name: check[name] for name in ("interface", "family", "address") if check[name]}
    asked = " ".join(["address", *map(str, narrowed.values())])
    if known.status != "running":
        return not_verified(asked, f"it is {known.status}", final=True)
    fitting = [each for each in known.addresses if all(each.get(name) == value for name, value in narrowed.items())]
    trusted = [each for each in fitting if _trusted(check, str(each.get("source")))]
    if trusted:
        sources = dict.fromkeys(str(each.get("source")) for each in trusted)
        return passed(asked, ", ".join(str(each["address"]) for each in trusted), ", ".join(sources))
    if fitting:
        return not_verified(asked, f"{_listed(fitting)}: no accepted source has seen it")
    if not known.told:
        return not_verified(asked, "its addresses are not known")
    others = _listed(known.addresses)
    return failed(asked, f"it has {others}" if others else "it has none", known.node)


def _trusted(check: Check, source: str) -> bool:
    return source in check["source"] if check["source"] else source != DECLARED


def _listed(addresses: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    return ", ".join(f"{each['address']} ({each['source']})" for each in addresses)


def judge_agent(check: Check, known: Known) -> Answer:
    if known.status != "running":
        return not_verified("guest agent", f"it is {known.status}", final=True)
    outcome, detail = known.agent
    return Answer(outcome, "guest agent", detail, "agent" if outcome == "passed" else known.node)


def judge_drift(check: Check, known: Known) -> Answer:
    asked = "differences from the declaration"
    if known.differs:
        return failed(asked, "; ".join(known.differs), known.node)
    if known.not_verified:
        return not_verified(asked, f"not all of it could be looked at: {known.not_verified}", known.node)
    return passed(asked, "none", known.node)
