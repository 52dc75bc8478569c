# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of a container to what is wanted."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.guest import (
    BackupSource,
    CloneSource,
    Fetch,
    Policy,
    State,
    Wanted,
    rebuild,
)
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.kind import LXC, UNMANAGED
from ansible_collections.pve.provision.plugins.module_utils._model.compare import render
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import (
    CREATION,
    declare_creation,
    declare_lxc,
)
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path

_SECRETS: t.Final = frozenset(option.key for option in CREATION if option.secret)
_POLICY: t.Final = tuple(Policy.__dataclass_fields__)


def wanted_container(
    params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset(), fetch: Fetch | None = None
) -> Wanted:
    """Read a container's parameters. What is wrong with them by themselves is among ``findings``."""
    declaration, findings = declare_lxc(params, nulls)
    creation, wrong = declare_creation(params)
    create = render(CREATION, creation)
    clone = params.get("clone_from")
    return Wanted(
        type=UNMANAGED if params.get("ostype") == "unmanaged" else LXC,
        declaration=declaration,
        state=t.cast(State, params["state"]),
        vmid=params.get("vmid"),
        source=params.get("ostemplate"),
        fetch=fetch,
        clone=CloneSource(**clone) if clone else None,
        backup=BackupSource(**params["restore_from"]) if params.get("restore_from") else None,
        pool=params.get("pool"),
        rebuild=rebuild(params),
        create={key: value for key, value in create.items() if key not in _SECRETS},
        secrets={key: value for key, value in create.items() if key in _SECRETS},
        policy=Policy(**{name: params[name] for name in _POLICY if name in params and params[name] is not None}),
        findings=(*findings, *wrong, *_check_name(params)),
    )


def read_container(
    params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()
) -> tuple[Wanted, tuple[Part, ...]]:
    """What lxc_create wants: a container, with nothing of its own in the run."""
    fetch = Fetch(params.get("template_storage")) if params["fetch_template"] else None
    return wanted_container(params, nulls, fetch), ()


def _check_name(params: t.Mapping[str, t.Any]) -> t.Iterator[Finding]:
    if params.get("vmid") is None and not params.get("hostname"):
        yield Finding("hostname", None, "is missing", "Name the container by hostname, vmid or both.")
