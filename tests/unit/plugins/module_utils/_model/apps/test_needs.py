# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application needs, and which options of a guest that takes."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.apps.needs import NEEDS, meet
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import check_container, declare_lxc

TUN = {"path": "/dev/net/tun", "mode": "0666"}
NESTED = {"nesting": True, "keyctl": True}


@pytest.mark.parametrize(
    ("needs", "options"),
    [
        ([], {}),
        (["privileged_port"], {}),
        (["systemd"], {"features": {"nesting": True}}),
        (["nested_containers"], {"features": NESTED}),
        (["tun", "fuse"], {"devices": [TUN], "features": {"fuse": True}}),
        (["systemd", "nfs_mount"], {"features": {"nesting": True, "mount": ["nfs"]}, "unprivileged": False}),
        (["nfs_mount", "cifs_mount"], {"features": {"mount": ["nfs", "cifs"]}, "unprivileged": False}),
        (["privileged"], {"unprivileged": False}),
        (["privileged", "nested_containers"], {"features": {"nesting": True}, "unprivileged": False}),
    ],
)
def test_a_container_gets_what_its_application_needs(needs: list[str], options: dict[str, t.Any]) -> None:
    given = meet("x", needs, "lxc", {})
    assert given.options == options
    assert given.findings == ()


@pytest.mark.parametrize("name", [name for name in NEEDS if not NEEDS[name].vm_only])
def test_a_container_takes_every_need_and_each_option_has_a_reason(name: str) -> None:
    given = meet("x", [name], "lxc", {})
    declaration, findings = declare_lxc({"hostname": "x", "unprivileged": True, **given.options})
    assert [*findings, *check_container(declaration.values, declaration.paths)] == []
    told = {option for reason in given.reasons for option in reason["options"]}
    assert told - {"unprivileged"} == {
        f"{option}.{name}" if isinstance(value, dict) else option
        for option, value in given.options.items()
        if option != "unprivileged"
        for name in (value if isinstance(value, dict) else [""])
    }
    assert all(reason["reason"] for reason in given.reasons)


def test_whether_a_container_is_privileged_is_reported_with_the_reason() -> None:
    assert meet("x", ["tun"], "lxc", {}).reasons[-1] == {
        "need": "",
        "options": {"unprivileged": True},
        "reason": "nothing that it needs takes a privileged container",
    }
    assert meet("x", ["nfs_mount"], "lxc", {}).reasons[-1] == {
        "need": "nfs_mount",
        "options": {"unprivileged": False},
        "reason": "the kernel mounts NFS for nobody but the node's own root",
    }


def test_an_unprivileged_container_for_what_takes_a_privileged_one_is_refused() -> None:
    (finding,) = meet("x", ["nfs_mount"], "lxc", {"unprivileged": True}).findings
    assert (finding.option, finding.value) == ("unprivileged", True)
    assert meet("x", ["tun"], "lxc", {"unprivileged": True}).findings == ()


def test_what_no_container_can_have_is_refused_there_and_not_in_a_vm() -> None:
    (finding,) = meet("x", ["kernel_nfs_server"], "lxc", {}).findings
    assert finding.option == "app"
    assert "type: vm" in finding.remedy
    assert meet("x", ["kernel_nfs_server"], "vm", {}).findings == ()


def test_a_vm_has_a_kernel_of_its_own() -> None:
    given = meet("x", ["tun", "nfs_mount", "nested_containers", "kvm"], "vm", {})
    assert given.options == {"cpu": {"type": "host"}}
