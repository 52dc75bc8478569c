# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a container's declaration leaves open, decided once, before it is created."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.storage_choice import Chooser
from ansible_collections.pve.provision.plugins.module_utils._guests.backup import with_backup
from ansible_collections.pve.provision.plugins.module_utils._guests.clone import with_source
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.template import with_template
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import decide_privilege
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net
from ansible_collections.pve.provision.plugins.module_utils._model.template_name import parse_template
from ansible_collections.pve.provision.plugins.module_utils._model.volume import AUTO, DEFAULT_SIZE

# What PVE writes into a container's files at creation, and drops in silence when ostype is unmanaged.
WRITTEN_INTO_ROOTFS = ("nameserver", "searchdomain", "timezone", "password", "ssh-public-keys")


def complete(facts: Facts, wanted: Wanted) -> Wanted:
    """Fill in what is open: template volid, privilege, rootfs. What cannot be decided becomes a problem."""
    if wanted.clone is not None:
        wanted = with_source(facts, wanted, wanted.clone)
        return with_storages(facts, wanted, wanted.copied.options if wanted.copied else ())
    if wanted.backup is not None:
        wanted = with_backup(facts, wanted, wanted.backup)
        return with_storages(facts, wanted, wanted.copied.options if wanted.copied else ())
    wanted = with_template(facts, wanted)
    values = {**wanted.defaults, **wanted.declaration.values}
    paths = dict(wanted.declaration.paths)
    values["unprivileged"] = decide_privilege(wanted.declaration).unprivileged
    rootfs = {**wanted.defaults.get("rootfs", {}), **(values.get("rootfs") or {})}
    paths.setdefault("rootfs", "rootfs")
    rootfs.setdefault("size", DEFAULT_SIZE)
    if not rootfs.get("storage") and not rootfs.get("volume"):
        rootfs["storage"] = AUTO
    values["rootfs"] = rootfs
    if values.get("ostype") == "unmanaged":
        # Detection in an unmanaged rootfs falls back to amd64 with a warning (pve-container, Setup.pm).
        values.setdefault("arch", parse_template(wanted.source or "").arch or "amd64")
    wanted = dataclasses.replace(
        wanted,
        declaration=dataclasses.replace(wanted.declaration, values=values, paths=paths),
        notes=(*wanted.notes, *_ignored(wanted, values)),
    )
    return with_storages(facts, wanted)


def with_storages(facts: Facts, wanted: Wanted, there: t.Collection[str] = ()) -> Wanted:
    """The container with a storage for each new volume that leaves it open; ``there`` are the options that it has."""
    declared, chooser = wanted.declaration, Chooser(facts, wanted)
    values = dict(declared.values)
    for key, value in declared.values.items():
        if not wanted.type.is_volume(key) or key in there or not value or value.get("storage") != AUTO:
            continue
        option = f"{declared.paths.get(key, key)}.storage"
        storage = chooser.choose(option, wanted.type.content, value.get("size") or DEFAULT_SIZE)
        values[key] = {**value, "storage": storage}
    return chooser.apply(dataclasses.replace(wanted, declaration=dataclasses.replace(declared, values=values)))


def _ignored(wanted: Wanted, values: t.Mapping[str, t.Any]) -> list[str]:
    if values.get("ostype") != "unmanaged":
        return []
    given = {**values, **wanted.create, **wanted.secrets}
    ignored = [option.replace("-", "_") for option in WRITTEN_INTO_ROOTFS if given.get(option)]
    ignored += [wanted.declaration.paths[key] + ".ip" for key, net in values.items() if is_net(key) and net.get("ip")]
    if not ignored:
        return []
    return [f"PVE writes nothing into an unmanaged container; without effect inside: {', '.join(ignored)}"]
