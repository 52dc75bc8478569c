# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: OpenWrt's series, and what the configuration of each begins with.

:func:`factory` holds the DNS server's options, NTP, log size and the like: it is written once, before the first boot.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import Unsupported
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Config, Package, Section, Value

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
