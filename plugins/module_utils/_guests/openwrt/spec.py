# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the options of routers, in containers and in VMs."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import (
    POLICY,
    ROUTER,
    ArgSpec,
    fields_spec,
    spec_of,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.spec import CONTAINER
from ansible_collections.pve.provision.plugins.module_utils._model.qemu import BUSES, OPENWRT_DISK, TABLE

# Options of a VM that follow from the router in it. It has one disk, and its agent is a matter of yes or no.
_OF_PLAIN_VMS: t.Final = frozenset({
    "ostype", "scsihw", "efidisks", *BUSES, "networks", "serials", "boot", "agent",
    "acpi", "localtime",
})  # fmt: skip

OPENWRT_LXC: t.Final = POLICY.merge(
    CONTAINER,
    ROUTER,
    ArgSpec(
        options={
            "state": {
                "type": "str",
                "choices": ["present", "started", "stopped", "restarted", "absent"],
                "default": "started",
            },
            "template": {"type": "str"},
            "template_storage": {"type": "str"},
            "upgrade": {"type": "bool", "default": False},
            "rollback_keep": {"type": "bool", "default": True},
            "ostype": {"type": "str"},
            "unprivileged": {"type": "bool"},
        },
    ),
)
"""The options of ``openwrt_lxc``."""
OPENWRT_VM: t.Final = POLICY.merge(
    spec_of([option for option in TABLE if option.param not in _OF_PLAIN_VMS]),
    ROUTER,
    ArgSpec(
        options={
            "state": {
                "type": "str",
                "choices": ["present", "started", "stopped", "restarted", "absent"],
                "default": "started",
            },
            "filesystem": {"type": "str", "choices": ["ext4", "squashfs"], "default": "ext4"},
            "agent": {"type": "bool"},
            "disk": fields_spec(OPENWRT_DISK),
            "recreate": {"type": "bool", "default": False},
        },
    ),
)
"""The options of ``openwrt_vm``."""
