# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a guest is set up to be, as single things that a guest can be asked of. Pure.

What a user writes in one option may be several of them: a repository is the file of its key and the file that lists it.
"""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass, field

FileKind = t.Literal["file", "directory", "link", "absent"]
Lock = t.Literal["", "lock", "unlock"]
Listing = t.Literal["", "list", "key"]
Stage = t.Literal["sources", "packages", "users", "files", "early", "services", "late"]
STAGES: t.Final[tuple[Stage, ...]] = t.get_args(Stage)
"""What is done after what: first where packages come from, at the end what needs services."""


def digest_of(text: str) -> str:
    """The SHA-256 of a text."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Item:
    """One thing. ``option`` and ``title`` are how people are told of it; ``manager``: it is meant for guests with this
    package manager alone."""

    option: str
    title: str
    manager: str = field(default="", kw_only=True)

    @property
    def stage(self) -> Stage:
        """When its turn is."""
        return "files"

    @property
    def records(self) -> tuple[tuple[str, str], ...]:
        """What may be noted in the guest of it, each by its kind and name."""
        return ()

    @property
    def on_new(self) -> str:
        """What is done about it in a guest that is new; empty: nothing."""
        return ""


@dataclass(frozen=True)
class Supported(Item):
    """An option that only some package managers can do something about."""

    managers: tuple[str, ...]

    @property
    def stage(self) -> Stage:
        return "sources"


@dataclass(frozen=True)
class PackageItem(Item):
    """A package that is installed, or is not."""

    name: str
    present: bool = True

    @property
    def stage(self) -> Stage:
        return "packages"

    @property
    def records(self) -> tuple[tuple[str, str], ...]:
        return (("package", self.name),)

    @property
    def on_new(self) -> str:
        return "install" if self.present else ""


@dataclass(frozen=True)
class KeySource:
    """A public key that is fetched when it is needed, and what it has to be."""

    url: str
    fingerprints: tuple[str, ...]


@dataclass(frozen=True)
class FileItem(Item):
    """A file, folder or link, or that there is none.

    ``content`` None: it is fetched, by the guest from ``url``, or before by ``key``. ``substituted``: placeholders in
    it stand for what the guest is. ``listing``: it is a list of packages' sources, or a key to them. Without
    ``owner``, ``group`` or ``mode`` a file that is there keeps its own.
    """

    path: str
    kind: FileKind = "file"
    content: str | None = field(default=None, repr=False)
    sha256: str = ""
    secret: bool = False
    substituted: bool = False
    url: str = ""
    key: KeySource | None = None
    target: str = ""
    owner: str = ""
    group: str = ""
    mode: str = ""
    notify: tuple[str, ...] = ()
    listing: Listing = ""

    @property
    def stage(self) -> Stage:
        return "sources" if self.listing else "files"

    @property
    def digest(self) -> str:
        """The SHA-256 of what is to be in it; empty where nobody knows it before."""
        return self.sha256 if self.content is None else digest_of(self.content)

    @property
    def records(self) -> tuple[tuple[str, str], ...]:
        return (("file", self.path),)

    @property
    def on_new(self) -> str:
        return "" if self.kind == "absent" else "create"


@dataclass(frozen=True)
class UserItem(Item):
    """An account. ``password_hash`` None: whatever it has; it holds the mark of a locked one, where that is wanted."""

    name: str
    present: bool = True
    uid: int | None = None
    system: bool = False
    comment: str | None = None
    home: str = ""
    shell: str = ""
    groups: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    password_hash: str | None = field(default=None, repr=False)
    lock: Lock = ""

    @property
    def stage(self) -> Stage:
        return "users"

    @property
    def records(self) -> tuple[tuple[str, str], ...]:
        groups = [("group", f"{self.name} {group}") for group in self.groups]
        keys = [("key", f"{self.name} {key}") for key in self.ssh_keys]
        return (("user", self.name), *groups, *keys)

    @property
    def on_new(self) -> str:
        return "create" if self.present else ""


@dataclass(frozen=True)
class ServiceItem(Item):
    """A service. None: whatever it is."""

    name: str
    enabled: bool | None = None
    started: bool | None = None

    @property
    def stage(self) -> Stage:
        return "services"

    @property
    def records(self) -> tuple[tuple[str, str], ...]:
        return (("service", self.name),)

    @property
    def on_new(self) -> str:
        words = {"enable": self.enabled is True, "start": self.started is True}
        words |= {"disable": self.enabled is False, "stop": self.started is False}
        return ", ".join(word for word, counts in words.items() if counts)


@dataclass(frozen=True)
class CommandItem(Item):
    """A command that is run where ``creates`` is not there and ``unless`` fails. ``early``: before services start."""

    command: str
    creates: str = ""
    unless: str = ""
    early: bool = False
    notify: tuple[str, ...] = ()

    @property
    def stage(self) -> Stage:
        return "early" if self.early else "late"

    @property
    def on_new(self) -> str:
        return "run"


@dataclass(frozen=True)
class Setup:
    """All of it, in the order in which it is done."""

    items: tuple[Item, ...] = ()

    def secrets(self) -> frozenset[str]:
        """What nobody is to be shown."""
        found = {item.content for item in self.items if isinstance(item, FileItem) and item.secret}
        found |= {item.password_hash for item in self.items if isinstance(item, UserItem)}
        return frozenset(text for text in found if text)
