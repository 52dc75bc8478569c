# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the options of VMs."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import POLICY, ArgSpec, spec_of
from ansible_collections.pve.provision.plugins.module_utils._guests.app.spec import APP
from ansible_collections.pve.provision.plugins.module_utils._guests.setup.spec import SETUP, SETUP_OF_VMS
from ansible_collections.pve.provision.plugins.module_utils._guests.verify.spec import CHECKS
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.spec import PROFILE
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.options import TABLE
from ansible_collections.pve.provision.plugins.module_utils._model.timeouts import FLAT

# What follows from the router in a VM that has one: what it is made from, its network devices, how it is told what it
# is. Its agent is a matter of yes or no.
_OF_PLAIN_VMS: t.Final = frozenset({
    "clone_from", "restore_from", "bwlimit", "import_working_storage", "ostype", "arch", "scsihw", "efidisk", "tpm",
    "networks", "serials", "boot", "agent", "acpi", "localtime", "cloud_init",
})  # fmt: skip
_DISKS: t.Final = ArgSpec(
    options={"move_disks": {"type": "bool", "default": False}, "purge_disks": {"type": "bool", "default": False}}
)
VM: t.Final = spec_of([option for option in TABLE if option.path[0] not in _OF_PLAIN_VMS]).merge(_DISKS)
"""The options of every VM; documented by the fragment ``pve.provision.vm``."""
PLAIN_VM: t.Final = POLICY.merge(
    spec_of(TABLE),
    PROFILE,
    APP,
    CHECKS,
    SETUP,
    SETUP_OF_VMS,
    _DISKS,
    ArgSpec(
        options={
            "state": {
                "type": "str",
                "choices": ["present", "started", "latest", "stopped", "restarted", "suspended", "template", "absent"],
                "default": "present",
            },
            "image": {"type": "raw"},
            "golden": {"type": "bool"},
            "gpu": {"type": "bool"},
            "recreate": {"type": "bool", "default": False},
            FLAT["agent"]: {"type": "int"},
        },
        mutually_exclusive=[("clone_from", "image"), ("restore_from", "image")],
    ),
)
"""The options of ``vm_create``."""
