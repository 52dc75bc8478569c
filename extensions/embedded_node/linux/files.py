# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file commands of a Linux guest that OpenWrt's BusyBox does not have: ``stat``, ``install``, ``base64`` ..."""

from __future__ import annotations

import base64
import binascii
import re
import stat
import typing as t

from ..guest import busybox, owners
from ..guest.arguments import Words, command
from ..guest.busybox_files import name_of, number_of, real
from ..guest.runtime import Completed, done
from .formats import filled, unescaped

if t.TYPE_CHECKING:
    from pathlib import Path

    from ..guest.runtime import Command, Guest

STDIN = "/dev/stdin"
KINDS = {stat.S_IFREG: "regular file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symbolic link"}


def _stat(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``stat [-L] -c FORMAT FILE ...``; without a format there is more to tell than is known here."""
    form = words.value("format") or words.value("printf")
    if not form:
        return done(rc=127, err="stat: what it says without -c is not known here\n")
    told, errors = "", ""
    for name in words.plain:
        path = real(guest, name, follow="dereference" in words)
        if not (path.exists() or path.is_symlink()):
            errors += f"stat: cannot statx '{name}': No such file or directory\n"
            continue
        line = filled(form, r"%(.)", _facts(guest, path, name), keep=True)
        told += unescaped(line) if "printf" in words else f"{line}\n"
    return done(told, int(bool(errors)), errors)


def _facts(guest: Guest, path: Path, name: str) -> dict[str, str]:
    seen, mode, (user, group) = path.lstat(), owners.mode(guest.files, path), owners.owner(guest.files, path)
    kind = KINDS.get(stat.S_IFMT(seen.st_mode), "weird file")
    kind = "regular empty file" if kind == "regular file" and not seen.st_size else kind
    return {
        "a": f"{mode:o}", "A": owners.shown(mode, stat.S_IFMT(seen.st_mode)),
        "f": f"{stat.S_IFMT(seen.st_mode) | mode:x}",
        "u": str(user), "g": str(group), "U": name_of(guest, "passwd", user), "G": name_of(guest, "group", group),
        "F": kind, "s": str(seen.st_size), "n": name, "h": str(seen.st_nlink), "i": str(seen.st_ino),
        "X": str(int(seen.st_atime)), "Y": str(int(seen.st_mtime)), "Z": str(int(seen.st_ctime)), "%": "%",
    }  # fmt: skip


def _install(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``install [-m MODE] [-o USER] [-g GROUP] SOURCE TARGET``, or ``-d FOLDER ...``."""
    names = list(words.plain)
    given = [number_of(guest, table, words.value(option)) if option in words else None
             for option, table in (("owner", "passwd"), ("group", "group"))]  # fmt: skip
    for option, number, kind in zip(("owner", "group"), given, ("user", "group"), strict=True):
        if option in words and number is None:
            return done(rc=1, err=f"install: invalid {kind}: '{words.value(option)}'\n")
    mode = owners.changed(0, words.value("mode", "0755"), is_dir=False)
    if mode is None:
        return done(rc=1, err=f"install: invalid mode: '{words.value('mode')}'\n")
    if "directory" in words:
        made = [real(guest, name) for name in names]
        for path in made:
            path.mkdir(parents=True, exist_ok=True)
    else:
        if len(names) < 2:
            return done(rc=1, err="install: missing file operand\n")
        folder = real(guest, words.value("target-directory") or names[-1])
        if "D" in words:
            folder.parent.mkdir(parents=True, exist_ok=True)
        made = []
        for name in names[:-1]:
            target = folder / name.rpartition("/")[2] if folder.is_dir() else folder
            failed = _placed(guest, name, target, stdin)
            if failed:
                return done(rc=1, err=failed)
            made.append(target)
    for path in made:
        owners.set_mode(guest.files, path, mode)
        owners.give(guest.files, path, given[0] or 0, given[1] or 0)
    return done()


def _placed(guest: Guest, name: str, target: Path, stdin: bytes) -> str:
    """Copy a file to where it goes; returns what went wrong."""
    source = real(guest, name)
    if name != STDIN and not source.is_file():
        return f"install: cannot stat '{name}': No such file or directory\n"
    if not target.parent.is_dir():
        return f"install: cannot create regular file '{target.name}': No such file or directory\n"
    target.unlink(missing_ok=True)
    target.write_bytes(stdin if name == STDIN else source.read_bytes())
    return ""


def _base64(guest: Guest, words: Words, stdin: bytes) -> Completed:
    data = real(guest, words.plain[0]).read_bytes() if words.plain and words.plain[0] != "-" else stdin
    if "decode" not in words:
        text = base64.b64encode(data).decode()
        width = int(words.value("wrap", "76"))
        lines = [text[at : at + width] for at in range(0, len(text), width)] if width else [text]
        return done("\n".join(lines) + ("\n" if width and text else ""))
    try:
        return Completed(0, base64.b64decode(b"".join(data.split()), validate=True))
    except binascii.Error:
        return done(rc=1, err="base64: invalid input\n")


def _du(guest: Guest, path: Path) -> int:
    return sum(each.lstat().st_size for each in path.rglob("*") if each.is_file() and not each.is_symlink())


def _df(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``df [-P] [-k] [PATH]``: the root file system, of the size that the guest's disk has."""
    size = re.search(r"size=(\d+)([KMGT]?)", guest.options.get("rootfs", ""))
    total = int(size[1]) << {"": -10, "K": 0, "M": 10, "G": 20, "T": 30}[size[2]] if size and size[2] else 8 << 20
    used = min(_du(guest, guest.files.root) >> 10, total)
    share = -(-100 * used // total) if total else 0
    if "output" in words:
        values = {"size": total, "used": used, "avail": total - used, "pcent": f"{share}%", "target": "/"}
        names = words.value("output").split(",")
        return done(" ".join(names) + "\n" + " ".join(str(values.get(name, "-")) for name in names) + "\n")
    return done("Filesystem     1024-blocks    Used Available Capacity Mounted on\n"
                f"/dev/loop0      {total:>10} {used:>7} {total - used:>9} {share:>7}% /\n")  # fmt: skip


def _truncate(guest: Guest, words: Words, stdin: bytes) -> Completed:
    for name in words.plain:
        path = real(guest, name)
        path.touch()
        with path.open("r+b") as file:
            file.truncate(int(words.value("size", "0")))
    return done()


def _free(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``free [-b|-k|-m]``: a guest that has nothing to do."""
    unit = 1 if "bytes" in words else 1 << 20 if "mebi" in words else 1 << 10
    total, swap = ((int(guest.options.get(name, 512)) << 20) // unit for name in ("memory", "swap"))
    head = "               total        used        free      shared  buff/cache   available\n"
    used = total // 8
    free = total - used
    return done(f"{head}Mem:    {total:>12}{used:>12}{free:>12}{0:>12}{0:>12}{free:>12}\n"
                f"Swap:   {swap:>12}{0:>12}{swap:>12}\n")  # fmt: skip


def _timeout(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``timeout SECONDS COMMAND``; nothing that a guest runs here takes long."""
    return guest.run(list(words.plain[1:]), stdin)


#: This machine's programs; True: the first plain argument is no file.
FILTERS = {
    **dict.fromkeys(("b2sum", "cksum", "comm", "fold", "join", "nl", "od", "paste", "sha1sum", "sha384sum", "sha512sum",
                     "split", "tac"), False),
    **dict.fromkeys(("date", "nproc"), True),
}  # fmt: skip
COMMANDS: dict[str, Command] = {
    **{name: busybox.text_program(first_is_script) for name, first_is_script in FILTERS.items()},
    "base64": command("d=decode w=wrap:", _base64),
    "df": command("P=portability k=kilobytes h=human output: T=print-type l=local", _df),
    "free": command("b=bytes k=kibi m=mebi w=wide t=total", _free),
    "install": command("d=directory m=mode: o=owner: g=group: D t=target-directory: p T C=compare v", _install),
    "stat": command("c=format: L=dereference printf:", _stat),
    "timeout": command("k=kill-after: s=signal: foreground", _timeout, first=True),
    "truncate": command("s=size:", _truncate),
}
