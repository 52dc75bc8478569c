# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the options of routers, in containers and in VMs."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import POLICY, ArgSpec, fields_spec
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.spec import CONTAINER
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.router_spec import ROUTER
from ansible_collections.pve.provision.plugins.module_utils._guests.verify.spec import CHECKS
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.spec import VM
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import OPENWRT_DISK

OPENWRT_LXC: t.Final = POLICY.merge(
    CONTAINER,
    ROUTER,
    CHECKS,
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
    VM,
    ROUTER,
    CHECKS,
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
            "upgrade": {"type": "bool", "default": False},
            "rollback_keep": {"type": "bool", "default": True},
            "recreate": {"type": "bool", "default": False},
        },
    ),
)
"""The options of ``openwrt_vm``."""
