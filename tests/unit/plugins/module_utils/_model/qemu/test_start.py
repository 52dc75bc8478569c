# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PVE takes of a VM when it is made, and refuses at each start."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.qemu.start import check_start

NODE: dict[str, t.Any] = {"cpus": ("0",), "memory": 512.0}
BOUND: dict[str, t.Any] = {"hostnodes": ("0",), "policy": "bind"}
IGD: dict[str, t.Any] = {"host": ("0000:00:02.0",), "legacy-igd": True}


@pytest.mark.parametrize(("values", "option"), [
    ({"hugepages": "2", "memory": 512}, "hugepages"),
    ({"hugepages": "1024", "numa": True, "memory": 1536}, "hugepages"),
    ({"hugepages": "1024", "numa": True, "memory": 3072, "sockets": 2}, "hugepages"),
    ({"hugepages": "1024", "numa": True, "memory": 512, "numa0": {**NODE, **BOUND}}, "hugepages"),
    ({"hugepages": "2", "numa": True, "memory": 512, "numa0": NODE}, "numa0.hostnodes"),
    ({"numa": True, "numa0": {"cpus": ("0",)}}, "numa0.memory"),
    ({"numa": True, "numa0": {"memory": 512.0}}, "numa0.cpus"),
    ({"numa": True, "numa0": {**NODE, "hostnodes": ("0",)}}, "numa0.policy"),
    ({"agent": {"fstrim_cloned_disks": True}}, "agent.enabled"),
    ({"rng0": {"max_bytes": 1000}}, "rng0.source"),
    ({"ivshmem": {"name": "one"}}, "ivshmem.size"),
    ({"audio0": {"driver": "none"}}, "audio0.device"),
    ({"numa0": {"memory": 512.0}}, "numa0.cpus"),
    ({"usb5": {"host": "1-1"}}, "usb5"),
    ({"usb5": {"host": "1-1"}, "ostype": "win7"}, "usb5"),
    ({"usb0": {"usb3": True}}, "usb0"),
    ({"hostpci0": {"pcie": True}}, "hostpci0"),
    ({"virtiofs0": {"cache": "never"}}, "virtiofs0"),
    ({"virtiofs0": {"dirid": "share"}, "hotplug": ("memory",)}, "virtiofs0"),
    ({"virtiofs0": {"dirid": "share", "expose-acl": True}, "ostype": "win11"}, "virtiofs0.expose_acl"),
    ({"bios": "ovmf", "cpu": {"cputype": "kvm32"}}, "cpu.type"),
    ({"hostpci0": IGD}, "hostpci0.legacy_igd"),
    ({"hostpci0": {**IGD, "x-vga": True}, "vga": {"type": "none"}}, "hostpci0.legacy_igd"),
    ({"hostpci0": {**IGD, "host": ("0000:01:00.0",)}, "vga": {"type": "none"}}, "hostpci0.legacy_igd"),
    ({"hostpci0": IGD, "vga": {"type": "none"}, "machine": {"type": "pc-q35-9.2"}}, "hostpci0.legacy_igd"),
    ({"hostpci0": IGD, "hostpci1": IGD, "vga": {"type": "none"}}, "hostpci1.legacy_igd"),
])  # fmt: skip
def test_it_is_found_before_the_vm_is_made(values: dict[str, t.Any], option: str) -> None:
    assert [finding.option for finding in check_start(values, {})] == [option]


@pytest.mark.parametrize("values", [
    {},
    {"hugepages": "1024", "numa": True, "memory": 4096, "sockets": 2},
    {"hugepages": "any", "numa": True, "memory": 512, "numa0": {**NODE, **BOUND}},
    {"numa0": {"cpus": ("0",)}},
    {"usb4": {"host": "1-1"}},
    {"usb13": {"mapping": "stick"}, "ostype": "l26"},
    {"virtiofs0": {"dirid": "share", "expose-acl": True}, "ostype": "l26"},
    {"bios": "ovmf", "cpu": {"cputype": "host"}},
    {"hostpci0": IGD, "vga": {"type": "none"}},
])  # fmt: skip
def test_what_starts_is_left_alone(values: dict[str, t.Any]) -> None:
    assert list(check_start(values, {})) == []
