# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: PVE's ways of writing values as text, parser and renderer side by side.

A :class:`Codec` knows three forms of one value: PVE's text, the user's (what YAML gives) and the canonical one that is
compared. :class:`Fields` is the codec of a property string (``name=eth0,bridge=vmbr0``); keys it does not know survive
a round trip.
"""

from __future__ import annotations

import functools
import math
import re
import typing as t
from dataclasses import dataclass, field

Canonical = t.Any


class Unread(str):
    """A value of PVE's that we cannot read: unlike anything declared, and written back as it was."""


class BadEntries(ValueError):
    """What is wrong with entries of a list: their places, the entries, and the words of :class:`Codec`."""

    def __init__(self, entries: t.Sequence[tuple[int, object, str]]) -> None:
        super().__init__("; ".join(f"{value!r} {problem}" for _place, value, problem in entries))
        self.entries = tuple(entries)


TRUE_WORDS = frozenset({"1", "on", "yes", "true"})
FALSE_WORDS = frozenset({"0", "off", "no", "false"})

KIB, MIB, GIB, TIB = (1024**power for power in (1, 2, 3, 4))
_UNITS = {"": 1, "K": KIB, "M": MIB, "G": GIB, "T": TIB}
_BYTES = re.compile(r"\d+\s*B", re.IGNORECASE)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def parse_boolean(value: object) -> bool:
    """Read any spelling of a boolean that PVE or YAML takes; ValueError for anything else."""
    word = str(value).strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError("is not a boolean; write true or false")


@functools.lru_cache(maxsize=1024, typed=True)
def parse_size(value: object, unit: int = GIB) -> int:
    """Bytes of a size. A bare number counts in ``unit`` (GiB); ``1G``, ``1GiB`` and ``1024M`` are the same."""
    text = str(value).strip()
    match = _SIZE.fullmatch(text)
    if isinstance(value, bool) or not match:
        raise ValueError("is not a size; write a number of GiB, or 8G, 8GiB, 1536M")
    factor = _UNITS[match[2].upper()] if match[2] else (1 if text[-1:] in "bB" else unit)
    return round(float(match[1]) * factor)


def render_size(size: int) -> str:
    """PVE's spelling of a size in bytes: the largest unit that divides it (``8G``, ``1536M``)."""
    for letter in "TGMK":
        if size and size % _UNITS[letter] == 0:
            return f"{size // _UNITS[letter]}{letter}"
    return str(size)


def show_size(size: int) -> str:
    """A size in bytes as a result shows it, so that it means the same when it is declared."""
    return render_size(size) if size % KIB == 0 and size else f"{size}B"


def render_gib(size: int) -> str:
    """A size in bytes as the bare number of GiB that ``STORAGE:SIZE`` takes (``store:1G`` is refused by PVE)."""
    return f"{size / GIB:.30f}".rstrip("0").rstrip(".")  # a division by 2**30 ends within 30 places


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
class Codec:
    """How one value is read from PVE (``parse``), from the user (``accept``) and written to PVE (``render``).

    ``accept`` raises ValueError whose text continues a sentence about the value ("is not ..."). ``type`` is Ansible's
    word for what the user writes, a list of ``elements`` or one of ``choices``, from ``minimum`` to ``maximum``.
    """

    parse: t.Callable[[str], Canonical]
    accept: t.Callable[[t.Any], Canonical]
    render: t.Callable[[Canonical], str]
    type: str = "str"
    elements: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


def integer(minimum: int | None = None, maximum: int | None = None, what: str = "a whole number") -> Codec:
    """A whole number within bounds."""

    def accept(value: t.Any) -> int:
        try:
            number = int(str(value))
        except ValueError:
            raise ValueError(f"is not {what}") from None
        if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
            bounds = f"{minimum} or more" if maximum is None else f"{minimum} to {maximum}"
            raise ValueError(f"is out of range; {what} is {bounds}")
        return number

    return Codec(
        parse=lambda text: int(float(text)), accept=accept, render=str, type="int", minimum=minimum, maximum=maximum
    )


def number(minimum: float, maximum: float) -> Codec:
    """A decimal number within bounds; ``2`` and ``2.0`` are the same."""

    def accept(value: t.Any) -> float:
        try:
            result = float(str(value))
        except ValueError:
            raise ValueError("is not a number") from None
        if not minimum <= result <= maximum:
            raise ValueError(f"is out of range; it goes from {minimum:g} to {maximum:g}")
        return result

    return Codec(
        parse=float,
        accept=accept,
        render=lambda value: repr(value).removesuffix(".0"),
        type="float",
        minimum=minimum,
        maximum=maximum,
    )


def text(pattern: str = "", problem: str = "is not valid", fold: t.Callable[[str], str] = str) -> Codec:
    """Text as it is, or text that fits ``pattern``. ``fold`` makes spellings equal that mean the same."""

    matches = re.compile(pattern).fullmatch if pattern else None

    def accept(value: t.Any) -> str:
        result = str(value)
        if matches and not matches(result):
            raise ValueError(problem)
        return fold(result)

    return Codec(parse=fold, accept=accept, render=str)


def choice(*words: str) -> Codec:
    """One of some words."""
    listed = ", ".join(words)

    def accept(value: t.Any) -> str:
        if str(value) not in words:
            raise ValueError(f"is none of {listed}")
        return str(value)

    return Codec(parse=str, accept=accept, render=str, choices=words)


def words(separator: str, item: Codec, *, ordered: bool = True, splitter: str = r"[;,\s\0]+") -> Codec:
    """A list of values in one text. Unordered lists compare, and are written, sorted and without repetition."""

    def finish(values: t.Iterable[Canonical]) -> tuple[Canonical, ...]:
        return tuple(values) if ordered else tuple(sorted(set(values)))

    def parse(value: str) -> tuple[Canonical, ...]:
        return finish(item.parse(part) for part in re.split(splitter, value) if part)

    def accept(value: t.Any) -> tuple[Canonical, ...]:
        parts = re.split(splitter, value) if isinstance(value, str) else value
        return finish(accept_each(item, [part for part in parts if part != ""]))

    return Codec(
        parse=parse,
        accept=accept,
        render=lambda value: separator.join(item.render(part) for part in value),
        type="list",
        elements=item.type,
    )


def accept_each(item: Codec, values: t.Iterable[t.Any]) -> list[Canonical]:
    """The entries of a list as the user wrote them; BadEntries names all that are wrong."""
    accepted: list[Canonical] = []
    wrong: list[tuple[int, object, str]] = []
    for place, value in enumerate(values):
        try:
            accepted.append(item.accept(value))
        except ValueError as error:
            wrong.append((place, value, str(error)))
    if wrong:
        raise BadEntries(wrong)
    return accepted


_VLAN_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


def vlans(*, ranges: bool) -> Codec:
    """A set of VLAN tags. Its canonical form is the fewest tags and ranges that hold it: ``(7, "10-20")``.

    ``ranges``: whether PVE takes ranges here; otherwise each tag is written by itself.
    """

    def parse(text: str) -> tuple[int | str, ...]:
        return _fewest(_vlan_range(part) for part in re.split(r"[;,\s]+", text) if part)

    def accept(value: t.Any) -> tuple[int | str, ...]:
        parts = [part for each in ([value] if isinstance(value, (str, int)) else value) for part in _parts(each)]
        return _fewest(accept_each(Codec(parse=str, accept=_accept_vlans, render=str), parts))

    def render(value: Canonical) -> str:
        if ranges:
            return ";".join(map(str, value))
        return ";".join(
            str(tag) for part in value for low, high in [_vlan_range(str(part))] for tag in range(low, high + 1)
        )

    return Codec(parse=parse, accept=accept, render=render, type="list", elements="str")


def _parts(value: t.Any) -> list[t.Any]:
    return [part for part in re.split(r"[;,\s]+", value) if part] if isinstance(value, str) else [value]


def _vlan_range(text: str) -> tuple[int, int]:
    match = _VLAN_RANGE.fullmatch(text)
    if not match or (match[2] and int(match[2]) < int(match[1])):
        raise ValueError("is neither a VLAN tag nor a range such as 10-20")
    return int(match[1]), int(match[2] or match[1])


def _accept_vlans(value: t.Any) -> tuple[int, int]:
    low, high = _vlan_range(str(value))
    if low < 1 or high > 4094:
        raise ValueError("is out of range; a VLAN tag is 1 to 4094")
    return low, high


def _fewest(ranges: t.Iterable[tuple[int, int]]) -> tuple[int | str, ...]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(low if low == high else f"{low}-{high}" for low, high in merged)


TEXT = text()
BOOLEAN = Codec(parse=parse_boolean, accept=parse_boolean, render=lambda value: "1" if value else "0", type="bool")


def _size(step: int, rounded: t.Callable[[float], int]) -> Codec:
    def accept(value: t.Any) -> int:
        size = parse_size(value)
        if _BYTES.fullmatch(str(value)):
            return size
        if 0 < size < step:
            raise ValueError(f"is too small; the least is {render_size(step)}")
        return rounded(size / step) * step

    return Codec(parse=lambda value: parse_size(value, 1), accept=accept, render=render_size)


# PVE allocates whole MiB of what is asked for a container (pve-container, LXC.pm: int(GiB * 1024)), and the next whole
# KiB for a VM (qemu-server by convert_size).
CONTAINER_SIZE = _size(MIB, math.floor)
DISK_SIZE = _size(KIB, math.ceil)
# A storage may round up what it is asked for: LVM's extents have 4 MiB as a rule.
EXTENT = 4 * MIB


@dataclass(frozen=True)
class Field:
    """One key of a property string.

    ``param`` is the user's name for it (default: PVE's). ``default`` is what PVE assumes where the key is missing.
    ``preserve``: PVE or the first run chose the value; it is carried over whenever the user does not state it.
    ``since`` is the version of PVE that it came with, where nodes are still supported that do not know it.
    ``public``: what has a name like a secret's, and is none.
    """

    codec: Codec = TEXT
    param: str = ""
    default: Canonical = None
    preserve: bool = False
    since: str = ""
    public: bool = False


@dataclass(frozen=True)
class Fields:
    """A property string as data: its keys in PVE's order, and the key that may stand without its name.

    ``bare``: whether we write that key without its name too. ``exclusive`` are groups of the user's names of which he
    states one at most, ``one_of`` those of which he states one at least.
    """

    keys: t.Mapping[str, Field]
    default_key: str = ""
    bare: bool = True
    exclusive: tuple[tuple[str, ...], ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()
    preserved: tuple[str, ...] = field(init=False, repr=False, compare=False)
    params: dict[str, str] = field(init=False, repr=False, compare=False)
    _parsed: t.Callable[[str], dict[str, Canonical]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = {entry.param or key: key for key, entry in self.keys.items()}
        object.__setattr__(self, "preserved", tuple(key for key, entry in self.keys.items() if entry.preserve))
        object.__setattr__(self, "params", names)
        # A run looks at the same text several times, as it plans, checks and tells.
        object.__setattr__(self, "_parsed", functools.lru_cache(maxsize=256)(self._parse))

    def parse(self, value: str) -> dict[str, Canonical]:
        """Canonical values by PVE's keys; unknown keys stay as text, and so do values that we cannot read."""
        return dict(self._parsed(value))

    def _parse(self, value: str) -> dict[str, Canonical]:
        return {key: self._read(key, raw) for key, raw in split(value, self.default_key).items()}

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
            if key in self.keys
        }


def plain(value: Canonical) -> Canonical:
    """A canonical value as JSON has it: tuples become lists."""
    if isinstance(value, Unread):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
