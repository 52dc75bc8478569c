# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the guests of a node as a declaration that they match already.

What a config holds is written down as its table shows it, and then held against the guest as any declaration is: what
would not be as declared is left out, and told among the remarks, as is what no option declares.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION, GUESTS
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._guests.app.spec import PROFILES
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import REMOVED_AS, TYPES
from ansible_collections.pve.provision.plugins.module_utils._guests.run import plan_guests
from ansible_collections.pve.provision.plugins.module_utils._model.compare import typed, unmanaged, unread
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.fleet import Ended
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, GuestRef

Guest = dict[str, t.Any]

_STATES: t.Final = {"running": "started", "suspended": "suspended"}
#: What belongs to one guest alone, however many have the same.
_OWN: t.Final = frozenset({"name", "type", "vmid", "node", "networks"})
#: What PVE keeps for itself in a config, and what the state of a guest or its snapshots tell.
_INTERNAL: t.Final = frozenset({"meta", "parent", "template"})
_SPEC: t.Final = CONNECTION.merge(GUESTS, PROFILES)
NAMES: t.Final = "the guests of a list need different names"
#: The fewest guests whose common options are worth a line of their own.
_COMMON: t.Final = 3


@dataclass
class Adopted:
    """A guest as it would be declared, and what cannot be declared of it. ``guest`` is None: nothing of it can."""

    ref: GuestRef
    guest: Guest | None
    remarks: list[str] = field(default_factory=list)

    def leave_out(self, option: str, why: str) -> bool:
        """Take an option out of the declaration; whether it was in it."""
        if self.guest is None or option not in self.guest:
            return False
        del self.guest[option]
        self.remarks.append(f"{option} is left out: {why}")
        return True

    def give_up(self, why: str) -> None:
        self.guest = None
        self.remarks = [why]

    def view(self) -> dict[str, t.Any]:
        """What people are told of it."""
        about = {"node": self.ref.node, "vmid": self.ref.vmid, "kind": self.ref.kind, "name": self.ref.name}
        return {**about, "remarks": self.remarks}


def adopt(node: Node) -> dict[str, t.Any]:
    """The guests of all nodes reached from here as ``provision_guests``, with ``remarks`` on what that does not
    declare, and the ``nodes``: over the API those of the cluster that are online, on a node itself that one."""
    members = node.membership().nodes
    online = {each.name for each in node.nodes() if each.online} if node.files is None and len(members) > 1 else set()
    reached = [node, *(there for name in members if name in online - {node.name} and (there := node.on(name)))]
    adopted = [each for there in reached for each in _adopt_one(there, there.name if len(members) > 1 else None)]
    _once_by_name(adopted)
    return {
        "nodes": [there.name for there in reached],
        "provision_guests": [each.guest for each in adopted if each.guest],
        "remarks": [each.view() for each in adopted if each.remarks],
    }


def _adopt_one(node: Node, name: str | None) -> list[Adopted]:
    """The guests of one node; ``name`` is what their declaration calls it."""
    found = node.configs(sorted(node.guests(), key=lambda each: each.vmid))
    adopted = [draft(ref, config, name) for ref, config in found]
    _once_by_name(adopted)
    _prove(node, adopted)
    return adopted


def _once_by_name(adopted: t.Iterable[Adopted]) -> None:
    """Keep the first of the guests of one name."""
    names: set[str] = set()
    for each in adopted:
        if each.guest:
            name = str(each.guest["name"])
            if name.lower() in names:
                each.give_up(f"another guest is called {name}, too; {NAMES}")
            names.add(name.lower())


def draft(ref: GuestRef, config: GuestConfig, node: str | None) -> Adopted:
    """A guest by its config alone."""
    kind = REMOVED_AS[ref.kind]
    name = config.options.get(KINDS[ref.kind].name_option)
    if config.lock:
        return Adopted(ref, None, [f"it is locked ({config.lock}): adopt it when that is over"])
    if not name:
        return Adopted(ref, None, ["it has no name, and guests are declared by name: give it one"])
    try:
        table = wanted_of(kind, {"name": name, "vmid": ref.vmid}).type.table
    except InvalidInput as error:
        return Adopted(ref, None, [f"it cannot be declared: {error}"])
    own: Guest = {"name": name, "type": kind, "vmid": ref.vmid}
    own |= {"node": node} if node else {}
    own |= {"state": "template" if config.template else _STATES.get(str(ref.status), "present")}
    told = {key: value for key, value in typed(table, config.options).items() if key not in ("hostname", "name")}
    found = Adopted(ref, {**own, **told})
    others = {key: text for key, text in unmanaged(table, config.options).items() if key not in _INTERNAL}
    others |= unread(table, config.options)
    found.remarks += [f"{key}: {text} (no option declares it)" for key, text in others.items()]
    found.remarks += [f"{line} (a raw line)" for line in config.raw if "raw" not in told]
    found.remarks += [f"snapshot {name}" for name in config.snapshots]
    found.remarks += [f"{key} is a secret, and left out" for key in _secrets(table, config)]
    found.remarks += [f"{key} will change at the next start" for key in sorted(config.pending)]
    _without_what_differs(found, config)
    return found


def _secrets(table: t.Any, config: GuestConfig) -> t.Iterator[str]:
    for key in sorted(config.options):
        option = table.find(key)
        if option is not None and option.secret:
            yield option.param


def wanted_of(kind: str, guest: Guest) -> Wanted:
    """What such a declaration wants. Raises InvalidInput."""
    checked = TYPES[kind].check({key: value for key, value in guest.items() if key not in ("type", "after")})
    if checked.findings:
        raise InvalidInput(checked.findings)
    wanted, _parts = TYPES[kind].read(checked.values, checked.nulls)
    if wanted.findings:
        raise InvalidInput(wanted.findings)
    return wanted


def _without_what_differs(found: Adopted, config: GuestConfig) -> None:
    """Leave out what the guest would not be found to have already, until nothing of that is left."""
    while found.guest is not None:
        try:
            wanted = wanted_of(found.guest["type"], found.guest)
        except InvalidInput as error:
            if not _leave_out(found, error.findings):
                found.give_up(str(error))
            continue
        change = wanted.difference(found.ref.vmid, config, purge=False)
        keys = {*change.set, *change.delete, *change.revert, *change.resize}
        options = {wanted.type.table.known(key).path[0] for key in keys}
        why = "the declaration would not match the guest"
        left = [option for option in sorted(options) if found.leave_out(option, why)]
        if not left and not _leave_out(found, change.findings):
            if change:
                found.give_up(f"it would be changed: {', '.join(sorted(keys))}")
            return


def _leave_out(found: Adopted, findings: t.Sequence[Finding]) -> bool:
    """Leave out the options that findings are about; whether there were any."""
    return any(found.leave_out(_option(each.option), each.problem) for each in findings)


def _option(path: str) -> str:
    return path.partition("[")[0].partition(".")[0]


def _prove(node: Node, adopted: t.Sequence[Adopted]) -> None:
    """Plan a run over the declaration, and leave out what it would change, or refuse."""
    while named := {str(each.guest["name"]): each for each in adopted if each.guest}:
        try:
            ended = _planned(node, [each.guest for each in named.values() if each.guest])
        except InvalidInput as error:
            if not any(_refused(named, finding) for finding in error.findings):
                raise
            continue
        wrong = [each for each in ended if each.error or each.steps]
        for each in wrong:
            _without_what_is_done(node, named[each.member.name], each)
        if not wrong:
            return


def _planned(node: Node, guests: t.Sequence[Guest]) -> list[Ended]:
    return plan_guests(node, _SPEC.validate({"guests": guests}).values).guests


def _without_what_is_done(node: Node, found: Adopted, ended: Ended) -> None:
    """Leave out the one option without which a run does nothing with the guest; all of it, where there is none."""
    guest = found.guest or {}
    what = str(ended.error or ", ".join(str(step["step"]) for step in ended.steps))
    for option in [name for name in guest if name not in _OWN]:
        rest = {name: value for name, value in guest.items() if name != option}
        if not any(each.error or each.steps for each in _planned(node, [rest])):
            found.leave_out(option, f"a run would not leave the guest as it is ({what})")
            return
    found.give_up(f"a run would not leave it as it is ({what})")


def _refused(named: t.Mapping[str, Adopted], finding: Finding) -> bool:
    """Leave out what a finding about one or several guests is about; whether that was found."""
    label, _colon, path = finding.option.partition(": ")
    found = named.get(label)
    if found is not None:
        if not found.leave_out(_option(path), finding.problem):
            found.give_up(f"{path or label} {finding.problem}")
        return True
    later = [each for name, each in named.items() if name in finding.option or name in finding.problem][1:]
    for each in later:
        if not each.leave_out("networks", f"{finding.option} {finding.problem}"):
            each.give_up(f"{finding.option} {finding.problem}")
    return bool(later)


def common(guests: t.Sequence[Guest]) -> Guest:
    """What all guests have alike that could have it: worth stating once."""
    if len(guests) < _COMMON:
        return {}
    shared: Guest = {}
    for option in dict.fromkeys(name for guest in guests for name in guest if name not in _OWN):
        able = [guest for guest in guests if option in TYPES[guest["type"]].all_options]
        values = [guest.get(option) for guest in able]
        if len(able) >= _COMMON and all(value is not None and value == values[0] for value in values):
            shared[option] = values[0]
    return shared
