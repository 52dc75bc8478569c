# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``sysupgrade`` of a scripted OpenWrt guest: its backups."""

from __future__ import annotations

import io
import tarfile
import typing as t

from ..guest import busybox_files
from ..guest.runtime import Command, Completed, Guest, done
from . import log

KEPT = (
    *("config", "dropbear", "group", "hosts", "inittab", "passwd", "profile", "rc.local", "shadow", "shells", "shinit"),
    *("sysctl.conf", "sysctl.d", "sysupgrade.conf", "uci-defaults", "uhttpd.crt", "uhttpd.key"),
)
"""What of ``/etc`` a backup holds."""


def _sysupgrade(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    words = list(argv[1:])
    for flag in ("-q", "-v", "-k", "-u", "-o", "-F"):
        while flag in words:
            words.remove(flag)
    if words[:1] in (["-l"], ["--list-backup"]):
        return done("".join(f"/{name}\n" for name in _kept(guest)))
    if words[:1] in (["-b"], ["--create-backup"]) and len(words) > 1:
        data = _backup(guest)
        said = f"{log.now(guest)} upgrade: Saving config files...\n"
        log.write(guest, "user.info upgrade: Saving config files...")
        if words[1] == "-":
            return Completed(0, data, said.encode())
        path = guest.files.resolve(busybox_files.path_of(guest, words[1]))
        if not path.parent.is_dir():
            said += (
                f"tar: can't open '{words[1]}': No such file or directory\nFailed to create the configuration backup.\n"
            )
            return done(rc=1, err=said)
        path.write_bytes(data)
        return done(err=said)
    if words[:1] in (["-r"], ["--restore-backup"]) and len(words) > 1:
        return _restore(guest, words[1], stdin)
    if words:
        return done(rc=1, err="Image check failed: a container has no image to write.\n")
    return done("Usage: sysupgrade [<upgrade-option>...] <image file or URL>\n", 1)


def _kept(guest: Guest) -> list[str]:
    """What a backup holds: the kept files, and what ``/etc/sysupgrade.conf`` and the packages add."""
    lists = [guest.files.read("/etc/sysupgrade.conf")]
    folder = guest.files.resolve("/lib/upgrade/keep.d")
    lists += [path.read_text(errors="replace") for path in sorted(folder.iterdir())] if folder.is_dir() else []
    extra = [line.strip().lstrip("/") for text in lists for line in text.splitlines() if line.strip().startswith("/")]
    root, found = guest.files.root, set()
    for name in [*(f"etc/{name}" for name in KEPT), *extra]:
        path = guest.files.resolve(name)
        inside = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
        found |= {str(one.relative_to(root)) for one in inside if one.is_file() and not one.is_symlink()}
    return sorted(found)


def _backup(guest: Guest) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in _kept(guest):
            path = guest.files.root / name
            facts, member = path.stat(), tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = facts.st_size, facts.st_mode & 0o7777, int(facts.st_mtime)
            with path.open("rb") as content:
                archive.addfile(member, content)
    return stream.getvalue()


def _restore(guest: Guest, name: str, stdin: bytes) -> Completed:
    path = guest.files.resolve(busybox_files.path_of(guest, name))
    if name != "-" and not path.is_file():
        return done(rc=1, err=f"Backup archive '{name}' not found.\n")
    said = f"{log.now(guest)} upgrade: Restoring config files...\n"
    log.write(guest, "user.info upgrade: Restoring config files...")
    try:
        with tarfile.open(fileobj=io.BytesIO(stdin if name == "-" else path.read_bytes())) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    continue
                target = guest.files.resolve(f"/{member.name}")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
                target.chmod(member.mode)
    except (tarfile.TarError, EOFError, OSError):
        return done(rc=1, err=f"{said}tar: invalid magic\n")
    return done(err=said)


COMMANDS: dict[str, Command] = {
    "sysupgrade": _sysupgrade,
}
