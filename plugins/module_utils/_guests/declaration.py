# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from a list of declared guests to the members of a run, and all that is wrong with it."""

from __future__ import annotations

import collections
import functools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import Member
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import (
    REMOVED_AS,
    TYPES,
    DeclaredType,
    Guest,
    read_removal,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.types import tags_of

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._guests.homes import Homes
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef
    from ansible_collections.pve.provision.plugins.module_utils._pve.view import ClusterView, NodeView

# What a guest of a list has besides the options of its type.
OWN_KEYS = ("type", "after")


@dataclass
class Declaration:
    """Declared guests, read."""

    members: list[Member] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_declaration(guests: t.Sequence[Guest]) -> Declaration:
    """Read guests that have their defaults already. What is wrong with them, by themselves and together, is found."""
    declaration = Declaration(findings=list(_twice(guests)))
    names = {str(guest["name"]) for guest in guests if guest.get("name")}
    for position, guest in enumerate(guests):
        name = guest.get("name")
        label = str(name or f"guests[{position}]")
        declared = TYPES.get(str(guest.get("type")))
        if not name:
            declaration.findings.append(Finding(label, None, "has no name", "State name."))
        elif declared is None:
            remedy = f"There are: {', '.join(TYPES)}."
            declaration.findings.append(Finding(f"{label}: type", guest.get("type"), "is no type of guest", remedy))
        else:
            _read_guest(declaration, label, guest, declared, names)
    return declaration


def _read_guest(
    declaration: Declaration, label: str, guest: Guest, declared: DeclaredType, names: t.AbstractSet[str]
) -> None:
    options = {key: value for key, value in guest.items() if key not in OWN_KEYS}
    if guest.get("hostname") not in (None, guest["name"]):
        problem = f"is another name than {guest['name']}"
        declaration.findings.append(Finding(f"{label}: hostname", guest["hostname"], problem, "State one of the two."))
        return
    options.pop("hostname", None)
    checked = declared.check(options)
    values = checked.values
    declaration.findings += [
        Finding(f"{label}: {finding.option}".rstrip(": "), finding.value, finding.problem, finding.remedy)
        for finding in checked.findings
    ]
    startup = values.get("startup") or {}

    after = guest.get("after") or []
    named = {after} if isinstance(after, str) else set(map(str, after))
    # A guest that is there already may be the source, too; then there is nothing to wait for.
    source = (values.get("clone_from") or {}).get("name")
    sources = (names & {source}) - {label}
    member = Member(
        name=label,
        type=str(guest["type"]),
        read=functools.partial(declared.read, values, checked.nulls),
        after=frozenset(named | sources),
        order=startup.get("order"),
        up=startup.get("up") or 0,
        source=next(iter(sources), ""),
    )
    declaration.members.append(member)


def _twice(guests: t.Sequence[Guest]) -> t.Iterator[Finding]:
    """Names, vmids, MAC addresses and static addresses that two guests share."""
    users: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    for guest in guests:
        name = str(guest.get("name"))
        users["name", name.lower()].append(name)
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
    for (what, value), names in users.items():
        if len(names) > 1:
            yield Finding(what, value, f"is declared more than once: {', '.join(names)}", "Give each guest its own.")


def _entries(guest: Guest, option: str) -> list[Guest]:
    """The entries of a list of dictionaries, also where the declaration has not been checked yet."""
    given = guest.get(option)
    return [entry for entry in given if isinstance(entry, dict)] if isinstance(given, list) else []


# -- what is there ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ownership:
    """The mark of the guests that these runs have made: a tag. Without ``tag`` there is none.

    ``adopt`` are the names of guests that are there and get it; ``prune``: what has it and is not declared any more is
    destroyed.
    """

    tag: str = ""
    adopt: frozenset[str] = frozenset()
    prune: bool = False


@dataclass
class Wishes:
    """The guests as they are to be declared given what is there: with the mark, and absent ones with their vmid.
    ``gone`` are those that are to be absent and are nowhere, by name."""

    guests: list[Guest] = field(default_factory=list)
    gone: dict[str, Guest] = field(default_factory=dict)


def wishes(homes: Homes, cluster: ClusterView, guests: t.Sequence[Guest], ownership: Ownership) -> Wishes:
    """What is wished of each guest, where it is."""
    wished = Wishes()
    there: list[tuple[Guest, GuestRef | None]] = []
    for guest in guests:
        if not guest.get("name"):
            there.append((guest, None))
        elif guest.get("state") != "absent":
            home = homes.of(guest)
            there.append((guest, home.there if home else None))
        elif (found := _to_remove(guest, homes.named(guest), homes.holder(guest))) is None:
            wished.gone[str(guest["name"])] = guest
        else:
            there.append((found, homes.of_absent(found)))
    _read_ahead(cluster, (ref for _guest, ref in there if ref is not None and homes.reached(ref.node)))
    for guest, ref in there:
        view = cluster.on(ref.node) if ref and homes.reached(ref.node) else None
        skips = guest.get("state") == "absent" or (ref is not None and view is None)
        wished.guests.append(guest if skips else _marked(view, guest, ref, ownership))
    return wished


def _read_ahead(cluster: ClusterView, refs: t.Iterable[GuestRef]) -> None:
    """Read the configs of guests, several at once."""
    by_node = collections.defaultdict(list)
    for ref in refs:
        by_node[ref.node].append(ref)
    for name, there in by_node.items():
        if (view := cluster.on(name)) is not None:
            view.configs(there)


def _to_remove(guest: Guest, there: t.Sequence[GuestRef], holder: GuestRef | None) -> Guest | None:
    """An absent guest with its vmid; None when it is nowhere, although its number may be another's by now."""
    if guest.get("vmid") is None:
        if not there:
            return None
        return {**guest, "vmid": there[0].vmid} if len(there) == 1 else guest
    if holder is None and not there:
        return None
    reused = holder is not None and not there and (holder.name or "").lower() != str(guest.get("name")).lower()
    return None if reused else guest


def _tags(view: NodeView | None, ref: GuestRef) -> tuple[str, ...]:
    config = view.config(ref.kind, ref.vmid) if view else None
    return () if config is None else tags_of(config.options.get("tags"))


def _marked(view: NodeView | None, guest: Guest, there: GuestRef | None, ownership: Ownership) -> Guest:
    """The guest with the mark: from its creation on, when it is adopted, and where it has it."""
    if not ownership.tag:
        return guest
    declared = guest.get("tags")
    if there is None:
        return {**guest, "tags": [*(declared or []), ownership.tag]}
    adopted = guest.get("name") in ownership.adopt
    if declared is None and not adopted:
        return guest
    has = _tags(view, there)
    if not adopted and ownership.tag not in has:
        return guest
    return {**guest, "tags": [*(has if declared is None else declared), ownership.tag]}


def pruned(homes: Homes, cluster: ClusterView, guests: t.Sequence[Guest], tag: str) -> list[Member]:
    """What carries the mark and is not declared any more, to be removed."""
    names = {str(guest.get("name")).lower() for guest in guests}
    vmids = {guest.get("vmid") for guest in guests}
    listed = [ref for ref in homes.here() if ref.vmid not in vmids and (ref.name or "").lower() not in names]
    _read_ahead(cluster, listed)
    marked = [ref for ref in listed if tag in _tags(cluster.on(ref.node), ref)]
    twice = collections.Counter(ref.name for ref in marked)
    return [
        Member(
            name=str(ref.name) if ref.name and twice[ref.name] == 1 else f"{ref.name or 'unnamed'} ({ref.vmid})",
            type=REMOVED_AS[ref.kind],
            read=functools.partial(read_removal, ref),
            node="" if ref.node == cluster.own.name else ref.node,
        )
        for ref in marked
    ]
