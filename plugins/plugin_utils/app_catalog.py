# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the catalogue of applications whose size and needs are known, and no more.

One file of facts, catalog.json beside the profiles. Read as profiles that install nothing.
"""

from __future__ import annotations

import functools
import json
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._guests.app.spec import PROFILE

FILE: t.Final = Path(__file__).resolve().parents[2] / "apps" / "catalog.json"
# The template of a container, and the image of a VM, by the system that an application is known to run on.
_TEMPLATES: t.Final = {
    "alpine": "alpine",  # the newest that there is: PVE offers but a few of them
    "debian": "debian-{version}-standard",
    "ubuntu": "ubuntu-{version}-standard",
    "openwrt": "openwrt-{version}",
}
# What is a type of guest of its own.
_TYPES: t.Final = {"openwrt": ["openwrt_lxc"]}


@functools.cache
def facts() -> dict[str, dict[str, t.Any]]:
    """What is known of the applications of the catalogue, by their names."""
    known: dict[str, dict[str, t.Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return known


@functools.cache
def catalogued(name: str) -> dict[str, t.Any]:
    """The profile of an application of the catalogue, which installs nothing."""
    known = facts()[name]
    port = {key: known[key] for key in ("port", "scheme", "path") if key in known}
    system, version = known["os"], known["version"]
    given = {
        "title": known["title"],
        "description": f"Known by its size and needs on {system.capitalize()} {version}; nothing is installed.",
        "tags": known["tags"],
        "complete": False,
        "cores": known["cores"],
        "memory": known["memory"],
        "disk": f"{known['disk']}G",
        "ostemplate": _TEMPLATES[system].format(version=version),
        "image": system if system == "alpine" else f"{system}-{version}",
        "needs": known["needs"],
        "ports": [port] if port else [],
        **({"types": _TYPES[system]} if system in _TYPES else {}),
    }
    return PROFILE.validate(given).values
