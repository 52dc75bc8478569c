# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of a VM to what is wanted."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import (
    Policy,
    State,
    Wanted,
    rebuild,
)
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.kind import QEMU
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import (
    declare_vm,
)


def wanted_vm(params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()) -> Wanted:
    """Read a VM's parameters. What is wrong with them by themselves is among ``findings``."""
    declaration, findings = declare_vm(params, nulls)
    if params.get("vmid") is None and not params.get("name"):
        findings.append(Finding("name", None, "is missing", "Name the VM by name, vmid or both."))
    return Wanted(
        type=QEMU,
        declaration=declaration,
        state=t.cast(State, params["state"]),
        vmid=params.get("vmid"),
        pool=params.get("pool"),
        rebuild=rebuild(params),
        policy=Policy(**{name: params[name] for name in Policy.__dataclass_fields__ if params.get(name) is not None}),
        findings=tuple(findings),
    )
