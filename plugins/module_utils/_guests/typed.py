# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: reads a declaration whose values have the types that their options want.

Ansible's validator looks at every option of a spec for each guest, given or not, which for a thousand guests takes a
second. A declaration that is simply right gets here what the validator would make of it; any other is left to it.
"""

from __future__ import annotations

import typing as t

Options = t.Mapping[str, t.Mapping[str, t.Any]]
Values = dict[str, t.Any]

# What is made of a value, by the type of its option and its own.
_SCALARS: t.Final[dict[tuple[str, type], t.Callable[[t.Any], t.Any]]] = {
    ("str", str): str,
    ("str", int): str,
    ("raw", str): str,
    ("raw", dict): dict,
    ("int", int): int,
    ("bool", bool): bool,
    ("float", float): float,
    ("float", int): float,
}
# What only the validator knows how to treat.
_LEFT: t.Final = ("fallback", "required_if", "required_by", "apply_defaults", "removed_in_version", "removed_at_date")


class NeedsValidator(Exception):
    """Something in a declaration is not as its option wants it, or takes more than a look to say so."""


class TypedReader:
    """Reads the dictionaries of one spec: its options and the rules between them."""

    def __init__(self, options: Options, rules: t.Mapping[str, t.Any]) -> None:
        self._readers = {name: _reader(spec) for name, spec in options.items()}
        self._aliases = {alias: name for name, spec in options.items() for alias in spec.get("aliases", ())}
        self._blank = {name: spec.get("default") for name, spec in options.items()}
        self._required = {name for name, spec in options.items() if spec.get("required")}
        self._exclusive = [set(names) for names in rules.get("mutually_exclusive") or ()]
        self._together = [set(names) for names in rules.get("required_together") or ()]
        self._one_of = [set(names) for names in rules.get("required_one_of") or ()]
        # What the guests of a list have from its defaults is one and the same for all of them, and read once.
        self._known: dict[str, tuple[t.Any, t.Any]] = {}
        self._left = any(rules.get(key) for key in _LEFT) or any(key in s for s in options.values() for key in _LEFT)

    def read(self, given: t.Mapping[str, t.Any]) -> Values:
        """The options with their values and defaults; NeedsValidator where that is not all there is to it."""
        values = {}
        for name, value in given.items():
            option = self._aliases.get(name, name)
            if option not in self._readers or value is None or (option != name and option in given):
                raise NeedsValidator(name)
            values[name] = value  # under an alias it stays as it was given
            values[option] = self._value(option, value)
        if self._left or self._breaks_a_rule(values.keys()):
            raise NeedsValidator("rules")
        return {**self._blank, **values}

    def _value(self, option: str, given: t.Any) -> t.Any:
        if option not in self._known or self._known[option][0] is not given:
            self._known[option] = given, self._readers[option](given)
        return self._known[option][1]

    def _breaks_a_rule(self, names: t.AbstractSet[str]) -> bool:
        for required in self._one_of:
            if not required & names:
                return True
        for exclusive in self._exclusive:
            if len(exclusive & names) > 1:
                return True
        for together in self._together:
            if together & names and not together <= names:
                return True
        return not self._required <= names


def _reader(spec: t.Mapping[str, t.Any]) -> t.Callable[[t.Any], t.Any]:
    """How a value of an option is read."""
    if spec["type"] == "list" and "elements" in spec:
        element = _reader({**spec, "type": spec["elements"]})
        return lambda value: [element(each) for each in _exactly(list, value)]
    if spec["type"] == "dict" and "options" in spec:
        entries = TypedReader(spec["options"], spec)
        return lambda value: entries.read(_exactly(dict, value))
    return _scalar_reader(spec["type"], spec.get("choices"))


def _scalar_reader(kind: str, choices: t.Collection[t.Any] | None) -> t.Callable[[t.Any], t.Any]:
    def read(value: t.Any) -> t.Any:
        make = _SCALARS.get((kind, type(value)))
        if make is None or value == "":
            raise NeedsValidator(value)
        made = make(value)
        if choices and made not in choices:
            raise NeedsValidator(value)
        return made

    return read


def _exactly(kind: type, value: t.Any) -> t.Any:
    if value.__class__ is not kind:
        raise NeedsValidator(value)
    return value
