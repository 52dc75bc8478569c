# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that a shell has itself: echo, printf, test, read, set ..."""

from __future__ import annotations

import ast
import re
import typing as t

from .shell_arithmetic import BINARY
from .shell_interpreter import Interpreter
from .shell_parser import Parser
from .shell_streams import Leave


def _echo(shell: Interpreter, argv: list[str]) -> int:
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


def _printf(shell: Interpreter, argv: list[str]) -> int:
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


def _test(shell: Interpreter, argv: list[str]) -> int:
    words = argv[1:]
    if argv[0] == "[" and (not words or words.pop() != "]"):
        shell.streams.err.write(f"{shell.name}: missing ]\n")
        return 2
    try:
        return int(not _holds(shell, words))
    except ValueError as error:
        shell.streams.err.write(f"{shell.name}: {error}\n")
        return 2


def _holds(shell: Interpreter, words: list[str]) -> bool:
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
    return bool(BINARY[kinds[operator]](int(left), int(right)))


def _check(shell: Interpreter, operator: str, word: str) -> bool:
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


def _cd(shell: Interpreter, argv: list[str]) -> int:
    target = argv[1] if len(argv) > 1 else shell.variables["HOME"]
    target = shell.variables.get("OLDPWD", "/") if target == "-" else target
    path = shell.path(target)
    if not shell.host.files.resolve(path).is_dir():
        shell.streams.err.write(f"{shell.name}: cd: can't cd to {target}: No such file or directory\n")
        return 2
    shell.variables["OLDPWD"], shell.variables["PWD"] = shell.variables["PWD"], path
    return 0


def _pwd(shell: Interpreter, _argv: list[str]) -> int:
    shell.streams.out.write(f"{shell.variables['PWD']}\n")
    return 0


def _export(shell: Interpreter, argv: list[str]) -> int:
    for word in argv[1:]:
        name, sign, value = word.partition("=")
        if argv[0] == "local":
            shell.variables["\0local"] = f"{shell.variables.get(chr(0) + 'local', '')} {name}"
            shell.variables[name] = value
        elif sign:
            shell.variables[name] = value
        shell.exported.add(name)
    return 0


def _unset(shell: Interpreter, argv: list[str]) -> int:
    for name in argv[1:]:
        shell.variables.pop(name, None)
        shell.functions.pop(name, None)
    return 0


def _set(shell: Interpreter, argv: list[str]) -> int:
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


def _shift(shell: Interpreter, argv: list[str]) -> int:
    count = int(argv[1]) if len(argv) > 1 else 1
    if count > len(shell.arguments):
        return 1
    del shell.arguments[:count]
    return 0


def _read(shell: Interpreter, argv: list[str]) -> int:
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


def _leave(shell: Interpreter, argv: list[str]) -> int:
    default = 1 if argv[0] in ("break", "continue") else shell.status
    raise Leave(argv[0], int(argv[1]) if len(argv) > 1 and argv[1].lstrip("-").isdigit() else default)


def _eval(shell: Interpreter, argv: list[str]) -> int:
    return shell._run(Parser(" ".join(argv[1:])).parse())


def _source(shell: Interpreter, argv: list[str]) -> int:
    path = shell.host.files.resolve(shell.path(argv[1]))
    if not path.is_file():
        shell.streams.err.write(f"{shell.name}: .: can't open '{argv[1]}'\n")
        raise Leave("exit", 2)
    try:
        return shell._run(Parser(path.read_bytes().decode("utf-8", "surrogateescape")).parse())
    except Leave as leave:
        if leave.kind != "return":
            raise
        return leave.value


def _command(shell: Interpreter, argv: list[str]) -> int:
    words = [word for word in argv[1:] if word != "-p"]
    if words[:1] in (["-v"], ["-V"]):
        found = [name for name in words[1:] if name in BUILTINS or name in shell.functions or shell.host.knows(name)]
        shell.streams.out.write("".join(f"{name}\n" for name in found))
        return int(len(found) != len(words) - 1) and 127
    return int(BUILTINS[words[0]](shell, words)) if words[0] in BUILTINS else shell._external(words)


def _type(shell: Interpreter, argv: list[str]) -> int:
    status = 0
    for name in argv[1:]:
        known = name in BUILTINS or name in shell.functions or shell.host.knows(name)
        shell.streams.out.write(f"{name} is a shell builtin\n" if known else f"{name}: not found\n")
        status = status or 127 * (not known)
    return status


def _kill(shell: Interpreter, argv: list[str]) -> int:
    status = 0
    for word in argv[1:]:
        if not word.startswith("-") and shell.host.run(["kill", word], b"", "/").rc:
            shell.streams.err.write(f"{shell.name}: kill: can't kill pid {word}: No such process\n")
            status = 1
    return status


def _umask(shell: Interpreter, argv: list[str]) -> int:
    words = [word for word in argv[1:] if word != "-S"]
    if not words:
        shell.streams.out.write(f"{shell.mask:04o}\n")
    elif re.fullmatch(r"[0-7]{1,4}", words[0]):
        shell.mask = int(words[0], 8)
    else:
        shell.streams.err.write(f"{shell.name}: umask: Illegal mode: {words[0]}\n")
        return 2
    return 0


def _nothing(_shell: Interpreter, argv: list[str]) -> int:
    return int(argv[0] == "false")


BUILTINS: dict[str, t.Callable[[Interpreter, list[str]], int]] = {
    ":": _nothing,
    "true": _nothing,
    "false": _nothing,
    "trap": _nothing,
    "umask": _umask,
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
