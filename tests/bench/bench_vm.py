# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VM costs that has two disks and two network cards: by ``vm_create``, and by the modules of the neighbour.

    make bench

Both work over the API of the same node, and end with the same VM. Tasks and requests are counted, seconds are measured
in the same run.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from embedded_node import EmbeddedNode
from tests.bench import fleet, neighbour
from tests.bench.results import publish, took, verdict
from tests.integration.conftest import Site

VMID = 300
Tasks = list[fleet.Declared]


def ours(site: Site, more: t.Mapping[str, t.Any]) -> Tasks:
    declared = {
        "vmid": VMID,
        "name": "db1",
        "ostype": "l26",
        "cores": 2,
        "memory": 1024,
        "scsihw": "virtio-scsi-single",
        "agent": {"enabled": True},
        "disks": [{"storage": "local-lvm", "size": "8G"}, {"storage": "local-lvm", "size": "4G", "ssd": True}],
        "networks": [{"bridge": "vmbr0", "tag": 20}, {"bridge": "vmbr0", "tag": 30}],
        "state": "started",
        **more,
    }
    return [{"pve.provision.vm_create": {**site.connection, "node": site.node.name, **declared}}]


def theirs(site: Site, more: t.Mapping[str, t.Any]) -> Tasks:
    login = {key: site.node.api[key] for key in ("api_host", "api_port", "api_user", "api_password")}
    each = {**login, "vmid": VMID}
    vm = {
        "name": "db1",
        "node": site.node.name,
        "ostype": "l26",
        "cores": 2,
        "memory": 1024,
        "scsihw": "virtio-scsi-single",
        "agent": "enabled=1",
        "scsi": {"scsi0": "local-lvm:8"},
        "net": {"net0": "virtio,bridge=vmbr0,tag=20"},
        **more,
    }
    return [
        {"community.proxmox.proxmox_kvm": {**each, **vm, "state": "present"}},
        {
            "community.proxmox.proxmox_disk": {
                **each, "disk": "scsi1", "storage": "local-lvm", "size": 4, "ssd": True, "state": "present"
            }
        },
        {
            "community.proxmox.proxmox_nic": {
                **each, "interface": "net1", "model": "virtio", "bridge": "vmbr0", "tag": 30, "state": "present"
            }
        },
        {"community.proxmox.proxmox_kvm": {**each, "name": "db1", "node": site.node.name, "state": "started"}},
    ]  # fmt: skip


def measured(site: Site, tasks: Tasks) -> tuple[int, int, float]:
    """The tasks, their requests, and their seconds beyond a play without tasks."""
    nothing = took(lambda: fleet.play(site, [])).wall
    site.node.forget()
    whole = took(lambda: fleet.play(site, tasks)).wall
    return len(tasks), len(site.requests()), whole - nothing


def test_a_vm_is_made_and_is_as_declared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if neighbour.programs() is None:
        pytest.skip("PyPI cannot be reached, so the neighbour community.proxmox is not here")
    figures = {}
    for way, kind, tasks in (("ours", Site, ours), ("theirs", fleet.NeighbourSite, theirs)):
        with EmbeddedNode(latency="realistic") as node:
            site = kind(node, "password", tmp_path)
            fleet.play(site, tasks(site, {"state": "absent"})[:1])  # whose modules stay packed, has them packed now
            figures[way] = [measured(site, tasks(site, {})), measured(site, tasks(site, {}))]
    rows = []
    for what, us, them in zip(("made and started", "as declared"), figures["ours"], figures["theirs"], strict=True):
        ratios = [verdict(mine / other, 0.5, " times") for mine, other in zip(us, them, strict=True)]
        rows.append((f"`vm_create`, {what}", str(us[0]), str(us[1]), f"{us[2]:.2f} s"))
        rows.append(
            (f"`community.proxmox` {neighbour.version()}, {what}", str(them[0]), str(them[1]), f"{them[2]:.2f} s")
        )
        rows.append(("ratio", *ratios))
    publish(capsys, "a VM, against the neighbour", ("what", "tasks", "requests", "by the clock"), rows)
