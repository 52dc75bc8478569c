# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how single values are read from PVE and from the user, and written to PVE. Pure."""

from __future__ import annotations

import math
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._model.sizes import BYTES, KIB, MIB, parse_size, render_size

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


def parse_boolean(value: object) -> bool:
    """Read any spelling of a boolean that PVE or YAML takes; ValueError for anything else."""
    word = str(value).strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError("is not a boolean; write true or false")


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


def number(minimum: float, maximum: float | None = None) -> Codec:
    """A decimal number within bounds; ``2`` and ``2.0`` are the same."""

    def accept(value: t.Any) -> float:
        try:
            result = float(str(value))
        except ValueError:
            raise ValueError("is not a number") from None
        if not (minimum <= result <= (math.inf if maximum is None else maximum) and math.isfinite(result)):
            bounds = f"is {minimum:g} or more" if maximum is None else f"goes from {minimum:g} to {maximum:g}"
            raise ValueError(f"is out of range; it {bounds}")
        return result

    return Codec(
        parse=float,
        accept=accept,
        render=lambda value: repr(value).removesuffix(".0"),
        type="float",
        minimum=minimum,
        maximum=maximum,
    )


_CONTROL = re.compile(r"[\x00-\x08\n-\x1f\x7f]")


def one_line(value: t.Any) -> str:
    """Text that stays in its line of a config: PVE writes values down as they are, and would read back another option.

    ValueError for any other.
    """
    result = str(value)
    if _CONTROL.search(result):
        raise ValueError("holds a line break or another control character; leave it out")
    return result


def text(
    pattern: str = "", problem: str = "is not valid", fold: t.Callable[[str], str] = str, *, lines: bool = False
) -> Codec:
    """Text that fits ``pattern``, of one line where it may not have ``lines``. ``fold`` makes spellings equal that mean
    the same."""

    matches = re.compile(pattern, re.ASCII).fullmatch if pattern else None

    def accept(value: t.Any) -> str:
        result = str(value)
        if matches and not matches(result):
            raise ValueError(problem)
        return fold(result) if lines else one_line(fold(result))

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


def _size(step: int, rounded: t.Callable[[float], int], least: int = 1) -> Codec:
    def accept(value: t.Any) -> int:
        size = parse_size(value)
        if BYTES.fullmatch(str(value)):
            return size
        if least <= size < step:
            raise ValueError(f"is too small; the least is {render_size(step)}")
        return rounded(size / step) * step

    return Codec(parse=lambda value: parse_size(value, 1), accept=accept, render=render_size)


# PVE allocates whole MiB of what is asked for a container (pve-container, LXC.pm: int(GiB * 1024)), and the next whole
# KiB for a VM (qemu-server by convert_size). A container of 0 is a directory without a limit, a disk of 0 is none.
CONTAINER_SIZE = _size(MIB, math.floor)
DISK_SIZE = _size(KIB, math.ceil, least=0)
# A storage may round up what it is asked for: LVM's extents have 4 MiB as a rule.
EXTENT = 4 * MIB


def plain(value: Canonical) -> Canonical:
    """A canonical value as JSON has it: tuples become lists."""
    if isinstance(value, Unread):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
