# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the password that cloud-init gives a VM's user; not everybody is shown its hash."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Unsupported
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.dump import read_user
from ansible_collections.pve.provision.plugins.module_utils._model.option import MASKED
from ansible_collections.pve.provision.plugins.module_utils._model.sha_crypt import fits, hash_password, is_hash

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

PASSWORD: t.Final = "cipassword"
PRIVILEGE: t.Final = "VM.Config.Cloudinit"
_SHOWN_TO: t.Final = f"PVE shows its hash to logins with {PRIVILEGE} on the VM, and 9.1.8 and 9.1.9 hide it from more"
PASSWORD_HIDDEN: t.Final = f"whether the VM has the declared password is not known, and it stays as it is: {_SHOWN_TO}"
_LINE: t.Final = re.compile(rf"^password: {re.escape(MASKED)}$", re.MULTILINE)


class Password(t.NamedTuple):
    """``value``: what PVE's option is to be; ``hash``: what the guest is told; ``hidden``: what it has is hidden."""

    value: str
    hash: str
    hidden: bool = False


def decide(node: Node, vmid: int | None, declared: str, held: str) -> Password:
    """The hash of a declared password: the one that the VM has, where it is that of the declared one."""
    stored = held
    if held == MASKED and vmid is not None:
        stored = str(read_user(node.cloud_init.dump(vmid, "user")).get("password", ""))
    if stored == declared if is_hash(declared) else fits(declared, stored):
        return Password(held, stored)
    new = declared if is_hash(declared) else hash_password(declared)
    return Password(held, new, hidden=True) if stored == MASKED else Password(new, new)


def with_hash(text: str, known: str) -> str:
    """User data that PVE tells, with the hash that it may have hidden there."""
    if not _LINE.search(text):
        return text
    if not known:
        told = f"the VM's password would be lost: {_SHOWN_TO}"
        raise Unsupported(told, remedy=f"Give the login {PRIVILEGE}, or declare cloud_init.password.")
    return _LINE.sub(lambda _line: f"password: {known}", text)
