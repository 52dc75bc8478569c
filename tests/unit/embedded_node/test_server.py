# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running node: commands as processes, HTTPS, faults."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request

import pytest

from embedded_node import EmbeddedNode

TEMPLATE = "local:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz"


def pct(node: EmbeddedNode, line: str, **options: t.Any) -> subprocess.CompletedProcess[str]:
    """Run pct as a user of the node would."""
    return subprocess.run(
        ["pct", *line.split()], env={**os.environ, **node.env}, capture_output=True, text=True, check=False, **options
    )


class Api:
    """An HTTPS client that trusts the node's certificate and nothing else."""

    def __init__(self, node: EmbeddedNode, headers: dict[str, str]) -> None:
        context = ssl.create_default_context(cafile=node.api["ca_path"])
        handlers = (urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({}))
        self.opener = urllib.request.build_opener(*handlers)
        self.base = f"https://{node.api['api_host']}:{node.api['api_port']}/api2/json"
        self.headers = headers

    def __call__(self, method: str, path: str, /, **params: t.Any) -> tuple[int, t.Any]:
        data = urllib.parse.urlencode(params).encode() if params else None
        request = urllib.request.Request(self.base + path, data, self.headers, method=method)
        try:
            with self.opener.open(request) as answer:
                return answer.status, json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            body = error.read()
            return error.code, json.loads(body) if body else error.reason

    def task(self, node: EmbeddedNode, upid: str) -> dict[str, t.Any]:
        """Wait for a task."""
        for _try in range(6000):
            status, row = self("GET", f"/nodes/{node.name}/tasks/{urllib.parse.quote(upid)}/status")
            assert status == 200
            if row["status"] == "stopped":
                return t.cast("dict[str, t.Any]", row)
            time.sleep(0.02)
        raise AssertionError(upid)


@pytest.fixture
def api(node: EmbeddedNode) -> Api:
    """A client with the node's token."""
    secret = f"{node.api['api_user']}!{node.api['api_token_id']}={node.api['api_token_secret']}"
    return Api(node, {"Authorization": f"PVEAPIToken={secret}"})


# -- commands ----------------------------------------------------------------------------------------------------------


def test_commands_are_counted_and_pass_streams_and_codes(node: EmbeddedNode) -> None:
    pct(node, f"create 201 {TEMPLATE} --rootfs local-lvm:1")
    assert pct(node, "start 201").returncode == 0
    answer = pct(node, "exec 201 -- cat", input="through\n")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "through\n", "")
    assert pct(node, "exec 201 -- false").returncode == 1
    assert pct(node, "start 201").stderr == "CT 201 already running\n"
    assert [argv[:2] for argv in node.commands()] == [
        ["pct", word] for word in ("create", "start", "exec", "exec", "start")
    ]
    pct(node, "stop 201")
    assert pct(node, "destroy 201").returncode == 0


def test_sigkill_leaves_the_lock_and_an_orphan(node: EmbeddedNode) -> None:
    node.fault("kill", at="extract")
    assert pct(node, f"create 202 {TEMPLATE} --rootfs local-lvm:1").returncode == -signal.SIGKILL
    assert pct(node, "config 202").stdout == "lock: create\n"
    assert (node.root / "dev/pve/vm-202-disk-0").exists()
    assert pct(node, f"create 202 {TEMPLATE} --rootfs local-lvm:1").stderr == "CT 202 already exists on node 'pve1'\n"
    assert pct(node, "start 202").stderr == "CT is locked (create)\n"
    assert pct(node, "destroy 202 --force 1").stderr == "CT is locked (create)\n"
    assert pct(node, "unlock 202").returncode == 0
    assert pct(node, "destroy 202").returncode == 0
    free = ["pvesm", "free", "local-lvm:vm-202-disk-0"]
    assert subprocess.run(free, env={**os.environ, **node.env}, capture_output=True, check=False).returncode == 0
    assert not (node.root / "dev/pve/vm-202-disk-0").exists()


@pytest.mark.parametrize(("number", "left"), [(signal.SIGTERM, False), (signal.SIGKILL, True)])
def test_signals_reach_what_runs_for_the_command(node: EmbeddedNode, number: signal.Signals, left: bool) -> None:
    """SIGTERM cleans up; SIGKILL of the command itself stops the work where it is."""
    node.fault("slow", at="extract", seconds=600)
    command = ["pct", "create", "203", TEMPLATE, "--rootfs", "local-lvm:1"]
    process = subprocess.Popen(command, env={**os.environ, **node.env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    shown = node.root / "var/lib/lxc/203/rootfs/etc/passwd"
    deadline = time.monotonic() + 120
    while not shown.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _out, said = process.communicate(timeout=120)
    time.sleep(0.1)
    assert left or said.endswith(b"failed: received interrupt\n")
    assert node.state.has_guest("lxc", 203) == left
    assert (node.root / "dev/pve/vm-203-disk-0").exists() == left
    if left:
        pct(node, "unlock 203")
        pct(node, "destroy 203")
        (node.root / "dev/pve/vm-203-disk-0").unlink()


def test_a_held_lock_times_out(node: EmbeddedNode) -> None:
    pct(node, f"create 204 {TEMPLATE} --rootfs local-lvm:1")
    node.fault("lock_held", vmid=204, seconds=60)
    answer = pct(node, "set 204 --memory 600")
    assert answer.returncode == 4
    assert (
        answer.stderr
        == "trying to acquire lock...\ncan't lock file '/run/lock/lxc/pve-config-204.lock' - got timeout\n"
    )
    node.clear_faults()
    assert pct(node, "destroy 204").returncode == 0


def test_only_the_nth_create_fails(node: EmbeddedNode) -> None:
    node.fault("fail_create", nth=2, after="extract")
    codes = [pct(node, f"create {vmid} {TEMPLATE} --rootfs local-lvm:1").returncode for vmid in (205, 206, 207)]
    assert codes == [0, 255, 0]
    assert not node.state.has_guest("lxc", 206)
    for vmid in (205, 207):
        pct(node, f"destroy {vmid}")


# -- HTTPS -------------------------------------------------------------------------------------------------------------


def test_a_task_is_answered_at_once_and_reports_how_it_ended(node: EmbeddedNode, api: Api) -> None:
    status, upid = api("POST", "/nodes/pve1/lxc", vmid=211, ostemplate=TEMPLATE, rootfs="local-lvm:1", hostname="api1")
    assert status == 200 and upid.startswith("UPID:pve1:") and upid.endswith(":vzcreate:211:root@pam!demo:")
    assert api.task(node, upid)["exitstatus"] == "OK"
    assert api("GET", "/nodes/pve1/lxc/211/config")[1]["hostname"] == "api1"
    _status, upid = api(
        "POST", "/nodes/pve1/lxc", vmid=212, ostemplate="local:vztmpl/no_1_amd64.tar.gz", rootfs="local-lvm:1"
    )
    why = "unable to create CT 212 - volume 'local:vztmpl/no_1_amd64.tar.gz' does not exist"
    assert api.task(node, upid)["exitstatus"] == why
    assert api("GET", f"/nodes/pve1/tasks/{upid}/log")[1][-1]["t"] == f"TASK ERROR: {why}"
    _status, upid = api("DELETE", "/nodes/pve1/lxc/211")
    assert api.task(node, upid)["exitstatus"] == "OK"
    assert {entry["status"] for entry in node.requests()} == {200}


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nodes/pve1/lxc/999/config", 500, "Configuration file 'nodes/pve1/lxc/999.conf' does not exist\n"),
        ("GET", "/nope", 501, "Method 'GET /nope' not implemented"),
        ("GET", "/nodes/pve1/lxc/abc/config", 400, "Parameter verification failed.\n"),
        ("GET", "/nodes/pve9/lxc", 500, "hostname lookup 'pve9' failed"),
    ],
)
def test_errors_have_pves_status_and_words(api: Api, method: str, path: str, status: int, message: str) -> None:
    code, body = api(method, path)
    assert code == status and body["message"].startswith(message)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"features": "keyctl=1"}, "changing feature flags (except nesting) is only allowed for root@pam"),
        (
            {"features": "nesting=1", "unprivileged": 0},
            "changing feature flags for privileged container is only allowed",
        ),
        ({"mp0": "/srv,mp=/mnt"}, "mount point type bind is only allowed for root@pam"),
        ({"dev0": "/dev/null"}, "configuring device passthrough is only allowed for root@pam"),
        ({"hookscript": "local:snippets/x.sh"}, "changing the hookscript is only allowed for root@pam"),
    ],
)
def test_a_token_of_root_is_not_root(api: Api, options: dict[str, t.Any], why: str) -> None:
    code, body = api("POST", "/nodes/pve1/lxc", vmid=213, ostemplate=TEMPLATE, rootfs="local-lvm:1", **options)
    assert code == 403 and why in body["message"]


def test_a_password_login_is_root(node: EmbeddedNode) -> None:
    guest = Api(node, {})
    assert guest("GET", "/version") == (401, "No ticket")
    assert guest("POST", "/access/ticket", username="root@pam", password="wrong")[0] == 401
    _status, login = guest("POST", "/access/ticket", username="root@pam", password=node.api["api_password"])
    cookie = {"Cookie": f"PVEAuthCookie={urllib.parse.quote(login['ticket'])}"}
    options = {"vmid": 214, "ostemplate": TEMPLATE, "rootfs": "local-lvm:1", "features": "keyctl=1"}
    assert Api(node, cookie)("POST", "/nodes/pve1/lxc", **options)[0] == 401, "a ticket writes with its CSRF token only"
    root = Api(node, {**cookie, "CSRFPreventionToken": login["CSRFPreventionToken"]})
    status, upid = root("POST", "/nodes/pve1/lxc", **options)
    assert status == 200 and root.task(node, upid)["exitstatus"] == "OK"
    assert pct(node, "destroy 214").returncode == 0


def test_wrong_tokens_and_strangers_stay_out(node: EmbeddedNode, api: Api) -> None:
    assert Api(node, {"Authorization": "PVEAPIToken=root@pam!demo=wrong"})("GET", "/version")[0] == 401
    context = ssl.create_default_context()
    url = f"https://127.0.0.1:{node.api['api_port']}/api2/json/version"
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({})).open(
            url
        )
    assert api("POST", "/access/users", userid="eve@pve", password="secret12")[0] == 200
    _status, login = Api(node, {})("POST", "/access/ticket", username="eve@pve", password="secret12")
    eve = Api(node, {"Cookie": f"PVEAuthCookie={urllib.parse.quote(login['ticket'])}"})
    assert eve("GET", "/nodes/pve1/lxc") == (200, [])
    assert eve("GET", "/nodes/pve1/lxc/100/config")[0] == 403
    assert api("PUT", "/access/acl", path="/", users="eve@pve", roles="PVEAuditor")[0] == 200
    assert eve("GET", "/nodes/pve1/lxc/100/config")[0] == 500
    assert api("DELETE", "/access/users/eve@pve")[0] == 200


def test_http_faults(node: EmbeddedNode, api: Api) -> None:
    node.fault("http_error", status=503, path="/version", times=1)
    node.fault("api_drop", nth=3)
    assert api("GET", "/version")[0] == 503
    assert api("GET", "/version")[0] == 200
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        api("GET", "/version")
    assert api("GET", "/version")[0] == 200


def test_an_upload_lands_in_the_storage(node: EmbeddedNode, api: Api) -> None:
    import requests

    session = requests.Session()
    session.trust_env = False
    answer = session.post(
        f"{api.base}/nodes/pve1/storage/local/upload",
        headers=api.headers,
        data={"content": "iso"},
        files={"filename": ("up.iso", b"bytes")},
        verify=node.api["ca_path"],
    )
    assert answer.status_code == 200, answer.text
    assert api.task(node, answer.json()["data"])["exitstatus"] == "OK"
    assert (node.root / "var/lib/vz/template/iso/up.iso").read_bytes() == b"bytes"
    assert "local:iso/up.iso" in {row["volid"] for row in api("GET", "/nodes/pve1/storage/local/content")[1]}
    _status, upid = api("DELETE", "/nodes/pve1/storage/local/content/local:iso/up.iso")
    assert api.task(node, upid)["exitstatus"] == "OK"
