# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each type of check that there is, asked as a run asks it: of a guest that is not well it is red, and where nobody can
tell it is not verified. A type without a case of either fails here."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fake_clock import FakeClock

from ansible_collections.pve.provision.plugins.module_utils._engine.verify import dhcp
from ansible_collections.pve.provision.plugins.module_utils._engine.verify.examine import (
    Answers,
    Blocks,
    Target,
    examine,
)
from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.known import Known
from ansible_collections.pve.provision.plugins.module_utils._model.checks.table import TYPES
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

UP = Known("pve1", "running", "running")
SEEN = {"interface": "eth0", "address": "127.0.0.1", "family": "ipv4", "source": "guest"}
ROUTE = "echo default via 192.0.2.1 dev eth0"
DF = "echo /dev/loop0 1000 {0}0 {0}0 {0}% /"
MEMORY = "echo MemTotal: 1000 kB; echo MemAvailable: 10 kB"
#: Idle at the first look, busy at the second.
BUSY = 'if [ -e "$0.2" ]; then echo cpu 99 0 0 1 0 0 0 0; else : > "$0.2"; echo cpu 0 0 0 0 0 0 0 0; fi'
PLAIN = ("cut", "grep", "head", "sed", "sh")


@dataclass(frozen=True)
class World:
    """A guest as a check finds it. ``programs`` are those in it, None: its shell does not answer. ``reached``: whether
    the network leads to it, where nothing listens."""

    check: Check
    known: Known = UP
    programs: t.Mapping[str, str] | None = field(default_factory=dict)
    reached: bool = True


def closed(kind: str, **options: t.Any) -> tuple[World, World]:
    """Red where nothing listens, not verified where the network does not lead there."""
    asked = check(kind, **options)
    return World(asked), World(asked, reached=False)


def inside(asked: Check, red: dict[str, str], lacking: dict[str, str] | None = None) -> tuple[World, World]:
    """Red by what programs in the guest say, not verified where they are not there, or say nothing."""
    return World(asked, programs=red), World(asked, programs=lacking or {})


CASES: dict[str, tuple[World, World]] = {
    "status": (
        World(check("status"), Known("pve1", "stopped", "running")),
        World(check("status"), Known()),
    ),
    "address": (
        World(check("address", family="ipv6"), Known("pve1", "running", addresses=[SEEN])),
        World(check("address", source=["agent"]), Known("pve1", "running", addresses=[SEEN])),
    ),
    "drift": (
        World(check("drift"), Known("pve1", "running", differs=["memory: 512 -> 1024"])),
        World(check("drift"), Known("pve1", "running", not_verified="no way in")),
    ),
    "agent": (
        World(check("agent"), Known("pve1", "running", agent=("failed", "it does not answer"))),
        World(check("agent"), UP),
    ),
    "ping": (
        World(check("ping"), programs={"ping": "exit 1"}),
        World(check("ping"), programs={}),
    ),
    "tcp": closed("tcp", port=80),
    "http": closed("http", tls=True, certificate_days=14),
    "dns_server": closed("dns_server", query="example.org"),
    "dhcp": (
        World(check("dhcp", bridge="vmbr1")),
        World(check("dhcp", bridge="no-such-bridge"), reached=False),
    ),
    "dns": inside(check("dns", query="example.org"), {"getent": "exit 2"}),
    "route": inside(check("route"), {"ip": "exit 0"}, {"ip": "echo not permitted >&2; exit 1"}),
    "gateway": inside(check("gateway"), {"ip": ROUTE, "ping": "exit 1"}, {"ip": ROUTE}),
    "service": inside(check("service", service="nginx"), {"rc-service": "[ $1 = -e ]", "rc-update": "exit 0"}),
    "package": inside(check("package", package="nginx", version=">=2"), {"dpkg-query": "echo installed 1.0-1"}),
    "command": (World(check("command", command="exit 3")), World(check("command", command="exit 0"), programs=None)),
    "disk": inside(check("disk"), {"df": DF.format(95)}),
    "memory": inside(check("memory"), {"cat": MEMORY}, {"cat": "exit 1"}),
    "cpu": inside(check("cpu"), {"head": BUSY, "sleep": "exit 0"}, {"head": "exit 1"}),
    "uptime": inside(check("uptime", min_seconds=60), {"cat": "echo 3.0 1.0"}, {"cat": "exit 1"}),
    "cloud_init": inside(check("cloud_init"), {"cloud-init": """echo '{"status": "error", "errors": ["x"]}'"""}),
    "interface": inside(check("interface", interface="wan"), {"ubus": """echo '{"up": false}'"""}),
    "firewall": inside(check("firewall"), {"nft": "exit 1"}),
}


def found(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What comes of the check in such a world."""
    programs = world.programs or {}
    for name in (each for each in PLAIN if each not in programs):
        (folder / name).symlink_to(t.cast("str", shutil.which(name)))
    for name, body in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    if TYPES[world.check.type].way == "network":
        monkeypatch.setenv("PATH", str(folder))
        _network(world, monkeypatch)

    def ask(_guest: str, blocks: Blocks) -> Answers:
        if world.programs is None:
            raise PveError("no answer")
        return {name: _run(script, folder) for name, script in blocks.items()}

    asked = world.check
    if TYPES[asked.type].way == "network" and "port" in asked.options:
        asked = check(asked.type, **{**asked.options, "port": _closed_port(asked.type == "dns_server")})
    (verdict,) = examine([asked], lambda: Target(["127.0.0.1"], ask, world.known), FakeClock(), waits=False)
    assert verdict.answer.detail, "it says why"
    return t.cast("str", verdict.answer.outcome)


def _run(script: str, folder: Path) -> Completed:
    script = script.replace("/run/systemd/system", "/nowhere").replace("/etc/openwrt_release", "/nowhere")
    done = subprocess.run(
        ["/bin/sh", "-s"], input=script, capture_output=True, text=True, env={"PATH": str(folder)}, check=False
    )
    return Completed(done.returncode, done.stdout, done.stderr)


def _closed_port(datagrams: bool) -> int:
    with socket.socket(type=socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM) as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def _network(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    if world.check.type == "dhcp" and world.reached:
        monkeypatch.setattr(dhcp, "_offers", lambda _bridge, _wanted: {"192.0.2.9": "192.0.2.10"})
    elif not world.reached:
        gone = OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))

        class Unreached(socket.socket):
            def connect(self, _address: t.Any) -> None:
                raise gone

        monkeypatch.setattr(socket, "socket", Unreached)


def test_there_is_a_case_of_every_type() -> None:
    assert CASES.keys() == TYPES.keys()


@pytest.mark.parametrize("kind", CASES)
def test_of_a_guest_that_is_not_well_it_is_red(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(CASES[kind][0], tmp_path, monkeypatch) == "failed"


@pytest.mark.parametrize("kind", CASES)
def test_where_nobody_can_tell_it_is_not_verified(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(CASES[kind][1], tmp_path, monkeypatch) == "not_verified"
