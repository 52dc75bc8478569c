# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a word: its expansions, and the fields that it splits into."""

from __future__ import annotations

import ast
import fnmatch
import os
import re
import typing as t
from dataclasses import replace

from .shell_arithmetic import evaluate
from .shell_parser import NAME, Parser
from .shell_streams import Leave, Output, Streams
from .shell_words import ShellError, piece_end

if t.TYPE_CHECKING:
    from ..state.rootfs import GuestFiles
    from .runtime import Completed


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
        """Run a script in the background; returns its process id."""

    def alive(self) -> bool:
        """Whether the guest still runs."""


SPECIAL = "@*#?$!-0123456789"


class Expansion:
    """Expands words: parameters, command substitution, arithmetic, splitting and file names."""

    host: Host
    name: str
    variables: dict[str, str]
    arguments: list[str]
    streams: Streams
    status: int

    def expand(self, word: str) -> list[str]:
        """The fields that a word becomes: substitutions made, split, names matched."""
        if word == '"$@"' and not self.arguments:
            return []
        fields: list[list[tuple[str, bool]]] = []
        current: list[tuple[str, bool]] | None = None
        for text, quoted, split in self._pieces(word):
            if text is None:  # "$@" begins a new field
                fields += [current] if current is not None else []
                current = None
            elif not split:
                current = [*(current or []), (text, quoted)]
            else:
                between = re.escape(self.variables.get("IFS", " \t\n"))
                parts = (re.split(f"[{between}]+", text) if between else [text]) if text else []
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
            end = piece_end(word, at) if quotes or char in "\\$`" else at + 1
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
            end = piece_end(word, at)
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
        self.status = self._in_subshell(Parser(script).parse(), replace(self.streams, out=out))
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
            raise Leave("exit", 2)
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
            return int(evaluate(ast.parse(text.strip(), mode="eval").body))
        except (SyntaxError, ValueError, ZeroDivisionError, KeyError) as error:
            raise ShellError(f"arithmetic syntax error: {error}") from error


def _wildcards(text: str, any_char: str = ".") -> str:
    """A shell pattern as a regular expression."""
    body = fnmatch.translate(text)[4:-3]  # without (?s: and )\Z
    return body.replace(".*", f"{any_char}*") if any_char != "." else body
