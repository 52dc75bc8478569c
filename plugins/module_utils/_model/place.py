# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which entry of a user's list is which of PVE's numbered options. Pure."""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import Canonical
from ansible_collections.pve.provision.plugins.module_utils._model.entries import Doubt, Matching, Rules
from ansible_collections.pve.provision.plugins.module_utils._model.option import (
    Declaration,
    Option,
    Removal,
    SubValues,
    Table,
    base_of,
    merge,
)
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields


def place(
    table: Table, actual: t.Mapping[str, str], declaration: Declaration, *, purge: bool = False
) -> tuple[Declaration, list[Finding]]:
    """The declaration with the numbers that its list entries have in the guest, and what is in doubt about them."""
    if not declaration.assumed and not declaration.removals:
        return declaration, []
    if not declaration.removals and all(
        _in_place(table, actual, declaration, key, purge) for key in declaration.assumed
    ):
        return Declaration(declaration.values, declaration.cleared, declaration.paths), []
    placing = _Placing(table, actual, declaration, purge)
    named = {*map(base_of, declaration.assumed), *(removal.option for removal in declaration.removals)}
    for option in table:
        if option.key in named and option.indexed and isinstance(option.codec, Fields):
            placing.list_of(option, option.codec)
    return Declaration(placing.values, declaration.cleared, placing.paths), placing.findings


@dataclass
class _Placing:
    """A declaration on its way to the numbers of a guest, one list after the other."""

    table: Table
    actual: t.Mapping[str, str]
    declaration: Declaration
    purge: bool
    values: dict[str, t.Any] = field(init=False)
    paths: dict[str, str] = field(init=False)
    findings: list[Finding] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.values, self.paths = dict(self.declaration.values), dict(self.declaration.paths)

    def _is_of(self, option: Option, key: str) -> bool:
        return key.startswith(option.key) and self.table.find(key) is option

    def list_of(self, option: Option, fields: Fields) -> None:
        """Give the entries of a list their numbers, and take out those that are to go."""
        current = {
            _number(option, key): fields.read(text) for key, text in self.actual.items() if self._is_of(option, key)
        }
        self._match(option, fields, current)
        for removal in self.declaration.removals:
            if removal.option == option.key:
                self._remove(option, removal, current)

    def _match(self, option: Option, fields: Fields, current: t.Mapping[int, SubValues]) -> None:
        declared = self.declaration.values
        theirs = [key for key in declared if self._is_of(option, key)]
        unnumbered = [key for key in theirs if key in self.declaration.assumed]
        matched = Matching(
            Rules(option.identity, option.marks, option.told_by, functools.partial(_as_declared, fields, self.purge)),
            {_number(option, key): declared[key] or {} for key in unnumbered},
            current,
            frozenset(_number(option, key) for key in theirs if key not in self.declaration.assumed),
        ).run()
        new = {f"{option.key}{matched.found[_number(option, key)]}": key for key in unnumbered}
        for key in unnumbered:
            del self.values[key], self.paths[key]
        self.values |= {key: declared[old] for key, old in new.items()}
        self.paths |= {key: self.declaration.paths[old] for key, old in new.items()}
        for number, doubt in matched.doubts.items():
            key = f"{option.key}{number}"
            self.findings.append(_doubtful(option, self.declaration.paths[key], declared[key], doubt, current))

    def _remove(self, option: Option, removal: Removal, current: t.Mapping[int, SubValues]) -> None:
        meant = [n for n in current if all(current[n].get(k) == value for k, value in removal.identity.items())]
        if len(meant) > 1:
            self.findings.append(_doubtful(option, removal.path, None, Doubt(tuple(meant)), current))
        for number in meant[:1]:
            key = f"{option.key}{number}"
            if self.values.get(key) is not None:
                problem = f"is to be removed, and is also declared by {self.paths[key]}"
                self.findings.append(Finding(removal.path, key, problem, "Leave one of them out."))
            self.values[key], self.paths[key] = None, removal.path


def _number(option: Option, key: str) -> int:
    return int(key[len(option.key) :])


def _in_place(table: Table, actual: t.Mapping[str, str], declaration: Declaration, key: str, purge: bool) -> bool:
    """Whether the guest has, at its place in the list, all that an entry declares."""
    fields, wanted = t.cast("Fields", table.known(key).codec), declaration.values[key]
    return key in actual and _as_declared(fields, purge, fields.read(actual[key]), wanted or {})


def _as_declared(
    fields: Fields, purge: bool, current: t.Mapping[str, Canonical], wanted: t.Mapping[str, Canonical]
) -> bool:
    """Whether an entry has all that is declared, so that nothing would change."""
    kept = {name: current[name] for name in fields.preserved if name in current}
    resolved = merge("", "", dict(current), {**kept, **wanted}, purge)
    return fields.same(resolved.values, current)


def _doubtful(
    option: Option, path: str, value: SubValues | None, doubt: Doubt, current: t.Mapping[int, SubValues]
) -> Finding:
    listed = " or ".join(f"{option.key}{number}" for number in doubt.candidates)
    if value is None or not doubt.named:
        return Finding(f"{path}.id", None, f"is missing: the entry may mean {listed}", "State the id of the one meant.")
    fields = t.cast("Fields", option.codec)
    has = current[doubt.candidates[0]].get(doubt.named)
    problem = f"is new here, and {listed}, which is called {has}, has the same {option.told_by}"
    remedy = f"State id: {doubt.candidates[0]} to rename that one, or another id for a new one."
    return Finding(f"{path}.{fields.keys[doubt.named].param or doubt.named}", value[doubt.named], problem, remedy)
