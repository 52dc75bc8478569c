# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of a container to what is wanted."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import (
    BackupSource,
    CloneSource,
    Fetch,
    State,
    Wanted,
)
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.policy import Policy
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.app.read import read_app
from ansible_collections.pve.provision.plugins.module_utils._guests.guest_connection import GuestConnection
from ansible_collections.pve.provision.plugins.module_utils._guests.latest.read import latest_packages
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.kind import LXC, UNMANAGED
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.oci.read import with_image
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.spec import LXC as SPEC
from ansible_collections.pve.provision.plugins.module_utils._guests.own_defaults import with_own_defaults
from ansible_collections.pve.provision.plugins.module_utils._guests.setup.read import read_setup
from ansible_collections.pve.provision.plugins.module_utils._guests.verify.part import verify_part
from ansible_collections.pve.provision.plugins.module_utils._model.compare import render
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import (
    CREATION,
    declare_creation,
    declare_lxc,
)
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path, rebuild
from ansible_collections.pve.provision.plugins.module_utils._model.setup.options import OPTIONS

_SECRETS: t.Final = frozenset(option.key for option in CREATION if option.secret)


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
        policy=Policy.of(params),
        findings=(*findings, *wrong, *_check_name(params)),
    )


def read_container(
    params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()
) -> tuple[Wanted, tuple[Part, ...]]:
    """What lxc_create wants: a container, with what its image and its application add, and the parts of its run."""
    fetch = Fetch(params.get("template_storage")) if params["fetch_template"] else None
    app = read_app("lxc", params, nulls, SPEC)
    wanted, image = with_image(app.params, wanted_container(app.params, nulls, fetch))
    if app.new:
        new, _findings = declare_lxc(app.new)
        wanted = with_own_defaults(wanted, new.values)
    connection, inside = GuestConnection(LXC, app.params.get("ssh_private_key") or ""), Inside()
    gpu = _gpu(app.params, connection, inside) if app.params.get("gpu") else ()
    setup, unfit = read_setup(app.params, OPTIONS, connection, inside)
    latest = latest_packages(app.params, setup, connection, inside)
    verify, wrong = verify_part(app.params, "lxc", connection, inside)
    wanted = app.over(wanted)
    findings = (*wanted.findings, *unfit, *wrong)
    return dataclasses.replace(wanted, findings=findings), (*image, *app.parts, *gpu, *setup, *latest, verify)


def _gpu(params: t.Mapping[str, t.Any], connection: GuestConnection, inside: Inside) -> tuple[Part, ...]:
    from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.gpu import Gpu

    return (Gpu(params.get("devices") or (), connection, inside),)


def _check_name(params: t.Mapping[str, t.Any]) -> t.Iterator[Finding]:
    if params.get("vmid") is None and not params.get("hostname"):
        yield Finding("hostname", None, "is missing", "Name the container by hostname, vmid or both.")
