# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the options of jump hosts."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import POLICY, ArgSpec
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.spec import CONTAINER

LXC_JUMP: t.Final = POLICY.merge(
    CONTAINER,
    ArgSpec(
        options={
            "state": {"type": "str", "choices": ["started", "stopped", "absent"], "default": "started"},
            "bridge": {"type": "str", "default": "vmbr0"},
            "address": {"type": "str"},
            "ssh_keys": {"type": "list", "elements": "str", "no_log": False},
        },
    ),
)
"""The options of ``lxc_jump``."""
