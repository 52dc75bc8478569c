# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks make of the modules' results: pure functions, run on the controller."""

from __future__ import annotations

import ipaddress
import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import DECLARED
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES, Guest, with_defaults
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import gib


def guest_results(results: list[Guest], guests: list[Guest]) -> list[Guest]:
    """The table of guests from the results of the module guests, each with its checks."""
    declared = {str(guest["name"]): guest for guest in guests}
    return [_row(declared.get(result["name"], result), result) for result in results]


def peers(told: list[Guest]) -> list[Guest]:
    """The option of that name of the module guests, from what each host of a play told of its node. Of each cluster one
    host's word is enough, and makes all hosts decide alike."""
    rows: list[Guest] = []
    seen: set[tuple[str, ...]] = set()
    for node in told:
        if not isinstance(node, dict) or "cluster" not in node:
            raise AnsibleFilterError(
                "A host of this play has not told of its node yet. Use the strategy linear, and no serial."
            )
        cluster = node["cluster"]
        members = (cluster["name"], *cluster["nodes"])
        row = {"node": node["node"], "cluster": f"{members[0]}: {', '.join(members[1:])}" if cluster["name"] else ""}
        if members not in seen:
            row |= {"guests": cluster["guests"], "nodes": node.get("nodes") or []}
        seen.add(members)
        rows.append(row)
    return rows


def capacity(storages: list[Guest]) -> list[str]:
    """A line for each storage: what it takes, and its room."""
    return [
        f"{entry['name']} ({entry['type']}, {', '.join(sorted(entry['content']))}): "
        + (f"{gib(entry['available'])} of {gib(entry['total'])} GiB free" if entry.get("total") else "not active")
        for entry in storages
    ]


OK = "ok"
FAILED = "FAILED"
UNVERIFIED = "declared, not verified"


def _row(guest: Guest, result: Guest) -> Guest:
    addresses = result.get("addresses") or []
    checks = _checks(guest, result, addresses)
    main = _main_address(guest, addresses)
    notes = _notes(result)
    return {
        "vmid": result.get("vmid"),
        "name": guest["name"],
        "type": guest["type"],
        "node": result.get("node"),
        "status": result.get("status"),
        "address": main.get("address", ""),
        "address_source": main.get("source", ""),
        "addresses": addresses,
        "changed": result.get("changed", False),
        "checks": ", ".join([*(f"{name} {found}" for name, found in checks.items()), *notes]),
        "failed_checks": [name for name, found in checks.items() if found == FAILED],
        "unverified_checks": [name for name, found in checks.items() if found == UNVERIFIED],
        "notes": notes,
    }


def _checks(guest: Guest, result: Guest, addresses: list[Guest]) -> dict[str, str]:
    """What is known about a guest: whether it is in its state, and has the addresses it should have. That an address is
    declared is no evidence that it is there."""
    expected = {
        "started": "running", "restarted": "running", "stopped": "stopped", "template": "stopped", "absent": "absent",
    }  # fmt: skip
    declared = TYPES.get(guest["type"])
    state = guest.get("state") or (declared.spec.options["state"]["default"] if declared else "present")
    checks = {"state": OK if state == "present" or result.get("status") == expected[state] else FAILED}
    wishes = _wished_addresses(guest)
    if result.get("status") == "running" and wishes:
        found = [_address_check(wish, addresses) for wish in wishes]
        checks["address"] = next(each for each in (FAILED, UNVERIFIED, OK) if each in found)
    return checks


def _address_check(wish: str, addresses: list[Guest]) -> str:
    host = None if wish == "dhcp" else str(ipaddress.ip_interface(wish).ip)
    sources = [entry.get("source") for entry in addresses if host in (None, entry["address"])]
    if not sources:
        return FAILED
    return UNVERIFIED if all(source == DECLARED for source in sources) else OK


def _notes(result: Guest) -> list[str]:
    """What else is to be known of a guest that is as declared as far as anybody could see."""
    pending, drift = sorted(result.get("pending") or ()), (result.get("openwrt") or {}).get("drift")
    waiting = [f"waits for a restart ({', '.join(pending)})"] if pending else []
    inside = {"unknown": ["configuration not seen"], "present": ["configuration differs"]}
    return waiting + inside.get(drift or "", [])


def verdict(results: list[Guest]) -> str:
    """The role's last word about guests of which no check has failed."""
    told = []
    for row in results:
        unverified = [f"{name} {UNVERIFIED}" for name in row["unverified_checks"]]
        if unverified or row["notes"]:
            told.append(f"{row['name']}: {', '.join([*unverified, *row['notes']])}")
    if not told:
        return f"{len(results)} guests are as declared."
    return "\n".join([f"{len(results) - len(told)} of {len(results)} guests are as declared. The others:", *told])


def _wished_addresses(guest: Guest) -> list[str]:
    """The IPv4 addresses a guest is declared to have, `dhcp` for any."""
    wishes = [str(net.get("ip", "")) for net in guest.get("networks") or ()]
    for interface in (guest.get("interfaces") or {}).values():
        held = interface.get("address") or []
        wishes += [held] if isinstance(held, str) else held
    return [wish for wish in wishes if wish == "dhcp" or ("/" in wish and ":" not in wish)]


def _main_address(guest: Guest, addresses: list[Guest]) -> Guest:
    """The address to reach a guest by: where it is managed from first, and IPv4 before IPv6."""
    sources = (guest.get("management") or {}).get("from") or []
    ordered = sorted(addresses, key=lambda entry: (entry["interface"] not in sources, entry["family"]))
    return ordered[0] if ordered else {}


class FilterModule:
    """The filters of this collection."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "with_defaults": with_defaults,
            "capacity": capacity,
            "peers": peers,
            "guest_results": guest_results,
            "verdict": verdict,
        }
