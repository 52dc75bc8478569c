# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a user's parameters as PVE's options, by the table of the guest's type. Pure."""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import BadEntries, Canonical, Codec
from ansible_collections.pve.provision.plugins.module_utils._model.option import (
    HIDDEN,
    Declaration,
    Option,
    Path,
    Removal,
    SubValues,
    Table,
)
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields


def null_paths(raw: t.Any, prefix: Path = ()) -> frozenset[Path]:
    """The places of a user's parameters that say null; typed parameters no longer tell null from absent."""
    entries: t.Iterable[tuple[str | int, t.Any]]
    if isinstance(raw, dict):
        entries = raw.items()
    elif isinstance(raw, (list, tuple)):
        entries = enumerate(raw)
    else:
        return frozenset()
    found: set[Path] = set()
    for key, value in entries:
        if value is None:
            found.add((*prefix, key))
        else:
            found |= null_paths(value, (*prefix, key))
    return frozenset(found)


def spell(path: Path) -> str:
    """A path as the user would write it: ``networks[0].ip``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


class _Reader:
    """Reads parameters by a table and gathers all that is wrong with them."""

    def __init__(self, nulls: frozenset[Path]) -> None:
        self.nulls = nulls
        self.findings: list[Finding] = []

    def value(self, codec: Codec, raw: t.Any, path: Path, secret: bool = False) -> Canonical:
        try:
            return codec.accept(raw)
        except BadEntries as error:
            self.findings += [
                Finding(spell((*path, place)), HIDDEN if secret else value, problem)
                for place, value, problem in error.entries
            ]
        except ValueError as error:
            self.findings.append(Finding(spell(path), HIDDEN if secret else raw, str(error)))
        return None

    def entry(self, fields: Fields, raw: t.Mapping[str, t.Any], path: Path) -> SubValues:
        result: SubValues = {}
        for param, given in raw.items():
            if (given is None and not self.nulls) or param not in fields.params:
                continue
            key = fields.params[param]
            here = (*path, param)
            if given is None and here not in self.nulls:
                continue
            read = None if given is None else self.value(fields.keys[key].codec, given, here)
            if problem := fields.unfit(key, read):
                self.findings.append(Finding(spell(here), HIDDEN if fields.keys[key].secret else given, problem))
            if read is not None or given is None:
                result[key] = read
        return result


class _ListReader:
    """Reads the entries of an indexed option, and numbers them: by their ``id`` (``index`` where several options share
    the list), or for now by their place."""

    def __init__(self, reader: _Reader, option: Option) -> None:
        self.reader = reader
        self.option = option
        self.fields = t.cast("Fields", option.codec)
        self.number = "index" if option.slot else "id"
        self.values: dict[str, Canonical] = {}
        self.paths: dict[str, str] = {}
        self.assumed: set[str] = set()
        self.removals: list[Removal] = []

    def read(self, entries: t.Mapping[int, t.Mapping[str, t.Any]]) -> None:
        """Entries by their places in the list."""
        numbered = {int(each[self.number]) for each in entries.values() if each.get(self.number) is not None}
        counted = itertools.chain(range(self.option.first, self.option.last + 1), range(self.option.first))
        free = (number for number in itertools.chain(counted, itertools.count()) if number not in numbered)
        taken: set[int] = set()
        for place, raw in entries.items():
            here: Path = (*self.option.path, place)
            value = {**self.option.marked, **self.reader.entry(self.fields, raw, here)}
            absent = raw.get("state") == "absent"
            given = raw.get(self.number)
            if given is not None or self.option.by_place:
                number = next(free) if given is None else int(given)
                if number in taken:
                    self.problem(place, number, "is used twice", f"Give each entry an {self.number} of its own.")
                taken.add(number)
                if 0 <= number <= self.option.last:
                    self.note(number, None if absent else value, here)
                else:
                    self.problem(place, number, "is out of range", f"PVE counts from 0 to {self.option.last}.")
            elif absent:
                self.remove(value, here)
            else:
                number = next(free)
                self.assumed.add(f"{self.option.key}{number}")
                self.note(number, value, here)

    def problem(self, place: int, value: object, problem: str, remedy: str) -> None:
        path: Path = (*self.option.path, place, self.number)
        self.reader.findings.append(Finding(spell(path), value, problem, remedy))

    def problem_at(self, path: str, value: object, problem: str) -> None:
        remedy = f"Give each a {self.option.slot} and {self.number} of its own."
        self.reader.findings.append(Finding(path, value, problem, remedy))

    def note(self, number: int, value: Canonical, path: Path) -> None:
        key = f"{self.option.key}{number}"
        self.values[key], self.paths[key] = value, spell(path)

    def remove(self, value: SubValues, path: Path) -> None:
        keys = (*self.option.identity, *self.option.marks)
        known = {key: value[key] for key in keys if value.get(key) is not None}
        if known:
            self.removals.append(Removal(self.option.key, known, spell(path)))
            return
        names = ", ".join(["id", *(self.fields.keys[key].param or key for key in keys)])
        self.reader.findings.append(
            Finding(spell(path), None, "does not say which entry to remove", f"Name it by one of: {names}.")
        )


def _stated(params: t.Mapping[str, t.Any], path: t.Sequence[str]) -> t.Any:
    """What the user says at a path; None where that is nothing."""
    value: t.Any = params
    for name in path:
        value = None if value is None else value.get(name)
    return value


def _entries_of(
    table: Table, option: Option, given: t.Sequence[t.Mapping[str, t.Any]]
) -> dict[int, t.Mapping[str, t.Any]]:
    """The entries of a list that are of an option, by their places; the first of those that share one is the usual."""
    usual = next(other.key for other in table if other.param == option.param)
    return {
        place: raw
        for place, raw in enumerate(given)
        if not option.slot or (raw.get(option.slot) or usual) == option.key
    }


def declare(
    table: Table, params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()
) -> tuple[Declaration, list[Finding]]:
    """Read a user's parameters by the table. ``nulls``: see :func:`null_paths`."""
    reader = _Reader(nulls)
    values: dict[str, Canonical] = {}
    paths: dict[str, str] = {}
    cleared: set[str] = set()
    assumed: set[str] = set()
    removals: list[Removal] = []
    for option in table if nulls else table.about(params):
        given = params.get(option.param) if len(option.path) == 1 else _stated(params, option.path)
        if given is None and not nulls:
            continue
        path: Path = option.path
        if given is None:
            null = any(path[:depth] in nulls for depth in range(1, len(path) + 1))
            if null and option.indexed:
                cleared.add(option.param)
            elif null and option.required and option.default is None:
                remedy = "Give it a value, or do not mention it."
                reader.findings.append(Finding(spell(path), None, "cannot be deleted", remedy))
            elif null:
                values[option.key], paths[option.key] = None, option.param
        elif option.indexed:
            entries = _ListReader(reader, option)
            entries.read(_entries_of(table, option, given))
            for key in entries.values.keys() & values.keys():
                entries.problem_at(entries.paths[key], key, f"is {key}, which {paths[key]} is too")
            values |= entries.values
            paths |= entries.paths
            assumed |= entries.assumed
            removals += entries.removals
        elif isinstance(option.codec, Fields):
            values[option.key], paths[option.key] = reader.entry(option.codec, given, path), option.param
        else:
            read = reader.value(option.codec, given, path, option.secret)
            if read is not None:
                values[option.key], paths[option.key] = read, option.param
    return Declaration(values, frozenset(cleared), paths, frozenset(assumed), tuple(removals)), reader.findings
