# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BusyBox's commands for files and folders, on a guest's own files."""

from __future__ import annotations

import os
import re
import shutil
import time
import typing as t
from pathlib import Path

from . import owners
from .runtime import Command, Completed, Guest, done

#: What of /proc a guest may see of this machine.
SHARED = ("/proc/uptime", "/proc/loadavg", "/proc/cpuinfo", "/proc/version", "/proc/sys/kernel/random/")


def path_of(guest: Guest, name: str) -> str:
    """A path argument, seen from the working directory."""
    return os.path.normpath(os.path.join(guest.env.get("PWD", "/"), name))


def real(guest: Guest, name: str, follow: bool = True) -> Path:
    """Where a path argument is on this machine."""
    absolute = path_of(guest, name)
    return Path(absolute) if absolute.startswith(SHARED) else guest.files.resolve(absolute, follow)


def options(argv: t.Sequence[str]) -> tuple[set[str], list[str]]:
    """Single-letter options and plain words."""
    words, letters, plain = list(argv[1:]), set(), []
    while words:
        word = words.pop(0)
        if word == "--":
            plain += words
            break
        if word.startswith("-") and len(word) > 1:
            letters |= set(word[1:])
        else:
            plain.append(word)
    return letters, plain


def no_file(command: str, name: str) -> str:
    """What a command says of a file that is not there."""
    return f"{command}: {name}: No such file or directory\n"


def _cat(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    data, errors = b"", ""
    for name in options(argv)[1] or ["-"]:
        path = real(guest, name)
        if name == "-":
            data += stdin
        elif path_of(guest, name) == "/dev/null":
            continue
        elif path.is_file():
            data += path.read_bytes()
        elif path.is_dir():
            errors += "cat: read error: Is a directory\n"
        else:
            errors += f"cat: can't open '{name}': No such file or directory\n"
    return Completed(int(bool(errors)), data, errors.encode())


def _ls(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    letters, names = options(argv)
    out, errors, chosen = [], "", names or ["."]
    for name in chosen:
        path = real(guest, name, follow=not letters & {"d", "l"})
        if not (path.exists() or path.is_symlink()):
            errors += no_file("ls", name)
        elif path.is_dir() and "d" not in letters:
            entries = sorted(
                entry for entry in path.iterdir() if letters & {"a", "A"} or not entry.name.startswith(".")
            )
            out += [f"{name}:"] if len(chosen) > 1 else []
            out += [_row(guest, entry, entry.name) if "l" in letters else entry.name for entry in entries]
        else:
            out.append(_row(guest, path, name) if "l" in letters else name)
    return done("".join(f"{line}\n" for line in out), int(bool(errors)), errors)


def _row(guest: Guest, path: Path, name: str) -> str:
    """A line of ``ls -l``."""
    facts = path.lstat()
    bits = owners.shown(owners.mode(guest.files, path), facts.st_mode & ~0o7777)
    user, group = owners.owner(guest.files, path)
    who = f"{name_of(guest, 'passwd', user):<8} {name_of(guest, 'group', group):<8}"
    when = time.strftime("%b %e %H:%M", time.gmtime(facts.st_mtime))
    target = f" -> {os.readlink(path)}" if path.is_symlink() else ""
    return f"{bits} {facts.st_nlink:>4} {who} {facts.st_size:>9} {when} {name}{target}"


def name_of(guest: Guest, table: str, number: int) -> str:
    """The name of a user (``passwd``) or group (``group``), its number where nobody has it."""
    found = re.search(rf"^([^:]+):[^:]*:{number}:", guest.files.read(f"/etc/{table}"), re.MULTILINE)
    return found[1] if found else "root" if number == 0 else str(number)


def number_of(guest: Guest, table: str, name: str) -> int | None:
    """The number of a user or group that is named, or is a number; None when there is none."""
    if name.isdigit():
        return int(name)
    found = re.search(rf"^{re.escape(name)}:[^:]*:(\d+):", guest.files.read(f"/etc/{table}"), re.MULTILINE)
    return int(found[1]) if found else 0 if name == "root" else None


def _mkdir(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    letters, names = options(argv)
    errors = ""
    mode = int(names.pop(0), 8) if "m" in letters and names and names[0].isdigit() else None
    for name in names:
        path = real(guest, name)
        if path.exists() and "p" not in letters:
            errors += f"mkdir: can't create directory '{name}': File exists\n"
        elif not path.parent.is_dir() and "p" not in letters:
            errors += f"mkdir: can't create directory '{name}': No such file or directory\n"
        elif not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            if mode is not None:
                owners.set_mode(guest.files, path, mode)
    return done(rc=int(bool(errors)), err=errors)


def _rm(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    letters, names = options(argv)
    errors = ""
    for name in names:
        path = real(guest, name, follow=False)
        if path.is_symlink() or path.is_file():
            path.unlink()
            owners.removed(guest.files, path)
        elif path.is_dir() and letters & {"r", "R"}:
            shutil.rmtree(path)
            owners.removed(guest.files, path)
        elif path.is_dir():
            errors += f"rm: '{name}' is a directory\n"
        elif "f" not in letters:
            errors += f"rm: can't remove '{name}': No such file or directory\n"
    return done(rc=int(bool(errors)), err=errors)


def _rmdir(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    errors = ""
    for name in options(argv)[1]:
        path = real(guest, name)
        if not path.is_dir() or any(path.iterdir()):
            errors += f"rmdir: '{name}': {'Directory not empty' if path.is_dir() else 'No such file or directory'}\n"
        else:
            path.rmdir()
            owners.removed(guest.files, path)
    return done(rc=int(bool(errors)), err=errors)


def _copy(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    """``cp`` and ``mv``."""
    letters, names = options(argv)
    if len(names) < 2:
        return done(rc=1, err=f"BusyBox v1.36.1: {argv[0]}: missing operand\n")
    target, errors = real(guest, names[-1]), ""
    if len(names) > 2 and not target.is_dir():
        return done(rc=1, err=f"{argv[0]}: target '{names[-1]}' is not a directory\n")
    for name in names[:-1]:
        source = real(guest, name, follow=argv[0] == "cp" and not letters & {"a", "d"})
        place = target / Path(name).name if target.is_dir() else target
        if not (source.exists() or source.is_symlink()):
            errors += (
                f"{argv[0]}: can't {'stat' if argv[0] == 'cp' else 'rename'} '{name}': No such file or directory\n"
            )
        elif not place.parent.is_dir():
            errors += f"{argv[0]}: can't create '{names[-1]}': No such file or directory\n"
        elif argv[0] == "mv":
            os.replace(source, place)
            owners.moved(guest.files, source, place)
        elif source.is_dir() and not letters & {"a", "r", "R"}:
            errors += f"cp: omitting directory '{name}'\n"
        else:
            _copy_one(guest, source, place, keep=bool(letters & {"a", "p"}))
    return done(rc=int(bool(errors)), err=errors)


def _copy_one(guest: Guest, source: Path, place: Path, keep: bool) -> None:
    """Copy a file or a tree; with ``keep`` also its owners and dates."""
    if source.is_dir():
        shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True)
    else:
        (shutil.copy2 if keep else shutil.copy)(source, place, follow_symlinks=False)
    if keep:
        owners.copied(guest.files, source, place)


def _ln(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    letters, names = options(argv)
    if len(names) != 2:
        return done(rc=1, err="ln: missing operand\n")
    link = real(guest, names[1], follow=False)
    if link.is_dir() and not link.is_symlink():
        link = link / Path(names[0]).name
    if link.is_symlink() or link.exists():
        if "f" not in letters:
            return done(rc=1, err=f"ln: {names[1]}: File exists\n")
        link.unlink()
    if "s" in letters:
        link.symlink_to(names[0])
    else:
        link.hardlink_to(real(guest, names[0]))
    return done()


def _touch(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    errors = ""
    for name in options(argv)[1]:
        path = real(guest, name)
        if path.parent.is_dir():
            path.touch()
        else:
            errors += f"touch: {name}: No such file or directory\n"
    return done(rc=int(bool(errors)), err=errors)


def _each(guest: Guest, names: t.Sequence[str], deep: bool, follow: bool = True) -> t.Iterator[tuple[str, Path | None]]:
    """Named files, with ``deep`` all that is in them, too; None for one that is not there."""
    for name in names:
        path = real(guest, name, follow)
        yield name, path if path.exists() or path.is_symlink() else None
        if deep and path.is_dir() and not path.is_symlink():
            yield from ((name, each) for each in sorted(path.rglob("*")))


def _chmod(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    flags = [word for word in argv[1:] if word in ("-R", "-f", "-v", "--")]
    words, *names = [word for word in argv[1:] if word not in flags]
    errors = ""
    for name, path in _each(guest, names, "-R" in flags):
        if path is None:
            errors += f"chmod: {name}: No such file or directory\n"
        elif not path.is_symlink():
            wanted = owners.changed(owners.mode(guest.files, path), words, path.is_dir())
            if wanted is None:
                return done(rc=1, err=f"chmod: invalid mode '{words}'\n")
            owners.set_mode(guest.files, path, wanted)
    return done(rc=int(bool(errors)), err=errors)


def _chown(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    """``chown USER[:GROUP]`` and ``chgrp GROUP``."""
    letters, (owner, *names) = options(argv)
    user, colon, group = owner.replace(".", ":", 1).partition(":") if argv[0] == "chown" else ("", ":", owner)
    uid, gid = (number_of(guest, kind, name) if name else None for kind, name in (("passwd", user), ("group", group)))
    for kind, name, number in (("user", user, uid), ("group", group, gid)):
        if name and number is None:
            return done(rc=1, err=f"{argv[0]}: invalid {kind}: '{name}'\n")
    if colon and user and not group:  # "user:" is the user and their own group
        found = re.search(rf"^[^:]+:[^:]*:{uid}:(\d+):", guest.files.read("/etc/passwd"), re.MULTILINE)
        gid = int(found[1]) if found else 0
    errors = ""
    for name, path in _each(guest, names, "R" in letters, "h" not in letters):
        if path is None:
            errors += f"{argv[0]}: {name}: No such file or directory\n"
        else:
            owners.give(guest.files, path, uid, gid)
    return done(rc=int(bool(errors)), err=errors)


def _tee(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    letters, names = options(argv)
    for name in names:
        path = real(guest, name)
        path.write_bytes((path.read_bytes() if "a" in letters and path.exists() else b"") + stdin)
    return Completed(0, stdin)


def _readlink(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    letters, names = options(argv)
    out = ""
    for name in names:
        path = real(guest, name, follow=False)
        if argv[0] == "realpath" or "f" in letters:
            out += "/" + str(real(guest, name).relative_to(guest.files.root)).lstrip(".") + "\n"
        elif path.is_symlink():
            out += f"{os.readlink(path)}\n"
    return done(out, int(not out))


def _mktemp(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    letters, names = options(argv)
    folder = names.pop(0) if "p" in letters and names else "/tmp" if "t" in letters or not names else ""
    pattern = f"{folder}/{names[0] if names else 'tmp.XXXXXX'}".removeprefix("" if folder else "/")
    name = pattern.rstrip("X") + os.urandom(6).hex()[: max(len(pattern) - len(pattern.rstrip("X")), 6)]
    path = real(guest, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700) if "d" in letters else path.touch(0o600)
    return done(f"{name}\n")


def _name_part(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    word = argv[1] if len(argv) > 1 else ""
    if argv[0] == "dirname":
        return done(f"{os.path.dirname(word) or '.'}\n")
    name = os.path.basename(word.rstrip("/"))
    return done(f"{name.removesuffix(argv[2]) if len(argv) > 2 else name}\n")


COMMANDS: dict[str, Command] = {
    "basename": _name_part,
    "cat": _cat,
    "chgrp": _chown,
    "chmod": _chmod,
    "chown": _chown,
    "cp": _copy,
    "dirname": _name_part,
    "ln": _ln,
    "ls": _ls,
    "mkdir": _mkdir,
    "mktemp": _mktemp,
    "mv": _copy,
    "readlink": _readlink,
    "realpath": _readlink,
    "rm": _rm,
    "rmdir": _rmdir,
    "tee": _tee,
    "touch": _touch,
}
