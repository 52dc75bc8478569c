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


def test_all_that_is_missing_is_reported_with_the_commands_that_grant_it() -> None:
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


@pytest.mark.parametrize(
    ("path", "names", "does"),
    [
        ("/nodes/pve1", {"Sys.AccessNetwork"}, True),
        ("/", {"Sys.AccessNetwork"}, True),
        ("/", {"Sys.Audit", "Sys.Modify"}, True),
        ("/", {"Sys.Modify"}, False),
        ("/", {"Sys.Audit"}, False),
        ("/nodes/pve1", {"Sys.Audit", "Sys.Modify"}, False),
    ],
)
def test_what_lets_pve_fetch_from_anywhere(path: str, names: set[str], does: bool) -> None:
    """pve-storage, API2/Storage/Status.pm, download_url."""
    held = {"/storage/local": {"Datastore.AllocateTemplate": True}, path: dict.fromkeys(names, True)}
    lacking = privileges.missing(privileges.file_needs("download", "local", "pve1"), Access("eve@pve", held))
    assert [need.privileges for need in lacking] == ([] if does else [("Sys.AccessNetwork",)])


def test_where_no_storage_is_seen_any_will_do() -> None:
    nobody = Access("eve@pve", {})
    told = privileges.finding(privileges.missing(privileges.file_needs("upload", "", "pve1"), nobody), nobody)
    assert "Datastore.AllocateTemplate on /storage (upload)" in told.problem
    assert "pveum acl modify /storage --users" in told.remedy
    one = Access("eve@pve", {"/storage/local": {"Datastore.AllocateTemplate": True}})
    assert privileges.missing(privileges.file_needs("upload", "", "pve1"), one) == []


@pytest.mark.parametrize("name", ["VM.GuestAgent.Unrestricted", "VM.Monitor"])
def test_the_guest_agent_is_asked_by_the_privilege_of_each_release(name: str) -> None:
    need = privileges.Need(("/vms/101",), ("VM.GuestAgent.Unrestricted",), "set_up")
    assert privileges.missing([need], Access("eve@pve", {"/vms": {name: True}})) == []
    assert privileges.missing([need], Access("eve@pve", {"/vms": {"VM.Audit": True}})) == [need]


def test_a_user_without_a_token() -> None:
    told = privileges.finding(
        [privileges.Need(("/vms",), ("VM.Allocate",), "create")], dataclasses.replace(ACCESS, login="eve@pve")
    )
    assert told.option == "api_user"
    assert "--users eve@pve --roles" in told.remedy
