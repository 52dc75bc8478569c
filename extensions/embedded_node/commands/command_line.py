# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How PVE's commands are put together: sub-commands that stand for API calls or for code of the command's own.

A program is a table of sub-commands (nested where PVE nests them). Parameters come from the API's schema or are the
command's own; errors, usage lines and exit codes are PVE's.
"""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..api import routes, validation
from ..api.session import Session
from ..errors import INVALID, ApiError, no_such_file
from . import argv, usage

Params = dict[str, t.Any]
FAILED = 255
VMID = {"type": "integer", "minimum": 100, "maximum": 999999999, "format": "pve-vmid"}
STRING: dict[str, t.Any] = {"type": "string"}
FLAG: dict[str, t.Any] = {"type": "boolean", "optional": 1}


class Exit(Exception):
    """Leave the command with this exit code and no words."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Command:
    """One sub-command. Either ``method`` and ``path`` name an API call, or ``run`` is its code and ``own`` its
    parameters.

    ``fixed`` are parameters that the command sets itself, ``files`` options whose value is the name of a file to read,
    ``show`` prints the result, ``group`` is where the usage text lists it. A ``raw`` command gets its ``words``
    unparsed.
    """

    arguments: tuple[str, ...] = ()
    method: str = ""
    path: str = ""
    fixed: Mapping[str, t.Any] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, t.Any]] = field(default_factory=dict)
    run: Callable[[Session, Params], t.Any] | None = None
    show: Callable[[Session, t.Any], None] | None = None
    passwords: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    group: str = ""
    formatted: bool = False
    raw: bool = False

    @property
    def properties(self) -> Mapping[str, Mapping[str, t.Any]]:
        """All parameters with their schemas."""
        if not self.path:
            return self.own
        spec = validation.paths()[self.path][self.method].get("parameters") or {}
        return t.cast("Mapping[str, Mapping[str, t.Any]]", spec.get("properties") or {})

    @property
    def hidden(self) -> frozenset[str]:
        """The parameters that no option sets."""
        return frozenset({"node", *self.fixed}) if self.path else frozenset(self.fixed)

    def usage(self, prefix: str) -> str:
        """The usage line."""
        return usage.line(prefix, self.properties, self.arguments, self.hidden, self.formatted)


Table = Mapping[str, "Command | Table | str"]


def api_command(method: str, path: str, *arguments: str, **more: t.Any) -> Command:
    """A sub-command that is an API call; below a node, the node is this one."""
    return Command(tuple(arguments), method, path, **more)


def upid_exit(session: Session, upid: t.Any) -> None:
    """The exit code of a command that starts a task is the task's."""
    if session.task_failed:
        raise Exit(FAILED)


# -- finding the sub-command -------------------------------------------------------------------------------------------


def _expand(table: t.Any, word: str) -> str | None:
    if word in table:
        return word
    hits = [name for name in table if name.startswith(word) and not isinstance(table[name], str)]
    return hits[0] if len(hits) == 1 else None


def find(table: t.Any, words: Sequence[str], program: str) -> tuple[t.Any, str, list[str]]:
    """The command (or the table that is left), its full name, and the remaining words. None when it is unknown."""
    queue = list(words)
    name = program
    entry: t.Any = table
    while queue:
        known = _expand(entry, queue[0])
        if known is not None and isinstance(entry[known], str):
            queue[:1] = entry[known].split()
            continue
        name += f" {known or queue[0]}"
        queue.pop(0)
        if known is None:
            return None, name, queue
        entry = entry[known]
        if isinstance(entry, Command):
            return entry, name, queue
    return entry, name, queue


def listing(table: t.Any, program: str) -> str:
    """All usage lines, grouped as PVE groups them."""

    def order(name: str) -> tuple[int, str, str]:
        entry = table[name]
        return (1, entry.group, name) if isinstance(entry, Command) else (0, "", name)

    lines: list[str] = []
    previous: str | None = None
    for name in sorted((name for name in table if not isinstance(table[name], str)), key=order):
        entry = table[name]
        if not isinstance(entry, Command):
            for inner in sorted(entry, key=lambda inner: (entry[inner].group, inner)):
                lines.append(f"       {entry[inner].usage(f'{program} {name} {inner}')}")
            lines.append("")
            continue
        if previous not in (None, entry.group):
            lines.append("")
        lines.append(f"       {entry.usage(f'{program} {name}')}")
        previous = entry.group
    return "".join(f"{line}\n" for line in lines)


def _abort(session: Session, reason: str, table: t.Any, program: str) -> int:
    session.err.write(f"ERROR: {reason}\nUSAGE: {program} <COMMAND> [ARGS] [OPTIONS]\n\n{listing(table, program)}")
    return FAILED


# -- running -----------------------------------------------------------------------------------------------------------


def execute(session: Session, program: str, table: t.Any, words: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    if isinstance(table, Command):
        return _execute_simple(session, table, program, words)
    table = {**table, "help": _help_command(program, table)}
    if not words:
        return _abort(session, "no command specified", table, program)
    command, name, rest = find(table, words, program)
    if command is None:
        return _abort(session, f"unknown command '{name}'", table, program)
    if not isinstance(command, Command):
        return _abort(session, f"incomplete command '{name}'", command, name)
    try:
        run(session, command, name, rest)
    except Exit as leave:
        return leave.code
    return 0


def _execute_simple(session: Session, command: Command, program: str, words: Sequence[str]) -> int:
    """A program without sub-commands."""
    try:
        run(session, command, program, words)
    except Exit as leave:
        return leave.code
    return 0


def run(session: Session, command: Command, name: str, words: Sequence[str]) -> None:
    """Parse a command's own words and run it; a parameter error gets the usage line."""
    try:
        params = parse(session, command, words)
        result = call(session, command, params)
    except ApiError as error:
        if max(error.command_text) > "\xff":  # what does not fit into Latin-1, Perl prints with a word of its own
            session.err.write("Wide character in die at /usr/share/perl5/PVE/RESTHandler.pm line 1024.\n")
        session.err.write(error.command_text)
        if error.status == 400:
            session.err.write(command.usage(name) + "\n")
        raise Exit(error.exit_code) from error
    if command.show is not None:
        command.show(session, result)


def parse(session: Session, command: Command, words: Sequence[str]) -> Params:
    """The parameters of a command line."""
    if command.raw:
        return {"words": list(words)}
    visible = {key: schema for key, schema in command.properties.items() if key not in command.hidden}
    ask = dict.fromkeys(command.passwords, functools.partial(_password, session))
    params = argv.parse(words, visible, command.arguments, ask, session.err.write)
    for option in command.files:
        if option in params:
            params[option] = _contents(str(params[option]))
    return {**params, **command.fixed}


def call(session: Session, command: Command, params: Params) -> t.Any:
    """Run a command whose parameters are known."""
    if command.path:
        template = command.path
        node = {"node": session.state.name} if "node" in command.properties else {}
        return routes.run(session, command.method, template, {**params, **node})
    checked, errors = (params, {}) if command.raw else validation.check({"properties": command.own}, params)
    if errors:
        raise ApiError(INVALID, 400, errors)
    return t.cast("Callable[[Session, Params], t.Any]", command.run)(session, checked)


def _password(session: Session, given: str) -> str:
    """A password option without a value asks twice."""
    if given:
        return given
    first, second = (_ask(session, prompt) for prompt in ("Enter new password: ", "Retype new password: "))
    if first != second:
        raise ApiError("Passwords do not match.")
    return first


def _ask(session: Session, prompt: str) -> str:
    """A line of stdin; a terminal is prompted."""
    if session.stdin.isatty():
        session.err.write(prompt)
    line = session.stdin.readline()
    if session.stdin.isatty():
        session.err.write("\n")
    if not line.endswith(b"\n"):
        raise ApiError("EOF while reading password")
    return line.decode().rstrip("\n")


def _contents(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise no_such_file(f"can't open '{name}' - {error.strerror}") from error


def _help_command(program: str, table: t.Any) -> Command:
    def show(session: Session, params: Params) -> None:
        words = params.get("extra-args") or []
        everything = {**table, "help": _help_command(program, table)}
        if not words:
            session.out.write(f"USAGE: {program} <COMMAND> [ARGS] [OPTIONS]\n\n{listing(everything, program)}")
            return
        found, name, _rest = find(everything, words, program)
        if found is None:
            raise Exit(_abort(session, f"unknown command '{words[0]}'", everything, program))
        if isinstance(found, Command):
            session.out.write(f"USAGE: {found.usage(name)}\n\n")
        else:
            session.out.write("USAGE: " + listing(found, name).lstrip() + "\n")

    extra = {"extra-args": {"type": "array", "optional": 1}, "verbose": FLAG}
    return Command(("extra-args",), own=extra, run=show, group="PVE::CLIHandler")
