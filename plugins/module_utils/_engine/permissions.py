# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the privileges that a plan needs over the API. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.creation import Clone
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Destroy, JoinPool
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net
from ansible_collections.pve.provision.plugins.module_utils._model.volume import storage_of
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need, file_needs

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
    from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Bridge


def needs(
    wanted: Wanted,
    actual: Actual,
    plan: Plan,
    touched: t.Mapping[str, t.Any],
    bridges: t.Mapping[str, Bridge],
    uploads: t.Iterable[str] = (),
) -> list[Need]:
    """What the plan needs. ``touched`` are the declared values that it writes, ``uploads`` the storages that it puts
    files of ours on."""
    vmid = actual.vmid or wanted.vmid
    steps = {step.action: step.privilege for step in plan.steps if step.privilege}
    if wanted.state == "absent" and not plan:
        steps = {Destroy.action: Destroy.privilege}
    making, cloning = plan.creating, plan.has(Clone)
    guest = f"/vms/{vmid}" if vmid else "/vms"
    here = (guest, f"/pool/{wanted.pool}") if making and wanted.pool else (guest,)
    found = [Need(here, ("VM.Audit",), "reading the guest")]
    found += [Need(here, (privilege,), action) for action, privilege in sorted(steps.items())]
    path = wanted.declaration.paths
    for key in {**touched, **dict.fromkeys((*plan.change.delete, *plan.change.revert))}:
        if privilege := wanted.type.privilege_of(key):
            found.append(Need(here, (privilege,), path.get(key, key)))
    found += wanted.type.value_needs(touched, path)
    if making and not cloning:
        found += wanted.type.creation_needs(touched)
    found += _on_storages(wanted, actual, plan, touched, making)
    found += bridge_needs({key: net for key, net in touched.items() if is_net(key)}, path, bridges)
    found += [need for step in plan.steps for need in step.needs()]
    found += [need for name in uploads for step in ("upload", "remove") for need in file_needs(step, name, "")]
    if wanted.clone and cloning:
        source = f"/vms/{wanted.clone.vmid}" if wanted.clone.vmid else "/vms"
        found.append(Need((source,), ("VM.Clone",), "clone_from"))
    if plan.has(JoinPool):
        found.append(Need((f"/pool/{wanted.pool}",), ("Pool.Allocate",), "pool"))
    return found


def _on_storages(
    wanted: Wanted, actual: Actual, plan: Plan, touched: t.Mapping[str, t.Any], making: bool
) -> list[Need]:
    """New and larger volumes take room; a template is read."""
    found = []
    current = actual.config.options if actual.config and not making else {}
    for key in plan.change.resize:
        home = f"/storage/{storage_of(current.get(key, ''))}"
        found.append(Need((home,), ("Datastore.AllocateSpace",), wanted.declaration.paths.get(key, key)))
    for key, value in touched.items():
        if wanted.type.is_volume(key) and key not in current and not value.get("volume") and value.get("storage"):
            reason = wanted.declaration.paths.get(key, key)
            found.append(Need((f"/storage/{value['storage']}",), ("Datastore.AllocateSpace",), reason))
    if making and wanted.clone and wanted.clone.storage:
        found.append(Need((f"/storage/{wanted.clone.storage}",), ("Datastore.AllocateSpace",), "clone_from.storage"))
    if making and wanted.backup:
        found += wanted.backup.needs
    if making and wanted.source and not wanted.copied:
        places = (f"/storage/{storage_of(wanted.source)}",) if ":" in wanted.source else ("/storage", "/storage/*")
        any_of = ("Datastore.Audit", "Datastore.AllocateSpace", "Datastore.Allocate")
        found.append(Need(places, any_of, wanted.type.source_option))
    return found


def bridge_needs(
    nets: t.Mapping[str, t.Mapping[str, t.Any]], reasons: t.Mapping[str, str], bridges: t.Mapping[str, Bridge]
) -> list[Need]:
    """Each network device needs the use of its bridge, or of the VLAN there. A vnet's zone is not told over the API."""
    found = []
    for key, net in nets.items():
        name = net.get("bridge")
        if not name or (name in bridges and bridges[name].kind == "vnet"):
            continue
        path = f"/sdn/zones/localnetwork/{name}"
        vlans = [net["tag"]] if net.get("tag") else []
        reason = reasons.get(key, key)
        found += [Need((place,), ("SDN.Use",), reason) for place in [f"{path}/{tag}" for tag in vlans] or [path]]
    return found
