# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_clock import FakeClock
from scripted_requests import Connect, Script

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._pve.api.agent import MOST, PART, ApiAgent


def test_the_agent_is_asked_until_its_command_has_ended(connect: Connect, script: Script):
    path = "/nodes/pve1/qemu/200/agent"
    script.expect("POST", f"{path}/exec", {"pid": 44})
    script.expect("GET", f"{path}/exec-status?pid=44", {"exited": 0})
    script.expect("GET", f"{path}/exec-status?pid=44", {"exited": 1, "exitcode": 0, "out-data": "ok\n"})
    done = connect(node="pve1").agent.run(200, ["sh", "-s"], stdin="echo ok\n")
    assert (done.rc, done.stdout) == (0, "ok\n")
    assert script.bodies[0] == {"command": "-s", "input-data": "echo ok\n"}  # both words are there: the last shows


def test_a_command_of_the_agent_that_goes_on_is_reported(connect: Connect, script: Script):
    script.expect("POST", "/nodes/pve1/qemu/200/agent/exec", {"pid": 44})
    script.expect("GET", "/nodes/pve1/qemu/200/agent/exec-status?pid=44", {"exited": 0})
    with pytest.raises(Timeout, match="sh in VM 200 was not done after -1 s"):
        connect(node="pve1").agent.run(200, ["sh", "-s"], timeout=-1)


def test_what_is_too_long_for_one_request_goes_in_parts_into_a_file_of_the_guest(connect: Connect, script: Script):
    path = "/nodes/pve1/qemu/200/agent"
    answers: list[dict[str, object]] = [{"out-data": "/tmp/tmp.a\n"}, {}, {}, {}, {"out-data": "done\n"}]
    for pid, answer in enumerate(answers):
        script.expect("POST", f"{path}/exec", {"pid": pid})
        script.expect("GET", f"{path}/exec-status?pid={pid}", {"exited": 1, "exitcode": 0, **answer})
    text = "ä" * (PART // 2 + 1) + "e" * MOST
    done = connect(node="pve1").agent.run(200, ["sh", "-s"], stdin=text)
    assert (done.rc, done.stdout) == (0, "done\n")
    parts = [(body or {}).get("input-data", "") for body in script.bodies]
    assert parts[0] == parts[-1] == ""
    assert "".join(parts).encode("latin-1").decode() == text
    assert max(map(len, parts)) <= PART  # of bytes, each of which is a character to PVE


def test_parts_that_cannot_all_be_sent_do_not_stay_in_the_guest(connect: Connect, script: Script):
    """They may hold what is secret."""
    path = "/nodes/pve1/qemu/200/agent"
    for pid, answer in enumerate([{"out-data": "/tmp/tmp.a\n"}, {}]):
        script.expect("POST", f"{path}/exec", {"pid": pid})
        script.expect("GET", f"{path}/exec-status?pid={pid}", {"exited": 1, "exitcode": 0, **answer})
    script.expect("POST", f"{path}/exec", status=500, message="QEMU guest agent is not running")
    script.expect("POST", f"{path}/exec", {"pid": 3})
    script.expect("GET", f"{path}/exec-status?pid=3", {"exited": 1, "exitcode": 0})
    with pytest.raises(PveError, match="QEMU guest agent is not running"):
        connect(node="pve1").agent.run(200, ["sh", "-s"], stdin="e" * (MOST + 1))
    assert (script.bodies[-2] or {})["command"] == "/tmp/tmp.a"


class SlowAgent:
    """Requests that take 25 s each, and a guest that answers no more after a minute."""

    def __init__(self) -> None:
        self.clock = FakeClock(now=0)

    def path(self, *parts: object) -> str:
        return "/".join(map(str, parts))

    def ask(self, method: str, _path: str, _values: object) -> dict[str, object]:
        if method == "POST":
            self.clock.time += 25
            return {"pid": 44}
        return {"exited": int(self.clock.now() < 60), "exitcode": 0, "out-data": "/tmp/tmp.a"}


def test_the_parts_share_the_time_of_the_command():
    requests = SlowAgent()
    with pytest.raises(Timeout):
        ApiAgent(requests).run(200, ["sh", "-s"], stdin="e" * (MOST + 1), timeout=60)
    posted = 25 * len(["mktemp", "a part", "a part that hangs", "rm"])
    assert posted <= requests.clock.now() <= posted + 10  # what was left when the last part was sent


def test_what_is_not_ascii_is_sent_and_reported_as_bytes(connect: Connect, script: Script):
    """PVE makes a byte of each character it is sent, and a character of each byte that the guest answers."""
    path = "/nodes/pve1/qemu/200/agent"
    script.expect("POST", f"{path}/exec", {"pid": 44})
    answer = {"exited": 1, "exitcode": 0, "out-data": "\u00c3\u00bc \u00ff", "err-data": "5 \u20ac"}
    script.expect("GET", f"{path}/exec-status?pid=44", answer)
    done = connect(node="pve1").agent.run(200, ["sh", "-s"], stdin="ü €")
    assert (script.bodies[0] or {})["input-data"] == "\u00c3\u00bc \u00e2\u0082\u00ac"
    assert (done.stdout, done.stderr) == ("ü \ufffd", "5 €")  # the last as a PVE that decodes by itself would tell it


def test_a_guest_that_has_no_room_for_the_parts_says_so(connect: Connect, script: Script):
    path = "/nodes/pve1/qemu/200/agent"
    answers: list[dict[str, object]] = [{"out-data": "/tmp/tmp.a\n"}, {"exitcode": 1, "err-data": "disk full"}, {}]
    for pid, answer in enumerate(answers):
        script.expect("POST", f"{path}/exec", {"pid": pid})
        script.expect("GET", f"{path}/exec-status?pid={pid}", {"exited": 1, "exitcode": 0, **answer})
    done = connect(node="pve1").agent.run(200, ["sh", "-s"], stdin="e" * (MOST + 1))
    assert (done.rc, done.stderr) == (1, "disk full")
