# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the script has told, read. Pure.

Each line begins with ``#setup``. Then comes what it is about, the number of a thing or the name of a note in the guest,
and then what is to be said of it.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._access.setup.render import record_id
from ansible_collections.pve.provision.plugins.module_utils._model.setup.items import STAGES, PackageItem, Setup

_LINE: t.Final = re.compile(r"#setup (\S+) ?(.*)")
# Which option a note belongs to, and which word of its line is the name; the rest of the line counts from there on.
_NOTES: t.Final = {
    "package": ("packages", 0),
    "file": ("files", 3),
    "user": ("users", 0),
    "group": ("users", 0),
    "key": ("users", 0),
    "service": ("services", 2),
    "notify": ("services", 0),
}
# What is done about what is not declared any more, by what has become of it.
_GONE: t.Final = {"none": "forget", "changed": "keep", "needed": "keep"}
_UNDONE: t.Final = {"service": "put back", "notify": "restart"}
_HOW: t.Final = {"replaced": "restore", "there": "forget"}


@dataclass(frozen=True)
class Note:
    """A note in the guest about something that was set. ``now``: ``there``, ``none``, ``changed`` by others, or
    ``needed`` by them."""

    name: str
    now: str
    line: str

    @property
    def kind(self) -> str:
        return self.name.partition("-")[0]

    @property
    def option(self) -> str:
        return _NOTES.get(self.kind, (self.kind, 0))[0]

    @property
    def title(self) -> str:
        """How people call what it is about."""
        _option, place = _NOTES.get(self.kind, ("", 0))
        words = self.line.split(" ", place)[-1]
        who, _space, what = words.partition(" ")
        return {"group": f"{who}: group {what}", "key": f"{who}: ssh_key"}.get(self.kind, words)

    @property
    def verb(self) -> str:
        """What is done about it."""
        by_kind = _UNDONE.get(self.kind, "remove")
        if self.kind == "file":
            by_kind = _HOW.get(self.line.partition(" ")[0], by_kind)
        return _GONE.get(self.now, by_kind)


@dataclass(frozen=True)
class Change:
    """What is changed of a thing."""

    option: str
    title: str
    verbs: tuple[str, ...]
    undeclared: bool = False

    def __str__(self) -> str:
        name = self.title if self.option == self.title else f"{self.option}: {self.title}"
        return f"{name}: {', '.join(self.verbs)}{' (not declared any more)' if self.undeclared else ''}"


@dataclass
class Answer:
    """What the script told. ``complete``: it came to its end. ``changes`` and ``done`` by what they are about;
    ``failed``: at what it stopped, why, and what was said there."""

    facts: dict[str, str] = field(default_factory=dict)
    changes: dict[str, list[str]] = field(default_factory=dict)
    done: dict[str, list[str]] = field(default_factory=dict)
    restarts: list[str] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    failed: tuple[str, str] | None = None
    said: list[str] = field(default_factory=list)
    complete: bool = False


def parse_answer(text: str) -> Answer:
    """Read it; what is no line of the script's is nothing of ours."""
    answer = Answer()
    for line in text.split("\n"):
        if match := _LINE.fullmatch(line):
            _take(answer, match[1], match[2])
    return answer


def _take(answer: Answer, about: str, rest: str) -> None:
    word, _space, words = rest.partition(" ")
    if about == "end":
        answer.complete = True
    elif about == "fact":
        answer.facts[word] = words
    elif about == "record":
        now, _space, line = words.partition(" ")
        answer.notes.append(Note(word, now, line))
    elif word in ("change", "done"):
        told = answer.changes if word == "change" else answer.done
        told.setdefault(about, []).extend(verb.replace(":", " ") for verb in words.split())
    elif word == "restart":
        answer.restarts += [words] if words not in answer.restarts else []
    elif word == "fault":
        answer.faults.append((about, words))
    elif word == "failed":
        answer.failed = (about, words)
    elif word == "said":
        answer.said.append(words)


# -- what it comes to --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """How a guest differs: what the script is to do. ``numbers`` are things of the declaration, ``undo`` notes."""

    numbers: tuple[int, ...] = ()
    undo: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)


def difference(setup: Setup, answer: Answer) -> Difference:
    """What to do, from what the guest has told."""
    manager = answer.facts.get("manager", "")
    kept = {
        record_id(kind, name) for item in setup.items if item.manager in ("", manager) for kind, name in item.records
    }
    undo = [note for note in answer.notes if note.name not in kept and note.kind != "notify"]
    pending = [note for note in answer.notes if note.kind == "notify"]
    changes = [Change(note.option, note.title, (note.verb,), undeclared=True) for note in undo]
    changes += changes_of(setup, answer.changes)
    begun = {change.title for change in changes if change.option == "services" and "start" in change.verbs}
    restarts = dict.fromkeys([*(note.title for note in pending), *answer.restarts])
    changes += [Change("services", name, ("restart",)) for name in restarts if name not in begun]
    return Difference(_numbers(setup, answer), tuple(note.name for note in undo), tuple(changes))


def _numbers(setup: Setup, answer: Answer) -> tuple[int, ...]:
    """The things to be held against the guest once more, and changed. A package that is installed may bring what is as
    declared without it, such as a service that is to be off: then all that comes after packages is among them."""
    told = {int(about) for about in answer.changes}
    installed = (about for about, verbs in answer.changes.items() if "install" in verbs)
    if any(isinstance(setup.items[int(about)], PackageItem) for about in installed):
        after = STAGES[STAGES.index("packages") + 1 :]
        told |= {number for number, item in enumerate(setup.items) if item.stage in after}
    return tuple(sorted(told))


def changes_of(setup: Setup, told: t.Mapping[str, t.Sequence[str]], notes: t.Iterable[Note] = ()) -> list[Change]:
    """What was told of things and notes, by their names."""
    by_name = {note.name: note for note in notes}
    changes = []
    for about, verbs in told.items():
        if about in by_name:
            note = by_name[about]
            changes.append(Change(note.option, note.title, tuple(verbs), undeclared=note.kind != "notify"))
        elif about.isdigit():
            item = setup.items[int(about)]
            changes.append(Change(item.option, item.title, tuple(verbs)))
        else:
            changes.append(Change("services", about.removeprefix("notify-"), tuple(verbs)))
    return changes


def on_new(setup: Setup) -> list[Change]:
    """What to do in a guest that is new."""
    return [
        Change(item.option, f"{item.title} ({item.manager})" if item.manager else item.title, (item.on_new,))
        for item in setup.items
        if item.on_new
    ]
