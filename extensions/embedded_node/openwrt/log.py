# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log and the clock of a scripted OpenWrt guest."""

from __future__ import annotations

import os
import re
import subprocess
import time
import typing as t

from ..guest.runtime import Command, Completed, Guest, done
from .uci_command import Uci


def _config_value(guest: Guest, path: str, default: str = "") -> str:
    rc, out, _other = Uci(guest.files).run(["get", path])
    return out.strip() if rc == 0 else default


def write(guest: Guest, text: str) -> None:
    """Write a line to the log."""
    stamp = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime())
    guest.remember("log", [*guest.recall("log", []), f"{stamp} {text}"][-500:])


def _logread(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
    lines = guest.recall("log", [])
    words = list(argv[1:])
    if "-e" in words:
        lines = [line for line in lines if re.search(words[words.index("-e") + 1], line)]
    if "-l" in words:
        lines = lines[-int(words[words.index("-l") + 1]) :]
    return done("".join(f"{line}\n" for line in lines))


def _logger(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    words, tag, priority = list(argv[1:]), "root", "user.notice"
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "-t" and words:
            tag = words.pop(0)
        elif option == "-p" and words:
            priority = words.pop(0)
    text = " ".join(words) or stdin.decode("utf-8", "replace").strip()
    for line in text.splitlines():
        write(guest, f"{priority} {tag}: {line}")
    return done()


def _date(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
    if any(word.startswith(("-s", "--set")) for word in argv[1:]):
        return done(rc=1, err="date: can't set date: Operation not permitted\n")
    zone = "UTC0" if "-u" in argv else _config_value(guest, "system.@system[0].timezone", "UTC") or "UTC"
    form = [word for word in argv[1:] if word.startswith("+")] or ["+%a %b %e %H:%M:%S %Z %Y"]
    surroundings = {"TZ": zone, "LC_ALL": "C", "PATH": os.environ["PATH"]}
    made = subprocess.run(["date", form[0]], env=surroundings, capture_output=True, check=False)
    return Completed(made.returncode, made.stdout, made.stderr)


def now(guest: Guest) -> str:
    """The time as commands print it."""
    return _date(guest, ["date"], b"").stdout.decode().strip()


COMMANDS: dict[str, Command] = {
    "logread": _logread,
    "logger": _logger,
    "date": _date,
}
