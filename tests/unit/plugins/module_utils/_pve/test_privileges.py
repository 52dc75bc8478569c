# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a login holds, and what is said of the privileges that it lacks."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.pve.provision.plugins.module_utils._pve import privileges
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Access

ACCESS = Access(
    "ansible@pve!run",
    {"/vms": {"VM.Audit": True, "VM.Allocate": False}, "/vms/7": {}, "/storage/thin": {"Datastore.Audit": True}},
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/vms", {"VM.Audit", "VM.Allocate"}),
        ("/vms/101", {"VM.Audit"}),
        ("/vms/7", set()),
        ("/storage/thin", {"Datastore.Audit"}),
        ("/storage/local", set()),
        ("/storage/*", {"Datastore.Audit"}),
        ("/sdn/zones/localnetwork/vmbr0", set()),
    ],
)
def test_what_is_held_is_handed_down(path: str, expected: set[str]) -> None:
    assert privileges.held(ACCESS, path) == expected


def test_all_that_is_missing_is_told_with_the_commands_that_grant_it() -> None:
    need = privileges.Need
    required = [
        need(("/vms/101",), ("VM.Audit",), "reading"),
        need(("/vms/101",), ("VM.Config.Network",), "hostname"),
        need(("/vms/101",), ("VM.Config.Network",), "networks[0]"),
        need(("/storage/thin",), ("Datastore.AllocateSpace",), "rootfs"),
        need(("/storage/thin",), ("Datastore.AllocateSpace", "Datastore.Audit"), "ostemplate"),
    ]
    told = privileges.finding(privileges.missing(required, ACCESS), ACCESS)
    assert (told.option, told.value) == ("api_token_id", "ansible@pve!run")
    assert told.problem == (
        "lacks privileges: Datastore.AllocateSpace on /storage/thin (rootfs), "
        "VM.Config.Network on /vms/101 (hostname, networks[0])"
    )
    for line in (  # with what is handed down now, as a grant further down takes its place
        'pveum role add ProvisionStorages --privs "Datastore.AllocateSpace Datastore.Audit"',
        'pveum role add ProvisionGuests --privs "VM.Audit VM.Config.Network"',
        "pveum acl modify /storage/thin --users ansible@pve --tokens 'ansible@pve!run' --roles ProvisionStorages",
        "pveum acl modify /vms/101 --users ansible@pve --tokens 'ansible@pve!run' --roles ProvisionGuests",
    ):
        assert line in told.remedy


def test_a_user_without_a_token() -> None:
    told = privileges.finding(
        [privileges.Need(("/vms",), ("VM.Allocate",), "create")], dataclasses.replace(ACCESS, login="eve@pve")
    )
    assert told.option == "api_user"
    assert "--users eve@pve --roles" in told.remedy
