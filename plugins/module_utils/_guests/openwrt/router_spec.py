# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the options by which a router is declared, whatever system it runs on."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import ArgSpec

ROUTER: t.Final = ArgSpec(
    options={
        "version": {"type": "str", "default": "24"},
        "mirrors": {"type": "list", "elements": "str"},
        "keys": {"type": "list", "elements": "str", "no_log": False},
        "verify": {"type": "str", "choices": ["required", "checksum", "none"]},
        "offline_ok": {"type": "bool", "default": False},
        "interfaces": {"type": "dict", "default": {}},
        "management": {
            "type": "dict",
            "options": {
                "from": {"type": "list", "elements": "str"},
                "ssh_keys": {"type": "list", "elements": "str", "no_log": False},
                "password_hash": {"type": "str", "no_log": True},
                "luci": {"type": "bool"},
                "allow_empty_password": {"type": "bool", "no_log": False},
            },
        },
        "uci": {"type": "dict"},
        "secret_names": {"type": "list", "elements": "str", "no_log": False},
        "packages": {"type": "list", "elements": "str"},
        "services": {"type": "dict"},
        "timezone": {"type": "str"},
        "zonename": {"type": "str"},
        "allow_shared_segment": {"type": "bool", "default": False},
        "confirm_timeout": {"type": "int", "default": 60},
        "ssh_private_key": {"type": "path", "no_log": False},
        "require_ip": {"type": "bool", "default": False},
    },
)
"""An OpenWrt router as people think of it; documented by the fragment ``pve.provision.router``."""
