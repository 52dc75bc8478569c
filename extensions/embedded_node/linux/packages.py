# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing, upgrading and removing packages, whichever package manager is told to."""

from __future__ import annotations

import re
import time
import typing as t
from dataclasses import dataclass, replace

from ..guest.runtime import Completed, done
from ..state import faults
from . import accounts, catalog, distributions, services
from . import package_database as database

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..guest.runtime import Guest

REFUSALS = {
    "apt-get": (100, "E: Unable to locate package {0}\n"),
    "dnf": (1, "Error: Unable to find a match: {0}\n"),
    "apk": (1, "ERROR: unable to select packages:\n  {0} (no such package):\n    required by: world[{0}]\n"),
    "pacman": (1, "error: target not found: {0}\n"),
    "zypper": (104, "No provider of '{0}' found.\n"),
}
UNREACHABLE = {
    "apt-get": (100, "E: Failed to fetch http://deb.debian.org/debian  Temporary failure resolving 'deb.debian.org'\n"),
    "dnf": (1, "Error: Failed to download metadata for repo 'baseos': Cannot prepare internal mirrorlist\n"),
    "apk": (
        1,
        "WARNING: fetching https://dl-cdn.alpinelinux.org/alpine/v3.22/main: temporary error (try again later)\n",
    ),
    "pacman": (1, "error: failed retrieving file 'core.db' from geo.mirror.pkgbuild.com : Could not resolve host\n"),
    "zypper": (106, "Problem retrieving files from 'repo-oss'.\nCould not resolve host: download.opensuse.org\n"),
}
HELD = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (apt-get)\n"
POLICY = "/usr/sbin/policy-rc.d"


@dataclass(frozen=True)
class Wish:
    """A package somebody asks for; without a version the newest, which an installed one is not brought to."""

    name: str
    version: str = ""


def wish(text: str) -> Wish:
    """``nginx`` or ``nginx=1.26-1``; also ``nginx-1.26-1`` is read so where that is how a version is asked for."""
    name, _sign, version = text.partition("=")
    return Wish(name, version)


def online(guest: Guest) -> bool:
    """Whether the guest has an address to ask servers from."""
    return any(card.addresses and card.up and card.bridge for card in guest.interfaces)


def _said(table: dict[str, tuple[int, str]], guest: Guest, *names: str) -> Completed:
    code, text = table.get(distributions.of(guest.files).manager, table["apt-get"])
    return done(rc=code, err="".join(text.format(name) for name in names or ("",)))


def locked(guest: Guest, patience: float) -> Completed | None:
    """What a package manager says while another one is at work (fault ``packages_locked``), after its patience."""
    fault = faults.take(guest.state, "packages_locked", vmid=guest.vmid)
    if fault:
        guest.remember("packages_locked", time.time() + float(fault.get("seconds", 3600)))
    left = guest.recall("packages_locked", 0) - time.time()
    if left <= 0:
        return None
    time.sleep(min(left, max(patience, 0)))
    return done(rc=100, err=HELD) if left > patience else None


def refresh(guest: Guest) -> Completed:
    """Ask the repositories what they offer."""
    if not online(guest):
        return _said(UNREACHABLE, guest)
    unsigned = unsigned_sources(guest)
    if unsigned:
        return done(rc=100, err="".join(f"E: The repository '{url}' is not signed.\n" for url in unsigned))
    paid = [url for _key, url in sources(guest) if url.startswith(catalog.PAID)]
    if paid:
        return done(rc=100, err="".join(f"E: Failed to fetch {url}  401  Unauthorized\n" for url in paid))
    database.refresh(guest.files)
    return done()


def unsigned_sources(guest: Guest) -> list[str]:
    """The apt repositories that name a key which is not there."""
    return [url for key, url in sources(guest) if not guest.files.exists(key)]


def sources(guest: Guest) -> list[tuple[str, str]]:
    """The apt repositories with a key that are switched on: path of the key, address."""
    text = database.sources(guest.files)
    pairs = re.findall(r"^deb \[[^\]]*signed-by=(/[^\s\]]+)[^\]]*\] (\S+)", text, re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n", text):
        facts = dict(re.findall(r"^([\w-]+):[ \t]*(\S.*)$", paragraph, re.MULTILINE))
        if facts.get("Signed-By", "").startswith("/") and facts.get("Enabled", "yes") == "yes":
            pairs.append((facts["Signed-By"], facts.get("URIs", "")))
    return pairs


def install(guest: Guest, wishes: Iterable[Wish], *, upgrade: bool = False, simulate: bool = False) -> Completed:
    """Install packages, all or none; with ``upgrade`` bring installed ones to the newest version."""
    known, todo = database.installed(guest.files), []
    for each in wishes:
        now = known.get(each.name)
        offer = database.offered(guest, each.name)
        if now and (
            now.version == each.version or (not each.version and (not upgrade or offer in (None, now.version)))
        ):
            if not now.manual and not simulate:
                database.update(guest.files, replace(now, manual=True))
            continue
        if now and each.version.endswith("*") and re.match(re.escape(each.version[:-1]), now.version):
            continue
        todo.append((each, offer))
    missing = [each.name for each, offer in todo if offer is None]
    if missing:
        return _said(REFUSALS, guest, *missing)
    wrong = [each for each, offer in todo if each.version and not _fits(each.version, offer or "")]
    if wrong:
        return done(
            rc=100, err="".join(f"E: Version '{each.version}' for '{each.name}' was not found\n" for each in wrong)
        )
    if todo and not online(guest):
        return _said(UNREACHABLE, guest)
    if simulate:
        held = {name: f" [{entry.version}]" for name, entry in known.items()}
        rows = [
            f"Inst {each.name}{held.get(each.name, '')} ({offer} Debian:13/stable [amd64])\n" for each, offer in todo
        ]
        return done("".join(rows))
    for each, offer in todo:
        _unpack(guest, each.name, offer or "")
    return done("".join(f"Setting up {each.name} ({offer}) ...\n" for each, offer in todo))


def _fits(wanted: str, offer: str) -> bool:
    return offer.startswith(wanted[:-1]) if wanted.endswith("*") else offer == wanted


def _unpack(guest: Guest, name: str, version: str) -> None:
    files, brought = guest.files, catalog.package(name)
    fresh = name not in database.installed(files)
    database.update(files, database.Entry(name, version))
    for path in brought.files:
        if not files.exists(path):
            files.write(path, catalog.CONTENTS.get(path, ""), 0o644 if path in catalog.CONTENTS else 0o755)
    if brought.user and accounts.home(files, brought.user) is None:
        home = f"/var/lib/{name}"
        user = accounts.User(brought.user, home=home, shell="/usr/sbin/nologin", system=True, make_home=False)
        accounts.add_user(files, user)
    for unit in brought.units if fresh else ():
        services.brought(guest, unit, starts=not _held_back(guest))


def _held_back(guest: Guest) -> bool:
    """Whether a policy keeps services of new packages from starting."""
    return guest.files.exists(POLICY) and guest.run(["sh", POLICY]).rc == 101


def remove(guest: Guest, names: Iterable[str], purge: bool = False) -> Completed:
    """Remove packages; what is not there has nothing to be removed."""
    known = database.read(guest.files)
    for name in names:
        if name not in known:
            continue
        brought = catalog.package(name)
        for unit in brought.units:
            services.gone(guest, unit)
        database.forget(guest.files, name, purge)
        for path in brought.files:
            guest.files.resolve(path).unlink(missing_ok=True)
    return done()


def upgrade_all(guest: Guest) -> Completed:
    """Bring all packages to what the repositories offer; those that are held stay."""
    wishes = [Wish(name) for name, entry in database.installed(guest.files).items() if not entry.held]
    return install(guest, wishes, upgrade=True)


def outdated(guest: Guest) -> list[tuple[str, str, str]]:
    """The packages of which a newer version is offered: name, version now, version then."""
    pairs = ((entry, database.offered(guest, name)) for name, entry in database.installed(guest.files).items())
    return [
        (entry.name, entry.version, offer) for entry, offer in pairs if offer not in (None, entry.version) and offer
    ]


def installed(guest: Guest) -> Sequence[str]:
    """The names of the packages that are installed."""
    return list(database.installed(guest.files))
