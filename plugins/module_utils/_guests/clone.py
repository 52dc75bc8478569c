# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the guest that a new one is cloned from, found and read."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.check_volumes import is_full
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import CloneSource, Wanted
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.mark import without_tags_of_source
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net, without_hwaddr

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts


def with_source(facts: Facts, wanted: Wanted, clone: CloneSource) -> Wanted:
    """The guest to clone, found and read."""
    kind = wanted.type.kind
    name, value = ("vmid", clone.vmid) if clone.vmid is not None else ("name", clone.name)
    found = [guest.vmid for guest in facts.guests if guest.kind == kind and value in (guest.vmid, guest.name)]
    config = facts.node.config(kind, found[0]) if len(found) == 1 else None
    planned = facts.planned.get((kind, str(clone.name)))
    if config is None and planned is not None:
        found, theirs = [planned.vmid], planned.options
    elif config is not None:
        theirs = config.live  # what waits for its next start is not copied
        if clone.snapname:
            saved = facts.node.snapshots.options(kind, found[0], clone.snapname)
            if saved is None:
                listed = ", ".join(each.name for each in facts.node.snapshots.of(kind, found[0])) or "none"
                problem = f"is not a snapshot of {KINDS[kind].noun} {found[0]}"
                return _refused(wanted, "snapname", clone.snapname, problem, f"There are: {listed}.")
            theirs = saved
        if planned is not None and planned.options.get("template") == "1":
            theirs = {**theirs, "template": "1"}
    else:
        problem = f"is the name of several guests: {found}" if len(found) > 1 else "is not a guest of this node"
        return _refused(wanted, name, value, problem, "Use the vmid of a guest of this node.")
    if lock := theirs.get("lock"):
        unlock = f"'{KINDS[kind].command} unlock' removes the lock."
        remedy = f"Wait for its task; if there is none, as after a clone that was killed, {unlock}"
        return _refused(wanted, name, value, f"is locked ({lock})", remedy)
    if clone.storage and not is_full(clone, theirs):
        problem = "does not apply to a linked clone, which is on the storage of its template"
        return _refused(wanted, "storage", clone.storage, problem, "State full: true, or leave it out.")
    if not is_full(clone, theirs) and not clone.snapname and theirs.get("template") != "1":
        problem = f"is not possible: {clone.name or found[0]} is neither a template nor cloned from a snapshot"
        return _refused(wanted, "full", clone.full, problem, "State full: true, or give it state: template.")
    options = {key: as_cloned(wanted, clone, key, text) for key, text in theirs.items()}
    options[wanted.type.name_key] = wanted.name or options.get(wanted.type.name_key, "")
    return dataclasses.replace(
        without_tags_of_source(wanted), clone=dataclasses.replace(clone, vmid=found[0], options=options)
    )


def as_cloned(wanted: Wanted, clone: CloneSource, key: str, text: str) -> str:
    """An option as the clone will have it: a MAC address of its own, and its volumes where they are to go."""
    if is_net(key):
        return without_hwaddr(wanted.type.network, text)
    if clone.storage and wanted.type.is_volume(key) and wanted.type.is_copied(text):
        return re.sub("^[^:,]*:", f"{clone.storage}:", text)
    return text


def _refused(wanted: Wanted, name: str, value: object, problem: str, remedy: str) -> Wanted:
    refusal = Finding(f"clone_from.{name}", value, problem, remedy)
    return dataclasses.replace(wanted, findings=(*wanted.findings, refusal))
