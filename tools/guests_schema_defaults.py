# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the schema says of guests and their defaults together: what a guest lacks may stand among the defaults."""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES

Schema = dict[str, t.Any]
Spec = t.Mapping[str, t.Any]

_STRING: Schema = {"type": "string"}  # a template: what it will be, nobody knows here


def stated(options: Spec, names: t.Iterable[str]) -> list[Schema]:
    """That one of these options is stated, by whatever name, and not null."""
    every = [each for name in names for each in (name, *(options.get(name) or {}).get("aliases", ()))]
    return [{"required": [each], "properties": {each: {"not": {"type": "null"}}}} for each in every]


def is_of(kind: str) -> Schema:
    """That a guest, or defaults, state this type."""
    return {"required": ["type"], "properties": {"type": {"const": kind}}}


def supplied(kind: str) -> frozenset[str]:
    """The dictionaries of which a guest may state a part, and the defaults the rest. A default that excludes what a
    guest states is not the guest's at all, so what excludes others is stated as a whole."""
    return frozenset(_dictionaries(kind)) - _excluding(kind)


def with_defaults() -> list[Schema]:
    """What holds of guests and defaults together."""
    found = [_if(_defaults(is_of(kind)), _untyped({"$ref": f"#/$defs/{kind}"})) for kind in TYPES]
    for kind, declared in TYPES.items():
        for name, spec in _dictionaries(kind).items():
            for names in _required(spec):
                found += _whole(kind, name, stated(spec["options"], names))
        for one, other in itertools.combinations(sorted(_excluding(kind)), 2):
            if _exclude(kind, one, other):
                both = {"allOf": [{"anyOf": stated(declared.all_options, (each,))} for each in (one, other)]}
                found.append(_if(_defaults(both), _guests(kind, _says_one_of(_replacing(kind, one, other)))))
    return found


def _whole(kind: str, name: str, complete: t.Sequence[Schema]) -> t.Iterator[Schema]:
    """That a dictionary says what it has to, by the guest or its defaults."""
    has = {"anyOf": complete}
    if name in supplied(kind):
        there = {"anyOf": [_STRING, _property(name, {"anyOf": [_STRING, {"type": "object", **has}]})]}
        own = {"properties": {name: {"if": {"type": "object"}, "then": has}}}
        yield _if({"not": _defaults(there)}, _guests(kind, own))
    partly = _property(name, {"type": "object", "not": has})
    yield _if(_defaults(partly), _guests(kind, _says_one_of(_replacing(kind, name))))


def _dictionaries(kind: str) -> dict[str, Spec]:
    """The options that are dictionaries of options, which are merged with those of the defaults."""
    options = TYPES[kind].all_options.items()
    return {name: spec for name, spec in options if spec["type"] == "dict" and "options" in spec}


def _required(spec: Spec) -> t.Iterator[tuple[str, ...]]:
    """Of which options of a dictionary one has to be stated."""
    yield from ((name,) for name, each in spec["options"].items() if each.get("required"))
    yield from map(tuple, spec.get("required_one_of") or ())


def _rules(kind: str) -> list[frozenset[str]]:
    return [frozenset(names) for names in TYPES[kind].spec.mutually_exclusive]


def _excluding(kind: str) -> frozenset[str]:
    return frozenset[str]().union(*_rules(kind))


def _exclude(kind: str, one: str, other: str) -> bool:
    return any({one, other} <= names for names in _rules(kind))


def _replacing(kind: str, *names: str) -> list[str]:
    """By which options of a guest a default of one of these names is not the guest's."""
    return sorted({*names}.union(*(rule for rule in _rules(kind) if rule & {*names})))


def _says_one_of(names: t.Iterable[str]) -> Schema:
    return {"anyOf": [{"required": [name]} for name in names]}


def _property(name: str, schema: Schema) -> Schema:
    return {"required": [name], "properties": {name: schema}}


def _defaults(schema: Schema) -> Schema:
    return _property("provision_defaults", schema)


def _guests(kind: str, schema: Schema) -> Schema:
    """What holds of each guest of a type, which itself or its defaults state."""
    own = {"properties": {"provision_guests": {"items": {"if": is_of(kind), "then": schema}}}}
    return {"allOf": [own, _if(_defaults(is_of(kind)), _untyped(schema))]}


def _untyped(schema: Schema) -> Schema:
    """What holds of guests that do not state their type."""
    typed = {"required": ["type"]}
    return {"properties": {"provision_guests": {"items": {"if": {"not": typed}, "then": schema}}}}


def _if(condition: Schema, then: Schema) -> Schema:
    return {"if": condition, "then": then}
