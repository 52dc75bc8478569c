# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines as PVE's commands read them (Perl's Getopt::Long with PVE's settings).

``--option value``, ``--option=value``, ``-option``, unique abbreviations in any case; booleans and passwords may stand
without a value; list options may be repeated; options and arguments may be mixed until ``--``.
"""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping, Sequence

from ..api import validation
from ..errors import ApiError
from ..state.propstring import parse_boolean

Properties = Mapping[str, Mapping[str, t.Any]]


def bad_usage(message: str) -> ApiError:
    """A 400 that is followed by the usage line."""
    return ApiError(message, 400)


def _is_list(schema: Mapping[str, t.Any]) -> bool:
    form = schema.get("format", "")
    return schema.get("type") == "array" or (isinstance(form, str) and "-list" in form)


def _candidates(properties: Properties) -> list[str]:
    """All option names; ``net[n]`` stands for net0, net1, ..."""
    names: list[str] = []
    for name in properties:
        if name.endswith("[n]"):
            names += [f"{name[:-3]}{index}" for index in range(validation.INDEX_LIMITS.get(name[:-3], 10))]
        else:
            names.append(name)
    return names


def _resolve(word: str, names: Sequence[str]) -> str:
    """The option that a word means. Dies with Getopt's words when none or several match."""
    if word in names:
        return word
    low = word.lower()
    hits = [name for name in names if name.lower() == low] or [name for name in names if name.lower().startswith(low)]
    if len(hits) == 1:
        return hits[0]
    if not hits:
        raise ApiError(f"Unknown option: {word}")
    raise ApiError(f"Option {word} is ambiguous ({', '.join(sorted(hit.lower() for hit in hits))})")


def _looks_like_option(word: str) -> bool:
    return word.startswith("-") and word != "-"


def split(
    words: Sequence[str],
    properties: Properties,
    interactive: Sequence[str] = (),
    complain: Callable[[str], object] = lambda text: None,
) -> tuple[dict[str, t.Any], list[str]]:
    """Options by name (lists as lists) and the remaining words. Complains about every wrong option, then dies."""
    names = _candidates(properties)
    options: dict[str, t.Any] = {}
    rest: list[str] = []
    failed = False
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word == "--":
            rest += queue
            break
        if not _looks_like_option(word):
            rest.append(word)
            continue
        stem, assigned, value = word[2 if word.startswith("--") else 1 :].partition("=")
        try:
            name = _resolve(stem, names)
            schema = validation.property_schema(properties, name) or {}
            optional = schema.get("type") == "boolean" or name in interactive
            if not value:
                value = _next_value([] if assigned else queue, stem, optional)
        except ApiError as error:
            complain(f"{error.message}\n")
            failed = True
            continue
        if _is_list(schema):
            options.setdefault(name, []).append(value)
        else:
            options[name] = value
    if failed:
        raise bad_usage("unable to parse option")
    return options, rest


def _next_value(queue: list[str], name: str, optional: bool) -> str:
    """A mandatory value is whatever comes next, an optional one only what does not look like an option."""
    if queue and not (optional and _looks_like_option(queue[0])):
        return queue.pop(0)
    if optional:
        return ""
    raise ApiError(f"Option {name} requires an argument")


def parse(
    words: Sequence[str],
    properties: Properties,
    arguments: Sequence[str],
    interactive: Mapping[str, Callable[[str], str]] | None = None,
    complain: Callable[[str], object] = lambda text: None,
) -> dict[str, t.Any]:
    """All parameters of a command: options, and the words that are ``arguments`` in their order.

    ``extra-args`` as the last argument takes every word that is left. Booleans become 0 or 1; list options are joined.
    """
    interactive = interactive or {}
    options, rest = split(words, properties, tuple(interactive), complain)
    if len(arguments) == 1 and _is_list(properties.get(arguments[0], {})) and arguments[0] != "extra-args":
        options[arguments[0]], rest = (rest or options.get(arguments[0], [])), []
        if not options[arguments[0]]:
            del options[arguments[0]]
        arguments = ()
    for position, name in enumerate(arguments):
        if name == "extra-args":
            options[name] = rest
            rest = []
        elif rest:
            options[name] = rest.pop(0)
        else:
            left = [item for item in arguments[position:] if item != "extra-args"]
            if any(not properties.get(item, {}).get("optional") for item in left):
                raise bad_usage("not enough arguments")
            if arguments[-1] == "extra-args":
                options["extra-args"] = []
            break
    if rest:
        raise bad_usage("too many arguments")
    for name, ask in interactive.items():
        if name in options:
            options[name] = ask(options[name])
    return {
        name: _convert(validation.property_schema(properties, name) or {}, value) for name, value in options.items()
    }


def _convert(schema: Mapping[str, t.Any], value: t.Any) -> t.Any:
    if schema.get("type") == "boolean":
        parsed = 1 if value == "" else parse_boolean(value)
        if parsed is None:
            raise bad_usage("unable to parse boolean option")
        return parsed
    if isinstance(value, list) and schema.get("type") != "array":
        return ",".join(value)
    return value
