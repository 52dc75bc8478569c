# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a declaration asks for, and how that differs from what PVE holds. Pure.

A guest type is a table of :class:`Option`. :func:`declare` turns a user's parameters into PVE's options,
:func:`compare` finds the fewest changes that make PVE's options fit. What the declaration does not mention is left
alone, unless ``purge`` is asked for; an explicit null deletes.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._model.property_string import (
    Canonical,
    Codec,
    Fields,
    plain,
    render_size,
)

Path: t.TypeAlias = "tuple[str | int, ...]"
SubValues = dict[str, Canonical]


@dataclass(frozen=True)
class Problem:
    """Why one declared value cannot be had. The workflow turns it into a finding of the preflight."""

    option: str
    value: object
    problem: str
    remedy: str = ""


@dataclass(frozen=True)
class Settled:
    """What one property string should become: its values, the size to grow to (bytes), and what stands against it."""

    values: SubValues
    grow: int | None = None
    problems: tuple[Problem, ...] = ()


# PVE's key, the user's path, the values that are there, the values stated, and whether to drop what is not stated.
Settle: t.TypeAlias = "t.Callable[[str, str, SubValues | None, SubValues, bool], Settled]"


@dataclass(frozen=True)
class Option:
    """One option of a guest type.

    ``cold``: keys of a property string that a running guest takes only at its next start, whatever PVE says.
    ``hot``: a running guest takes a new value at once; ``hot_add``: only where there was none before; ``hot_delete``:
    a running guest takes the deletion at once. ``fixed``: why it cannot change on an existing guest, and the ways out.
    ``indexed``: PVE numbers it (``net0``), the user writes a list of entries with an ``id``.
    ``purge``: ``purge_options`` may delete it. ``required``: PVE refuses to delete it, so that its default takes its
    place.
    ``secret``: plans and diffs do not show its value.
    """

    key: str
    param: str
    codec: Codec | Fields
    default: Canonical = None
    cold: frozenset[str] = frozenset()
    hot: bool = False
    hot_add: bool = False
    hot_delete: bool = False
    fixed: str = ""
    indexed: bool = False
    purge: bool = True
    required: bool = False
    settle: Settle | None = None
    secret: bool = False


Table = t.Sequence[Option]
HIDDEN = "********"
# The ways out of what cannot change in place.
REBUILD = "Create a new guest beside it, or set recreate=true to destroy and create this one again."


@dataclass(frozen=True)
class Declaration:
    """What the user asked for, by PVE's keys. None asks for a deletion; in property strings also for single keys.

    ``cleared``: indexed options of which every entry is to go. ``paths``: the user's name of each key, for messages.
    """

    values: dict[str, Canonical] = field(default_factory=dict)
    cleared: frozenset[str] = frozenset()
    paths: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """The difference between a guest and its declaration.

    ``set`` and ``delete`` go into one call; ``resize`` maps disks to sizes in bytes; ``restart`` names the options a
    running guest takes only at its next start; ``before`` and ``after`` hold only what changes.
    """

    set: dict[str, str] = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    resize: dict[str, int] = field(default_factory=dict)
    restart: tuple[str, ...] = ()
    before: dict[str, Canonical] = field(default_factory=dict)
    after: dict[str, Canonical] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.set or self.delete or self.resize)


def find_option(table: Table, key: str) -> Option | None:
    """The option a PVE key belongs to (``net0`` to ``net``), or None."""
    base = key.rstrip("0123456789")
    for option in table:
        if (option.indexed and base == option.key and base != key) or (not option.indexed and key == option.key):
            return option
    return None


# -- from the user -------------------------------------------------------------------------------------------------


def null_paths(raw: t.Any, prefix: Path = ()) -> frozenset[Path]:
    """The places of a user's parameters that say null; typed parameters no longer tell null from absent."""
    entries: t.Iterable[tuple[str | int, t.Any]]
    if isinstance(raw, t.Mapping):
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
        self.problems: list[Problem] = []

    def value(self, codec: Codec, raw: t.Any, path: Path) -> Canonical:
        try:
            return codec.accept(raw)
        except ValueError as error:
            self.problems.append(Problem(spell(path), raw, str(error)))
            return None

    def entry(self, fields: Fields, raw: t.Mapping[str, t.Any], path: Path) -> SubValues:
        result: SubValues = {}
        for param, given in raw.items():
            key = fields.key(param)
            if key is None or (given is None and (*path, param) not in self.nulls):
                continue
            here = (*path, param)
            read = None if given is None else self.value(fields.keys[key].codec, given, here)
            if read is not None or given is None:
                result[key] = read
        return result

    def index(self, raw: t.Mapping[str, t.Any], position: int, path: Path, taken: set[int]) -> int:
        number = position if raw.get("id") is None else int(raw["id"])
        if number in taken:
            self.problems.append(
                Problem(spell((*path, "id")), number, "is used twice", "Give each entry an id of its own.")
            )
        taken.add(number)
        return number


def declare(
    table: Table, params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()
) -> tuple[Declaration, list[Problem]]:
    """Read a user's parameters by the table. ``nulls``: see :func:`null_paths`."""
    reader = _Reader(nulls)
    values: dict[str, Canonical] = {}
    paths: dict[str, str] = {}
    cleared: set[str] = set()
    for option in table:
        given = params.get(option.param)
        path: Path = (option.param,)
        if given is None:
            if path in nulls and option.indexed:
                cleared.add(option.key)
            elif path in nulls and option.required and option.default is None:
                remedy = "Give it a value, or do not mention it."
                reader.problems.append(Problem(spell(path), None, "cannot be deleted", remedy))
            elif path in nulls:
                values[option.key], paths[option.key] = None, option.param
            continue
        if option.indexed:
            taken: set[int] = set()
            for position, raw in enumerate(given):
                here = (option.param, position)
                key = f"{option.key}{reader.index(raw, position, here, taken)}"
                values[key], paths[key] = reader.entry(t.cast("Fields", option.codec), raw, here), spell(here)
        elif isinstance(option.codec, Fields):
            values[option.key], paths[option.key] = reader.entry(option.codec, given, path), option.param
        else:
            read = reader.value(option.codec, given, path)
            if read is not None:
                values[option.key], paths[option.key] = read, option.param
    return Declaration(values, frozenset(cleared), paths), reader.problems


# -- against PVE ---------------------------------------------------------------------------------------------------


def merge(key: str, path: str, current: SubValues | None, wanted: SubValues, purge: bool) -> Settled:
    """The usual way a property string settles: what is not stated stays, or goes with ``purge``."""
    base = {} if purge else dict(current or {})
    return Settled({name: value for name, value in {**base, **wanted}.items() if value is not None})


def _parse(option: Option, text: str) -> Canonical:
    """A value that PVE holds. What we cannot read, PVE nevertheless took: it is then unlike anything declared."""
    try:
        return option.codec.parse(text)
    except ValueError:
        return {} if isinstance(option.codec, Fields) else text


def _view(option: Option, value: Canonical) -> Canonical:
    """A value as a diff shows it."""
    if option.secret and value:
        return HIDDEN
    return option.codec.typed(value) if isinstance(option.codec, Fields) else plain(value)


class _Comparison:
    """Gathers a Change option by option."""

    def __init__(self, actual: t.Mapping[str, str], purge: bool) -> None:
        self.actual = actual
        self.purge = purge
        self.set: dict[str, str] = {}
        self.delete: list[str] = []
        self.resize: dict[str, int] = {}
        self.restart: list[str] = []
        self.before: dict[str, Canonical] = {}
        self.after: dict[str, Canonical] = {}
        self.problems: list[Problem] = []

    def note(self, key: str, before: Canonical, after: Canonical) -> None:
        if before is not None:
            self.before[key] = before
        if after is not None:
            self.after[key] = after

    def refuse(self, option: Option, path: str, value: object) -> bool:
        if option.fixed:
            self.problems.append(Problem(path, value, "cannot change on an existing guest", option.fixed))
        return bool(option.fixed)

    def remove(self, option: Option, key: str, path: str) -> None:
        text = self.actual.get(key)
        if text is None or self.refuse(option, path, None):
            return
        if option.required:
            self.scalar(option, key, option.default, path)
            return
        self.delete.append(key)
        self.note(key, _view(option, _parse(option, text)), None)
        if not option.hot_delete:
            self.restart.append(key)

    def change(self, option: Option, key: str, rendered: str, before: Canonical, after: Canonical) -> None:
        self.set[key] = rendered
        self.note(key, before, after)
        if not (option.hot or (option.hot_add and key not in self.actual)):
            self.restart.append(key)

    def scalar(self, option: Option, key: str, wanted: Canonical, path: str) -> None:
        codec = t.cast("Codec", option.codec)
        text = self.actual.get(key)
        current = option.default if text is None else _parse(option, text)
        if current == wanted:
            return
        rendered = codec.render(wanted)
        if not rendered:
            self.remove(option, key, path)
        elif not self.refuse(option, path, plain(wanted)):
            self.change(option, key, rendered, _view(option, current), _view(option, wanted))

    def fields(self, option: Option, key: str, wanted: SubValues, path: str) -> None:
        fields = t.cast("Fields", option.codec)
        text = self.actual.get(key)
        current = None if text is None else _parse(option, text)
        kept = {
            name: current[name] for name, entry in fields.keys.items() if entry.keep and current and name in current
        }
        settled = (option.settle or merge)(key, path, current, {**kept, **wanted}, self.purge)
        self.problems += settled.problems
        if settled.problems:
            return
        if settled.grow is not None:
            self.resize[key] = settled.grow
            self.note(f"{key}.size", render_size(t.cast("SubValues", current)["size"]), render_size(settled.grow))
        if fields.normal(settled.values) == fields.normal(current or {}):
            return
        # The disk has grown by the time the option is written.
        grown = {} if settled.grow is None else {"size": settled.grow}
        rendered = fields.render({**settled.values, **grown})
        if not rendered:
            self.remove(option, key, path)
        elif not self.refuse(option, path, fields.typed(wanted)):
            before = None if current is None else fields.typed(current)
            self.change(option, key, rendered, before, fields.typed(settled.values))
            if current and any(current.get(name) != settled.values.get(name) for name in option.cold):
                self.restart.append(key)


def compare(table: Table, actual: t.Mapping[str, str], declaration: Declaration, *, purge: bool = False) -> Change:
    """The fewest changes that make ``actual`` (PVE's options as text) fit the declaration."""
    work = _Comparison(actual, purge)
    for key, wanted in declaration.values.items():
        option = t.cast("Option", find_option(table, key))
        path = declaration.paths.get(key, key)
        if wanted is None:
            work.remove(option, key, path)
        elif isinstance(option.codec, Fields):
            work.fields(option, key, wanted, path)
        else:
            work.scalar(option, key, wanted, path)
    for key in actual:
        leftover = find_option(table, key)
        if leftover is None or key in declaration.values:
            continue
        if leftover.key in declaration.cleared or (purge and leftover.purge and not _is_default(leftover, actual[key])):
            work.remove(leftover, key, leftover.param)
    return Change(
        set=work.set,
        delete=tuple(work.delete),
        resize=work.resize,
        restart=tuple(work.restart),
        before=work.before,
        after=work.after,
        problems=tuple(work.problems),
    )


def _is_default(option: Option, text: str) -> bool:
    if isinstance(option.codec, Fields):
        return not option.codec.normal(_parse(option, text))
    return bool(_parse(option, text) == option.default)


def render(table: Table, declaration: Declaration) -> dict[str, str]:
    """The declared options as PVE's text, for a new guest; what is null is left out."""
    result: dict[str, str] = {}
    for key, value in declaration.values.items():
        option = t.cast("Option", find_option(table, key))
        if value is None:
            continue
        if isinstance(option.codec, Fields):
            settled = (option.settle or merge)(key, declaration.paths.get(key, key), None, value, False)
            value = option.codec.normal(settled.values)
        rendered = option.codec.render(value)
        if rendered:
            result[key] = rendered
    return result


def typed(table: Table, actual: t.Mapping[str, str]) -> dict[str, t.Any]:
    """PVE's options by the user's names and types, as a result shows them; unknown options stay as they are."""
    result: dict[str, t.Any] = {}
    for key in sorted(actual, key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]):
        option = find_option(table, key)
        if option is None:
            result[key] = actual[key]
            continue
        value = _view(option, _parse(option, actual[key]))
        if option.indexed:
            result.setdefault(option.param, []).append({"id": int(key[len(option.key) :]), **value})
        else:
            result[option.param] = value
    return result
