# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's package tools: ``apt-get``, ``apt``, ``apt-cache``, ``apt-mark``, ``dpkg``, ``dpkg-query``."""

from __future__ import annotations

import re
import subprocess
import typing as t
from dataclasses import replace

from ..guest.arguments import Words, command
from ..guest.runtime import Completed, done
from . import package_database as database
from . import packages
from .formats import filled, unescaped

if t.TYPE_CHECKING:
    from ..guest.runtime import Command, Guest

OPTIONS = (
    "y=yes q=quiet assume-yes=yes o=option: t=target-release: c=config-file: s=simulate dry-run=simulate "
    "just-print=simulate no-install-recommends install-recommends allow-downgrades allow-change-held-packages "
    "only-upgrade no-remove reinstall "
    "purge auto-remove=autoremove autoremove no-upgrade fix-broken f=fix-broken allow-unauthenticated m=fix-missing "
    "fix-missing no-download d=download-only u V=verbose-versions qq=quiet"
)


def _apt_get(guest: Guest, words: Words, stdin: bytes) -> Completed:
    action, names = ([*words.plain, ""])[0], [packages.wish(name) for name in words.plain[1:]]
    if action in ("update", "install", "remove", "purge", "upgrade", "dist-upgrade", "full-upgrade", "autoremove"):
        held = None if "simulate" in words else packages.locked(guest, _patience(words))
        if held:
            return held
    simulate = "simulate" in words
    if action == "update":
        return _update(guest, words)
    if action == "install":
        removed = [each.name.removesuffix("-") for each in names if each.name.endswith("-")]
        wanted = [each for each in names if not each.name.endswith("-")]
        if "only-upgrade" in words:
            wanted = [each for each in wanted if each.name in database.installed(guest.files)]
        newest = "no-upgrade" not in words
        made = packages.install(guest, wanted, upgrade=newest, simulate=simulate)
        return made if made.rc or simulate else (packages.remove(guest, removed) and made)
    if action in ("remove", "purge"):
        known = database.read(guest.files)
        unknown = [each.name for each in names if each.name not in known and database.offered(guest, each.name) is None]
        if unknown:
            return done(rc=100, err="".join(f"E: Unable to locate package {name}\n" for name in unknown))
        if simulate:
            return done(
                "".join(f"Remv {each.name} [{known[each.name].version}]\n" for each in names if each.name in known)
            )
        return packages.remove(guest, (each.name for each in names), purge=action == "purge" or "purge" in words)
    if action in ("upgrade", "dist-upgrade", "full-upgrade"):
        if simulate:
            return done("".join(f"Inst {name} [{old}] ({new} Debian:13/stable [amd64])\n"
                                for name, old, new in packages.outdated(guest)))  # fmt: skip
        return packages.upgrade_all(guest)
    if action in ("autoremove", "autoclean", "clean", "check"):
        return done()
    return done(rc=127, err=f"{words.name}: operation {action!r} is not known here\n")


def _patience(words: Words) -> float:
    given = (option.partition("=") for option in words.given.get("option", ()))
    return next((float(value) for name, _sign, value in given if name.lower() == "dpkg::lock::timeout"), 0)


def _update(guest: Guest, words: Words) -> Completed:
    """Without a network it warns, and ends well all the same unless it is told that any error counts."""
    made = packages.refresh(guest)
    strict = any(option.lower() == "apt::update::error-mode=any" for option in words.given.get("option", ()))
    if made.rc and not packages.online(guest) and not strict:
        warned = made.stderr.decode().replace("E: ", "W: ", 1)
        return done(
            err=f"{warned}W: Some index files failed to download. They have been ignored, or old ones used instead.\n"
        )
    return made


def _apt_cache(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``apt-cache policy NAME ...``, ``show``, ``madison``."""
    action, names = ([*words.plain, ""])[0], words.plain[1:]
    known, told = database.installed(guest.files), ""
    if action not in ("policy", "show", "madison"):
        return done(rc=127, err=f"apt-cache: operation {action!r} is not known here\n")
    for name in names:
        offer = database.offered(guest, name)
        now = known[name].version if name in known else "(none)"
        if offer is None and name not in known:
            continue
        if action == "show":
            told += f"Package: {name}\nVersion: {offer}\nArchitecture: amd64\n\n"
        elif action == "madison":
            told += f"{name:>10} | {offer} | http://deb.debian.org/debian trixie/main amd64 Packages\n"
        else:
            told += f"{name}:\n  Installed: {now}\n  Candidate: {offer or now}\n  Version table:\n"
    missing = [name for name in names if database.offered(guest, name) is None and name not in known]
    if missing and action == "show":
        return done(told, 100, "E: No packages found\n")
    return done(told)


def _apt_mark(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``apt-mark hold|unhold|manual|auto NAME ...``, ``showhold``, ``showmanual``, ``showauto``."""
    action, names = ([*words.plain, ""])[0], words.plain[1:]
    known = database.installed(guest.files)
    shown: dict[str, t.Callable[[database.Entry], bool]] = {
        "showhold": lambda entry: entry.held, "showmanual": lambda entry: entry.manual,
        "showauto": lambda entry: not entry.manual,
    }  # fmt: skip
    if action in shown:
        found = [name for name, entry in sorted(known.items()) if shown[action](entry) and (not names or name in names)]
        return done("".join(f"{name}\n" for name in found))
    if action not in ("hold", "unhold", "manual", "auto"):
        return done(rc=127, err=f"apt-mark: operation {action!r} is not known here\n")
    missing = [name for name in names if name not in known]
    if missing:
        return done(rc=100, err="".join(f"E: Unable to locate package {name}\n" for name in missing))
    fact = {"held": action == "hold"} if "hold" in action else {"manual": action == "manual"}
    database.update(guest.files, *(replace(known[name], **fact) for name in names))
    return done()


# -- dpkg --------------------------------------------------------------------------------------------------------------


def _fields(entry: database.Entry) -> dict[str, str]:
    want, error, state = (("hold" if entry.held else entry.status.split()[0]), *entry.status.split()[1:])
    letters = {"install": "i", "hold": "h", "deinstall": "r", "installed": "i", "config-files": "c"}
    return {
        "Package": entry.name, "binary:Package": entry.name, "Version": entry.version, "Architecture": "amd64",
        "Status": f"{want} {error} {state}", "db:Status-Status": state, "db:Status-Want": want,
        "db:Status-Abbrev": f"{letters[want]}{letters[state]} ",
    }  # fmt: skip


def _dpkg_query(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``dpkg-query -W [-f FORMAT] [NAME ...]``, ``-s NAME``, ``-l``."""
    known = database.read(guest.files)
    names = [name.partition(":")[0] for name in words.plain] or sorted(known)
    missing = [name for name in names if name not in known]
    found = [_fields(known[name]) for name in names if name in known]
    if "status" in words:
        said = "".join(
            f"dpkg-query: package '{name}' is not installed and no information is available\n" for name in missing
        )
        told = ("".join(f"{key}: {fields[key]}\n" for key in ("Package", "Status", "Architecture", "Version"))
                for fields in found)  # fmt: skip
        return done("\n".join(told), int(bool(missing)), said)
    said = "".join(f"dpkg-query: no packages found matching {name}\n" for name in missing)
    form = words.value("showformat", "${binary:Package}\\t${Version}\\n").removeprefix("=")
    if "list" in words:
        form = "${db:Status-Abbrev} ${Package} ${Version} ${Architecture}\\n"
    told = (filled(unescaped(form), r"\$\{([^;}]+)(?:;-?\d+)?\}", fields) for fields in found)
    return done("".join(told), int(bool(missing)), said)


def _dpkg(guest: Guest, words: Words, stdin: bytes) -> Completed:
    if "print-architecture" in words:
        return done("amd64\n")
    if "compare-versions" in words:
        return compared(*words.plain[:3])
    if {"configure", "audit"} & set(words.given):
        return done()
    if {"status", "list", "show"} & set(words.given):
        return _dpkg_query(guest, words, stdin)
    return done(rc=127, err="dpkg: this is not known here\n")


def compared(left: str, operator: str, right: str) -> Completed:
    """By this machine's dpkg, else by the numbers in the versions."""
    try:
        made = subprocess.run(["dpkg", "--compare-versions", left, operator, right], check=False)
    except FileNotFoundError:
        one, two = (
            [int(part) if part.isdigit() else part for part in re.findall(r"\d+|\D+", text)] for text in (left, right)
        )
        texts = [[(isinstance(part, str), str(part).zfill(9)) for part in parts] for parts in (one, two)]
        order = (texts[0] > texts[1]) - (texts[0] < texts[1])
        holds = {
            "lt": order < 0,
            "le": order <= 0,
            "eq": order == 0,
            "ne": order != 0,
            "ge": order >= 0,
            "gt": order > 0,
        }
        return done(rc=int(not holds[operator]))
    return done(rc=made.returncode)


QUERY = "W=show f=showformat: s=status l=list no-pager"
COMMANDS: dict[str, Command] = {
    **dict.fromkeys(("apt-get", "apt"), command(OPTIONS, _apt_get)),
    "apt-cache": command("q=quiet n=names-only a=all-versions no-all-versions", _apt_cache),
    "apt-mark": command("q=quiet qq", _apt_mark),
    "dpkg": command(f"{QUERY} print-architecture compare-versions configure a=all audit force-confold", _dpkg),
    "dpkg-query": command(QUERY, _dpkg_query),
}
