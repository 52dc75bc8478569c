# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which entry of a guest's list (``net0``, ``mp1``) a declared entry without number means.

An entry is known by what it is: a mount point by its path, a network device by its name or MAC address, a device by its
path. An entry that names a path or name which the guest does not have is new. What names nothing is the entry that is
as declared already, else the one at its place in the list; where another one is as likely, the user is asked. Pure.
"""

from __future__ import annotations

import functools
import itertools
import typing as t
from dataclasses import dataclass, field

Values = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Doubt:
    """A declared entry that may mean one thing or another.

    ``candidates``: the numbers of what it may mean. ``named``: the key that names it and that no entry has.
    """

    candidates: tuple[int, ...]
    named: str = ""


@dataclass(frozen=True)
class Rules:
    """By what the entries of a list are known: an ``identity`` that no entry has makes a new one, ``marks`` may change.

    ``as_declared`` tells whether an entry has all that is declared.
    """

    identity: tuple[str, ...]
    marks: tuple[str, ...]
    told_by: str
    as_declared: t.Callable[[Values, Values], bool]


@dataclass
class Matching:
    """Declared entries by their place, and the guest's entries by their number, brought together.

    ``taken`` are the numbers that the user gave to other entries of the list.
    """

    rules: Rules
    declared: t.Mapping[int, Values]
    current: t.Mapping[int, Values]
    taken: frozenset[int] = frozenset()
    found: dict[int, int] = field(default_factory=dict)
    doubts: dict[int, Doubt] = field(default_factory=dict)

    def run(self) -> Matching:
        if self._all_as_declared():
            return self
        for name in (*self.rules.identity, *self.rules.marks):
            self._claim(functools.partial(self._having, name))
        if not self._all_as_declared():
            self._claim(self._as_declared)
            for place in self._unnamed():
                self._by_place(place)
        for place in self._left():
            self._new(place)
        return self

    def _left(self) -> list[int]:
        return [place for place in self.declared if place not in self.found]

    def _free(self) -> list[int]:
        """The numbers of the guest's entries that nothing declared means so far."""
        used = {*self.taken, *self.found.values()}
        return [number for number in self.current if number not in used]

    def _name(self, place: int) -> str:
        """The key that names a declared entry."""
        return next((key for key in self.rules.identity if self.declared[place].get(key) is not None), "")

    def _unnamed(self) -> list[int]:
        return [place for place in self._left() if not self._name(place)]

    def _claim(self, candidates: t.Callable[[int], list[int]]) -> None:
        """Give each entry the one candidate it has; the one at its own place goes first."""
        for place in self._left():
            if place in candidates(place):
                self.found[place] = place
        for place in self._left():
            if len(fitting := candidates(place)) == 1:
                self.found[place] = fitting[0]

    def _having(self, key: str, place: int) -> list[int]:
        value = self.declared[place].get(key)
        return [] if value is None else [n for n in self._free() if self.current[n].get(key) == value]

    def _fits(self, place: int, number: int) -> bool:
        return self.rules.as_declared(self.current[number], self.declared[place])

    def _as_declared(self, place: int) -> list[int]:
        """What has all that a declared entry without a name asks for, unless another entry has more claim to it: the
        one at whose place it is, and that differs from it in little."""
        if self._name(place):
            return []
        rivals = {other for other in self._unnamed() if other != place and other in self._alike(other)}
        return [n for n in self._free() if self._fits(place, n) and n not in rivals]

    def _all_as_declared(self) -> bool:
        """Whether each entry that is left can have one of the guest's that is as declared, so that nothing changes
        (a maximum bipartite matching, by augmenting paths). What names something fits only that."""
        owner: dict[int, int] = {}

        def give(place: int, tried: set[int]) -> bool:
            for number in sorted(free, key=lambda each: each != place):
                if number in tried or not self._fits(place, number):
                    continue
                tried.add(number)
                if number not in owner or give(owner[number], tried):
                    owner[number] = place
                    return True
            return False

        free = self._free()
        if not all(give(place, set()) for place in self._left()):
            return False
        self.found |= {place: number for number, place in owner.items()}
        return True

    def _alike(self, place: int) -> list[int]:
        """The guest's entries that have in common with a declared one what tells them apart."""
        value = self.declared[place].get(self.rules.told_by)
        return [n for n in self._free() if value is not None and self.current[n].get(self.rules.told_by) == value]

    def _by_place(self, place: int) -> None:
        free = self._free()
        others = [n for n in self._alike(place) if n != place]
        if place in free and (place in self._alike(place) or not others):
            self.found[place] = place
        elif place in free:
            self.found[place], self.doubts[place] = place, Doubt((place, *others))
        elif place in self.current and free:
            self.found[place], self.doubts[place] = free[0], Doubt(tuple(free))

    def _new(self, place: int) -> None:
        """An entry that the guest does not have gets the number of its place, or the next one that is free. What has
        a name that several have is none of them: PVE takes such lists, and the user has to say which one is meant."""
        name = self._name(place)
        if name and (several := self._having(name, place)):
            self.found[place], self.doubts[place] = several[0], Doubt(tuple(several))
            return
        if name and place in self._alike(place):
            self.doubts[place] = Doubt((place,), name)
        used = {*self.taken, *self.found.values(), *self.current}
        numbers = itertools.chain([place], itertools.count())
        self.found[place] = next(number for number in numbers if number not in used)
