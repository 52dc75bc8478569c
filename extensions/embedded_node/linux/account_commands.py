# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands about accounts: ``useradd`` and the like, ``adduser``, ``getent``, ``id``."""

from __future__ import annotations

import re
import shutil
import typing as t

from ..guest import owners
from ..guest.arguments import Words, command
from ..guest.runtime import Completed, done
from . import accounts, distributions, packages
from .accounts import GROUP, PASSWD, SHADOW, User

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..guest.runtime import Command, Guest

NAME = re.compile(r"[a-z_][a-z0-9_.-]*\$?")
RULE = re.compile(r"\s*(?:#.*|@include(?:dir)?\s.+|Defaults\b.*|\w+_Alias\s.+=.+|[\w%#+.-]+\s+[\w.,-]+\s*=.+)?")
NOBODY = "user '{0}' does not exist\n"


def _listed(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


# -- shadow ------------------------------------------------------------------------------------------------------------


def _useradd(guest: Guest, words: Words, stdin: bytes) -> Completed:
    files, name = guest.files, words.plain[0] if words.plain else ""
    if not NAME.fullmatch(name):
        return done(rc=3, err=f"useradd: invalid user name '{name}': use --badname to ignore\n")
    if accounts.row(files, PASSWD, name):
        return done(rc=9, err=f"useradd: user '{name}' already exists\n")
    asked = [*_listed(words.value("groups")), *([words.value("gid")] if "gid" in words else [])]
    missing = [group for group in asked if accounts.row(files, GROUP, group) is None]
    if missing:
        return done(rc=6, err=f"useradd: group '{missing[0]}' does not exist\n")
    if "uid" in words and accounts.row(files, PASSWD, words.value("uid")) and "non-unique" not in words:
        return done(rc=4, err=f"useradd: UID {words.value('uid')} is not unique\n")
    if "gid" not in words and accounts.row(files, GROUP, name):
        return done(rc=9, err=f"useradd: group {name} exists - if you want to add this user to that group, use -g.\n")
    first = accounts.row(files, GROUP, words.value("gid")) if "gid" in words else None
    habit = distributions.of(files).makes_homes and "system" not in words
    accounts.add_user(files, User(
        name, words.value("uid"), first[0] if first else "", words.value("comment"), words.value("home-dir"),
        words.value("shell", "/bin/sh"), "system" in words,
        "create-home" in words or (habit and "no-create-home" not in words),
    ))  # fmt: skip
    accounts.add_to_groups(files, name, _listed(words.value("groups")))
    if "password" in words:
        accounts.set_password(files, name, words.value("password"), hashed=True)
    return done()


def _usermod(guest: Guest, words: Words, stdin: bytes) -> Completed:
    files, name = guest.files, words.plain[0] if words.plain else ""
    user = accounts.row(files, PASSWD, name)
    if user is None:
        return done(rc=6, err=f"usermod: {NOBODY.format(name)}")
    asked = [*_listed(words.value("groups")), *([words.value("gid")] if "gid" in words else [])]
    missing = [group for group in asked if accounts.row(files, GROUP, group) is None]
    if missing:
        return done(rc=6, err=f"usermod: group '{missing[0]}' does not exist\n")
    if "gid" in words:
        accounts.change(files, PASSWD, name, (3, (accounts.row(files, GROUP, words.value("gid")) or ["", "", ""])[2]))
    if "groups" in words:
        wanted = _listed(words.value("groups"))
        if "append" not in words:
            others = [line[0] for line in accounts.groups_of(files, name)[1:] if line[0] not in wanted]
            accounts.leave_groups(files, name, others)
        accounts.add_to_groups(files, name, wanted)
    if "home" in words and "move-home" in words:
        _move_home(guest, user[5], words.value("home"))
    fields = (("uid", 2), ("comment", 4), ("home", 5), ("shell", 6))
    accounts.change(files, PASSWD, name, *((at, words.value(option)) for option, at in fields if option in words))
    if "expiredate" in words:
        accounts.change(files, SHADOW, name, (7, words.value("expiredate")))
    _set_lock(guest, name, words)
    if "password" in words:
        accounts.set_password(files, name, words.value("password"), hashed=True)
    return done()


def _move_home(guest: Guest, old: str, new: str) -> None:
    source, target = guest.files.resolve(old), guest.files.resolve(new)
    if source.is_dir() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, target)
        owners.moved(guest.files, source, target)


def _set_lock(guest: Guest, name: str, words: Words) -> None:
    if "lock" in words:
        accounts.lock(guest.files, name)
    if "unlock" in words:
        accounts.set_password(guest.files, name, accounts.password_of(guest.files, name).removeprefix("!"), hashed=True)
    if "delete" in words:
        accounts.set_password(guest.files, name, "", hashed=True)


def _userdel(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``userdel [-r] NAME``, and Debian's and BusyBox's ``deluser``."""
    name = words.plain[0] if words.plain else ""
    home = accounts.home(guest.files, name)
    if home is None:
        return done(rc=6, err=f"{words.name}: {NOBODY.format(name)}")
    if len(words.plain) > 1:  # deluser USER GROUP
        accounts.leave_groups(guest.files, name, [words.plain[1]])
        return done()
    if "remove" in words:
        path = guest.files.resolve(home)
        shutil.rmtree(path, ignore_errors=True)
        owners.removed(guest.files, path)
    accounts.remove_user(guest.files, name)
    return done()


def _groupadd(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``groupadd [-r] [-g GID] NAME``; ``addgroup``, which with two names makes the first a member of the second."""
    files, name = guest.files, words.plain[0] if words.plain else ""
    if len(words.plain) > 1:
        return _joined(guest, words, words.plain[0], words.plain[1])
    if accounts.row(files, GROUP, name):
        if "force" in words:
            return done()
        return done(rc=9, err=f"{words.name}: group '{name}' already exists\n")
    if words.value("gid") and accounts.row(files, GROUP, words.value("gid")):
        return done(rc=4, err=f"{words.name}: GID '{words.value('gid')}' already exists\n")
    accounts.add_group(files, name, words.value("gid"), "system" in words)
    return done()


def _joined(guest: Guest, words: Words, name: str, group: str) -> Completed:
    if accounts.row(guest.files, PASSWD, name) is None or accounts.row(guest.files, GROUP, group) is None:
        return done(rc=1, err=f"{words.name}: unknown user {name} or group {group}\n")
    accounts.add_to_groups(guest.files, name, [group])
    return done()


def _groupmod(guest: Guest, words: Words, stdin: bytes) -> Completed:
    name = words.plain[0] if words.plain else ""
    if accounts.row(guest.files, GROUP, name) is None:
        return done(rc=6, err=f"groupmod: group '{name}' does not exist\n")
    changes = [(2, words.value("gid"))] if "gid" in words else []
    changes += [(0, words.value("new-name"))] if "new-name" in words else []
    accounts.change(guest.files, GROUP, name, *changes)
    return done()


def _groupdel(guest: Guest, words: Words, stdin: bytes) -> Completed:
    name = words.plain[0] if words.plain else ""
    group = accounts.row(guest.files, GROUP, name)
    if group is None:
        return done(rc=6, err=f"{words.name}: group '{name}' does not exist\n")
    users = [line[0] for line in accounts.rows(guest.files, PASSWD) if line[3] == group[2]]
    if users:
        return done(rc=8, err=f"{words.name}: cannot remove the primary group of user '{users[0]}'\n")
    accounts.save(guest.files, GROUP, [line for line in accounts.rows(guest.files, GROUP) if line[0] != name])
    return done()


def _delgroup(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``delgroup GROUP``, and ``delgroup USER GROUP`` as busybox has it."""
    if len(words.plain) < 2:
        return _groupdel(guest, words, stdin)
    accounts.leave_groups(guest.files, words.plain[0], [words.plain[1]])
    return done()


def _gpasswd(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``gpasswd -a USER GROUP`` and ``-d USER GROUP``."""
    group = words.plain[0] if words.plain else ""
    if "add" in words:
        return _joined(guest, words, words.value("add"), group)
    accounts.leave_groups(guest.files, words.value("delete"), [group])
    return done()


def _passwd(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``passwd -l|-u|-d|-S NAME``, and a new password twice on stdin."""
    name = words.plain[0] if words.plain else "root"
    if accounts.row(guest.files, SHADOW, name) is None:
        return done(rc=1, err=f"passwd: {NOBODY.format(name)}")
    if "status" in words:
        hashed = accounts.password_of(guest.files, name)
        return done(
            f"{name} {'L' if hashed[:1] in '!*' and hashed else 'P' if hashed else 'NP'} 2025-01-01 0 99999 7 -1\n"
        )
    _set_lock(guest, name, words)
    if not {"lock", "unlock", "delete"} & set(words.given):
        lines = stdin.decode().splitlines()
        if len(lines) < 2 or lines[0] != lines[1]:
            return done(rc=10, err="passwd: Authentication token manipulation error\n")
        accounts.set_password(guest.files, name, lines[0], hashed=False)
    return done()


def _chpasswd(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``chpasswd [-e]``: lines ``NAME:PASSWORD`` on stdin; with ``-e`` they are hashes."""
    pairs = [line.partition(":") for line in stdin.decode().splitlines() if line]
    missing = [name for name, _colon, _password in pairs if accounts.row(guest.files, SHADOW, name) is None]
    if missing:
        return done(rc=1, err="".join(f"chpasswd: (line 1, user {name}) password not changed\n" for name in missing))
    for name, _colon, password in pairs:
        accounts.set_password(guest.files, name, password, hashed="encrypted" in words)
    return done()


def _chage(guest: Guest, words: Words, stdin: bytes) -> Completed:
    name = words.plain[0] if words.plain else ""
    if accounts.row(guest.files, SHADOW, name) is None:
        return done(rc=1, err=f"chage: {NOBODY.format(name)}")
    fields = (("lastday", 2), ("mindays", 3), ("maxdays", 4), ("warndays", 5), ("inactive", 6), ("expiredate", 7))
    accounts.change(guest.files, SHADOW, name, *((at, words.value(option)) for option, at in fields if option in words))
    return done()


# -- adduser -----------------------------------------------------------------------------------------------------------


def _adduser(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """Debian's and BusyBox's; with two names the first becomes a member of the second."""
    files, name = guest.files, words.plain[0] if words.plain else ""
    if len(words.plain) > 1:
        return _joined(guest, words, name, words.plain[1])
    if accounts.row(files, PASSWD, name):
        return done(rc=1, err=f"adduser: user '{name}' in use\n")
    alpine = distributions.of(files).manager == "apk"
    first = words.value("ingroup") or ("nogroup" if alpine and "system" in words else "")
    if first and accounts.row(files, GROUP, first) is None:
        return done(rc=1, err=f"adduser: unknown group {first}\n")
    accounts.add_user(files, User(
        name, words.value("uid"), first, words.value("gecos"), words.value("home"),
        words.value("shell", "/bin/ash" if alpine else "/bin/bash"),
        "system" in words, "no-create-home" not in words,
    ))  # fmt: skip
    return done()


# -- asking ------------------------------------------------------------------------------------------------------------


def _getent(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    """``getent passwd|group|shadow [NAME ...]``, ``getent hosts|ahosts NAME``."""
    table, keys = ([*argv[1:], ""])[0], list(argv[2:])
    if table in ("hosts", "ahosts", "ahostsv4"):
        return _hosts(guest, keys[0] if keys else "")
    if table not in ("passwd", "group", "shadow"):
        return done(rc=1, err=f"Unknown database: {table}\n")
    name = f"/etc/{table}"
    found = [accounts.row(guest.files, name, key) for key in keys] if keys else accounts.rows(guest.files, name)
    told = "".join(":".join(line) + "\n" for line in found if line)
    return done(told, 2 if None in found or not found else 0)


def _hosts(guest: Guest, name: str) -> Completed:
    for line in guest.files.read("/etc/hosts").splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if name in names:
            return done(f"{address:<15} {name}\n")
    known = packages.online(guest) and "." in name
    return done(f"192.0.2.80      {name}\n") if known else done(rc=2)


def _id(guest: Guest, words: Words, stdin: bytes) -> Completed:
    name = words.plain[0] if words.plain else "root"
    user = accounts.row(guest.files, PASSWD, name) or (["root", "x", "0", "0"] if name in ("root", "0") else None)
    if user is None:
        return done(rc=1, err=f"id: '{name}': no such user\n")
    groups = accounts.groups_of(guest.files, user[0]) or [["root", "x", "0", ""]]
    at = 0 if "name" in words else 2
    if "user" in words:
        return done(f"{user[at]}\n")
    if "group" in words:
        return done(f"{groups[0][at]}\n")
    if "groups" in words:
        return done(" ".join(line[at] for line in groups) + "\n")
    listed = ",".join(f"{line[2]}({line[0]})" for line in groups)
    return done(f"uid={user[2]}({user[0]}) gid={groups[0][2]}({groups[0][0]}) groups={listed}\n")


def _groups(guest: Guest, words: Words, stdin: bytes) -> Completed:
    name = words.plain[0] if words.plain else "root"
    head = f"{name} : " if words.plain else ""
    return done(head + " ".join(line[0] for line in accounts.groups_of(guest.files, name)) + "\n")


def _visudo(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``visudo -c [-f FILE]``: whether each line is a rule."""
    name = words.value("file", "/etc/sudoers")
    text = stdin.decode() if name == "-" else guest.files.read(name)
    wrong = [number for number, line in enumerate(text.splitlines(), 1) if not RULE.fullmatch(line)]
    if wrong:
        return done(rc=1, err=f"{name}:{wrong[0]}:1: syntax error\n")
    return done(f"{name}: parsed OK\n")


#: Of package ``shadow``, which every distribution but Alpine brings.
SHADOW_COMMANDS: dict[str, Command] = {
    "chage": command("d=lastday: m=mindays: M=maxdays: W=warndays: I=inactive: E=expiredate:", _chage),
    "gpasswd": command("a=add: d=delete:", _gpasswd),
    "groupadd": command("r=system g=gid: f=force", _groupadd),
    "groupdel": command("f=force", _groupdel),
    "groupmod": command("g=gid: n=new-name:", _groupmod),
    "useradd": command("m=create-home M=no-create-home d=home-dir: s=shell: u=uid: g=gid: G=groups: r=system "
                       "c=comment: U=user-group p=password: o=non-unique k=skel:", _useradd),
    "userdel": command("r=remove f=force", _userdel),
    "usermod": command("a=append G=groups: g=gid: s=shell: d=home: m=move-home u=uid: c=comment: e=expiredate: L=lock "
                       "U=unlock p=password:", _usermod),
}  # fmt: skip
COMMANDS: dict[str, Command] = {
    "addgroup": command("S=system g=gid: system", _groupadd),
    "chpasswd": command("e=encrypted c=crypt-method:", _chpasswd),
    "delgroup": command("", _delgroup),
    "deluser": command("remove-home=remove remove", _userdel),
    "getent": _getent,
    "groups": command("", _groups),
    "id": command("u=user g=group G=groups n=name r=real", _id),
    "passwd": command("l=lock u=unlock d=delete S=status q", _passwd),
    "visudo": command("c=check f=file: q=quiet s=strict", _visudo),
}
#: ``adduser`` is another program on Alpine.
ADDUSER = {
    "apk": command("D=disabled-password S=system H=no-create-home h=home: s=shell: G=ingroup: g=gecos: u=uid:",
                   _adduser),
    "apt-get": command("disabled-password disabled-login gecos: comment=gecos: system group=own-group home: "
                       "shell: uid: ingroup: no-create-home quiet q", _adduser),
}  # fmt: skip
