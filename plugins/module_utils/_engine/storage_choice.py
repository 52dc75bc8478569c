# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the storages of volumes whose declaration leaves them open, and why not another one."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import Degradation, Finding, PveError
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import (
    WORDS,
    Demand,
    Ranking,
    keeps,
    rank,
)

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Storage


@dataclass(frozen=True)
class Choice:
    """The storage that was chosen for a volume, and why each of the others was not."""

    option: str
    storage: str
    others: t.Mapping[str, str]

    def view(self) -> dict[str, t.Any]:
        return {"option": self.option, "storage": self.storage, "others": dict(self.others)}


@dataclass
class Chooser:
    """Chooses storages for the volumes of one guest. What it has chosen counts as taken."""

    facts: Facts
    wanted: Wanted
    choices: list[Choice] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    degraded: list[Degradation] = field(default_factory=list)
    _taken: dict[str, int] = field(default_factory=dict)

    def choose(self, option: str, content: str, size: int) -> str | None:
        """The storage for so many bytes; None, and a finding, where none takes them. What was planned of a guest holds
        when it is made: others of the run have taken their room since."""
        key = f"storage of {self.wanted.label}: {option}"
        ranking = self.facts.keep(key, lambda: self._rank(content, size))
        if not ranking.fitting:
            self.findings.append(_none(option, content, ranking))
            return None
        chosen = ranking.fitting[0]
        self._taken[chosen.name] = self._taken.get(chosen.name, 0) + size
        self.choices.append(Choice(option, chosen.name, {**ranking.behind, **ranking.refused}))
        self.degraded += _passed_over(option, chosen, ranking)
        return chosen.name

    def apply(self, wanted: Wanted) -> Wanted:
        """The guest with what came of the choices."""
        if not self.choices and not self.findings:
            return wanted
        told = wanted.told.get("chosen_storages", ())
        return dataclasses.replace(
            wanted,
            findings=(*wanted.findings, *self.findings),
            notes=(*wanted.notes, *self.degraded),
            told={**wanted.told, "chosen_storages": [*told, *(choice.view() for choice in self.choices)]},
        )

    def _rank(self, content: str, size: int) -> Ranking:
        storages = self.facts.storages
        differ = len({storage.shared for storage in storages if content in storage.content}) > 1
        clustered = differ and self._is_clustered()
        several = sum(content in storage.content for storage in storages) > 1
        demand = Demand(
            content,
            size,
            lambda name: self.facts.reserved_on(name) + self._taken.get(name, 0),
            self.facts.promised_on if several else lambda _name: 0,
        )
        return rank(storages, demand, self.wanted.policy.storage_limits, clustered=clustered)

    def _is_clustered(self) -> bool:
        """Whether there are other nodes, as far as this login may know."""
        try:
            return len(self.facts.node.membership().nodes) > 1
        except PveError as error:
            if error.details.get("reason") != "permission":
                raise
            return False


def _none(option: str, content: str, ranking: Ranking) -> Finding:
    reasons = "; ".join(f"{name} {reason}" for name, reason in ranking.refused.items()) or "the node has none"
    what = WORDS.get(content, content)
    problem = f"cannot be chosen: no storage takes {what}: {reasons}"
    return Finding(option, None, problem, "Make room, or give a storage that content type.")


def _passed_over(option: str, chosen: Storage, ranking: Ranking) -> t.Iterator[Degradation]:
    """The storage that would have been chosen, had it room."""
    for best in ranking.crowded[:1]:
        if keeps(best) < keeps(chosen):
            return
        yield Degradation(f"{option} on {best.name}", f"it {ranking.refused[best.name]}", chosen.name)
