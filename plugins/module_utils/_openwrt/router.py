# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a description means in UCI, for each release series of OpenWrt.

:func:`desired` is what was declared, and nothing else: a running router is compared with it. :func:`factory` is what
a release begins with where nothing is declared (the DNS server's options, NTP, log size): it is written once, before
the first boot, and left to the user afterwards. :func:`complete` is both, the files of a first boot.
"""

from __future__ import annotations

import copy
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import InvalidInput, Unsupported
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description import (
    Description,
    Interface,
    forwardings,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.ours import SINGLE, merge_declared
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Config, Package, Section, Value
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.merge import overlay

Options = dict[str, Value]


@dataclass(frozen=True)
class ReleaseSeries:
    """A release series and how its configuration is written.

    ``prefix_length``: addresses carry their prefix length in a list, instead of ``ipaddr`` and ``netmask``.
    ``odhcpd``: where odhcpd keeps what it learns. Its section must be there: where it is missing, odhcpd's own
    first-boot script turns router advertisements on for an interface ``lan`` that the board calls static.
    """

    name: str
    prefix_length: bool
    odhcpd: t.Mapping[str, str]


SERIES = (
    ReleaseSeries("23.05", False, {"leasefile": "/tmp/hosts/odhcpd"}),
    ReleaseSeries("24.10", False, {"leasefile": "/tmp/hosts/odhcpd", "piofolder": "/tmp/odhcpd-piofolder"}),
    ReleaseSeries(
        "25.12",
        True,
        {"leasefile": "/tmp/odhcpd.leases", "hostsdir": "/tmp/hosts", "piodir": "/tmp/odhcpd-piodir"},
    ),
)


def series_of(version: str) -> ReleaseSeries:
    """The series that writes as this version does: the newest one not newer. A snapshot writes as the newest series."""
    match = re.match(r"(\d+)\.(\d+)", version)
    if match is None:
        return SERIES[-1]
    fitting = [series for series in SERIES if order.key(series.name) <= order.key(match[0])]
    if not fitting:
        raise Unsupported(f"OpenWrt {version} is too old.", remedy=f"Take {SERIES[0].name} or newer.")
    return fitting[-1]


# --- what a release begins with ------------------------------------------------------------------------------------

_DNSMASQ: Options = {
    "domainneeded": "1",
    "boguspriv": "1",
    "filterwin2k": "0",
    "localise_queries": "1",
    "rebind_protection": "1",
    "rebind_localhost": "1",
    "local": "/lan/",
    "domain": "lan",
    "expandhosts": "1",
    "nonegcache": "0",
    "cachesize": "1000",
    "authoritative": "1",
    "readethers": "1",
    "leasefile": "/tmp/dhcp.leases",
    "resolvfile": "/tmp/resolv.conf.d/resolv.conf.auto",
    "nonwildcard": "1",
    "localservice": "1",
    "ednspacket_max": "1232",
    "filter_aaaa": "0",
    "filter_a": "0",
}
_ODHCPD: Options = {"maindhcp": "0", "leasetrigger": "/usr/sbin/odhcpd-update", "loglevel": "4"}
_SYSTEM: Options = {
    "hostname": "OpenWrt",
    "timezone": "GMT0",
    "zonename": "UTC",
    "ttylogin": "0",
    "log_size": "128",
    "urandom_seed": "0",
    "compat_version": "1.0",
}
_NTP: Options = {"enabled": "1", "enable_server": "0", "server": [f"{n}.openwrt.pool.ntp.org" for n in range(4)]}
_UHTTPD: Options = {
    "redirect_https": "0",
    "home": "/www",
    "rfc1918_filter": "1",
    "max_requests": "3",
    "max_connections": "100",
    "cert": "/etc/uhttpd.crt",
    "key": "/etc/uhttpd.key",
    "cgi_prefix": "/cgi-bin",
    "script_timeout": "60",
    "network_timeout": "30",
    "http_keepalive": "20",
    "tcp_keepalive": "1",
    "ubus_prefix": "/ubus",
}
_CERT: Options = {
    "days": "397",
    "key_type": "ec",
    "bits": "2048",
    "ec_curve": "P-256",
    "country": "ZZ",
    "state": "Somewhere",
    "location": "Unknown",
    "commonname": "OpenWrt",
}


def factory(series: ReleaseSeries) -> Config:
    """What the release itself would begin with, without any interface, address or open port."""
    loopback: Options = {"device": "lo", "proto": "static"}
    loopback |= {"ipaddr": ["127.0.0.1/8"]} if series.prefix_length else {"ipaddr": "127.0.0.1", "netmask": "255.0.0.0"}
    sections = {
        "network": [Section("interface", "loopback", loopback)],
        "dhcp": [Section("dnsmasq", None, _DNSMASQ), Section("odhcpd", "odhcpd", _ODHCPD | dict(series.odhcpd))],
        "firewall": [],
        "dropbear": [],
        "system": [Section("system", None, _SYSTEM), Section("timeserver", "ntp", _NTP)],
        "uhttpd": [Section("uhttpd", "main", _UHTTPD), Section("cert", "defaults", _CERT)],
    }
    return {name: Package(name, found) for name, found in sections.items()}


# --- what was declared ---------------------------------------------------------------------------------------------


def desired(description: Description, series: ReleaseSeries) -> Config:
    """What was declared, without the user's own ``uci``, which addresses sections of the whole configuration."""
    sections = {
        "network": _network(description, series),
        "dhcp": [_pool(interface) for interface in description.interfaces],
        "firewall": _firewall(description),
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


# --- the firewall --------------------------------------------------------------------------------------------------

_ICMP6_ERRORS = [
    "echo-request",
    "echo-reply",
    "destination-unreachable",
    "packet-too-big",
    "time-exceeded",
    "bad-header",
    "unknown-header-type",
]
_ICMP6_NEIGHBOURS = [
    "router-solicitation",
    "neighbour-solicitation",
    "router-advertisement",
    "neighbour-advertisement",
]
_MLD = ["130/0", "131/0", "132/0", "143/0"]

# The rules that OpenWrt ships for its wan, without those that let IPsec through to the lan.
WAN_RULES: t.Mapping[str, Options] = {
    "Allow-DHCP-Renew": {"proto": "udp", "dest_port": "68", "family": "ipv4"},
    "Allow-Ping": {"proto": "icmp", "icmp_type": "echo-request", "family": "ipv4"},
    "Allow-IGMP": {"proto": "igmp", "family": "ipv4"},
    "Allow-DHCPv6": {"proto": "udp", "dest_port": "546", "family": "ipv6"},
    "Allow-MLD": {"proto": "icmp", "src_ip": "fe80::/10", "icmp_type": _MLD, "family": "ipv6"},
    "Allow-ICMPv6-Input": {
        "proto": "icmp",
        "icmp_type": [*_ICMP6_ERRORS, *_ICMP6_NEIGHBOURS],
        "limit": "1000/sec",
        "family": "ipv6",
    },
    "Allow-ICMPv6-Forward": {
        "dest": "*",
        "proto": "icmp",
        "icmp_type": _ICMP6_ERRORS,
        "limit": "1000/sec",
        "family": "ipv6",
    },
}
# What an isolated zone may ask of a router that serves it there; and without neighbour discovery there is no IPv6.
SERVED_RULES: t.Mapping[str, Options] = {
    "Allow-DHCP": {"proto": "udp", "dest_port": "67", "family": "ipv4"},
    "Allow-DNS": {"proto": ["tcp", "udp"], "dest_port": "53"},
}
SERVED6_RULES: t.Mapping[str, Options] = {
    "Allow-DHCPv6-Server": {"proto": "udp", "dest_port": "547", "family": "ipv6"},
}
NEIGHBOUR6_RULES: t.Mapping[str, Options] = {
    "Allow-ICMPv6": {
        "proto": "icmp",
        "icmp_type": ["echo-request", *_ICMP6_NEIGHBOURS, *_MLD],
        "limit": "1000/sec",
        "family": "ipv6",
    },
}
ZONES: t.Mapping[str, Options] = {
    "wan": {"input": "REJECT", "output": "ACCEPT", "forward": "REJECT", "masq": "1", "mtu_fix": "1"},
    "lan": {"input": "ACCEPT", "output": "ACCEPT", "forward": "ACCEPT"},
    "isolated": {"input": "REJECT", "output": "ACCEPT", "forward": "REJECT"},
}
MANAGED: t.Mapping[str, Options] = {
    "SSH": {"proto": "tcp", "dest_port": "22"},
    "LuCI": {"proto": "tcp", "dest_port": ["80", "443"]},
}
_DEFAULTS: Options = {"syn_flood": "1", "input": "REJECT", "output": "ACCEPT", "forward": "REJECT"}


def _firewall(description: Description) -> list[Section]:
    sections = [Section("defaults", None, _DEFAULTS)]
    for each in description.interfaces:
        sections.append(Section("zone", None, {"name": each.name, "network": _networks(each), **ZONES[each.role]}))
    sections += [Section("forwarding", None, {"src": src, "dest": dest}) for src, dest in forwardings(description)]
    # The first rule that fits decides, so who may manage comes before anything that opens a port.
    for interface in description.interfaces:
        sections += _management_rules(description, interface)
    for interface in description.interfaces:
        sections += _service_rules(interface)
    return sections


def _networks(interface: Interface) -> list[str]:
    own6 = interface.ip6 and interface.proto in ("dhcp", "pppoe")
    return [interface.name, f"{interface.name}6"] if own6 else [interface.name]


def _rule(name: str, zone: str, options: Options, target: str = "ACCEPT") -> Section:
    return Section("rule", None, {"name": name, "src": zone, **options, "target": target})


def _management_rules(description: Description, interface: Interface) -> list[Section]:
    """Opens what the zone keeps shut where management may come from it, shuts what it leaves open where not."""
    management = description.management
    rules = []
    wanted, is_open = interface.name in management.sources, ZONES[interface.role]["input"] == "ACCEPT"
    for service in ("SSH", "LuCI") if management.luci else ("SSH",):
        if wanted and not is_open:
            rules.append(_rule(f"Allow-{service}-{interface.name}", interface.name, MANAGED[service]))
        elif is_open and not wanted:
            rules.append(_rule(f"Reject-{service}-{interface.name}", interface.name, MANAGED[service], "REJECT"))
    return rules


def _service_rules(interface: Interface) -> list[Section]:
    if interface.role == "wan":
        shipped = interface.name == "wan"
        names = {name: name if shipped else f"{name}-{interface.name}" for name in WAN_RULES}
        return [_rule(names[name], interface.name, options) for name, options in WAN_RULES.items()]
    if interface.role == "lan":
        return []
    asked = [(interface.dhcp, SERVED_RULES), (interface.serves_ip6, SERVED6_RULES), (interface.ip6, NEIGHBOUR6_RULES)]
    rules = [rule for wanted, table in asked if wanted for rule in table.items()]
    return [_rule(f"{name}-{interface.name}", interface.name, options) for name, options in rules]


# --- administration ------------------------------------------------------------------------------------------------


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
