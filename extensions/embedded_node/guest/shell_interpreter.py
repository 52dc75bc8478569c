# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a parsed script: lists, loops, functions, redirections, and the guest's commands."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import re
import time
import typing as t
from dataclasses import replace

from .shell_expansion import Expansion, Host
from .shell_parser import Node, Parser, Redirect
from .shell_streams import File, Leave, Output, Streams
from .shell_words import ShellError

#: Commands that read their standard input; others leave it to whoever comes after them in a loop.
READERS = frozenset(
    {
        *(
            "base64",
            "bash",
            "chpasswd",
            "cksum",
            "comm",
            "dash",
            "debconf-set-selections",
            "fold",
            "gpg",
            "htpasswd",
            "nl",
        ),
        *("od", "paste", "python3", "sha1sum", "sha512sum", "tac", "visudo"),
        *("ash", "awk", "cat", "cut", "grep", "gunzip", "gzip", "head", "hexdump", "jsonfilter", "logger", "md5sum"),
        *("passwd", "sed", "sh", "sha256sum", "sort", "sysupgrade", "tail", "tar", "tee", "tr", "uci", "uniq", "wc"),
        *("nft", "xargs", "zcat"),
    }
)
#: Commands of the shell after which an assignment before them stays.
SPECIAL = frozenset((":", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift", "trap", "unset"))


class Interpreter(Expansion):
    """Runs parsed scripts in a guest. ``name`` is what it calls itself in messages."""

    #: Its own commands by name; a shell has them.
    builtins: t.Mapping[str, t.Callable[[t.Any, list[str]], int]] = {}

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
        self.mask = 0o022
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
        except Leave as leave:
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
            raise Leave("exit", self.status)
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
            status = self._in_subshell(part, replace(streams, stdin=stdin, out=out))
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
        except Leave as leave:
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
            except Leave as leave:
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
            except Leave as leave:
                if self._leave_loop(leave):
                    break
        return status

    @staticmethod
    def _leave_loop(leave: Leave) -> bool:
        """Whether a loop ends; a jump that concerns an outer loop or more goes on."""
        if leave.kind not in ("break", "continue"):
            raise leave
        if leave.value > 1:
            raise Leave(leave.kind, leave.value - 1)
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
            if argv[0] in self.functions or argv[0] in self.builtins:
                with self._assigned({} if argv[0] in SPECIAL else assignments):
                    self.variables.update(assignments)
                    return self._call(argv)
            return self._external(argv, assignments)

    @contextlib.contextmanager
    def _assigned(self, assignments: t.Mapping[str, str]) -> t.Iterator[None]:
        """What is assigned for one command alone is afterwards as it was."""
        before = {name: self.variables.get(name) for name in assignments}
        try:
            yield
        finally:
            for name, value in before.items():
                self.variables.pop(name, None)
                if value is not None:
                    self.variables[name] = value

    def _exec(self, argv: list[str], redirects: list[Redirect]) -> int:
        kept = contextlib.ExitStack()
        opened = kept.enter_context(self._redirected(redirects))
        if not argv:
            kept.pop_all()
            return 0 if opened else 1
        raise Leave("exit", self._external(argv))

    def _call(self, argv: list[str]) -> int:
        function = self.functions.get(argv[0])
        if function is None:
            return int(self.builtins[argv[0]](self, argv))
        outer, self.arguments = self.arguments, argv[1:]
        local = self.variables.setdefault("\0local", "")
        saved = dict(self.variables)
        self.variables["\0local"] = ""
        try:
            return self._run(function.parts[1])
        except Leave as leave:
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
        reads = (name in READERS and (name != "uci" or {"batch", "import"} & set(argv))) or "/dev/stdin" in argv
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
                raise Leave("exit", 143)
        return 0

    # -- redirections --------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def _redirected(self, redirects: list[Redirect]) -> t.Iterator[bool]:
        before = self.streams
        self.streams = replace(before)
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
            known = {1: streams.out, 2: streams.err, **streams.more}
            source: Output = known.get(int(target), Output()) if target.isdigit() else Output()
        elif redirect.operator == "<" and target == "/dev/null":
            streams.stdin = io.StringIO()
            return True
        elif redirect.operator == "<":
            path = self.host.files.resolve(self.path(target))
            if not path.is_file():
                streams.err.write(f"{self.name}: can't open {target}: no such file\n")
                return False
            text = path.read_bytes().decode("utf-8", "surrogateescape")  # as it is, carriage returns and all
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
            source = File(path, "a" if redirect.operator == ">>" else "w", self.mask)
        if redirect.fd == 2:
            streams.err = source
        elif redirect.fd == 1:
            streams.out = source
        elif redirect.fd > 2:
            streams.more = {**streams.more, redirect.fd: source}
        return True


DEVICES = ("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/console", "/dev/kmsg", "/dev/tty", "/dev/tty1")
