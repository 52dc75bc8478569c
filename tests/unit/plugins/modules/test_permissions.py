# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A token that may not do all that a run needs is told so at once, in check mode too."""

from __future__ import annotations

import re
import shlex
import typing as t

import pytest

from embedded_node import commands
from embedded_node.mirror.server import Mirror

from .conftest import Bench, Params
from .test_lxc_create import WEB, steps


@pytest.fixture
def token(bench: Bench) -> t.Iterator[Params]:
    """A token of a user with no rights at all."""
    if bench.backend == "cli":
        pytest.skip("root on the node may do everything")
    pvesh(bench, "create", "/access/users", "--userid", "ansible@pve")
    made = pvesh(bench, "create", "/access/users/ansible@pve/token/run", "--privsep", "0", "--output-format", "json")
    secret = re.search(r'"value":"([^"]+)"', made)
    assert secret
    bench.node.forget()
    login = {key: bench.node.api[key] for key in ("api_host", "api_port", "ca_path")}
    yield {
        "api_user": "ansible@pve", "api_token_id": "run", "api_token_secret": secret[1], "api_password": None, **login
    }  # fmt: skip
    pvesh(bench, "delete", "/access/users/ansible@pve")


def pvesh(bench: Bench, *argv: str) -> str:
    rc, out, err = commands.run(["pvesh", *argv], bench.node.root, b"")
    assert rc == 0, err
    return out


def grant(bench: Bench, remedy: str) -> list[str]:
    """Do what the remedy says, by the API calls that `pveum` makes; the roles that it made."""
    roles = re.findall(r'pveum role add (\S+) --privs "([^"]+)"', remedy)
    for role, privileges in roles:
        pvesh(bench, "create", "/access/roles", "--roleid", role, "--privs", privileges.replace(" ", ","))
    for line in re.findall(r"pveum acl modify ([^;(]+)", remedy):
        path, *options = shlex.split(line)
        pvesh(bench, "set", "/access/acl", "--path", path, *options)
    return [role for role, _privileges in roles]


def test_all_that_is_missing_is_told_before_anything_is_written(bench: Bench, token: Params) -> None:
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
    roles = grant(bench, finding["remedy"])
    try:
        assert steps(bench.good("lxc_create", **declared)) == ["create", "start"]
        bench.node.forget()
        assert not bench.good("lxc_create", **declared).changed
        assert not [request for request in bench.node.requests() if "permissions" in request["path"]]
    finally:
        for role in roles:
            pvesh(bench, "delete", f"/access/roles/{role}")


def test_to_put_a_template_on_a_storage(bench: Bench, token: Params, mirror: Mirror) -> None:
    for path in bench.node.root.glob("var/lib/vz/template/cache/*openwrt*"):
        path.unlink()  # of a test before
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
    roles = grant(bench, finding["remedy"])
    try:
        assert bench.good("openwrt_vm", **declared).changed
    finally:
        for role in roles:
            pvesh(bench, "delete", f"/access/roles/{role}")
