# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the node's graphics cards in a container, with the groups that use them there.

Which number the groups ``render`` and ``video`` have is a matter of the guest, so it is asked. A container that is new
gets the devices once it runs: before that there is nobody to ask.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._access.inside import Inside
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Plan, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import Start
from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import DEVICE, declare_lxc
from ansible_collections.pve.provision.plugins.module_utils._model.option import Declaration, base_of

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._access.shell import Shell
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

Connect = t.Callable[["Node", int, t.Mapping[str, str]], "Shell"]
Device = t.Mapping[str, t.Any]

_GROUPS: t.Final = "groups"
_ASK: t.Final = "cat /etc/group"
_DEVICE: t.Final = re.compile(r"/dev/(dri/(card|renderD)\d+|kfd|nvidia.*)")
# Whom a device belongs to in the guest: the first group of these that it has. Those of nvidia are anybody's.
_OWNERS: t.Final = ((r"/dev/(dri/renderD\d+|kfd)", ("render", "video")), (r"/dev/dri/card\d+", ("video", "render")))
TIMEOUT: t.Final = 60
_LATER: t.Final = (
    "gpu: which groups use its graphics devices is asked by the first run that finds the container running"
)


def passed(paths: t.Iterable[str], groups: t.Mapping[str, int]) -> list[dict[str, t.Any]]:
    """The devices as a container declares them, by the numbers of its groups. Raises Conflict where it has none."""
    return [_passed(path, groups) for path in paths]


def _passed(path: str, groups: t.Mapping[str, int]) -> dict[str, t.Any]:
    for pattern, names in _OWNERS:
        if re.fullmatch(pattern, path):
            gid = next((groups[name] for name in names if name in groups), None)
            if gid is None:
                remedy = "Install what makes them, such as udev, or state devices instead of gpu."
                raise Conflict(f"It has no group {' or '.join(names)} that could use {path}.", remedy=remedy)
            return {"path": path, "gid": gid, "mode": "0660"}
    return {"path": path, "mode": "0666"}


def groups_of(text: str) -> dict[str, int]:
    """The numbers of groups, of the text of /etc/group."""
    found = (line.split(":") for line in text.splitlines())
    return {parts[0]: int(parts[2]) for parts in found if len(parts) > 2 and parts[2].isdigit()}


def with_devices(wanted: Wanted, declared: t.Sequence[Device], more: t.Iterable[Device]) -> Wanted:
    """What is wanted with more devices than the user declares; one that is declared as well is the user's."""
    own = {each.get("path") for each in declared}
    both = [*declared, *(each for each in more if each["path"] not in own)]
    devices, _findings = declare_lxc({"devices": both})
    old = wanted.declaration
    rest = {key: value for key, value in old.values.items() if base_of(key) != "dev"}
    declaration = Declaration(
        {**rest, **devices.values},
        old.cleared,
        {**old.paths, **devices.paths},
        frozenset(key for key in old.assumed if base_of(key) != "dev") | devices.assumed,
        (*(each for each in old.removals if each.option != "dev"), *devices.removals),
    )
    return dataclasses.replace(wanted, declaration=declaration)


@dataclass(frozen=True)
class PassGraphics(Step):
    """Give a container that was just started the node's graphics devices."""

    action = "pass_graphics"
    phase = Phase.INSIDE
    privilege = "VM.Config.Options"

    devices: tuple[str, ...]
    declared: tuple[Device, ...] = field(default=(), repr=False)
    ask: t.Callable[[Run], dict[str, int]] | None = field(default=None, repr=False)

    def details(self) -> dict[str, t.Any]:
        return {"devices": list(self.devices)}

    def run(self, run: Run) -> None:
        if self.ask is None:
            return
        wanted = with_devices(run.wanted, self.declared, passed(self.devices, self.ask(run)))
        config = run.config()
        change = wanted.difference(run.vmid, config, purge=False)
        only = {key: value for key, value in change.set.items() if base_of(key) == "dev"}
        if only:
            run.node.set_config(run.wanted.type.kind, run.vmid, only, digest=config.digest)


@dataclass
class Gpu(Part):
    """The graphics cards of a container. ``declared`` are the devices that the user declares; ``connect`` gives a shell
    in it, ``inside`` is what all parts of the run ask it by. ``not_checked``: why it is not known which it is to
    have."""

    looks = True
    declared: t.Sequence[Device]
    connect: Connect
    inside: Inside
    not_checked: str = ""

    def __post_init__(self) -> None:
        self.inside.include(_GROUPS, _ASK)

    def look(self, node: Node, actual: Actual) -> None:
        if actual.config is not None and actual.vmid is not None and node.hardware.graphics():
            with contextlib.suppress(ProvisionError):
                self._groups(self.inside, node, actual.vmid, actual.config.options)

    def resolve(self, node: Node, wanted: Wanted, actual: Actual, *, act: bool) -> Wanted:
        """A container that runs has the devices by its groups; of any other those stay that it has."""
        if actual.config is None or actual.vmid is None or wanted.state == "absent":
            return wanted
        paths = node.hardware.graphics()
        self.not_checked = _unknown(node, paths) or ("" if actual.running else _LATER)
        if paths == []:
            return wanted
        if paths is None or not actual.running:
            return with_devices(wanted, self.declared, self._held(actual))
        try:
            groups = self._groups(self.inside, node, actual.vmid, actual.config.options)
            return with_devices(wanted, self.declared, passed(paths, groups))
        except ProvisionError as error:
            self.not_checked = f"gpu: {error}"
            return with_devices(wanted, self.declared, self._held(actual))

    def extend(self, node: Node, wanted: Wanted, actual: Actual, plan: Plan) -> Plan:
        if wanted.state == "absent":
            return plan
        if plan.creating:
            paths = node.hardware.graphics()
            self.not_checked = _unknown(node, paths)
            if paths and plan.has(Start):
                step = PassGraphics(tuple(paths), tuple(self.declared), self._of_run)
                return plan.insert_after(step, after=Start)
            self.not_checked = self.not_checked or _LATER
        return dataclasses.replace(plan, warnings=(*plan.warnings, self.not_checked)) if self.not_checked else plan

    def finish(self, run: Run) -> None:
        if self.not_checked:
            run.result.not_verified.append(self.not_checked)
            run.result.warnings += [self.not_checked] if self.not_checked not in run.result.warnings else []

    @staticmethod
    def _held(actual: Actual) -> list[dict[str, t.Any]]:
        options = actual.config.options if actual.config else {}
        devices = (DEVICE.read(value) for key, value in options.items() if base_of(key) == "dev")
        return [{"path": each["path"]} for each in devices if _DEVICE.fullmatch(str(each.get("path")))]

    def _of_run(self, run: Run) -> dict[str, int]:
        return self._groups(Inside(), run.node, run.vmid, run.config().options)

    def _groups(self, inside: Inside, node: Node, vmid: int, options: t.Mapping[str, str]) -> dict[str, int]:
        shell = self.connect(node, vmid, options)
        answer = inside.answers.get(_GROUPS) or inside.ask(shell, {_GROUPS: _ASK}, timeout=TIMEOUT)[_GROUPS]
        if answer.rc:
            raise Conflict(f"Its groups cannot be read: {answer.stderr.strip()}", remedy="Run again.")
        return groups_of(answer.stdout)


def _unknown(node: Node, paths: t.Sequence[str] | None) -> str:
    """Why a container gets none of the node's devices, whatever it does."""
    if paths is None:
        return "gpu: the API does not report which graphics devices the node has; declare devices"
    return "" if paths else f"gpu: node {node.name} has no graphics device that could be passed"


STEPS: t.Final[tuple[type[Step], ...]] = (PassGraphics,)
