# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: checks by what a guest says of its network, its agent and its first boot: what its shell
is asked, and how its answer is judged. Pure."""

from __future__ import annotations

import json
import re
import shlex
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import (
    Answer,
    Check,
    Completed,
    failed,
    found,
    last_line,
    not_verified,
    passed,
)
from ansible_collections.pve.provision.plugins.module_utils._model.checks.inside import MISSING, by_guest, lacking
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.status import read_status

_IP: t.Final = {"ipv4": "-4", "ipv6": "-6"}
_GATEWAY: t.Final = """\
route=$(ip {family} route show default | head -n 1)
echo "$route"
via=$(echo "$route" | sed -n 's/.* via \\([^ ]*\\).*/\\1/p')
device=$(echo "$route" | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p')
case $via in fe80*) via="$via%$device" ;; esac
[ -z "$via" ] || ping {family} -c 1 -W 2 "$via" > /dev/null 2>&1
case $? in 0) ;; 127) echo lacking ;; *) echo silent ;; esac"""


def route_script(check: Check) -> str:
    return f"ip {_IP[check['family']]} route show default"


def judge_route(check: Check, done: Completed) -> Answer:
    asked = f"default route for {check['family']}"
    if unknown := lacking(check, asked, done):
        return unknown
    if done.rc:
        return not_verified(asked, last_line(done.stderr), by_guest(check))
    route = done.stdout.strip().partition("\n")[0].strip()
    return passed(asked, route, by_guest(check)) if route else failed(asked, "there is none", by_guest(check))


def gateway_script(check: Check) -> str:
    there = f"command -v ip > /dev/null || {{ echo 'ip is not there' >&2; exit {MISSING}; }}"
    return f"{there}\n{_GATEWAY.format(family=_IP[check['family']])}"


def judge_gateway(check: Check, done: Completed) -> Answer:
    asked, by = f"ping of the gateway for {check['family']}", by_guest(check)
    if unknown := lacking(check, asked, done):
        return unknown
    route, *said = [*(line.strip() for line in done.stdout.splitlines()), ""]
    if not route:
        return failed(asked, "there is no default route", by)
    if "lacking" in said:
        return not_verified(asked, "ping is not there", by, final=True)
    gateway = re.search(r" via (\S+)", route)
    if gateway is None:
        return not_verified(asked, f"the default route names no gateway: {route}", by)
    return failed(asked, f"{gateway[1]} does not answer", by) if "silent" in said else passed(asked, gateway[1], by)


_LOOKUP: t.Final = """\
name={name}
if command -v getent > /dev/null; then getent ahosts "$name"
elif command -v nslookup > /dev/null; then nslookup "$name" | sed '1,/^Name/d'
else
    echo 'it has neither getent nor nslookup' >&2
    exit 127
fi"""
_ADDRESS: t.Final = re.compile(r"(?<![\w.:])(\d+\.\d+\.\d+\.\d+|[0-9a-fA-F]*:[0-9a-fA-F:]+)(?![\w.:])")


def lookup_script(check: Check) -> str:
    return _LOOKUP.format(name=shlex.quote(check["query"]))


def judge_lookup(check: Check, done: Completed) -> Answer:
    asked, by = f"lookup of {check['query']}", by_guest(check)
    if unknown := lacking(check, asked, done):
        return unknown
    addresses = list(dict.fromkeys(_ADDRESS.findall(done.stdout)))
    if not addresses:
        return failed(asked, last_line(done.stderr) or "no address", by)
    if not found(check["expect"], "\n".join(addresses)):
        return failed(asked, f"{', '.join(addresses)}: nothing matches {check['expect']!r}", by)
    return passed(asked, ", ".join(addresses), by)


# -- cloud-init, routers ---------------------------------------------------------------------------------------------


def cloud_init_script(check: Check) -> str:
    return "cloud-init status --format json 2> /dev/null || cloud-init status --long"


def judge_cloud_init(check: Check, done: Completed) -> Answer:
    asked, by = "cloud-init status", by_guest(check)
    if unknown := lacking(check, asked, done):
        return unknown
    status = read_status(done.stdout)
    if status is None:
        return not_verified(asked, last_line(done.stderr, done.stdout) or "no answer", by)
    words = ": ".join([status.state, *status.errors, *status.warnings])
    return passed(asked, words, by) if status.state == "done" else failed(asked, words, by)


def interface_script(check: Check) -> str:
    return f"ubus call network.interface.{shlex.quote(check['interface'])} status"


def judge_interface(check: Check, done: Completed) -> Answer:
    asked, by = f"interface {check['interface']}", f"{by_guest(check)}, ubus"
    if unknown := lacking(check, asked, done):
        return unknown
    if done.rc:
        return failed(asked, last_line(done.stderr) or "netifd knows no such interface", by)
    try:
        told = json.loads(done.stdout)
    except ValueError:
        return not_verified(asked, "ubus gave no answer that can be read", by)
    up = isinstance(told, dict) and told.get("up") is True
    return passed(asked, "is up", by) if up else failed(asked, "is not up", by)


_FIREWALL: t.Final = """\
if command -v nft > /dev/null; then nft list table inet fw4
elif command -v iptables > /dev/null; then iptables -S | grep zone_
else exit 127
fi"""


def firewall_script(check: Check) -> str:
    return _FIREWALL


def judge_firewall(check: Check, done: Completed) -> Answer:
    asked, by = "firewall", by_guest(check)
    if done.rc == MISSING:
        return not_verified(asked, "it has neither nft nor iptables", by, final=True)
    loaded = not done.rc and re.search(r"^\s*chain |^-[NA] .*zone_", done.stdout, re.MULTILINE)
    return passed(asked, "is loaded", by) if loaded else failed(asked, "its rules are not loaded", by)
