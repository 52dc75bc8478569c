# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the options that an application has of its own, as its profile declares them. Pure."""

from __future__ import annotations

import difflib
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.apps.fill import Spelling
from ansible_collections.pve.provision.plugins.module_utils._model.option import HIDDEN

Declared = t.Mapping[str, t.Any]
Specs = t.Mapping[str, Declared]
Given = t.Mapping[str, t.Any]

_NOUNS: t.Final = {"str": "text", "int": "a whole number", "bool": "true or false", "list": "a list", "dict": "keys"}
TYPES: t.Final = tuple(_NOUNS)
"""The types that an option of an application may have."""
# What stands for an option that has no default, where a profile is looked at and nobody has stated any.
_SAMPLES: t.Final[dict[str, t.Any]] = {"str": "x", "int": 1, "bool": True, "list": [], "dict": {}}


def read_options(app: str, declared: Specs, given: Given, secrets: Given) -> tuple[dict[str, t.Any], list[Finding]]:
    """The values of an application's options, and what is wrong with those that were given."""
    plain = {name: spec for name, spec in declared.items() if not spec.get("secret")}
    secret = {name: spec for name, spec in declared.items() if spec.get("secret")}
    values, findings = _read_all(plain, given, "app_options")
    hidden, wrong = _read_all(secret, secrets, "app_secrets")
    misplaced = [
        *_misplaced("app_options", app, plain, secret, given),
        *(
            Finding(finding.option, None, finding.problem, finding.remedy)
            for finding in _misplaced("app_secrets", app, secret, plain, secrets)
        ),
    ]
    return {**values, **hidden}, [*misplaced, *findings, *wrong]


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _misplaced(option: str, app: str, ours: Specs, theirs: Specs, given: Given) -> t.Iterator[Finding]:
    """What is given under an option and is none of its own."""
    other = "app_secrets" if option == "app_options" else "app_options"
    for name in given:
        if name in theirs:
            yield Finding(f"{option}.{name}", None, f"belongs under {other}", f"State it as {other}.{name}.")
        elif name not in ours:
            close = difflib.get_close_matches(name, ours, n=1)
            known = f"There are: {', '.join(ours)}." if ours else "It has none."
            remedy = f"Did you mean {close[0]}?" if close else known
            yield Finding(f"{option}.{name}", given[name], f"is not an option of application {app}", remedy)


def _read_all(specs: Specs, given: Given, place: str) -> tuple[dict[str, t.Any], list[Finding]]:
    values: dict[str, t.Any] = {}
    findings: list[Finding] = []
    for name, spec in specs.items():
        value = given.get(name)
        if value is not None:
            values[name], wrong = read_value(spec, value, f"{place}.{name}")
            findings += wrong
            continue
        values[name] = spec.get("default")
        if values[name] is None and spec.get("required"):
            findings.append(Finding(f"{place}.{name}", None, "is missing", _sentence(spec["description"])))
    return values, findings


def read_value(spec: Declared, value: t.Any, place: str) -> tuple[t.Any, list[Finding]]:
    """A value by the type of its option, and what is wrong with it."""
    shown = HIDDEN if spec.get("secret") else value
    kind = spec.get("type", "str")
    made = _cast(kind, value)
    if made is None:
        return None, [Finding(place, shown, f"is not {_NOUNS[kind]}", _sentence(spec.get("description", "")))]
    if kind == "list":
        return _read_list(spec, made, place)
    if kind == "dict" and "options" in spec:
        return _read_dict(spec["options"], made, place)
    if kind == "dict":
        return _read_mapping(spec, made, place)
    problem = _wrong(spec, made)
    return made, [Finding(place, shown, problem, _sentence(spec.get("description", "")))] if problem else []


def _cast(kind: str, value: t.Any) -> t.Any:
    """A value of the type, or None."""
    if kind == "str":
        return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None
    if kind == "int":
        text = str(value)
        return int(text) if not isinstance(value, bool) and re.fullmatch(r"-?\d+", text) else None
    if kind == "bool":
        known = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        return known.get(str(value).lower())
    if kind == "list":
        return list(value) if isinstance(value, (list, tuple)) else None
    return dict(value) if isinstance(value, t.Mapping) else None


def _wrong(spec: Declared, value: t.Any) -> str:
    if spec.get("choices") and value not in spec["choices"]:
        return f"is none of {', '.join(map(str, spec['choices']))}"
    if spec.get("pattern") and re.fullmatch(spec["pattern"], str(value)) is None:
        return "is not of the right form"
    if isinstance(value, str) and not spec.get("multiline") and re.search(r"[\x00-\x1f\x7f]", value):
        return "has a line break or another control character in it"
    low, high = spec.get("minimum"), spec.get("maximum")
    if low is not None and value < low:
        return f"is less than {low}"
    return f"is more than {high}" if high is not None and value > high else ""


def _read_list(spec: Declared, entries: list[t.Any], place: str) -> tuple[list[t.Any], list[Finding]]:
    """The elements of a list, each by what its option says of them."""
    inner = {**spec, "type": spec.get("elements", "str")}
    read = [read_value(inner, entry, f"{place}[{number}]") for number, entry in enumerate(entries)]
    return [value for value, _wrong in read], [finding for _value, wrong in read for finding in wrong]


def _read_mapping(spec: Declared, given: dict[str, t.Any], place: str) -> tuple[dict[str, t.Any], list[Finding]]:
    """A dictionary whose keys are the user's own, each value by what its option says of them."""
    key = {"pattern": spec.get("key_pattern"), "description": spec.get("description", "")}
    findings = [found for name in given for found in read_value(key, str(name), f"{place}.{name}")[1]]
    inner = {**spec, "type": spec.get("elements", "str")}
    read = {str(name): read_value(inner, value, f"{place}.{name}") for name, value in given.items()}
    findings += [finding for _value, wrong in read.values() for finding in wrong]
    return {name: value for name, (value, _wrong) in read.items()}, findings


def _read_dict(options: Specs, given: Given, place: str) -> tuple[dict[str, t.Any], list[Finding]]:
    remedy = f"There are: {', '.join(options)}."
    unknown = [Finding(f"{place}.{name}", None, "is not an option", remedy) for name in given if name not in options]
    values, findings = _read_all(options, given, place)
    return values, [*unknown, *findings]


def samples(declared: Specs) -> dict[str, t.Any]:
    """Values for all options: the defaults, and something of the right type where there is none."""
    return {name: _sample(spec) for name, spec in declared.items()}


def _sample(spec: Declared) -> t.Any:
    if spec.get("default") not in (None, [], {}):
        return spec["default"]
    kind = spec.get("type", "str")
    if kind == "list":
        return [_sample({**spec, "default": None, "type": spec.get("elements", "str")})]
    if kind == "dict" and "options" in spec:
        return samples(spec["options"])
    if kind == "dict":
        return {
            str(spec.get("key_example", "x")): _sample({**spec, "default": None, "type": spec.get("elements", "str")})
        }
    if spec.get("choices"):
        return spec["choices"][0]
    return spec.get("example", _SAMPLES[kind])


def formats(declared: Specs, above: str = "") -> dict[str, Spelling]:
    """How options spell their values in a text, by their names."""
    found: dict[str, Spelling] = {}
    for name, spec in declared.items():
        given = {key: spec[key] for key in ("format", "join") if spec.get(key) is not None}
        if given:
            found[above + name] = Spelling(**given)
        found |= formats(spec.get("options") or {}, f"{above}{name}.")
    return found
