# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the options of guests that run an application, and what a profile of one consists of."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import ArgSpec
from ansible_collections.pve.provision.plugins.module_utils._model.apps.needs import NEEDS
from ansible_collections.pve.provision.plugins.module_utils._model.apps.options import TYPES

APP: t.Final = ArgSpec(
    options={
        "app": {"type": "str"},
        "app_options": {"type": "dict"},
        "app_secrets": {"type": "dict", "no_log": True},
    },
)
"""What a guest says of its application; documented by the fragment ``pve.provision.app``."""
PROFILES: t.Final = ArgSpec(
    options={
        "app_paths": {"type": "list", "elements": "path"},
        "app_profiles": {"type": "dict", "no_log": False},
    }
)
"""What a module is told of applications, for all its guests; documented by the fragment ``pve.provision.app_paths``."""

_TEXTS: t.Final = {"type": "list", "elements": "str", "default": []}
CATEGORIES: t.Final = (
    "automation", "backup", "containers", "database", "development", "files", "mail", "media", "messaging",
    "monitoring", "network", "office", "printing", "proxy", "vpn", "web", "other",
)  # fmt: skip
APP_INFO: t.Final = ArgSpec(
    options={
        "name": {"type": "str"},
        "search": {"type": "str"},
        "category": {"type": "str", "choices": list(CATEGORIES)},
        "tags": {"type": "list", "elements": "str"},
        "complete": {"type": "bool"},
        "app_paths": PROFILES.options["app_paths"],
    }
)
"""The options of ``app_info``."""
PROFILE: t.Final = ArgSpec(
    options={
        "title": {"type": "str", "required": True},
        "description": {"type": "str", "required": True},
        "category": {"type": "str", "choices": list(CATEGORIES), "default": "other"},
        "tags": _TEXTS,
        "complete": {"type": "bool", "default": True},
        "types": {"type": "list", "elements": "str", "choices": ["lxc", "vm", "openwrt_lxc"], "default": ["lxc", "vm"]},
        "cores": {"type": "int", "default": 1},
        "memory": {"type": "int", "default": 512},
        "disk": {"type": "str", "default": "4G"},
        "ostemplate": {"type": "str", "default": "debian-13-standard"},
        "image": {"type": "str", "default": "debian-13"},
        "needs": {"type": "list", "elements": "str", "choices": list(NEEDS), "default": []},
        "ports": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "port": {"type": "int", "required": True},
                "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
                "scheme": {"type": "str", "choices": ["http", "https"]},
                "path": {"type": "str", "default": "/"},
            },
        },
        "options": {"type": "dict", "default": {}},
        "lxc": {"type": "dict", "default": {}},
        "vm": {"type": "dict", "default": {}},
    }
)
"""What a profile says of an application, besides the options of guests in ``INSIDE``."""
OPTION: t.Final[dict[str, dict[str, t.Any]]] = {
    "type": {"type": "str", "choices": list(TYPES), "default": "str"},
    "description": {"type": "str", "required": True},
    "default": {"type": "raw"},
    "example": {"type": "raw"},
    "required": {"type": "bool", "default": False},
    "secret": {"type": "bool", "default": False, "no_log": False},
    "choices": {"type": "list", "elements": "raw"},
    "pattern": {"type": "str"},
    "key_pattern": {"type": "str", "no_log": False},
    "key_example": {"type": "str", "no_log": False},
    "minimum": {"type": "int"},
    "maximum": {"type": "int"},
    "multiline": {"type": "bool", "default": False},
    "elements": {"type": "str", "choices": list(TYPES)},
    "options": {"type": "dict"},
    "format": {"type": "str"},
    "join": {"type": "str"},
}
"""What a profile says of an option of its application."""
INSIDE: t.Final = (
    "repositories", "packages", "users", "files", "services", "commands", "checks", "locale", "unattended_upgrades",
)  # fmt: skip
"""The options of guests that a profile may set at its top, with the values of its own options in them."""
