# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: when each guest of a run may begin. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.order import befores

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import Ended, Member

OnFailure = t.Literal["continue", "stop"]


@dataclass
class Schedule:
    """The guests that are ``waiting``, and the plans and results of all that are not or that are ``done``.

    A guest waits for those that it comes after and for those of a lower startup order. When one of the first kind fails
    it is not started; with ``stop`` no other is, either. What was started is given its ``up`` seconds.
    """

    waiting: list[Member]
    done: dict[str, Ended]
    on_failure: OnFailure = "continue"
    _befores: t.Mapping[str, frozenset[str]] = field(init=False)
    _up_at: dict[str, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._befores = befores(self.waiting)

    def next(self, now: float) -> Member | None:
        """Who begins at this time (s), and waits no longer."""
        free = (member for member in self.waiting if self._free(member) and self._due(member) <= now)
        if found := next(free, None):
            self.waiting.remove(found)
        return found

    def pause(self, now: float) -> float | None:
        """The seconds until somebody may begin; None where that depends on those who are at work."""
        due = [self._due(member) for member in self.waiting if self._free(member)]
        return max(min(due) - now, 0.0) if due else None

    def end(self, ended: Ended, now: float) -> None:
        """A guest was carried out."""
        self.done[ended.member.name] = ended
        if any(step["step"] == "start" for step in ended.steps):
            self._up_at[ended.member.name] = now + ended.member.up

    def blocked(self, reason: str = "") -> t.Iterator[tuple[Member, str]]:
        """Those that do not begin any more, and why; ``reason`` holds for all. They wait no longer."""
        while found := next(
            ((member, why) for member in self.waiting if (why := reason or self._blocker(member))), None
        ):
            self.waiting.remove(found[0])
            yield found

    def _free(self, member: Member) -> bool:
        return self._befores[member.name] <= self.done.keys()

    def _due(self, member: Member) -> float:
        return max((self._up_at.get(name, 0.0) for name in self._befores[member.name]), default=0.0)

    def _blocker(self, member: Member) -> str:
        failed = [name for name, ended in self.done.items() if not ended.well]
        for name in failed:
            if name in member.after & self._befores[member.name]:
                return f"comes after {name}, which {'was not started' if self.done[name].skipped else 'failed'}"
        return f"{failed[0]} failed, and on_failure is stop" if failed and self.on_failure == "stop" else ""
