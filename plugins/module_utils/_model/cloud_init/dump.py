# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what PVE tells cloud-init, read again, and held against a VM's options. Pure.

PVE writes YAML of two shapes, which are read here and nothing else: the settings of a user, and a network of version 1
(qemu-server, QemuServer/Cloudinit.pm).
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.codec import FALSE_WORDS
from ansible_collections.pve.provision.plugins.module_utils._model.network import networks_in
from ansible_collections.pve.provision.plugins.module_utils._model.option import HIDDEN, MASKED
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields, split

Subnet = dict[str, str]
_ENTRY = re.compile(r"(?P<depth> *)(?P<item>- +)?(?P<name>[\w-]+):(?: +(?P<value>\S.*))?")
_ITEM = re.compile(r" *- +(?P<value>\S.*)")


class Card(t.NamedTuple):
    """A network card as cloud-init is told of it."""

    name: str
    mac: str
    subnets: tuple[Subnet, ...]


class Network(t.NamedTuple):
    """All cards, and whom to ask for names."""

    cards: tuple[Card, ...]
    nameservers: tuple[str, ...]
    search: tuple[str, ...]


def read_user(text: str) -> dict[str, t.Any]:
    """The settings of a user: values, and lists of them."""
    found: dict[str, t.Any] = {}
    name = ""
    for line in text.splitlines():
        if item := _ITEM.fullmatch(line):
            if name and isinstance(found.setdefault(name, []), list):
                found[name].append(_plain(item["value"]))
        elif (entry := _ENTRY.fullmatch(line)) and not entry["depth"]:
            name = entry["name"]
            if entry["value"] is not None:
                found[name] = _plain(entry["value"])
    return found


def read_network(text: str) -> Network:
    """The network of version 1."""
    cards: list[tuple[dict[str, str], list[Subnet]]] = []
    names: dict[str, list[str]] = {"address": [], "search": []}
    inside = ""
    for line in text.splitlines():
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            item = _ITEM.fullmatch(line)
            if item and inside in names:
                names[inside].append(_plain(item["value"]))
        elif entry["item"] and entry["name"] == "type" and entry["value"] in ("physical", "nameserver"):
            inside = entry["value"]
            if inside == "physical":
                cards.append(({}, []))
        elif entry["value"] is None:
            inside = entry["name"]
        elif cards and inside == "subnets":
            if entry["item"]:
                cards[-1][1].append({})
            cards[-1][1][-1][entry["name"]] = _plain(entry["value"])
        elif cards and inside == "physical":
            cards[-1][0][entry["name"]] = _plain(entry["value"])
    told = tuple(Card(card.get("name", ""), card.get("mac_address", ""), tuple(nets)) for card, nets in cards)
    return Network(told, tuple(names["address"]), tuple(names["search"]))


def _plain(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


# -- what they are to say ----------------------------------------------------------------------------------------------


def check_user(options: t.Mapping[str, str], text: str) -> t.Iterator[str]:
    """Where the settings of the user are not as the VM's options have them; no password is told."""
    told = read_user(text)
    keys = [line.strip() for line in options.get("sshkeys", "").splitlines() if line.strip()]
    upgrades = options.get("ciupgrade", "1").lower() not in FALSE_WORDS
    wanted: dict[str, t.Any] = {
        "hostname": options["name"].partition(".")[0] if "name" in options else None,
        "user": options.get("ciuser"),
        "password": options.get("cipassword"),
        "ssh_authorized_keys": keys or None,
        "package_upgrade": "true" if upgrades else None,
    }
    for name, value in wanted.items():
        if name == "password" and MASKED in (value, told.get(name)):
            continue  # this login may not see it
        if told.get(name) != value and not (name == "hostname" and value is None):
            shown = (HIDDEN, HIDDEN) if name == "password" else (told.get(name), value)
            yield f"{name} is {shown[0]}, and {shown[1]} is declared"


def check_network(options: t.Mapping[str, str], text: str, written: Fields) -> t.Iterator[str]:
    """Where the network is not as the VM's options have it."""
    told = read_network(text)
    cards = {card.mac.upper(): card for card in told.cards}
    nets = networks_in(options, written)
    for key, value in options.items():
        number = key.removeprefix("ipconfig")
        if not re.fullmatch(r"ipconfig\d+", key) or f"net{number}" not in nets:
            continue
        mac = str(nets[f"net{number}"].get("hwaddr") or "")
        wanted = list(_subnets(split(value)))
        has = list(cards[mac.upper()].subnets) if mac.upper() in cards else None
        if has is None:
            yield f"net{number} ({mac}) is not mentioned"
        elif has != wanted:
            yield f"net{number} has {_shown(has)}, and {_shown(wanted)} is declared"
    for option, found in (("nameserver", told.nameservers), ("searchdomain", told.search)):
        given = tuple(options.get(option, "").split())
        if given and given != found:
            yield f"{option} is {' '.join(found) or 'none'}, and {' '.join(given)} is declared"


def _subnets(given: t.Mapping[str, str]) -> t.Iterator[Subnet]:
    """The addresses of a card (``ipconfigN``) in cloud-init's words."""
    ip, ip6 = given.get("ip"), given.get("ip6")
    gateway, gateway6 = ({"gateway": given[key]} if key in given else {} for key in ("gw", "gw6"))
    if ip == "dhcp":
        yield {"type": "dhcp4"}
    elif ip:
        place = ipaddress.IPv4Interface(ip)
        yield {"type": "static", "address": str(place.ip), "netmask": str(place.netmask), **gateway}
    if ip6:
        words = {"dhcp": "dhcp6", "auto": "ipv6_slaac"}
        yield {"type": words[ip6]} if ip6 in words else {"type": "static6", "address": ip6, **gateway6}


def _shown(subnets: t.Sequence[Subnet]) -> str:
    return ", ".join(" ".join(subnet.values()) for subnet in subnets) or "no address"
