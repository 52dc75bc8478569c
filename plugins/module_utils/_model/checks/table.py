# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the types of checks, what each asks and how its answer is judged. Pure.

A new type is an entry of :data:`TYPES`, its judge, what it asks (a script for ``inside``, a probe of
``_engine/verify/probes.py`` for ``network``, nothing for ``known``), a line in ``doc_fragments/checks.py``, and a test
in which it is green, one in which it is red, and one in which nobody can tell.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._model.checks import inside, inside_network, known, network
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Answer, Check, Way

REQUIRED: t.Final = object()
"""The default of an option without which a check says nothing."""
EVERY: t.Final = frozenset({"lxc", "vm", "openwrt_lxc", "openwrt_vm"})
VMS: t.Final = frozenset({"vm", "openwrt_vm"})
ROUTERS: t.Final = frozenset({"openwrt_lxc", "openwrt_vm"})

COMMON: t.Final[dict[str, dict[str, t.Any]]] = {
    "name": {"type": "str"},
    "timeout": {"type": "int"},
    "retries": {"type": "int"},
}
"""What a check of any type has, as an argument spec."""
OPTIONS: t.Final[dict[str, dict[str, t.Any]]] = {
    "address": {"type": "str"},
    "bridge": {"type": "str"},
    "certificate_days": {"type": "int"},
    "command": {"type": "str"},
    "enabled": {"type": "bool"},
    "expect": {"type": "str"},
    "family": {"type": "str", "choices": ["ipv4", "ipv6"]},
    "host": {"type": "str"},
    "interface": {"type": "str"},
    "max_percent": {"type": "int"},
    "min_seconds": {"type": "int"},
    "package": {"type": "str"},
    "path": {"type": "str"},
    "port": {"type": "int"},
    "query": {"type": "str"},
    "service": {"type": "str"},
    "source": {"type": "list", "elements": "str"},
    "status": {"type": "list", "elements": "int"},
    "tls": {"type": "bool"},
    "validate_certs": {"type": "bool"},
    "version": {"type": "str"},
}
"""What checks of some types have, as an argument spec."""
BOUNDS: t.Final[dict[str, tuple[int, int | None]]] = {
    "timeout": (0, None),
    "retries": (0, None),
    "certificate_days": (0, None),
    "max_percent": (1, 100),
    "min_seconds": (0, None),
    "port": (1, 65535),
}
"""The least and the most that a number may be."""


@dataclass(frozen=True)
class CheckType:
    """One type of check.

    ``way``: whom it asks, which are ``network`` (from where the module runs), ``inside`` (the guest's own shell) and
    ``known`` (what the run itself has read). ``options`` are its own, with their defaults. ``title`` is its name where
    none is declared, with the options in braces. ``guests`` are the types of guests that it is for. ``script`` is what
    a shell is asked, ``judge`` judges the answer: what a shell did, a ``Reply``, or what is ``Known``.
    """

    way: Way
    title: str
    judge: t.Callable[[Check, t.Any], Answer]
    options: t.Mapping[str, t.Any] = field(default_factory=dict)
    script: t.Callable[[Check], str] | None = None
    guests: frozenset[str] = EVERY


_PAGE: t.Final = {
    **dict.fromkeys(("port", "address", "host", "status", "expect", "certificate_days")),
    "path": "/",
    "tls": False,
    "validate_certs": False,
}
TYPES: t.Final[dict[str, CheckType]] = {
    "status": CheckType("known", "status", known.judge_status),
    "address": CheckType(
        "known", "address {interface} {family} {address}", known.judge_address,
        dict.fromkeys(("interface", "family", "address", "source")),
    ),
    "drift": CheckType("known", "as declared", known.judge_drift),
    "ping": CheckType("network", "ping {address}", network.judge_answered, {"address": None}),
    "tcp": CheckType("network", "TCP port {port}", network.judge_answered, {"port": REQUIRED, "address": None}),
    "http": CheckType("network", "page {path}", network.judge_http, _PAGE),
    "dns_server": CheckType(
        "network", "DNS answer for {query}", network.judge_lookup,
        {"query": REQUIRED, "port": 53, "address": None, "family": "ipv4", "expect": None},
    ),
    "dhcp": CheckType(
        "network", "DHCP on {bridge}", network.judge_answered, {"bridge": REQUIRED, "address": None}, guests=EVERY
    ),
    "dns": CheckType(
        "inside", "lookup of {query}", inside_network.judge_lookup,
        {"query": REQUIRED, "expect": None}, inside_network.lookup_script,
    ),
    "route": CheckType(
        "inside", "default route for {family}", inside_network.judge_route,
        {"family": "ipv4"}, inside_network.route_script,
    ),
    "gateway": CheckType(
        "inside", "gateway for {family}", inside_network.judge_gateway,
        {"family": "ipv4"}, inside_network.gateway_script,
    ),
    "service": CheckType(
        "inside", "service {service}", inside.judge_service,
        {"service": REQUIRED, "enabled": None}, inside.service_script,
    ),
    "package": CheckType(
        "inside", "package {package}", inside.judge_package,
        {"package": REQUIRED, "version": None}, inside.package_script,
    ),
    "command": CheckType(
        "inside", "{command}", inside.judge_command, {"command": REQUIRED, "expect": None}, inside.command_script
    ),
    "disk": CheckType("inside", "disk {path}", inside.judge_disk, {"path": "/", "max_percent": 90}, inside.disk_script),
    "memory": CheckType("inside", "memory", inside.judge_memory, {"max_percent": 90}, inside.memory_script),
    "cpu": CheckType("inside", "CPU", inside.judge_cpu, {"max_percent": 90}, inside.cpu_script),
    "uptime": CheckType("inside", "uptime", inside.judge_uptime, {"min_seconds": REQUIRED}, inside.uptime_script),
    "agent": CheckType("known", "guest agent", known.judge_agent, guests=VMS),
    "cloud_init": CheckType(
        "inside", "cloud-init", inside_network.judge_cloud_init,
        script=inside_network.cloud_init_script, guests=frozenset({"vm"}),
    ),
    "interface": CheckType(
        "inside", "interface {interface}", inside_network.judge_interface,
        {"interface": REQUIRED}, inside_network.interface_script, ROUTERS,
    ),
    "firewall": CheckType(
        "inside", "firewall", inside_network.judge_firewall, script=inside_network.firewall_script, guests=ROUTERS
    ),
}  # fmt: skip
"""By the value of ``type``."""
CHECK: t.Final[dict[str, dict[str, t.Any]]] = {
    "type": {"type": "str", "choices": list(TYPES), "required": True},
    **COMMON,
    **OPTIONS,
}
"""A check as an argument spec; documented by the fragment ``pve.provision.checks``."""
