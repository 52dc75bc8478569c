# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest agent by its socket, against one that speaks as QEMU's does."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import threading
import typing as t
from pathlib import Path

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._pve import agent as agents
from ansible_collections.pve.provision.plugins.module_utils._pve.agent import Agent
from ansible_collections.pve.provision.plugins.module_utils._pve.cli.node import CliNode
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

ETH0 = {
    "name": "eth0",
    "hardware-address": "bc:24:11:00:00:01",
    "ip-addresses": [{"ip-address": "10.0.0.5", "ip-address-type": "ipv4", "prefix": 24}],
}


class Guest:
    """An agent that answers from a table, after the rest of an answer that somebody else did not wait for."""

    def __init__(self, path: Path, answers: dict[str, list[t.Any]], *, silent: bool = False) -> None:
        self.answers, self.silent = answers, silent
        self.asked: list[tuple[str, dict[str, t.Any]]] = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        self.listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        """One caller at a time, as QEMU does."""
        while True:
            link, _peer = self.listener.accept()
            with contextlib.suppress(OSError), link:
                self.talk(link)

    def talk(self, link: socket.socket) -> None:
        with link.makefile("rwb") as stream:
            if not self.silent:
                stream.write(b'{"return": {"pid": 7}}\n')
            for line in stream:
                request = json.loads(line.rpartition(b"\xff")[2])
                name, arguments = request["execute"], request["arguments"]
                if self.silent:
                    continue
                if name == "guest-sync-delimited":
                    stream.write(b"\xff" + json.dumps({"return": arguments["id"]}).encode() + b"\n")
                else:
                    self.asked.append((name, arguments))
                    stream.write(json.dumps(self.answers[name].pop(0)).encode() + b"\n")
                stream.flush()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "run/qemu-server/200.qga"
    place.parent.mkdir(parents=True)
    return place


def test_interfaces(path: Path, tmp_path: Path) -> None:
    Guest(path, {"guest-network-get-interfaces": [{"return": [ETH0]}]})

    def nobody(argv: t.Sequence[str], *, stdin: str = "", timeout: float = 60) -> Completed:
        raise AssertionError(f"a command was started: {argv}")

    (told,) = CliNode("pve1", root=tmp_path, runner=nobody).interfaces("qemu", 200)
    assert (told["name"], told["inet"]) == ("eth0", ["10.0.0.5/24"])


@pytest.mark.parametrize(("end", "code"), [({"exitcode": 3}, 3), ({"signal": 15}, 143)])
def test_a_command(path: Path, tmp_path: Path, end: dict[str, int], code: int) -> None:
    done = {"exited": True, **end, "out-data": base64.b64encode("ü\n".encode()).decode()}
    statuses = [{"return": {"exited": False}}, {"return": done}]
    guest = Guest(path, {"guest-exec": [{"return": {"pid": 9}}], "guest-exec-status": statuses})
    ended = CliNode("pve1", root=tmp_path).agent.run(200, ["sh", "-s"], stdin="exit 3\n")
    assert ended == Completed(code, "ü\n", "")
    name, arguments = guest.asked[0]
    assert (name, arguments["path"], arguments["arg"]) == ("guest-exec", "sh", ["-s"])
    assert base64.b64decode(arguments["input-data"]) == b"exit 3\n"
    assert guest.asked[1:] == [("guest-exec-status", {"pid": 9})] * 2


def test_nobody_is_kept_waiting_by_a_command_that_goes_on(path: Path) -> None:
    class Busy(FakeClock):
        """While the command goes on, somebody else asks."""

        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            seen.append(Agent(path, FakeClock()).interfaces(timeout=60))

    seen: list[t.Any] = []
    frozen = {"error": {"desc": "Command guest-exec-status has been disabled: the agent is in frozen state"}}
    statuses = [{"return": {"exited": False}}, frozen, {"return": {"exited": True, "exitcode": 0}}]
    answers = {"guest-exec": [{"return": {"pid": 9}}], "guest-exec-status": statuses}
    Guest(path, {**answers, "guest-network-get-interfaces": [{"return": [ETH0]}] * 2})
    assert Agent(path, Busy()).run(["sh"], stdin="", timeout=60) == Completed(0, "", "")
    assert seen == [[ETH0]] * 2


def test_a_command_whose_agent_forgot_it_is_not_waited_for(path: Path) -> None:
    gone = {"error": {"desc": "PID 9 does not exist"}}
    Guest(path, {"guest-exec": [{"return": {"pid": 9}}], "guest-exec-status": [gone]})
    with pytest.raises(PveError, match="PID 9 does not exist"):
        Agent(path, FakeClock()).run(["sh"], stdin="", timeout=60)


def test_a_command_that_goes_on(path: Path) -> None:
    going = [{"return": {"exited": False}}] * 3
    Guest(path, {"guest-exec": [{"return": {"pid": 9}}], "guest-exec-status": going})
    assert Agent(path, FakeClock()).run(["sh"], stdin="", timeout=-1) is None


def test_what_the_agent_refuses_is_quoted(path: Path) -> None:
    refusal = {"error": {"class": "GenericError", "desc": "Command guest-exec has been disabled"}}
    Guest(path, {"guest-exec": [refusal]})
    with pytest.raises(PveError, match="has been disabled"):
        Agent(path, FakeClock()).run(["sh"], stdin="", timeout=60)


@pytest.mark.parametrize("answer", [["a list"], "text", {"result": {}}, {"error": {}}])
def test_an_agent_that_does_not_keep_to_its_protocol_is_reported(path: Path, answer: object) -> None:
    Guest(path, {"guest-network-get-interfaces": [answer]})
    with pytest.raises(PveError, match=r"Agent error|something else than JSON of its protocol"):
        Agent(path, FakeClock()).interfaces()


@pytest.mark.parametrize("answer", [7, ["pid"], {}, {"pid": "seven"}, {"pid": None}])
def test_a_command_without_a_number_is_not_waited_for(path: Path, answer: object) -> None:
    Guest(path, {"guest-exec": [{"return": answer}]})
    with pytest.raises(PveError, match="answered guest-exec with something else"):
        Agent(path, FakeClock()).run(["sh"], stdin="", timeout=60)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (["exited"], "answered guest-exec-status with something else"),
        ({"exited": True, "exitcode": 0, "out-data": "no base64"}, "answered guest-exec-status with something else"),
        ({"exited": True, "exitcode": 0, "err-data": 5}, "answered guest-exec-status with something else"),
        ({"exited": True, "exitcode": "three"}, "no numbers"),
        ({"exited": True, "signal": [15]}, "no numbers"),
    ],
)
def test_an_ending_that_is_nonsense_is_one_error(path: Path, status: object, words: str) -> None:
    Guest(path, {"guest-exec": [{"return": {"pid": 9}}], "guest-exec-status": [{"return": status}]})
    with pytest.raises(PveError, match=words):
        Agent(path, FakeClock()).run(["sh"], stdin="", timeout=60)


def test_an_agent_that_does_not_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU takes the connection, and nobody answers."""
    monkeypatch.setattr(agents, "_ANSWERS_WITHIN", 0.05)
    Guest(path, {}, silent=True)
    with pytest.raises(PveError, match="not running"):
        Agent(path, FakeClock()).interfaces()
