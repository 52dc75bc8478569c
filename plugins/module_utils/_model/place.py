# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which entry of a user's list is which of PVE's numbered options. Pure."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import Canonical
from ansible_collections.pve.provision.plugins.module_utils._model.entries import Doubt, Matching, Rules
from ansible_collections.pve.provision.plugins.module_utils._model.option import (
    Declaration,
    Option,
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
    values, paths = dict(declaration.values), dict(declaration.paths)
    findings: list[Finding] = []
    named = {*map(base_of, declaration.assumed), *(removal.option for removal in declaration.removals)}
    for option in table:
        fields = option.codec
        if option.key not in named or not option.indexed or not isinstance(fields, Fields):
            continue
        head = len(option.key)
        theirs = [key for key in declaration.values if key[:head] == option.key and table.find(key) is option]
        removals = [each for each in declaration.removals if each.option == option.key]
        current = {
            _number(option, key): fields.read(text)
            for key, text in actual.items()
            if key[:head] == option.key and table.find(key) is option
        }
        unnumbered = [key for key in theirs if key in declaration.assumed]
        matched = Matching(
            Rules(option.identity, option.marks, option.told_by, functools.partial(_as_declared, fields, purge)),
            {_number(option, key): declaration.values[key] or {} for key in unnumbered},
            current,
            frozenset(_number(option, key) for key in theirs if key not in declaration.assumed),
        ).run()
        new = {f"{option.key}{matched.found[_number(option, key)]}": key for key in unnumbered}
        for key in unnumbered:
            del values[key], paths[key]
        values |= {key: declaration.values[old] for key, old in new.items()}
        paths |= {key: declaration.paths[old] for key, old in new.items()}
        for number, doubt in matched.doubts.items():
            key = f"{option.key}{number}"
            findings.append(_doubtful(option, declaration.paths[key], declaration.values[key], doubt, current))
        for removal in removals:
            meant = [n for n in current if all(current[n].get(k) == value for k, value in removal.identity.items())]
            if len(meant) > 1:
                findings.append(_doubtful(option, removal.path, None, Doubt(tuple(meant)), current))
            for number in meant[:1]:
                key = f"{option.key}{number}"
                if values.get(key) is not None:
                    problem = f"is to go, and is declared by {paths[key]}"
                    findings.append(Finding(removal.path, key, problem, "Leave one of them out."))
                values[key], paths[key] = None, removal.path
    return Declaration(values, declaration.cleared, paths), findings


def _number(option: Option, key: str) -> int:
    return int(key[len(option.key) :])


def _as_declared(
    fields: Fields, purge: bool, current: t.Mapping[str, Canonical], wanted: t.Mapping[str, Canonical]
) -> bool:
    """Whether an entry has all that is declared, so that nothing would change."""
    kept = {name: current[name] for name in fields.preserved if name in current}
    settled = merge("", "", dict(current), {**kept, **wanted}, purge)
    return fields.same(settled.values, current)


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
