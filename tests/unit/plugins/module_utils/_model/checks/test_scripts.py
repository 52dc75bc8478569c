# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest's shell is asked, run by a real shell in which only some programs are there, and judged."""

from __future__ import annotations

import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Answer, Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.table import TYPES
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

SHELLS = [*filter(None, map(shutil.which, ("dash", "bash")))]
#: What every guest has.
PLAIN = ("cat", "cut", "df", "grep", "head", "sed", "sh", "sleep")
Programs = dict[str, str]


@pytest.fixture(params=SHELLS, ids=lambda path: Path(path).name)
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> t.Callable[..., Answer]:
    """Asks for a check in a guest with some programs; ``systemd``: whether that runs it, ``init``: what OpenWrt has to
    start nginx with, where it is that."""

    def ask(asked: Check, programs: Programs, *, systemd: bool = False, init: str | None = None) -> Answer:
        folder, mark, scripts = tmp_path / "bin", tmp_path / "systemd", tmp_path / "init.d"
        folder.mkdir()
        for name in PLAIN:
            (folder / name).symlink_to(t.cast("str", shutil.which(name)))
        for name, body in programs.items():
            (folder / name).write_text(f"#!/bin/sh\n{body}\n")
            (folder / name).chmod(0o755)
        if systemd:
            mark.mkdir()
        script = t.cast("t.Callable[[Check], str]", TYPES[asked.type].script)(asked)
        script = script.replace("/run/systemd/system", str(mark)).replace("/etc/init.d", str(scripts))
        script = script.replace("/etc/openwrt_release", str(scripts))
        if init is not None:
            scripts.mkdir()
            (scripts / "nginx").write_text(f"#!/bin/sh\n{init}\n")
            (scripts / "nginx").chmod(0o755 if init else 0o644)
        env = {"PATH": str(folder)}
        done = subprocess.run([request.param, "-s"], input=script, capture_output=True, text=True, env=env, check=False)
        told: Answer = TYPES[asked.type].judge(asked, Completed(done.returncode, done.stdout, done.stderr))
        return told

    return ask


PACKAGE = check("package", package="nginx", version=">=1.22")
SERVICE = check("service", service="nginx", enabled=True)
LOOKUP = check("dns", query="example.org")
GATEWAY = check("gateway")
ROUTE = "echo default via 192.0.2.1 dev eth0 proto static"
NSLOOKUP = """\
printf 'Server:\\t\\t127.0.0.1\\nAddress:\\t127.0.0.1:53\\n\\nName:\\texample.org\\nAddress: 192.0.2.7\\n'"""


@pytest.mark.parametrize(
    ("asked", "programs", "outcome", "detail"),
    [
        (PACKAGE, {"dpkg-query": "echo installed 1.26.3-3"}, "passed", "1.26.3-3"),
        (PACKAGE, {"dpkg-query": "echo config-files 1.26.3-3"}, "failed", "is not installed"),
        (PACKAGE, {"dpkg-query": "echo none >&2; exit 1"}, "failed", "is not installed"),
        (PACKAGE, {"apk": "echo nginx-1.28.0-r3; echo nginx-mod-x-9-r1"}, "passed", "1.28.0-r3"),
        (PACKAGE, {"apk": "echo nginx-mod-x-9-r1"}, "failed", "is not installed"),
        (PACKAGE, {"rpm": "echo 1.26.3-1.el9"}, "passed", "1.26.3-1.el9"),
        (PACKAGE, {"rpm": "echo package nginx is not installed; exit 1"}, "failed", "is not installed"),
        (PACKAGE, {"pacman": "echo nginx 1.28.0-1"}, "passed", "1.28.0-1"),
        (PACKAGE, {"opkg": "echo nginx - 1.26.1-r1"}, "passed", "1.26.1-r1"),
        (PACKAGE, {}, "not_verified", "it has no package manager that is known here"),
        (SERVICE, {"rc-service": "exit 0", "rc-update": "echo ' nginx | default'"}, "passed", "started, enabled"),
        (SERVICE, {"rc-service": "[ $1 = -e ]", "rc-update": "exit 0"}, "failed", "stopped"),
        (SERVICE, {"rc-service": "exit 1", "rc-update": "exit 0"}, "failed", "missing"),
        (SERVICE, {}, "not_verified", "it has no service manager that is known here"),
        (LOOKUP, {"getent": "echo '192.0.2.7 STREAM example.org'"}, "passed", "192.0.2.7"),
        (LOOKUP, {"getent": "exit 2"}, "failed", "no address"),
        (LOOKUP, {"nslookup": NSLOOKUP}, "passed", "192.0.2.7"),
        (LOOKUP, {"nslookup": "echo \"** server can't find it: NXDOMAIN\"; exit 1"}, "failed", "no address"),
        (LOOKUP, {}, "not_verified", "it has neither getent nor nslookup"),
        (check("route"), {"ip": ROUTE}, "passed", "default via 192.0.2.1 dev eth0 proto static"),
        (check("route"), {"ip": "exit 0"}, "failed", "there is none"),
        (GATEWAY, {"ip": ROUTE, "ping": "[ $6 = 192.0.2.1 ]"}, "passed", "192.0.2.1"),
        (GATEWAY, {"ip": ROUTE, "ping": "exit 1"}, "failed", "192.0.2.1 does not answer"),
        (GATEWAY, {"ip": "exit 0", "ping": "exit 0"}, "failed", "there is no default route"),
        (GATEWAY, {"ip": ROUTE}, "not_verified", "ping is not there"),
        (GATEWAY, {}, "not_verified", "ip is not there"),
        (check("gateway", family="ipv6"), {"ip": "echo default via fe80::1 dev eth0", "ping": "[ $6 = fe80::1%eth0 ]"},
         "passed", "fe80::1"),
        (check("command", command="echo \"it's $HOME\" | grep -c it"), {}, "passed", "ended with 0"),
        (check("command", command="cat"), {}, "passed", "ended with 0"),
        (check("command", command="exit 3"), {"timeout": 'shift; exec "$@"'}, "failed", "ended with 3"),
        (check("command", command="sleep 9"), {"timeout": "exit 124"}, "failed", "was not done after 20 s"),
        (check("firewall"), {"nft": "echo table inet fw4 {; echo '  chain input {'"}, "passed", "is loaded"),
        (check("firewall"), {"nft": "exit 1"}, "failed", "its rules are not loaded"),
        (check("firewall"), {"iptables": "echo -N zone_lan_input"}, "passed", "is loaded"),
        (check("firewall"), {"iptables": "echo -P INPUT ACCEPT"}, "failed", "its rules are not loaded"),
        (check("firewall"), {}, "not_verified", "it has neither nft nor iptables"),
        (check("interface", interface="wan"), {"ubus": "echo '{\"up\": true}'"}, "passed", "is up"),
        (check("cloud_init"), {"cloud-init": "[ $2 = --long ] && echo 'status: done'"}, "passed", "done"),
        (check("uptime", min_seconds=0), {}, "passed", None),
        (check("memory", max_percent=100), {}, "passed", None),
        (check("disk", max_percent=100), {}, "passed", None),
        (check("cpu", max_percent=100), {}, "passed", None),
    ],
)  # fmt: skip
def test_a_shell_is_asked(
    ask: t.Callable[..., Answer], asked: Check, programs: Programs, outcome: str, detail: str | None
) -> None:
    told = ask(asked, programs)
    assert told.outcome == outcome, told
    assert detail is None or detail in told.detail


@pytest.mark.parametrize(
    ("says", "outcome", "detail"),
    [
        ("[ $1 = is-active ] && echo active || echo enabled", "passed", "active, enabled"),
        ("[ $1 = is-active ] && echo active || echo disabled", "failed", "active, and disabled"),
        ("[ $1 = is-active ] && { echo inactive; exit 3; }; echo enabled", "failed", "inactive"),
        ("[ $1 = is-active ] && { echo inactive; exit 4; }; echo 'not found' >&2; exit 1", "failed", "inactive"),
    ],
)
def test_systemd_is_asked(ask: t.Callable[..., Answer], says: str, outcome: str, detail: str) -> None:
    told = ask(SERVICE, {"systemctl": says}, systemd=True)
    assert (told.outcome, told.detail) == (outcome, detail)


@pytest.mark.parametrize(
    ("init", "outcome", "detail"),
    [
        ("[ $1 = enabled ] || echo running", "passed", "running, enabled"),
        ("[ $1 = enabled ] && exit 1; echo running", "failed", "running, and disabled"),
        ("[ $1 = enabled ] || { echo inactive; exit 3; }", "failed", "inactive"),
        ("", "failed", "missing"),
        ("[ $1 = enabled ] || exit 1", "failed", "unknown"),
        ("[ $1 = enabled ] || { echo 'Syntax: nginx [command]'; echo running; }", "passed", "running, enabled"),
    ],
)
def test_procd_is_asked(ask: t.Callable[..., Answer], init: str, outcome: str, detail: str) -> None:
    told = ask(SERVICE, {}, init=init)
    assert (told.outcome, told.detail) == (outcome, detail)
