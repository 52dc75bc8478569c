# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network part of the data, in each of its forms, brought to netplan's; and what cards have by netplan's file."""

from __future__ import annotations

import ipaddress
import re
import typing as t

import yaml

from ..guest.runtime import Configured

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..state.rootfs import GuestFiles

NETPLAN = "/etc/netplan/50-cloud-init.yaml"
Card = dict[str, t.Any]
Cards = dict[str, Card]


def read(text: str) -> Cards:
    """The cards of a network part: version 1, version 2, or Debian's ``interfaces``. Dies of what is none of them."""
    if re.match(r"\s*(?:auto|iface|allow-hotplug)\s", text):
        return _interfaces(text)
    told = yaml.safe_load(text)
    told = told.get("network", told) if isinstance(told, dict) else None
    if not isinstance(told, dict) or told.get("version") not in (1, 2):
        raise ValueError("network config is neither version 1 nor version 2")
    return dict(told.get("ethernets") or {}) if told["version"] == 2 else _version1(told.get("config") or [])


def _version1(entries: Iterable[Mapping[str, t.Any]]) -> Cards:
    cards: Cards = {}
    for entry in entries:
        if entry.get("type") == "physical":
            card: Card = {"set-name": entry["name"]}
            if entry.get("mac_address"):
                card["match"] = {"macaddress": str(entry["mac_address"]).lower()}
            if entry.get("mtu"):
                card["mtu"] = entry["mtu"]
            for subnet in entry.get("subnets") or ():
                _add_subnet(card, subnet)
            cards[str(entry["name"])] = card
    names = [entry for entry in entries if entry.get("type") == "nameserver"]
    for card in cards.values():
        for entry in names:
            _add_names(card, entry.get("address"), entry.get("search"))
    return cards


def _add_subnet(card: Card, subnet: Mapping[str, t.Any]) -> None:
    kind = str(subnet.get("type", ""))
    if kind in ("dhcp", "dhcp4"):
        card["dhcp4"] = True
    elif kind in ("dhcp6", "ipv6_dhcpv6-stateful", "ipv6_dhcpv6-stateless"):
        card["dhcp6"] = True
    elif kind in ("ipv6_slaac",):
        card["accept-ra"] = True
    elif subnet.get("address"):
        card.setdefault("addresses", []).append(_with_prefix(str(subnet["address"]), subnet.get("netmask")))
    if subnet.get("gateway"):
        card.setdefault("routes", []).append({"to": "default", "via": str(subnet["gateway"])})
    _add_names(card, subnet.get("dns_nameservers"), subnet.get("dns_search"))


def _add_names(card: Card, servers: t.Any, search: t.Any) -> None:
    for key, given in (("addresses", servers), ("search", search)):
        listed = given.split() if isinstance(given, str) else given or []
        if listed:
            card.setdefault("nameservers", {}).setdefault(key, []).extend(listed)


def _with_prefix(address: str, netmask: t.Any) -> str:
    if "/" in address:
        return address
    if netmask is None:
        return f"{address}/{64 if ':' in address else 24}"
    if ":" in address or str(netmask).isdigit():
        return f"{address}/{netmask}"
    return f"{address}/{ipaddress.ip_network(f'0.0.0.0/{netmask}').prefixlen}"


def _interfaces(text: str) -> Cards:
    cards: Cards = {}
    subnet: dict[str, t.Any] = {}
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["iface"] and len(words) >= 4 and words[1] != "lo":
            card = cards.setdefault(words[1], {})
            kind = {"auto": "ipv6_slaac"}.get(words[3], words[3] + ("6" if words[2] == "inet6" else ""))
            subnet = {"type": kind.replace("static6", "static")}
            if kind != "static" and subnet["type"] != "static":
                _add_subnet(card, subnet)
        elif words[:1] and words[0] in ("address", "netmask", "gateway") and len(words) > 1 and cards:
            subnet[words[0]] = words[1]
            card = cards[list(cards)[-1]]
            if words[0] == "netmask" or (words[0] == "address" and "/" in words[1]):
                _add_subnet(card, subnet)
                subnet = {}
            elif words[0] == "gateway":
                _add_subnet(card, {"gateway": words[1]})
    return cards


def write(files: GuestFiles, cards: Cards) -> None:
    """Write netplan's file."""
    text = yaml.safe_dump({"network": {"version": 2, "ethernets": cards}}, sort_keys=True)
    files.write(NETPLAN, text, 0o600)


def configured(files: GuestFiles, macs: t.Sequence[str]) -> dict[str, Configured]:
    """What netplan's file gives the cards with these MACs, which are eth0, eth1, ... before it names them."""
    text = files.read(NETPLAN)
    told = (yaml.safe_load(text) or {}).get("network", {}) if text else {}
    found: dict[str, Configured] = {}
    for name, card in (told.get("ethernets") or {}).items():
        for index, mac in enumerate(macs):
            if _matches(str(name), card or {}, f"eth{index}", mac.lower()):
                found[mac.lower()] = _configured(card or {}, f"eth{index}")
    return found


def _matches(name: str, card: Card, kernel_name: str, mac: str) -> bool:
    wanted = card.get("match")
    if not wanted:
        return name == kernel_name
    if "macaddress" in wanted:
        return str(wanted["macaddress"]).lower() == mac
    pattern = re.escape(str(wanted.get("name", "*"))).replace(r"\*", ".*")
    return re.fullmatch(pattern, kernel_name) is not None


def _configured(card: Card, kernel_name: str) -> Configured:
    addresses = tuple(next(iter(item)) if isinstance(item, dict) else str(item) for item in card.get("addresses") or ())
    ways = [str(route.get("via", "")) for route in card.get("routes") or ()
            if str(route.get("to")) in ("default", "0.0.0.0/0", "::/0")]  # fmt: skip
    ways += [str(card[key]) for key in ("gateway4", "gateway6") if card.get(key)]
    four = next((way for way in ways if way and ":" not in way), None)
    six = next((way for way in ways if ":" in way), None)
    return Configured(str(card.get("set-name") or kernel_name), addresses, four, six, bool(card.get("dhcp4")))
