# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is to be in a guest as a part of the run over it."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._access.setup.answer import (
    Answer,
    Change,
    Difference,
    Note,
    changes_of,
    difference,
    on_new,
    parse_answer,
)
from ansible_collections.pve.provision.plugins.module_utils._access.setup.render import apply_script, ask_script
from ansible_collections.pve.provision.plugins.module_utils._access.shell import Shell
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Plan, Run
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Resume, Shutdown, Start
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    ProvisionError,
    SetupFailed,
    Unsupported,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.guest_connection import (
    GuestConnection,
    forget_hosts,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.setup.keys import fetch_keys
from ansible_collections.pve.provision.plugins.module_utils._guests.setup.steps import SetUp, SetUpByAgent
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._model.option import HIDDEN
from ansible_collections.pve.provision.plugins.module_utils._model.setup.items import Setup
from ansible_collections.pve.provision.plugins.module_utils._pve.error_messages import refuses_commands

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

QUESTION: t.Final = "setup"
"""The name of the block that asks, among all that is asked in a guest."""
# Seconds that a guest may take to answer, and to let anybody in once it has been started.
ASKING: t.Final = 120
BOOTING: t.Final = 300
PAUSES: t.Final = (0.5, 5.0)
_NOT_RUNNING: t.Final = "it does not run"


@dataclass
class SetupPart(Part):
    """What is to be in a guest. ``option``: the one that messages name; ``inside`` is what all parts of the run ask it
    by. ``heard`` is what it has answered before it was planned, or why it has not; ``differs`` is what it has told,
    ``not_checked`` why nothing; ``changed`` is what the run has changed."""

    looks = True
    setup: Setup
    option: str
    connection: GuestConnection
    inside: Inside
    heard: Answer | ProvisionError | None = None
    differs: Difference | None = None
    not_checked: str = ""
    changed: list[str] = field(default_factory=list)
    acted: bool = False

    def __post_init__(self) -> None:
        self.inside.include(QUESTION, ask_script(self.setup))

    # -- the plan ------------------------------------------------------------------------------------------------------
    def look(self, node: Node, actual: Actual) -> None:
        try:
            self.heard = self._hear(node, actual)
        except ProvisionError as error:
            self.heard = error

    def _hear(self, node: Node, actual: Actual) -> Answer:
        options = actual.config.options if actual.config else {}
        return self._ask(self.connection(node, t.cast("int", actual.vmid), options))

    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        if wanted.state == "absent" or wanted.findings or actual.taken or actual.forbidden:
            return plan
        options = self._options(wanted, actual, plan)
        runs_later = plan.has((Start, Resume))
        if not (runs_later or (actual.status == "running" and not plan.creating)):
            self.not_checked = _NOT_RUNNING
            return dataclasses.replace(plan, warnings=(*plan.warnings, self._told_unseen()))
        try:
            step = SetUpByAgent if self.connection.name(node, options) == "guest agent" else SetUp
        except Unsupported as error:
            self.not_checked = error.message
            problem = f"cannot be done: {error.message}"
            return plan.against([Finding(self.option, None, problem, error.remedy, unverified=True)])
        if plan.creating:
            changes = on_new(self.setup)
            return _with_changes(plan, changes, step(self, _lines(changes))) if self.setup.items else plan
        if actual.status != "running":
            return plan.append(step(self))
        return self._extend_running(node, actual, plan, step)

    def _extend_running(self, node: Node, actual: Actual, plan: Plan, step: type[SetUp]) -> Plan:
        try:
            answer = self.heard or self._hear(node, actual)
            if isinstance(answer, ProvisionError):
                raise answer
        except ProvisionError as error:
            self.not_checked = str(error)
            return dataclasses.replace(plan, warnings=(*plan.warnings, self._told_unseen()))
        if answer.faults:
            return plan.against([self._fault(about, words) for about, words in answer.faults])
        self.differs = difference(self.setup, answer)
        if not self.differs:
            return plan
        changes = self.differs.changes
        return _with_changes(plan, changes, step(self, _lines(changes)), stops=not plan.has(Start))

    @staticmethod
    def _options(wanted: Wanted, actual: Actual, plan: Plan) -> dict[str, str]:
        """PVE's options of the guest, as it is or as it will be made."""
        if not plan.creating and actual.config is not None:
            return actual.config.options
        return {**(wanted.copied.options if wanted.copied else {}), **wanted.defaults, **wanted.options}

    def _fault(self, about: str, words: str) -> Finding:
        item = self.setup.items[int(about)]
        return Finding(item.option, item.title, words, "Change the declaration, or the guest.")

    def _told_unseen(self) -> str:
        return f"its setup was not checked: {self.not_checked}"

    # -- what a run does -----------------------------------------------------------------------------------------------
    def carry_out(self, run: Run) -> None:
        """Change what differs. What a run has made, and is not a copy, has nothing that was noted before."""
        shell = self._enter(run)
        blank = run.made and not run.wanted.copied
        numbers: tuple[int, ...] | None = None
        undo: tuple[str, ...] = ()
        notes: t.Sequence[Note] = ()
        if not blank:
            answer = self._ask(shell)
            if answer.faults:
                faults = [self._fault(about, words) for about, words in answer.faults]
                raise SetupFailed("; ".join(map(str, faults)))
            found = difference(self.setup, answer)
            if not found:
                return
            numbers, undo, notes = found.numbers, found.undo, answer.notes
        fetched = fetch_keys(self.setup, numbers, run.node.clock)
        script = apply_script(self.setup, numbers, undo, fetched)
        self.acted = True
        done = shell(script, timeout=run.wanted.policy.post_install_timeout)
        answer = parse_answer(done.stdout)
        self.changed = list(_lines(changes_of(self.setup, answer.done, notes)))
        if answer.failed is not None:
            raise self._failed(answer, notes)
        if not answer.complete:
            said = self._without_secrets(done.stderr.strip()) or f"it ended with {done.rc}"
            raise SetupFailed(
                f"the setup was aborted in the guest: {said.rstrip('.')}.",
                remedy="Run again.",
                setup={"changed": self.changed},
            )

    def _enter(self, run: Run) -> Shell:
        """A shell in the guest, once it lets anybody in."""
        if run.made:
            forget_hosts(run.node, run.vmid)
        options = run.config().options
        last: list[str] = []

        def enter() -> Shell | None:
            try:
                shell = self.connection(run.node, run.vmid, options)
                done = shell(":", timeout=30)
            except ProvisionError as error:
                last[:] = [str(error)]
                return None
            last[:] = [done.stderr.strip() or f"its shell ends with {done.rc}"]
            return shell if done.rc == 0 else None

        started = run.made or run.plan.has((Start, Resume))

        def is_decided(shell: Shell | None) -> bool:
            """In a new guest cloud-init may have the agent run commands yet."""
            return shell is not None or (not run.made and refuses_commands(last[0]))

        shell = poll(enter, is_decided, timeout=BOOTING if started else 0, clock=run.node.clock, pauses=PAUSES)
        if shell is None:
            remedy = "" if refuses_commands(last[0]) else "Look at its console."
            raise SetupFailed(f"the guest cannot be accessed: {last[0].rstrip('.')}.", remedy=remedy)
        return shell

    def _failed(self, answer: Answer, notes: t.Sequence[Note]) -> SetupFailed:
        about, words = t.cast("tuple[str, str]", answer.failed)
        names = [f"{each.option}: {each.title}: " for each in changes_of(self.setup, {about: ()}, notes)]
        name = "" if about == "guest" else names[0]
        said = self._without_secrets("\n".join(answer.said)).strip()
        text = f"{name}{words}{': ' + said if said else ''}".rstrip(".") + "."
        remedy = "The steps before it are done; run again to continue."
        return SetupFailed(text, remedy=remedy, setup={"changed": self.changed})

    def _without_secrets(self, text: str) -> str:
        for secret in sorted(self.setup.secrets(), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def _ask(self, shell: Shell) -> Answer:
        """What the guest tells. Raises SetupFailed where it tells not all of it."""
        done = (self.inside.answers or self.inside.ask(shell, timeout=ASKING))[QUESTION]
        answer = parse_answer(done.stdout)
        if not answer.complete:
            said = done.stderr.strip().splitlines() or [f"it ended with {done.rc}"]
            raise SetupFailed(f"the guest did not answer: {said[-1]}")
        return answer

    # -- afterwards ------------------------------------------------------------------------------------------------
    def finish(self, run: Run) -> None:
        """Ask again after a change, and tell what is known."""
        result = run.result
        told: dict[str, t.Any] = {"changed": self.changed}
        if result.status == "running" and self.acted:
            left = self._left(run, result.options)
            if left:
                told["differs"] = left
                result.warnings.append(f"is still not as declared: {'; '.join(left)}")
        elif self.differs is None and self.not_checked:
            words = self._told_unseen()
            result.warnings += [words] if words not in result.warnings else []
        told["verified_by"] = "" if self.not_checked else self.connection.name(run.node, result.options)
        if self.not_checked:
            told["reason"] = self.not_checked
            result.not_verified.append(self.not_checked)
        result.more["setup"] = told

    def _left(self, run: Run, options: t.Mapping[str, str]) -> list[str]:
        """What differs still, by a question of its own."""
        self.inside.forget()
        try:
            shell = self.connection(run.node, run.vmid, options)
            answer = self._ask(shell)
        except ProvisionError as error:
            self.not_checked = str(error)
            return []
        return list(_lines(difference(self.setup, answer).changes))


def _lines(changes: t.Iterable[Change]) -> tuple[str, ...]:
    return tuple(map(str, changes))


def _with_changes(plan: Plan, changes: t.Sequence[Change], step: SetUp, *, stops: bool = False) -> Plan:
    """The plan with the step: at its end, or before a guest that runs is shut down for good."""
    plan = plan.insert(step, before=Shutdown) if stops else plan.append(step)
    before, after = {**plan.before, "setup": []}, {**plan.after, "setup": list(_lines(changes))}
    return dataclasses.replace(plan, before=before, after=after)
