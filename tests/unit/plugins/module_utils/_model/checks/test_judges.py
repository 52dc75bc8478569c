# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every type of check: an answer by which it is green, answers by which it is red, and answers that tell nothing."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.known import Known
from ansible_collections.pve.provision.plugins.module_utils._model.checks.network import Reply
from ansible_collections.pve.provision.plugins.module_utils._model.checks.table import TYPES
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

SEEN = {"interface": "eth0", "address": "192.0.2.5", "family": "ipv4", "source": "guest"}
DECLARED = {**SEEN, "source": "declared"}
MISSING = Completed(127, "", "sh: x: not found\n")
UNREACHED = Reply("no_way", "x", "nothing at 192.0.2.5 can be reached from here")


def said(out: str, rc: int = 0, err: str = "") -> Completed:
    return Completed(rc, out, err)


def page(status: int = 200, text: str = "", days: float | None = None) -> Reply:
    return Reply("answered", "GET", "", status, text, days)


def stat(*lines: str) -> Completed:
    return said("".join(f"cpu  {line}\n" for line in lines))


def meminfo(total: int, available: int) -> Completed:
    return said(f"MemTotal:       {total} kB\nMemFree:  1 kB\nMemAvailable:   {available} kB\n")


DF = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/loop0 1000 {0}0 {1}0 {0}% /\n"
PORT = check("tcp", port=80)
PAGE = check("http", expect="Welcome")
DAYS = check("http", tls=True, certificate_days=14)
NAME = check("dns_server", query="example.org", expect=r"^192\.0\.2\.")
LOOKUP = check("dns", query="example.org", expect=r"^192\.0\.2\.")
NGINX = check("service", service="nginx", enabled=True)
PACKAGE = check("package", package="nginx", version=">=1.22")
INFO = check("command", command="docker info", expect=r"Server Version: \S+")
HALF = check("disk", max_percent=50)
WAN = check("interface", interface="wan")

Case = tuple[Check, t.Any, str]
GREEN: list[Case] = [
    (check("status"), Known("pve1", "running", "running"), "running"),
    (check("status"), Known("pve1", "stopped", ""), "stopped"),
    (check("address"), Known("pve1", "running", addresses=[SEEN]), "192.0.2.5"),
    (check("address", family="ipv4", source=["guest"]), Known("", "running", addresses=[SEEN]), "192.0.2.5"),
    (check("drift"), Known("pve1", "running"), "none"),
    (check("ping"), Reply("answered", "ping", "0.04 ms"), "0.04 ms"),
    (PORT, Reply("answered", "tcp", "connected"), "connected"),
    (PAGE, page(200, "Welcome!"), "status 200"),
    (check("http", status=[401]), page(401), "status 401"),
    (DAYS, page(days=30.2), "status 200, certificate valid for 30 days"),
    (NAME, Reply("answered", "", "", text="192.0.2.7"), "192.0.2.7"),
    (check("dhcp", bridge="vmbr1"), Reply("answered", "", "192.0.2.1 offers 192.0.2.9"), "192.0.2.1 offers 192.0.2.9"),
    (LOOKUP, said("192.0.2.7     STREAM example.org\n192.0.2.7     DGRAM\n"), "192.0.2.7"),
    (LOOKUP, said("Address: 192.0.2.8\nAddress 1: 2001:db8::7\n"), "192.0.2.8, 2001:db8::7"),
    (check("route"), said("default via 192.0.2.1 dev eth0\n"), "default via 192.0.2.1 dev eth0"),
    (check("gateway"), said("default via 192.0.2.1 dev eth0\n"), "192.0.2.1"),
    (NGINX, said("systemd\nactive\nenabled\n"), "active, enabled"),
    (NGINX, said("openrc\nstarted\nenabled\n"), "started, enabled"),
    (NGINX, said("procd\nrunning\nenabled\n"), "running, enabled"),
    (check("service", service="x", enabled=False), said("systemd\nactive\ndisabled\n"), "active, disabled"),
    (PACKAGE, said("1.26.3-3\n"), "1.26.3-3"),
    (check("package", package="bash", version="5.2"), said("5.2.37-2+b5\n"), "5.2.37-2+b5"),
    (check("package", package="x", version="<2"), said("1:1.9-1\n"), "1:1.9-1"),
    (INFO, said("Client: x\nServer Version: 26.1.5\n"), "Server Version: 26.1.5"),
    (HALF, said(DF.format(50, 50)), "50 % of 50 %"),
    (check("memory"), meminfo(1000, 500), "50 % of 90 %"),
    (check("cpu"), stat("10 0 10 100 0 0 0 0 0 0", "20 0 20 180 0 0 0 0 0 0"), "20 % of 90 %"),
    (check("uptime", min_seconds=60), said("61.5 12.0\n"), "62 s, at least 60"),
    (check("agent"), Known("pve1", "running", agent=("passed", "it answers")), "it answers"),
    (check("cloud_init"), said('{"status": "done", "errors": []}'), "done"),
    (WAN, said(json.dumps({"up": True})), "is up"),
    (check("firewall"), said("table inet fw4 {\n\tchain input {\n"), "is loaded"),
    (check("firewall"), said("-N zone_lan_input\n"), "is loaded"),
]  # fmt: skip
RED: list[Case] = [
    (check("status"), Known("pve1", "stopped", "running"), "is stopped, not running"),
    (check("address"), Known("pve1", "running"), "it has none"),
    (check("address", family="ipv6"), Known("", "running", addresses=[SEEN]), "it has 192.0.2.5 (guest)"),
    (check("address", address="192.0.2.6"), Known("", "running", addresses=[SEEN]), "it has 192.0.2.5 (guest)"),
    (check("drift"), Known("pve1", "running", differs=["memory: 512 -> 1024"]), "memory: 512 -> 1024"),
    (check("ping"), Reply("silent", "ping", "no reply"), "no reply"),
    (PORT, Reply("refused", "tcp", "connection refused"), "connection refused"),
    (PORT, Reply("silent", "tcp", "timed out"), "timed out"),
    (PAGE, page(200, "It works"), "status 200, and nothing in the page matches 'Welcome'"),
    (PAGE, page(500, "Welcome"), "status 500"),
    (PAGE, Reply("nonsense", "GET", "no HTTP: BadStatusLine"), "no HTTP: BadStatusLine"),
    (check("http", status=[200, 401]), page(404), "status 404, not 200 or 401"),
    (DAYS, page(days=-3.4), "the certificate expired 3 days ago"),
    (DAYS, page(days=13.2), "certificate valid for 13 days, fewer than 14"),
    (NAME, Reply("answered", "", "NXDOMAIN"), "NXDOMAIN"),
    (NAME, Reply("answered", "", "", text="198.51.100.1"), r"198.51.100.1: nothing matches '^192\\.0\\.2\\.'"),
    (check("dhcp", bridge="vmbr1"), Reply("silent", "", "only 192.0.2.9 answers"), "only 192.0.2.9 answers"),
    (LOOKUP, said("", 2), "no address"),
    (LOOKUP, said("198.51.100.1 STREAM\n"), r"198.51.100.1: nothing matches '^192\\.0\\.2\\.'"),
    (check("route"), said(""), "there is none"),
    (check("gateway"), said("\n"), "there is no default route"),
    (check("gateway"), said("default via 192.0.2.1 dev eth0\nsilent\n"), "192.0.2.1 does not answer"),
    (NGINX, said("systemd\ninactive\nenabled\n"), "inactive"),
    (NGINX, said("systemd\nactive\ndisabled\n"), "active, and disabled"),
    (NGINX, said("procd\nmissing\ndisabled\n"), "missing"),
    (PACKAGE, said(""), "is not installed"),
    (PACKAGE, said("1.9.10-1\n"), "has version 1.9.10-1, not >=1.22"),
    (check("package", package="bash", version="5.1"), said("5.10-1\n"), "has version 5.10-1, not 5.1"),
    (INFO, said("Client: x\n"), r"nothing in its output matches 'Server Version: \\S+'"),
    (INFO, said("", 1, "a\nCannot connect\n"), "ended with 1: Cannot connect"),
    (INFO, said("", 127, "sh: docker: not found\n"), "ended with 127: sh: docker: not found"),
    (INFO, said("", 124), "was not done after 20 s"),
    (HALF, said(DF.format(51, 49)), "51 % of 50 %"),
    (HALF, said("", 1, "df: /x: No such file or directory\n"), "df: /x: No such file or directory"),
    (check("memory"), meminfo(1000, 50), "95 % of 90 %"),
    (check("cpu"), stat("0 0 0 0 0 0 0 0", "95 0 0 5 0 0 0 0"), "95 % of 90 %"),
    (check("uptime", min_seconds=60), said("3.0 1.0\n"), "3 s, at least 60"),
    (check("agent"), Known("pve1", "running", agent=("failed", "not running")), "not running"),
    (check("cloud_init"), said('{"status": "error", "errors": ["no key"]}'), "error: no key"),
    (check("cloud_init"), said("status: running\n"), "running"),
    (WAN, said(json.dumps({"up": False})), "is not up"),
    (WAN, said("", 4, "Command failed: Not found\n"), "Command failed: Not found"),
    (check("firewall"), said("", 1, "Error: No such file or directory\n"), "its rules are not loaded"),
    (check("firewall"), said("table inet fw4 {\n}\n"), "its rules are not loaded"),
]  # fmt: skip
UNKNOWN: list[Case] = [
    (check("status"), Known(), "its status is not known"),
    (check("address"), Known("", "running", addresses=[DECLARED]),
     "192.0.2.5 (declared): no accepted source has seen it"),
    (check("address", source=["agent"]), Known("", "running", addresses=[SEEN]),
     "192.0.2.5 (guest): no accepted source has seen it"),
    (check("address"), Known("", "stopped", "running"), "it is stopped"),
    (check("drift"), Known("", "running", not_verified="no way in"), "not all of it could be looked at: no way in"),
    (check("ping"), UNREACHED, UNREACHED.detail),
    (check("ping"), Reply("lacking", "ping", "ping is not installed"), "ping is not installed"),
    (PORT, UNREACHED, UNREACHED.detail),
    (PAGE, UNREACHED, UNREACHED.detail),
    (DAYS, page(), "status 200, and the certificate cannot be read"),
    (NAME, UNREACHED, UNREACHED.detail),
    (check("dhcp", bridge="vmbr1"), Reply("lacking", "", "no such device"), "no such device"),
    (LOOKUP, said("", 127, "it has neither getent nor nslookup\n"), "it has neither getent nor nslookup"),
    (check("route"), MISSING, "sh: x: not found"),
    (check("route"), said("", 1, "RTNETLINK answers: Operation not permitted\n"),
     "RTNETLINK answers: Operation not permitted"),
    (check("gateway"), MISSING, "sh: x: not found"),
    (check("gateway"), said("default via 192.0.2.1 dev eth0\nlacking\n"), "ping is not there"),
    (check("gateway"), said("default dev wg0 scope link\n"),
     "the default route names no gateway: default dev wg0 scope link"),
    (NGINX, MISSING, "sh: x: not found"),
    (NGINX, said(""), "no answer"),
    (PACKAGE, MISSING, "sh: x: not found"),
    (HALF, MISSING, "sh: x: not found"),
    (check("memory"), said("MemTotal: 5 kB\n"), "the guest does not report it"),
    (check("cpu"), stat("1 2 3 4 5 6 7 8"), "the guest does not report it"),
    (check("cpu"), stat("1 2 3 4 5 6 7 8", "1 2 3 4 5 6 7 8"), "the guest does not report it"),
    (check("uptime", min_seconds=60), said("", 1), "the guest does not report it"),
    (check("agent"), Known("pve1", "running"), "its config has no guest agent that could be asked"),
    (check("agent"), Known("pve1", "stopped", agent=("passed", "it answers")), "it is stopped"),
    (check("cloud_init"), MISSING, "sh: x: not found"),
    (check("cloud_init"), said("what?\n"), "what?"),
    (WAN, MISSING, "sh: x: not found"),
    (WAN, said("nonsense"), "ubus gave no answer that can be read"),
    (check("firewall"), said("", 127), "it has neither nft nor iptables"),
]  # fmt: skip
OUTCOMES = {"passed": GREEN, "failed": RED, "not_verified": UNKNOWN}
# What a command ends with is an answer; that nobody runs it is told by the shell.
BY_THE_SHELL = {"command": {"not_verified"}}


@pytest.mark.parametrize(
    ("outcome", "case"), [(outcome, case) for outcome, cases in OUTCOMES.items() for case in cases]
)
def test_an_answer_is_judged(outcome: str, case: Case) -> None:
    asked, told, detail = case
    answer = TYPES[asked.type].judge(asked, told)
    assert (answer.outcome, answer.detail) == (outcome, detail)


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_can_be_green_red_and_not_verified(kind: str) -> None:
    told = {outcome for outcome, cases in OUTCOMES.items() if any(asked.type == kind for asked, _told, _d in cases)}
    assert told == OUTCOMES.keys() - BY_THE_SHELL.get(kind, set())


@pytest.mark.parametrize("kind", [kind for kind, known in TYPES.items() if known.way == "inside"])
@given(err=st.text(), rc=st.integers(1, 254))
def test_a_guest_that_fails_and_says_nothing_is_never_green(kind: str, err: str, rc: int) -> None:
    given_options = {"query": "x", "service": "x", "package": "x", "command": "x", "interface": "x", "min_seconds": 5}
    asked = check(kind, **{name: given_options[name] for name in TYPES[kind].options if name in given_options})
    told = TYPES[kind].judge(asked, Completed(rc, "", err))
    assert told.outcome != "passed"
