# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of a jump host to the container that it is."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Fetch, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.read import wanted_container
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path

TEMPLATE: t.Final = "alpine-3.22-default"


def read_jump(params: t.Mapping[str, t.Any], nulls: frozenset[Path]) -> tuple[Wanted, t.Sequence[Part]]:
    """A small container with one network and keys to log in with."""
    container = {
        "memory": 128,
        **{name: value for name, value in params.items() if value is not None},
        "ostemplate": TEMPLATE,
        "networks": [{"id": 0, "bridge": params["bridge"], "ip": params.get("address") or "dhcp"}],
        "ssh_public_keys": params.get("ssh_keys"),
    }
    wanted = dataclasses.replace(wanted_container(container, nulls), fetch=Fetch(None))
    missing = () if params.get("ssh_keys") or params["state"] == "absent" else (NO_KEYS,)
    return dataclasses.replace(wanted, findings=(*wanted.findings, *missing)), ()


NO_KEYS: t.Final = Finding("ssh_keys", None, "is missing, so nobody could log in", "State at least one key.")
