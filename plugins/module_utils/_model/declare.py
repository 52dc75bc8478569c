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
            if read is not None or given is None:
                result[key] = read
        return result


class _ListReader:
    """Reads the entries of an indexed option, and numbers them: by their ``id``, or for now by their place."""

    def __init__(self, reader: _Reader, option: Option) -> None:
        self.reader = reader
        self.option = option
        self.fields = t.cast("Fields", option.codec)
        self.values: dict[str, Canonical] = {}
        self.paths: dict[str, str] = {}
        self.assumed: set[str] = set()
        self.removals: list[Removal] = []

    def read(self, entries: t.Sequence[t.Mapping[str, t.Any]]) -> None:
        numbered = {int(each["id"]) for each in entries if each.get("id") is not None}
        free = (number for number in itertools.count() if number not in numbered)
        taken: set[int] = set()
        for place, raw in enumerate(entries):
            here: Path = (self.option.param, place)
            value = self.reader.entry(self.fields, raw, here)
            absent = raw.get("state") == "absent"
            if raw.get("id") is not None:
                number = int(raw["id"])
                if number in taken:
                    self.problem(place, number, "is used twice", "Give each entry an id of its own.")
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
        self.reader.findings.append(Finding(spell((self.option.param, place, "id")), value, problem, remedy))

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
            Finding(spell(path), None, "does not say which entry is to go", f"Name it by one of: {names}.")
        )


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
    for option in table:
        if option.param not in params:
            continue
        given = params[option.param]
        if given is None and not nulls:
            continue
        path: Path = (option.param,)
        if given is None:
            if path in nulls and option.indexed:
                cleared.add(option.key)
            elif path in nulls and option.required and option.default is None:
                remedy = "Give it a value, or do not mention it."
                reader.findings.append(Finding(spell(path), None, "cannot be deleted", remedy))
            elif path in nulls:
                values[option.key], paths[option.key] = None, option.param
        elif option.indexed:
            entries = _ListReader(reader, option)
            entries.read(given)
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
