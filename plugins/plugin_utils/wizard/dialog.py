# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: questions at a terminal, one after another, with a way back."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

Answers = dict[str, t.Any]
#: What a user may type at any question instead of an answer.
BACK: t.Final = "<"
HELP: t.Final = "?"
QUIT: t.Final = "q!"
KEYS: t.Final = (
    f"Enter takes what stands in [brackets]. {BACK} goes back, {HELP} explains, {QUIT} ends without a change."
)
#: The most choices that are shown at once; a list that is longer is searched.
SHOWN: t.Final = 20


class Quit(Exception):
    """The user ended the questions."""


class Terminal(t.Protocol):
    """Who is asked."""

    def ask(self, prompt: str, *, secret: bool) -> str: ...

    def show(self, text: str) -> None: ...


@dataclass(frozen=True)
class Choice:
    """One of several answers. ``label`` says more than the value."""

    value: t.Any
    label: str = ""

    @property
    def short(self) -> str:
        """What may be typed for it."""
        return self.label if isinstance(self.value, bool) else str(self.value)

    def __str__(self) -> str:
        return self.label or str(self.value)


Choices = t.Callable[[Answers], t.Sequence[Choice]]


@dataclass(frozen=True)
class Question:
    """One question. ``path`` is the option that it is about, ``default`` what Enter stands for (empty: the option is
    left out), ``choices`` what can be chosen; with ``free`` something else may be typed, too. What is typed
    of a ``secret`` is not shown. It is asked where ``when`` holds of the answers so far."""

    path: str
    text: str
    help: str = ""
    default: t.Callable[[Answers], t.Any] = field(default=lambda _answers: "")
    choices: Choices | None = None
    free: bool = False
    secret: bool = False
    when: t.Callable[[Answers], bool] = field(default=lambda _answers: True)


Problem = t.Callable[[Answers, Question], str]


def ask_all(terminal: Terminal, questions: t.Sequence[Question], problem: Problem) -> Answers | None:
    """The answers by the paths of their questions; None when the user went back beyond the first one. ``problem`` says
    what is wrong with the last of the answers so far."""
    answers: Answers = {}
    asked: list[int] = []
    place = 0
    while place < len(questions):
        question = questions[place]
        if not question.when(answers):
            place += 1
            continue
        answer = _ask(terminal, question, answers, problem)
        if answer is None:
            if not asked:
                return None
            place = asked.pop()
            answers.pop(questions[place].path, None)
            continue
        if answer != "":
            answers[question.path] = answer
        asked.append(place)
        place += 1
    return answers


def _ask(terminal: Terminal, question: Question, answers: Answers, problem: Problem) -> t.Any:
    """A good answer; empty when the option is left out, None when the user goes back."""
    choices = list(question.choices(answers)) if question.choices else []
    default = question.default(answers)
    while True:
        _show_choices(terminal, choices, default)
        label = next((choice.short for choice in choices if choice.value == default), str(default))
        shown = f" [{label}]" if default != "" else ""
        typed = terminal.ask(f"{question.text}{shown}: ", secret=question.secret).strip()
        if typed == BACK:
            return None
        if typed == QUIT:
            raise Quit
        if typed == HELP:
            terminal.show("\n".join(filter(None, [question.help, KEYS])))
            continue
        found, wrong = _read(typed, default, choices, question.free)
        if wrong is None:
            wrong = problem({**answers, question.path: found}, question) if found != "" else ""
        if not wrong:
            return found
        terminal.show(wrong)
        choices = _narrowed(choices, typed) or choices


def _show_choices(terminal: Terminal, choices: t.Sequence[Choice], default: t.Any) -> None:
    for number, choice in enumerate(choices[:SHOWN], 1):
        mark = "*" if choice.value == default else " "
        terminal.show(f" {mark}{number:>3}  {choice}")
    if len(choices) > SHOWN:
        terminal.show(f"      ... and {len(choices) - SHOWN} more: type a part of the name to see those that have it")


def _read(typed: str, default: t.Any, choices: t.Sequence[Choice], free: bool) -> tuple[t.Any, str | None]:
    """The value of what was typed, and what is wrong with it; None: that is for others to say."""
    if typed == "":
        return default, None
    if not choices:
        return typed, None
    if typed.isdigit() and 1 <= int(typed) <= min(len(choices), SHOWN):
        return choices[int(typed) - 1].value, None
    for choice in choices:
        if choice.short.lower() == typed.lower():
            return choice.value, None
    if free:
        return typed, None
    near = _narrowed(choices, typed)
    if len(near) == 1:
        return near[0].value, None
    if near:
        return "", f"{len(near)} of them have {typed!r} in their name:"
    return "", f"{typed!r} is none of these. Type a number from 1 to {min(len(choices), SHOWN)}, or a name."


def _narrowed(choices: t.Sequence[Choice], typed: str) -> list[Choice]:
    return [choice for choice in choices if typed and typed.lower() in f"{choice.value} {choice}".lower()]
