# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role provision asks about declared guests and about results: pure functions, run on the controller."""

from __future__ import annotations

import collections
import ipaddress
import typing as t
from dataclasses import dataclass, fields

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError
from ansible.utils.vars import merge_hash

from ansible_collections.pve.provision.plugins.module_utils._argspec import (
    CONNECTION,
    CONTAINER,
    POLICY,
    ROUTER,
    VM,
    ArgSpec,
    blank_is_null,
    null_entries,
    without_nulls,
)
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.diff import Path, null_paths
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import parse_size
from ansible_collections.pve.provision.plugins.module_utils._model.template_name import newest_match
from ansible_collections.pve.provision.plugins.module_utils._model.volume import DEFAULT_SIZE
from ansible_collections.pve.provision.plugins.module_utils._pve.node import Storage
from ansible_collections.pve.provision.plugins.module_utils._workflow.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._workflow.health import DECLARED
from ansible_collections.pve.provision.plugins.module_utils._workflow.lxc import wanted_container
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt_lxc import read_router
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt_vm import read_vm
from ansible_collections.pve.provision.plugins.module_utils._workflow.storage import check_storage
from ansible_collections.pve.provision.plugins.modules.lxc_create import SPEC as LXC_CREATE
from ansible_collections.pve.provision.plugins.modules.openwrt_lxc import SPEC as OPENWRT_LXC
from ansible_collections.pve.provision.plugins.modules.openwrt_vm import SPEC as OPENWRT_VM

Guest = dict[str, t.Any]


@dataclass(frozen=True)
class GuestType:
    """How guests of a type are declared: the options of its module, and how that reads them."""

    options: ArgSpec
    read: t.Callable[[t.Mapping[str, t.Any], frozenset[Path]], Wanted]

    def findings(self, guest: Guest) -> list[str]:
        """Everything that is wrong with one declaration by itself."""
        rules = {rule.name: getattr(self.options, rule.name) for rule in fields(self.options)}
        options = rules.pop("options")
        given = blank_is_null(guest, options)
        nulls = null_paths(given)
        checked = ArgumentSpecValidator(options, **rules).validate(without_nulls(given, options))
        unknown = (name if isinstance(name, str) else ".".join(name) for name in checked.unsupported_parameters)
        found = [f"{name}: is not an option" for name in sorted(unknown)]
        others = [error for error in checked.errors if not isinstance(error, UnsupportedError)]
        if others:
            return found + [str(error) for error in others]
        wrong = null_entries(nulls, options)
        if not wrong:
            problems = self.read(checked.validated_parameters, nulls).problems
            wrong = [Finding(p.option, p.value, p.problem, p.remedy) for p in problems]
        return found + [str(finding) for finding in wrong]


_ALWAYS = ArgSpec(options={"timeout": CONNECTION.options["timeout"]})
TYPES = {
    "lxc": GuestType(_ALWAYS.merge(POLICY, CONTAINER, LXC_CREATE), wanted_container),
    "openwrt_lxc": GuestType(
        _ALWAYS.merge(POLICY, CONTAINER, ROUTER, OPENWRT_LXC), lambda params, nulls: read_router(params, nulls)[0]
    ),
    "openwrt_vm": GuestType(
        _ALWAYS.merge(POLICY, VM, ROUTER, OPENWRT_VM), lambda params, nulls: read_vm(params, nulls)[0]
    ),
}


def with_defaults(guests: list[Guest], defaults: Guest) -> list[Guest]:
    """The guests with the defaults under them: dictionaries are merged, lists replaced. `hostname` is `name`.

    A guest gets the defaults that guests of its type can have.
    """
    return [_named(merge_hash(_fitting(defaults, guest.get("type", defaults.get("type"))), guest)) for guest in guests]


def _fitting(defaults: Guest, kind: t.Any) -> Guest:
    """The defaults without what only guests of other types have; what no type has stays, to be found."""
    theirs = {option for name, other in TYPES.items() if name != kind for option in other.options.options}
    ours = set(TYPES[kind].options.options) if kind in TYPES else theirs
    return {key: defaults[key] for key in defaults if key in ours or key not in theirs}


def _named(guest: Guest) -> Guest:
    if guest.get("name") in (None, guest.get("hostname")):
        return {"name": guest.get("hostname"), **{key: guest[key] for key in guest if key not in ("name", "hostname")}}
    return guest


def findings(guests: list[Guest]) -> list[str]:
    """Everything that is wrong with declared guests, by themselves and together."""
    found = []
    for position, guest in enumerate(guests):
        name = guest.get("name") or f"guest number {position + 1}"
        declared = TYPES.get(guest.get("type", ""))
        if not guest.get("name"):
            found.append(f"{name}: has no name.")
        elif declared is None:
            found.append(f"{name}: type: {guest.get('type')!r} is none of {', '.join(TYPES)}.")
        elif guest.get("hostname"):
            found.append(f"{name}: hostname: {guest['hostname']!r} is another name; state one of the two.")
        else:
            options = {key: value for key, value in guest.items() if key != "type"}
            found += [f"{name}: {finding}" for finding in declared.findings(options)]
    return found + _twice(guests)


def _twice(guests: list[Guest]) -> list[str]:
    """Names, vmids, MAC addresses and static addresses that two guests share."""
    users: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    for guest in guests:
        name = str(guest.get("name"))
        users["name", name].append(name)
        if guest.get("vmid") is not None:
            users["vmid", str(guest["vmid"])].append(name)
        for net in _entries(guest, "networks"):
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


def _entries(guest: Guest, option: str) -> list[Guest]:
    """The entries of a list of dictionaries, also where the declaration has not been checked yet."""
    given = guest.get(option)
    return [entry for entry in given if isinstance(entry, dict)] if isinstance(given, list) else []


def new_guests(guests: list[Guest], known: list[Guest]) -> list[Guest]:
    """The declared guests that are to exist and do not yet, by vmid or name."""
    vmids = {entry["vmid"] for entry in known}
    names = {entry["name"] for entry in known}

    def is_new(guest: Guest) -> bool:
        if guest.get("vmid") is not None:
            return int(guest["vmid"]) not in vmids
        return guest["name"] not in names

    return [guest for guest in guests if guest.get("state") != "absent" and is_new(guest)]


def missing_templates(guests: list[Guest], templates: list[str]) -> list[str]:
    """The templates that guests name and no storage holds."""
    wanted = {str(guest["ostemplate"]) for guest in guests if guest.get("ostemplate")}
    found = {name for name in wanted if name in templates or name.startswith("/")}
    found |= {name for name in wanted if ":" not in name and newest_match(name, templates)}
    return sorted(wanted - found)


def storage_findings(guests: list[Guest], storages: list[Guest]) -> list[str]:
    """What stands against the volumes of new guests, all of them together, on the storages that they name."""
    needs: dict[str, int] = collections.defaultdict(int)
    users: dict[str, list[str]] = collections.defaultdict(list)
    for guest in guests:
        for volume in (guest.get("rootfs") or {}, *_entries(guest, "mount_points")):
            if volume.get("storage"):
                needs[volume["storage"]] += parse_size(volume.get("size") or f"{DEFAULT_SIZE}B")
                users[volume["storage"]].append(guest["name"])
    known = [Storage(**{**entry, "content": frozenset(entry["content"])}) for entry in storages]
    found = []
    for name, need in needs.items():
        against, _thin = check_storage(known, name, "rootdir", need, ", ".join(dict.fromkeys(users[name])))
        found += [str(finding) for finding in against]
    return found


def capacity(storages: list[Guest]) -> list[str]:
    """A line for each storage: what it takes, and its room."""
    return [
        f"{entry['name']} ({entry['type']}, {', '.join(sorted(entry['content']))}): "
        + (f"{_gib(entry['available'])} of {_gib(entry['total'])} GiB free" if entry.get("total") else "not active")
        for entry in storages
    ]


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f}"


def guest_results(results: list[Guest], guests: dict[str, Guest]) -> list[Guest]:
    """The table of guests from the results of a loop over their names, each with its checks."""
    return [_row(guests[result["provision_name"]], result) for result in results]


OK, FAILED, UNVERIFIED = "ok", "FAILED", "declared, not verified"


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
    expected = {"started": "running", "restarted": "running", "stopped": "stopped", "absent": "absent"}
    state = guest.get("state") or TYPES[guest["type"]].options.options["state"]["default"]
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
    wishes = [str(net.get("ip", "")) for net in _entries(guest, "networks")]
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
            "findings": findings,
            "storage_findings": storage_findings,
            "new_guests": new_guests,
            "missing_templates": missing_templates,
            "capacity": capacity,
            "guest_results": guest_results,
            "verdict": verdict,
        }
