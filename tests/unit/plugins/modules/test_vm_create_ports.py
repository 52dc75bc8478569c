# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports that a profile has checked at the end: red where nothing answers, green where something does."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import socket
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._engine.verify import probes
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.kind import VmType
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense import part
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.network import Reply
from embedded_node.mirror import Mirror

from .conftest import Bench, Params
from .test_vm_create_opnsense import KEY, LAN, WAN

ADDRESS = "192.0.2.5"
BLANK: Params = {"image": None, "disks": [{"storage": "local-lvm", "size": "1G"}], "agent": {"enabled": False}}
PORTS = {
    "haos": {"observer": 4357, "web interface": 8123},
    "talos": {"Talos API": 50000},
    "opnsense": {"SSH": 22, "web interface": 443},
}


class Page(http.server.BaseHTTPRequestHandler):
    """A page that is there."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: t.Any) -> None:
        """Nobody reads it."""


class Guest:
    """What listens in a VM: the real probes ask a server on this machine in its stead."""

    def __init__(self, listening: int, closed: int) -> None:
        self.listening, self.closed = listening, closed
        self.open: set[int] = set()
        self.asked: set[tuple[str, int]] = set()

    def ask(self, probe: t.Callable[[Check, str], Reply], check: Check, address: str) -> Reply:
        port = check["port"]
        self.asked.add((address, port))
        here = self.listening if port in self.open else self.closed
        return probe(dataclasses.replace(check, options={**check.options, "port": here}), "127.0.0.1")


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Guest]:
    """A VM whose address somebody has seen."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody else gets it, and nobody listens
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = Guest(server.server_port, closed.getsockname()[1])
        for name in ("tcp", "http"):
            monkeypatch.setitem(probes.PROBES, name, functools.partial(found.ask, probes.PROBES[name]))
        seen = {"interface": "net0", "address": ADDRESS, "prefix": 24, "family": "ipv4", "source": "neighbour"}
        monkeypatch.setattr(VmType, "await_addresses", lambda *_args, **_more: ([seen], []))
        yield found
        server.shutdown()


@pytest.fixture(scope="module")
def mirror_of_opnsense() -> t.Iterator[Mirror]:
    with Mirror(sites=("opnsense",)) as mirror:
        yield mirror


@pytest.fixture
def declared(profile: str, mirror_of_opnsense: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Params:
    common: Params = {"name": "box", "profile": profile, "state": "started", "checks_timeout": 0}
    if profile != "opnsense":
        return {**BLANK, **common}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(part, "answers", lambda _address: False)
    return {
        **common,
        "image": {"name": "opnsense", "mirrors": [mirror_of_opnsense.base("opnsense")]},
        "disks": [{"storage": "local-lvm", "size": "64M"}],
        "interfaces": {"wan": WAN, "lan": LAN},
        "management": {"from": ["lan"], "ssh_keys": [KEY]},
    }


def outcomes(checks: list[Params]) -> dict[str, str]:
    return {check["name"]: check["outcome"] for check in checks}


@pytest.mark.parametrize("profile", PORTS)
def test_a_port_is_red_where_nothing_answers_and_green_where_something_does(
    bench: Bench, guest: Guest, profile: str, declared: Params
) -> None:
    ports = PORTS[profile]
    red = bench.bad("vm_create", **declared)
    assert red.error == "checks_failed"
    assert outcomes(red.checks) == dict.fromkeys(ports, "failed")
    assert {port for _address, port in guest.asked} == set(ports.values())
    for name, port in ports.items():
        guest.open = {port}
        if len(ports) > 1:
            some = bench.bad("vm_create", **declared)
            assert outcomes(some.checks) == {other: "passed" if other == name else "failed" for other in ports}
    guest.open = set(ports.values())
    green = bench.good("vm_create", **declared)
    assert not green.changed
    assert outcomes(green.checks) == dict.fromkeys(ports, "passed")


@pytest.mark.parametrize("profile", ["haos"])
def test_a_page_is_more_than_an_open_port(bench: Bench, guest: Guest, declared: Params, monkeypatch: t.Any) -> None:
    """Home Assistant answers, and with an error."""
    guest.open = set(PORTS["haos"].values())
    monkeypatch.setattr(Page, "do_GET", lambda page: page.send_error(502))
    red = bench.bad("vm_create", **declared)
    assert outcomes(red.checks) == dict.fromkeys(PORTS["haos"], "failed")
    assert "502" in red.msg
