# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the options of containers."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import POLICY, ArgSpec, spec_of
from ansible_collections.pve.provision.plugins.module_utils._guests.app.spec import APP
from ansible_collections.pve.provision.plugins.module_utils._guests.setup.spec import SETUP
from ansible_collections.pve.provision.plugins.module_utils._guests.verify.spec import CHECKS
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import TABLE

# What follows in other containers from what they are, and what PVE would write into their files.
_OF_PLAIN_CONTAINERS: t.Final = frozenset({
    "ostemplate", "clone_from", "restore_from", "image", "ostype", "unprivileged", "networks", "features",
    "entrypoint", "env", "nameserver", "searchdomain", "timezone", "password", "ssh_public_keys",
    "ignore_unpack_errors", "bwlimit",
})  # fmt: skip
CONTAINER: t.Final = spec_of([option for option in TABLE if option.param not in _OF_PLAIN_CONTAINERS])
"""The options of every container; documented by the fragment ``pve.provision.container``."""
LXC: t.Final = POLICY.merge(
    spec_of(TABLE),
    APP,
    CHECKS,
    SETUP,
    ArgSpec(
        options={
            "state": {
                "type": "str",
                "choices": ["present", "started", "latest", "stopped", "restarted", "template", "absent"],
                "default": "present",
            },
            "gpu": {"type": "bool"},
            "recreate": {"type": "bool", "default": False},
            "fetch_template": {"type": "bool", "default": True},
            "template_storage": {"type": "str"},
        },
    ),
)
"""The options of ``lxc_create``."""
