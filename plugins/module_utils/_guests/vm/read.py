# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from the parameters of a VM to what is wanted."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import (
    BackupSource,
    CloneSource,
    State,
    Wanted,
)
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.policy import Policy
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.app.read import read_app
from ansible_collections.pve.provision.plugins.module_utils._guests.guest_connection import GuestConnection
from ansible_collections.pve.provision.plugins.module_utils._guests.latest.read import latest_packages
from ansible_collections.pve.provision.plugins.module_utils._guests.setup.read import read_setup
from ansible_collections.pve.provision.plugins.module_utils._guests.verify.part import verify_part
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.disk_life import Disks
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.gpu import MappedGpu
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.kind import QEMU
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.read import read_profile
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.read_cloud_init import read_cloud_init
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.spec import PLAIN_VM
from ansible_collections.pve.provision.plugins.module_utils._model.compare import render
from ansible_collections.pve.provision.plugins.module_utils._model.declare import declare
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path, rebuild
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.options import CREATION, declare_vm
from ansible_collections.pve.provision.plugins.module_utils._model.setup.options import OF_VMS, OPTIONS

# How far a run may go with disks.
DISK_POLICY: t.Final = ("golden", "move_disks", "purge_disks")


def wanted_vm(params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()) -> Wanted:
    """Read a VM's parameters. What is wrong with them by themselves is among ``findings``."""
    declaration, findings = declare_vm(with_boot_image(params), nulls)
    creation, wrong = declare(CREATION, params)
    if params.get("vmid") is None and not params.get("name"):
        findings.append(Finding("name", None, "is missing", "Name the VM by name, vmid or both."))
    patience = params.get("agent_timeout")
    clone, backup = params.get("clone_from"), params.get("restore_from")
    return Wanted(
        type=QEMU if patience in (None, QEMU.agent_timeout) else dataclasses.replace(QEMU, agent_timeout=patience),
        declaration=declaration,
        state=t.cast(State, params["state"]),
        vmid=params.get("vmid"),
        clone=CloneSource(**clone) if clone else None,
        backup=BackupSource(**backup) if backup else None,
        pool=params.get("pool"),
        rebuild=rebuild(params),
        create=render(CREATION, creation),
        more={name: params.get(name) for name in DISK_POLICY},
        policy=Policy.of(params),
        findings=(*findings, *wrong, *(_without_effect(params) if clone else ())),
    )


def _without_effect(params: t.Mapping[str, t.Any]) -> t.Iterator[Finding]:
    """What counts for disks that are recreated, where a clone has them from another VM."""
    for option in CREATION:
        if params.get(option.param) is not None:
            remedy = "Leave it out, or leave clone_from out."
            yield Finding(option.param, params[option.param], "has no effect on a clone", remedy)


def with_boot_image(params: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """The parameters with the VM's image at its first disk."""
    image = params.get("image")
    if image is None:
        return params
    first, *rest = params.get("disks") or [{}]
    return {**params, "disks": [{**first, "image": first.get("image") or image}, *rest]}


def read_vm(params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()) -> tuple[Wanted, tuple[Part, ...]]:
    """What vm_create wants: a VM, and the parts of a run that are its own."""
    app = read_app("vm", params, nulls, PLAIN_VM)
    profiled = read_profile(app.params, nulls, params)
    wanted = app.over(wanted_vm(profiled.params, nulls))
    cloud_init, wrong = read_cloud_init(profiled.params, nulls, params, profiled.scripts)
    connection, inside = GuestConnection(QEMU, profiled.params.get("ssh_private_key") or ""), Inside()
    setup, amiss = read_setup(profiled.params, (*OPTIONS, *OF_VMS), connection, inside)
    latest = latest_packages(profiled.params, setup, connection, inside)
    verify, unfit = verify_part(profiled.params, "vm", connection, inside, profiled.checks)
    gpu = [MappedGpu(profiled.params.get("hostpci") or ())] if params.get("gpu") else []
    parts: list[Part] = [*profiled.parts, *gpu, cloud_init, Disks(), *setup, *latest, verify]
    findings = (*wanted.findings, *profiled.findings, *wrong, *amiss, *unfit)
    return dataclasses.replace(wanted, findings=findings), tuple(parts)
