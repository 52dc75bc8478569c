# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is done after an upgrade of a router whose run was killed.

A new guest that has the router's place may have served since. So a later run goes on with it, or says what stands
against that; it never puts the old one back over it. Nor does it where somebody has come to use the new one, or has
given one of the two another name: then the user is asked.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import CleanUp
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput, ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import Router
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.finish import (
    finish_by_name,
    finish_in_place,
    install,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.rollback import (
    drop_archives,
    protection_of,
    release,
    restore_backup,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.state import (
    interim,
    is_interim,
    is_old_router,
    is_running,
    kept_name,
    lock,
    name_of,
    router_name,
    use_of,
)
from ansible_collections.pve.provision.plugins.module_utils._pve.types import same_name

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Kind


@dataclass
class Resume:
    """What is done after an upgrade of a router that was killed. ``make_router`` gives the router of a vmid.

    ``patience`` in seconds. ``warnings`` are what there is to tell afterwards."""

    node: Node
    wanted: Wanted
    make_router: t.Callable[[int], Router]
    patience: int
    warnings: list[str] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        return self.wanted.type.kind

    @property
    def noun(self) -> str:
        return self.wanted.type.noun

    def carry_out(self, *, act: bool) -> list[Step]:
        """One that is under way is waited for. Returns the steps; without ``act`` they are only told."""
        steps: list[Step] = []
        for vmid, note in list(cleanup.notes(self.node)):
            if not self._concerns(vmid, note):
                continue
            if act:
                with lock(self.node, self.kind, note["upgrade_of"]):
                    note = self.node.journal.get(vmid, {})
                    if not self._concerns(vmid, note):
                        continue  # it was under way, and has ended
                    for number in (note["upgrade_of"], vmid):  # what it had started may live on
                        cleanup.await_creator(self.node, self.kind, number, self.wanted.policy.timeout)
                    self._check(vmid, note)
                    self._resume(vmid, note)
            else:
                self._check(vmid, note)
            steps.append(CleanUp(vmid))
        return steps

    def _concerns(self, vmid: int, note: t.Mapping[str, t.Any]) -> bool:
        """Whether the note is of an upgrade of the wanted router, about which this run may decide."""
        wanted = self.wanted
        if "upgrade_of" not in note or note.get("kind") != self.kind:
            return False
        name = router_name(note)
        if name is None or wanted.vmid not in (None, vmid, note["upgrade_of"]):
            return False
        named = same_name(name, wanted.name) if wanted.name else wanted.vmid is not None
        if not named and not (wanted.policy.rename and wanted.state != "absent"):
            return False  # another router is meant, or this one by a name that it does not have
        successor = self._successor(vmid, note)
        if wanted.state == "absent":  # what will be refused, and what is removed as any router is, is none of ours
            return not (wanted.vmid is None or note["place"].get("protection") == "1" or successor == vmid)
        if successor is None or note.get("done") or wanted.state in ("started", "restarted"):
            return True
        return self.node.status(self.kind, successor) == "running"  # to see how it is, it has to run

    def _successor(self, vmid: int, note: t.Mapping[str, t.Any]) -> int | None:
        """The guest that has the router's place; None while that is the old one, or half a guest."""
        old, name = note["upgrade_of"], str(router_name(note))
        number = old if "archive" in note else vmid
        if number == vmid and name_of(self.node, self.kind, old) == name:
            return None
        config = self.node.config(self.kind, number)
        whole = config is not None and config.options.get("lock") != "create"
        return number if whole and name_of(self.node, self.kind, number) == name else None

    def _check(self, vmid: int, note: t.Mapping[str, t.Any]) -> None:
        """Which of the two guests is the router has to be clear before anything is done to one of them."""
        old, name = note["upgrade_of"], str(router_name(note))
        doubt = "" if note.get("done") else self._doubt(vmid, note)
        if not doubt:
            return
        problem = f"was being upgraded by an unfinished run, and {doubt}"
        remedy = f"Give the one that is to serve the name {name}, and remove the other, or give it another name"
        remedy += f" (the router is {self.noun} {old}, the new one was to be {vmid})."
        if "archive" in note:
            remedy += f" The backup of the router from before is {note['archive']}."
        raise InvalidInput([Finding(self.wanted.type.name_key, name, problem, remedy)], about=self.wanted.label)

    def _doubt(self, vmid: int, note: t.Mapping[str, t.Any]) -> str:
        """Why nobody but the user can say which of the two is to be the router, in words; nothing when it is clear."""
        node, kind, noun = self.node, self.kind, self.noun
        old, name = note["upgrade_of"], str(router_name(note))
        successor, use = self._successor(vmid, note), use_of(node, vmid, note)
        if self.wanted.state == "absent":
            only = self.wanted.vmid == vmid and name_of(node, kind, old) != name
            return f"{noun} {vmid}, which is to be removed, may be all there is of it" if only else ""
        if successor is not None:
            both = successor == vmid and is_running(node, kind, old) and name_of(node, kind, old) == kept_name(name)
            return f"{noun} {old} runs again" if both else ""
        if name_of(node, kind, old) == name and is_running(node, kind, old) and name_of(node, kind, vmid) != name:
            return ""  # the old one serves, whoever uses the new one
        return f"{noun} {vmid}, the new one, {use}" if use else ""

    def _resume(self, vmid: int, note: dict[str, t.Any]) -> None:
        node, wanted, old = self.node, self.wanted, note["upgrade_of"]
        for half, other in [(number, other) for number, other in cleanup.notes(node) if other.get("copy_of") == old]:
            cleanup.recover(node, wanted, Actual(half, leftover=other))
        if wanted.state == "absent":
            release(node, old, note)
            self._remove(vmid, note)
        elif note.get("done"):
            self._finish_in_place(vmid, note)
        elif (successor := self._successor(vmid, note)) is not None:
            self._go_on(vmid, note, successor)
        else:
            self._go_back(vmid, note)

    def _go_on(self, vmid: int, note: dict[str, t.Any], successor: int) -> None:
        """Take a new router that is well for the one that stays. It may have served for months."""
        node, router = self.node, self.make_router(successor)
        try:
            if node.status(self.kind, successor) != "running":
                node.start(self.kind, successor, timeout=self.wanted.policy.start_timeout)
            router.await_up(self.patience)
            version = router.probe().version
        except ProvisionError as error:
            raise InvalidInput([self._unwell(note, successor, error)]) from error
        if successor == vmid:
            self.warnings += finish_by_name(node, self.wanted, vmid, note)
        elif version == note["from"]:  # it was to be replaced, and has not been
            config = node.config(self.kind, successor)
            if config is not None and (back := protection_of(note["place"], config.options)):
                node.set_config(self.kind, successor, back)
            self._remove(vmid, note)
            return
        else:
            self._finish_in_place(vmid, {**note, "done": True})
        self.warnings += install(router, note["packages"], self.patience)

    def _unwell(self, note: t.Mapping[str, t.Any], successor: int, error: ProvisionError) -> Finding:
        name, old, noun = router_name(note), note["upgrade_of"], self.noun
        problem = f"was being upgraded by an unfinished run, and {noun} {successor} is not up as declared: {error}"
        back = f"stop and rename {noun} {successor}, and give {noun} {old} the name {name}"
        if successor == old:
            back = f"'pct restore {old} {note['archive']} --force' brings the old one back"
        return Finding(self.wanted.type.name_key, name, problem, f"Fix it and run again; or go back: {back}.")

    def _finish_in_place(self, vmid: int, note: dict[str, t.Any]) -> None:
        self.warnings += finish_in_place(self.node, self.wanted, vmid, note)
        self._remove(vmid, note, archives=False)

    def _go_back(self, vmid: int, note: dict[str, t.Any]) -> None:
        """Let the old one serve, and remove the new one, which never did."""
        node, wanted, name = self.node, self.wanted, str(router_name(note))
        still = is_old_router(node, vmid, note)
        if still:
            restore_backup(node, wanted, note)
        if name_of(node, self.kind, vmid) == name and not use_of(node, vmid, note):  # going back had begun
            node.set_config(self.kind, vmid, {wanted.type.name_key: interim(name), "onboot": "0", "protection": "0"})
        if "archive" in note and not still:
            self.warnings.append(f"the backup of {name} from before an unfinished upgrade is {note['archive']}")
        self._remove(vmid, note, archives=still or "archive" not in note)

    def _remove(self, vmid: int, note: dict[str, t.Any], *, archives: bool = True) -> None:
        release(self.node, vmid, note)
        sure = is_interim(self.node, vmid, note) and not use_of(self.node, vmid, note)
        cleanup.recover(self.node, self.wanted, Actual(vmid, leftover=note), sure=sure)
        self.node.journal.pop(vmid, None)
        if archives:
            drop_archives(self.node, note["upgrade_of"], vmid)
