# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a container's declaration leaves open, decided once, before it is created."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import CloneSource, Wanted
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.backup import with_backup
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.template import with_template
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import decide_privilege
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net
from ansible_collections.pve.provision.plugins.module_utils._model.template_name import parse_template
from ansible_collections.pve.provision.plugins.module_utils._model.volume import DEFAULT_SIZE
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import usable

# What PVE writes into a container's files at creation, and drops in silence when ostype is unmanaged.
WRITTEN_INTO_ROOTFS = ("nameserver", "searchdomain", "timezone", "password", "ssh-public-keys")


def complete(facts: Facts, wanted: Wanted) -> Wanted:
    """Fill in what is open: template volid, privilege, rootfs. What cannot be decided becomes a problem."""
    if wanted.clone is not None:
        return _with_source(facts, wanted, wanted.clone)
    if wanted.backup is not None:
        return with_backup(facts, wanted, wanted.backup)
    wanted = with_template(facts, wanted)
    values = {**wanted.defaults, **wanted.declaration.values}
    paths = dict(wanted.declaration.paths)
    findings = list(wanted.findings)
    values["unprivileged"] = decide_privilege(wanted.declaration).unprivileged
    rootfs = {**wanted.defaults.get("rootfs", {}), **(values.get("rootfs") or {})}
    paths.setdefault("rootfs", "rootfs")
    if not rootfs.get("storage") and not rootfs.get("volume"):
        homes = usable(facts.storages, "rootdir")
        if homes:
            rootfs["storage"] = homes[0].name
        else:
            remedy = "Give a storage the content type rootdir."
            findings.append(Finding("rootfs.storage", None, "cannot be chosen: no storage takes containers", remedy))
    rootfs.setdefault("size", DEFAULT_SIZE)
    values["rootfs"] = rootfs
    if values.get("ostype") == "unmanaged":
        # Detection in an unmanaged rootfs falls back to amd64 with a warning (pve-container, Setup.pm).
        values.setdefault("arch", parse_template(wanted.source or "").arch or "amd64")
    return dataclasses.replace(
        wanted,
        declaration=dataclasses.replace(wanted.declaration, values=values, paths=paths),
        findings=tuple(findings),
        notes=(*wanted.notes, *_ignored(wanted, values)),
    )


def _with_source(facts: Facts, wanted: Wanted, clone: CloneSource) -> Wanted:
    """The guest to clone, found and read."""
    kind = wanted.type.kind
    name, value = ("vmid", clone.vmid) if clone.vmid is not None else ("name", clone.name)
    found = [guest.vmid for guest in facts.guests if guest.kind == kind and value in (guest.vmid, guest.name)]
    config = facts.node.config(kind, found[0]) if len(found) == 1 else None
    planned = facts.planned.get((kind, str(clone.name)))
    if config is None and planned is not None:
        found, theirs = [planned.vmid], planned.options
    elif config is not None:
        theirs = config.options
    else:
        problem = "is no guest of this node" if not found else f"is the name of several guests: {found}"
        refusal = Finding(f"clone_from.{name}", value, problem, "Use the vmid of a guest of this node.")
        return dataclasses.replace(wanted, findings=(*wanted.findings, refusal))
    if lock := theirs.get("lock"):
        remedy = "Wait for its task; if there is none, as after a clone that was killed, 'pct unlock' removes the lock."
        refusal = Finding(f"clone_from.{name}", value, f"is locked ({lock})", remedy)
        return dataclasses.replace(wanted, findings=(*wanted.findings, refusal))
    network = wanted.type.network
    options = {
        key: network.render({**network.parse(text), "hwaddr": None}) if is_net(key) else text
        for key, text in theirs.items()
    }
    options[wanted.type.name_key] = wanted.name or options.get(wanted.type.name_key, "")
    return dataclasses.replace(wanted, clone=dataclasses.replace(clone, vmid=found[0], options=options))


def _ignored(wanted: Wanted, values: t.Mapping[str, t.Any]) -> list[str]:
    if values.get("ostype") != "unmanaged":
        return []
    given = {**values, **wanted.create, **wanted.secrets}
    ignored = [option.replace("-", "_") for option in WRITTEN_INTO_ROOTFS if given.get(option)]
    ignored += [wanted.declaration.paths[key] + ".ip" for key, net in values.items() if is_net(key) and net.get("ip")]
    if not ignored:
        return []
    return [f"PVE writes nothing into an unmanaged container; without effect inside: {', '.join(ignored)}"]
