# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a description means in UCI, for each release series of OpenWrt.

:func:`desired` is what was declared, and nothing else: a running router is compared with it. :func:`complete` is the
files of a first boot: that, and what a release begins with where nothing is declared (``series.factory``), which is
left to the user afterwards.
"""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import (
    Description,
    Interface,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.firewall import firewall_sections
from ansible_collections.pve.provision.plugins.module_utils._openwrt.ours import SINGLE, merge_declared
from ansible_collections.pve.provision.plugins.module_utils._openwrt.series import Options, ReleaseSeries, factory
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Config, Package, Section
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.merge import overlay


def desired(description: Description, series: ReleaseSeries) -> Config:
    """What was declared, without the user's own ``uci``, which addresses sections of the whole configuration."""
    sections = {
        "network": _network(description, series),
        "dhcp": [_pool(interface) for interface in description.interfaces],
        "firewall": firewall_sections(description),
        "dropbear": _dropbear(description),
        "system": [Section("system", None, _system(description))],
        "uhttpd": [Section("uhttpd", "main", _listen(description.management.luci))],
    }
    return {name: Package(name, found) for name, found in sections.items()}


def complete(description: Description, series: ReleaseSeries, shipped: Config | None = None) -> Config:
    """Every file of a first boot: the release's beginnings, what was declared, and the user's own ``uci`` last.

    ``shipped`` packages stand in for the release's beginnings. Raises :class:`InvalidInput` with everything that is
    wrong in ``uci``.
    """
    beginnings = factory(series) | (shipped or {})
    result = copy.deepcopy(beginnings)
    wanted = desired(description, series)
    for name, package in wanted.items():
        for section in package.sections:
            known = counterpart(result[name], section)
            if known is None:
                result[name].sections.append(section)
            else:
                adopt(known, section)
    uci = {name: each for name, each in description.uci.items() if name in result or _is_whole(name, each, description)}
    return merge_declared(result, beginnings, wanted, uci, beginnings)


def _is_whole(name: str, declared: object, description: Description) -> bool:
    """Whether a package that has no file yet can begin with what is declared. One that is going to be installed brings
    a configuration of its own, unless it finds one; and what names sections that are not there waits for them."""
    if description.packages:
        return False
    try:
        overlay({}, {name: declared})
    except InvalidInput:
        return False
    return True


# The options that a description decides on, by section type: where it says nothing of one, that is meant too. Of any
# other type it decides on what it says alone, and of rules and forwardings, which are ours whole, on everything.
DECIDED: t.Mapping[str, t.Collection[str]] = {
    "interface": (
        *("device", "ifname", "type", "proto", "ipaddr", "netmask", "gateway", "ip6addr", "ip6gw", "ip6assign"),
        *("ip6class", "reqprefix", "dns", "peerdns", "metric", "username", "password", "ipv6"),
    ),
    "dhcp": (
        *("interface", "start", "limit", "leasetime", "ignore", "dhcpv4", "dhcpv6", "dynamicdhcp", "master"),
        *("ra", "ra_slaac", "ra_flags", "ra_management", "ndp"),
    ),
    "zone": ("name", "network", "device", "subnet", "input", "output", "forward", "masq", "masq6", "mtu_fix"),
    "dropbear": ("enable", "PasswordAuth", "RootPasswordAuth", "RootLogin", "Port", "Interface", "DirectInterface"),
    "uhttpd": ("listen_http", "listen_https"),
}
WHOLE = ("rule", "forwarding")


def adopt(known: Section, section: Section) -> None:
    """Bring a section to what was declared of it; what the description does not decide on stays."""
    decided = known.options if known.type in WHOLE else DECIDED.get(known.type, ())
    known.options = {option: value for option, value in known.options.items() if option not in decided}
    known.options |= section.options


# These go by their option ``name``. Whether the section has a name is no matter.
BY_OPTION = ("zone", "rule", "redirect", "device")


def identity(section: Section) -> tuple[str, ...]:
    """What makes a section the same one, whatever else it says: its name, or what stands for a name in its type."""
    if section.type in SINGLE:
        return (section.type,)
    if section.type == "forwarding":
        return (section.type, section.get("src"), section.get("dest"))
    if section.type in BY_OPTION:
        return (section.type, section.get("name") or section.name or "")
    return (section.type, section.name or "")


def counterpart(package: Package, section: Section) -> Section | None:
    """The section of ``package`` that is the same one."""
    return next((each for each in package.sections if identity(each) == identity(section)), None)


def _network(description: Description, series: ReleaseSeries) -> list[Section]:
    local = any(each.ip6 in ("pd", "ula") and each.proto == "static" for each in description.interfaces)
    sections = [Section("globals", "globals", {"ula_prefix": "auto"})] if local else []
    for interface in description.interfaces:
        sections.append(Section("interface", interface.name, _speaking(interface, series)))
        if interface.ip6 and interface.proto in ("dhcp", "pppoe"):
            device = interface.device if interface.proto == "dhcp" else f"@{interface.name}"
            six: Options = {"device": device, "proto": "dhcpv6"}
            sections.append(Section("interface", f"{interface.name}6", six | _upstream6(interface)))
    return sections


def _upstream6(interface: Interface) -> Options:
    return {"reqprefix": "no"} if interface.ip6 == "auto" else {}


def _speaking(interface: Interface, series: ReleaseSeries) -> Options:
    """The options of an ``interface`` section, straight on its port: no bridge around a single port."""
    options: Options = {"device": interface.device, "proto": interface.proto}
    if interface.proto == "static":
        options |= _addresses(interface, series)
    if interface.proto == "pppoe":
        options |= {"username": interface.username, "password": interface.password}
        options |= {"ipv6": "1" if interface.ip6 else "0"}
    if interface.proto == "dhcpv6":
        options |= _upstream6(interface)
    if interface.dns:
        options |= {"dns": list(interface.dns)}
        options |= {} if interface.proto in ("static", "none") else {"peerdns": "0"}
    if interface.metric is not None:
        options |= {"metric": str(interface.metric)}
    return options


def _addresses(interface: Interface, series: ReleaseSeries) -> Options:
    four = [address for address in interface.addresses if address.version == 4]
    six = [str(address) for address in interface.addresses if address.version == 6]
    options: Options = {}
    if len(four) == 1 and not series.prefix_length:
        options |= {"ipaddr": str(four[0].ip), "netmask": str(four[0].netmask)}
    else:
        options |= {"ipaddr": [str(address) for address in four]}
    options |= {"gateway": next((each for each in interface.gateways if ":" not in each), "")}
    options |= {"ip6addr": six}
    options |= {"ip6gw": next((each for each in interface.gateways if ":" in each), "")}
    options |= {"ip6assign": "64"} if interface.ip6 in ("pd", "ula") else {}
    options |= {"ip6class": ["local"]} if interface.ip6 == "ula" else {}
    return options


def _pool(interface: Interface) -> Section:
    """What is served on an interface. Each says what it does not serve: silence would mean "as the release likes"."""
    options: Options = {"interface": interface.name}
    if interface.dhcp is None:
        options |= {"ignore": "1", "dhcpv4": "disabled", "ra": "disabled", "dhcpv6": "disabled"}
        return Section("dhcp", interface.name, options)
    pool = interface.dhcp
    options |= {"start": str(pool.start), "limit": str(pool.limit), "leasetime": pool.leasetime, "dhcpv4": "server"}
    if interface.serves_ip6:
        options |= {"ra": "server", "dhcpv6": "server", "ra_slaac": "1"}
        options |= {"ra_flags": ["managed-config", "other-config"]}
    else:
        options |= {"ra": "disabled", "dhcpv6": "disabled"}
    return Section("dhcp", interface.name, options)


def _dropbear(description: Description) -> list[Section]:
    """One instance for each zone that management may come from, bound to its addresses; none listens elsewhere."""
    password = "on" if description.management.password_hash else "off"
    common: Options = {"PasswordAuth": password, "RootPasswordAuth": password, "Port": "22"}
    sources = description.management.sources
    if not sources:
        return [Section("dropbear", "main", {"enable": "0", **common})]
    names = ["main", *(f"ssh_{source}" for source in sources[1:])]
    return [
        Section("dropbear", name, {"enable": "1", **common, "Interface": source})
        for name, source in zip(names, sources, strict=True)
    ]


def _system(description: Description) -> Options:
    said = {"hostname": description.hostname, "timezone": description.timezone, "zonename": description.zonename}
    return {option: value for option, value in said.items() if value}


def _listen(luci: bool) -> Options:
    """Where the web server listens: without LuCI on the loopback only. The firewall says who gets through."""
    if not luci:
        return {"listen_http": ["127.0.0.1:80"]}
    return {"listen_http": ["0.0.0.0:80", "[::]:80"], "listen_https": ["0.0.0.0:443", "[::]:443"]}
