# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: on which node of a cluster each declared guest is, or comes to be.

A guest that is anywhere in the cluster stays there, unless it is declared to be elsewhere and may be moved. A new one
goes to the node that it names, to the best one with ``auto``, and else to the node of the run.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine.placement import Load, Needs, Volumes, place
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import TYPES, Guest
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.volume import DEFAULT_SIZE
from ansible_collections.pve.provision.plugins.module_utils._pve.by_name import UNSEEN_REMEDY, unseen

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import Member
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
    from ansible_collections.pve.provision.plugins.module_utils._guests.peers import Peers
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import ClusterNode, GuestRef
    from ansible_collections.pve.provision.plugins.module_utils._pve.view import ClusterView

AUTO: t.Final = "auto"
# What PVE gives a guest that declares no memory, in MiB.
_MEMORY: t.Final = 512


@dataclass(frozen=True)
class Location:
    """Where a guest is, or comes to be; an empty ``node`` is still to be chosen. ``there``: the guest, if there is one;
    ``moves``: it is on another node yet."""

    node: str
    there: GuestRef | None = None
    moves: bool = False


class Locations:
    """The locations of the guests of a declaration, and all that stands against them.

    ``peers``: the hosts of the play, where each does a part. ``chosen``: somebody has said which node the run is on.
    ``everywhere``: the guests of all nodes matter, whatever is declared.
    """

    def __init__(
        self,
        cluster: ClusterView,
        guests: t.Sequence[Guest],
        peers: Peers | None = None,
        *,
        chosen: bool = True,
        everywhere: bool = False,
    ) -> None:
        self._cluster, self._peers, self._chosen = cluster, peers, chosen
        self._own = cluster.own.name
        self._declared = {str(guest["name"]): guest for guest in guests if guest.get("name")}
        self.findings: list[Finding] = list(peers.findings) if peers else []
        self.notes: dict[str, str] = {}
        self._know(peers.guests if peers else cluster.own.guests())
        if peers is None and (everywhere or not chosen or not self._all_here()):
            self._know(cluster.guests())
        self._locations: dict[str, Location | None] = {}

    def _know(self, guests: t.Iterable[GuestRef]) -> None:
        """The guests that matter, by name and by vmid."""
        self.guests = list(guests)
        self._named, self._by_vmid = collections.defaultdict(list), collections.defaultdict(list)
        for ref in self.guests:
            self._named[(ref.name or "").lower()].append(ref)
            self._by_vmid[ref.vmid].append(ref)

    def _all_here(self) -> bool:
        """Whether each declared guest is on the node of the run, so that no other one has to be looked at."""
        return all(
            guest.get("node") in (None, AUTO, self._own) and self._matches(guest) for guest in self._declared.values()
        )

    # -- existing state ------------------------------------------------------------------------------------------------
    def named(self, guest: Guest) -> list[GuestRef]:
        """The guests of this name and kind that a declared one may be."""
        kind = TYPES[guest["type"]].kind
        return self._narrowed(
            guest, (ref for ref in self._named.get(str(guest["name"]).lower(), []) if ref.kind == kind)
        )

    def holder(self, guest: Guest) -> GuestRef | None:
        """The guest that has the declared vmid."""
        return next(iter(self._matches(guest)), None) if guest.get("vmid") is not None else None

    def _matches(self, guest: Guest) -> list[GuestRef]:
        if guest.get("vmid") is not None:
            return self._narrowed(guest, self._by_vmid.get(guest["vmid"], []))
        return self.named(guest)

    def _narrowed(self, guest: Guest, found: t.Iterable[GuestRef]) -> list[GuestRef]:
        """Of several guests those that the declaration means rather than the others."""
        node, clusters = str(guest.get("node")), self._peers.clusters if self._peers else {}
        if node in clusters:  # one of another cluster has only the number or the name in common
            found = [ref for ref in found if clusters.get(ref.node) == clusters[node]]
        own = self._own if self._peers is None and self._chosen else None
        narrowed = list(found)
        narrowed = [ref for ref in narrowed if ref.node == node] or narrowed
        narrowed = [ref for ref in narrowed if ref.node == own] or narrowed
        return [ref for ref in narrowed if ref.name == guest.get("name")] or narrowed

    def find(self, guest: Guest) -> GuestRef | None:
        """The guest that is declared, if it is anywhere."""
        found = self._matches(guest)
        if len({ref.node for ref in found}) > 1:
            told = ", ".join(f"{ref.vmid} on node {ref.node}" for ref in found)
            problem = f"is the name of several guests: {told}"
            self._refuse(guest, "name", guest["name"], problem, "Say which one with vmid or node.")
        return next(iter(found), None)

    def reached(self, node: str) -> bool:
        """Whether this run acts on a node."""
        return node == self._own if self._peers is not None else self._cluster.on(node) is not None

    def here(self) -> list[GuestRef]:
        """The guests of the nodes that this run acts on; those of a node that does not answer are none of them."""
        if self._peers is not None:
            return self._cluster.own.guests()
        return [ref for ref in self.guests if ref.node == self._own or ref.status is not None]

    # -- where it is, or comes to be -----------------------------------------------------------------------------------
    def of(self, guest: Guest) -> Location | None:
        """The location of a guest that is to be there; None where something stands against it."""
        name = str(guest["name"])
        if name not in self._locations:
            self._locations[name] = None  # of a guest that is cloned from itself, in whatever circle
            there = self.find(guest)
            self._locations[name] = self._new(guest) if there is None else self._existing(guest, there)
        return self._locations[name]

    def of_absent(self, guest: Guest) -> GuestRef | None:
        """A guest that is there and is to be removed, which nothing moves before."""
        there = self.holder(guest) or next(iter(self.named(guest)), None)
        served = there is not None and self.check_served(guest, there)
        self._locations[str(guest["name"])] = Location(there.node, there) if there and served else None
        return there

    def check_kind(self, guest: Guest) -> None:
        """A guest that is to be absent and whose name only those of the other kind have is not simply gone."""
        for there in self._narrowed(guest, self._named.get(str(guest["name"]).lower(), [])):
            remedy = "Declare the type that it has, or leave it out of the list."
            self._refuse(guest, "name", guest["name"], f"is no {guest['type']}, but {_called(there)}", remedy)

    def answers_for(self, guest: Guest) -> bool:
        """Whether this run tells of a guest that is nowhere."""
        node = str(guest.get("node") or "")
        served = self._peers.served if self._peers else {self._own: ""}
        return self.reached(node) if node in served else self._own == next(iter(served))

    def refuses(self, member: Member) -> bool:
        """Whether something stands against where a guest is, or is to be."""
        return self._locations.get(member.name) is None

    def is_mine(self, member: Member) -> bool:
        """Whether this run looks after a guest that has been assigned its node."""
        node = member.moves.node if member.moves else member.node or self._own
        return not self.refuses(member) and self.reached(node)

    def _existing(self, guest: Guest, there: GuestRef) -> Location | None:
        node = guest.get("node")
        if not self.check_served(guest, there):
            return None
        if node in (None, AUTO, there.node):
            return Location(there.node, there)
        if there.vmid in self._cluster.own.ha_managed():
            self.notes[str(guest["name"])] = f"HA manages it and decides its node: it stays on {there.node}"
            return Location(there.node, there)
        if guest.get("migrate"):
            return Location(str(node), there, moves=True) if self._takes_guests(guest, str(node)) else None
        remedy = f"Set migrate: true to move it, or declare node: {there.node}."
        self._refuse(guest, "node", node, f"is not the node of the guest: {_called(there)}", remedy)
        return None

    def check_served(self, guest: Guest, there: GuestRef) -> bool:
        """Whether somebody acts on the node of a guest that is there; if not, that is found."""
        if self._peers is not None:
            served = there.node in self._peers.served
        else:
            served = there.node == self._own or (self.reached(there.node) and there.node in self._online)
        if served:
            return True
        if self._peers is None and self.reached(there.node):
            remedy = "Wait until the node is up again: a guest is not created a second time."
            self._refuse(guest, "name", guest["name"], f"is {_called(there)}, which is offline", remedy)
            return False
        remedy = f"Run against node {there.node}: this guest is not created a second time."
        if self._peers is not None:
            remedy = f"Add the host of node {there.node} to the play: this guest is not created a second time."
        self._refuse(guest, "name", guest["name"], f"is {_called(there)}", remedy)
        return False

    def _new(self, guest: Guest) -> Location | None:
        node = guest.get("node")
        if guest.get("vmid") is None and (why := unseen(self.guests, TYPES[guest["type"]].kind)):
            self._refuse(guest, "name", guest["name"], why, UNSEEN_REMEDY)
            return None
        if node in (None, AUTO) and (source := self._source(guest)) is not None:
            return Location(source.node)
        if node == AUTO:
            return Location("")
        if node is not None:
            return Location(str(node)) if self._takes_guests(guest, str(node)) else None
        default = self.default
        if default is None:
            known = ", ".join(self._peers.served if self._peers else sorted(self._online))
            problem = "has to be named" + ("" if self._peers is None else ", since the hosts are not one cluster")
            self._refuse(guest, "node", None, problem, f"State node; there are: {known}.")
            return None
        return Location(default)

    @property
    def default(self) -> str | None:
        """The node for new guests that name none."""
        if self._peers is not None:
            return self._peers.first
        return self._own if self._chosen else None

    def _source(self, guest: Guest) -> Location | None:
        """The location of what a guest is cloned from: PVE clones on the source's own node."""
        source = guest.get("clone_from")
        if source is None:
            return None
        declared = self._declared.get(str(source.get("name")))
        if declared is not None and declared is not guest:
            return self.of(declared)
        there = self._matches({**guest, "name": source.get("name"), "vmid": source.get("vmid"), "node": None})
        return Location(there[0].node) if there else None

    def _takes_guests(self, guest: Guest, node: str) -> bool:
        """Whether guests can be brought to a node that is declared; if not, that is found."""
        if node == self._own and self._peers is None:
            return True
        if self._peers is not None:
            there, problem = set(self._peers.served), "is not the node of any host of this play"
        elif not self.reached(node):
            there, problem = {self._own}, "is not the node that this runs on"
        else:
            there = self._online
            known = {each.name for each in self._cluster.nodes()}
            problem = "is offline" if node in known else "is not a node of this cluster"
        if node not in there:
            self._refuse(guest, "node", node, problem, f"There are: {', '.join(sorted(there))}.")
        return node in there

    @functools.cached_property
    def _online(self) -> set[str]:
        return {node.name for node in self._cluster.nodes() if node.online}

    def _refuse(self, guest: Guest, option: str, value: object, problem: str, remedy: str) -> None:
        finding = Finding(f"{guest['name']}: {option}", value, problem, remedy)
        if finding not in self.findings:
            self.findings.append(finding)

    # -- which node a new one gets -------------------------------------------------------------------------------------
    def assign_nodes(self, members: t.Sequence[Member]) -> list[Member]:
        """The members with their nodes; those that are still to be chosen are, in the order of the list."""
        locations = {member.name: location for member in members if (location := self._locations.get(member.name))}
        chosen = {name: location.node for name, location in locations.items()}
        if "" in chosen.values():
            chosen = self._chosen_nodes(members, chosen)
        return [self._settled(member, locations.get(member.name), chosen.get(member.name, "")) for member in members]

    def _settled(self, member: Member, location: Location | None, node: str) -> Member:
        declares = self._declared.get(member.name, {}).get("node") is not None
        node = node if declares or node != self._own else ""
        moves = location.there if location and location.moves else None
        new = location is not None and location.there is None
        return dataclasses.replace(member, node=node, moves=moves, new=new) if node or moves or new else member

    def _chosen_nodes(self, members: t.Sequence[Member], chosen: dict[str, str]) -> dict[str, str]:
        """Those that are new and have their node already count first."""
        nodes = self._ranked()
        loads = self._loads(nodes)
        for member in members:
            location = self._locations.get(member.name)
            if location is not None and location.there is None and location.node in loads:
                loads[location.node].add(self._needs(member), nodes[location.node])
        for member in members:
            if chosen.get(member.name) == "":
                source = chosen.get(member.source, "")
                chosen[member.name] = source or self._place(member, nodes, loads)
        return chosen

    def _ranked(self) -> dict[str, ClusterNode]:
        known = self._peers.nodes if self._peers and self._peers.nodes else self._cluster.nodes()
        return {node.name: node for node in known}

    def _place(self, member: Member, nodes: t.Mapping[str, ClusterNode], loads: t.Mapping[str, Load]) -> str:
        needs = self._needs(member)
        served = self._peers.served if self._peers else [name for name in nodes if self.reached(name)]
        barred = {name: "is not the node of any host of this play" for name in nodes if name not in served}
        placement = place(needs, nodes.values(), loads, barred)
        if placement.node is None:
            self.findings.append(placement.finding(f"{member.name}: node"))
            return ""
        loads[placement.node].add(needs, nodes[placement.node])
        return placement.node

    def _loads(self, nodes: t.Iterable[str]) -> dict[str, Load]:
        """How many guests of each anti-affinity word a node has: by their tags, or by their declaration."""
        clusters = self._peers.clusters if self._peers else {}
        shared: dict[str, dict[str, int]] = collections.defaultdict(dict)
        loads = {name: Load(shared=shared[clusters.get(name, "")]) for name in nodes}
        declared = {
            location.there.vmid: name for name, location in self._locations.items() if location and location.there
        }
        for ref in self.guests:
            word = self._word(declared.get(ref.vmid, ""))
            for each in {tag.lower() for tag in ref.tags} | ({word} if word else set()):
                if ref.node in loads:
                    loads[ref.node].apart[each] = loads[ref.node].apart.get(each, 0) + 1
        return loads

    def _word(self, name: str) -> str:
        return (self._declared.get(name, {}).get("anti_affinity") or "").lower()

    def _needs(self, member: Member) -> Needs:
        wanted, _parts = member.read()
        return needs_of(wanted, self._word(member.name))


def needs_of(wanted: Wanted, apart: str = "") -> Needs:
    """What a new guest takes of a node, as far as its declaration tells."""
    values = {**wanted.defaults, **wanted.declaration.values}
    sizes: dict[str | None, int] = {}
    for key, value in values.items():
        if wanted.type.is_volume(key) and isinstance(value, dict) and not (value.get("volume") or value.get("bind")):
            storage = None if value.get("storage") == AUTO else value.get("storage")
            sizes[storage] = sizes.get(storage, 0) + int(value.get("size") or DEFAULT_SIZE)
    volumes = tuple(Volumes(size, wanted.type.content, storage) for storage, size in sizes.items())
    memory = values.get("memory")
    cores = int(values.get("cores") or 1) * int(values.get("sockets") or 1)
    return Needs(memory if isinstance(memory, int) else _MEMORY, cores, volumes, apart)


def _called(ref: GuestRef) -> str:
    return f"{KINDS[ref.kind].noun} {ref.vmid} on node {ref.node}"
