# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import itertools
import json
import typing as t
from pathlib import Path

import pytest
import requests
from scripted_requests import LOCKED, REFUSED, RESET, TOKEN, UPID, Connect, Script, task

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    NotFound,
    ProvisionError,
    PveError,
    Timeout,
    Unreachable,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.api.node import ApiNode
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node

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

    @pytest.mark.parametrize(
        ("body", "status"),
        [(b"<html>at work</html>", 200), (b"[]", 200), (b'{"da', 200), (b"", 595), (b"<html>Bad Gateway</html>", 502)],
    )
    def test_a_proxy_that_answers_in_the_place_of_pve_is_asked_again_and_blames_no_password(
        self, connect: Connect, script: Script, monkeypatch: pytest.MonkeyPatch, body: bytes, status: int
    ):
        answers = [(status, body), (status, body), (200, b'{"data": {"ticket": "t", "CSRFPreventionToken": "c"}}')]

        def post(url: str, data_given: object = None, **settings: t.Any) -> requests.Response:
            response = requests.Response()
            response.status_code, response._content = answers.pop(0)
            response.reason = "as it may be"
            return response

        monkeypatch.setattr(requests, "post", post)
        assert connect(**PASSWORD).root_login
        answers += [(status, body)] * 5
        with pytest.raises(Unreachable, match="login of root@pam") as caught:
            connect(**PASSWORD)
        assert "password" not in str(caught.value)


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

    @pytest.mark.parametrize(
        "body", [b"<html>at work</html>", b"[]", b"null", b'{"data": [{"vmid": 1', b'{"success": 1}']
    )
    def test_what_is_no_answer_of_pve_is_none(self, node: ApiNode, script: Script, body: bytes):
        for _attempt in range(5):
            script.expect("GET", "/nodes/pve1/storage", body=body)
        with pytest.raises(Unreachable, match="no answer of PVE's API") as caught:
            node.storages()
        assert "api_host" in caught.value.remedy
        assert "vmid" not in str(caught.value), "half an answer may hold what is secret"
        script.expect("POST", "/nodes/pve1/lxc", body=body)
        with pytest.raises(Unreachable, match="no answer of PVE's API"):
            node.create("lxc", 101, {"ostemplate": "x"}, timeout=5)

    @pytest.mark.parametrize("body", [b"<html>at work</html>", b'["x"]', b'{"errors": ["x"]}', b"{"])
    def test_a_refusal_of_another_form_is_reported_as_one(self, node: ApiNode, script: Script, body: bytes):
        script.expect("PUT", "/nodes/pve1/lxc/101/config", status=500, message="strange", body=body)
        with pytest.raises(PveError, match="500 strange"):
            node.set_config("lxc", 101, {"memory": "1"})

    @pytest.mark.parametrize("fault", [RESET, requests.exceptions.ReadTimeout("late")])
    def test_what_may_be_under_way_is_reported(self, node: ApiNode, script: Script, fault: Exception):
        script.expect("POST", "/nodes/pve1/lxc", fault=fault)
        with pytest.raises((Unreachable, Timeout)) as caught:
            node.create("lxc", 101, {"ostemplate": "x"}, timeout=5)
        assert "PVE may have started it nevertheless" in caught.value.remedy

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

    def test_a_certificate_that_is_not_trusted_is_reported_at_once(self, node: ApiNode, script: Script):
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
