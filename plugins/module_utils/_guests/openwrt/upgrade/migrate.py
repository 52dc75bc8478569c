# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what an upgrade of a router takes along to the new guest, and what not."""

from __future__ import annotations

import dataclasses
import io
import re
import tarfile
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seen import Seen
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net
from ansible_collections.pve.provision.plugins.module_utils._model.option import Option
from ansible_collections.pve.provision.plugins.module_utils._model.secrets import slow_digest
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.live import target
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import Files
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import (
    KEYS,
    READABLE,
    SHADOW,
    Read,
    boot_files,
    root_password,
    with_root_password,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_config, parse_export, render

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Kind

# Accounts belong to the release; of the old ones only root's password is carried over.
_ACCOUNTS = frozenset({"etc/passwd", "etc/group", SHADOW})
_LARGEST = 16 * 1024**2  # bytes of one file of a backup
BACKUP = """\
umask 077
file=/tmp/pve-provision-backup.tgz
sysupgrade -b "$file" > /dev/null && hexdump -v -e '1/1 "%02x"' "$file"
rc=$?
rm -f "$file"
exit "$rc"
"""
"""Tells the configuration that OpenWrt itself would carry over, in hexadecimal: what comes out of the guest is text,
and it has no base64."""
ADDED = r"""
if [ -d /etc/apk ]; then cat /etc/apk/world
else awk '/^Package: /{p=$2} /^Status: /{s=$3} /^Installed-Time: /{print $2, s, p}' /usr/lib/opkg/status
fi
"""
"""Tells what somebody installed after the image was made: opkg notes when, apk what was asked for."""
NOT_KEPT = {
    "passwd": "cat /etc/passwd",
    "shadow": "cat /etc/shadow",
    "written": "find /etc /root /home /opt /srv /mnt /usr /www -xdev -type f -newer /etc/openwrt_release",
    "packages": """\
if [ -d /lib/apk/db ]; then awk '/^F:/{d=substr($0,3)} /^R:/{print "/" d "/" substr($0,3)}' /lib/apk/db/installed
else cat /usr/lib/opkg/info/*.list
fi""",
    "backup": "sysupgrade -l",
}
"""What tells the accounts, the files written since the image was made, those of packages, and those of a backup."""
# What a router writes by itself, and what is of no use to another release.
_OWN_FILES = re.compile(
    r"/etc/(board\.json|urandom\.seed|openwrt_\w+|(apk|opkg|uci-defaults)/.*|\..*)|/usr/lib/opkg/.*|/lib/apk/.*"
)
_FIRST_USER = 1000  # user ids below are those of the system and its packages
_NOBODY = 65534
_NAMED = 8  # of the files that are left behind, in a warning
# What the new guest gets only when it takes over.
SWITCHES = frozenset({"onboot", "protection"})


def identity_options(kind: Kind, options: t.Mapping[str, str]) -> dict[str, str]:
    """The options by which a router is who it is: its name, its place on the network and at the node's start."""
    named = {KINDS[kind].name_option, *SWITCHES}
    place = {key: text for key, text in options.items() if is_net(key) or key in named}
    return {"onboot": "0", **place}


def unplugged(kind: Kind, options: t.Mapping[str, str]) -> dict[str, str]:
    """The network devices among the options, with their links down."""
    written = KINDS[kind].network
    nets = {key: written.parse(text) for key, text in options.items() if is_net(key)}
    return {key: written.render({**net, "link_down": True}) for key, net in nets.items()}


def goes_with_it(config: GuestConfig) -> list[str]:
    """What an old guest has that nobody has any more once it is gone: snapshots, and volumes that it does not use."""
    unused = sorted(key for key in config.options if re.fullmatch(r"unused\d+", key))
    return [*unused, *(f"snapshot {name}" for name in config.snapshots)]


def options_to_keep(kind: Kind, table: t.Iterable[Option], options: t.Mapping[str, str]) -> dict[str, str]:
    """The options of the guest that is to replace one, but for its volumes and its name: the same, with its links
    down."""
    known = {option.key for option in table} - {KINDS[kind].name_option, *SWITCHES}
    kept = {key: text for key, text in options.items() if key in known or key.rstrip("0123456789") in known}
    return {**kept, **unplugged(kind, options)}


@dataclass(frozen=True)
class Backup:
    """What is in a ``sysupgrade -b`` archive: path without leading slash -> (mode, content). Accounts are left out.

    ``links`` are the symbolic links in it, which cannot be carried over."""

    files: dict[str, tuple[int, bytes]] = field(repr=False)
    links: tuple[str, ...] = ()


def read_backup(told: str) -> Backup:
    """Read an archive that is given in hexadecimal."""
    files, links = {}, []
    try:
        archive = bytes.fromhex(told)
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                path = member.name.removeprefix("./").lstrip("/")
                if ".." in path.split("/") or path in _ACCOUNTS:
                    continue
                if member.issym():
                    links.append(f"/{path}")
                elif (stream := tar.extractfile(member) if member.isreg() else None) is not None:
                    if member.size > _LARGEST:
                        remedy = "Move it away, or take it out of /etc/sysupgrade.conf."
                        size = f"{member.size / 1024**2:.0f} MiB"
                        raise ImageError(f"/{path} of the router has {size}, too much to carry over.", remedy=remedy)
                    files[path] = (member.mode & 0o777, stream.read())
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise ImageError(f"the router's backup cannot be read: {error}") from error
    return Backup(files, tuple(links))


def files_to_migrate(
    read: Read, version: str, backup: Files, seen: Seen, description: Description
) -> dict[str, tuple[int, bytes]]:
    """What the first boot of the new release finds: the backup, with the configuration in line with the declaration
    as this release writes it, the keys, root's password, and no failsafe mode."""
    running = parse_export(seen.export)
    for name in running:
        if f"etc/config/{name}" in backup:
            running[name] = parse_config(backup[f"etc/config/{name}"][1].decode(), name)
    config = {
        f"etc/config/{name}": (0o644 if name in READABLE else 0o600, render(package).encode())
        for name, package in target(running, description, version).items()
        if package != running.get(name) or f"etc/config/{name}" not in backup
    }
    files = {**backup, **config}
    if KEYS in seen.files:
        files[KEYS] = (0o600, seen.files[KEYS])
    password = root_password(seen.files.get(SHADOW, b"").decode())
    files[SHADOW] = (0o600, with_root_password((read(SHADOW) or b"").decode(), password).encode())
    return files | boot_files(read, description)


def digest_of(backup: Files, seen: Seen, description: Description) -> str:
    """Stands for what is carried over."""
    parts = [sorted(backup.items()), seen.export, sorted(seen.files.items()), dataclasses.asdict(description)]
    return slow_digest(repr(parts).encode())


def added_packages(told: str) -> list[str]:
    """The packages that were not in the image: later than the first by opkg's times, or all that apk was asked for."""
    rows = [line.split() for line in told.splitlines() if line.strip()]
    timed = [(int(row[0]), row[1], row[2]) for row in rows if len(row) == 3 and row[0].isdigit()]
    if not timed:
        return [re.split(r"[=<>~]", row[0])[0] for row in rows if len(row) == 1]
    first = min(when for when, _wish, _name in timed)
    return sorted(name for when, wish, name in timed if when > first and wish == "user")


def not_kept(told: t.Mapping[str, str]) -> list[str]:
    """What the answers to :data:`NOT_KEPT` say that an upgrade leaves behind, in words."""
    lines = {name: text.splitlines() for name, text in told.items()}
    known = {*lines["packages"], *lines["backup"]}
    files = sorted(path for path in lines["written"] if path not in known and not _OWN_FILES.fullmatch(path))
    accounts = _accounts(lines["passwd"], lines["shadow"])
    words = []
    if accounts:
        words.append(f"the upgrade does not migrate the accounts {', '.join(accounts)}: make them in the new router")
    if files:
        more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
        remedy = "name in the router's /etc/sysupgrade.conf what is to be kept"
        words.append(f"the upgrade does not migrate {', '.join(files[:_NAMED])}{more}: {remedy}")
    return words


def _accounts(passwd: t.Iterable[str], shadow: t.Iterable[str]) -> list[str]:
    """The accounts that somebody made: with a password, with the user id of a person, or with root's."""
    fields = [line.split(":") for line in shadow]
    passwords = {entry[0] for entry in fields if len(entry) > 1 and entry[1].startswith("$")}
    rows = [line.split(":") for line in passwd if line.count(":") >= 3]
    uids = {row[0]: int(row[2]) for row in rows if row[2].isdigit() and row[0] != "root"}
    return [
        name for name, uid in uids.items() if name in passwords or uid == 0 or (uid >= _FIRST_USER and uid != _NOBODY)
    ]
