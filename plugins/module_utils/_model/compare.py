# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the fewest changes that make what PVE holds fit a declaration. Pure.

What the declaration does not mention is left alone, unless ``purge`` is asked for; an explicit null deletes.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import Canonical, Unread, plain
from ansible_collections.pve.provision.plugins.module_utils._model.option import (
    HIDDEN,
    REBUILD,
    Change,
    Declaration,
    Option,
    SubValues,
    Table,
    merge,
)
from ansible_collections.pve.provision.plugins.module_utils._model.place import place
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import render_size

# The option of a guest that says which of its devices its node may plug as it runs.
PLUGGED: t.Final = "hotplug"


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

    def __init__(self, table: Table, held: Held, purge: bool, rebuild: str) -> None:
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
        hotplug = table.find(PLUGGED)
        told = (held.live or held.options).get(PLUGGED)
        self.plugged = frozenset(() if hotplug is None else hotplug.default if told is None else _parse(hotplug, told))

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

    def plugs(self, option: Option) -> bool:
        """Whether the guest lets its node plug an option."""
        return not option.plugs or option.plugs in self.plugged

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
        at_once = option.hotplug_delete and self.plugs(option)
        if not at_once or (option.waits and option.waits(_parse(option, text), option.default)):
            self.restart.append(key)

    def change(self, option: Option, key: str, current: Canonical, wanted: Canonical, rendered: str) -> None:
        self.note(key, _view(option, current), _view(option, wanted))
        if self.runs_with(option, key, wanted):
            self.revert.append(key)
            return
        self.set[key] = rendered
        at_once = option.hotplug_add if option.indexed and key not in self.actual else option.hotplug
        plugged = self.plugs(option) or not _is_replugged(option, current, wanted)
        if not (at_once and plugged) or (option.waits and option.waits(current, wanted)):
            self.restart.append(key)

    def scalar(self, option: Option, key: str, wanted: Canonical, path: str) -> None:
        text = self.actual.get(key)
        current = option.default if text is None else _parse(option, text)
        if option.merge and not self.purge:
            wanted = option.merge(current, wanted)
        if current == wanted or (option.satisfied and option.satisfied(current, wanted)):
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
        resolved = (option.resolve or merge)(key, path, current, {**kept, **wanted}, self.purge)
        self.findings += resolved.findings
        if resolved.findings:
            return
        if resolved.grow is not None:
            self.resize[key] = resolved.grow
            self.note(f"{key}.size", render_size(t.cast("SubValues", current)["size"]), render_size(resolved.grow))
        if fields.same(resolved.values, current or {}):
            return
        # The disk has grown by the time the option is written.
        grown = {} if resolved.grow is None else {"size": resolved.grow}
        rendered = fields.render({**resolved.values, **grown})
        if not rendered:
            self.remove(option, key, path)
        elif not self.refuse(option, path, fields.typed(wanted)):
            self.change(option, key, current, resolved.values, rendered)
            if current and any(current.get(name) != resolved.values.get(name) for name in option.cold):
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
    work = _Comparison(table, held, purge, rebuild)
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
        leftover = table.listed(key, _parse(leftover, held.options[key])) or leftover
        default = _is_default(leftover, held.options[key])
        if leftover.param in declaration.cleared or (purge and leftover.purge and not default):
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


def _is_replugged(option: Option, current: Canonical, wanted: Canonical) -> bool:
    """Whether such a change of a device takes it out of the guest for a moment."""
    if not (option.replug and isinstance(current, dict) and isinstance(wanted, dict)):
        return True
    return any(current.get(name) != wanted.get(name) for name in option.replug)


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
            resolved = (option.resolve or merge)(key, declaration.paths.get(key, key), None, value, False)
            value = option.codec.normal(resolved.values)
        rendered = option.codec.render(value)
        if rendered:
            result[key] = rendered
    return result


def shown(table: Table, key: str, text: str) -> str:
    """A value of PVE's as plans and results show it."""
    option = table.find(key)
    return HIDDEN if option and option.secret else text


def unmanaged(table: Table, actual: t.Mapping[str, str]) -> dict[str, str]:
    """What PVE holds of a guest that is no option here, in PVE's own words."""
    return {key: value for key, value in sorted(actual.items()) if table.find(key) is None}


def unread(table: Table, actual: t.Mapping[str, str]) -> dict[str, str]:
    """What PVE holds within options that are known here, and ``typed`` passes over: keys that are none here, and texts
    that are no property string."""
    found: dict[str, str] = {}
    for key, text in sorted(actual.items()):
        option = table.find(key)
        if option is None or option.secret or not isinstance(option.codec, Fields):
            continue
        parsed = _parse(option, text)
        if not isinstance(parsed, dict):
            found[key] = text
            continue
        codec = (table.listed(key, parsed) or option).codec
        known = codec.keys if isinstance(codec, Fields) else {}
        found |= {f"{key}.{name}": plain(value) for name, value in parsed.items() if name not in known}
    return found


def typed(table: Table, actual: t.Mapping[str, str]) -> dict[str, t.Any]:
    """PVE's options by the user's names and types, as a result shows them, so that it can be declared again: without
    what is no option here, and without what is secret."""
    result: dict[str, t.Any] = {}
    for key in sorted(actual, key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]):
        option = table.find(key)
        if option is None or option.secret:
            continue
        parsed = _parse(option, actual[key])
        option = table.listed(key, parsed) or option
        value = _view(option, parsed)
        if isinstance(option.codec, Fields) and not isinstance(value, dict):
            continue
        within = result
        for name in option.path[:-1]:
            within = within.setdefault(name, {})
        if option.indexed:
            number = int(key[len(option.key) :])
            known = {option.slot: option.key, "index": number} if option.slot else {"id": number}
            within.setdefault(option.path[-1], []).append({**known, **value})
        else:
            within[option.path[-1]] = value
    return result
