# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the options that say what is in a guest: packages, users, files, services. Pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._model.codec import (
    BOOLEAN,
    Codec,
    choice,
    integer,
    text,
    words,
)
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Field, Fields

MANAGERS: t.Final = ("apt", "apk", "dnf", "pacman", "zypper")
"""The package managers, by the words of ``manager``."""
# What a repository's addresses may leave to the guest.
PLACEHOLDERS: t.Final = ("id", "codename", "version", "major", "minor", "architecture")


@dataclass(frozen=True)
class SetupOption:
    """One option. ``codec`` says how it is read; ``listed``: the user writes a list of such entries.

    ``identity``: what tells the entries of a list apart. ``short``: an entry may be that alone instead of a dictionary.
    ``named``: a dictionary by names, whose values are as ``codec`` says or true or false.
    """

    name: str
    codec: Codec | Fields
    listed: bool = False
    identity: str = "name"
    short: bool = False
    named: bool = False


def _mode() -> Codec:
    matches = re.compile(r"0?[0-7]{3}|[0-7]{4}").fullmatch

    def accept(value: t.Any) -> str:
        if not isinstance(value, str):
            raise ValueError("is a number, of which YAML makes another one; write it in quotes, such as '0644'")
        if not matches(value):
            raise ValueError("is not a valid mode; write its digits in quotes, such as '0644'")
        return format(int(value, 8), "04o")

    return Codec(parse=str, accept=accept, render=str, type="raw")


def _content() -> Codec:
    def accept(value: t.Any) -> str:
        if "\0" in str(value):
            raise ValueError("holds a NUL character, which no text does; let the guest fetch it by url")
        return str(value)

    return Codec(parse=str, accept=accept, render=str)


_LINE: t.Final = r"[^\x00-\x1f\x7f]*"
_PATH: t.Final = text(
    r"(/(?!\.{1,2}(/|$))[^/\x00-\x1f\x7f]+)+", "is not an absolute path, without '.', '..' and a slash at its end"
)
_NAME: t.Final = text(r"[A-Za-z0-9][A-Za-z0-9_-]*", "is not a name made of letters, digits, - and _")
_ACCOUNT: t.Final = text(
    r"[a-z_][a-z0-9_-]{0,30}", "is not a valid name of a user or group: lower case letters, digits, - and _"
)
_OWNER: t.Final = text(r"[a-z_][a-z0-9_-]{0,30}|\d{1,10}", "is not a valid name or number of a user or group")
_PACKAGE: t.Final = text(r"[A-Za-z0-9][A-Za-z0-9+._-]*", "is not a valid package name")
SERVICE: t.Final = text(r"[A-Za-z0-9_][A-Za-z0-9@._:-]*", "is not a valid service name")
_URL: t.Final = text(r"https?://[^\s'\"]+", "is not a URL that begins with http:// or https://")
_MANAGER: t.Final = choice(*MANAGERS)
_WORD: t.Final = text(r"[^\s\x00-\x1f\x7f]+", "is to be one word")


def _listed(item: Codec) -> Codec:
    return words(",", item)


PACKAGE: t.Final = Fields(
    {
        "name": Field(_PACKAGE, required=True),
        "state": Field(choice("present", "absent")),
        "manager": Field(_MANAGER),
    }
)
REPOSITORY: t.Final = Fields(
    {
        "name": Field(_NAME, required=True),
        "uris": Field(
            _listed(text(r"[a-z][a-z+]*:[^\s'\"]+", "is not a URL such as https://deb.example.com")), required=True
        ),
        "suites": Field(_listed(_WORD)),
        "components": Field(_listed(_WORD)),
        "architectures": Field(_listed(_WORD)),
        "public_key": Field(text(r"-----BEGIN PGP PUBLIC KEY BLOCK-----[\s\S]+|-----BEGIN PUBLIC KEY-----[\s\S]+",
                                 "is not a public key in the text form that begins with -----BEGIN", lines=True)),
        "public_key_url": Field(_URL),
        "fingerprints": Field(_listed(text(r"(0x)?([0-9A-Fa-f]\s*){40}|([0-9A-Fa-f]\s*){64}",
                                           "is not a fingerprint of 40 hexadecimal digits",
                                           lambda value: re.sub(r"\s|^0x", "", value).upper()))),
        "public_key_name": Field(text(r"[A-Za-z0-9@][A-Za-z0-9@._-]*", "is not a valid name of a key file")),
        "trusted": Field(BOOLEAN),
        "manager": Field(_MANAGER),
    },
    exclusive=(("public_key", "public_key_url"),),
)  # fmt: skip
USER: t.Final = Fields(
    {
        "name": Field(_ACCOUNT, required=True),
        "state": Field(choice("present", "absent")),
        "uid": Field(integer(1, 4294967294)),
        "system": Field(BOOLEAN),
        "comment": Field(text(r"[^:\x00-\x1f\x7f]*", "holds a colon or a line's end")),
        "home": Field(_PATH),
        "shell": Field(_PATH),
        "groups": Field(_listed(_ACCOUNT)),
        "ssh_keys": Field(
            _listed(text(_LINE + r"(ssh-|ecdsa-|sk-)\S+ [A-Za-z0-9+/]{16}" + _LINE, "is not a public key of one line")),
            public=True,
        ),
        "password_hash": Field(
            text(r"\$[A-Za-z0-9./$=,+_-]+|[!*]", "is not a password hash, such as mkpasswd makes"), secret=True
        ),
        "locked": Field(BOOLEAN),
        "sudo": Field(choice("password", "nopasswd")),
    }
)
FILE: t.Final = Fields(
    {
        "path": Field(_PATH, required=True),
        "state": Field(choice("file", "directory", "link", "absent")),
        "content": Field(_content()),
        "secret_content": Field(_content(), secret=True),
        "url": Field(_URL),
        "sha256": Field(text(r"[0-9a-fA-F]{64}", "is not a SHA-256 of 64 hexadecimal digits", str.lower)),
        "target": Field(text(r"[^\x00-\x1f\x7f]+", "is not a path")),
        "owner": Field(_OWNER),
        "group": Field(_OWNER),
        "mode": Field(_mode()),
        "notify": Field(_listed(SERVICE)),
        "manager": Field(_MANAGER),
    },
    exclusive=(("content", "secret_content", "url", "target"),),
)
SERVICE_STATE: t.Final = Fields({"enabled": Field(BOOLEAN), "started": Field(BOOLEAN)})
COMMAND: t.Final = Fields(
    {
        "name": Field(text(_LINE, "is to be one line")),
        "command": Field(_content(), required=True),
        "creates": Field(_PATH),
        "unless": Field(_content()),
        "before_services": Field(BOOLEAN),
        "notify": Field(_listed(SERVICE)),
        "manager": Field(_MANAGER),
    },
    one_of=(("creates", "unless"),),
)
LOCALE: t.Final = text(r"(C|[a-z]{2,3}_[A-Z]{2})\.UTF-8", "is not a locale such as en_US.UTF-8")
TIMEZONE: t.Final = text(r"[A-Za-z]+(/[A-Za-z0-9_+-]+)*", "is not a time zone such as Europe/Berlin")

OPTIONS: t.Final = (
    SetupOption("packages", PACKAGE, listed=True, short=True),
    SetupOption("repositories", REPOSITORY, listed=True),
    SetupOption("users", USER, listed=True),
    SetupOption("files", FILE, listed=True, identity="path"),
    SetupOption("services", SERVICE_STATE, named=True),
    SetupOption("locale", LOCALE),
    SetupOption("commands", COMMAND, listed=True),
    SetupOption("unattended_upgrades", BOOLEAN),
)
"""What every guest but a router takes."""
OF_VMS: t.Final = (SetupOption("timezone", TIMEZONE),)
"""What VMs take besides: PVE itself gives a container its time zone."""
NAMES: t.Final = tuple(option.name for option in (*OPTIONS, *OF_VMS))


def first_declared(params: t.Mapping[str, t.Any], options: t.Iterable[SetupOption]) -> str | None:
    """The first of the options that says anything of the inside of a guest: an empty list does, and asks for what was
    set to be removed."""
    return next((option.name for option in options if params.get(option.name) is not None), None)
