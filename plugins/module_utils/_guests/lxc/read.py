# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of a container to what is wanted."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import (
    CloneSource,
    GuestType,
    Part,
    Policy,
    State,
    Wanted,
    rebuild,
)
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc import complete as create
from ansible_collections.pve.provision.plugins.module_utils._model.diff import Path
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import (
    OPTIONS,
    check_container,
    decide_privilege,
    declare_lxc,
)
from ansible_collections.pve.provision.plugins.module_utils._model.network import NET

LXC = GuestType(
    kind="lxc",
    noun="container",
    table=OPTIONS,
    name_key="hostname",
    content="rootdir",
    network=NET,
    is_volume=lambda key: re.fullmatch(r"rootfs|(mp|unused)\d+", key) is not None,
    complete=create.complete,
    check=check_container,
    privilege=lambda declaration: decide_privilege(declaration).reason,
)

# A container that PVE does not manage gives itself its host name.
UNMANAGED = dataclasses.replace(
    LXC,
    table=tuple(
        dataclasses.replace(option, hotplug=True, hotplug_delete=True) if option.key == "hostname" else option
        for option in OPTIONS
    ),
)

# A line of authorized_keys: options (whose quoted values may hold spaces), kind of key, key, comment.
SSH_KEY = re.compile(r'(?:(?:[^\s"#]|"(?:[^"\\]|\\.)*")+[ \t]+)?(ssh-|ecdsa-|sk-)\S+[ \t]+[A-Za-z0-9+/]+=*([ \t].*)?')
# The user's option, PVE's: what counts only when a container is created, and what of that nobody may see.
CREATE_ONLY = {"ignore_unpack_errors": "ignore-unpack-errors", "bwlimit": "bwlimit"}


def wanted_container(params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()) -> Wanted:
    """Read a container's parameters. What is wrong with them by themselves is among ``findings``."""
    declaration, findings = declare_lxc(params, nulls)
    keys = _key_lines(params.get("ssh_public_keys") or [])
    secrets = {"password": params.get("password"), "ssh-public-keys": "\n".join(keys.values()) + "\n" if keys else None}
    clone = params.get("clone_from")
    return Wanted(
        type=UNMANAGED if params.get("ostype") == "unmanaged" else LXC,
        declaration=declaration,
        state=t.cast(State, params["state"]),
        vmid=params.get("vmid"),
        source=params.get("ostemplate"),
        clone=CloneSource(**clone) if clone else None,
        pool=params.get("pool"),
        rebuild=rebuild(params),
        create={key: _text(params[name]) for name, key in CREATE_ONLY.items() if params.get(name) is not None},
        secrets={key: value for key, value in secrets.items() if value},
        policy=Policy(**{name: params[name] for name in Policy.__dataclass_fields__ if params.get(name) is not None}),
        findings=(*findings, *_check(params, keys)),
    )


def read_container(params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()) -> tuple[Wanted, Part]:
    """What lxc_create wants: a container, with nothing of its own in the workflow."""
    return wanted_container(params, nulls), Part()


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _key_lines(entries: t.Sequence[str]) -> dict[tuple[int, int], str]:
    """The keys by entry and line: an entry may be a whole file of them, with comments and empty lines."""
    return {
        (position, number): line.strip()
        for position, entry in enumerate(entries)
        for number, line in enumerate(entry.splitlines())
        if line.strip() and not line.lstrip().startswith("#")
    }


def _check(params: t.Mapping[str, t.Any], keys: t.Mapping[tuple[int, int], str]) -> t.Iterator[Finding]:
    for (position, _number), key in keys.items():
        if not SSH_KEY.fullmatch(key):
            remedy = "Give the line of an OpenSSH public key file, or one as in authorized_keys."
            yield Finding(f"ssh_public_keys[{position}]", key, "is not an SSH public key", remedy)
    password = params.get("password")
    if password is not None and len(password) < 5:
        yield Finding("password", "********", "is too short", "Proxmox VE takes 5 characters or more.")
    if password is not None and re.search(r"[\0\r\n]", password):
        yield Finding("password", "********", "holds a line break", "Leave it out.")
    if params.get("clone_from"):
        for option in ("password", "ssh_public_keys", *CREATE_ONLY):
            if params.get(option) is not None:
                value = "********" if option == "password" else params[option]
                yield Finding(option, value, "has no effect on a clone", "Leave it out, or use ostemplate.")
    if params.get("vmid") is None and not params.get("hostname"):
        yield Finding("hostname", None, "is missing", "Name the container by hostname, vmid or both.")
