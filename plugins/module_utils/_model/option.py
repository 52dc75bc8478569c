# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: options of guests, and what is declared and compared by their keys. Pure."""

from __future__ import annotations

import functools
import itertools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import Canonical, Codec
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields

Path: t.TypeAlias = "tuple[str | int, ...]"
SubValues = dict[str, Canonical]


@dataclass(frozen=True)
class Resolved:
    """What one property string should become: its values, the size to grow to (bytes), and what stands against it."""

    values: SubValues
    grow: int | None = None
    findings: tuple[Finding, ...] = ()


# PVE's key, the user's path, the values that are there, the values stated, and whether to drop what is not stated.
Resolve: t.TypeAlias = "t.Callable[[str, str, SubValues | None, SubValues, bool], Resolved]"


@dataclass(frozen=True)
class Option:
    """One option of a guest type.

    ``param``: the user's name for it; ``a.b`` is the key ``b`` of the dictionary ``a``.
    ``cold``: keys of a property string that a running guest takes only at its next start, whatever PVE says.
    ``hotplug``: a running guest takes a new value at once; ``hotplug_add``: a new entry of a list;
    ``hotplug_delete``: a deletion. ``plugs``: only where the guest's own option ``hotplug`` has this word; ``waits``
    tells of which changes (current and wanted value) that is not true. ``replug``: the keys of a property string for
    which it is plugged again; a running guest takes the others in any case. ``immutable``: it cannot change on an
    existing guest.
    ``satisfied``: whether a current value that differs is nevertheless what is wanted.
    ``indexed``: PVE numbers it (``net0``), the user writes a list of entries with an ``id``. An entry without one is
    known by the keys in ``identity`` and ``marks`` (an identity that is not there makes a new entry), and else by its
    place; ``told_by`` tells apart what has neither. ``last`` is the highest number that PVE takes.
    ``slot``: it shares the user's list with other options; an entry says by this word which one it is (``bus: scsi``),
    by ``index`` which number. ``by_place``: an entry without a number is the one at its place, counted from ``first``
    on, whatever the guest has. ``marked`` is what the property string
    has by which its entries are told from those of another list.
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
    plugs: str = ""
    replug: frozenset[str] = frozenset()
    waits: t.Callable[[Canonical, Canonical], bool] | None = None
    satisfied: t.Callable[[Canonical, Canonical], bool] | None = None
    immutable: bool = False
    indexed: bool = False
    last: int = 31
    slot: str = ""
    by_place: bool = False
    first: int = 0
    marked: t.Mapping[str, Canonical] = field(default_factory=dict)
    identity: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    told_by: str = ""
    purge: bool = True
    required: bool = False
    resolve: Resolve | None = None
    merge: t.Callable[[Canonical, Canonical], Canonical] | None = None
    on_node: bool = False
    secret: bool = False
    public: bool = False
    aliases: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    since: str = ""
    scope: t.Literal["config", "creation", "guest"] = "config"

    @functools.cached_property
    def path(self) -> tuple[str, ...]:
        """Where the user states it."""
        return tuple(self.param.split("."))


class Table(tuple[Option, ...]):
    """The options of a guest type. ``on_node``: the keys of those that only root on the node itself can set."""

    on_node: tuple[str, ...]
    _found: dict[str, Option | None]
    _stated: tuple[tuple[str, Option], ...]

    def __new__(cls, options: t.Iterable[Option] = ()) -> Table:
        table = super().__new__(cls, options)
        table.on_node = tuple(option.key for option in table if option.on_node)
        table._found = {}
        table._stated = tuple((option.path[0], option) for option in table)
        return table

    def about(self, params: t.Mapping[str, t.Any]) -> list[Option]:
        """The options of which parameters may say something; most say little of a guest."""
        names = {name for name, value in params.items() if value is not None}
        return [option for name, option in self._stated if name in names]

    def find(self, key: str) -> Option | None:
        """The option a PVE key belongs to (``net0`` to ``net``), or None."""
        if key not in self._found:
            base = base_of(key)
            plain = (option for option in self if key == option.key and not option.indexed)
            numbered = (option for option in self if base == option.key != key and option.indexed)
            self._found[key] = next(itertools.chain(plain, numbered), None)
        return self._found[key]

    def listed(self, key: str, value: Canonical) -> Option | None:
        """The option as which the user sees a key: of several with the same key the one that its value is marked as."""
        option = self.find(key)
        if option is None or not option.slot or not isinstance(value, dict):
            return option
        marked = (other for other in self if other.marked and other.key == option.key)
        return next((other for other in marked if other.marked.items() <= value.items()), option)

    def known(self, key: str) -> Option:
        """The option of a key that was declared by this table."""
        option = self.find(key)
        if option is None:
            raise KeyError(key)
        return option


HIDDEN = "********"
# What PVE itself shows in the place of a password.
MASKED: t.Final = "**********"
# The way out of what cannot change in place.
REBUILD = "Create a new guest beside it."


def rebuild(params: t.Mapping[str, t.Any]) -> str:
    """What to do about what cannot change in place: as the module at hand offers it."""
    anew = "or set recreate=true to destroy and create this one again." if "recreate" in params else ""
    return f"{REBUILD.rstrip('.')}, {anew}" if anew else REBUILD


@dataclass(frozen=True)
class Removal:
    """An entry of a list that is to go (``state: absent``), known by what it says of itself instead of by number."""

    option: str
    identity: SubValues
    path: str


@dataclass(frozen=True)
class Declaration:
    """What the user asked for, by PVE's keys. None asks for a deletion; in property strings also for single keys.

    ``cleared``: the user's lists of which every entry is to go. ``paths``: the user's name of each key, for messages.
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

    def applied(self, options: t.Mapping[str, str], live: t.Mapping[str, str]) -> dict[str, str]:
        """What becomes of a guest's options; ``live`` are those that do not wait for its next start."""
        back = {key: live.get(key) for key in self.revert}
        after = {**options, **back, **self.set, **dict.fromkeys(self.delete)}
        return {key: value for key, value in after.items() if value is not None}


def in_scope(table: t.Iterable[Option], scope: str) -> Table:
    """The options of a table that stand in a config, count at the creation, or are about the guest."""
    return Table(option for option in table if option.scope == scope)


def base_of(key: str) -> str:
    return key.rstrip("0123456789")


def merge(key: str, path: str, current: SubValues | None, wanted: SubValues, purge: bool) -> Resolved:
    """The usual way a property string is resolved: what is not stated stays, or goes with ``purge``."""
    if current and not purge and wanted.items() <= current.items():
        return Resolved(current)
    base = {} if purge else dict(current or {})
    return Resolved({name: value for name, value in {**base, **wanted}.items() if value is not None})
