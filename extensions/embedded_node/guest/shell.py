# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small POSIX shell for a scripted guest: the grammar that OpenWrt's scripts and seeds are written in.

A real shell cannot be used: it would see this machine's files, and changing the root needs a privilege. Here every
path goes through the guest's own tree, and every command is looked up among the guest's commands. Lists, pipes,
redirections, here-documents, functions, ``if for while until case``, subshells, background jobs, and every expansion
but ``~``. A pipe's left side runs to its end before the right side begins.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import fnmatch
import io
import os
import re
import time
import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from ..state.rootfs import GuestFiles
    from .runtime import Completed

OPERATORS = ("<<-", "&&", "||", ";;", "<<", ">>", ">&", "<&", ">|", "<", ">", "&", "|", ";", "(", ")", "\n")
RESERVED_ENDS = frozenset({"then", "else", "elif", "fi", "do", "done", "esac", "}"})
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SPECIAL = "@*#?$!-0123456789"
#: Commands that read their standard input; others leave it to whoever comes after them in a loop.
READERS = frozenset(
    {
        *("ash", "awk", "cat", "cut", "grep", "gunzip", "gzip", "head", "hexdump", "jsonfilter", "logger", "md5sum"),
        *("passwd", "sed", "sh", "sha256sum", "sort", "sysupgrade", "tail", "tar", "tee", "tr", "uci", "uniq", "wc"),
        *("nft", "xargs", "zcat"),
    }
)


class ShellError(Exception):
    """The script cannot be understood, or an expansion refuses."""


class _Leave(Exception):
    """Leaving a loop, a function or the shell."""

    def __init__(self, kind: str, value: int) -> None:
        super().__init__(kind)
        self.kind, self.value = kind, value


class Host(t.Protocol):
    """The guest, as far as a shell needs it."""

    files: GuestFiles

    def run(
        self, argv: t.Sequence[str], stdin: bytes, place: str, environment: t.Mapping[str, str] | None = None
    ) -> Completed:
        """Run a command in a working directory; 127 when there is none."""

    def knows(self, name: str) -> bool:
        """Whether there is such a command."""

    def spawn(self, script: str, memory: dict[str, t.Any]) -> int:
        """Run a script in the background; answers its process id."""

    def alive(self) -> bool:
        """Whether the guest still runs."""


# -- what a script is --------------------------------------------------------------------------------------------------
@dataclass
class Redirect:
    """``fd`` operator ``word``; of a here-document ``word`` is the body, ``literal`` that its end was quoted."""

    fd: int
    operator: str
    word: str
    literal: bool = False


@dataclass
class Node:
    """One piece of a script. ``kind`` names the method that runs it; ``source`` is its text."""

    kind: str
    parts: list[t.Any] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
    source: str = ""


@dataclass
class _Token:
    kind: str  # word, op, end
    text: str
    start: int
    end: int


class Parser:
    """Turns a script's text into nodes."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._pending: list[Redirect] = []
        self._token = self._lex()

    def parse(self) -> Node:
        """The whole script."""
        node = self._list(frozenset())
        if self._token.kind != "end":
            raise ShellError(f'syntax error: unexpected "{self._token.text}"')
        return node

    # -- words ---------------------------------------------------------------------------------------------------------
    def _lex(self) -> _Token:
        text = self._text
        while self._at < len(text):
            if text[self._at] in " \t":
                self._at += 1
            elif text.startswith("\\\n", self._at):
                self._at += 2
            elif text[self._at] == "#":
                self._at = (text.find("\n", self._at) + len(text) + 1) % (len(text) + 1)
            else:
                break
        start = self._at
        if start >= len(text):
            return _Token("end", "end of file", start, start)
        for operator in OPERATORS:
            if text.startswith(operator, start):
                self._at += len(operator)
                if operator == "\n":
                    self._here_documents()
                return _Token("op", operator, start, start + len(operator))
        self._at = word_end(text, start)
        return _Token("word", text[start : self._at], start, self._at)

    def _here_documents(self) -> None:
        for redirect in self._pending:
            end, strip = unquote(redirect.word), redirect.operator == "<<-"
            redirect.literal = end != redirect.word
            lines: list[str] = []
            while self._at < len(self._text):
                line_end = self._text.find("\n", self._at)
                line_end = len(self._text) if line_end < 0 else line_end
                line = self._text[self._at : line_end]
                self._at = min(line_end + 1, len(self._text))
                line = line.lstrip("\t") if strip else line
                if line == end:
                    break
                lines.append(line + "\n")
            redirect.word = "".join(lines)
        self._pending = []

    def _next(self) -> _Token:
        token = self._token
        self._last_end = token.end
        self._token = self._lex()
        return token

    def _is(self, *texts: str) -> bool:
        return self._token.kind != "end" and self._token.text in texts

    def _take(self, text: str) -> None:
        if not self._is(text):
            raise ShellError(f'syntax error: unexpected "{self._token.text}" (expecting "{text}")')
        self._next()

    def _newlines(self) -> None:
        while self._is("\n"):
            self._next()

    # -- grammar -------------------------------------------------------------------------------------------------------
    def _list(self, ends: frozenset[str]) -> Node:
        items: list[Node] = []
        while True:
            while self._is("\n", ";"):
                self._next()
            if self._token.kind == "end" or self._token.text in ends or self._is(")", ";;"):
                return Node("list", items)
            start = self._token.start
            node = self._and_or()
            if self._is("&"):
                node = Node("background", [node], source=self._text[start : self._token.start])
                self._next()
            elif not self._is(";", "\n", ")", ";;") and self._token.kind != "end":
                raise ShellError(f'syntax error: unexpected "{self._token.text}"')
            items.append(node)

    def _and_or(self) -> Node:
        node = self._pipeline()
        while self._is("&&", "||"):
            kind = "and" if self._next().text == "&&" else "or"
            self._newlines()
            node = Node(kind, [node, self._pipeline()])
        return node

    def _pipeline(self) -> Node:
        negate = self._is("!")
        if negate:
            self._next()
        commands = [self._command()]
        while self._is("|"):
            self._next()
            self._newlines()
            commands.append(self._command())
        node = commands[0] if len(commands) == 1 else Node("pipe", commands)
        return Node("not", [node]) if negate else node

    def _command(self) -> Node:
        text = self._token.text
        compound = {
            "(": self._subshell,
            "{": self._group,
            "if": self._if,
            "while": self._while,
            "until": self._while,
            "for": self._for,
            "case": self._case,
        }.get(text if self._token.kind != "end" else "")
        if compound:
            start = self._token.start
            node = compound()
            while self._redirect(node):
                pass
            node.source = self._text[start : self._last_end]
            return node
        return self._simple()

    def _subshell(self) -> Node:
        self._next()
        body = self._list(frozenset())
        self._take(")")
        return Node("subshell", [body])

    def _group(self) -> Node:
        self._next()
        body = self._list(frozenset({"}"}))
        self._take("}")
        return Node("group", [body])

    def _if(self) -> Node:
        branches: list[tuple[Node | None, Node]] = []
        self._next()
        condition: Node | None = self._list(frozenset({"then"}))
        while True:
            if condition is not None:
                self._take("then")
            body = self._list(frozenset({"elif", "else", "fi"}))
            branches.append((condition, body))
            if self._is("fi"):
                self._next()
                return Node("if", branches)
            if not self._is("elif", "else"):
                self._take("fi")
            last = self._next().text == "else"
            condition = None if last else self._list(frozenset({"then"}))

    def _while(self) -> Node:
        until = self._next().text == "until"
        condition = self._list(frozenset({"do"}))
        return Node("while", [condition, self._body(), until])

    def _body(self) -> Node:
        self._newlines()
        if self._is(";"):
            self._next()
            self._newlines()
        self._take("do")
        body = self._list(frozenset({"done"}))
        self._take("done")
        return body

    def _for(self) -> Node:
        self._next()
        name = self._next().text
        words = ['"$@"']
        self._newlines()
        if self._is("in"):
            self._next()
            words = []
            while self._token.kind == "word":
                words.append(self._next().text)
        return Node("for", [name, words, self._body()])

    def _case(self) -> Node:
        self._next()
        word = self._next().text
        self._newlines()
        self._take("in")
        arms: list[tuple[list[str], Node]] = []
        self._newlines()
        while not self._is("esac"):
            if self._is("("):
                self._next()
            patterns = [self._next().text]
            while self._is("|"):
                self._next()
                patterns.append(self._next().text)
            self._take(")")
            arms.append((patterns, self._list(frozenset({"esac"}))))
            if self._is(";;"):
                self._next()
            self._newlines()
        self._next()
        return Node("case", [word, arms])

    def _simple(self) -> Node:
        start = self._token.start
        node = Node("simple")
        while True:
            if self._redirect(node):
                continue
            if self._token.kind != "word" or (not node.parts and self._token.text in RESERVED_ENDS):
                break
            node.parts.append(self._next().text)
            if self._is("(") and len(node.parts) == 1 and NAME.fullmatch(node.parts[0].replace("-", "_")):
                self._next()
                self._take(")")
                self._newlines()
                return Node("function", [node.parts[0], self._command()])
        if not node.parts and not node.redirects:
            raise ShellError(f'syntax error: unexpected "{self._token.text}"')
        node.source = self._text[start : self._last_end]
        return node

    def _redirect(self, node: Node) -> bool:
        fd = -1
        follows = self._text[self._token.end : self._token.end + 1]
        if self._token.kind == "word" and self._token.text.isdigit() and follows and follows in "<>":
            fd = int(self._next().text)
        if self._token.kind != "op" or self._token.text[0] not in "<>":
            return False
        operator = self._next().text
        redirect = Redirect(fd if fd >= 0 else int(operator[0] == ">"), operator, "")
        redirect.word = self._token.text
        if operator in ("<<", "<<-"):
            self._pending.append(redirect)
        self._next()
        node.redirects.append(redirect)
        return True


def word_end(text: str, at: int) -> int:
    """Where the word that begins at ``at`` ends."""
    while at < len(text) and text[at] not in " \t\n;&|<>()":
        at = _piece_end(text, at)
    return at


def _piece_end(text: str, at: int) -> int:
    """The end of one character, quoted part or substitution."""
    char = text[at]
    if char == "\\":
        return at + 2
    if char == "'":
        end = text.find("'", at + 1)
    elif char == '"':
        end = at + 1
        while end < len(text) and text[end] != '"':
            end = _piece_end(text, end) if text[end] in "\\$`" else end + 1
        end = end if end < len(text) else -1
    elif char == "`":
        end = at + 1
        while end < len(text) and text[end] != "`":
            end += 2 if text[end] == "\\" else 1
        end = end if end < len(text) else -1
    elif text.startswith("$(", at):
        return _closing(text, at + 2, ")")
    elif text.startswith("${", at):
        return _closing(text, at + 2, "}")
    else:
        return at + 1
    if end < 0:
        raise ShellError("syntax error: unterminated quoted string")
    return end + 1


def _closing(text: str, at: int, end: str) -> int:
    """The place behind the bracket that closes a substitution."""
    depth = 0
    while at < len(text):
        if text[at] == end and depth == 0:
            return at + 1
        if end == ")" and text[at] in "()":
            depth += 1 if text[at] == "(" else -1
            at += 1
        else:
            at = _piece_end(text, at)
    raise ShellError(f'syntax error: unexpected end of file (expecting "{end}")')


def unquote(word: str) -> str:
    """A word without its quotes."""
    return re.sub(r"\\(.)|'([^']*)'|\"([^\"]*)\"", lambda m: m[1] or m[2] or m[3] or "", word)


# -- streams -----------------------------------------------------------------------------------------------------------
class Output:
    """Collects what is written."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def write(self, text: str) -> None:
        """Add text."""
        self._parts.append(text)

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._parts)


class _File(Output):
    """Writes through to a file of the guest."""

    def __init__(self, path: t.Any, mode: str) -> None:
        super().__init__()
        self._path = path
        with path.open(mode, encoding="utf-8", errors="surrogateescape"):
            pass

    def write(self, text: str) -> None:
        with self._path.open("a", encoding="utf-8", errors="surrogateescape") as out:
            out.write(text)


@dataclass
class Streams:
    """Standard input, output and error."""

    stdin: io.StringIO
    out: Output
    err: Output


# -- running -----------------------------------------------------------------------------------------------------------
class Shell:
    """A shell in a guest. ``name`` is what it calls itself in messages."""

    def __init__(self, host: Host, name: str = "ash", arguments: t.Sequence[str] = ()) -> None:
        self.host, self.name = host, name
        self.variables: dict[str, str] = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "PWD": "/",
            "IFS": " \t\n",
        }
        self.arguments = list(arguments)
        self.functions: dict[str, Node] = {}
        self.exported: set[str] = {"PATH", "HOME"}
        self.status = 0
        self.last_job = 0
        self.stop_on_error = False
        self._quiet = 0  # > 0: within a condition, where a failure stops nothing
        self.streams = Streams(io.StringIO(), Output(), Output())

    # -- use -----------------------------------------------------------------------------------------------------------
    def run(self, text: str, stdin: str = "") -> tuple[int, str, str]:
        """Run a script: exit code, stdout, stderr."""
        self.streams = Streams(io.StringIO(stdin), Output(), Output())
        try:
            self._run(Parser(text).parse())
        except ShellError as error:
            self.streams.err.write(f"{self.name}: {error}\n")
            self.status = 2
        except _Leave as leave:
            self.status = leave.value if leave.kind in ("exit", "return") else self.status
        return self.status & 0xFF, self.streams.out.text, self.streams.err.text

    def memory(self) -> dict[str, t.Any]:
        """What a background job starts with."""
        functions = {name: node.source for name, node in self.functions.items()}
        return {"variables": self.variables, "arguments": self.arguments, "functions": functions, "name": self.name}

    def remember(self, memory: dict[str, t.Any]) -> None:
        """Start with what :meth:`memory` told."""
        self.variables, self.arguments = dict(memory["variables"]), list(memory["arguments"])
        for source in memory["functions"].values():
            self._run(Parser(source).parse())

    def path(self, name: str) -> str:
        """A path of the guest, seen from the working directory."""
        return os.path.normpath(os.path.join(self.variables.get("PWD", "/"), name))

    # -- nodes ---------------------------------------------------------------------------------------------------------
    def _run(self, node: Node) -> int:
        if not node.redirects or node.kind == "simple":
            self.status = getattr(self, f"_run_{node.kind}")(node)
        else:
            with self._redirected(node.redirects) as opened:
                self.status = getattr(self, f"_run_{node.kind}")(node) if opened else 1
        if self.status and self.stop_on_error and not self._quiet and node.kind in ("simple", "pipe", "subshell"):
            raise _Leave("exit", self.status)
        return self.status

    def _condition(self, node: Node) -> bool:
        self._quiet += 1
        try:
            return self._run(node) == 0
        finally:
            self._quiet -= 1

    def _run_list(self, node: Node) -> int:
        status = 0
        for item in node.parts:
            status = self._run(item)
        return status

    _run_group = _run_list

    def _run_and(self, node: Node) -> int:
        return self._run(node.parts[1]) if self._condition(node.parts[0]) else self.status

    def _run_or(self, node: Node) -> int:
        return self.status if self._condition(node.parts[0]) else self._run(node.parts[1])

    def _run_not(self, node: Node) -> int:
        return int(self._condition(node.parts[0]))

    def _run_pipe(self, node: Node) -> int:
        streams, status = self.streams, 0
        stdin = streams.stdin
        for number, part in enumerate(node.parts):
            last = number == len(node.parts) - 1
            out = streams.out if last else Output()
            status = self._in_subshell(part, Streams(stdin, out, streams.err))
            stdin = io.StringIO(out.text if not last else "")
        return status

    def _run_subshell(self, node: Node) -> int:
        return self._in_subshell(node.parts[0], self.streams)

    def _in_subshell(self, node: Node, streams: Streams) -> int:
        shell = copy.copy(self)
        shell.variables, shell.functions = dict(self.variables), dict(self.functions)
        shell.arguments, shell.exported = list(self.arguments), set(self.exported)
        shell.streams = streams
        try:
            return shell._run(node)
        except _Leave as leave:
            return leave.value if leave.kind in ("exit", "return") else 0

    def _run_background(self, node: Node) -> int:
        self.last_job = self.host.spawn(node.source, self.memory())
        return 0

    def _run_if(self, node: Node) -> int:
        for condition, body in node.parts:
            if condition is None or self._condition(condition):
                return self._run(body)
        return 0

    def _run_while(self, node: Node) -> int:
        condition, body, until = node.parts
        status = 0
        while self._condition(condition) != until:
            try:
                status = self._run(body)
            except _Leave as leave:
                if self._leave_loop(leave):
                    break
        return status

    def _run_for(self, node: Node) -> int:
        name, words, body = node.parts
        status = 0
        for value in [field_ for word in words for field_ in self.expand(word)]:
            self.variables[name] = value
            try:
                status = self._run(body)
            except _Leave as leave:
                if self._leave_loop(leave):
                    break
        return status

    @staticmethod
    def _leave_loop(leave: _Leave) -> bool:
        """Whether a loop ends; a jump that concerns an outer loop or more goes on."""
        if leave.kind not in ("break", "continue"):
            raise leave
        if leave.value > 1:
            raise _Leave(leave.kind, leave.value - 1)
        return leave.kind == "break"

    def _run_case(self, node: Node) -> int:
        word, arms = node.parts
        value = self.text(word)
        for patterns, body in arms:
            if any(re.fullmatch(self.pattern(pattern), value, re.DOTALL) for pattern in patterns):
                return self._run(body)
        return 0

    def _run_function(self, node: Node) -> int:
        name, body = node.parts
        self.functions[name] = Node("function", [name, body], source=f"{name}() {body.source}")
        return 0

    def _run_simple(self, node: Node) -> int:
        words = list(node.parts)
        assignments: dict[str, str] = {}
        while words and (match := re.match(r"([A-Za-z_]\w*)=", words[0])):
            assignments[match[1]] = self.text(words.pop(0)[match.end() :])
            self.status = 0 if "$(" not in node.source and "`" not in node.source else self.status
        argv = [field_ for word in words for field_ in self.expand(word)]
        if argv[:1] == ["exec"]:
            return self._exec(argv[1:], node.redirects)
        with self._redirected(node.redirects) as opened:
            if not opened:
                return 1
            if not argv:
                self.variables.update(assignments)
                return self.status if not words and assignments else 0
            if argv[0] in self.functions or argv[0] in BUILTINS:
                self.variables.update(assignments)
                return self._call(argv)
            return self._external(argv, assignments)

    def _exec(self, argv: list[str], redirects: list[Redirect]) -> int:
        kept = contextlib.ExitStack()
        opened = kept.enter_context(self._redirected(redirects))
        if not argv:
            kept.pop_all()
            return 0 if opened else 1
        raise _Leave("exit", self._external(argv))

    def _call(self, argv: list[str]) -> int:
        function = self.functions.get(argv[0])
        if function is None:
            return int(BUILTINS[argv[0]](self, argv))
        outer, self.arguments = self.arguments, argv[1:]
        local = self.variables.setdefault("\0local", "")
        saved = dict(self.variables)
        self.variables["\0local"] = ""
        try:
            return self._run(function.parts[1])
        except _Leave as leave:
            if leave.kind != "return":
                raise
            return leave.value
        finally:
            for name in self.variables["\0local"].split():
                self.variables.pop(name, None)
                if name in saved:
                    self.variables[name] = saved[name]
            self.arguments = outer
            self.variables["\0local"] = local

    def _external(self, argv: list[str], assignments: t.Mapping[str, str] | None = None) -> int:
        name = os.path.basename(argv[0])
        if name == "sleep":
            return self._sleep(argv)
        if not self.host.knows(argv[0]):
            self.streams.err.write(f"{self.name}: {argv[0]}: not found\n")
            return 127
        reads = name in READERS and (name != "uci" or {"batch", "import"} & set(argv))
        stdin = self.streams.stdin.read() if reads else ""
        exported = {name: self.variables[name] for name in self.exported if name in self.variables}
        environment = {**exported, **(assignments or {})}
        done = self.host.run(argv, stdin.encode("utf-8", "surrogateescape"), self.variables["PWD"], environment)
        self.streams.out.write(done.stdout.decode("utf-8", "surrogateescape"))
        self.streams.err.write(done.stderr.decode("utf-8", "surrogateescape"))
        return done.rc

    def _sleep(self, argv: list[str]) -> int:
        if len(argv) < 2 or not re.fullmatch(r"\d+[smhd]?", argv[1]):
            wrong = f"sleep: invalid number '{argv[1]}'\n" if len(argv) > 1 else "BusyBox: sleep: missing operand\n"
            self.streams.err.write(wrong)
            return 1
        unit = {"m": 60, "h": 3600, "d": 86400}.get(argv[1][-1], 1)
        until = time.monotonic() + int(argv[1].rstrip("smhd")) * unit
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
            if not self.host.alive():
                raise _Leave("exit", 143)
        return 0

    # -- redirections --------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def _redirected(self, redirects: list[Redirect]) -> t.Iterator[bool]:
        before = self.streams
        self.streams = Streams(before.stdin, before.out, before.err)
        try:
            yield all(self._open(redirect) for redirect in redirects)
        finally:
            self.streams = before

    def _open(self, redirect: Redirect) -> bool:
        streams = self.streams
        if redirect.operator.startswith("<<"):
            body = redirect.word if redirect.literal else self.text(redirect.word, in_document=True)
            streams.stdin = io.StringIO(body)
            return True
        target = self.text(redirect.word)
        if redirect.operator in (">&", "<&"):
            source: Output = {"1": streams.out, "2": streams.err}.get(target, Output())
        elif redirect.operator == "<":
            path = self.host.files.resolve(self.path(target))
            if target != "/dev/null" and not path.is_file():
                streams.err.write(f"{self.name}: can't open {target}: no such file\n")
                return False
            data = b"" if target == "/dev/null" else path.read_bytes()  # as it is, carriage returns and all
            text = data.decode("utf-8", "surrogateescape")
            streams.stdin = io.StringIO(text)
            return True
        elif target in DEVICES:
            source = {"/dev/stdout": streams.out, "/dev/stderr": streams.err}.get(target, Output())
        else:
            path = self.host.files.resolve(self.path(target))
            if not path.parent.is_dir() or path.is_dir():
                reason = "Is a directory" if path.is_dir() else "nonexistent directory"
                streams.err.write(f"{self.name}: can't create {target}: {reason}\n")
                return False
            source = _File(path, "a" if redirect.operator == ">>" else "w")
        if redirect.fd == 2:
            streams.err = source
        elif redirect.fd == 1:
            streams.out = source
        return True

    # -- expansion -----------------------------------------------------------------------------------------------------
    def expand(self, word: str) -> list[str]:
        """The fields that a word becomes: substitutions made, split, names matched."""
        fields: list[list[tuple[str, bool]]] = []
        current: list[tuple[str, bool]] | None = None
        for text, quoted, split in self._pieces(word):
            if text is None:  # "$@" begins a new field
                fields += [current] if current is not None else []
                current = None
            elif not split:
                current = [*(current or []), (text, quoted)]
            else:
                parts = re.split(f"[{re.escape(self.variables.get('IFS', ' '))}]+", text) if text else []
                for number, part in enumerate(parts):
                    if number:
                        fields += [current] if current else []
                        current = None
                    if part:
                        current = [*(current or []), (part, False)]
        fields += [current] if current is not None else []
        return [name for parts in fields for name in self._matching(parts)]

    def text(self, word: str, *, in_document: bool = False) -> str:
        """A word as one text: substitutions made, nothing split."""
        pieces = self._pieces(word, quoted=in_document, quotes=not in_document)
        return "".join(" " if text is None else text for text, _other, _other in pieces)

    def pattern(self, word: str) -> str:
        """A word as a regular expression, for ``case`` and ``${name#...}``."""
        parts = [re.escape(text) if quoted else _wildcards(text) for text, quoted, _other in self._pieces(word) if text]
        return "".join(parts)

    def _matching(self, parts: list[tuple[str, bool]]) -> list[str]:
        plain = "".join(text for text, _other in parts)
        if not any(not quoted and re.search(r"[*?\[]", text) for text, quoted in parts):
            return [plain]
        wanted = re.compile("".join(re.escape(text) if quoted else _wildcards(text, "[^/]") for text, quoted in parts))
        folder, _other, _other = re.split(r"[*?\[]", plain, maxsplit=1)[0].rpartition("/")
        root = self.host.files.resolve(self.path(folder or ("/" if plain.startswith("/") else ".")))
        depth = plain.count("/") - folder.count("/")
        prefix = f"{folder}/" if "/" in plain and (folder or plain.startswith("/")) else ""
        paths = root.glob("/".join(["*"] * max(depth, 1))) if root.is_dir() else []
        names = [prefix + str(path.relative_to(root)) for path in paths]
        visible = [name for name in names if not os.path.basename(name).startswith(".") and wanted.fullmatch(name)]
        return sorted(visible) or [plain]

    def _pieces(
        self, word: str, *, quoted: bool = False, quotes: bool = True
    ) -> t.Iterator[tuple[str | None, bool, bool]]:
        """(text, quoted, to be split) for each part of a word; text None separates the fields of ``"$@"``."""
        at = 0
        while at < len(word):
            char = word[at]
            end = _piece_end(word, at) if quotes or char in "\\$`" else at + 1
            piece = word[at:end]
            if char == "'" and quotes:
                yield piece[1:-1], True, False
            elif char == '"' and quotes:
                yield "", True, False
                yield from self._pieces(piece[1:-1], quoted=True, quotes=False)
            elif char == "\\":
                kept = quoted and piece[1:] not in ("$", "`", '"', "\\", "\n")
                yield (piece if kept else "" if piece[1:] == "\n" else piece[1:]), True, False
            elif char == "`":
                yield self._output(re.sub(r"\\([$`\\])", r"\1", piece[1:-1])), quoted, not quoted
            elif char == "$":
                piece, end = self._dollar_end(word, at)
                yield from self._dollar(piece, quoted)
            else:
                match = re.compile(r"[^'\"\\`$]+" if quotes else r"[^\\`$]+").match(word, at)
                piece = match[0] if match else char
                end = at + len(piece)
                yield piece, quoted, False
            at = end

    @staticmethod
    def _dollar_end(word: str, at: int) -> tuple[str, int]:
        if word[at + 1 : at + 2] in ("(", "{"):
            end = _piece_end(word, at)
        else:
            match = NAME.match(word, at + 1)
            end = match.end() if match else at + (2 if word[at + 1 : at + 2] in tuple(SPECIAL) else 1)
        return word[at:end], end

    def _dollar(self, piece: str, quoted: bool) -> t.Iterator[tuple[str | None, bool, bool]]:
        if piece == "$":
            yield "$", quoted, False
        elif piece in ("$@", "${@}") and quoted:
            for number, argument in enumerate(self.arguments):
                if number:
                    yield None, True, False
                yield argument, True, False
        elif piece.startswith("$(("):
            yield str(self._arithmetic(piece[3:-2])), quoted, False
        elif piece.startswith("$("):
            yield self._output(piece[2:-1]), quoted, not quoted
        else:
            yield self._parameter(piece[2:-1] if piece.startswith("${") else piece[1:]), quoted, not quoted

    def _output(self, script: str) -> str:
        out = Output()
        self.status = self._in_subshell(Parser(script).parse(), Streams(self.streams.stdin, out, self.streams.err))
        return out.text.rstrip("\n")

    def _value(self, name: str) -> str | None:
        if name.isdigit():
            number = int(name)
            return self.name if number == 0 else (self.arguments[number - 1] if number <= len(self.arguments) else None)
        special = {
            "@": " ".join(self.arguments),
            "*": " ".join(self.arguments),
            "#": str(len(self.arguments)),
            "?": str(self.status),
            "$": str(os.getpid()),
            "!": str(self.last_job or ""),
            "-": "",
        }
        return special.get(name, self.variables.get(name))

    def _parameter(self, text: str) -> str:
        if text.startswith("#") and len(text) > 1:
            return str(len(self._value(text[1:]) or ""))
        match = re.match(r"([A-Za-z_]\w*|\d+|[@*#?$!-])", text)
        if match is None:
            raise ShellError("syntax error: bad substitution")
        name, rest = match[1], text[match.end() :]
        value = self._value(name)
        if not rest:
            return value or ""
        empty = value is None or (rest.startswith(":") and not value)
        operator, word = (rest[1:2], rest[2:]) if rest.startswith(":") else (rest[:1], rest[1:])
        if operator in ("-", "=", "+", "?"):
            return self._default(name, operator, word, value, empty)
        if rest.startswith(":"):
            first, _other, length = rest[1:].partition(":")
            start = self._arithmetic(self.text(first))
            return (value or "")[start:][: self._arithmetic(self.text(length)) if length else None]
        if operator in ("#", "%"):
            longest = word.startswith(operator)
            return self._trimmed(value or "", self.pattern(word[longest:]), operator == "#", longest)
        if operator == "/":
            every = word.startswith("/")
            old, _other, new = word[every:].partition("/")
            return re.sub(self.pattern(old), lambda _match: self.text(new), value or "", count=0 if every else 1)
        raise ShellError("syntax error: bad substitution")

    def _default(self, name: str, operator: str, word: str, value: str | None, empty: bool) -> str:
        if operator == "+":
            return "" if empty else self.text(word)
        if not empty:
            return value or ""
        if operator == "?":
            self.streams.err.write(f"{self.name}: {name}: {self.text(word) or 'parameter not set'}\n")
            raise _Leave("exit", 2)
        if operator == "=":
            self.variables[name] = self.text(word)
        return self.text(word)

    @staticmethod
    def _trimmed(value: str, pattern: str, front: bool, longest: bool) -> str:
        cuts = range(len(value) + 1)
        for cut in cuts if front != longest else reversed(cuts):
            part = value[:cut] if front else value[cut:]
            if re.fullmatch(pattern, part, re.DOTALL):
                return value[cut:] if front else value[:cut]
        return value

    def _arithmetic(self, text: str) -> int:
        text = self.text(text, in_document=True).strip() or "0"
        text = re.sub(r"\b0([xX][\da-fA-F]+|[0-7]+)\b", lambda m: str(int(m[0], 16 if m[1][0] in "xX" else 8)), text)
        text = NAME.sub(lambda m: str(int(self.variables.get(m[0]) or 0)), text)
        for old, new in (("&&", " and "), ("||", " or "), ("/", "//")):
            text = text.replace(old, new)
        text = re.sub(r"!(?!=)", " not ", text)
        try:
            return int(_evaluate(ast.parse(text.strip(), mode="eval").body))
        except (SyntaxError, ValueError, ZeroDivisionError, KeyError) as error:
            raise ShellError(f"arithmetic syntax error: {error}") from error


_BINARY: dict[type[ast.AST], t.Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: int(a / b),
    ast.Mod: lambda a, b: a - int(a / b) * b,
    ast.LShift: lambda a, b: a << b,
    ast.RShift: lambda a, b: a >> b,
    ast.BitAnd: lambda a, b: a & b,
    ast.BitOr: lambda a, b: a | b,
    ast.BitXor: lambda a, b: a ^ b,
    ast.Lt: lambda a, b: int(a < b),
    ast.LtE: lambda a, b: int(a <= b),
    ast.Gt: lambda a, b: int(a > b),
    ast.GtE: lambda a, b: int(a >= b),
    ast.Eq: lambda a, b: int(a == b),
    ast.NotEq: lambda a, b: int(a != b),
}


def _evaluate(node: ast.AST) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.UnaryOp):
        value = _evaluate(node.operand)
        return int(not value) if isinstance(node.op, ast.Not) else -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](_evaluate(node.left), _evaluate(node.right))
    if isinstance(node, ast.Compare):
        return _BINARY[type(node.ops[0])](_evaluate(node.left), _evaluate(node.comparators[0]))
    if isinstance(node, ast.BoolOp):
        values = [bool(_evaluate(value)) for value in node.values]
        return int(all(values) if isinstance(node.op, ast.And) else any(values))
    raise ValueError("not a number")


def _wildcards(text: str, any_char: str = ".") -> str:
    """A shell pattern as a regular expression."""
    body = fnmatch.translate(text)[4:-3]  # without (?s: and )\Z
    return body.replace(".*", f"{any_char}*") if any_char != "." else body


DEVICES = ("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/console", "/dev/kmsg", "/dev/tty", "/dev/tty1")


# -- builtins ----------------------------------------------------------------------------------------------------------
def _echo(shell: Shell, argv: list[str]) -> int:
    words, newline, escapes = argv[1:], "\n", False
    while words and re.fullmatch(r"-[neE]+", words[0]):
        newline = "" if "n" in words[0] else newline
        escapes = "e" in words.pop(0) or escapes
    text = " ".join(words)
    shell.streams.out.write((_unescape(text) if escapes else text) + newline)
    return 0


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "a": "\a", "b": "\b", "f": "\f", "v": "\v", '"': '"', "'": "'"}


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] == "x":
            return chr(int(code[1:], 16))
        return chr(int(code, 8)) if code[0].isdigit() else _ESCAPES.get(code, match[0])

    return re.sub(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", one, text)


def _printf(shell: Shell, argv: list[str]) -> int:
    words = argv[2:] if argv[1:2] == ["--"] else argv[1:]
    if not words:
        shell.streams.err.write("printf: usage: printf format [arguments]\n")
        return 2
    form, values = _unescape(words[0]), words[1:]
    while True:
        shown, left = _filled(form, values)
        shell.streams.out.write(shown)
        if not left or left == values:
            return 0
        values = left


def _filled(form: str, values: list[str]) -> tuple[str, list[str]]:
    """A printf format with its holes filled, and the values that are left over."""
    left = list(values)

    def fill(match: re.Match[str]) -> str:
        flags, kind = match[1], match[2]
        if kind == "%":
            return "%"
        value = left.pop(0) if left else ""
        if kind in "sbq":
            return f"%{flags}s" % (_unescape(value) if kind == "b" else value)
        if kind == "c":
            return value[:1]
        digits = re.match(r"\s*([-+]?)(0[xX][\da-fA-F]+|\d*)", value)
        number = int(digits[1] + digits[2], 16 if "x" in digits[2].lower() else 10) if digits and digits[2] else 0
        return f"%{flags}{'d' if kind in 'iu' else kind}" % number

    return re.sub(r"%([-0 +#]*\d*(?:\.\d+)?)([sdiuxXocbq%])", fill, form), left


def _test(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    if argv[0] == "[" and (not words or words.pop() != "]"):
        shell.streams.err.write(f"{shell.name}: missing ]\n")
        return 2
    try:
        return int(not _holds(shell, words))
    except ValueError as error:
        shell.streams.err.write(f"{shell.name}: {error}\n")
        return 2


def _holds(shell: Shell, words: list[str]) -> bool:
    for joint, every in (("-o", False), ("-a", True)):
        if joint in words[1:-1] and len(words) > 3:
            at = words.index(joint, 1)
            left, right = _holds(shell, words[:at]), _holds(shell, words[at + 1 :])
            return (left and right) if every else (left or right)
    if words[:1] == ["!"]:
        return not _holds(shell, words[1:])
    if len(words) == 3:
        return _compare(words)
    if len(words) == 2:
        return _check(shell, words[0], words[1])
    return bool(words and words[0])


def _compare(words: list[str]) -> bool:
    left, operator, right = words
    if operator in ("=", "==", "!="):
        return (left == right) != (operator == "!=")
    if operator in ("<", ">"):
        return left < right if operator == "<" else left > right
    kinds = {"-eq": ast.Eq, "-ne": ast.NotEq, "-lt": ast.Lt, "-le": ast.LtE, "-gt": ast.Gt, "-ge": ast.GtE}
    if operator not in kinds:
        raise ValueError(f"{operator}: unknown operand")
    for value in (left, right):
        if not re.fullmatch(r"\s*[-+]?\d+\s*", value):
            raise ValueError(f"bad number: {value}")
    return bool(_BINARY[kinds[operator]](int(left), int(right)))


def _check(shell: Shell, operator: str, word: str) -> bool:
    if operator in ("-n", "-z"):
        return bool(word) == (operator == "-n")
    if operator == "-t":
        return False
    path = shell.host.files.resolve(shell.path(word), follow=operator not in ("-L", "-h"))
    checks: dict[str, t.Callable[[], bool]] = {
        "-e": path.exists,
        "-f": path.is_file,
        "-d": path.is_dir,
        "-L": path.is_symlink,
        "-h": path.is_symlink,
        "-r": path.exists,
        "-w": path.exists,
        "-x": lambda: path.is_dir() or (path.exists() and bool(path.stat().st_mode & 0o111)),
        "-s": lambda: path.exists() and path.stat().st_size > 0,
        "-b": path.is_block_device,
        "-c": path.is_char_device,
        "-p": path.is_fifo,
        "-S": path.is_socket,
    }
    if operator not in checks:
        raise ValueError(f"{operator}: unknown operand")
    return bool(word) and checks[operator]()


def _cd(shell: Shell, argv: list[str]) -> int:
    target = argv[1] if len(argv) > 1 else shell.variables["HOME"]
    target = shell.variables.get("OLDPWD", "/") if target == "-" else target
    path = shell.path(target)
    if not shell.host.files.resolve(path).is_dir():
        shell.streams.err.write(f"{shell.name}: cd: can't cd to {target}: No such file or directory\n")
        return 2
    shell.variables["OLDPWD"], shell.variables["PWD"] = shell.variables["PWD"], path
    return 0


def _pwd(shell: Shell, _argv: list[str]) -> int:
    shell.streams.out.write(f"{shell.variables['PWD']}\n")
    return 0


def _export(shell: Shell, argv: list[str]) -> int:
    for word in argv[1:]:
        name, sign, value = word.partition("=")
        if argv[0] == "local":
            shell.variables["\0local"] = f"{shell.variables.get(chr(0) + 'local', '')} {name}"
            shell.variables[name] = value
        elif sign:
            shell.variables[name] = value
        shell.exported.add(name)
    return 0


def _unset(shell: Shell, argv: list[str]) -> int:
    for name in argv[1:]:
        shell.variables.pop(name, None)
        shell.functions.pop(name, None)
    return 0


def _set(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    while words and re.fullmatch(r"[-+][a-zA-Z]+", words[0]):
        word = words.pop(0)
        if "e" in word:
            shell.stop_on_error = word[0] == "-"
        if "o" in word and words:
            words.pop(0)
    if words[:1] == ["--"]:
        shell.arguments = words[1:]
    elif words:
        shell.arguments = words
    return 0


def _shift(shell: Shell, argv: list[str]) -> int:
    count = int(argv[1]) if len(argv) > 1 else 1
    if count > len(shell.arguments):
        return 1
    del shell.arguments[:count]
    return 0


def _read(shell: Shell, argv: list[str]) -> int:
    raw = "-r" in argv
    names = [word for word in argv[1:] if not word.startswith("-")] or ["REPLY"]
    line = shell.streams.stdin.readline()
    text = line.rstrip("\n")
    while not raw and text.endswith("\\"):
        text = text[:-1] + shell.streams.stdin.readline().rstrip("\n")
    separators = shell.variables.get("IFS", " \t\n")
    blank = "".join(char for char in separators if char.isspace())
    words = (
        re.split(f"[{re.escape(separators)}]+", text.strip(blank), maxsplit=len(names) - 1) if separators else [text]
    )
    for number, name in enumerate(names):
        shell.variables[name] = words[number] if number < len(words) else ""
    return int(not line)


def _leave(shell: Shell, argv: list[str]) -> int:
    default = 1 if argv[0] in ("break", "continue") else shell.status
    raise _Leave(argv[0], int(argv[1]) if len(argv) > 1 and argv[1].lstrip("-").isdigit() else default)


def _eval(shell: Shell, argv: list[str]) -> int:
    return shell._run(Parser(" ".join(argv[1:])).parse())


def _source(shell: Shell, argv: list[str]) -> int:
    path = shell.host.files.resolve(shell.path(argv[1]))
    if not path.is_file():
        shell.streams.err.write(f"{shell.name}: .: can't open '{argv[1]}'\n")
        raise _Leave("exit", 2)
    try:
        return shell._run(Parser(path.read_text(encoding="utf-8", errors="surrogateescape")).parse())
    except _Leave as leave:
        if leave.kind != "return":
            raise
        return leave.value


def _command(shell: Shell, argv: list[str]) -> int:
    words = [word for word in argv[1:] if word != "-p"]
    if words[:1] in (["-v"], ["-V"]):
        found = [name for name in words[1:] if name in BUILTINS or name in shell.functions or shell.host.knows(name)]
        shell.streams.out.write("".join(f"{name}\n" for name in found))
        return int(len(found) != len(words) - 1) and 127
    return int(BUILTINS[words[0]](shell, words)) if words[0] in BUILTINS else shell._external(words)


def _type(shell: Shell, argv: list[str]) -> int:
    status = 0
    for name in argv[1:]:
        known = name in BUILTINS or name in shell.functions or shell.host.knows(name)
        shell.streams.out.write(f"{name} is a shell builtin\n" if known else f"{name}: not found\n")
        status = status or 127 * (not known)
    return status


def _kill(shell: Shell, argv: list[str]) -> int:
    status = 0
    for word in argv[1:]:
        if not word.startswith("-") and shell.host.run(["kill", word], b"", "/").rc:
            shell.streams.err.write(f"{shell.name}: kill: can't kill pid {word}: No such process\n")
            status = 1
    return status


def _nothing(_shell: Shell, argv: list[str]) -> int:
    return int(argv[0] == "false")


BUILTINS: dict[str, t.Callable[[Shell, list[str]], int]] = {
    ":": _nothing,
    "true": _nothing,
    "false": _nothing,
    "trap": _nothing,
    "umask": _nothing,
    "wait": _nothing,
    "echo": _echo,
    "printf": _printf,
    "test": _test,
    "[": _test,
    "cd": _cd,
    "pwd": _pwd,
    "export": _export,
    "readonly": _export,
    "local": _export,
    "unset": _unset,
    "set": _set,
    "shift": _shift,
    "read": _read,
    "exit": _leave,
    "return": _leave,
    "break": _leave,
    "continue": _leave,
    "eval": _eval,
    ".": _source,
    "source": _source,
    "command": _command,
    "type": _type,
    "kill": _kill,
}
