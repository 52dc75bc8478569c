# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role provision asks about declared guests and about results: pure functions, run on the controller."""

from __future__ import annotations

import collections
import ipaddress
import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.pve.provision.plugins.module_utils._model.diff import null_paths
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import declare_lxc
from ansible_collections.pve.provision.plugins.module_utils._model.template_name import newest_match

Guest = dict[str, t.Any]

# How a declaration of each type is read: all that is wrong with it by itself.
TYPES: dict[str, t.Callable[[Guest], list[t.Any]]] = {
    "lxc": lambda guest: declare_lxc(guest, null_paths(guest))[1],
}


def findings(guests: list[Guest]) -> list[str]:
    """Everything that is wrong with declared guests, by themselves and together."""
    found = []
    for position, guest in enumerate(guests):
        name = guest.get("name") or f"guest number {position + 1}"
        if not guest.get("name"):
            found.append(f"{name}: has no name.")
        reader = TYPES.get(guest.get("type", ""))
        if reader is None:
            found.append(f"{name}: type: {guest.get('type')!r} is none of {', '.join(TYPES)}.")
            continue
        try:
            problems = reader({"hostname": guest.get("name"), **guest})
        except (TypeError, ValueError, AttributeError) as error:
            raise AnsibleFilterError(f"{name}: cannot be read: {error}") from error
        found += [f"{name}: {p.option}: {p.value!r} {p.problem}. {p.remedy}".strip() for p in problems]
    return found + _twice(guests)


def _twice(guests: list[Guest]) -> list[str]:
    """Names, vmids, MAC addresses and static addresses that two guests share."""
    users: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    for guest in guests:
        name = str(guest.get("name"))
        users["name", name].append(name)
        if guest.get("vmid") is not None:
            users["vmid", str(guest["vmid"])].append(name)
        for net in guest.get("networks") or []:
            if net.get("hwaddr"):
                users["hwaddr", str(net["hwaddr"]).upper()].append(name)
            for family in ("ip", "ip6"):
                if "/" in str(net.get(family)):
                    host = str(net[family]).partition("/")[0]
                    segment = f"{net.get('bridge')}{'.' + str(net['tag']) if net.get('tag') else ''}"
                    users["address", f"{host} on {segment}"].append(name)
    return [
        f"{what} {value} is declared more than once: {', '.join(names)}."
        for (what, value), names in users.items()
        if len(names) > 1
    ]


def new_guests(guests: list[Guest], known: list[Guest]) -> list[Guest]:
    """The declared guests that are to exist and do not yet, by vmid or name."""
    vmids = {entry["vmid"] for entry in known}
    names = {entry["name"] for entry in known}

    def is_new(guest: Guest) -> bool:
        if guest.get("vmid") is not None:
            return int(guest["vmid"]) not in vmids
        return (guest.get("hostname") or guest.get("name")) not in names

    return [guest for guest in guests if guest.get("state") != "absent" and is_new(guest)]


def missing_templates(guests: list[Guest], templates: list[str]) -> list[str]:
    """The templates that guests name and no storage holds."""
    wanted = {str(guest["ostemplate"]) for guest in guests if guest.get("ostemplate")}
    found = {name for name in wanted if name in templates or name.startswith("/")}
    found |= {name for name in wanted if ":" not in name and newest_match(name, templates)}
    return sorted(wanted - found)


def capacity(storages: list[Guest]) -> list[str]:
    """A line for each storage: what it takes, and its room."""
    return [
        f"{entry['name']} ({entry['type']}, {', '.join(sorted(entry['content']))}): "
        + (f"{_gib(entry['available'])} of {_gib(entry['total'])} GiB free" if entry.get("total") else "not active")
        for entry in storages
    ]


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f}"


def guest_results(results: list[Guest]) -> list[Guest]:
    """The table of guests from the results of a loop over `guest`, each with its checks."""
    return [_row(result["guest"], result) for result in results]


def _row(guest: Guest, result: Guest) -> Guest:
    addresses = result.get("addresses") or []
    checks = _checks(guest, result, addresses)
    return {
        "vmid": result.get("vmid"),
        "name": guest["name"],
        "type": guest["type"],
        "node": result.get("node"),
        "status": result.get("status"),
        "address": _main_address(addresses),
        "addresses": addresses,
        "changed": result.get("changed", False),
        "checks": ", ".join(f"{name} {'ok' if good else 'FAILED'}" for name, good in checks.items()),
        "failed_checks": [name for name, good in checks.items() if not good],
    }


def _checks(guest: Guest, result: Guest, addresses: list[Guest]) -> dict[str, bool]:
    """What is proved about a guest: it is in its state, and has the addresses it should have."""
    expected = {"started": "running", "restarted": "running", "stopped": "stopped", "absent": "absent"}
    state = guest.get("state", "present")
    checks = {"state": state == "present" or result.get("status") == expected[state]}
    if result.get("status") == "running":
        have = {entry["address"] for entry in addresses}
        for net in guest.get("networks") or []:
            wish = str(net.get("ip", ""))
            if wish == "dhcp" or "/" in wish:
                good = bool(have) if wish == "dhcp" else str(ipaddress.ip_interface(wish).ip) in have
                checks["address"] = checks.get("address", True) and good
    return checks


def _main_address(addresses: list[Guest]) -> str:
    """The address to reach a guest by: IPv4 before IPv6."""
    ordered = sorted(addresses, key=lambda entry: entry["family"])
    return ordered[0]["address"] if ordered else ""


class FilterModule:
    """The filters of this collection."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "findings": findings,
            "new_guests": new_guests,
            "missing_templates": missing_templates,
            "capacity": capacity,
            "guest_results": guest_results,
        }
