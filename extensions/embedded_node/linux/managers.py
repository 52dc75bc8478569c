# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The package tools of other systems: ``dnf`` and ``rpm``, ``apk``, ``zypper``, ``pacman``, ``pkg``."""

from __future__ import annotations

import re
import typing as t

from ..guest.arguments import Words, command
from ..guest.runtime import Completed, done
from . import package_database as database
from . import packages
from .formats import filled, unescaped

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..guest.runtime import Command, Guest


def _wishes(names: Sequence[str]) -> list[packages.Wish]:
    return [packages.wish(name) for name in names]


def _unknown(words: Words, action: str) -> Completed:
    return done(rc=127, err=f"{words.name}: operation {action!r} is not known here\n")


# -- Fedora, Rocky -----------------------------------------------------------------------------------------------------


def _dnf(guest: Guest, words: Words, stdin: bytes) -> Completed:
    action, names = ([*words.plain, ""])[0], words.plain[1:]
    if action in ("makecache", "update", "upgrade", "check-update", "install") and not packages.online(guest):
        return packages.refresh(guest)
    if action == "install":
        split = [re.fullmatch(r"(.+?)-(\d[^-]*-[^-]+)", name) for name in names]
        pairs = [packages.Wish(found[1], found[2]) if found else packages.Wish(name)
                 for name, found in zip(names, split, strict=True)]  # fmt: skip
        return packages.install(guest, pairs)
    if action in ("remove", "erase", "autoremove"):
        return packages.remove(guest, names)
    if action in ("update", "upgrade"):
        return packages.install(guest, _wishes(names), upgrade=True) if names else packages.upgrade_all(guest)
    if action == "check-update":
        newer = [row for row in packages.outdated(guest) if not names or row[0] in names]
        return done("".join(f"{name}.x86_64  {new}  updates\n" for name, _old, new in newer), 100 if newer else 0)
    if action in ("makecache", "clean"):
        return done()
    return _unknown(words, action)


def _rpm(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``rpm -q [--qf FORMAT] NAME ...``, ``rpm -qa``, ``rpm -e --test NAME ...``, ``rpm --import KEY``."""
    if "import" in words:
        lost = [name for name in words.plain if not guest.files.exists(name) and "://" not in name]
        return done(rc=len(lost), err="".join(f"error: {name}: import read failed(2).\n" for name in lost))
    known = database.installed(guest.files)
    if "test" in words:
        lost = [name for name in words.plain if name not in known]
        return done(rc=len(lost), err="".join(f"error: package {name} is not installed\n" for name in lost))
    if "query" not in words:
        return done(rc=127, err="rpm: this is not known here\n")
    names = sorted(known) if "all" in words else words.plain
    form = unescaped(words.value("queryformat", "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\\n"))
    told, missing = "", 0
    for name in names:
        if name not in known:
            told, missing = f"{told}package {name} is not installed\n", missing + 1
            continue
        version, _dash, release = known[name].version.rpartition("-")
        facts = {"NAME": name, "VERSION": version, "RELEASE": release, "ARCH": "x86_64", "EPOCH": "(none)",
                 "EVR": known[name].version}  # fmt: skip
        told += filled(form, r"%(?:-?\d+)?\{(\w+)\}", facts)
    return done(told, missing)


# -- openSUSE ----------------------------------------------------------------------------------------------------------


def _zypper(guest: Guest, words: Words, stdin: bytes) -> Completed:
    action, names = ([*words.plain, ""])[0], words.plain[1:]
    if action in ("install", "in", "refresh", "ref", "update", "up", "dup") and not packages.online(guest):
        return packages.refresh(guest)
    if action in ("install", "in"):
        return packages.install(guest, _wishes(names))
    if action in ("remove", "rm"):
        missing = [name for name in names if name not in database.installed(guest.files)]
        made = packages.remove(guest, names)
        return done(rc=104, err=f"'{missing[0]}' not found in package names.\n") if missing else made
    if action in ("update", "up", "dup"):
        return packages.install(guest, _wishes(names), upgrade=True) if names else packages.upgrade_all(guest)
    if action in ("refresh", "ref", "clean"):
        return done()
    return _unknown(words, action)


# -- Arch --------------------------------------------------------------------------------------------------------------


def _pacman(guest: Guest, words: Words, stdin: bytes) -> Completed:
    known, given = database.installed(guest.files), words.given
    if "query" in words:
        return _queried(words, known)
    if "remove" in words:
        missing = [name for name in words.plain if name not in known]
        if missing:
            return done(rc=1, err="".join(f"error: target not found: {name}\n" for name in missing))
        if "print" in words:
            return done("".join(f"{name}-{known[name].version}\n" for name in words.plain))
        return packages.remove(guest, words.plain)
    if "sync" not in words:
        return done(rc=127, err="pacman: this is not known here\n")
    if "refresh" in words:
        asked = packages.refresh(guest)
        if asked.rc:
            return asked
    if "info" in words:
        found = [(name, database.offered(guest, name)) for name in words.plain]
        return done("".join(f"Name            : {name}\nVersion         : {offer}\n" for name, offer in found if offer),
                    int(any(offer is None for _name, offer in found)))  # fmt: skip
    if "sysupgrade" in given and not words.plain:
        return packages.upgrade_all(guest)
    return packages.install(guest, _wishes(words.plain), upgrade="needed" not in words)


def _queried(words: Words, known: t.Mapping[str, database.Entry]) -> Completed:
    names = words.plain or sorted(known)
    missing = [name for name in names if name not in known]
    shown = (name if "quiet" in words else f"{name} {known[name].version}" for name in names if name in known)
    return done("".join(f"{line}\n" for line in shown), int(bool(missing)),
                "".join(f"error: package '{name}' was not found\n" for name in missing))  # fmt: skip


# -- Alpine ------------------------------------------------------------------------------------------------------------


def _apk(guest: Guest, words: Words, stdin: bytes) -> Completed:
    action, names = ([*words.plain, ""])[0], words.plain[1:]
    known, simulate = database.installed(guest.files), "simulate" in words
    if action == "update" or ({"update-cache", "no-cache"} & set(words.given) and action in ("add", "upgrade")):
        asked = packages.refresh(guest)
        if asked.rc or action == "update":
            return asked
    if action == "add":
        return packages.install(guest, _wishes(names), upgrade="upgrade" in words, simulate=simulate)
    if action == "del":
        return done() if simulate else packages.remove(guest, names)
    if action == "upgrade":
        return packages.install(guest, _wishes(names), upgrade=True) if names else packages.upgrade_all(guest)
    if action == "info":
        found = [name for name in names or sorted(known) if name in known]
        with_version = "verbose" in words and "installed" not in words
        lines = (f"{name}-{known[name].version}" if with_version else name for name in found)
        return done("".join(f"{line}\n" for line in lines), int(len(found) < len(names)))
    if action in ("list", "version"):
        rows = packages.outdated(guest) if action == "version" or "upgradable" in words else []
        if rows or "installed" not in words:
            return done("".join(f"{name}-{old} < {new}\n" for name, old, new in rows if not names or name in names))
        lines = (
            f"{name}-{known[name].version} x86_64 {{{name}}} (MIT) [installed]"
            for name in names or sorted(known)
            if name in known
        )
        return done("".join(f"{line}\n" for line in lines))
    if action == "policy":
        pairs = [
            (name, database.offered(guest, name) or (known[name].version if name in known else "")) for name in names
        ]
        return done("".join(f"{name} policy:\n  {offer}:\n" for name, offer in pairs if offer))
    if action in ("fix", "cache"):
        return done()
    return _unknown(words, action)


def _pkg(guest: Guest, words: Words, stdin: bytes) -> Completed:
    action, names = ([*words.plain, ""])[0], words.plain[1:]
    if action == "install":
        return packages.install(guest, _wishes(names))
    if action in ("remove", "delete"):
        return packages.remove(guest, names)
    if action in ("update", "upgrade"):
        return packages.refresh(guest)
    return _unknown(words, action)


DNF = ("y=assumeyes q=quiet assumeyes nobest best allowerasing refresh setopt: enablerepo: disablerepo: "
       "repo: exclude: nogpgcheck C=cacheonly security bugfix skip-broken")  # fmt: skip
#: Command -> the distributions that bring it, by what installs their packages.
COMMANDS: dict[str, tuple[str, Command]] = {
    **dict.fromkeys(("dnf", "yum", "microdnf"), ("dnf", command(DNF, _dnf))),
    "rpm": ("dnf zypper", command("q=query a=all qf=queryformat: queryformat: whatprovides e=erase test import "
                                  "quiet", _rpm)),
    "zypper": ("zypper", command("n=non-interactive non-interactive q=quiet gpg-auto-import-keys y=no-confirm "
                                 "no-confirm "
                                 "auto-agree-with-licenses l=auto-agree-with-licenses no-recommends "
                                 "allow-vendor-change no-refresh recommends force f=force oldpackage "
                                 "clean-deps u=clean-deps allow-downgrade", _zypper)),
    "pacman": ("pacman", command("S=sync p=print y=refresh u=sysupgrade i=info Q=query q=quiet R=remove s=recursive "
                                 "n=nosave "
                                 "noconfirm needed noprogressbar asdeps w=downloadonly quiet", _pacman)),
    "apk": ("apk", command("U=update-cache update-cache no-cache q=quiet s=simulate simulate quiet e=installed "
                           "installed v=verbose I=installed u=upgrade upgrade upgradable no-progress l=upgrade wait: "
                           "available a=available virtual: t=virtual: repository: X=repository: no-interactive", _apk)),
    "pkg": ("pkg", command("y=yes q=quiet f=force", _pkg)),
}  # fmt: skip
