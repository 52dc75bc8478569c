# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the description of an OPNsense's interfaces, and what of it OPNsense cannot be given.

It is the same that an OpenWrt router has. What only a running OPNsense can be told is a finding.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.config_xml import (
    lease_seconds,
    upstream6,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import (
    Description,
    Interface,
    forwardings,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.read import parse
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.values import Findings

ZONE: t.Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
LATER: t.Final = "Leave it out, and set it up in OPNsense."
MAX_PRIORITY: t.Final = 255
# What PHP's crypt knows, by which OPNsense checks a password; it writes bcrypt as $2y$.
HASH: t.Final = re.compile(r"\$(?:2[ay]|5|6)\$.+")


def read_description(
    declared: t.Mapping[str, t.Any], node_addresses: t.Mapping[str, t.Iterable[str]] | None = None
) -> Description:
    """The description, checked. Raises InvalidInput with everything that is wrong. ``node_addresses``: those of the
    node itself, by segment."""
    found = Findings()
    zonename = found.pattern("zonename", declared.get("zonename"), ZONE, "Write it like Europe/Berlin.")
    try:
        description = parse({name: value for name, value in declared.items() if name != "zonename"}, node_addresses)
    except InvalidInput as error:
        raise InvalidInput([*error.findings, *found]) from error
    _check(found, description)
    if found:
        raise InvalidInput(found)
    return replace(description, zonename=zonename)


def opens_web(declared: t.Mapping[str, t.Any]) -> bool:
    """Whether the web interface is open to those who may manage: it is, unless ``luci`` says no."""
    management = declared.get("management")
    return not (isinstance(management, t.Mapping) and management.get("luci") is False)


def _check(found: Findings, description: Description) -> None:
    for interface in description.interfaces:
        _check_interface(found, description, interface)
    wans = [each.name for each in description.interfaces if each.role == "wan"]
    for interface in description.interfaces:
        reached = [target for name, target in forwardings(description) if name == interface.name and target in wans]
        if reached and len(reached) < len(wans):
            words = "leaves out a wan, and which of them is taken OPNsense decides by its routes"
            found.note(f"interfaces.{interface.name}.forward_to", reached, words, f"Name all of {', '.join(wans)}.")
    secret = description.management.password_hash
    if secret and not HASH.fullmatch(secret):
        remedy = "Give bcrypt ($2y$) or SHA-512 ($6$), as `openssl passwd -6` makes it."
        found.note("management.password_hash", "(hidden)", "is of a kind that OPNsense does not check", remedy)
    if description.management.allow_empty_password:
        words = "is not possible in OPNsense, which requires a password"
        found.note("management.allow_empty_password", True, words, "Give password_hash or ssh_keys.")


def _check_interface(found: Findings, description: Description, interface: Interface) -> None:
    where = f"interfaces.{interface.name}"
    if interface.proto == "pppoe":
        found.note(f"{where}.proto", "pppoe", "cannot be given to a new OPNsense", LATER)
    for version in (4, 6):
        several = [str(address) for address in interface.addresses if address.version == version]
        if len(several) > 1:
            words = f"has {len(several)} IPv{version} addresses, and an interface of OPNsense takes one"
            found.note(f"{where}.address", several, words, "Give one, and the others as virtual IPs in OPNsense.")
    if interface.ip6 == "ula":
        words = "needs a local prefix, which OPNsense does not have"
        found.note(
            f"{where}.ip6", "ula", words, "Give the interface an address of your own, like fd12:3456:789a::1/64."
        )
    if interface.ip6 == "pd" and interface.proto == "static" and upstream6(description) is None:
        found.note(f"{where}.ip6", "pd", "takes part in a prefix that no interface asks for", "Set ip6: pd on a wan.")
    if interface.metric is not None and not interface.gateways:
        words = "is for a declared gateway; of one that is learnt OPNsense decides itself"
        found.note(f"{where}.metric", interface.metric, words, LATER)
    elif interface.metric is not None and interface.metric > MAX_PRIORITY:
        found.note(f"{where}.metric", interface.metric, f"is more than {MAX_PRIORITY}", "Take a smaller one.")
    if interface.dhcp and not lease_seconds(interface.dhcp):
        words = "is not a valid lease time"
        found.note(f"{where}.dhcp_server.leasetime", interface.dhcp.leasetime, words, "Write it like 12h.")


def warnings(description: Description, *, web: bool) -> t.Iterator[str]:
    """What the user should know of it."""
    yield from description.warnings
    if web and description.management.sources and not description.management.password_hash:
        yield "Nobody can log in to the web interface, which asks for a password: there is no management.password_hash."
