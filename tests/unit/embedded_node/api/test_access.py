# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: roles along the paths of user.cfg, tokens, and how a refusal is worded."""

from __future__ import annotations

import typing as t

import pytest

from embedded_node.api import access, credentials, http

Machine = t.Any  # see conftest.py

USERS = "user:root@pam:1:0::::::\nuser:u@pve:1:0::::::\ntoken:u@pve!all:0:0::\ntoken:u@pve!own:0:1::\n\n"
LXC = {
    "vmid": 101, "ostemplate": "local:vztmpl/tiny_1_amd64.tar.gz", "ostype": "unmanaged", "rootfs": "disks:1",
    "net0": "name=eth0,bridge=vmbr0,ip=dhcp",
}  # fmt: skip
ENOUGH = (
    "role:Guests:VM.Allocate,VM.Config.Disk,VM.Config.Network,VM.Config.Options:\nrole:Room:Datastore.AllocateSpace:\n"
    "role:Net:SDN.Use:\nacl:1:/vms:u@pve:Guests:\nacl:1:/storage:u@pve:Room:\n"
)


def granted(machine: Machine, text: str) -> access.UserFile:
    machine.state.write("etc/pve/user.cfg", USERS + text)
    return access.UserFile.load(machine.state)


def ask(machine: Machine, token: str, method: str, path: str, params: dict[str, t.Any] | None = None) -> t.Any:
    credentials.set_secret(machine.state, "token.cfg", token, "secret")
    headers = {"Authorization": f"PVEAPIToken={token}=secret"}
    return http.respond(machine.state, method, f"/api2/json{path}", params or {}, headers)


@pytest.mark.parametrize(("rules", "path", "held"), [
    ("acl:1:/:u@pve:PVEAuditor:\n", "/vms/101", "VM.Audit"),
    ("acl:0:/:u@pve:PVEAuditor:\n", "/vms/101", ""),
    ("acl:0:/vms/101:u@pve:PVEVMUser:\n", "/vms/101", "VM.GuestAgent.FileRead"),
    ("acl:1:/:u@pve:PVEVMAdmin:\nacl:1:/vms:u@pve:PVEAuditor:\n", "/vms/101", "!VM.Allocate"),
    ("acl:1:/:u@pve:PVEVMAdmin:\nacl:1:/vms:u@pve:NoAccess:\n", "/vms/101", "!VM.Audit"),
    ("group:g:u@pve::\n\nacl:1:/vms:@g:PVEVMAdmin:\n", "/vms/101", "VM.Allocate"),
    ("group:g:u@pve::\n\nacl:1:/vms:@g:PVEVMAdmin:\nacl:1:/vms:u@pve:PVEAuditor:\n", "/vms/101", "!VM.Allocate"),
    ("pool:p::101:disks:\n\nacl:1:/pool/p:u@pve:PVEVMUser:\n", "/vms/101", "VM.PowerMgmt"),
    ("pool:p::101:disks:\n\nacl:1:/pool/p:u@pve:PVEDatastoreUser:\n", "/storage/disks", "Datastore.AllocateSpace"),
])  # fmt: skip
def test_rights_come_down_the_paths_and_the_nearest_rules_win(
    machine: Machine, rules: str, path: str, held: str
) -> None:
    found = granted(machine, rules).privileges("u@pve", path)
    assert (held.lstrip("!") in found) is (not held.startswith("!") and held != ""), sorted(found)


def test_a_separated_token_has_what_both_have(machine: Machine) -> None:
    users = granted(machine, "acl:1:/:u@pve:PVEAuditor:\nacl:1:/vms/101:u@pve!own:PVEVMAdmin:\n")
    assert set(users.privileges("u@pve!own", "/vms/101")) == {"VM.Audit", "VM.GuestAgent.Audit"}
    assert users.privileges("u@pve!own", "/vms/102") == {}
    assert users.privileges("u@pve!all", "/vms/102") == users.privileges("u@pve", "/vms/102")
    assert users.privileges("u@pve!gone", "/vms/101") == {}


@pytest.mark.parametrize(
    ("line", "better"),
    [
        ("user:u@pve:1:0::::::", "user:u@pve:0:0::::::"),
        ("user:u@pve:1:0::::::", "user:u@pve:1:1000000000::::::"),
        ("token:u@pve!all:0:0::", "token:u@pve!all:1000000000:0::"),
        ("token:u@pve!all:0:0::", ""),
    ],
)
def test_who_may_not_come_in_is_not_told_why(machine: Machine, line: str, better: str) -> None:
    granted(machine, "")
    assert ask(machine, "u@pve!all", "GET", "/version").status == 200
    machine.state.write("etc/pve/user.cfg", USERS.replace(line, better))
    refused = ask(machine, "u@pve!all", "GET", "/version")
    assert (refused.status, refused.reason, refused.body) == (401, "Authentication failed!", "")


@pytest.mark.parametrize(("rules", "why"), [
    ("", "Permission check failed"),
    ("acl:1:/vms:u@pve:PVEVMAdmin:\n", "Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)"),
    ("role:R:VM.Allocate:\nacl:1:/vms:u@pve:R:\n", "Permission check failed (/vms/101, VM.Config.Network)"),
    (ENOUGH, "Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)"),
    (ENOUGH + "acl:1:/sdn/zones/localnetwork/vmbr1:u@pve:Net:\n",
     "Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)"),
    (ENOUGH + "acl:1:/sdn/zones/localnetwork/vmbr0:u@pve:Net:\n", "OK"),
])  # fmt: skip
def test_a_container_needs_rights_on_guest_storage_and_bridge(machine: Machine, rules: str, why: str) -> None:
    granted(machine, rules)
    assert ask(machine, "u@pve!all", "POST", "/nodes/pve1/lxc", LXC).reason == why


def test_of_several_rights_each_of_which_will_do_all_are_named_and_of_several_ways_none(machine: Machine) -> None:
    machine.create(101)
    granted(machine, "acl:1:/storage/local:u@pve:PVEDatastoreAdmin:\n")
    config = ask(machine, "u@pve!all", "PUT", "/nodes/pve1/lxc/101/config", {"memory": 600})
    assert config.reason == (
        "Permission check failed (/vms/101, VM.Config.Disk|VM.Config.CPU|VM.Config.Memory|VM.Config.Network"
        "|VM.Config.Options)"
    )
    fetched = {"content": "iso", "filename": "x.iso", "url": "http://192.0.2.1/x.iso"}
    refused = ask(machine, "u@pve!all", "POST", "/nodes/pve1/storage/local/download-url", fetched)
    assert (refused.status, refused.reason) == (403, "Permission check failed")


def test_rights_are_asked_before_it_is_asked_what_is_there(machine: Machine) -> None:
    granted(machine, "")
    refused = ask(machine, "u@pve!all", "GET", "/nodes/pve1/lxc/999/config")
    assert (refused.status, refused.reason) == (403, "Permission check failed (/vms/999, VM.Audit)")


def test_an_upload_is_refused_before_its_file_is_taken_and_without_a_body(machine: Machine) -> None:
    granted(machine, "")
    refused = ask(machine, "u@pve!all", "POST", "/nodes/pve1/storage/local/upload", {"content": "iso", "filename": "x"})
    assert (refused.status, refused.body) == (403, "")
    assert refused.reason == "Permission check failed (/storage/local, Datastore.AllocateTemplate)"


def test_lists_show_what_one_may_see(machine: Machine) -> None:
    machine.create(101)
    machine.create(102)
    rules = "acl:1:/vms/101:u@pve:PVEAuditor:\nacl:1:/pool/p:u@pve:PVEPoolUser:\n"
    granted(machine, f"pool:p::101::\npool:q::::\n\n{rules}")
    rows = ask(machine, "u@pve!all", "GET", "/cluster/resources").body["data"]
    assert {row["id"] for row in rows} == {"lxc/101", "/pool/p", "node/pve1"}
    assert next(row for row in rows if row["id"] == "lxc/101")["pool"] == "p"
    assert "cpu" not in next(row for row in rows if row["type"] == "node"), "measurements need Sys.Audit"
    assert ask(machine, "u@pve!all", "GET", "/access/users").body["data"] == []


def test_rights_are_listed_by_path_for_oneself_and_for_others_with_sys_audit(machine: Machine) -> None:
    granted(machine, "acl:1:/vms/101:u@pve:PVETemplateUser:\nacl:0:/storage:u@pve:PVEDatastoreUser:\n")
    assert ask(machine, "u@pve!all", "GET", "/access/permissions").body["data"] == {
        "/storage": {"Datastore.AllocateSpace": 0, "Datastore.Audit": 0},
        "/vms/101": {"VM.Audit": 1, "VM.Clone": 1},
    }
    refused = ask(machine, "u@pve!all", "GET", "/access/permissions", {"userid": "root@pam"})
    assert refused.reason == "Permission check failed (/access, Sys.Audit)"


@pytest.mark.parametrize(
    ("net", "places"),
    [
        ({"bridge": "vmbr0"}, ["/sdn/zones/localnetwork/vmbr0"]),
        ({"bridge": "vmbr0", "tag": "5"}, ["/sdn/zones/localnetwork/vmbr0/5"]),
        ({"bridge": "vmbr0", "trunks": "2-3;7"}, [f"/sdn/zones/localnetwork/vmbr0/{tag}" for tag in (2, 3, 7)]),
        ({"bridge": "net1"}, ["/sdn/zones/z1/net1"]),
        ({}, []),
    ],
)
def test_a_bridge_is_a_place_below_its_zone(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, net: dict[str, str], places: list[str]
) -> None:
    machine.state.write("etc/pve/sdn/vnets.cfg", "vnet: net1\n\ttag 9\n\tzone z1\n")
    asked: list[str] = []
    monkeypatch.setattr(access, "need", lambda _session, path, *_privileges: asked.append(path))
    access.need_bridge(access.Session(machine.state, user="u@pve"), net)
    assert asked == places
