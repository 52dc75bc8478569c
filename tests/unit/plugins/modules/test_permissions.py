# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A token that may not do all that a run needs is told so at once, in check mode too."""

from __future__ import annotations

from embedded_node.mirror import Mirror

from .conftest import Bench, Params, grant, pvesh, steps
from .test_lxc_create import WEB


def test_all_that_is_missing_is_reported_before_anything_is_written(bench: Bench, token: Params) -> None:
    checked = bench.bad("lxc_create", check=True, **WEB, state="started", **token)
    failed = bench.bad("lxc_create", **WEB, state="started", **token)
    assert checked.msg == failed.msg
    (finding,) = [each for each in failed.findings if each["option"] == "api_token_id"]
    for words in (
        "VM.Allocate on /vms/101 (create)",
        "VM.Config.CPU on /vms/101 (cores)",
        "VM.Config.Network on /vms/101 (hostname, networks[0])",
        "VM.PowerMgmt on /vms/101 (start)",
        "Datastore.AllocateSpace on /storage/local-lvm (rootfs)",
        "Datastore.Audit on /storage (ostemplate)",
        "SDN.Use on /sdn/zones/localnetwork/vmbr0/20 (networks[0])",
    ):
        assert words in finding["problem"]
    assert {request["method"] for request in bench.node.requests()} == {"GET"}


def test_with_what_the_remedy_grants_the_run_goes_through(bench: Bench, token: Params) -> None:
    declared = {**WEB, "state": "started", **token}
    pvesh(bench, "set", "/access/acl", "--path", "/", "--users", "ansible@pve", "--roles", "PVEAuditor")
    told = bench.bad("lxc_create", **declared)
    (finding,) = told.findings
    grant(bench, finding["remedy"])
    assert steps(bench.good("lxc_create", **declared)) == ["create", "start"]
    bench.node.forget()
    assert not bench.good("lxc_create", **declared).changed
    assert not [request for request in bench.node.requests() if "permissions" in request["path"]]


def test_to_put_a_template_on_a_storage(bench: Bench, token: Params, mirror: Mirror) -> None:
    pvesh(bench, "set", "/access/acl", "--path", "/", "--users", "ansible@pve", "--roles", "PVEAuditor")
    source = {"mirrors": [mirror.base("openwrt")], "keys": [mirror.signer.usign_public], "storages": ["local"]}
    told = bench.bad("openwrt_template", check=True, **source, **token)
    assert "Datastore.AllocateTemplate on /storage/local (upload)" in told.msg
    assert "pveum acl modify /storage/local" in told.msg


def test_a_vm_goes_through_with_what_the_remedy_grants(bench: Bench, token: Params, gateway: Params) -> None:
    pvesh(bench, "set", "/access/acl", "--path", "/", "--users", "ansible@pve", "--roles", "PVEAuditor")
    router = {key: value for key, value in gateway.items() if key != "hostname"}
    declared = {**router, "name": "gw", "vmid": 200, **token}
    (finding,) = bench.bad("openwrt_vm", check=True, **declared).findings
    grant(bench, finding["remedy"])
    assert bench.good("openwrt_vm", **declared).changed
