# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file and text commands of a scripted OpenWrt guest.

Those that only read and write text (sed, grep, ...) are this machine's programs, given the guest's files: an argument
that names one becomes its real path, and real paths in what they print become the guest's again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import typing as t
from pathlib import Path

from . import busybox_files
from .busybox_files import no_file, options, real
from .runtime import Command, Completed, Guest, done

#: This machine's text programs; True: the first plain argument is a pattern or script, not a file.
FILTERS = {
    "awk": True,
    "cmp": False,
    "cut": False,
    "diff": False,
    "du": False,
    "egrep": True,
    "expr": True,
    "fgrep": True,
    "find": False,
    "grep": True,
    "gunzip": False,
    "gzip": False,
    "head": False,
    "md5sum": False,
    "sed": True,
    "seq": True,
    "sha256sum": False,
    "sort": False,
    "strings": False,
    "tail": False,
    "tar": False,
    "tr": True,
    "uniq": False,
    "wc": False,
    "zcat": False,
}


def text_program(first_is_script: bool) -> Command:
    """A command that is this machine's program of that name."""

    def run(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
        return _filter(guest, argv, stdin, first_is_script)

    return run


def _filter(guest: Guest, argv: t.Sequence[str], stdin: bytes, first_is_script: bool) -> Completed:
    program = shutil.which(argv[0])
    if program is None:
        return done(rc=127, err=f"{argv[0]}: not found\n")
    words: list[str] = []
    script_due, plain = first_is_script, False
    for number, word in enumerate(argv[1:], 1):
        if word.startswith("-") and len(word) > 1 and not plain:
            script_due = script_due and word not in ("-e", "-f") and not (argv[0] == "sed" and word.startswith("-e"))
            plain = word == "--"
            words.append(word)
        elif argv[number - 1] == "-e" or script_due:
            script_due = False
            words.append(word)
        else:
            words.append(_mapped(guest, word))
    folder = guest.files.resolve(guest.env.get("PWD", "/"))
    made = subprocess.run(
        [program, *words],
        input=stdin,
        capture_output=True,
        cwd=folder if folder.is_dir() else guest.files.root,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        check=False,
    )
    root = os.fsencode(guest.files.root)
    program_name = os.fsencode(program)
    errors = made.stderr.replace(root, b"").replace(program_name, os.fsencode(argv[0]))
    return Completed(made.returncode, made.stdout.replace(root, b""), errors)


def _mapped(guest: Guest, word: str) -> str:
    """A file argument as this machine's program must see it; relative ones work by the working directory."""
    if not word.startswith("/"):
        return word
    path = real(guest, word)
    return str(path) if path.exists() or path.parent.is_dir() else str(guest.files.root) + word


# -- files -------------------------------------------------------------------------------------------------------------


def _xargs(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    words = [word for word in argv[1:] if not word.startswith("-")] or ["echo"]
    return guest.run([*words, *stdin.decode("utf-8", "replace").split()])


def _which(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    found = [name for name in argv[1:] if guest.system.knows(guest, name)]
    return done("".join(f"/usr/bin/{name}\n" for name in found), int(len(found) != len(argv) - 1))


# -- the system --------------------------------------------------------------------------------------------------------


def _uname(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    facts = {"s": "Linux", "n": guest.hostname, "r": "6.14.11-2-pve", "v": "#1 SMP PREEMPT_DYNAMIC @0", "m": "x86_64"}
    letters = options(argv)[0] or {"s"}
    chosen = [value for key, value in facts.items() if key in letters or "a" in letters]
    return done(" ".join([*chosen, *(["GNU/Linux"] if letters & {"a", "o"} else [])]) + "\n")


def _id(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    letters = options(argv)[0]
    if letters & {"u", "g"}:
        return done("root\n" if "n" in letters else "0\n")
    return done("uid=0(root) gid=0(root)\n")


def _hexdump(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    """Plain hexadecimal (``-v -e '1/1 "%02x"'``), the one format that is known here."""
    if list(argv[1:4]) != ["-v", "-e", '1/1 "%02x"'] or len(argv) > 5:
        return done(rc=1, err="hexdump: bad format\n")
    if len(argv) == 4:
        return done(stdin.hex())
    path = real(guest, argv[4])
    return done(path.read_bytes().hex()) if path.is_file() else done(rc=1, err=no_file("hexdump", argv[4]))


def _df(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    head = "Filesystem           1K-blocks      Used Available Use% Mounted on\n"
    return done(f"{head}/dev/loop1              996780     11620    916348   1% /\n")


def _free(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    total, swap = int(guest.options.get("memory", 512)) << 10, int(guest.options.get("swap", 512)) << 10
    head = "              total        used        free      shared  buff/cache   available\n"
    rows = f"Mem:    {total:>11} {total // 8:>11} {total - total // 8:>11} {0:>11} {0:>11} {total - total // 8:>11}\n"
    return done(f"{head}{rows}Swap:   {swap:>11} {0:>11} {swap:>11}\n")


def _ps(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    running = [name for name, runs in guest.recall("services", {}).items() if runs]
    rows = ["    1 root      1308 S    /sbin/procd"]
    rows += [f"{400 + number:>5} root      1024 S    /usr/sbin/{name}" for number, name in enumerate(running)]
    rows += [f"{job:>5} root      1024 S    ash" for job in guest.recall("jobs", []) if Path(f"/proc/{job}").exists()]
    return done("  PID USER       VSZ STAT COMMAND\n" + "".join(f"{row}\n" for row in rows))


def _uptime(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    started = guest.state.running().get(guest.vmid, {}).get("started", time.time())
    minutes = int(time.time() - started) // 60
    return done(f" {time.strftime('%H:%M:%S', time.gmtime())} up {minutes} min,  load average: 0.00, 0.00, 0.00\n")


def _env(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    words = list(argv[1:])
    while words and "=" in words[0]:
        words.pop(0)
    if words:
        return guest.run(words, stdin)
    shown = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "container": "lxc", **guest.env}
    return done("".join(f"{key}={value}\n" for key, value in shown.items()))


def _nothing(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    return done()


COMMANDS: dict[str, Command] = {
    **{name: text_program(first_is_script) for name, first_is_script in FILTERS.items()},
    **busybox_files.COMMANDS,
    "df": _df,
    "env": _env,
    "free": _free,
    "hexdump": _hexdump,
    "id": _id,
    "ps": _ps,
    "sync": _nothing,
    "uname": _uname,
    "uptime": _uptime,
    "which": _which,
    "xargs": _xargs,
}
