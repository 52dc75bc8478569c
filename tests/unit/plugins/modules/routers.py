# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routers that the tests of openwrt_lxc declare, and what is looked at from outside."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from .conftest import Bench

Params = dict[str, t.Any]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample admin@example.org"
INTERFACES: Params = {
    "wan": {"bridge": "vmbr0", "tag": 10, "proto": "dhcp"},
    "lan": {"bridge": "vmbr1", "tag": 20, "proto": "static", "address": "192.168.20.1/24", "dhcp_server": {}},
}


def uci(bench: Bench, vmid: int, *words: str) -> str:
    return bench.pct("exec", str(vmid), "--", "uci", *words).strip()


def vmids(bench: Bench) -> list[int]:
    """The containers there are."""
    return sorted(int(path.stem) for path in (bench.node.root / "etc/pve/lxc").glob("*.conf"))


def segments(bench: Bench, vmid: int) -> list[Params]:
    """What the guest has shown of itself on the node's bridges."""
    log = bench.node.root / "var/log/embedded-node/segments.jsonl"
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    return [event for event in events if event["vmid"] == vmid]


def archives(bench: Bench) -> list[Path]:
    """Backups of routers that a run has made."""
    return [path for path in bench.node.root.glob("var/lib/pve-provision/archives/**/*") if path.is_file()]


def thorough(*values: str) -> list[t.Any]:
    """Values of a parameter that only the long form of the tests takes."""
    return [pytest.param(value, marks=pytest.mark.thorough) for value in values]


def pairs(first: t.Iterable[t.Any], second: t.Iterable[t.Any]) -> list[t.Any]:
    """Values of two parameters: each of them once or more; every pair only in the long form of the tests."""
    ones, others = list(first), list(second)
    some = {(n % len(ones), n % len(others)) for n in range(max(len(ones), len(others)))}
    return [
        pytest.param(one, other, marks=[] if (i, j) in some else [pytest.mark.thorough])
        for i, one in enumerate(ones)
        for j, other in enumerate(others)
    ]


def killed(*_args: t.Any, **_more: t.Any) -> None:
    """Ends the run as SIGKILL does: nobody tidies up."""
    raise KeyboardInterrupt
