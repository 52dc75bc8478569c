# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a type of guest needs is loaded where there is one: on a node it is read from an archive, and compiled."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

OURS = "ansible_collections.pve.provision.plugins.module_utils."
PROGRAM = f"""
import json, sys
from {OURS}_guests.registry import TYPES
declared = TYPES[sys.argv[1]]
declared.read(declared.check({{"name": "one", "state": "present", **json.loads(sys.argv[2])}}).values, frozenset())
print(json.dumps([name.removeprefix("{OURS}") for name in sys.modules]))
"""
ROUTERS = ("_openwrt.", "_guests.openwrt.running")
OF_FIREWALLS, OF_VMS = ("_guests.vm.opnsense.",), ("_guests.vm.read",)


@pytest.mark.parametrize(
    ("kind", "options", "loaded", "others"),
    [
        ("lxc", {}, (), (*OF_VMS, *OF_FIREWALLS, *ROUTERS)),
        ("vm", {}, OF_VMS, OF_FIREWALLS),
        (
            "vm",
            {"profile": "cloud", "image": "debian-13"},
            OF_VMS,
            (*OF_FIREWALLS, "_openwrt.uci", "_guests.openwrt.running"),
        ),
        ("vm", {"profile": "opnsense"}, (*OF_VMS, *OF_FIREWALLS), ()),
    ],
)
def test_what_is_loaded(kind: str, options: dict[str, str], loaded: tuple[str, ...], others: tuple[str, ...]) -> None:
    argv = [sys.executable, "-c", PROGRAM, kind, json.dumps(options)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout)
    assert [place for place in loaded if not any(name.startswith(place) for name in modules)] == []
    assert [name for name in modules if name.startswith(others)] == []
