# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is said of a guest that is to be made, and is in no config: its number, what it is
made from, and who may enter it."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import BOOLEAN, BadEntries, Codec, integer
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Field, Fields

VMID = integer(100, 999999999, "a vmid")


def _password(value: t.Any) -> str:
    password = str(value)
    if len(password) < 5:
        raise ValueError("is too short; Proxmox VE takes 5 characters or more")
    if re.search(r"[\0\r\n]", password):
        raise ValueError("holds a line break; leave it out")
    return password


PASSWORD = Codec(parse=str, accept=_password, render=str)

# A line of authorized_keys: options (whose quoted values may hold spaces), kind of key, key, comment.
_SSH_KEY = re.compile(r'(?:(?:[^\s"#]|"(?:[^"\\]|\\.)*")+[ \t]+)?(ssh-|ecdsa-|sk-)\S+[ \t]+[A-Za-z0-9+/]+=*([ \t].*)?')


def _ssh_keys(entries: t.Iterable[t.Any]) -> tuple[str, ...]:
    """The lines of keys; an entry may be a whole file of them, with comments and empty lines."""
    lines = [
        (place, line.strip())
        for place, entry in enumerate(entries)
        for line in str(entry).splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    problem = "is not an SSH public key; give the line of an OpenSSH public key file, or one as in authorized_keys"
    wrong = [(place, line, problem) for place, line in lines if not _SSH_KEY.fullmatch(line)]
    if wrong:
        raise BadEntries(wrong)
    return tuple(line for _place, line in lines)


SSH_KEYS = Codec(
    parse=lambda value: tuple(value.splitlines()),
    accept=_ssh_keys,
    render=lambda value: "".join(f"{line}\n" for line in value),
    type="list",
    elements="str",
)
# What the user says of the container that a new one is cloned from.
CLONE_FROM = Fields(
    {"vmid": Field(VMID), "name": Field(), "full": Field(BOOLEAN), "snapname": Field(), "storage": Field()},
    exclusive=(("vmid", "name"),),
    one_of=(("vmid", "name"),),
)
# What the user says of the backup that a new one is restored from.
RESTORE_FROM = Fields({"backup": Field(required=True), "storage": Field()})
# What the user says of the image that a new container is made from.
OCI_IMAGE = Fields({"oci": Field(required=True), "username": Field(), "password": Field(secret=True)})


def check_vmids(params: t.Mapping[str, t.Any]) -> t.Iterator[Finding]:
    """What is wrong with a guest's number, and with that of the one that it is cloned from."""
    clone = params.get("clone_from") or {}
    said = (
        ("vmid", params.get("vmid"), "Leave it out to get the lowest free one."),
        ("clone_from.vmid", clone.get("vmid"), "State the number of the guest to clone, or its name."),
    )
    for option, vmid, remedy in said:
        try:
            if vmid is not None:
                VMID.accept(vmid)
        except ValueError as error:
            yield Finding(option, vmid, str(error), remedy)
