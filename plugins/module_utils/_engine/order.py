# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which guests of a run come before which. Pure."""

from __future__ import annotations

import math
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import Member


def in_order(members: t.Sequence[Member]) -> list[Member]:
    """What others come after goes first; where they go in a circle it does not matter."""
    left = list(members)
    ordered: list[Member] = []
    while left:
        names = {member.name for member in left}
        held = [member for member in left if member.after & names]
        if len(held) == len(left):
            return ordered + left
        ordered += [member for member in left if not member.after & names]
        left = held
    return ordered


def with_sources(members: t.Sequence[Member], limit: t.Collection[str] | None) -> frozenset[str]:
    """The guests of a limit and those that they are cloned from, by their names; without a limit all of them."""
    sources = {member.name: member.source for member in members}
    if limit is None:
        return frozenset(sources)
    reached, added = set[str](), set(limit) & sources.keys()
    while added:
        reached |= added
        added = {sources[name] for name in added} & sources.keys() - reached
    return frozenset(reached)


def befores(members: t.Sequence[Member]) -> dict[str, frozenset[str]]:
    """Which of the others have to be done before each may begin: those that it comes ``after``, and those of a lower
    startup order.

    ``after`` goes before the startup order: a guest counts with the highest order of those that it comes after, where
    that is higher than its own. So both together never make a circle where ``after`` alone makes none.
    """
    counts: dict[str, float] = {}
    for member in in_order(members):
        own = -math.inf if member.order is None else member.order
        counts[member.name] = max([own, *(counts.get(name, -math.inf) for name in member.after)])
    ordered = [member.name for member in members if member.order is not None]

    def before(member: Member) -> frozenset[str]:
        limit = -math.inf if member.order is None else counts[member.name]
        return frozenset({name for name in ordered if counts[name] < limit} | member.after & counts.keys())

    return {member.name: before(member) for member in members}


def unordered(members: t.Sequence[Member], known: t.AbstractSet[str]) -> t.Iterator[Finding]:
    """What is wrong with the order: guests to come after that are not declared, and circles."""
    names = {member.name for member in members}
    for member in members:
        for name in sorted(member.after - names - known):
            remedy = f"There are: {', '.join(sorted(names))}."
            yield Finding(f"{member.name}: after", name, "is not a guest of this list", remedy)
    after = {member.name: member.after & names for member in members}
    while after:
        free = {name for name, others in after.items() if not others & after.keys()}
        if not free:
            circle = ", ".join(sorted(after))
            yield Finding("after", circle, "wait for each other in a cycle", "Take one of them out of it.")
            return
        after = {name: others for name, others in after.items() if name not in free}
