# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a declaration asks for, and how that differs from what PVE holds. Pure.

A guest type is a table of :class:`Option`. :func:`declare` turns a user's parameters into PVE's options,
:func:`compare` finds the fewest changes that make PVE's options fit. What the declaration does not mention is left
alone, unless ``purge`` is asked for; an explicit null deletes.
"""

from __future__ import annotations

import functools
import itertools
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.entries import Doubt, Matching, Rules
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import (
    BadEntries,
    Canonical,
    Codec,
    Fields,
    Unread,
    plain,
    render_size,
)

Path: t.TypeAlias = "tuple[str | int, ...]"
SubValues = dict[str, Canonical]


@dataclass(frozen=True)
class Resolved:
    """What one property string should become: its values, the size to grow to (bytes), and what stands against it."""

    values: SubValues
    grow: int | None = None
    findings: tuple[Finding, ...] = ()


# PVE's key, the user's path, the values that are there, the values stated, and whether to drop what is not stated.
Settle: t.TypeAlias = "t.Callable[[str, str, SubValues | None, SubValues, bool], Resolved]"


@dataclass(frozen=True)
class Option:
    """One option of a guest type.

    ``cold``: keys of a property string that a running guest takes only at its next start, whatever PVE says.
    ``hotplug``: a running guest takes a new value at once; ``hotplug_add``: only where there was none before;
    ``hotplug_delete``: a running guest takes a deletion at once. ``immutable``: it cannot change on an existing guest.
    ``indexed``: PVE numbers it (``net0``), the user writes a list of entries with an ``id``. An entry without one is
    known by the keys in ``identity`` and ``marks`` (an identity that is not there makes a new entry), and else by its
    place; ``told_by`` tells apart what has neither. ``last`` is the highest number that PVE takes.
    ``purge``: ``purge_options`` may delete it. ``required``: PVE refuses to delete it, so that its default takes its
    place.
    ``merge``: what the guest is to have of the value that it has and the declared one, where ``purge_options`` is off.
    ``on_node``: only root on the node itself can set it.
    ``secret``: plans and diffs do not show its value; ``public``: it has a name like a secret's, and is none.
    ``aliases`` are other names of the user's for it, ``excludes`` options that cannot be stated with it, ``since`` is
    the version of PVE that it came with, where nodes are still supported that do not know it.
    ``scope``: whether it stands in the guest's config, counts only when the guest is created, or is about the guest as
    a whole (its number, what it is made from). Only a config can be compared.
    """

    key: str
    param: str
    codec: Codec | Fields
    default: Canonical = None
    cold: frozenset[str] = frozenset()
    hotplug: bool = False
    hotplug_add: bool = False
    hotplug_delete: bool = False
    immutable: bool = False
    indexed: bool = False
    last: int = 31
    identity: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    told_by: str = ""
    purge: bool = True
    required: bool = False
    resolve: Settle | None = None
    merge: t.Callable[[Canonical, Canonical], Canonical] | None = None
    on_node: bool = False
    secret: bool = False
    public: bool = False
    aliases: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    since: str = ""
    scope: t.Literal["config", "creation", "guest"] = "config"


class Table(tuple[Option, ...]):
    """The options of a guest type. ``on_node``: the keys of those that only root on the node itself can set."""

    on_node: tuple[str, ...]
    _found: dict[str, Option | None]

    def __new__(cls, options: t.Iterable[Option] = ()) -> Table:
        table = super().__new__(cls, options)
        table.on_node = tuple(option.key for option in table if option.on_node)
        table._found = {}
        return table

    def find(self, key: str) -> Option | None:
        """The option a PVE key belongs to (``net0`` to ``net``), or None."""
        if key not in self._found:
            base = _base(key)
            plain = (option for option in self if key == option.key and not option.indexed)
            numbered = (option for option in self if base == option.key != key and option.indexed)
            self._found[key] = next(itertools.chain(plain, numbered), None)
        return self._found[key]

    def known(self, key: str) -> Option:
        """The option of a key that was declared by this table."""
        option = self.find(key)
        if option is None:
            raise KeyError(key)
        return option


HIDDEN = "********"
# The way out of what cannot change in place.
REBUILD = "Create a new guest beside it."


@dataclass(frozen=True)
class Removal:
    """An entry of a list that is to go (``state: absent``), known by what it says of itself instead of by number."""

    option: str
    identity: SubValues
    path: str


@dataclass(frozen=True)
class Declaration:
    """What the user asked for, by PVE's keys. None asks for a deletion; in property strings also for single keys.

    ``cleared``: indexed options of which every entry is to go. ``paths``: the user's name of each key, for messages.
    ``assumed``: keys of list entries without an ``id``, numbered by their place until :func:`place` knows better.
    ``removals``: the list entries that are to go.
    """

    values: dict[str, Canonical] = field(default_factory=dict)
    cleared: frozenset[str] = frozenset()
    paths: dict[str, str] = field(default_factory=dict)
    assumed: frozenset[str] = frozenset()
    removals: tuple[Removal, ...] = ()


@dataclass(frozen=True)
class Change:
    """The difference between a guest and its declaration.

    ``set`` and ``delete`` go into one call, after the waiting changes named by ``revert`` have been taken back;
    ``resize`` maps disks to sizes in bytes; ``restart`` names the options a running guest takes only at its next start;
    ``before`` and ``after`` hold only what changes.
    """

    set: dict[str, str] = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    revert: tuple[str, ...] = ()
    resize: dict[str, int] = field(default_factory=dict)
    restart: tuple[str, ...] = ()
    before: dict[str, Canonical] = field(default_factory=dict)
    after: dict[str, Canonical] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.set or self.delete or self.revert or self.resize)


def in_scope(table: t.Iterable[Option], scope: str) -> Table:
    """The options of a table that stand in a config, count at the creation, or are about the guest."""
    return Table(option for option in table if option.scope == scope)


# -- from the user -------------------------------------------------------------------------------------------------


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


# -- which entry of a list is which --------------------------------------------------------------------------------


def place(
    table: Table, actual: t.Mapping[str, str], declaration: Declaration, *, purge: bool = False
) -> tuple[Declaration, list[Finding]]:
    """The declaration with the numbers that its list entries have in the guest, and what is in doubt about them."""
    if not declaration.assumed and not declaration.removals:
        return declaration, []
    values, paths = dict(declaration.values), dict(declaration.paths)
    findings: list[Finding] = []
    named = {*map(_base, declaration.assumed), *(removal.option for removal in declaration.removals)}
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


def _base(key: str) -> str:
    return key.rstrip("0123456789")


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


# -- against PVE ---------------------------------------------------------------------------------------------------


def merge(key: str, path: str, current: SubValues | None, wanted: SubValues, purge: bool) -> Resolved:
    """The usual way a property string settles: what is not stated stays, or goes with ``purge``."""
    base = {} if purge else dict(current or {})
    return Resolved({name: value for name, value in {**base, **wanted}.items() if value is not None})


def _parse(option: Option, text: str) -> Canonical:
    """A value that PVE holds. What we cannot read, PVE nevertheless took: it is then unlike anything declared."""
    try:
        return option.codec.parse(text)
    except ValueError:
        return Unread(text)


def _view(option: Option, value: Canonical) -> Canonical:
    """A value as a diff shows it."""
    if option.secret and value:
        return HIDDEN
    return option.codec.typed(value) if isinstance(option.codec, Fields) and isinstance(value, dict) else plain(value)


@dataclass(frozen=True)
class Held:
    """What PVE holds of a guest, as text: ``options`` is what its next start uses, ``live`` what it runs with, and
    ``pending`` are the options that differ (None: a deletion that waits). ``label`` is how messages call it."""

    options: t.Mapping[str, str]
    live: t.Mapping[str, str] = field(default_factory=dict)
    pending: t.Mapping[str, str | None] = field(default_factory=dict)
    label: str = "an existing guest"


class _Comparison:
    """Gathers a Change option by option."""

    def __init__(self, held: Held, purge: bool, rebuild: str) -> None:
        self.held = held
        self.actual = held.options
        self.purge = purge
        self.rebuild = rebuild
        self.set: dict[str, str] = {}
        self.delete: list[str] = []
        self.revert: list[str] = []
        self.resize: dict[str, int] = {}
        self.restart: list[str] = []
        self.before: dict[str, Canonical] = {}
        self.after: dict[str, Canonical] = {}
        self.findings: list[Finding] = []

    def note(self, key: str, before: Canonical, after: Canonical) -> None:
        if before is not None:
            self.before[key] = before
        if after is not None:
            self.after[key] = after

    def refuse(self, option: Option, path: str, value: object) -> bool:
        if option.immutable:
            self.findings.append(Finding(path, value, f"cannot change on {self.held.label}", self.rebuild))
        return option.immutable

    def runs_with(self, option: Option, key: str, wanted: Canonical) -> bool:
        """Whether the guest runs with what is wanted, so that only a waiting change has to be taken back.

        Nothing else would do: PVE drops the deletion of what is not there, and the waiting value stays.
        """
        if key not in self.held.pending:
            return False
        text = self.held.live.get(key)
        nothing: Canonical = {} if isinstance(option.codec, Fields) else option.default
        live = nothing if text is None else _parse(option, text)
        return bool(_normal(option, live) == _normal(option, wanted))

    def remove(self, option: Option, key: str, path: str) -> None:
        text = self.actual.get(key)
        if text is None or self.refuse(option, path, None):
            return
        if option.required:
            self.scalar(option, key, option.default, path)
            return
        self.note(key, _view(option, _parse(option, text)), None)
        if key in self.held.pending:
            self.revert.append(key)
            if key not in self.held.live:
                return
        self.delete.append(key)
        if not option.hotplug_delete:
            self.restart.append(key)

    def change(self, option: Option, key: str, current: Canonical, wanted: Canonical, rendered: str) -> None:
        self.note(key, _view(option, current), _view(option, wanted))
        if self.runs_with(option, key, wanted):
            self.revert.append(key)
            return
        self.set[key] = rendered
        if not (option.hotplug or (option.hotplug_add and key not in self.actual)):
            self.restart.append(key)

    def scalar(self, option: Option, key: str, wanted: Canonical, path: str) -> None:
        text = self.actual.get(key)
        current = option.default if text is None else _parse(option, text)
        if option.merge and not self.purge:
            wanted = option.merge(current, wanted)
        if current == wanted:
            return
        rendered = option.codec.render(wanted)
        if not rendered:
            self.remove(option, key, path)
        elif not self.refuse(option, path, plain(wanted)):
            self.change(option, key, current, wanted, rendered)

    def fields(self, option: Option, fields: Fields, key: str, wanted: SubValues, path: str) -> None:
        text = self.actual.get(key)
        current = None if text is None else _parse(option, text)
        if current is None and option.required:
            self.findings.append(Finding(path, None, f"is missing in {self.held.label}", f"Add {key} by hand."))
            return
        if isinstance(current, Unread):
            problem = f"cannot be compared with what {self.held.label} has, which cannot be read: {key}: {current}"
            self.findings.append(Finding(path, None, problem, f"Set {key} by hand, or leave it out."))
            return
        kept = {name: current[name] for name in fields.preserved if current and name in current}
        settled = (option.resolve or merge)(key, path, current, {**kept, **wanted}, self.purge)
        self.findings += settled.findings
        if settled.findings:
            return
        if settled.grow is not None:
            self.resize[key] = settled.grow
            self.note(f"{key}.size", render_size(t.cast("SubValues", current)["size"]), render_size(settled.grow))
        if fields.same(settled.values, current or {}):
            return
        # The disk has grown by the time the option is written.
        grown = {} if settled.grow is None else {"size": settled.grow}
        rendered = fields.render({**settled.values, **grown})
        if not rendered:
            self.remove(option, key, path)
        elif not self.refuse(option, path, fields.typed(wanted)):
            self.change(option, key, current, settled.values, rendered)
            if current and any(current.get(name) != settled.values.get(name) for name in option.cold):
                self.restart.append(key)


def compare(
    table: Table,
    actual: t.Mapping[str, str] | Held,
    declaration: Declaration,
    *,
    purge: bool = False,
    rebuild: str = REBUILD,
) -> Change:
    """The fewest changes that make ``actual`` (PVE's options as text) fit the declaration."""
    held = actual if isinstance(actual, Held) else Held(actual)
    work = _Comparison(held, purge, rebuild)
    declaration, work.findings = place(table, held.options, declaration, purge=purge)
    for key, wanted in declaration.values.items():
        option = table.known(key)
        path = declaration.paths.get(key, key)
        if wanted is None:
            work.remove(option, key, path)
        elif isinstance(option.codec, Fields):
            work.fields(option, option.codec, key, wanted, path)
        else:
            work.scalar(option, key, wanted, path)
    undeclared = held.options.keys() - declaration.values.keys() if declaration.cleared or purge else ()
    for key in (key for key in held.options if key in undeclared):
        leftover = table.find(key)
        if leftover is None:
            continue
        default = _is_default(leftover, held.options[key])
        if leftover.key in declaration.cleared or (purge and leftover.purge and not default):
            work.remove(leftover, key, leftover.param)
    return Change(
        set=work.set,
        delete=tuple(work.delete),
        revert=tuple(work.revert),
        resize=work.resize,
        restart=tuple(work.restart),
        before=work.before,
        after=work.after,
        findings=tuple(work.findings),
    )


def _normal(option: Option, value: Canonical) -> Canonical:
    """What counts of a value when two are compared."""
    return option.codec.normal(value) if isinstance(option.codec, Fields) and isinstance(value, dict) else value


def _is_default(option: Option, text: str) -> bool:
    value = _normal(option, _parse(option, text))
    return not value if isinstance(value, dict) else bool(value == option.default)


def render(table: Table, declaration: Declaration) -> dict[str, str]:
    """The declared options as PVE's text, for a new guest; what is null is left out."""
    result: dict[str, str] = {}
    for key, value in declaration.values.items():
        option = table.known(key)
        if value is None:
            continue
        if isinstance(option.codec, Fields):
            settled = (option.resolve or merge)(key, declaration.paths.get(key, key), None, value, False)
            value = option.codec.normal(settled.values)
        rendered = option.codec.render(value)
        if rendered:
            result[key] = rendered
    return result


def unmanaged(table: Table, actual: t.Mapping[str, str]) -> dict[str, str]:
    """What PVE holds of a guest that is no option here, in PVE's own words."""
    return {key: value for key, value in sorted(actual.items()) if table.find(key) is None}


def typed(table: Table, actual: t.Mapping[str, str]) -> dict[str, t.Any]:
    """PVE's options by the user's names and types, as a result shows them, so that it can be declared again: without
    what is no option here, and without what is secret."""
    result: dict[str, t.Any] = {}
    for key in sorted(actual, key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]):
        option = table.find(key)
        if option is None or option.secret:
            continue
        value = _view(option, _parse(option, actual[key]))
        if isinstance(option.codec, Fields) and not isinstance(value, dict):
            continue
        if option.indexed:
            result.setdefault(option.param, []).append({"id": int(key[len(option.key) :]), **value})
        else:
            result[option.param] = value
    return result
