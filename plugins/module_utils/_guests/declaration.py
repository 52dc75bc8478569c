# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from a list of declared guests to the members of a run, and all that is wrong with it."""

from __future__ import annotations

import collections
import dataclasses
import functools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import Member
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.mark import TAGS, MarkPart, check_tag, is_marked
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.state import kept_name
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import (
    REMOVED_AS,
    TYPES,
    Guest,
    read_removal,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.clusters import (
    second_servers,
    with_servers,
)
from ansible_collections.pve.provision.plugins.module_utils._model.network import Claim, claims
from ansible_collections.pve.provision.plugins.module_utils._pve.by_name import unseen
from ansible_collections.pve.provision.plugins.module_utils._pve.types import same_name

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
    from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
    from ansible_collections.pve.provision.plugins.module_utils._guests.locations import Locations
    from ansible_collections.pve.provision.plugins.module_utils._model.option import Path
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef
    from ansible_collections.pve.provision.plugins.module_utils._pve.view import ClusterView, NodeView

# The option of types whose upgrade may leave the guest from before it.
KEEPS: t.Final = "rollback_keep"


@dataclass(frozen=True)
class Declared:
    """One guest of a list, its options by their types; ``nulls`` is where it says null."""

    options: Guest
    nulls: frozenset[Path] = frozenset()

    @property
    def name(self) -> str:
        return str(self.options["name"])

    def member(self, names: t.AbstractSet[str], common: t.Mapping[str, t.Any], ownership: Ownership) -> Member:
        """The guest as a member of a run; ``common`` is what the module was told for all of them."""
        options, name = self.options, self.name
        startup = options.get("startup") or {}
        # A guest that is there already may be the source, too; then there is nothing to wait for.
        source = (options.get("clone_from") or {}).get("name")
        sources = (names & {source}) - {name}
        return Member(
            name=name,
            type=options["type"],
            read=functools.partial(_read, {**options, **common}, self.nulls, ownership.parts_of(name)),
            after=frozenset(options.get("after") or ()) | sources,
            order=startup.get("order"),
            up=startup.get("up") or 0,
            source=next(iter(sources), ""),
        )


def _read(options: Guest, nulls: frozenset[Path], more: t.Sequence[Part]) -> tuple[Wanted, t.Sequence[Part]]:
    wanted, parts = TYPES[options["type"]].read(options, nulls)
    return wanted, (*parts, *more)


@dataclass
class Declaration:
    """Declared guests, read, and what is wrong with them. ``names``: of all of them, also of those that cannot be
    read."""

    guests: list[Declared] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    names: frozenset[str] = frozenset()

    @property
    def options(self) -> list[Guest]:
        return [guest.options for guest in self.guests]


def read_declaration(guests: t.Sequence[Guest]) -> Declaration:
    """Read guests that have their defaults already, before anything looks at their options: each is held against its
    type. What is wrong with them, by themselves and together, is found; those that have a name and a type are read as
    far as they are right."""
    declaration = Declaration(names=frozenset(str(guest["name"]) for guest in guests if guest.get("name")))
    for position, guest in enumerate(guests):
        read, findings = _read_guest(guest, f"guests[{position}]")
        declaration.guests += [read] if read else []
        declaration.findings += findings
    agents = zip(declaration.guests, with_servers(declaration.options), strict=True)
    declaration.guests = [
        guest if options is guest.options else Declared(options, guest.nulls) for guest, options in agents
    ]
    declaration.findings += [*_twice(declaration.options), *second_servers(declaration.options)]
    return declaration


def _read_guest(guest: Guest, place: str) -> tuple[Declared | None, list[Finding]]:
    """A guest as far as it has a name and a type, and what is wrong with it."""
    found = list[Finding]()
    name = guest.get("name")
    named = name and isinstance(name, (str, int))
    label = str(name) if named else place
    if not named:
        problem = "is not a name" if name else "has no name"
        found.append(Finding("name" if name else "", name or None, problem, "State name."))
    if guest.get("hostname") not in (None, name):
        problem = f"differs from {name}"
        found.append(Finding("hostname", guest["hostname"], problem, "State one of the two."))
    declared = TYPES.get(str(guest.get("type")))
    if declared is None:
        found.append(Finding("type", guest.get("type"), "is not a type of guest", f"There are: {', '.join(TYPES)}."))
        return None, [finding.of(label) for finding in found]
    left = {"hostname", *(() if named else ("name",))} & guest.keys()
    checked = declared.check({key: value for key, value in guest.items() if key not in left} if left else guest)
    apart = checked.values.get("anti_affinity")
    found += (*checked.findings, *(check_tag("anti_affinity", apart) if apart else ()))
    findings = [finding.of(label) for finding in found]
    return Declared({**checked.values, "name": label}, checked.nulls) if named else None, findings


def _twice(guests: t.Sequence[Guest]) -> t.Iterator[Finding]:
    """Names, and of the guests that are to be there vmids, MAC addresses and static addresses that two share."""
    users: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    for guest in guests:
        name = guest["name"]
        users["name", name.lower()].append(name)
        if guest.get("state") == "absent":
            continue
        if guest.get("vmid") is not None:
            users["vmid", str(guest["vmid"])].append(name)
        for net in _networks(guest):
            for key, claim in claims(net):
                users[_claimed(key, claim)].append(name)
    for (what, value), names in users.items():
        if len(names) > 1:
            yield Finding(what, value, f"is declared more than once: {', '.join(names)}", "Give each guest its own.")


def _claimed(key: str, claim: Claim) -> tuple[str, str]:
    """What a device wants for itself, in words."""
    if key == "hwaddr":
        return key, str(claim[0]).upper()
    bridge, tag, host = claim
    return "address", f"{host} on {bridge}{f'.{tag}' if tag else ''}"


def _networks(guest: Guest) -> t.Iterator[Guest]:
    """The network devices of a declared guest with their addresses: those of a VM stand among its cloud-init, those of
    a router with its interfaces."""
    told = (guest.get("cloud_init") or {}).get("ip") or ()
    beside = {_number(place, entry): entry for place, entry in enumerate(told)}
    for place, net in enumerate(guest.get("networks") or ()):
        entry = beside.get(_number(place, net)) if beside else None
        yield {**net, "ip": entry.get("ip"), "ip6": entry.get("ip6")} if entry else net
    ports = (guest.get("interfaces") or {}).values()  # free in form, and not held against anything yet
    for port in (each for each in ports if isinstance(each, dict)):
        yield {"hwaddr": port.get("hwaddr")}
        given = port.get("address") or []
        for address in given if isinstance(given, list) else [given]:
            yield {"bridge": port.get("bridge"), "tag": port.get("tag"), "ip": str(address)}


def _number(place: int, entry: Guest) -> int:
    return place if entry.get("id") is None else int(entry["id"])


# -- existing state ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ownership:
    """The mark of the guests that these runs have made: a tag. Without ``tag`` there is none.

    ``adopt`` are the names of guests that are there and get it; ``prune``: what has it and is not declared any more is
    destroyed.
    """

    tag: str = ""
    adopt: frozenset[str] = frozenset()
    prune: bool = False

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any], limit: t.Collection[str] | None) -> Ownership:
        """From the options of a module. With a limit nothing is pruned."""
        tag = params.get("owner_tag") or ""
        tag = "" if any(check_tag("owner_tag", tag)) else tag
        prune = bool(tag and params.get("prune") and limit is None)
        return cls(tag, frozenset(params.get("adopt") or ()), prune)

    def parts_of(self, name: str) -> tuple[Part, ...]:
        """What a declared guest needs for that."""
        return (MarkPart(self.tag, name in self.adopt),) if self.tag else ()


@dataclass
class Wishes:
    """The guests as they are to be declared given what is there: absent ones with their vmid. ``gone`` are those that
    are to be absent and are nowhere, by name."""

    guests: list[Declared] = field(default_factory=list)
    gone: dict[str, Guest] = field(default_factory=dict)


def wishes(locations: Locations, cluster: ClusterView, guests: t.Sequence[Declared]) -> Wishes:
    """What is wished of each guest, where it is."""
    wished = Wishes()
    there: list[GuestRef | None] = []
    for guest in guests:
        if guest.options.get("state") != "absent":
            location = locations.of(guest.options)
            there.append(location.there if location else None)
        elif (found := _to_remove(guest.options, locations)) is None:
            wished.gone[guest.name] = guest.options
            continue
        else:
            guest = dataclasses.replace(guest, options=found)
            there.append(locations.of_absent(found))
        wished.guests.append(guest)
    _read_ahead(cluster, (ref for ref in there if ref is not None and locations.reached(ref.node)))
    return wished


def _read_ahead(cluster: ClusterView, refs: t.Iterable[GuestRef]) -> None:
    """Read the configs of guests, several at once."""
    by_node = collections.defaultdict(list)
    for ref in refs:
        by_node[ref.node].append(ref)
    for name, there in by_node.items():
        if (view := cluster.on(name)) is not None:
            view.configs(there)


def _to_remove(guest: Guest, locations: Locations) -> Guest | None:
    """An absent guest with its vmid; None when it is nowhere, although its number may be another's by now."""
    there, holder = locations.named(guest), locations.holder(guest)
    if guest.get("vmid") is None:
        if not there:
            locations.check_kind(guest)
            if why := unseen(locations.guests, TYPES[guest["type"]].kind):
                locations.notes[str(guest["name"])] = f"it {why}"
            return None
        return {**guest, "vmid": there[0].vmid} if len(there) == 1 else guest
    if holder is None and not there:
        return None
    reused = holder is not None and not there and holder.name is not None and not same_name(holder.name, guest["name"])
    return None if reused else guest


def _tags(view: NodeView | None, ref: GuestRef) -> str | None:
    config = view.config(ref.kind, ref.vmid) if view else None
    return None if config is None else config.options.get(TAGS)


def _names(guest: Guest) -> t.Iterator[str]:
    """The names that a declared guest has on a node: a router leaves itself behind, with all its marks, when it is
    upgraded."""
    name = guest["name"]
    yield name
    if KEEPS in TYPES[guest["type"]].spec.options and guest.get(KEEPS) is not False:
        yield kept_name(name)


def pruned(locations: Locations, cluster: ClusterView, guests: t.Sequence[Guest], tag: str) -> list[Member]:
    """What carries the mark and is not declared any more, to be removed."""
    names = {name.lower() for guest in guests for name in _names(guest)}
    vmids = {guest.get("vmid") for guest in guests}
    listed = [ref for ref in locations.here() if ref.vmid not in vmids and (ref.name or "").lower() not in names]
    _read_ahead(cluster, listed)
    marked = [ref for ref in listed if is_marked(_tags(cluster.on(ref.node), ref), tag)]
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
