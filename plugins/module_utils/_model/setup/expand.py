# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from options to single things, in the order in which they are done. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.setup.items import (
    STAGES,
    CommandItem,
    FileItem,
    Item,
    PackageItem,
    ServiceItem,
    Setup,
    UserItem,
)
from ansible_collections.pve.provision.plugins.module_utils._model.setup.repositories import repositories
from ansible_collections.pve.provision.plugins.module_utils._model.setup.system import (
    locale,
    timezone,
    unattended_upgrades,
)

Values = t.Mapping[str, t.Any]
Entry = t.Mapping[str, t.Any]


def expand(values: Values) -> Setup:
    """The options as what they come to, stage by stage."""
    groups: dict[str, list[Item]] = {name: [] for name in STAGES}
    for name, expand_option in _OPTIONS.items():
        if values.get(name) is not None:
            for item in expand_option(values[name]):
                groups[item.stage].append(item)
    return Setup(_once([item for group in groups.values() for item in group]))


def _once(items: t.Sequence[Item]) -> tuple[Item, ...]:
    """Each package once, as the user says it: others may need it, too."""
    known: dict[tuple[str, str], Item] = {}
    for item in items:
        if isinstance(item, PackageItem):
            known.setdefault((item.name, item.manager), item)
    everywhere = {name for name, manager in known if not manager}
    kept = {id(item) for (name, manager), item in known.items() if not manager or name not in everywhere}
    return tuple(item for item in items if not isinstance(item, PackageItem) or id(item) in kept)


# -- packages, users, files, services, commands ------------------------------------------------------------------------


def _packages(entries: t.Sequence[Entry]) -> t.Iterator[Item]:
    for entry in entries:
        present = entry.get("state") != "absent"
        yield PackageItem("packages", entry["name"], entry["name"], present, manager=entry.get("manager") or "")


def _users(entries: t.Sequence[Entry]) -> t.Iterator[Item]:
    for entry in entries:
        yield _user(entry)
        if entry.get("sudo"):
            yield PackageItem("users", "sudo", "sudo")
            tag = "NOPASSWD: " if entry["sudo"] == "nopasswd" else ""
            yield FileItem(
                "users",
                f"{entry['name']}: sudo",
                f"/etc/sudoers.d/pve-provision-{entry['name']}",
                content=f"{entry['name']} ALL=(ALL:ALL) {tag}ALL\n",
                owner="root",
                group="root",
                mode="0440",
            )


def _user(entry: Entry) -> UserItem:
    name, locked, hashed = entry["name"], entry.get("locked"), entry.get("password_hash")
    if hashed is not None and locked:
        hashed = f"!{hashed.lstrip('!')}"
    return UserItem(
        "users",
        name,
        name,
        present=entry.get("state") != "absent",
        uid=entry.get("uid"),
        system=bool(entry.get("system")),
        comment=entry.get("comment"),
        home=entry.get("home") or "",
        shell=entry.get("shell") or "",
        groups=entry.get("groups") or (),
        ssh_keys=entry.get("ssh_keys") or (),
        password_hash=hashed,
        lock="" if locked is None or hashed is not None else "lock" if locked else "unlock",
    )


def _files(entries: t.Sequence[Entry]) -> t.Iterator[Item]:
    for entry in entries:
        manager = entry.get("manager") or ""
        if entry.get("url"):
            yield from (PackageItem("files", name, name, manager=manager) for name in ("ca-certificates", "curl"))
        secret = entry.get("secret_content") is not None
        text = entry["secret_content"] if secret else entry.get("content")
        yield FileItem(
            "files",
            entry["path"],
            entry["path"],
            entry.get("state") or ("link" if entry.get("target") else "file"),
            text,
            entry.get("sha256") or "",
            secret=secret,
            url=entry.get("url") or "",
            target=entry.get("target") or "",
            owner=entry.get("owner") or "",
            group=entry.get("group") or "",
            mode=entry.get("mode") or ("0600" if secret else ""),
            notify=_told(entry),
            manager=manager,
        )


def _services(named: t.Mapping[str, Entry]) -> t.Iterator[Item]:
    for name, entry in named.items():
        plain = name.removesuffix(".service")
        yield ServiceItem("services", plain, plain, entry.get("enabled"), entry.get("started"))


def _told(entry: Entry) -> tuple[str, ...]:
    """The services that are told of a change."""
    return tuple(name.removesuffix(".service") for name in entry.get("notify") or ())


def _commands(entries: t.Sequence[Entry]) -> t.Iterator[Item]:
    for entry in entries:
        command = entry["command"]
        yield CommandItem(
            "commands",
            entry.get("name") or " ".join(command.split()),
            command,
            entry.get("creates") or "",
            entry.get("unless") or "",
            bool(entry.get("before_services")),
            _told(entry),
            manager=entry.get("manager") or "",
        )


_OPTIONS: t.Final[dict[str, t.Callable[[t.Any], t.Iterator[Item]]]] = {
    "repositories": repositories,
    "packages": _packages,
    "users": _users,
    "locale": locale,
    "timezone": timezone,
    "unattended_upgrades": unattended_upgrades,
    "files": _files,
    "services": _services,
    "commands": _commands,
}
