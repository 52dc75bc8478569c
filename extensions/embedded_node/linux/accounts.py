# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts of a guest: ``/etc/passwd``, ``/etc/shadow``, ``/etc/group``, and the keys that let in by SSH."""

from __future__ import annotations

import re
import subprocess
import typing as t
from dataclasses import dataclass

from ..guest import owners

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..state.rootfs import GuestFiles

HASHED = re.compile(r"\$\w+\$.*\$.+|[!*].*")
FIRST_UID, LAST_SYSTEM_UID = 1000, 999
PASSWD, SHADOW, GROUP = "/etc/passwd", "/etc/shadow", "/etc/group"
MODES = {PASSWD: 0o644, SHADOW: 0o640, GROUP: 0o644}
Row = list[str]


# -- the files ---------------------------------------------------------------------------------------------------------


def rows(files: GuestFiles, name: str) -> list[Row]:
    """The lines of one of the files, each as its fields."""
    return [line.split(":") for line in files.read(name).splitlines() if line]


def row(files: GuestFiles, name: str, key: str) -> Row | None:
    """The line of a user or group, by name or number."""
    found = [fields for fields in rows(files, name) if fields[0] == key]
    found += [fields for fields in rows(files, name) if key.isdigit() and name != SHADOW and fields[2] == key]
    return found[0] if found else None


def change(files: GuestFiles, name: str, key: str, *fields: tuple[int, str]) -> None:
    """Give fields of one line other values."""
    changed = [
        [dict(fields).get(at, value) for at, value in enumerate(line)] if line[0] == key else line
        for line in rows(files, name)
    ]
    save(files, name, changed)


def save(files: GuestFiles, name: str, lines: Iterable[Sequence[str]]) -> None:
    """Write one of the files."""
    files.write(name, "".join(":".join(line) + "\n" for line in lines), MODES[name])


def _add(files: GuestFiles, name: str, line: Row) -> None:
    save(files, name, [*rows(files, name), line])


def _free(files: GuestFiles, name: str, system: bool) -> int:
    """A number that nobody has: upwards from 1000, those of the system downwards from 999."""
    taken = {int(line[2]) for line in rows(files, name) if line[2].isdigit()}
    if system:
        return next(number for number in range(LAST_SYSTEM_UID, 99, -1) if number not in taken)
    return max([FIRST_UID - 1, *(number for number in taken if number < 60000)]) + 1


# -- users -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class User:
    """What a new user is to have; what is not stated has the system's default. ``group``: the primary group."""

    name: str
    uid: str = ""
    group: str = ""
    comment: str = ""
    home: str = ""
    shell: str = "/bin/bash"
    system: bool = False
    make_home: bool = True


def home(files: GuestFiles, name: str) -> str | None:
    """A user's home, None when there is no such user."""
    found = row(files, PASSWD, name)
    return found[5] if found else None


def add_user(files: GuestFiles, user: User) -> None:
    """A new user with a locked password and, where no group is given, a group of the same name; one that is there stays
    as it is.
    """
    if home(files, user.name) is not None:
        return
    uid = user.uid or str(_free(files, PASSWD, user.system))
    group = row(files, GROUP, user.group or user.name)
    if group is None:
        taken = row(files, GROUP, uid) is not None
        group = add_group(files, user.group or user.name, str(_free(files, GROUP, user.system)) if taken else uid)
    place = user.home or f"/home/{user.name}"
    _add(files, PASSWD, [user.name, "x", uid, group[2], user.comment, place, user.shell])
    _add(files, SHADOW, [user.name, "!", "20000", "0", "99999", "7", "", "", ""])
    folder = files.resolve(place)
    if user.make_home and not folder.is_dir():
        folder.mkdir(parents=True)
        owners.set_mode(files, folder, 0o755 if user.system else 0o700)
        owners.give(files, folder, int(uid), int(group[2]))


def remove_user(files: GuestFiles, name: str) -> None:
    """Remove a user, and their group where nobody else is in it."""
    for table in (PASSWD, SHADOW):
        save(files, table, [line for line in rows(files, table) if line[0] != name])
    leave_groups(files, name, [line[0] for line in rows(files, GROUP)])
    save(files, GROUP, [line for line in rows(files, GROUP) if line[0] != name or line[3]])


def add_group(files: GuestFiles, name: str, number: str = "", system: bool = False) -> Row:
    """A new group."""
    line = [name, "x", number or str(_free(files, GROUP, system)), ""]
    _add(files, GROUP, line)
    return line


def add_to_groups(files: GuestFiles, name: str, groups: Iterable[str]) -> None:
    """Make a user a member of groups; those that are not there are made."""
    for group in groups:
        line = row(files, GROUP, group) or add_group(files, group, system=True)
        members = list(filter(None, line[3].split(",")))
        if name not in members:
            change(files, GROUP, line[0], (3, ",".join([*members, name])))


def leave_groups(files: GuestFiles, name: str, groups: Iterable[str]) -> None:
    """Have a user leave groups."""
    for group in groups:
        line = row(files, GROUP, group)
        if line and name in line[3].split(","):
            change(files, GROUP, group, (3, ",".join(member for member in line[3].split(",") if member != name)))


def groups_of(files: GuestFiles, name: str) -> list[Row]:
    """The groups of a user, the first one first."""
    user = row(files, PASSWD, name)
    first = row(files, GROUP, user[3]) if user else None
    others = [line for line in rows(files, GROUP) if name in line[3].split(",") and line != first]
    return [*([first] if first else []), *others]


# -- passwords and keys ------------------------------------------------------------------------------------------------


def set_password(files: GuestFiles, name: str, password: str, hashed: bool | None = None) -> None:
    """Set a user's password; what is a hash (or locks the account) stays what it is."""
    is_hash = bool(HASHED.fullmatch(password)) if hashed is None else hashed
    change(files, SHADOW, name, (1, password if is_hash else _hash(password)))


def lock(files: GuestFiles, name: str) -> None:
    """Let nobody in by a user's password."""
    hashed = password_of(files, name)
    set_password(files, name, hashed if hashed.startswith("!") else f"!{hashed}")


def password_of(files: GuestFiles, name: str) -> str:
    """A user's hash, empty when there is no such user."""
    found = row(files, SHADOW, name)
    return found[1] if found else ""


def _hash(password: str) -> str:
    command = ["openssl", "passwd", "-6", "-stdin"]
    return subprocess.run(command, input=password, capture_output=True, text=True, check=True).stdout.strip()


def authorize(files: GuestFiles, name: str, keys: Iterable[str]) -> None:
    """Let keys in as a user."""
    place = f"{home(files, name)}/.ssh/authorized_keys"
    known = files.read(place).splitlines()
    lines = [*known, *(key.strip() for key in keys if key.strip() and key.strip() not in known)]
    if lines:
        files.write(place, "".join(f"{line}\n" for line in lines), 0o600)
