# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: property strings of PVE, such as ``name=eth0,bridge=vmbr0``, as data. Pure."""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._model.codec import (
    CONTAINER_SIZE,
    DISK_SIZE,
    TEXT,
    Canonical,
    Codec,
    Unread,
    plain,
)
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import show_size


def split(text: str, default_key: str = "") -> dict[str, str]:
    """Parse ``a=1,b=2``; a part without ``=`` is the value of ``default_key``. ValueError when there is none."""
    result: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        key = name.strip()
        if equals and key:
            result[key] = value
        elif part.strip() and default_key and default_key not in result:
            result[default_key] = part.strip()
        elif part.strip():
            raise ValueError(f"has a part without a key: {part!r}")
    return result


def join(values: t.Mapping[str, str], default_key: str = "") -> str:
    """Render a property string; the value of ``default_key`` goes first and without its key."""
    head = [values[default_key]] if default_key in values else []
    return ",".join(head + [f"{key}={value}" for key, value in values.items() if key != default_key])


@dataclass(frozen=True)
class Field:
    """One key of a property string.

    ``param`` is the user's name for it (default: PVE's). ``default`` is what PVE assumes where the key is missing.
    ``preserve``: PVE or the first run chose the value; it is carried over whenever the user does not state it.
    ``since`` is the version of PVE that it came with, where nodes are still supported that do not know it.
    ``public``: what has a name like a secret's, and is none; ``secret``: what nobody is shown.
    ``required``: the user has to state it. ``aliases``: other names that PVE has for it. ``internal``: no word of the
    user's.
    """

    codec: Codec = TEXT
    param: str = ""
    default: Canonical = None
    preserve: bool = False
    since: str = ""
    public: bool = False
    secret: bool = False
    required: bool = False
    aliases: tuple[str, ...] = ()
    internal: bool = False


@dataclass(frozen=True)
class Fields:
    """A property string as data: its keys in PVE's order, and the key that may stand without its name.

    ``bare``: whether we write that key without its name too. ``exclusive`` are groups of the user's names of which
    one at most may be stated, ``one_of`` those of which one at least has to be.
    """

    keys: t.Mapping[str, Field]
    default_key: str = ""
    bare: bool = True
    exclusive: tuple[tuple[str, ...], ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()
    preserved: tuple[str, ...] = field(init=False, repr=False, compare=False)
    params: dict[str, str] = field(init=False, repr=False, compare=False)
    _aliases: dict[str, str] = field(init=False, repr=False, compare=False)
    _parsed: t.Callable[[str], dict[str, Canonical]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = {entry.param or key: key for key, entry in self.keys.items() if not entry.internal}
        aliases = {alias: key for key, entry in self.keys.items() for alias in entry.aliases}
        object.__setattr__(self, "preserved", tuple(key for key, entry in self.keys.items() if entry.preserve))
        object.__setattr__(self, "params", names)
        object.__setattr__(self, "_aliases", aliases)
        # A run looks at the same text several times, as it plans, checks and tells.
        object.__setattr__(self, "_parsed", functools.lru_cache(maxsize=16384)(self._parse))

    def parse(self, value: str) -> dict[str, Canonical]:
        """Canonical values by PVE's keys; unknown keys stay as text, and so do values that we cannot read."""
        return dict(self._parsed(value))

    def _parse(self, value: str) -> dict[str, Canonical]:
        parts = {self._aliases.get(key, key): raw for key, raw in split(value, self.default_key).items()}
        return {key: self._read(key, raw) for key, raw in parts.items()}

    def read(self, value: str) -> dict[str, Canonical]:
        """As ``parse``; of a text that is no property string nothing is known."""
        try:
            return self.parse(value)
        except ValueError:
            return {}

    def _read(self, key: str, raw: str) -> Canonical:
        if key not in self.keys:
            return raw
        try:
            return self.keys[key].codec.parse(raw)
        except ValueError:
            return Unread(raw)

    def render(self, values: t.Mapping[str, Canonical]) -> str:
        """The property string of canonical values: known keys in the table's order, then the rest."""
        known = [key for key in self.keys if values.get(key) is not None]
        rest = [key for key in values if key not in self.keys and values[key] is not None]
        rendered = {key: self._write(key, values[key]) for key in known}
        rendered.update({key: str(values[key]) for key in rest})
        told = {key: value for key, value in rendered.items() if value != ""}
        return join(told, self.default_key if self.bare else "")

    def _write(self, key: str, value: Canonical) -> str:
        return str(value) if isinstance(value, Unread) else self.keys[key].codec.render(value)

    def normal(self, values: t.Mapping[str, Canonical]) -> dict[str, Canonical]:
        """What counts when two values are compared: keys that say what PVE assumes anyway are left out."""
        return {
            key: value
            for key, value in values.items()
            if value is not None and not (key in self.keys and value == self.keys[key].default)
        }

    def unfit(self, key: str, value: Canonical) -> str:
        """Why a value cannot stand in a property string, where PVE would read another one; empty where it can."""
        if isinstance(value, str) and "," in value:
            return "holds a comma, which ends a value in the config of Proxmox VE; choose one without"
        if isinstance(value, str) and "=" in value and key == self.default_key and self.bare:
            return "holds an equals sign, which ends a key in the config of Proxmox VE; choose one without"
        return ""

    def same(self, one: t.Mapping[str, Canonical], other: t.Mapping[str, Canonical]) -> bool:
        """Whether two values mean the same."""
        return one == other or self.normal(one) == self.normal(other)

    def _is_size(self, key: str) -> bool:
        return key in self.keys and self.keys[key].codec in (CONTAINER_SIZE, DISK_SIZE)

    def typed(self, values: t.Mapping[str, Canonical]) -> dict[str, Canonical]:
        """Canonical values by the user's names, for results; sizes as PVE spells them. Keys that are none here go."""
        return {
            self.keys[key].param or key: (
                show_size(value) if isinstance(value, int) and self._is_size(key) else plain(value)
            )
            for key, value in values.items()
            if key in self.keys and not self.keys[key].internal
        }
