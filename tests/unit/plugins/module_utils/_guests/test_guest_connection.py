# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways into a guest: which one is taken, and what is said where there is none."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import Unsupported
from ansible_collections.pve.provision.plugins.module_utils._guests import guest_connection
from ansible_collections.pve.provision.plugins.module_utils._guests.guest_connection import GuestConnection
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.kind import LXC
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.kind import QEMU

TYPES: t.Final[dict[str, t.Any]] = {"lxc": LXC, "qemu": QEMU}
MAC = "BC:24:11:00:00:01"
AGENT = {"agent": "enabled=1"}
STATIC = {"net0": "name=eth0,bridge=vmbr0,ip=10.0.0.5/24,ip6=auto"}
LEASED = {"net0": "name=eth0,bridge=vmbr0,ip=dhcp"}
VM = {"net0": f"virtio={MAC},bridge=vmbr0"}
STATIC_VM = {**VM, "ipconfig0": "ip=192.168.7.9/24,gw=192.168.7.1"}
LEASED_VM = {**VM, "ipconfig0": "ip=dhcp"}
MET = {MAC: ["192.168.7.40"]}
TOLD = [{"name": "lo", "inet": ["127.0.0.1/8"]}, {"name": "eth0", "inet": ["10.0.0.9/24"], "inet6": ["fe80::1/64"]}]


def node(
    *, inside: bool, told: t.Sequence[t.Any] = (), met: t.Mapping[str, list[str]] | None = None, live: t.Any = None
) -> t.Any:
    return types.SimpleNamespace(
        name="pve1",
        containers=object() if inside else None,
        interfaces=lambda kind, vmid: list(told),
        neighbours=lambda: dict(met or {}),
        config=lambda kind, vmid: types.SimpleNamespace(live=live),
    )


@pytest.mark.parametrize(
    ("kind", "inside", "options", "key", "name"),
    [
        ("lxc", True, {}, "", "pct exec"),
        ("lxc", True, {}, "/key", "pct exec"),
        ("lxc", False, STATIC, "/key", "ssh"),
        ("qemu", True, AGENT, "", "guest agent"),
        ("qemu", False, AGENT, "/key", "guest agent"),
        ("qemu", True, LEASED_VM, "/key", "ssh"),
        ("qemu", False, STATIC_VM, "/key", "ssh"),
    ],
)
def test_the_nearest_way_is_taken(kind: str, inside: bool, options: dict[str, str], key: str, name: str) -> None:
    assert GuestConnection(TYPES[kind], key).name(node(inside=inside), options) == name


@pytest.mark.parametrize(
    ("kind", "inside", "words"), [("lxc", False, "the API has no access"), ("qemu", True, "it has no guest agent")]
)
def test_where_there_is_none_the_error_says_what_to_do(kind: str, inside: bool, words: str) -> None:
    with pytest.raises(Unsupported, match=f"{words}.* ssh_private_key"):
        GuestConnection(TYPES[kind]).name(node(inside=inside), {})


def test_over_the_api_the_address_of_a_vm_without_agent_is_not_known() -> None:
    with pytest.raises(
        Unsupported, match=r"over the API .* is not known\. Declare a static one, for a VM by cloud_init\.ip"
    ):
        GuestConnection(QEMU, "/key").name(node(inside=False), LEASED_VM)


@pytest.mark.parametrize(
    ("kind", "options", "there", "address"),
    [
        ("lxc", STATIC, node(inside=False, told=TOLD), "10.0.0.5"),
        ("lxc", LEASED, node(inside=False, told=TOLD), "10.0.0.9"),
        ("lxc", LEASED, node(inside=False), ""),
        ("qemu", STATIC_VM, node(inside=True, met=MET, live=VM), "192.168.7.9"),
        ("qemu", STATIC_VM, node(inside=False), "192.168.7.9"),
        ("qemu", LEASED_VM, node(inside=True, met=MET, live=VM), "192.168.7.40"),
        ("qemu", LEASED_VM, node(inside=True), ""),
    ],
)
def test_ssh_goes_to_a_declared_address_or_to_one_that_the_guest_tells_or_the_node_has_met(
    monkeypatch: pytest.MonkeyPatch, kind: str, options: dict[str, str], there: t.Any, address: str
) -> None:
    monkeypatch.setattr(guest_connection, "ssh", lambda address, key, known_hosts: (address, key))
    monkeypatch.setattr(guest_connection, "known_hosts", lambda node, vmid: "known_hosts")
    connection = GuestConnection(TYPES[kind], "/key")
    if address:
        assert connection(there, 100, options) == (address, "/key")
    else:
        with pytest.raises(Unsupported, match="no address for SSH is known"):
            connection(there, 100, options)
