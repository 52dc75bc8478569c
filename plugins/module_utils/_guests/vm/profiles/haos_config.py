# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what Home Assistant OS takes from a volume called CONFIG. Pure.

It does so at each start (hassos-config): files below ``network`` replace its NetworkManager connections,
``authorized_keys`` are those of root on port 22222, and where there are none that port is closed. Its kernel for
virtual machines reads ISO 9660 with Joliet.
"""

from __future__ import annotations

import ipaddress
import typing as t
import uuid

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding

LABEL: t.Final = "CONFIG"
# How an interface gets its addresses where none is stated, by NetworkManager's words.
_METHODS: t.Final[dict[int, dict[str, str]]] = {
    4: {"dhcp": "auto", "manual": "disabled"},
    6: {"auto": "auto", "dhcp": "dhcp", "manual": "disabled"},
}
_USUAL: t.Final = {4: "dhcp", 6: "auto"}
_NAMES: t.Final = {4: ("ip", "gateway"), 6: ("ip6", "gateway6")}

Declared = t.Mapping[str, t.Any]
Macs = t.Sequence[str | None]


def config_files(declared: Declared, guest: str, macs: Macs) -> dict[str, bytes]:
    """The files of the volume. ``macs``: the declared MAC address of each network device."""
    files: dict[str, str] = {}
    if keys := declared.get("ssh_keys"):
        files["authorized_keys"] = "".join(f"{key.strip()}\n" for key in keys)
    for number, interface in enumerate(declared.get("network") or ()):
        mac = macs[number] if number < len(macs) else None
        files[f"network/net{number}"] = _connection(interface, f"net{number}", guest, mac)
    return {path: text.encode() for path, text in files.items()}


def _connection(interface: Declared, name: str, guest: str, mac: str | None) -> str:
    """A connection as NetworkManager keeps it; it has the same UUID each time."""
    sections: dict[str, dict[str, object]] = {
        "connection": {"id": name, "uuid": uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{guest}"), "type": "ethernet"},
        "ethernet": {"mac-address": mac} if mac else {},
        "ipv4": _family(interface, 4),
        "ipv6": {"addr-gen-mode": "stable-privacy", **_family(interface, 6)},
    }
    texts = (
        f"[{section}]\n" + "".join(f"{key}={value}\n" for key, value in values.items())
        for section, values in sections.items()
        if values
    )
    return "\n".join(texts)


def _family(interface: Declared, version: int) -> dict[str, object]:
    address, gateway = (interface.get(name) for name in _NAMES[version])
    address = address or _USUAL[version]
    values: dict[str, object] = {"method": _METHODS[version].get(address, "manual")}
    if "/" in address:
        values["address1"] = f"{address},{gateway}" if gateway else address
    servers = [each for each in interface.get("nameservers") or () if ipaddress.ip_address(each).version == version]
    if servers:
        values["dns"] = "".join(f"{each};" for each in servers)
    if version == 4 and interface.get("searchdomains"):
        values["dns-search"] = "".join(f"{each};" for each in interface["searchdomains"])
    return values


# -- what is wrong with it -------------------------------------------------------------------------------------------


def check_config(declared: Declared, macs: Macs) -> t.Iterator[Finding]:
    """What is wrong with the declaration by itself, and with the network devices that it is for."""
    for number, interface in enumerate(declared.get("network") or ()):
        path = f"haos.network[{number}]"
        if number >= len(macs):
            problem, remedy = "is for a network device that the VM does not have", "Declare it among networks."
            yield Finding(path, None, problem, remedy)
        elif len(macs) > 1 and not macs[number]:
            problem = "is missing: of several devices each connection is for the one with its MAC address"
            yield Finding(f"networks[{number}].hwaddr", None, problem, "State one.")
        for version in _NAMES:
            yield from _check_family(interface, version, path)
        for place, server in enumerate(interface.get("nameservers") or ()):
            if not _is_address(server):
                yield Finding(f"{path}.nameservers[{place}]", server, "is not an IP address")


def _check_family(interface: Declared, version: int, path: str) -> t.Iterator[Finding]:
    ip, gate = _NAMES[version]
    address, gateway = interface.get(ip), interface.get(gate)
    words = " or ".join(_METHODS[version])
    if address and address not in _METHODS[version] and not _is_interface(address, version):
        remedy = (
            f"Give an address with its prefix length, such as {'192.0.2.5/24' if version == 4 else '2001:db8::5/64'}"
        )
        yield Finding(f"{path}.{ip}", address, f"is not an IPv{version} address", f"{remedy}, or {words}.")
    elif gateway and not (address and "/" in address):
        yield Finding(f"{path}.{gate}", gateway, "has no address to go with it", f"State {ip} too.")
    elif gateway and not _is_address(gateway, version):
        yield Finding(f"{path}.{gate}", gateway, f"is not an IPv{version} address")


def _is_interface(text: str, version: int) -> bool:
    try:
        return "/" in text and ipaddress.ip_interface(text).version == version
    except ValueError:
        return False


def _is_address(text: str, version: int | None = None) -> bool:
    try:
        return version in (None, ipaddress.ip_address(text).version)
    except ValueError:
        return False
