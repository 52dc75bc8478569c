# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks make of the modules' results: pure functions, run on the controller."""

from __future__ import annotations

import datetime
import ipaddress
import re
import typing as t
from collections.abc import Mapping, Sequence

import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import DECLARED
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES, Guest, with_defaults
from ansible_collections.pve.provision.plugins.module_utils._model.checks.known import EXPECTED
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import gib
from ansible_collections.pve.provision.plugins.plugin_utils.guests_file import with_guests
from ansible_collections.pve.provision.plugins.plugin_utils.report.page import page

_TEMPLATE: t.Final = re.compile(r"\{[{%#]")


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
                "A host of this play has not reported its node yet. Use the strategy linear, and no serial."
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


def declaration(found: list[Guest]) -> str:
    """A file of variables from the declarations that node_info told, of one node or several. What guests say of
    themselves is no template, whatever it looks like."""
    from ansible_collections.pve.provision.plugins.module_utils._guests.adopt import common

    placed, told = _placed(found)
    guests = [_as_data(guest) for _where, guest in placed]
    defaults = common(guests)
    lines = ["---", "# Guests as they were found: a run with this file changes nothing.", ""]
    if defaults:
        lines += [*yaml_lines({"provision_defaults": defaults}), ""]
    lines += ["provision_guests:"] if guests else ["provision_guests: []"]
    for (where, _declared), guest in zip(placed, guests, strict=True):
        remarks = told.pop(where)["remarks"] if where in told else ()
        lines += [f"  # {remark}" for text in remarks for remark in text.splitlines()]
        rest = {name: value for name, value in guest.items() if name not in defaults}
        lines += [f"  {line}" for line in yaml_lines([rest])]
    if told:
        lines += ["", "# Not declared:"]
        for about in told.values():
            words = f"{about['kind']} {about['vmid']} ({about['name'] or 'no name'})"
            lines += [f"# {words}: {line}" for line in "; ".join(about["remarks"]).splitlines()]
    return "\n".join([*lines, ""])


def _placed(found: list[Guest]) -> tuple[list[tuple[tuple[str, int], Guest]], dict[tuple[str, int], Guest]]:
    """The guests of all nodes, each once and with the node where there are several, and what is told of which."""
    from ansible_collections.pve.provision.plugins.module_utils._guests.adopt import NAMES

    several = len({node for each in found for node in each["nodes"]}) > 1
    guests: dict[tuple[str, int], Guest] = {}
    told = {(about["node"], about["vmid"]): about for each in found for about in each["remarks"]}
    names: dict[str, tuple[str, int]] = {}
    for each in found:
        for guest in each["provision_guests"]:
            where = (str(guest.get("node") or each["nodes"][0]), int(guest["vmid"]))
            first = names.setdefault(str(guest["name"]).lower(), where)
            if first != where:
                why = f"another guest on {first[0]} is called {guest['name']}, too; {NAMES}"
                told[where] = {"vmid": where[1], "kind": guest["type"], "name": guest["name"], "remarks": [why]}
                continue
            head = {name: guest[name] for name in ("name", "type", "vmid") if name in guest}
            guests[where] = {**head, "node": where[0], **guest} if several else guest
    return list(guests.items()), told


def add_guests(text: str, guests: list[Guest]) -> str:
    """The text of a file of variables, with guests added to its provision_guests."""
    return with_guests(text, lambda indent: [" " * indent + line for line in yaml_lines(guests)])


def nested(answers: Guest) -> Guest:
    """Options by flat names, such as ``networks__0__bridge``, as dictionaries and lists; without those left blank."""
    tree: Guest = {}
    for name, value in answers.items():
        if value in (None, ""):
            continue
        *folders, last = name.split("__")
        within = tree
        for folder in folders:
            within = within.setdefault(folder, {})
        within[last] = value
    return t.cast("Guest", _with_lists(tree))


def _with_lists(node: t.Any) -> t.Any:
    if not isinstance(node, dict):
        return node
    entries = {name: _with_lists(value) for name, value in node.items()}
    numbered = bool(entries) and all(name.isdigit() for name in entries)
    return [entries[name] for name in sorted(entries, key=int)] if numbered else entries


def report_page(data: Guest) -> str:
    """A run as one page of HTML."""
    return page(_plain(data))


def yaml_lines(value: t.Any) -> list[str]:
    """A value in YAML, its lists indented as ansible-lint likes them."""
    return yaml.dump(_plain(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110).splitlines()


def _plain(value: t.Any) -> t.Any:
    """The same of Python's own types: since ansible-core 2.19 variables are of types that YAML does not know."""
    if isinstance(value, Mapping):
        return {str.__str__(str(name)): _plain(entry) for name, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    return next((make(value) for kind, make in _SCALARS if isinstance(value, kind)), value)


class _Unsafe(str):
    """A text that Ansible is not to take for a template."""

    __slots__ = ()


#: What values are written as; a date is what options take it for, a text. Of a text that ansible-core 2.18 takes for no
#: template, str() makes another such one.
_SCALARS: t.Final[tuple[tuple[type, t.Callable[[t.Any], t.Any]], ...]] = (
    (_Unsafe, _Unsafe), (bool, bool), (int, int), (float, float), (str, str.__str__), (datetime.date, str)
)  # fmt: skip


def _as_data(value: t.Any) -> t.Any:
    """The same, with each text marked that Ansible would take for a template."""
    if isinstance(value, Mapping):
        return {name: _as_data(entry) for name, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_as_data(entry) for entry in value]
    return _Unsafe(value) if isinstance(value, str) and _TEMPLATE.search(value) else value


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_Dumper.add_representer(_Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text)))

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
    declared = TYPES.get(guest["type"])
    state = guest.get("state") or (declared.spec.options["state"]["default"] if declared else "present")
    checks = {"state": OK if EXPECTED[state] in ("", result.get("status")) else FAILED}
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
    not_verified = [
        f"{each['name']} not verified" for each in result.get("checks") or () if each["outcome"] == "not_verified"
    ]
    return [*waiting, *inside.get(drift or "", []), *not_verified]


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


# -- the inventory -----------------------------------------------------------------------------------------------------

_BY_NODE: t.Final = "community.proxmox.proxmox_pct_remote"
_LOGIN: t.Final[dict[str, tuple[str, ...]]] = {
    "ansible_host": ("ansible_host", "ansible_ssh_host", "inventory_hostname"),
    "ansible_port": ("ansible_port", "ansible_ssh_port"),
    "ansible_user": ("ansible_user", "ansible_ssh_user"),
    "ansible_private_key_file": ("ansible_private_key_file", "ansible_ssh_private_key_file"),
}
"""How a node is reached by SSH: variables, and the names that each has in an inventory, the first that is there."""


def inventory_hosts(
    results: list[Guest], guests: list[Guest], connection: str, nodes: Mapping[str, t.Any], node: Mapping[str, t.Any]
) -> list[Guest]:
    """The guests that are there as hosts of the inventory: name, groups and variables. ``nodes``: how each node is
    reached by SSH, an address or variables, ``node`` how one is that is not among them.
    """
    apps = {str(guest.get("name")): str(guest.get("app") or "") for guest in guests}
    if connection == "none":
        return []
    return [
        {
            "name": row["name"],
            "groups": ["provisioned", f"provisioned_{row['type']}", *_app_group(apps.get(row["name"], ""))],
            "vars": {**_way(row, connection, nodes.get(row["node"]) or node), "provision_vmid": row["vmid"],
                     "provision_node": row["node"], "provision_addresses": row["addresses"]},
        }
        for row in results
        if row["status"] != "absent"
    ]  # fmt: skip


def _app_group(app: str) -> list[str]:
    """The group of an application; its name is one that Ansible takes."""
    return ["app_" + re.sub(r"\W", "_", app)] if app else []


def _way(row: Guest, connection: str, node: str | Mapping[str, t.Any]) -> Guest:
    """How a guest is reached: a container through its node, where that is asked for, all others at their address."""
    if connection == "pct_remote" and row["type"] in ("lxc", "openwrt_lxc"):
        return {"ansible_connection": _BY_NODE, **_login(node), "proxmox_vmid": row["vmid"]}
    return {"ansible_host": row["address"]} if row["address"] else {}


def _login(node: str | Mapping[str, t.Any]) -> Guest:
    """How a node is reached by SSH. There is nobody but root who may run pct, unless somebody else is named."""
    known = {"ansible_host": node} if isinstance(node, str) else node
    told = {name: next((known[each] for each in names if known.get(each)), None) for name, names in _LOGIN.items()}
    return {"ansible_user": "root", **{name: value for name, value in told.items() if value}}


class FilterModule:
    """The filters of this collection."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "with_defaults": with_defaults,
            "capacity": capacity,
            "declaration": declaration,
            "add_guests": add_guests,
            "nested": nested,
            "report_page": report_page,
            "peers": peers,
            "guest_results": guest_results,
            "verdict": verdict,
            "inventory_hosts": inventory_hosts,
        }
