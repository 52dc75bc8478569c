# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the script that asks a guest how it differs from what is declared, or changes just that.

It is fed to the guest's ``sh`` on standard input. What asks holds no secret: contents and hashes go by their SHA-256.
"""

from __future__ import annotations

import itertools
import re
import shlex
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._access.setup.library.files import FILES
from ansible_collections.pve.provision.plugins.module_utils._access.setup.library.head import (
    HEAD,
    PREPARE,
    RECORDS,
    RELEASE,
    TELL_RECORDS,
)
from ansible_collections.pve.provision.plugins.module_utils._access.setup.library.packages import PACKAGES
from ansible_collections.pve.provision.plugins.module_utils._access.setup.library.services import COMMANDS, SERVICES
from ansible_collections.pve.provision.plugins.module_utils._access.setup.library.undo import UNDO
from ansible_collections.pve.provision.plugins.module_utils._access.setup.library.users import USERS
from ansible_collections.pve.provision.plugins.module_utils._model.setup.items import (
    STAGES,
    CommandItem,
    FileItem,
    Item,
    PackageItem,
    ServiceItem,
    Setup,
    Supported,
    UserItem,
    digest_of,
)
from ansible_collections.pve.provision.plugins.module_utils._model.setup.options import PLACEHOLDERS

Lines = t.Iterator[str]
# For how many seconds the package lists are asked for again where the network may be what is amiss.
PATIENCE: t.Final = 120
_PLACEHOLDER: t.Final = re.compile(r"(\{(?:" + "|".join(PLACEHOLDERS) + r")\})")
_LINE_END: t.Final = "\n"
# What is done once before the things of a stage, and after them.
_BEFORE: t.Final = {"services": 'if [ "$init" != none ]; then run services_reload; fi'}
_AFTER: t.Final = {"packages": "packages", "services": "notified", "late": "notified"}


def record_id(kind: str, name: str) -> str:
    """The name of the note about a thing."""
    return f"{kind}-{digest_of(name)[:16]}"


def ask_script(setup: Setup, root: str = "") -> str:
    """What tells how a guest differs. ``root``: where its files are, for whoever looks from outside."""
    items = enumerate(setup.items)
    return "\n".join([
        f"task=ask root={shlex.quote(root)}",
        *_library(setup),
        RECORDS,
        *_query(setup.items, "$noted"),
        *(line for number, item in items for line in _limited(item, _asking(number, item))),
        TELL_RECORDS,
        "tell end",
    ])  # fmt: skip


def apply_script(
    setup: Setup,
    numbers: t.Collection[int] | None = None,
    undo: t.Iterable[str] = (),
    fetched: t.Mapping[int, str] | None = None,
    patience: int = PATIENCE,
    root: str = "",
) -> str:
    """What changes these things alone, or all of them, and takes back what is noted under ``undo``. ``fetched`` are the
    contents that were. The guest reads all of it before it begins."""
    items = [(n, item) for n, item in enumerate(setup.items) if numbers is None or n in numbers]
    lines = [
        f"task=apply patience={patience} root={shlex.quote(root)}",
        *_library(setup),
        UNDO,
        PREPARE,
        *_undoing(tuple(undo)),
        *_query([item for _number, item in items]),
        *_in_stages(items, fetched or {}),
        "leave 0",
    ]
    return "\n".join(["pve_provision_setup() {", *lines, "}", "pve_provision_setup < /dev/null", ""])


def _library(setup: Setup) -> list[str]:
    asks_release = any(isinstance(item, FileItem) and item.substituted for item in setup.items)
    return [HEAD, *([RELEASE] if asks_release else []), PACKAGES, FILES, USERS, SERVICES, COMMANDS]


def _query(items: t.Sequence[Item], more: str = "") -> Lines:
    """Ask the package manager once for all."""
    names = dict.fromkeys(item.name for item in items if isinstance(item, PackageItem))
    yield " ".join(["set --", *names, more]).rstrip()
    yield "have="
    yield 'if [ "$#" -gt 0 ]; then have=$(packages_query "$@" 2> /dev/null); fi'


def _undoing(notes: t.Sequence[str]) -> Lines:
    """Take back what is noted; packages only where nothing else needs them, so they are looked at together first."""
    packages = [each for each in notes if each.startswith("package-")]
    if packages:
        yield " ".join(["taken_back", *(f'"$record"/{shlex.quote(each)}' for each in packages)])
    yield from (f"undo {shlex.quote(each)}" for each in notes)


def _in_stages(items: t.Sequence[tuple[int, Item]], fetched: t.Mapping[int, str]) -> Lines:
    staged = {stage: list(each) for stage, each in itertools.groupby(items, key=lambda numbered: numbered[1].stage)}
    for stage in STAGES:
        if stage in _BEFORE:
            yield _BEFORE[stage]
        for number, item in staged.get(stage, ()):
            yield from _limited(item, [*_providing(number, item, fetched), *_asking(number, item)])
        if stage in _AFTER:
            yield _AFTER[stage]


def _limited(item: Item, lines: t.Iterable[str]) -> Lines:
    """Of what is meant for guests with one package manager, the others hear nothing."""
    if not item.manager:
        yield from lines
        return
    yield f'if [ "$manager" = {item.manager} ]; then'
    yield from lines
    yield "fi"


# -- what asks, and changes --------------------------------------------------------------------------------------------


def _asking(number: int, item: Item) -> Lines:
    """The calls that hold a thing against the guest."""
    for kind, calls in _CALLS.items():
        if isinstance(item, kind):
            yield from calls(number, item)


def _call(function: str, *words: object) -> str:
    """A call of a function; what is not said is a dash."""
    return " ".join([function, *("-" if word in (None, "") else shlex.quote(str(word)) for word in words)])


def _yes(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


def _supported(number: int, item: Supported) -> Lines:
    yield f'case "$manager" in {" | ".join(item.managers)}) ;; *)'
    yield f'fault {number} "is not supported with the package manager of this guest ($manager)"'
    yield ";; esac"


def _package(number: int, item: PackageItem) -> Lines:
    yield _call("package", number, record_id("package", item.name), _yes(item.present), item.name)


def _file(number: int, item: FileItem) -> Lines:
    wanted = shlex.quote(_wanted(item))
    if item.substituted:
        yield f"content_{number}() {{ printf '%s' {_substituted(item.content or '')}; }}"
        yield f"sum=$(content_{number} | sha256sum)"
        wanted = '"${sum%% *}"'
    mode = format(int(item.mode, 8), "o") if item.mode else ""
    first = _call("file", number, record_id("file", item.path), item.path)
    rest = _call("", mode, item.owner, item.group, item.listing, f"content_{number}", *item.notify)
    yield f"{first} {wanted}{rest}"


def _wanted(item: FileItem) -> str:
    """What a file is to be, in the words of the script: a SHA-256, or what is none."""
    if item.kind == "link":
        return f"link-{digest_of(item.target + _LINE_END)}"  # as readlink tells it
    return {"directory": "directory", "absent": "none"}.get(item.kind, item.digest or "own")


def _substituted(text: str) -> str:
    """A text as a word of the shell, with what the guest is in the places of the placeholders."""
    parts = _PLACEHOLDER.split(text)
    return "".join(
        f'"$release_{part[1:-1]}"' if _PLACEHOLDER.fullmatch(part) else shlex.quote(part) for part in parts if part
    )


def _user(number: int, item: UserItem) -> Lines:
    note = record_id("user", item.name)
    if not item.present:
        yield _call("no_user", number, note, item.name)
        return
    comment = "" if item.comment is None else f"={item.comment}"
    yield _call("user", number, note, item.name, item.uid, _yes(item.system), comment, item.home, item.shell)
    digest = "" if item.password_hash is None else digest_of(item.password_hash)
    if digest or item.lock:
        yield _call("password", number, item.name, digest, item.lock or "set", f"content_{number}")
    for group in item.groups:
        yield _call("member", number, record_id("group", f"{item.name} {group}"), item.name, group)
    for key in item.ssh_keys:
        yield _call("authorized", number, record_id("key", f"{item.name} {key}"), item.name, key)


def _service(number: int, item: ServiceItem) -> Lines:
    yield _call("service", number, record_id("service", item.name), item.name, _yes(item.enabled), _yes(item.started))


def _command(number: int, item: CommandItem) -> Lines:
    words = [item.command, item.creates, item.unless, *item.notify]
    yield " ".join(["command_item", str(number), *(shlex.quote(word) for word in words)])


_CALLS: t.Final[dict[type[Item], t.Callable[[int, t.Any], Lines]]] = {
    Supported: _supported,
    PackageItem: _package,
    FileItem: _file,
    UserItem: _user,
    ServiceItem: _service,
    CommandItem: _command,
}


# -- what changes alone ------------------------------------------------------------------------------------------------


def _providing(number: int, item: Item, fetched: t.Mapping[int, str]) -> Lines:
    """The function that gives a file its content, or a user the hash: no command line ever holds it."""
    text = fetched.get(number)
    if isinstance(item, UserItem):
        text = item.password_hash
    elif isinstance(item, FileItem) and not item.substituted:
        text = text if text is not None else item.target or item.content
        if item.url:
            yield f"content_{number}() {{ curl -fsSL --retry 2 --max-time 3600 -- {shlex.quote(item.url)}; }}"
    if text is not None:
        yield f"content_{number}() {{ printf '%s' {shlex.quote(text)}; }}"
