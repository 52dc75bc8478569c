# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a new VM gets where its declaration says nothing."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.option import base_of
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import SMALL

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted

# The controller that new disks on SCSI are fastest behind, each with a thread of its own where that is declared.
CONTROLLER: t.Final = "virtio-scsi-single"
# A store for the firmware's variables, without Microsoft's keys: nothing here is signed. Its size in bytes.
EFIDISK: t.Final[dict[str, t.Any]] = {"efitype": "4m", "pre-enrolled-keys": False, "size": SMALL}


def with_defaults(wanted: Wanted) -> Wanted:
    """The VM with the defaults of its profile and ours."""
    declared = wanted.declaration
    values = {key: _over(wanted.defaults.get(key), value) for key, value in declared.values.items()}
    values = {**{key: value for key, value in wanted.defaults.items() if key not in values}, **values}
    if values.get("bios") == "ovmf":
        values["efidisk0"] = _over(EFIDISK, values.get("efidisk0") or {})
    if any(base_of(key) == "scsi" and value for key, value in values.items()):
        values.setdefault("scsihw", CONTROLLER)
    return dataclasses.replace(wanted, declaration=dataclasses.replace(declared, values=values))


def _over(default: t.Any, value: t.Any) -> t.Any:
    """A declared value; what a property string leaves open comes from the default."""
    return {**default, **value} if isinstance(default, dict) and isinstance(value, dict) else value
