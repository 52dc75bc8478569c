# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages a guest has, in what its package manager writes down, and which its repositories offer."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ..state.root import PRIVATE
from . import catalog, distributions

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..guest.runtime import Guest
    from ..state.rootfs import GuestFiles

DATABASES = {"apt-get": "/var/lib/dpkg/status", "apk": "/lib/apk/db/installed", "dnf": "/var/lib/rpm/packages",
             "zypper": "/var/lib/rpm/packages", "pacman": "/var/lib/pacman/local/packages"}  # fmt: skip
#: Where the package manager keeps what the repositories offered when it last asked.
INDEXES = {
    "apt-get": "/var/lib/apt/lists/packages",
    "apk": "/var/cache/apk/packages",
    "pacman": "/var/lib/pacman/sync/packages",
}
SOURCES = ("/etc/apt/sources.list.d", "/etc/yum.repos.d", "/etc/apk/repositories.d", "/etc/zypp/repos.d")
SOURCE_FILES = ("/etc/apt/sources.list", "/etc/apk/repositories", "/etc/pacman.conf")
VERSION = "1.0-1"
#: What the repositories offer, for tests to change: name -> version, None for a package that nobody offers.
OFFERED = f"{PRIVATE}/packages.json"
NAME = re.compile(r"[a-z0-9][a-z0-9+._-]*(?::\w+)?", re.IGNORECASE)
INSTALLED, LEFTOVER = "install ok installed", "deinstall ok config-files"


@dataclass(frozen=True)
class Entry:
    """A package in the database. ``manual``: somebody asked for it."""

    name: str
    version: str = VERSION
    status: str = INSTALLED
    manual: bool = True
    held: bool = False


def _path(files: GuestFiles) -> str:
    return DATABASES.get(distributions.of(files).manager, DATABASES["apt-get"])


def read(files: GuestFiles) -> dict[str, Entry]:
    """The database; before anything was installed, what the image brought."""
    path = _path(files)
    if not files.exists(path):
        return {name: Entry(name, manual=False) for name in distributions.of(files).packages}
    found: dict[str, Entry] = {}
    for paragraph in files.read(path).split("\n\n"):
        facts = dict(re.findall(r"^([\w-]+): (.*)$", paragraph, re.MULTILINE))
        if "Package" in facts:
            found[facts["Package"]] = Entry(
                facts["Package"], facts.get("Version", VERSION),
                facts.get("Status", INSTALLED).replace("hold", "install"),
                facts.get("Auto-Installed") != "1", facts.get("Status", "").startswith("hold"),
            )  # fmt: skip
    return found


def write(files: GuestFiles, entries: Iterable[Entry]) -> None:
    """Write the database."""
    text = "".join(_paragraph(entry) for entry in sorted(entries, key=lambda entry: entry.name))
    files.write(_path(files), text)


def _paragraph(entry: Entry) -> str:
    status = entry.status.replace("install ", "hold ", 1) if entry.held else entry.status
    auto = "" if entry.manual else "Auto-Installed: 1\n"
    return f"Package: {entry.name}\nStatus: {status}\nVersion: {entry.version}\nArchitecture: amd64\n{auto}\n"


def installed(files: GuestFiles) -> dict[str, Entry]:
    """The packages that are installed."""
    return {name: entry for name, entry in read(files).items() if entry.status == INSTALLED}


def update(files: GuestFiles, *entries: Entry) -> None:
    """Have the database say something else of packages."""
    write(files, {**read(files), **{entry.name: entry for entry in entries}}.values())


def forget(files: GuestFiles, name: str, purge: bool) -> None:
    """A package is removed; without ``purge`` Debian keeps its configuration, and says so."""
    known = read(files)
    entry = known.pop(name, None)
    keeps = not purge and distributions.of(files).manager == "apt-get"
    write(files, [*known.values(), *([replace(entry, status=LEFTOVER)] if entry and keeps else [])])


# -- what is offered ---------------------------------------------------------------------------------------------------


def sources(files: GuestFiles) -> str:
    """What the lists of package sources say."""
    folders = (files.resolve(name) for name in SOURCES)
    texts = [path.read_text(errors="replace") for folder in folders if folder.is_dir()
             for path in sorted(folder.iterdir()) if path.is_file()]  # fmt: skip
    return "\n".join([*texts, *(files.read(name) for name in SOURCE_FILES)])


def refresh(files: GuestFiles) -> None:
    """Remember what the sources offer now."""
    manager = distributions.of(files).manager
    if manager in INDEXES:
        files.write(INDEXES[manager], f"{sources(files)}\n")


def known_sources(files: GuestFiles) -> str | None:
    """The sources that the package manager has asked; None before the first time."""
    index = INDEXES.get(distributions.of(files).manager)
    if index is None:
        return sources(files)
    return files.read(index) if files.exists(index) else None


def offered(guest: Guest, name: str) -> str | None:
    """The version of a package that the repositories offer, None when they do not."""
    asked = known_sources(guest.files)
    told = guest.state.read_json(OFFERED, {})
    unknown = asked is None or not NAME.fullmatch(name) or name.startswith("no-such-")
    if unknown or catalog.package(name).source not in (asked or ""):
        return None
    version = told.get(name, VERSION)
    return None if version is None else str(version)
