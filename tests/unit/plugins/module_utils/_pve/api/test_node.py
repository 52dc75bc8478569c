# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
from scripted_requests import Connect, Script

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    InvalidInput,
    Unsupported,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.api import client
from ansible_collections.pve.provision.plugins.module_utils._pve.api.node import ApiNode
from ansible_collections.pve.provision.plugins.module_utils._pve.node import required
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    Access,
)


class TestConnecting:
    def test_the_named_node_is_taken_without_asking(self, node: ApiNode):
        assert (node.name, node.root_login) == ("pve1", False)

    def test_the_only_online_node_is_found(self, connect: Connect, script: Script):
        script.expect("GET", "/nodes", [{"node": "pve1", "status": "online"}, {"node": "pve2", "status": "offline"}])
        assert connect().name == "pve1"

    def test_several_nodes_need_a_name(self, connect: Connect, script: Script):
        script.expect("GET", "/nodes", [{"node": "pve1", "status": "online"}, {"node": "pve2", "status": "online"}])
        with pytest.raises(InvalidInput, match="one of pve1, pve2"):
            connect()

    def test_unless_the_guest_is_found(self, connect: Connect, script: Script):
        script.expect("GET", "/nodes", [{"node": "pve1", "status": "online"}, {"node": "pve2", "status": "online"}])
        script.expect("GET", "/cluster/resources?type=vm", [{"vmid": 101, "node": "pve2", "type": "lxc"}])
        assert connect(vmid=101).name == "pve2"

    def test_the_token_is_sent_and_tls_is_verified(
        self, node: ApiNode, script: Script, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
        script.expect("GET", "/cluster/nextid", "100")
        node.next_vmid()
        assert script.headers[0]["Authorization"] == "PVEAPIToken=ansible@pve!t=geheim"
        assert script.settings[0]["verify"] is True
        assert script.settings[0]["timeout"] == 30

    @pytest.mark.parametrize(
        ("params", "verify"),
        [
            ({"ca_path": "/etc/ca.pem"}, "/etc/ca.pem"),
            ({"validate_certs": False}, False),
            ({"validate_certs": False, "ca_path": "/etc/ca.pem"}, False),
        ],
    )
    def test_the_environment_does_not_override_what_was_said(
        self,
        connect: Connect,
        script: Script,
        monkeypatch: pytest.MonkeyPatch,
        params: dict[str, t.Any],
        verify: object,
    ):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/other.crt")
        script.expect("GET", "/cluster/nextid", "100")
        connect(node="pve1", http_timeout=7, **params).next_vmid()
        assert script.settings[0]["verify"] == verify
        assert script.settings[0]["timeout"] == 7

    @pytest.mark.parametrize("missing", ["api_user", "api_token_id"])
    def test_half_a_login_is_refused_before_anything_is_sent(self, connect: Connect, missing: str):
        with pytest.raises(InvalidInput, match=missing):
            connect(**{missing: None})

    def test_missing_libraries_say_what_to_install(self, connect: Connect, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(client, "MISSING", ImportError("No module named 'proxmoxer'"))
        with pytest.raises(Unsupported, match="proxmoxer") as caught:
            connect()
        assert "pip install proxmoxer requests" in caught.value.remedy


@pytest.mark.parametrize("capability", ["containers", "files", "leftovers"])
def test_what_only_the_node_can_do_is_no_capability_and_whoever_needs_it_says_so(node: ApiNode, capability: str):
    with pytest.raises(Unsupported, match="This is done only on the node itself, not over the API") as caught:
        required(getattr(node, capability), "This is done only")
    assert "without api_host" in caught.value.remedy


def test_nothing_is_kept_between_runs_and_nothing_is_held(node: ApiNode):
    assert dict(node.journal) == {}
    with node.lock("x"), node.lock("x"):
        pass


def test_what_a_login_may_do(connect: Connect, script: Script):
    script.expect("GET", "/access/permissions", {"/vms": {"VM.Audit": 1, "VM.Clone": 0}})
    assert connect(node="pve1").access() == Access("ansible@pve!t", {"/vms": {"VM.Audit": True, "VM.Clone": False}})
