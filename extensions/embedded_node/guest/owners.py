# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns a guest's files, and which modes they have.

On this machine they are an ordinary user's, who keeps the right to read and write them. What is different in the guest
is noted in a file below ``/proc``, which nobody sees in a real guest.
"""

from __future__ import annotations

import json
import re
import stat
import typing as t

if t.TYPE_CHECKING:
    from pathlib import Path

    from ..state.rootfs import GuestFiles

NOTES = "/proc/.owners.json"
CLAUSE = re.compile(r"([ugoa]*)([-+=])([rwxXst]*)")
#: What of a mode belongs to whom, and what it lets do.
SHARES = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
RIGHTS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}
USUAL_MASK = 0o022
Note = dict[str, int]


def _notes(files: GuestFiles) -> dict[str, Note]:
    text = files.read(NOTES)
    return json.loads(text) if text else {}


def _save(files: GuestFiles, notes: dict[str, Note]) -> None:
    if notes:
        files.write(NOTES, json.dumps(notes))
    else:
        files.resolve(NOTES).unlink(missing_ok=True)


def _key(files: GuestFiles, path: Path) -> str:
    return str(path.relative_to(files.root)) if path.is_relative_to(files.root) else ""


def _note(files: GuestFiles, path: Path, **facts: int | None) -> None:
    key = _key(files, path)
    if not key:
        return
    notes = _notes(files)
    noted = {name: value for name, value in {**notes.get(key, {}), **facts}.items() if value is not None}
    if noted == notes.get(key, {}):
        return
    notes.pop(key, None)
    _save(files, {**notes, key: noted} if noted else notes)


def owner(files: GuestFiles, path: Path) -> tuple[int, int]:
    """The user and the group of a file, by number."""
    noted = _notes(files).get(_key(files, path), {})
    return noted.get("uid", 0), noted.get("gid", 0)


def give(files: GuestFiles, path: Path, uid: int | None, gid: int | None) -> None:
    """Give a file to a user, a group, or both."""
    now = owner(files, path)
    user, group = now[0] if uid is None else uid, now[1] if gid is None else gid
    _note(files, path, uid=user or None, gid=group or None)


def mode(files: GuestFiles, path: Path) -> int:
    """The mode of a file, as the guest sees it."""
    return _notes(files).get(_key(files, path), {}).get("mode", path.lstat().st_mode & 0o7777)


def set_mode(files: GuestFiles, path: Path, wanted: int) -> None:
    """Change a file's mode; whoever runs the node keeps the right to read and write it."""
    path.chmod(wanted | (0o700 if path.is_dir() else 0o600))
    _note(files, path, mode=None if path.stat().st_mode & 0o7777 == wanted else wanted)


def moved(files: GuestFiles, source: Path, target: Path) -> None:
    """A file or folder has another name; what was there before is gone."""
    old, new = _key(files, source), _key(files, target)
    if not old or not new:
        return
    notes = {key: note for key, note in _notes(files).items() if not _within(key, new)}
    _save(files, {(new + key[len(old) :] if _within(key, old) else key): note for key, note in notes.items()})


def copied(files: GuestFiles, source: Path, target: Path) -> None:
    """A copy that keeps the owners."""
    old, new = _key(files, source), _key(files, target)
    notes = _notes(files)
    more = {new + key[len(old) :]: note for key, note in notes.items() if _within(key, old)}
    if more:
        _save(files, {**notes, **more})


def removed(files: GuestFiles, path: Path) -> None:
    """A file or folder is gone."""
    key, notes = _key(files, path), _notes(files)
    left = {name: note for name, note in notes.items() if not _within(name, key)}
    if left != notes:
        _save(files, left)


def _within(name: str, folder: str) -> bool:
    return name == folder or name.startswith(f"{folder}/")


def changed(now: int, words: str, is_dir: bool, mask: int = USUAL_MASK) -> int | None:
    """A mode after ``chmod WORDS``: octal, or ``u=rwX,g-w,+x``. None when it is neither."""
    if re.fullmatch(r"0*[0-7]{1,4}", words):
        return int(words, 8)
    for clause in words.split(","):
        found = CLAUSE.fullmatch(clause)
        if found is None:
            return None
        who, sign, rights = found.groups()
        share = sum(SHARES[letter] for letter in set("ugo" if not who or "a" in who else who))
        share &= 0o7777 if who else ~mask
        letters = rights.replace("X", "x" if is_dir or now & 0o111 else "")
        bits = share & sum(RIGHTS[letter] for letter in set(letters))
        now = {"+": now | bits, "-": now & ~bits, "=": now & ~share | bits}[sign]
    return now


def shown(number: int, kind: int) -> str:
    """A mode as ``ls`` prints it."""
    return stat.filemode(kind | number)
