# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the options of profiles, those that are for one of them included."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import ArgSpec
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.router_spec import ROUTER
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.windows_setup import VERSIONS

NAMES: t.Final = ("cloud", "docker", "haos", "kubernetes", "opnsense", "talos", "windows", "custom")
OWN: t.Final[dict[str, str]] = {
    "haos": "haos",
    "windows": "windows",
    "cluster": "kubernetes",
    **dict.fromkeys(("interfaces", "management", "zonename", "allow_shared_segment"), "opnsense"),
}
"""The options that are for one profile, and which."""

_TEXT: t.Final = {"type": "str"}
_TEXTS: t.Final = {"type": "list", "elements": "str"}
PROFILE: t.Final = ArgSpec(
    options={
        "profile": {"type": "str", "choices": list(NAMES)},
        "haos": {
            "type": "dict",
            "options": {
                "ssh_keys": {**_TEXTS, "no_log": False},
                "network": {
                    "type": "list",
                    "elements": "dict",
                    "options": {
                        **dict.fromkeys(("ip", "gateway", "ip6", "gateway6"), _TEXT),
                        **dict.fromkeys(("nameservers", "searchdomains"), _TEXTS),
                    },
                },
                "storage": _TEXT,
            },
        },
        "interfaces": {"type": "dict"},
        "management": ROUTER.options["management"],
        "zonename": _TEXT,
        "allow_shared_segment": {"type": "bool"},
        "windows": {
            "type": "dict",
            "options": {
                "version": {"type": "str", "choices": list(VERSIONS), "default": "2025"},
                "admin_password": {"type": "str", "required": True, "no_log": True},
                "product_key": {"type": "str", "no_log": True},
                **dict.fromkeys(("edition", "user", "language", "keyboard", "timezone", "storage"), _TEXT),
            },
        },
        "cluster": {
            "type": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "role": {"type": "str", "choices": ["server", "agent"], "default": "agent"},
                "version": {"type": "str", "default": "stable"},
                **dict.fromkeys(("server", "address", "checksum"), _TEXT),
            },
        },
    },
)
"""Documented by the fragment ``pve.provision.profile``."""
