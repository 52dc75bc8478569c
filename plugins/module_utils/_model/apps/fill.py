# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the values of an application's options, put into the texts of its profile. Pure.

``${name}`` stands for the value of an option, ``${name|quote}`` for the value as some language spells it, and ``$${``
for ``${`` itself. Any other dollar sign is one. An entry of a list of dictionaries may say ``when: name``, or
``when: not name``, and then is there or not; or ``for_each: name``, and then is there once for each element of that
option, which ``${item}`` stands for, or of a dictionary ``${item.key}`` and ``${item.value}``.
"""

from __future__ import annotations

import json
import re
import shlex
import typing as t

Values = t.Mapping[str, t.Any]


class Spelling(t.NamedTuple):
    """How an option spells its value in a text: each of its values by ``format``, and what stands between them."""

    format: str = "${item}"
    join: str = "\n"


# By the name of the option; "peers.endpoint" is that of a key of each of its values.
Formats = t.Mapping[str, Spelling]

PLACEHOLDER: t.Final = re.compile(r"\$?\$\{([^{}]*)\}")
_WHOLE: t.Final = re.compile(r"\$\{\s*([\w.]+)\s*\}")
_WORDS: t.Final = re.compile(r"\s*([A-Za-z_]\w*(?:\.\w+)?)\s*(?:\|\s*(\w+)\s*)?")
ITEM: t.Final = "item"
WHEN: t.Final = "when"
FOR_EACH: t.Final = "for_each"
QUOTES: t.Final[dict[str, t.Callable[[str], str]]] = {
    "shell": shlex.quote,
    "json": json.dumps,
    "sql": lambda text: "'" + text.replace("'", "''") + "'",
    "identifier": lambda text: '"' + text.replace('"', '""') + '"',
    "mysql": lambda text: "'" + text.replace("\\", "\\\\").replace("'", "''") + "'",
    "php": lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'",
}
"""How a value is spelt in another language, by the word after the bar."""


class Unfilled(ValueError):
    """A text names what nobody knows, or in a way that nobody understands."""


def names_in(text: str) -> t.Iterator[tuple[str, str]]:
    """The options that a text names, each with how it is quoted. Raises Unfilled for what cannot be read."""
    for match in PLACEHOLDER.finditer(text):
        if not match[0].startswith("$$"):
            yield _read(match)


def fill(value: t.Any, values: Values, formats: Formats | None = None) -> t.Any:
    """Data with the values in it; entries whose condition does not hold are gone. Raises Unfilled."""
    if isinstance(value, str):
        return _fill_text(value, values, formats or {})
    if isinstance(value, t.Mapping):
        return {name: fill(inner, values, formats) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [made for entry in value for made in _entries(entry, values, formats or {})]
    return value


def _entries(entry: t.Any, values: Values, formats: Formats) -> t.Iterator[t.Any]:
    """What becomes of an entry of a list: nothing, one, or several."""
    if isinstance(entry, str) and (whole := _WHOLE.fullmatch(entry)):
        found = _value(whole[1], values)
        if isinstance(found, (list, tuple)):
            yield from found
            return
    if not isinstance(entry, t.Mapping) or not {WHEN, FOR_EACH} & entry.keys():
        yield fill(entry, values, formats)
        return
    rest = {name: inner for name, inner in entry.items() if name not in (WHEN, FOR_EACH)}
    if WHEN in entry and not _holds(str(entry[WHEN]), values):
        return
    if FOR_EACH not in entry:
        yield fill(rest, values, formats)
        return
    for item in _each(_value(str(entry[FOR_EACH]), values)):
        yield fill(rest, {**values, ITEM: item}, {**formats, **_of_item(str(entry[FOR_EACH]), formats)})


def _holds(condition: str, values: Values) -> bool:
    negated, name = condition.startswith("not "), condition.removeprefix("not ").strip()
    return bool(_value(name, values)) is not negated


def _fill_text(text: str, values: Values, formats: Formats) -> t.Any:
    """A text that is nothing but one option has the value of it, whatever its type."""
    whole = _WHOLE.fullmatch(text)
    if whole and whole[1] not in formats:
        found = _value(whole[1], values)
        if not isinstance(found, (list, tuple)):
            return found
    return _filled(text, values, formats)


def _filled(text: str, values: Values, formats: Formats) -> str:
    return PLACEHOLDER.sub(lambda match: _spelt(match, values, formats), text)


def _spelt(match: re.Match[str], values: Values, formats: Formats) -> str:
    if match[0].startswith("$$"):
        return match[0][1:]
    name, quote = _read(match)
    found, spell = _value(name, values), QUOTES[quote] if quote else str
    if name not in formats:
        return _text(found, spell)
    if found is None or found is False:
        return ""
    inner = _of_item(name, formats)
    texts = (_filled(formats[name].format, {**values, ITEM: item}, inner) for item in _each(found))
    return formats[name].join.join(map(spell, texts))


def _each(found: t.Any) -> list[t.Any]:
    """The elements of a value: of a dictionary each with its ``key`` and ``value``."""
    if isinstance(found, t.Mapping):
        return [{"key": key, "value": value} for key, value in found.items()]
    return list(found) if isinstance(found, (list, tuple)) else [] if found is None else [found]


def _of_item(name: str, formats: Formats) -> dict[str, Spelling]:
    """How the keys of the values of an option are spelt."""
    return {ITEM + key.removeprefix(name): value for key, value in formats.items() if key.startswith(f"{name}.")}


def _text(value: t.Any, spell: t.Callable[[str], str]) -> str:
    if isinstance(value, (list, tuple)):
        return "\n".join(_text(each, spell) for each in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else spell(str(value))


def _read(match: re.Match[str]) -> tuple[str, str]:
    words = _WORDS.fullmatch(match[1])
    if words is None:
        raise Unfilled(f"{match[0]} is not a valid option name; $${{ stands for the characters themselves")
    if words[2] and words[2] not in QUOTES:
        raise Unfilled(f"{match[0]}: {words[2]} is no way to quote; there are {', '.join(QUOTES)}")
    return words[1], words[2] or ""


def _value(name: str, values: Values) -> t.Any:
    first, _dot, key = name.partition(".")
    if first not in values:
        known = ", ".join(sorted(values)) or "none"
        raise Unfilled(f"{name} is not one of its options: {known}")
    if not key:
        return values[first]
    if not isinstance(values[first], t.Mapping) or key not in values[first]:
        raise Unfilled(f"{first} has no {key}")
    return values[first][key]
