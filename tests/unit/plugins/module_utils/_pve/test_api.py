# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import itertools
import json
import typing as t
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from fake_clock import FakeClock
from urllib3.exceptions import MaxRetryError, NewConnectionError

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    InvalidInput,
    NotFound,
    ProvisionError,
    PveError,
    TaskFailed,
    Timeout,
    Unreachable,
    Unsupported,
)
from ansible_collections.pve.provision.plugins.module_utils._io import clock
from ansible_collections.pve.provision.plugins.module_utils._pve.api import client
from ansible_collections.pve.provision.plugins.module_utils._pve.api.node import ApiNode
from ansible_collections.pve.provision.plugins.module_utils._pve.node import required
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node
from ansible_collections.pve.provision.plugins.module_utils._pve.types import (
    Access,
    Bridge,
    ClusterNode,
    GuestRef,
    Kind,
)

Connect = t.Callable[..., ApiNode]

TOKEN = {"api_host": "pve1.example", "api_user": "ansible@pve", "api_token_id": "t", "api_token_secret": "geheim"}
UPID = "UPID:pve1:000044AA:000426BA:6B03AD98:vzcreate:101:root@pam:"
MISSING = "Configuration file 'nodes/pve1/lxc/101.conf' does not exist"
LOCKED = "can't lock file '/run/lock/lxc/pve-config-101.lock' - got timeout"
REFUSED = requests.exceptions.ConnectionError(MaxRetryError(None, "/", NewConnectionError(None, "refused")))
RESET = requests.exceptions.ConnectionError("Connection reset by peer")


class Script(requests.adapters.BaseAdapter):
    """A server that expects requests in order; none may be missing or extra."""

    def __init__(self):
        super().__init__()
        self.expected = []
        self.settings = []
        self.headers = []
        self.bodies = []

    def expect(
        self,
        method: str,
        path: str,
        data: t.Any = None,
        status: int = 200,
        message: str | None = None,
        errors: dict[str, str] | None = None,
        fault: Exception | None = None,
        body: bytes | None = None,
    ) -> Script:
        self.expected.append((method, path, data, status, message, errors, fault, body))
        return self

    def close(self):
        pass

    def send(self, request: requests.PreparedRequest, **settings: t.Any) -> requests.Response:
        url = urlsplit(request.url)
        assert self.expected, f"unexpected request: {request.method} {url.path}"
        method, path, data, status, message, errors, fault, answered = self.expected.pop(0)
        self.settings.append(settings)
        self.headers.append(request.headers)
        body = request.body
        if hasattr(body, "read"):
            body = body.read()
        elif body is not None:
            body = dict(parse_qsl(body, keep_blank_values=True))
        self.bodies.append(body)
        query = f"?{url.query}" if url.query else ""
        assert f"{request.method} {url.path.removeprefix('/api2/json')}{query}" == f"{method} {path}"
        if fault:
            raise fault
        response = requests.Response()
        response.status_code = status
        response.reason = (message or "OK").partition("\n")[0]
        response.url = request.url
        response.headers["Content-Type"] = "application/json;charset=UTF-8"
        answer = {
            "data": data,
            **({"message": f"{message}\n"} if message else {}),
            **({"errors": errors} if errors else {}),
        }
        response.raw = io.BytesIO(json.dumps(answer).encode() if answered is None else answered)
        return response


@pytest.fixture
def script() -> t.Iterator[Script]:
    script = Script()
    yield script
    assert not script.expected, f"missing: {script.expected}"


@pytest.fixture
def connect(script: Script, monkeypatch: pytest.MonkeyPatch) -> Connect:
    monkeypatch.setattr(requests.adapters, "HTTPAdapter", lambda **_: script)
    monkeypatch.setattr(clock, "SYSTEM", FakeClock())
    return lambda **params: open_node({**TOKEN, "timeout": 60, **params})


@pytest.fixture
def node(connect: Connect) -> ApiNode:
    return connect(node="pve1")


def task(script: Script, ending: str = "OK", log: list[str] | None = None):
    script.expect("GET", f"/nodes/pve1/tasks/{UPID}/status", {"status": "stopped", "exitstatus": ending})
    if log is not None:
        script.expect("GET", f"/nodes/pve1/tasks/{UPID}/log?limit=5000", [{"n": 1, "t": line} for line in log])


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


PASSWORD = {"api_user": "root@pam", "api_password": "geheim", "api_token_id": None, "node": "pve1"}


class TestLogin:
    def answer(self, monkeypatch: pytest.MonkeyPatch, status: int, data: t.Any):
        def post(url: str, data_given: object = None, **settings: t.Any) -> requests.Response:
            response = requests.Response()
            response.status_code = status
            response._content = json.dumps({"data": data}).encode()
            return response

        monkeypatch.setattr(requests, "post", post)

    def test_a_password_becomes_a_ticket(self, connect: Connect, script: Script, monkeypatch: pytest.MonkeyPatch):
        self.answer(monkeypatch, 200, {"ticket": "PVE:t", "CSRFPreventionToken": "c"})
        node = connect(**PASSWORD)
        assert node.root_login
        script.expect("PUT", "/nodes/pve1/lxc/101/config")
        node.set_config("lxc", 101, {"memory": "600"})
        assert script.headers[0]["Cookie"] == "PVEAuthCookie=PVE:t"
        assert script.headers[0]["CSRFPreventionToken"] == "c"

    def test_a_wrong_password_says_so_and_does_not_show_it(self, connect: Connect, monkeypatch: pytest.MonkeyPatch):
        self.answer(monkeypatch, 401, None)
        with pytest.raises(PveError, match="root@pam") as caught:
            connect(**PASSWORD)
        assert "geheim" not in str(caught.value)
        assert "api_password" in caught.value.remedy


class TestRedirects:
    """Whoever answers in the node's place does not get what is meant for the node."""

    @pytest.fixture
    def elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """A node that sends everybody on; the URLs that were asked for."""
        asked: list[str] = []

        def send(self: object, request: requests.PreparedRequest, **_: object) -> requests.Response:
            asked.append(str(request.url))
            response = requests.Response()
            response.status_code, response.url, response.raw = 307, str(request.url), io.BytesIO()
            response.request = request
            response.headers["Location"] = "https://me:pw@evil.example:8006/api2/json/access/ticket?x=1"
            return response

        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
        return asked

    @pytest.mark.parametrize("login", [TOKEN, {**TOKEN, **PASSWORD}], ids=["token", "password"])
    def test_nothing_is_sent_on(self, elsewhere: list[str], login: dict[str, t.Any]):
        with pytest.raises(Unreachable, match="sends requests on to https://evil") as told:
            open_node({**login, "node": "pve1"}).next_vmid()
        assert len(elsewhere) == 1
        assert "evil" not in elsewhere[0]
        assert "geheim" not in str(told.value)

    def test_neither_is_an_upload(self, elsewhere: list[str], tmp_path: Path):
        (tmp_path / "image").write_bytes(b"secret")
        with pytest.raises(Unreachable, match="sends requests on"):
            open_node({**TOKEN, "node": "pve1"}).upload("local", "iso", str(tmp_path / "image"), "x.iso", timeout=60)
        assert len(elsewhere) == 1


class TestReading:
    def test_guests_of_one_kind_are_one_request(self, node: ApiNode, script: Script):
        script.expect("GET", "/nodes/pve1/lxc", [{"vmid": "101", "name": "web1", "status": "running", "template": ""}])
        assert node.guests("lxc") == [GuestRef(101, "lxc", "pve1", "web1", "running")]

    def test_all_guests_are_two(self, node: ApiNode, script: Script):
        script.expect("GET", "/nodes/pve1/lxc", [{"vmid": 201, "status": "stopped", "lock": "backup"}])
        script.expect("GET", "/nodes/pve1/qemu", [{"vmid": 101, "name": "vm1", "status": "stopped", "template": 1}])
        assert node.guests() == [
            GuestRef(101, "qemu", "pve1", "vm1", "stopped", None, True),
            GuestRef(201, "lxc", "pve1", None, "stopped", "backup"),
        ]

    def test_a_config_is_one_request(self, node: ApiNode, script: Script):
        script.expect(
            "GET",
            "/nodes/pve1/lxc/101/pending",
            [
                {"key": "memory", "value": 128},
                {"key": "cpulimit", "value": "0.5"},
                {"key": "description", "value": "l1\nl2\n"},
                {"key": "tty", "value": 4, "pending": 6},
                {"key": "cores", "value": 1, "delete": 1},
                {"key": "features", "pending": "nesting=1"},
                {"key": "parent", "value": "s1"},
                {"key": "digest", "value": "abc"},
            ],
        )
        config = node.config("lxc", 101)
        assert config.live["description"] == "l1\nl2"
        assert config.live["tty"] == "4"
        assert config.options["tty"] == "6"
        assert config.options["features"] == "nesting=1"
        assert "cores" not in config.options
        assert "digest" not in config.options
        assert config.pending == {"tty": "6", "cores": None, "features": "nesting=1"}
        assert (config.digest, config.snapshots) == ("abc", ("s1",))

    def test_a_guest_that_is_not_there(self, node: ApiNode, script: Script):
        script.expect("GET", "/nodes/pve1/lxc/101/pending", status=500, message=MISSING)
        assert node.config("lxc", 101) is None
        script.expect("GET", "/nodes/pve1/lxc/101/status/current", status=500, message=MISSING)
        with pytest.raises(NotFound):
            node.status("lxc", 101)

    def test_where_a_vmid_is(self, node: ApiNode, script: Script):
        resources = [
            {"vmid": 101, "node": "pve1", "type": "lxc", "status": "unknown"},
            {"vmid": 300, "node": "pve2", "type": "qemu", "status": "running"},
        ]
        script.expect("GET", "/cluster/resources?type=vm", resources)
        script.expect("GET", "/nodes/pve1/lxc", [{"vmid": 101, "name": "web1", "status": "running"}])
        assert node.locate(101) == GuestRef(101, "lxc", "pve1", "web1", "running")
        script.expect("GET", "/cluster/resources?type=vm", resources)
        assert node.locate(300) == GuestRef(300, "qemu", "pve2")
        script.expect("GET", "/cluster/resources?type=vm", resources)
        script.expect("GET", "/cluster/nextid?vmid=102", "102")
        assert node.locate(102) is None

    TAKEN: t.ClassVar[dict[str, t.Any]] = {
        "status": 400,
        "message": "Parameter verification failed.",
        "errors": {"vmid": "VM 102 already exists"},
    }

    def test_a_guest_that_the_clusters_list_does_not_know_yet_is_found(self, node: ApiNode, script: Script):
        script.expect("GET", "/cluster/resources?type=vm", [])
        script.expect("GET", "/cluster/nextid?vmid=102", **self.TAKEN)
        script.expect("GET", "/nodes/pve1/lxc", [])
        script.expect("GET", "/nodes/pve1/qemu", [])
        script.expect("GET", "/cluster/resources?type=vm", [])
        nodes = [{"node": name, "status": "online"} for name in ("pve1", "pve2")]
        script.expect("GET", "/nodes", [*nodes, {"node": "pve3", "status": "offline"}])
        script.expect("GET", "/nodes/pve2/lxc", [{"vmid": 102, "name": "db", "status": "running"}])
        script.expect("GET", "/nodes/pve2/qemu", [])
        assert node.locate(102) == GuestRef(102, "lxc", "pve2", "db")

    def test_a_guest_that_may_not_be_seen_is_no_free_vmid(self, node: ApiNode, script: Script):
        script.expect("GET", "/cluster/resources?type=vm", [])
        script.expect("GET", "/cluster/nextid?vmid=102", **self.TAKEN)
        script.expect("GET", "/nodes/pve1/lxc", [])
        script.expect("GET", "/nodes/pve1/qemu", [])
        script.expect("GET", "/cluster/resources?type=vm", [])
        script.expect("GET", "/nodes", [{"node": "pve1", "status": "online"}])
        with pytest.raises(InvalidInput, match=r"VM\.Audit on /vms/102"):
            node.locate(102)

    def test_a_name_is_looked_for_on_the_other_nodes_only_where_this_one_has_it_not(
        self, node: ApiNode, script: Script
    ):
        mine = [{"vmid": 101, "name": "Web1", "status": "running"}]
        script.expect("GET", "/nodes/pve1/lxc", mine)
        assert node.named("lxc", "web1") == [GuestRef(101, "lxc", "pve1", "Web1", "running")]
        script.expect("GET", "/nodes/pve1/lxc", mine)
        script.expect("GET", "/cluster/resources?type=vm", [{"vmid": 300, "node": "pve2", "type": "lxc", "name": "db"}])
        script.expect("GET", "/nodes", [{"node": "pve1", "status": "online"}, {"node": "pve2", "status": "online"}])
        script.expect("GET", "/nodes/pve2/lxc", [{"vmid": 300, "name": "db"}, {"vmid": 301, "name": "db"}])
        assert [guest.vmid for guest in node.named("lxc", "db")] == [300, 301]

    def test_creations_by_this_login_that_are_under_way(self, connect: Connect, script: Script):
        tasks = [
            {"type": "vzcreate", "id": "105", "user": "root@pam"},
            {"type": "vzcreate", "id": "106", "user": "ops@pve"},
            {"type": "vzcreate", "id": "107", "user": "root@pam", "endtime": 5},
            {"type": "vzrestore", "id": "108", "user": "root@pam"},
            {"type": "vzcreate", "id": "109", "user": "root@pam"},
        ]
        node = connect(node="pve1", api_user="root@pam")
        node.journal[109] = {}
        script.expect("GET", "/nodes/pve1/tasks?source=active", tasks)
        assert node.being_made("lxc") == [105]

    def test_storages(self, node: ApiNode, script: Script):
        entry = {
            "storage": "local",
            "type": "dir",
            "content": "iso,vztmpl",
            "active": 1,
            "total": 9,
            "avail": 5,
            "used": 4,
        }
        script.expect("GET", "/nodes/pve1/storage", [entry, {"storage": "off", "type": "nfs", "enabled": 0}])
        local, off = node.storages()
        assert (local.content, local.active, local.total, local.available) == ({"iso", "vztmpl"}, True, 9, 5)
        assert (off.enabled, off.active, off.total) == (False, False, None)

    def test_bridges(self, node: ApiNode, script: Script):
        script.expect(
            "GET",
            "/nodes/pve1/network?type=any_bridge",
            [
                {"iface": "vmbr0", "type": "bridge", "cidr": "10.0.0.2/24", "mtu": "9000", "bridge_vlan_aware": 1},
                {"iface": "lan1", "type": "vnet"},
            ],
        )
        vmbr0 = Bridge("vmbr0", "bridge", 9000, ("10.0.0.2/24",), True)
        assert node.bridges() == [vmbr0, Bridge("lan1", "vnet", 1500, vlan_aware=None)]

    def test_pools_and_their_members(self, node: ApiNode, script: Script):
        script.expect("GET", "/pools", [{"poolid": "web"}, {"poolid": "empty"}])
        script.expect("GET", "/cluster/resources?type=vm", [{"vmid": 101, "pool": "web"}, {"vmid": 102}])
        assert node.pools() == {"web": frozenset({101}), "empty": frozenset()}

    def test_volumes_and_addresses(self, node: ApiNode, script: Script):
        script.expect("GET", "/nodes/pve1/storage/local/content?content=iso", [{"volid": "local:iso/a.iso", "size": 1}])
        assert node.volumes("local", "iso")[0].volid == "local:iso/a.iso"
        script.expect("GET", "/nodes/pve1/lxc/101/interfaces", None)
        assert node.interfaces("lxc", 101) == []

    def test_the_next_vmid_asks_again_only_for_those_to_skip(self, node: ApiNode, script: Script):
        script.expect("GET", "/cluster/nextid", "100")
        assert node.next_vmid() == 100
        script.expect("GET", "/cluster/nextid", "100")
        taken = {"vmid": "VM 101 already exists"}
        script.expect(
            "GET", "/cluster/nextid?vmid=101", status=400, message="Parameter verification failed.", errors=taken
        )
        script.expect("GET", "/cluster/nextid?vmid=102", "102")
        assert node.next_vmid(skip={100}) == 102

    @pytest.mark.parametrize(
        ("running", "expected"),
        [
            ({"type": "vzcreate", "id": "101"}, True),
            ({"type": "vzcreate", "id": "102"}, False),
            ({"type": "vzclone", "id": "7"}, True),
            ({"type": "vzstart", "id": "101"}, False),
            ({"type": "vzcreate", "id": "101", "endtime": 5}, False),
        ],
    )
    def test_who_is_creating(self, node: ApiNode, script: Script, running: dict[str, t.Any], expected: bool):
        script.expect("GET", "/nodes/pve1/tasks?source=active", [running])
        assert node.busy("lxc", 101) is expected


class TestWriting:
    def test_create_waits_for_its_task(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/lxc", UPID)
        script.expect("GET", f"/nodes/pve1/tasks/{UPID}/status", {"status": "running"})
        task(script)
        options = {"ostemplate": "local:vztmpl/a.tar.gz", "password": "a b&c=$d", "ssh-public-keys": "ssh-rsa AAA+ me"}
        assert node.create("lxc", 101, options, timeout=5).upid == UPID
        assert script.bodies[0] == {"vmid": "101", **options}

    def test_set_is_one_request(self, node: ApiNode, script: Script):
        script.expect("PUT", "/nodes/pve1/lxc/101/config")
        node.set_config("lxc", 101, {"memory": "600", "description": ""}, ["swap", "tty"], "abc")
        assert script.bodies == [{"memory": "600", "description": "", "delete": "swap,tty", "digest": "abc"}]

    def test_a_vm_is_set_by_a_task_and_its_keys_are_encoded_twice(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/qemu/200/config", UPID)
        task(script)
        node.set_config("qemu", 200, {"sshkeys": "ssh-rsa A+B me", "spice_enhancements": "foldersharing=1"})
        assert script.bodies[0] == {"sshkeys": "ssh-rsa%20A%2BB%20me", "spice_enhancements": "foldersharing=1"}

    def test_warnings_are_told(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/lxc", UPID)
        task(script, "WARNINGS: 1", ["WARN: enable nesting"])
        assert node.create("lxc", 101, {"ostemplate": "x"}, timeout=5).warnings == ("enable nesting",)

    def test_a_failed_task_is_told_with_its_log(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/lxc", UPID)
        task(script, "command 'tar' failed: exit code 2", ["tar: broken", "TASK ERROR: x"])
        with pytest.raises(TaskFailed, match="tar: broken"):
            node.create("lxc", 101, {"ostemplate": "x"}, timeout=5)

    def test_the_power_switch(self, node: ApiNode, script: Script):
        for verb in ("start", "stop", "shutdown"):
            script.expect("POST", f"/nodes/pve1/lxc/101/status/{verb}", UPID)
            task(script)
        node.start("lxc", 101, timeout=5)
        node.stop("lxc", 101, timeout=5)
        node.shutdown("lxc", 101, timeout=9, force=True)
        assert script.bodies[4] == {"timeout": "9", "forceStop": "1"}

    @pytest.mark.parametrize(
        ("verb", "words", "status"),
        [("start", "CT 101 already running", "running"), ("stop", "CT 101 not running", "stopped")],
    )
    def test_a_state_it_has_already_is_no_error(
        self, node: ApiNode, script: Script, verb: t.Any, words: str, status: int
    ):
        script.expect("POST", f"/nodes/pve1/lxc/101/status/{verb}", status=500, message=words)
        script.expect("GET", "/nodes/pve1/lxc/101/status/current", {"status": status})
        getattr(node, verb)("lxc", 101, timeout=5)

    def test_stopping_what_is_not_there_is_one(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/lxc/101/status/stop", status=500, message="CT 101 not running")
        script.expect("GET", "/nodes/pve1/lxc/101/status/current", status=500, message=MISSING)
        with pytest.raises(NotFound):
            node.stop("lxc", 101, timeout=5)

    def size(self, script: Script, size: str):
        value = f"local:101/vm-101-disk-0.raw,size={size}"
        script.expect("GET", "/nodes/pve1/lxc/101/pending", [{"key": "rootfs", "value": value}])

    @pytest.mark.parametrize(
        ("after", "log", "error"),
        [
            ("4G", ["Image resized."], None),
            ("3G", ["something went wrong"], "something went wrong"),
            ("4G", ["Failed to update the container's filesystem: command 'e2fsck' failed: exit code 8"], "e2fsck"),
        ],
    )
    def test_a_resize_is_verified(
        self, node: ApiNode, script: Script, after: str, log: list[str] | None, error: str | None
    ):
        self.size(script, "3G")
        script.expect("PUT", "/nodes/pve1/lxc/101/resize", UPID)
        task(script)
        script.expect("GET", f"/nodes/pve1/tasks/{UPID}/log?limit=5000", [{"n": 1, "t": line} for line in log])
        self.size(script, after)
        if error:
            with pytest.raises(PveError, match=error):
                node.resize("lxc", 101, "rootfs", "4G", timeout=5)
        else:
            node.resize("lxc", 101, "rootfs", "4G", timeout=5)

    def test_a_resize_to_the_size_it_has_asks_only(self, node: ApiNode, script: Script):
        self.size(script, "3G")
        node.resize("lxc", 101, "rootfs", "3072M", timeout=5)

    def test_the_rest(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/lxc/100/clone", UPID)
        task(script)
        script.expect("DELETE", "/nodes/pve1/lxc/101?purge=1", UPID)
        task(script)
        script.expect("PUT", "/pools")
        script.expect("DELETE", "/nodes/pve1/storage/local/content/local:101%2Fvm-101-disk-0.raw", UPID)
        task(script)
        script.expect("POST", "/nodes/pve1/storage/local/download-url", UPID)
        task(script)
        node.clone("lxc", 100, 101, {"full": "1"}, timeout=5)
        node.destroy("lxc", 101, purge=True, timeout=5)
        node.join_pool(101, "web")
        node.free("local:101/vm-101-disk-0.raw")
        node.download_url("local", "iso", "a.iso", "http://x/a.iso", checksum=("sha256", "ab"), timeout=5)
        assert script.bodies[0] == {"newid": "101", "full": "1"}
        assert script.bodies[4] == {"poolid": "web", "vms": "101", "allow-move": "1"}
        assert script.bodies[7] == {
            "content": "iso",
            "filename": "a.iso",
            "url": "http://x/a.iso",
            "checksum": "ab",
            "checksum-algorithm": "sha256",
        }

    def test_an_upload_is_one_form(self, node: ApiNode, script: Script, tmp_path: Path):
        (tmp_path / "a").write_bytes(b"x" * 100)
        script.expect("POST", "/nodes/pve1/storage/local/upload", UPID)
        task(script)
        node.upload("local", "vztmpl", str(tmp_path / "a"), "a.tar.gz", timeout=5)
        assert b'name="content"\r\n\r\nvztmpl\r\n' in script.bodies[0]
        assert b'name="filename"; filename="a.tar.gz"' in script.bodies[0]
        assert int(script.headers[0]["Content-Length"]) == len(script.bodies[0])
        assert script.headers[0]["Authorization"].startswith("PVEAPIToken=")

    def test_a_file_that_is_not_there(self, node: ApiNode, tmp_path: Path):
        with pytest.raises(PveError, match="No such file"):
            node.upload("local", "vztmpl", str(tmp_path / "a"), "a.tar.gz", timeout=5)


class TestErrors:
    def test_all_wrong_parameters_are_quoted(self, node: ApiNode, script: Script):
        errors = {"memory": "value must have a minimum value of 16", "hostname": "no DNS name\n"}
        script.expect("POST", "/nodes/pve1/lxc", status=400, message="Parameter verification failed.", errors=errors)
        with pytest.raises(PveError) as caught:
            node.create("lxc", 101, {"ostemplate": "x"}, timeout=5)
        for words in ("Parameter verification failed.", "memory: value must have a minimum", "hostname: no DNS name"):
            assert words in caught.value.message

    def test_a_message_of_several_lines_is_quoted_whole(self, node: ApiNode, script: Script):
        script.expect("PUT", "/nodes/pve1/lxc/101/config", status=500, message="first\nsecond")
        with pytest.raises(PveError, match="first\nsecond"):
            node.set_config("lxc", 101, {"memory": "1"})

    @pytest.mark.parametrize(
        ("status", "message", "kind", "reason", "way_out"),
        [
            (500, "CT 101 already exists on node 'pve1'", Conflict, "vmid_taken", "another vmid"),
            (
                500,
                "detected modified configuration - file changed by other user? Try again.",
                Conflict,
                "digest",
                "run",
            ),
            (500, "storage 'nope' does not exist", NotFound, "storage", "name"),
            (403, "Permission check failed (/vms/101, VM.Audit)", PveError, "permission", "privilege"),
            (403, "Permission check failed", PveError, "permission", "Permissions"),
            (500, "hostname lookup 'pve9' failed - failed to get address info for: pve9", PveError, "node", "set node"),
            (
                403,
                "Permission check failed (changing feature flags (except nesting) is only allowed for root@pam)",
                PveError,
                "root_only",
                "password",
            ),
            (401, "Authentication failed!", PveError, "login", "api_token_secret"),
        ],
    )
    def test_pve_is_never_asked_twice_after_it_refused(
        self,
        node: ApiNode,
        script: Script,
        status: int,
        message: str | None,
        kind: type[ProvisionError],
        reason: str,
        way_out: str,
    ):
        script.expect("PUT", "/nodes/pve1/lxc/101/config", status=status, message=message)
        with pytest.raises(kind) as caught:
            node.set_config("lxc", 101, {"memory": "1"})
        assert message in caught.value.message
        assert caught.value.details["reason"] == reason
        assert way_out in caught.value.remedy

    def test_only_a_held_lock_is_waited_for(self, node: ApiNode, script: Script):
        script.expect("PUT", "/nodes/pve1/lxc/101/config", status=500, message=LOCKED)
        script.expect("PUT", "/nodes/pve1/lxc/101/config")
        node.set_config("lxc", 101, {"memory": "1"})

    def test_also_when_the_task_says_so(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/lxc/101/status/start", UPID)
        task(script, LOCKED, [])
        script.expect("POST", "/nodes/pve1/lxc/101/status/start", UPID)
        task(script)
        node.start("lxc", 101, timeout=60)

    def test_but_not_for_ever(self, node: ApiNode, script: Script, monkeypatch: pytest.MonkeyPatch):
        """Each look at the clock is an hour later than the one before."""
        monkeypatch.setattr(node.clock, "now", itertools.count(step=3600).__next__)
        script.expect("PUT", "/nodes/pve1/lxc/101/config", status=500, message=LOCKED)
        with pytest.raises(Conflict):
            node.set_config("lxc", 101, {"memory": "1"})


class TestCluster:
    def test_its_nodes_take_one_request(self, node: ApiNode, script: Script):
        told = [{"type": "node", "node": "pve1", "status": "online", "maxcpu": 2, "cpu": 0.5, "maxmem": 9, "mem": 4}]
        script.expect("GET", "/cluster/resources", told)
        assert node.nodes() == [ClusterNode("pve1", True, 2, 0.5, 9, 4)]

    def test_what_ha_manages(self, node: ApiNode, script: Script):
        script.expect("GET", "/cluster/ha/resources", [{"sid": "ct:101", "state": "started"}, {"sid": "vm:200"}])
        assert node.ha_managed() == {101, 200}

    def test_who_may_not_ask_the_manager_is_told_by_the_guests(self, node: ApiNode, script: Script):
        script.expect("GET", "/cluster/ha/resources", status=403, message="Permission check failed (/, Sys.Audit)")
        script.expect("GET", "/cluster/resources?type=vm", [{"vmid": 101, "hastate": "started"}, {"vmid": 102}])
        assert node.ha_managed() == {101}

    def test_another_node_is_reached_by_the_same_connection(self, node: ApiNode, script: Script):
        other = node.on("pve2")
        script.expect("GET", "/nodes/pve2/lxc", [])
        assert (other.name, other.guests("lxc"), node.on("pve1")) == ("pve2", [], node)

    @pytest.mark.parametrize(
        ("kind", "options", "body"),
        [
            ("lxc", {"running": False}, {}),
            ("lxc", {"running": True, "shutdown_timeout": 30}, {"restart": "1", "timeout": "30"}),
            ("qemu", {"running": True, "local_disks": True}, {"online": "1", "with-local-disks": "1"}),
        ],
    )
    def test_a_guest_goes_by_a_task_and_is_looked_for_afterwards(
        self, node: ApiNode, script: Script, kind: Kind, options: dict[str, t.Any], body: dict[str, str]
    ):
        script.expect("POST", f"/nodes/pve1/{kind}/101/migrate", UPID)
        task(script)
        script.expect("GET", "/cluster/resources?type=vm", [{"vmid": 101, "node": "pve2", "type": kind}])
        node.migrate(kind, 101, "pve2", timeout=60, **options)
        assert script.bodies[0] == {"target": "pve2", **body}


class TestFaults:
    @pytest.mark.parametrize("fault", [REFUSED, RESET, requests.exceptions.ReadTimeout("late")])
    def test_reading_is_tried_again(self, node: ApiNode, script: Script, fault: Exception | None):
        for _attempt in range(3):
            script.expect("GET", "/cluster/nextid", fault=fault)
        script.expect("GET", "/cluster/nextid", "100")
        assert node.next_vmid() == 100

    @pytest.mark.parametrize("status", [502, 503, 504, 595, 596, 599])
    def test_so_it_is_when_the_proxy_has_no_answer(self, node: ApiNode, script: Script, status: int):
        script.expect("GET", "/cluster/nextid", status=status, message="no route to host")
        script.expect("GET", "/cluster/nextid", "100")
        assert node.next_vmid() == 100

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [(RESET, Unreachable), (requests.exceptions.ReadTimeout("late"), Timeout)],
    )
    def test_what_may_be_under_way_is_not_asked_twice(
        self, node: ApiNode, script: Script, fault: Exception | None, kind: type[ProvisionError]
    ):
        script.expect("POST", "/nodes/pve1/lxc", fault=fault)
        with pytest.raises(kind, match="POST /nodes/pve1/lxc"):
            node.create("lxc", 101, {"ostemplate": "x"}, timeout=5)

    def test_what_was_never_sent_is(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/lxc", fault=REFUSED)
        script.expect("POST", "/nodes/pve1/lxc", status=595, message="no route to host")
        script.expect("POST", "/nodes/pve1/lxc", UPID)
        task(script)
        node.create("lxc", 101, {"ostemplate": "x"}, timeout=5)

    def test_patience_ends(self, node: ApiNode, script: Script):
        for _attempt in range(5):
            script.expect("GET", "/cluster/nextid", fault=REFUSED)
        with pytest.raises(Unreachable) as caught:
            node.next_vmid()
        assert "api_host" in caught.value.remedy

    def test_a_certificate_that_is_not_trusted_is_told_at_once(self, node: ApiNode, script: Script):
        words = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1032)"
        script.expect("GET", "/cluster/nextid", fault=requests.exceptions.SSLError(words))
        with pytest.raises(Unreachable, match="self-signed") as caught:
            node.next_vmid()
        assert "ca_path" in caught.value.remedy

    @pytest.mark.parametrize(
        "words",
        ["[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol", "[SSL: WRONG_VERSION_NUMBER] x"],
    )
    def test_a_tls_connection_that_breaks_says_nothing_of_certificates(self, node: ApiNode, script: Script, words: str):
        for _attempt in range(5):
            script.expect("GET", "/cluster/nextid", fault=requests.exceptions.SSLError(words))
        with pytest.raises(Unreachable, match="TLS connection broke") as caught:
            node.next_vmid()
        assert "certificate" not in str(caught.value)

    def test_an_empty_answer_is_not_shown_as_bytes(self, node: ApiNode, script: Script):
        script.expect("GET", "/cluster/nextid", status=401, body=b"")
        with pytest.raises(PveError) as caught:
            node.next_vmid()
        assert "b'" not in str(caught.value)
        for words in ("realm", "api_token_id", "disabled", "expired"):
            assert words in caught.value.remedy

    def test_a_fault_while_a_task_runs_does_not_end_the_waiting(self, node: ApiNode, script: Script):
        script.expect("POST", "/nodes/pve1/lxc", UPID)
        for _attempt in range(6):
            script.expect("GET", f"/nodes/pve1/tasks/{UPID}/status", fault=REFUSED)
        task(script)
        node.create("lxc", 101, {"ostemplate": "x"}, timeout=60)


@pytest.mark.parametrize("capability", ["containers", "backups", "files", "leftovers"])
def test_what_only_the_node_can_do_is_no_capability_and_whoever_needs_it_says_so(node: ApiNode, capability: str):
    with pytest.raises(Unsupported, match="This is done only on the node itself, not over the API") as caught:
        required(getattr(node, capability), "This is done only")
    assert "without api_host" in caught.value.remedy


def test_nothing_is_kept_between_runs_and_nothing_is_held(node: ApiNode):
    assert dict(node.journal) == {}
    with node.lock("x"), node.lock("x"):
        pass


def test_the_agent_is_asked_until_its_command_has_ended(connect: Connect, script: Script):
    path = "/nodes/pve1/qemu/200/agent"
    script.expect("POST", f"{path}/exec", {"pid": 44})
    script.expect("GET", f"{path}/exec-status?pid=44", {"exited": 0})
    script.expect("GET", f"{path}/exec-status?pid=44", {"exited": 1, "exitcode": 0, "out-data": "ok\n"})
    done = connect(node="pve1").agent.run(200, ["sh", "-s"], stdin="echo ok\n")
    assert (done.rc, done.stdout) == (0, "ok\n")
    assert script.bodies[0] == {"command": "-s", "input-data": "echo ok\n"}  # both words are there: the last shows


def test_a_command_of_the_agent_that_goes_on_is_told(connect: Connect, script: Script):
    script.expect("POST", "/nodes/pve1/qemu/200/agent/exec", {"pid": 44})
    script.expect("GET", "/nodes/pve1/qemu/200/agent/exec-status?pid=44", {"exited": 0})
    with pytest.raises(Timeout, match="sh in VM 200 was not done after -1 s"):
        connect(node="pve1").agent.run(200, ["sh", "-s"], timeout=-1)


def test_what_a_login_may_do(connect: Connect, script: Script):
    script.expect("GET", "/access/permissions", {"/vms": {"VM.Audit": 1, "VM.Clone": 0}})
    assert connect(node="pve1").access() == Access("ansible@pve!t", {"/vms": {"VM.Audit": True, "VM.Clone": False}})
