# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a script is: the grammar of a small POSIX shell, and where the pieces of a word end."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from .shell_words import ShellError, unquote, word_end

OPERATORS = ("<<-", "&&", "||", ";;", "<<", ">>", ">&", "<&", ">|", "<", ">", "&", "|", ";", "(", ")", "\n")
RESERVED_ENDS = frozenset({"then", "else", "elif", "fi", "do", "done", "esac", "}"})
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
