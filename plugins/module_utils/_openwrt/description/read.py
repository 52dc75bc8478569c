# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a router's description out of what was declared, with everything that is wrong in it."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.checks import (
    check_device_names,
    check_interface,
    check_segments,
    check_subnets,
    check_zones,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import (
    DESCRIPTION_KEYS,
    DHCP_KEYS,
    INTERFACE_KEYS,
    IP6,
    MANAGEMENT_KEYS,
    PROTOS,
    ROLES,
    Description,
    DhcpServer,
    Interface,
    Management,
    Role,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.values import NAME, Findings
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.form import check_form

_RESERVED = ("loopback", "globals")
_MAC = re.compile(r"[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}")
_LEASETIME = re.compile(r"\d+[smhdw]?|infinite")
_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# Without these nobody could do anything about the router any more.
_VITAL = ("boot", "network", "done")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_KEY = re.compile(r"(?:[^\s\"]+=?\S* )?(?:sk-)?(?:ssh|ecdsa)-\S+ [A-Za-z0-9+/]+=*(?: [^\n]*)?")
_HASH = re.compile(r"\$(?:1|2[aby]?|5|6)\$[./A-Za-z0-9$=,]+")


def parse(
    declared: t.Mapping[str, t.Any], node_addresses: t.Mapping[str, t.Iterable[str]] | None = None
) -> Description:
    """A declaration, checked. Raises :class:`InvalidInput` with everything that is wrong.

    ``node_addresses`` are the addresses (with prefix length) that the node itself has on each of its bridges, by
    bridge or ``bridge.tag``; without them that check is not made.
    """
    found = Findings()
    given = found.mapping("", declared, DESCRIPTION_KEYS)
    interfaces = _interfaces(found, given.get("interfaces"))
    management, warnings = _management(found, given.get("management"), interfaces)
    check_zones(found, interfaces)
    check_subnets(found, interfaces)
    if not found.flag("allow_shared_segment", given.get("allow_shared_segment")):
        check_segments(found, interfaces, node_addresses or {})
    packages = found.words("packages", given.get("packages"))
    for package in packages:
        found.pattern("packages", package, _PACKAGE, "Give names of OpenWrt packages.")
    uci = given.get("uci", {})
    if not isinstance(uci, t.Mapping):
        found.note("uci", uci, "is not a mapping", "Write {package: {section: {option: value}}}.")
        uci = {}
    check_device_names(found, interfaces, uci)
    found += check_form(uci)
    described = Description(
        interfaces=tuple(interfaces),
        management=management,
        uci=uci,
        packages=tuple(dict.fromkeys(packages)),
        services=_services(found, given.get("services")),
        hostname=found.pattern("hostname", given.get("hostname"), _HOSTNAME, "Use letters, digits and hyphens."),
        timezone=found.pattern("timezone", given.get("timezone"), re.compile(r"\S+"), "Write it like CET-1CEST."),
        zonename=found.pattern("zonename", given.get("zonename"), re.compile(r"\S+"), "Write it like Europe/Berlin."),
        secret_names=found.words("secret_names", given.get("secret_names")),
        warnings=(*warnings, *_time_warnings(given)),
    )
    if found:
        raise InvalidInput(found)
    return described


def _services(found: Findings, declared: object) -> dict[str, bool]:
    if not isinstance(declared, (t.Mapping, type(None))):
        found.note("services", declared, "is not a mapping", "Write {sqm: true, odhcpd: false}.")
        return {}
    services = {}
    for name, wanted in (declared or {}).items():
        option = f"services.{name}"
        found.pattern(option, name, _SERVICE, "Give names of init scripts, like sqm.")
        services[str(name)] = found.flag(option, wanted)
        if name in _VITAL and wanted is False:
            found.note(option, wanted, "would make the router inaccessible", "Leave it out.")
    return services


def _time_warnings(given: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    if given.get("zonename") and not given.get("timezone"):
        yield "zonename alone sets no clock where zoneinfo is not installed: declare timezone too, like CET-1CEST."


def _interfaces(found: Findings, declared: object) -> list[Interface]:
    if not isinstance(declared, t.Mapping) or not declared:
        found.note("interfaces", declared, "declares no interface", "Declare at least one, like lan: {bridge: vmbr0}.")
        return []
    declared = {str(name): value for name, value in declared.items()}
    names = [*declared]
    for name in names:
        if not NAME.fullmatch(name) or name in _RESERVED:
            found.note(f"interfaces.{name}", name, "is not a valid interface name", "Take up to 15 of A-Z a-z 0-9 _.")
    return [_interface(found, name, n, declared[name], names) for n, name in enumerate(names)]


def _interface(found: Findings, name: str, number: int, declared: object, names: t.Sequence[str]) -> Interface:
    where = f"interfaces.{name}"
    given = found.mapping(where, declared, INTERFACE_KEYS)
    if not given.get("bridge"):
        found.note(f"{where}.bridge", given.get("bridge"), "has no bridge", "Give one, like vmbr0.")
    addresses = found.addresses(f"{where}.address", given.get("address"))
    proto = found.choice(f"{where}.proto", given.get("proto"), PROTOS, "static" if given.get("address") else "dhcp")
    by_name: Role = next((role for role in ("wan", "lan") if name == role), "isolated")
    role = t.cast("Role", found.choice(f"{where}.role", given.get("role"), ROLES, by_name))
    six = any(address.version == 6 for address in addresses)
    interface = Interface(
        name=name,
        number=number,
        device=f"eth{number}",
        bridge=str(given.get("bridge", "")),
        proto=proto,
        role=role,
        tag=found.number(f"{where}.tag", given.get("tag"), 1, 4094),
        mtu=found.number(f"{where}.mtu", given.get("mtu"), 576, 65535),
        queues=found.number(f"{where}.queues", given.get("queues"), 1, 64),
        hwaddr=found.pattern(
            f"{where}.hwaddr", given.get("hwaddr"), _MAC, "Write a unicast MAC address like BC:24:11:00:00:01."
        ).upper(),
        addresses=addresses,
        gateways=found.hosts(f"{where}.gateway", given.get("gateway")),
        dns=found.hosts(f"{where}.dns", given.get("dns")),
        dhcp=_dhcp_server(found, f"{where}.dhcp_server", given.get("dhcp_server")),
        ip6=_ip6(found, f"{where}.ip6", given.get("ip6"), proto, six),
        forward_to=_forward_to(found, f"{where}.forward_to", given.get("forward_to"), names),
        metric=found.number(f"{where}.metric", given.get("metric"), 0, 2**31),
        username=str(given.get("username", "")),
        password=str(given.get("password", "")),
    )
    check_interface(found, where, interface)
    return interface


def _dhcp_server(found: Findings, option: str, declared: object) -> DhcpServer | None:
    if declared is None or declared is False:
        return None
    given = found.mapping(option, {} if declared is True else declared, DHCP_KEYS)
    default = DhcpServer()
    return DhcpServer(
        start=found.number(f"{option}.start", given.get("start", default.start), 1, 2**24) or default.start,
        limit=found.number(f"{option}.limit", given.get("limit", default.limit), 1, 2**24) or default.limit,
        leasetime=found.pattern(
            f"{option}.leasetime", given.get("leasetime", default.leasetime), _LEASETIME, "Write it like 12h."
        ),
    )


def _ip6(found: Findings, option: str, declared: object, proto: str, has_address: bool) -> str:
    default = "static" if has_address else "pd" if proto == "dhcpv6" else ""
    if declared is False:
        return ""
    return found.choice(option, declared, IP6[proto], default)


def _forward_to(found: Findings, option: str, declared: object, names: t.Sequence[str]) -> tuple[str, ...] | None:
    if declared is None:
        return None
    targets = found.words(option, declared)
    for target in targets:
        if target not in names:
            found.note(option, target, "is not a declared interface", f"There are {', '.join(names)}.")
    return targets


def _management(
    found: Findings, declared: object, interfaces: t.Sequence[Interface]
) -> tuple[Management, t.Iterator[str]]:
    given = found.mapping("management", declared, MANAGEMENT_KEYS)
    names = [each.name for each in interfaces]
    lans = [each.name for each in interfaces if each.role == "lan"]
    sources = found.words("management.from", given["from"]) if "from" in given else tuple(lans)
    for source in sources:
        if source not in names:
            found.note("management.from", source, "is not a declared interface", f"There are {', '.join(names)}.")
    keys = tuple(key.strip() for key in found.words("management.ssh_keys", given.get("ssh_keys")))
    for key in keys:
        found.pattern("management.ssh_keys", key, _KEY, "Give public keys as in authorized_keys, one line each.")
    secret = str(given.get("password_hash", ""))
    if secret and not _HASH.fullmatch(secret):
        remedy = "Give a hash that musl's crypt knows, as `openssl passwd -6` makes it."
        found.note("management.password_hash", "(hidden)", "is not a password hash", remedy)
    management = Management(
        sources=sources,
        ssh_keys=keys,
        password_hash=secret,
        luci=found.flag("management.luci", given.get("luci")),
        allow_empty_password=found.flag("management.allow_empty_password", given.get("allow_empty_password")),
    )
    return management, _warnings(management)


def _warnings(management: Management) -> t.Iterator[str]:
    if not management.sources:
        yield "management.from names no zone: the router can be administered from its console and the node only."
    if management.allow_empty_password and not management.password_hash:
        yield "Root's password is empty, as management.allow_empty_password wants it."
    elif not management.ssh_keys and not management.password_hash:
        yield "management declares neither ssh_keys nor password_hash: nobody can log in over the network."
