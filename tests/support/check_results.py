# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests with what came of their checks, as the module guest_verify tells it."""

from __future__ import annotations

import typing as t

Check = dict[str, t.Any]


def check(name: str, outcome: str, detail: str = "as it is", **more: t.Any) -> Check:
    told = {"name": name, "type": "tcp", "outcome": outcome, "asked": f"tcp {name}", "detail": detail, "by": ""}
    return {**told, "at": "2026-03-01T09:00:00Z", "attempts": 1, "seconds": 0.25, **more}


WEB = {
    "name": "web1",
    "type": "lxc",
    "node": "pve1",
    "checks": [check("80", "passed", by="192.0.2.5"), check("443", "failed", "connection refused")],
}
GW = {"name": "gw", "type": "openwrt_vm", "node": None, "checks": [check("firewall", "not_verified", "no way in")]}
