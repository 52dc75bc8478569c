# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which privileges a plan needs over the API, and what is said of those that the login lacks."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine import permissions
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, CloneSource, GuestType, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.plan import make_plan
from ansible_collections.pve.provision.plugins.module_utils._engine.preflight import _touched
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.kind import LXC
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.read import wanted_container
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.kind import QEMU
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Bridge, GuestConfig

Params = dict[str, t.Any]
BRIDGES = {"vmbr0": Bridge("vmbr0"), "red": Bridge("red", kind="vnet")}
NEW: Params = {"hostname": "web1", "ostemplate": "local:vztmpl/tiny_1_amd64.tar.gz"}
HAS = {"hostname": "web1", "memory": "512", "unprivileged": "1", "rootfs": "thin:vm-101-disk-0,size=4G"}


def planned(options: dict[str, str] | None, **params: t.Any) -> tuple[Wanted, Actual, Plan]:
    wanted = wanted_container({"state": "present", "vmid": 101, **params})
    actual = Actual(101, GuestConfig(options, options), "stopped") if options else Actual(101)
    return wanted, actual, make_plan(wanted, actual)


def needed(options: dict[str, str] | None, **params: t.Any) -> set[str]:
    """What a plan needs, as `PRIVILEGE PATH`, reading aside."""
    wanted, actual, plan = planned(options, **params)
    found = permissions.needs(wanted, actual, plan, _touched(wanted, actual, plan), BRIDGES)
    assert found[0].privileges == ("VM.Audit",)
    return {f"{'|'.join(need.privileges)} {'|'.join(need.paths)}" for need in found[1:]}


@pytest.mark.parametrize(
    ("options", "params", "privileges"),
    [
        (
            None,
            NEW,
            {
                "VM.Allocate /vms/101",
                "VM.Config.Network /vms/101",
                "Datastore.Audit|Datastore.AllocateSpace|Datastore.Allocate /storage/local",
            },
        ),
        (HAS, {"memory": 1024}, {"VM.Config.Memory /vms/101"}),
        (HAS, {"cores": 2, "cpulimit": 1}, {"VM.Config.CPU /vms/101"}),
        (HAS, {"nameserver": ["1.1.1.1"]}, {"VM.Config.Network /vms/101"}),
        (HAS, {"tags": ["a"], "onboot": True}, {"VM.Config.Options /vms/101"}),
        (HAS, {"features": {"nesting": True}}, {"VM.Allocate /vms/101"}),
        (HAS, {"rootfs": {"size": "8G"}}, {"VM.Config.Disk /vms/101", "Datastore.AllocateSpace /storage/thin"}),
        (
            HAS,
            {"mount_points": [{"storage": "thin", "size": 1, "mp": "/srv"}]},
            {"VM.Config.Disk /vms/101", "Datastore.AllocateSpace /storage/thin"},
        ),
        (
            HAS,
            {"networks": [{"bridge": "vmbr0"}, {"bridge": "vmbr0", "tag": 20}, {"bridge": "red"}]},
            {
                "VM.Config.Network /vms/101",
                "SDN.Use /sdn/zones/localnetwork/vmbr0",
                "SDN.Use /sdn/zones/localnetwork/vmbr0/20",
            },
        ),
        (HAS, {"state": "started"}, {"VM.PowerMgmt /vms/101"}),
        (HAS, {"state": "absent"}, {"VM.Allocate /vms/101"}),
    ],
)
def test_each_step_and_option_needs_its_privilege(
    options: dict[str, str] | None, params: Params, privileges: set[str]
) -> None:
    assert needed(options, **params) == privileges


def test_a_template_by_name_is_looked_for_on_every_storage() -> None:
    found = needed(None, hostname="web1", ostemplate="tiny")
    assert "Datastore.Audit|Datastore.AllocateSpace|Datastore.Allocate /storage|/storage/*" in found


def test_a_privileged_container_takes_a_right_on_the_node() -> None:
    assert "Sys.Modify /" in needed(None, **NEW, unprivileged=False)


def test_a_new_guest_may_be_allowed_by_its_pool() -> None:
    assert "VM.Allocate /vms/101|/pool/web" in needed(None, **NEW, pool="web")


def test_a_clone_needs_its_source() -> None:
    wanted, actual, plan = planned(None, hostname="copy", clone_from={"vmid": 100, "storage": "thin"})
    wanted = dataclasses.replace(wanted, clone=CloneSource(vmid=100, storage="thin", options=HAS))
    found = {need.paths[0]: need.privileges for need in permissions.needs(wanted, actual, plan, {}, BRIDGES)}
    assert found["/vms/100"] == ("VM.Clone",)
    assert found["/storage/thin"] == ("Datastore.AllocateSpace",)


@pytest.mark.parametrize(
    ("guest", "key", "privilege"),
    [
        (QEMU, "cores", "VM.Config.CPU"),
        (QEMU, "scsi0", "VM.Config.Disk"),
        (QEMU, "boot", "VM.Config.Disk"),
        (QEMU, "scsihw", "VM.Config.HWType"),
        (QEMU, "serial0", "VM.Config.HWType"),
        (QEMU, "net3", "VM.Config.Network"),
        (QEMU, "name", "VM.Config.Options"),
        (QEMU, "ciuser", "VM.Config.Cloudinit"),
        (LXC, "hostname", "VM.Config.Network"),
        (LXC, "ostype", "VM.Config.Options"),
        (LXC, "unprivileged", ""),
    ],
)
def test_options_have_privileges(guest: GuestType, key: str, privilege: str) -> None:
    assert guest.privilege_of(key) == privilege
